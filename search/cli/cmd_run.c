/* `run` and `resume`: a campaign from its beginning, or from where it stopped. */
#include "search/cli/command.h"
#include "search/cli/dry_run.h"
#include "search/cli/progress.h"
#include "search/cli/shell.h"
#include "search/engine/models.h"

#include <stdio.h>
#include <string.h>

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
        return kds_show_outcome(archive, args->json, e);
    if (code == KDS_PENDING_MAIL) {
        kds_err ignored = {0};
        if (kds_show_outcome(archive, args->json, &ignored) != KDS_OK)
            kds_err_clear(&ignored);
    }
    if (code == KDS_STOPPED) {
        char word[1200];
        kds_err ignored = {0}; /* nothing may have been accepted yet */
        if (!args->json && kds_show_outcome(archive, false, &ignored) != KDS_OK)
            kds_err_clear(&ignored);
        code = kds_fail(e, code, "stopped; `%s resume %s` continues", kds_shell_program(),
                        kds_shell_word(word, sizeof word, archive));
    }
    return code;
}

/* Who makes children, in words. */
static const char *proposer(const kds_settings *s, char *text, size_t size)
{
    const char *name = kds_models_proposer(s), *model = kds_settings_text(s, "model");
    if (strcmp(name, "builtin") == 0)
        return "the built-in proposer";
    if (strcmp(name, "mailbox") == 0)
        return "a model by mail";
    if (*kds_settings_text(s, "models"))
        return "the models of the list";
    snprintf(text, size, "model %.80s", model);
    return text;
}

/* A campaign that nobody watches should have an end. */
static void announce(const kds_args *args, const char *archive)
{
    static const char *const budgets[] = {"max-time",     "max-evals",    "max-cost", "max-tokens",
                                          "max-requests", "max-gpu-time", "stall",    "target"};
    char text[100];
    bool limited = false;
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++)
        limited |= kds_settings_double(args->settings, budgets[i]) > 0;
    fprintf(stderr,
            "searching on %s with %s, keeping everything in %s (Ctrl-C stops, nothing is lost)\n",
            kds_settings_text(args->settings, "device"),
            proposer(args->settings, text, sizeof text), archive);
    if (!limited)
        fprintf(stderr, "no budget is set: runs until nothing new is left (see --max-time, "
                        "--max-evals)\n");
}

static kds_code run(const kds_args *args, kds_err *e)
{
    const char *archive = kds_args_flag(args, "output");
    if (kds_args_flag(args, "dry-run"))
        return kds_dry_run(args->operands[0], args->settings, args->json, e);
    kds_campaign *c = NULL;
    kds_catch_signals();
    if (!archive)
        archive = "archive";
    kds_code code = kds_campaign_create(&c, args->operands[0], archive, args->settings, e);
    if (code == KDS_OK && !args->json)
        announce(args, archive);
    return code == KDS_OK ? run_campaign(c, args, archive, e) : code;
}

static kds_code resume(const kds_args *args, kds_err *e)
{
    kds_campaign *c = NULL;
    kds_catch_signals();
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
    .flags = {{"output", 'o', "FOLDER", "the archive folder [archive]"},
              {"dry-run", 0, NULL,
               "judge the task's own kernels, show the first prompt and estimate what the model "
               "calls would cost; nothing is sent and nothing is kept"}},
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
