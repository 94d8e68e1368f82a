/* `replay`: every decision of a record derived again; or the lineage of one candidate compiled,
 * judged and fought again. */
#include "search/cli/command.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "search/base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static kds_code replay_record(const kds_args *args, kds_err *e)
{
    char *json = NULL;
    kds_code code = kds_replay_decisions(args->operands[0], &json, e);
    if (!json)
        return code;
    cJSON *o = kds_json_parse_record(json, strlen(json));
    if (args->json)
        printf("%s\n", json);
    else if (code == KDS_OK)
        printf("agrees: %lld decisions, %lld children of the built-in proposer, %lld replies, "
               "%lld duels and %lld outcomes derived again\ndecisions %s\nstate     %s\n",
               (long long)kds_json_int(o, "decisions", 0),
               (long long)kds_json_int(o, "children", 0), (long long)kds_json_int(o, "replies", 0),
               (long long)kds_json_int(o, "duels", 0), (long long)kds_json_int(o, "commits", 0),
               kds_json_str(o, "chain", ""), kds_json_str(o, "state", ""));
    else {
        char *recorded = kds_json_print_pretty(kds_json_at(o, "recorded"));
        char *derived = kds_json_print_pretty(kds_json_at(o, "derived"));
        printf("diverged at event %lld\nrecorded: %s\nderived: %s\n",
               (long long)kds_json_int(o, "event", 0), recorded ? recorded : "",
               derived ? derived : "");
        free(recorded);
        free(derived);
    }
    cJSON_Delete(o);
    free(json);
    return code;
}

/* ---- A lineage ---- */

static void notice(void *user, const kds_event *event)
{
    char safe[1200];
    (void)user;
    cJSON *o = kds_json_parse_record(event->json, strlen(event->json));
    const char *text = kds_json_str(o, "text", "");
    (void)kds_text_escape_into(safe, sizeof safe, text, strlen(text), false);
    fprintf(stderr, "%s\n", safe);
    cJSON_Delete(o);
}

static void speedup_cell(kds_table *t, const cJSON *side)
{
    double x = kds_json_num(side, "fitness", NAN);
    if (isfinite(x))
        kds_table_cell(t, "%.4fx", x);
    else
        kds_table_cell(t, "%s",
                       *kds_json_str(side, "verdict", "") ? kds_json_str(side, "verdict", "")
                                                          : "in flight");
}

static const char *origin(const cJSON *side)
{
    return kds_json_bool(side, "measured", false) ? "measured" : "modelled";
}

static void show_steps(const cJSON *report)
{
    char before[40], now[40];
    const cJSON *step = NULL;
    (void)snprintf(before, sizeof before, ">recorded (%s)",
                   origin(kds_json_at(report, "recorded")));
    (void)snprintf(now, sizeof now, ">now (%s)", origin(kds_json_at(report, "replayed")));
    const char *columns[] = {"#", "id", "operator", "compiled code", "verdict", before, now, NULL};
    kds_table *t = kds_table_create(columns);
    cJSON_ArrayForEach(step, kds_json_at(report, "steps"))
    {
        const cJSON *replayed = kds_json_at(step, "replayed");
        kds_table_cell(t, "#%lld", (long long)kds_json_int(step, "decision", 0));
        kds_table_cell(t, "%.8s", kds_json_str(step, "candidate", ""));
        kds_table_cell(t, "%s", kds_json_str(step, "operator", ""));
        kds_table_cell(t, "%s", kds_json_str(step, "program", ""));
        kds_table_cell(t, "%s", kds_json_str(replayed, "verdict", ""));
        speedup_cell(t, kds_json_at(step, "recorded"));
        speedup_cell(t, replayed);
    }
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static void duel_cells(kds_table *t, const cJSON *side)
{
    const char *verdict = kds_json_str(side, "verdict", NULL);
    kds_table_cell(t, "%s", verdict ? verdict : side && !cJSON_IsNull(side) ? "failed" : "-");
    if (verdict)
        kds_table_cell(t, "%+.2f (%+.2f to %+.2f)", 100 * kds_json_num(side, "gain", NAN),
                       100 * kds_json_num(side, "low", NAN), 100 * kds_json_num(side, "high", NAN));
    else
        kds_table_cell(t, "-");
}

static void show_duels(const cJSON *report)
{
    const cJSON *duels = kds_json_at(report, "duels"), *d = NULL;
    const char *columns[] = {"duel", "against", "recorded", ">gain %", "now", ">gain %", NULL};
    if (!cJSON_GetArraySize(duels))
        return;
    kds_table *t = kds_table_create(columns);
    cJSON_ArrayForEach(d, duels)
    {
        kds_table_cell(t, "#%lld", (long long)kds_json_int(d, "decision", 0));
        kds_table_cell(t, "#%lld", (long long)kds_json_int(d, "against", 0));
        duel_cells(t, kds_json_at(d, "recorded"));
        duel_cells(t, kds_json_at(d, "replayed"));
    }
    printf("\n");
    kds_table_print(t, stdout);
    kds_table_free(t);
    printf("equal kernels differ by up to %.2f %% here\n",
           100 * kds_json_num(kds_json_at(report, "replayed"), "floor", NAN));
}

static void print_speedup(double x, double low, double high)
{
    if (isfinite(x))
        printf("%.4fx", x);
    else
        printf("none");
    if (isfinite(low))
        printf(" [%.4f, %.4f]", low, high);
}

/* Of a kernel that is not said to be faster. */
static void print_verdicts(const cJSON *report)
{
    const cJSON *steps = kds_json_at(report, "steps"), *step = NULL;
    bool alike =
        kds_json_bool(report, "same_kind", false) && !kds_json_bool(report, "other_inputs", false);
    int other = 0, unknown = 0;
    cJSON_ArrayForEach(step, steps)
    {
        other += strcmp(kds_json_str(step, "verdict", ""), "other") == 0;
        unknown += strcmp(kds_json_str(step, "verdict", ""), "unknown") == 0;
    }
    if (other)
        printf("%d of %d verdicts are others than were recorded (%s); that it is faster was not "
               "claimed by a duel\n",
               other, cJSON_GetArraySize(steps),
               alike ? "a time limit is between them" : "another device, or other inputs");
    else
        printf("agrees: the verdicts are those that were recorded%s; that it is faster was not "
               "claimed\n",
               unknown ? ", where there were some" : "");
}

/* Of one that the record says nothing of. */
static void print_unrecorded(const cJSON *steps)
{
    const cJSON *last = cJSON_GetArrayItem(steps, cJSON_GetArraySize(steps) - 1);
    const char *before = kds_json_str(kds_json_at(last, "recorded"), "verdict", "");
    printf("#%lld was not judged in the campaign (%s); here it is %s\n",
           (long long)kds_json_int(last, "decision", 0), *before ? before : "in flight",
           kds_json_str(kds_json_at(last, "replayed"), "verdict", ""));
}

static void show_outcome(const cJSON *report)
{
    const cJSON *c = kds_json_at(report, "claim");
    const char *outcome = kds_json_str(report, "outcome", "");
    printf("\nover the baseline: recorded ");
    print_speedup(kds_json_num(c, "recorded", NAN), kds_json_num(c, "recorded_low", NAN),
                  kds_json_num(c, "recorded_high", NAN));
    printf(" (%s), now ", origin(kds_json_at(report, "recorded")));
    print_speedup(kds_json_num(c, "replayed", NAN), kds_json_num(c, "low", NAN),
                  kds_json_num(c, "high", NAN));
    printf(" (%s)\n", origin(kds_json_at(report, "replayed")));
    bool measured = kds_json_bool(kds_json_at(report, "replayed"), "measured", false);
    if (strcmp(outcome, "confirmed") == 0 && !measured)
        printf("confirmed: it passes every check, and it is modelled to be faster\n");
    else if (strcmp(outcome, "confirmed") == 0)
        printf("confirmed: it passes every check, and a duel finds it faster%s\n",
               kds_json_bool(c, "compared", false) ? ", noise apart by as much as was recorded"
                                                   : "");
    else if (strcmp(outcome, "unrecorded") == 0)
        print_unrecorded(kds_json_at(report, "steps"));
    else if (strcmp(outcome, "agrees") == 0 && kds_json_bool(c, "made", false))
        printf("agrees: it passes every check; whether it is faster as it was measured, the "
               "simulator cannot tell (--device cuda:0)\n");
    else if (strcmp(outcome, "agrees") == 0)
        print_verdicts(report);
}

static kds_code replay_lineage(const kds_args *args, kds_err *e)
{
    char *json = NULL;
    kds_code code = kds_replay_lineage(args->operands[0], args->operands[1], args->settings, notice,
                                       NULL, &json, e);
    if (!json)
        return code;
    cJSON *report = kds_json_parse_record(json, strlen(json));
    if (args->json)
        printf("%s\n", json);
    else {
        show_steps(report);
        show_duels(report);
        show_outcome(report);
    }
    cJSON_Delete(report);
    free(json);
    return code;
}

static kds_code replay(const kds_args *args, kds_err *e)
{
    if (args->operand_count > 1)
        return replay_lineage(args, e);
    for (const kds_option *o = kds_options(); o->name; o++)
        if (kds_settings_source(args->settings, o->name) == KDS_FROM_FLAG)
            return kds_fail(e, KDS_USAGE,
                            "--%s is for the replay of one candidate: `kdasearch replay %s best "
                            "--%s ...`; without one nothing is run",
                            o->name, args->operands[0], o->name);
    return replay_record(args, e);
}

const kds_command kds_command_replay = {
    .name = "replay",
    .operands = "ARCHIVE [ID]",
    .min_operands = 1,
    .max_operands = 2,
    .options = KDS_FOR_EVAL,
    .summary = "derive every decision again; with ID, run its lineage again",
    .help = "Walks the record and derives each decision, each child of the built-in proposer, each "
            "child read from a\n"
            "model's reply and each acceptance again, with no network and no device. Exits 40 "
            "where the first one\n"
            "differs. The hash over the decisions is equal for two runs that decided the same.\n\n"
            "With ID (or best) every kernel from the baseline to it is compiled and judged again, "
            "on the recorded device\n"
            "or on the one that --device names; on a GPU its duels are fought again, and one with "
            "the baseline. What\n"
            "was recorded stands beside what came of it. Exits 40 if compiled code, a verdict or a "
            "modelled time is\n"
            "another although device and software are the same, 41 if the kernel fails here or is "
            "not as much faster as\n"
            "was recorded. --seed checks it with other inputs. The archive is only read.",
    .run = replay};
