/* `check`: every hash of an archive. */
#include "search/cli/command.h"
#include "search/cli/view.h"

#include "archive/ledger.h"

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
