/* What must be equal is compared from the archives, as their readers see them. */
#include "tests/overnight/compare.h"

#include "archive/ledger.h"
#include "tests/cli/cli_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static kds_code keep_row(void *user, const cJSON *row, kds_err *e)
{
    cJSON *copy = cJSON_Duplicate(row, true);
    (void)e;
    assert_non_null(copy);
    cJSON_AddItemToArray(user, copy);
    return KDS_OK;
}

/* The rows of a query. */
static cJSON *rows_of(const char *archive, const char *sql)
{
    kds_ledger *ledger = NULL;
    kds_err e = {0};
    cJSON *rows = cJSON_CreateArray();
    if (kds_ledger_open(&ledger, cli_path(archive), KDS_LEDGER_READ, &e) != KDS_OK ||
        kds_ledger_select(ledger, sql, NULL, keep_row, rows, &e) != KDS_OK)
        fail_msg("%s: %s", archive, e.message);
    kds_ledger_close(ledger);
    return rows;
}

static void assert_rows_equal(const char *what, const cJSON *x, const cJSON *y)
{
    if (cJSON_Compare(x, y, true))
        return;
    char *left = kds_json_print(x), *right = kds_json_print(y);
    fail_msg("%s:\n%s\n%s", what, left, right);
}

/* The text that decisions make a chain of, and what became of each. */
static const char CHAINS[] = "SELECT json_extract(body, '$.chain') AS chain FROM events WHERE kind "
                             "= 'DECISION' ORDER BY seq";
static const char COMMITS[] = "SELECT body FROM events WHERE kind IN ('ACCEPT', 'REJECT') "
                              "ORDER BY seq";
/* Repeats are not among them: which of two equals was judged is told by the decisions. */
static const char JUDGED[] = "SELECT id, verdict, fitness, cell FROM candidates "
                             "WHERE verdict <> 'duplicate' ORDER BY id";
static const char CELLS[] = "SELECT key, bins, elite, fitness, visits, improvements FROM cells "
                            "ORDER BY key";

/* Both lists are in the order of `key`: counts the rows with equal keys, and those that are equal.
 * `what`: such rows must be. */
static int64_t compare_common(const cJSON *x, const cJSON *y, const char *key, const char *what,
                              int64_t *equal)
{
    int64_t common = 0;
    const cJSON *p = x->child, *q = y->child;
    *equal = 0;
    while (p && q) {
        int order = strcmp(kds_json_str(p, key, ""), kds_json_str(q, key, ""));
        if (order == 0) {
            common++;
            *equal += cJSON_Compare(p, q, true);
            if (what)
                assert_rows_equal(what, p, q);
        }
        if (order <= 0)
            p = p->next;
        if (order >= 0)
            q = q->next;
    }
    return common;
}

/* Where outcomes part, the disturbed campaign's model must have said no: nothing else may change
 * what comes of a decision. */
static void assert_said_no(const char *disturbed, const cJSON *commit)
{
    char sql[300];
    const char *text = kds_json_str(commit, "body", "");
    cJSON *body = kds_json_parse_record(text, strlen(text));
    snprintf(sql, sizeof sql,
             "SELECT request FROM calls WHERE decision = %lld AND outcome IN ('length', 'empty', "
             "'refused')",
             (long long)kds_json_int(body, "decision", -1));
    cJSON *calls = rows_of(disturbed, sql);
    if (!calls->child)
        fail_msg("this outcome is another one, though nothing was refused: %s", text);
    cJSON_Delete(calls);
    cJSON_Delete(body);
}

void compare_campaigns(comparison *out, const char *disturbed, const char *whole)
{
    comparison c = {0};
    int64_t ignored = 0;
    cJSON *x = rows_of(disturbed, COMMITS), *y = rows_of(whole, COMMITS);
    const cJSON *p = x->child, *q = y->child;
    for (; p && q && cJSON_Compare(p, q, true); p = p->next, q = q->next)
        c.commits++;
    if (p && q)
        assert_said_no(disturbed, p);
    cJSON_Delete(x);
    cJSON_Delete(y);
    x = rows_of(disturbed, CHAINS);
    y = rows_of(whole, CHAINS);
    for (p = x->child, q = y->child; p && q && cJSON_Compare(p, q, true); p = p->next, q = q->next)
        c.decisions++;
    assert_true(c.decisions >= c.commits);
    cJSON_Delete(x);
    cJSON_Delete(y);
    x = rows_of(disturbed, JUDGED);
    y = rows_of(whole, JUDGED);
    c.candidates = compare_common(x, y, "id", "a candidate has two merits", &ignored);
    cJSON_Delete(x);
    cJSON_Delete(y);
    x = rows_of(disturbed, "SELECT key, elite FROM cells WHERE elite IS NOT NULL ORDER BY key");
    y = rows_of(whole, "SELECT key, elite FROM cells WHERE elite IS NOT NULL ORDER BY key");
    c.cells = compare_common(x, y, "key", NULL, &c.equal_cells);
    cJSON_Delete(x);
    cJSON_Delete(y);
    *out = c;
}

static void assert_query_equal(const char *a, const char *b, const char *what, const char *sql)
{
    cJSON *x = rows_of(a, sql), *y = rows_of(b, sql);
    int n = cJSON_GetArraySize(x);
    assert_true(n > 0);
    const cJSON *p = x->child, *q = y->child;
    for (; p && q; p = p->next, q = q->next) /* the first difference tells more than the number */
        assert_rows_equal(what, p, q);
    assert_int_equal(n, cJSON_GetArraySize(y));
    cJSON_Delete(x);
    cJSON_Delete(y);
}

void assert_same_campaign(const char *a, const char *b)
{
    char name[2][300];
    assert_query_equal(a, b, "decisions differ", CHAINS);
    assert_query_equal(a, b, "outcomes differ", COMMITS);
    assert_query_equal(a, b, "candidates differ", JUDGED);
    assert_query_equal(a, b, "cells differ", CELLS);
    const char *const names[] = {a, b};
    char *kernel[2];
    for (int i = 0; i < 2; i++) {
        snprintf(name[i], sizeof name[i], "%s/champion/kernel.cu", names[i]);
        kernel[i] = cli_read(cli_path(name[i]), NULL);
        assert_non_null(kernel[i]);
    }
    assert_string_equal(kernel[0], kernel[1]);
    free(kernel[0]);
    free(kernel[1]);
}
