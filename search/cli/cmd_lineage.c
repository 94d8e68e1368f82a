/* `lineage`: how a candidate came to be, from the task's own kernels on. */
#include "search/cli/command.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void show_text(const kds_candidate_row *rows, int count, const char *origin)
{
    char speed[20];
    (void)snprintf(speed, sizeof speed, ">%s", origin);
    const char *columns[] = {"#", "id", "operator", speed, ">step", "what changed", NULL};
    kds_table *t = kds_table_create(columns);
    double before = NAN;
    for (int i = 0; i < count; i++) {
        const kds_candidate_row *r = &rows[i];
        kds_table_cell(t, "#%lld", (long long)r->decision);
        kds_table_cell(t, "%.8s", r->id);
        kds_table_cell(t, "%s%s%s", r->operator_name, r->model[0] ? " " : "", r->model);
        if (isfinite(r->fitness))
            kds_table_cell(t, "%.4fx", r->fitness);
        else
            kds_table_cell(t, "%s", r->verdict);
        if (isfinite(r->fitness) && isfinite(before))
            kds_table_cell(t, "%+.2f %%", 100 * (r->fitness / before - 1));
        else
            kds_table_cell(t, "-");
        kds_table_text(t, 120, r->hypothesis);
        before = r->fitness;
    }
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static kds_code run(const kds_args *args, kds_err *e)
{
    kds_ledger *l = NULL;
    kds_candidate_row *rows = NULL;
    int count = 0;
    kds_code code = kds_ledger_open(&l, args->operands[0], KDS_LEDGER_READ, e);
    if (code == KDS_OK)
        code = kds_ledger_lineage(l, args->operand_count > 1 ? args->operands[1] : "best", &rows,
                                  &count, e);
    if (code == KDS_OK && args->json) {
        cJSON *array = cJSON_CreateArray();
        for (int i = 0; i < count; i++)
            cJSON_AddItemToArray(array, kds_view_candidate_json(&rows[i]));
        code = kds_view_json(array, e);
        cJSON_Delete(array);
    } else if (code == KDS_OK)
        show_text(rows, count, kds_view_archive_origin(l));
    free(rows);
    kds_ledger_close(l);
    return code;
}

const kds_command kds_command_lineage = {.name = "lineage",
                                         .operands = "ARCHIVE [ID]",
                                         .min_operands = 1,
                                         .max_operands = 2,
                                         .summary = "how a candidate came to be, step by step",
                                         .help =
                                             "Lists the chain of first parents from a kernel of "
                                             "the task to the candidate (default: the best), with\n"
                                             "what each step changed and what it gained.",
                                         .run = run};
