/* kds_ledger_select: rows of any SELECT as JSON objects. */
#include "archive/sql.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool add_bytes(cJSON *object, const char *name, const unsigned char *data, int len)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = malloc((size_t)len * 2 + 1);
    if (hex == NULL)
        return false;
    for (int i = 0; i < len; i++) {
        hex[2 * i] = digits[data[i] >> 4];
        hex[2 * i + 1] = digits[data[i] & 15];
    }
    hex[2 * len] = '\0';
    bool added = kds_json_add_str(object, name, hex);
    free(hex);
    return added;
}

static bool add_column(cJSON *object, sqlite3_stmt *s, int at)
{
    const char *name = sqlite3_column_name(s, at);
    if (name == NULL)
        return false;
    switch (sqlite3_column_type(s, at)) {
    case SQLITE_INTEGER:
        return kds_json_add_int(object, name, sqlite3_column_int64(s, at));
    case SQLITE_FLOAT:
        return kds_json_add_num(object, name, sqlite3_column_double(s, at));
    case SQLITE_TEXT:
        return kds_json_add_str(object, name, (const char *)sqlite3_column_text(s, at));
    case SQLITE_BLOB: {
        const unsigned char *data = sqlite3_column_blob(s, at);
        return add_bytes(object, name, data, sqlite3_column_bytes(s, at));
    }
    default:
        return kds_json_add_str(object, name, NULL);
    }
}

/* Numbers that are whole are bound as integers, so that they compare as such. */
static void bind_args(kds_query *q, const cJSON *args)
{
    const cJSON *arg = NULL;
    int at = 1;
    cJSON_ArrayForEach(arg, args)
    {
        if (cJSON_IsString(arg))
            kds_sql_text(q, at, arg->valuestring);
        else if (cJSON_IsBool(arg))
            kds_sql_int(q, at, cJSON_IsTrue(arg));
        else if (!cJSON_IsNumber(arg))
            kds_sql_text(q, at, NULL);
        else if (arg->valuedouble == floor(arg->valuedouble) && fabs(arg->valuedouble) < 0x1p53)
            kds_sql_int(q, at, (int64_t)arg->valuedouble);
        else
            kds_sql_real(q, at, arg->valuedouble);
        at++;
    }
}

/* A single statement that reads: SELECT, or WITH ... SELECT. */
static bool is_select(const char *sql, sqlite3_stmt *s, const char *tail)
{
    sql += strspn(sql, " \t\r\n");
    return s != NULL && tail[strspn(tail, " \t\r\n;")] == '\0' && sqlite3_stmt_readonly(s) &&
           sqlite3_column_count(s) > 0 &&
           (strncasecmp(sql, "select", 6) == 0 || strncasecmp(sql, "with", 4) == 0);
}

kds_code kds_ledger_select(kds_ledger *l, const char *sql, const cJSON *args, kds_row_fn *fn,
                           void *user, kds_err *e)
{
    const char *tail = "";
    kds_query q = {.ledger = l};
    kds_code code = KDS_OK;
    q.rc = sqlite3_prepare_v2(l->db, sql, -1, &q.statement, &tail);
    if (q.rc == SQLITE_ERROR)
        return kds_fail(e, KDS_FAILED, "%s in: %s", sqlite3_errmsg(l->db), sql);
    if (q.rc == SQLITE_OK && !is_select(sql, q.statement, tail))
        code = kds_fail(e, KDS_USAGE, "not a single SELECT: %s", sql);
    bind_args(&q, args);
    while (code == KDS_OK && kds_sql_next(&q)) {
        cJSON *row = cJSON_CreateObject();
        bool whole = row != NULL;
        for (int i = 0; whole && i < sqlite3_column_count(q.statement); i++)
            whole = add_column(row, q.statement, i);
        code = whole ? fn(user, row, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory for a row");
        cJSON_Delete(row);
    }
    kds_code ended = kds_sql_end(&q, "select rows", code == KDS_OK ? e : NULL);
    return code == KDS_OK ? ended : code;
}
