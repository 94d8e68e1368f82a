/* Reading. Whatever calls back into its caller uses a statement of its own, so that a callback may
 * use the ledger. Texts that are longer than their field in a row are cut between characters. */
#include "archive/sql.h"
#include "search/base/text.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *place(const kds_ledger *l)
{
    return l->dir == NULL ? "ledger in memory" : l->dir;
}

/* Ends a query after a callback may have failed: its error comes first. */
static kds_code finish(kds_query *q, kds_code code, const char *what, kds_err *e)
{
    kds_code ended = kds_sql_end(q, what, code == KDS_OK ? e : NULL);
    return code == KDS_OK ? ended : code;
}

static void copy_column(char *out, size_t size, kds_query *q, int at)
{
    const char *text = kds_sql_column(q, at);
    size_t len = strlen(text);
    if (len >= size)
        len = kds_text_utf8_prefix(text, size - 1);
    memcpy(out, text, len);
    out[len] = '\0';
}

static double real_column(kds_query *q, int at)
{
    return sqlite3_column_type(q->statement, at) == SQLITE_NULL
               ? (double)NAN
               : sqlite3_column_double(q->statement, at);
}

char *kds_ledger_meta(kds_ledger *l, const char *key)
{
    kds_query q = kds_sql_kept(l, KDS_SQL_META_GET);
    kds_sql_text(&q, 1, key);
    char *value = kds_sql_next(&q) ? strdup(kds_sql_column(&q, 0)) : NULL;
    kds_code ignored = kds_sql_end(&q, "read a value", NULL);
    (void)ignored;
    return value;
}

/* ---- Candidates ---- */

static void read_candidate(kds_query *q, kds_candidate_row *r)
{
    memset(r, 0, sizeof *r);
    copy_column(r->id, sizeof r->id, q, 0);
    r->decision = sqlite3_column_int64(q->statement, 1);
    copy_column(r->parent, sizeof r->parent, q, 2);
    copy_column(r->parent2, sizeof r->parent2, q, 3);
    copy_column(r->operator_name, sizeof r->operator_name, q, 4);
    copy_column(r->model, sizeof r->model, q, 5);
    copy_column(r->norm, sizeof r->norm, q, 6);
    copy_column(r->cubin, sizeof r->cubin, q, 7);
    copy_column(r->verdict, sizeof r->verdict, q, 8);
    copy_column(r->stage, sizeof r->stage, q, 9);
    r->accepted = sqlite3_column_int(q->statement, 10) != 0;
    r->fitness = real_column(q, 11);
    copy_column(r->cell, sizeof r->cell, q, 12);
    copy_column(r->report, sizeof r->report, q, 13);
    copy_column(r->hypothesis, sizeof r->hypothesis, q, 14);
    copy_column(r->why, sizeof r->why, q, 15);
    r->time_ms = sqlite3_column_int64(q->statement, 16);
}

static kds_code find_decision(kds_ledger *l, const char *given, kds_candidate_row *out, kds_err *e)
{
    int64_t decision = 0;
    if (!kds_text_parse_i64(given + 1, &decision))
        return kds_fail(e, KDS_USAGE, "'%s' is no decision: write #N, a number", given);
    kds_query q = kds_sql_kept(l, KDS_SQL_CANDIDATE_OF);
    kds_sql_int(&q, 1, decision);
    bool found = kds_sql_next(&q);
    kds_candidate_row row;
    if (found)
        read_candidate(&q, &row);
    kds_code code = kds_sql_end(&q, "find a candidate", e);
    if (code == KDS_OK && !found)
        code = kds_fail(e, KDS_NOT_FOUND, "%s: decision %lld made no candidate", place(l),
                        (long long)decision);
    if (code == KDS_OK)
        *out = row;
    return code;
}

/* A prefix of an id in lower case, or false. */
static bool read_prefix(const char *given, char prefix[KDS_ID_HEX])
{
    size_t len = strlen(given);
    if (len == 0 || len >= KDS_ID_HEX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isxdigit((unsigned char)given[i]))
            return false;
        prefix[i] = (char)tolower((unsigned char)given[i]);
    }
    prefix[len] = '\0';
    return true;
}

static kds_code find_prefix(kds_ledger *l, const char *prefix, kds_candidate_row *out, kds_err *e)
{
    kds_candidate_row rows[6];
    char beyond[KDS_ID_HEX + 1], list[400] = "";
    int count = 0;
    snprintf(beyond, sizeof beyond, "%sg", prefix); /* 'g' sorts behind every digit */
    kds_query q = kds_sql_kept(l, KDS_SQL_CANDIDATE_FIND);
    kds_sql_text(&q, 1, prefix);
    kds_sql_text(&q, 2, beyond);
    while (count < 6 && kds_sql_next(&q))
        read_candidate(&q, &rows[count++]);
    kds_code code = kds_sql_end(&q, "find a candidate", e);
    if (code != KDS_OK)
        return code;
    if (count == 0)
        return kds_fail(e, KDS_NOT_FOUND,
                        "%s has no candidate '%s'; `kdasearch list %s` shows them", place(l),
                        prefix, place(l));
    if (count == 1) {
        *out = rows[0];
        return KDS_OK;
    }
    for (int i = 0; i < count && i < 5; i++) {
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "\n  %.16s  #%lld  %s", rows[i].id,
                 (long long)rows[i].decision, rows[i].verdict[0] ? rows[i].verdict : "in flight");
    }
    return kds_fail(e, KDS_USAGE,
                    "'%s' is the beginning of several candidates; write more of it:%s%s", prefix,
                    list, count > 5 ? "\n  ..." : "");
}

kds_code kds_ledger_find(kds_ledger *l, const char *prefix, kds_candidate_row *out, kds_err *e)
{
    char digits[KDS_ID_HEX];
    if (prefix[0] == '#')
        return find_decision(l, prefix, out, e);
    if (strcmp(prefix, "best") == 0) {
        char *best = kds_ledger_meta(l, "best");
        if (best == NULL)
            return kds_fail(e, KDS_NOT_FOUND, "%s has no best candidate yet", place(l));
        kds_code code = find_prefix(l, best, out, e);
        free(best);
        return code;
    }
    if (prefix[0] == '\0')
        return kds_fail(e, KDS_USAGE,
                        "a candidate is named by the first digits of its id, #N or best");
    if (!read_prefix(prefix, digits))
        return kds_fail(
            e, KDS_NOT_FOUND,
            "%s has no candidate '%s': one is named by the first digits of its id (0-9, "
            "a-f), by #N for decision N, or by best",
            place(l), prefix);
    return find_prefix(l, digits, out, e);
}

kds_code kds_ledger_no_campaign(kds_ledger *l, kds_err *e)
{
    if (kds_ledger_last_seq(l) != 0)
        return kds_fail(e, KDS_DAMAGED, "the record does not begin with a campaign");
    return kds_fail(
        e, KDS_NOT_ARCHIVE,
        "%s was stopped before its campaign began; `kdasearch run TASK -o %s` starts it", place(l),
        place(l));
}

#define STEPS_MAX 10000

kds_code kds_ledger_lineage(kds_ledger *l, const char *prefix, kds_candidate_row **rows, int *count,
                            kds_err *e)
{
    kds_candidate_row *steps = NULL, row;
    int n = 0;
    kds_code code = kds_ledger_find(l, prefix, &row, e);
    while (code == KDS_OK) {
        kds_candidate_row *more =
            n < STEPS_MAX ? realloc(steps, (size_t)(n + 1) * sizeof *steps) : NULL;
        if (more == NULL) {
            code = n < STEPS_MAX
                       ? kds_fail(e, KDS_NO_MEMORY, "out of memory")
                       : kds_fail(e, KDS_DAMAGED, "a lineage of more than %d steps", STEPS_MAX);
            break;
        }
        steps = more;
        steps[n++] = row;
        if (row.parent[0] == '\0')
            break;
        char parent[KDS_ID_HEX];
        memcpy(parent, row.parent, sizeof parent);
        code = kds_ledger_find(l, parent, &row, e);
    }
    if (code != KDS_OK) {
        free(steps);
        return code;
    }
    for (int i = 0; i < n / 2; i++) {
        row = steps[i];
        steps[i] = steps[n - 1 - i];
        steps[n - 1 - i] = row;
    }
    *rows = steps;
    *count = n;
    return KDS_OK;
}

kds_code kds_ledger_each_candidate(kds_ledger *l, const char *order, const char *verdict,
                                   const char *cell, int64_t limit, kds_candidate_fn *fn,
                                   void *user, kds_err *e)
{
    static const char by_decision[] =
        KDS_CANDIDATE_COLUMNS "WHERE (?1 IS NULL OR verdict = ?1) AND (?2 IS NULL OR cell = ?2)"
                              " ORDER BY decision LIMIT ?3";
    static const char by_fitness[] = KDS_CANDIDATE_COLUMNS
        "WHERE (?1 IS NULL OR verdict = ?1) AND (?2 IS NULL OR cell = ?2)"
        " ORDER BY fitness DESC, decision LIMIT ?3"; /* NULL is the smallest value: last */
    bool fitness = strcmp(order, "fitness") == 0;
    if (!fitness && strcmp(order, "decision") != 0)
        return kds_fail(e, KDS_USAGE, "'%s' is no order: decision, fitness", order);
    kds_query q = kds_sql_fresh(l, fitness ? by_fitness : by_decision);
    kds_code code = KDS_OK;
    kds_sql_text(&q, 1, verdict);
    kds_sql_text(&q, 2, cell);
    kds_sql_int(&q, 3, limit > 0 ? limit : -1);
    while (code == KDS_OK && kds_sql_next(&q)) {
        kds_candidate_row row;
        read_candidate(&q, &row);
        code = fn(user, &row, e);
    }
    return finish(&q, code, "list the candidates", e);
}

static kds_id id_column(kds_query *q, int at)
{
    kds_id id = {0, 0};
    if (!kds_id_parse(kds_sql_column(q, at), &id))
        id = (kds_id){0, 0};
    return id;
}

kds_code kds_ledger_each_ids(kds_ledger *l, kds_ledger_ids_fn *fn, void *user, kds_err *e)
{
    kds_query q = kds_sql_fresh(
        l, "SELECT decision, id, norm, cubin, verdict FROM candidates ORDER BY decision");
    while (kds_sql_next(&q)) {
        kds_id id = id_column(&q, 1), norm = id_column(&q, 2), cubin = id_column(&q, 3);
        fn(user, sqlite3_column_int64(q.statement, 0), &id, &norm, &cubin, kds_sql_column(&q, 4));
    }
    return kds_sql_end(&q, "read the candidates' ids", e);
}

/* ---- Cells and sums ---- */

kds_code kds_ledger_each_cell(kds_ledger *l, kds_cell_fn *fn, void *user, kds_err *e)
{
    kds_query q = kds_sql_fresh(l, "SELECT key, bins, elite, fitness, visits, improvements,"
                                   " filled_by FROM cells ORDER BY key");
    kds_code code = KDS_OK;
    while (code == KDS_OK && kds_sql_next(&q)) {
        kds_cell_row row;
        memset(&row, 0, sizeof row);
        copy_column(row.key, sizeof row.key, &q, 0);
        copy_column(row.bins, sizeof row.bins, &q, 1);
        copy_column(row.elite, sizeof row.elite, &q, 2);
        row.fitness = real_column(&q, 3);
        row.visits = sqlite3_column_int64(q.statement, 4);
        row.improvements = sqlite3_column_int64(q.statement, 5);
        row.filled_by = sqlite3_column_type(q.statement, 6) == SQLITE_NULL
                            ? -1
                            : sqlite3_column_int64(q.statement, 6);
        code = fn(user, &row, e);
    }
    return finish(&q, code, "list the cells", e);
}

kds_code kds_ledger_totals_get(kds_ledger *l, kds_ledger_totals *out, kds_err *e)
{
    kds_ledger_totals t;
    memset(&t, 0, sizeof t);
    kds_query q = kds_sql_fresh(
        l, "SELECT decisions, committed, candidates, accepted, duplicates, requests, responses,"
           " failed_calls, epochs, prompt_tokens, completion_tokens, cost_usd, run_seconds,"
           " (SELECT count(*) FROM decisions WHERE commit_seq IS NOT NULL AND candidate IS NOT"
           " NULL AND verdict <> 'duplicate') FROM budget");
    int64_t *const counts[] = {&t.decisions,     &t.committed,        &t.candidates,
                               &t.accepted,      &t.duplicates,       &t.requests,
                               &t.responses,     &t.failed_calls,     &t.epochs,
                               &t.prompt_tokens, &t.completion_tokens};
    bool found = kds_sql_next(&q);
    if (found) {
        for (int i = 0; i < (int)(sizeof counts / sizeof *counts); i++)
            *counts[i] = sqlite3_column_int64(q.statement, i);
        t.cost_usd = sqlite3_column_double(q.statement, 11);
        t.run_seconds = sqlite3_column_double(q.statement, 12);
        t.judged = sqlite3_column_int64(q.statement, 13);
    }
    kds_code code = kds_sql_end(&q, "read the budget", e);
    if (code == KDS_OK && !found)
        code = kds_ledger_damaged(l, e, "the row of sums is missing");
    if (code == KDS_OK)
        *out = t;
    return code;
}
