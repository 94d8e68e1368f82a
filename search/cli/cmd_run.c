/* `run` and `resume`: a campaign from its beginning, or from where it stopped. */
#include "search/cli/command.h"
#include "search/cli/progress.h"

#include <stdio.h>

/* Runs, shows the outcome, closes. */
static kds_code run_campaign(kds_campaign *c, const kds_args *args, const char *archive, kds_err *e)
{
    kds_progress *p = kds_progress_create(args->json);
    if (!p) {
        kds_campaign_close(c);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    kds_code code = kds_run_with_signals(c, kds_progress_event, p, e);
    kds_progress_free(p);
    kds_campaign_close(c);
    if (code == KDS_OK)
        code = kds_show_outcome(archive, args->json, e);
    return code;
}

static kds_code run(const kds_args *args, kds_err *e)
{
    const char *archive = kds_args_flag(args, "output");
    kds_campaign *c = NULL;
    if (!archive)
        archive = "archive";
    if (!args->json)
        fprintf(stderr, "checking the task's own kernels on %s ...\n",
                kds_settings_text(args->settings, "device"));
    kds_code code = kds_campaign_create(&c, args->operands[0], archive, args->settings, e);
    return code == KDS_OK ? run_campaign(c, args, archive, e) : code;
}

static kds_code resume(const kds_args *args, kds_err *e)
{
    kds_campaign *c = NULL;
    kds_code code = kds_campaign_resume(&c, args->operands[0], args->settings, e);
    return code == KDS_OK ? run_campaign(c, args, args->operands[0], e) : code;
}

const kds_command kds_command_run = {
    .name = "run",
    .operands = "TASK",
    .min_operands = 1,
    .max_operands = 1,
    .options = KDS_FOR_RUN,
    .summary = "start a campaign on a task folder",
    .help = "Starts a search for a faster kernel of TASK (a folder such as kernels/rms_norm) and "
            "keeps everything in\n"
            "the archive folder, which must not exist or be empty. Ends when a budget is spent or "
            "nothing is left to\n"
            "try. The first Ctrl-C finishes what runs, the second stops at once; nothing is lost "
            "either way, and\n"
            "`kdasearch resume` continues.",
    .flags = {{"output", 'o', "FOLDER", "the archive folder [archive]"}},
    .run = run};

const kds_command kds_command_resume = {
    .name = "resume",
    .operands = "ARCHIVE",
    .min_operands = 1,
    .max_operands = 1,
    .options = KDS_FOR_RESUME,
    .summary = "continue a campaign",
    .help = "Continues the campaign in ARCHIVE after any interruption, with the settings that it "
            "was started with.\n"
            "Options given here replace the recorded ones (a larger --max-evals, say).",
    .run = resume};
