/* `list`: the candidates of an archive. */
#include "search/cli/command.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "search/base/text.h"

#include <math.h>
#include <string.h>

typedef struct listing {
    kds_table *table;
    cJSON *array; /* NULL: as text */
    int64_t count, limit;
} listing;

static kds_code list_row(void *user, const kds_candidate_row *r, kds_err *e)
{
    listing *l = user;
    if (++l->count > l->limit && l->limit)
        return KDS_OK; /* one more was asked for, to know whether there are more */
    if (l->array) {
        cJSON *o = kds_view_candidate_json(r);
        if (!o || !cJSON_AddItemToArray(l->array, o))
            return kds_fail(e, KDS_NO_MEMORY, "out of memory");
        return KDS_OK;
    }
    kds_table_cell(l->table, "#%lld", (long long)r->decision);
    kds_table_cell(l->table, "%.8s", r->id);
    kds_table_cell(l->table, "%s",
                   r->accepted ? "accepted" : (r->verdict[0] ? r->verdict : "in flight"));
    if (isfinite(r->fitness))
        kds_table_cell(l->table, "%.4fx", r->fitness);
    else
        kds_table_cell(l->table, "-");
    kds_table_cell(l->table, "%.8s", r->cell[0] ? r->cell : "-");
    kds_table_cell(l->table, "%s", r->operator_name);
    kds_table_cell(l->table, "%.8s", r->parent[0] ? r->parent : "-");
    kds_table_text(l->table, 48, r->why[0] ? r->why : r->hypothesis);
    return KDS_OK;
}

typedef struct cell_search {
    const char *prefix;
    char key[17]; /* the first that begins with it */
    int count;
} cell_search;

static kds_code match_cell(void *user, const kds_cell_row *row, kds_err *e)
{
    cell_search *s = user;
    (void)e;
    if (strncmp(row->key, s->prefix, strlen(s->prefix)) == 0 && s->count++ == 0)
        memcpy(s->key, row->key, sizeof s->key);
    return KDS_OK;
}

/* The whole key from any unique prefix of it. */
static kds_code find_cell(kds_ledger *l, cell_search *s, kds_err *e)
{
    kds_code code = kds_ledger_each_cell(l, match_cell, s, e);
    if (code == KDS_OK && s->count == 0)
        code = kds_fail(e, KDS_USAGE, "--cell: no cell begins with '%.40s'", s->prefix);
    if (code == KDS_OK && s->count > 1)
        code = kds_fail(e, KDS_USAGE, "--cell: %d cells begin with '%.40s'", s->count, s->prefix);
    return code;
}

static kds_code run(const kds_args *args, kds_err *e)
{
    char speed[20];
    const char *sort = kds_args_flag(args, "sort"), *limit_text = kds_args_flag(args, "limit");
    const char *verdict = kds_args_flag(args, "verdict");
    int64_t limit = 40;
    kds_verdict ignored;
    kds_ledger *ledger = NULL;
    listing l = {0};
    cell_search cell = {.prefix = kds_args_flag(args, "cell")};
    if (sort && strcmp(sort, "fitness") != 0 && strcmp(sort, "decision") != 0)
        return kds_fail(e, KDS_USAGE, "--sort is fitness or decision, not '%s'", sort);
    if (limit_text && (!kds_text_parse_i64(limit_text, &limit) || limit < 0 || limit > INT32_MAX))
        return kds_fail(e, KDS_USAGE, "--limit: '%s' is not a whole number (0 for all)",
                        limit_text);
    if (verdict && !kds_verdict_parse(verdict, &ignored)) {
        const char *names[KDS_VERDICT_COUNT + 1] = {0};
        for (int i = 0; i < KDS_VERDICT_COUNT; i++)
            names[i] = kds_verdict_name((kds_verdict)i);
        const char *near = kds_text_suggest(verdict, names);
        return kds_fail(e, KDS_USAGE, "no verdict '%s'%s%s", verdict, near ? "; did you mean " : "",
                        near ? near : "");
    }
    kds_code code = kds_ledger_open(&ledger, args->operands[0], KDS_LEDGER_READ, e);
    if (code != KDS_OK)
        return code;
    if (args->json)
        l.array = cJSON_CreateArray();
    else {
        (void)snprintf(speed, sizeof speed, ">%s", kds_view_archive_origin(ledger));
        const char *columns[] = {"#",        "id",     "verdict", speed, "cell",
                                 "operator", "parent", "why",     NULL};
        l.table = kds_table_create(columns);
    }
    l.limit = limit;
    if (cell.prefix)
        code = find_cell(ledger, &cell, e);
    if (code == KDS_OK)
        code = kds_ledger_each_candidate(ledger, sort ? sort : "decision", verdict,
                                         cell.prefix ? cell.key : NULL, limit ? limit + 1 : 0,
                                         list_row, &l, e);
    if (code == KDS_OK && args->json)
        code = kds_view_json(l.array, e);
    else if (code == KDS_OK) {
        kds_table_print(l.table, stdout);
        if (limit && l.count > limit)
            printf("(the first %lld; --limit 0 lists all)\n", (long long)limit);
    }
    cJSON_Delete(l.array);
    kds_table_free(l.table);
    kds_ledger_close(ledger);
    return code;
}

const kds_command kds_command_list = {
    .name = "list",
    .operands = "ARCHIVE",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "the candidates of an archive",
    .help = "Lists distinct candidates with verdict, speed-up over the baseline, cell, "
            "operator, parent, and\n"
            "why each was accepted or not. \"accepted\" became the best of its cell; \"ok\" passed "
            "every check but did not.",
    .flags = {{"sort", 0, "ORDER", "decision or fitness [decision]"},
              {"verdict", 0, "NAME", "only this verdict (ok, wrong, compile_failed, ...)"},
              {"cell", 0, "KEY", "only this cell, by any unique prefix of its key"},
              {"limit", 'n', "N", "at most N; 0 for all [40]"}},
    .run = run};
