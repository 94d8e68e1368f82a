/* `status`: one screen about an archive, whether its campaign runs or not. */
#include "search/cli/command.h"
#include "search/cli/shell.h"
#include "search/cli/status.h"
#include "search/cli/table.h"
#include "search/cli/view_guidance.h"

#include "search/base/text.h"

#include <string.h>

/* "max-evals 120, max-time 8h" */
static void show_budget(const kds_status *s)
{
    static const char *const names[] = {"max-time",     "max-evals",    "max-cost", "max-tokens",
                                        "max-requests", "max-gpu-time", "stall",    "target"};
    const char *separator = "budget      ";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = kds_json_str(s->settings, names[i], "0");
        double number = 0;
        if (kds_text_parse_double(value, &number) && number == 0)
            continue;
        printf("%s%s %s", separator, names[i], value);
        separator = ", ";
    }
    printf("%s\n", *separator == 'b' ? "budget      none" : "");
}

static void show_guidance(const cJSON *list, const char *dir)
{
    char word[1200];
    printf("guidance    %d in use, %d retired, %d replaced (`%s show %s --guidance`)\n",
           kds_view_guidance_count(list, "in use"), kds_view_guidance_count(list, "retired"),
           kds_view_guidance_count(list, "replaced"), kds_shell_program(),
           kds_shell_word(word, sizeof word, dir));
}

static void show_text(const kds_status *s, const char *dir)
{
    char time[32];
    kds_text_format_duration(time, sizeof time, s->totals.run_seconds);
    printf("archive     %s\ntask        %s\ndevice      %s\nstate       %s\nepochs      %lld, %s "
           "of running time\n",
           dir, kds_json_str(s->campaign, "task", "?"), kds_json_str(s->campaign, "device", "?"),
           s->phase, (long long)s->totals.epochs, time);
    show_budget(s);
    printf("decisions   %lld made, %lld in flight\ncandidates  %lld judged, %lld accepted, %lld "
           "duplicates of others\ncells       %lld filled\n",
           (long long)s->totals.decisions, (long long)(s->totals.decisions - s->totals.committed),
           (long long)s->totals.judged, (long long)s->totals.accepted,
           (long long)s->totals.duplicates, (long long)s->cells);
    if (s->noise)
        printf("duels       %lld fought; a kernel and its copy differ by up to %.2f %%; %lld of "
               "%lld hidden duels of equals were called faster; %lld promotion%s taken back by "
               "reviews\n",
               (long long)kds_json_int(s->noise, "duels", 0),
               100 * kds_json_num(s->noise, "floor", 0),
               (long long)kds_json_int(s->noise, "hidden_faster", 0),
               (long long)kds_json_int(s->noise, "hidden", 0),
               (long long)kds_json_int(s->noise, "retired", 0),
               kds_json_int(s->noise, "retired", 0) == 1 ? "" : "s");
    if (s->gpu_seconds > 0) {
        kds_text_format_duration(time, sizeof time, s->gpu_seconds);
        printf("GPU time    %s at work\n", time);
    }
    if (s->has_best && s->confirmed.known) {
        printf("best        #%lld %.8s, ", (long long)s->best.decision, s->best.id);
        kds_view_confirmed(stdout, &s->confirmed);
        printf("\n");
    } else if (s->has_best)
        printf("best        #%lld %.8s, %.3fx the baseline (%s)\n", (long long)s->best.decision,
               s->best.id, s->best.fitness,
               kds_view_device_origin(kds_json_str(s->campaign, "device", "")));
    if (s->totals.requests)
        printf("model calls %lld requests, %lld failed, %lld + %lld tokens, %.4f USD\n",
               (long long)s->totals.requests, (long long)s->totals.failed_calls,
               (long long)s->totals.prompt_tokens, (long long)s->totals.completion_tokens,
               s->totals.cost_usd);
    if (s->guidance)
        show_guidance(s->guidance, dir);
    printf("\n");
    const char *columns[] = {"operator", "model",   ">decisions", ">accepted",
                             ">yield %", ">tokens", ">USD",       NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, s->operators)
    {
        double commits = kds_json_num(row, "commits", 0),
               accepted = kds_json_num(row, "accepted", 0);
        kds_table_cell(t, "%s", kds_json_str(row, "operator", ""));
        kds_table_cell(t, "%s",
                       *kds_json_str(row, "model", "") ? kds_json_str(row, "model", "") : "-");
        kds_table_cell(t, "%.0f", kds_json_num(row, "decisions", 0));
        kds_table_cell(t, "%.0f", accepted);
        kds_table_cell(t, "%.1f", commits > 0 ? 100 * accepted / commits : 0);
        kds_table_cell(t, "%.0f", kds_json_num(row, "tokens", 0));
        kds_table_cell(t, "%.4f", kds_json_num(row, "cost_usd", 0));
    }
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static kds_code run(const kds_args *args, kds_err *e)
{
    kds_status s = {0};
    kds_code code = kds_status_load(&s, args->operands[0], e);
    if (code == KDS_OK && args->json) {
        cJSON *o = kds_status_json(&s, args->operands[0]);
        code = o ? kds_view_json(o, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
        cJSON_Delete(o);
    } else if (code == KDS_OK)
        show_text(&s, args->operands[0]);
    kds_status_free(&s);
    return code;
}

const kds_command kds_command_status = {.name = "status",
                                        .operands = "ARCHIVE",
                                        .min_operands = 1,
                                        .max_operands = 1,
                                        .summary = "what a campaign has done so far",
                                        .help =
                                            "Shows state, best kernel, yield and spend per "
                                            "operator and model. Works while the campaign runs.",
                                        .run = run};
