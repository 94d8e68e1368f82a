/* `replay` and `check`: two proofs about an archive. */
#include "search/cli/command.h"
#include "search/cli/view.h"

#include "archive/ledger.h"

#include <stdlib.h>
#include <string.h>

static kds_code replay(const kds_args *args, kds_err *e)
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

static kds_code check(const kds_args *args, kds_err *e)
{
    cJSON *report = NULL;
    kds_code code = kds_ledger_check(args->operands[0], &report, e);
    if (!report)
        return code;
    if (args->json) {
        kds_err ignored = {0};
        kds_code printed = kds_view_json(report, &ignored);
        if (code == KDS_OK)
            code = printed;
    } else {
        const cJSON *item = NULL;
        cJSON_ArrayForEach(item, report)
        {
            if (cJSON_IsNumber(item))
                printf("%-20s %.0f\n", item->string, item->valuedouble);
        }
        cJSON_ArrayForEach(item, kds_json_at(report, "problems"))
            printf("problem: %s\n", cJSON_IsString(item) ? item->valuestring : "?");
        if (code == KDS_OK)
            printf("whole: every hash holds, and the tables equal the fold of the events\n");
    }
    cJSON_Delete(report);
    return code;
}

const kds_command kds_command_replay = {
    .name = "replay",
    .operands = "ARCHIVE",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "derive every decision again from the record",
    .help = "Walks the record and derives each decision, each child of the built-in proposer, each "
            "child read from a\n"
            "model's reply and each acceptance again, with no network and no device. Exits 40 "
            "where the first one\n"
            "differs. The hash over the decisions is equal for two runs that decided the same.",
    .run = replay};

const kds_command kds_command_check = {.name = "check",
                                       .operands = "ARCHIVE",
                                       .min_operands = 1,
                                       .max_operands = 1,
                                       .summary = "verify hashes, objects and tables of an archive",
                                       .help =
                                           "Verifies SQLite's own integrity, the hash chain over "
                                           "the events, every stored object, and that the\n"
                                           "derived tables equal the fold of the events. Exits 12 "
                                           "with the list of problems if anything is damaged.",
                                       .run = check};
