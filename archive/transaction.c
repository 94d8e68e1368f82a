/* Transactions. SQLite may itself roll back after a failed write, so the state asked is always its
 * own (autocommit), never a flag of ours; the head of the chain goes back with it. */
#include "archive/sql.h"
#include <string.h>

static bool is_open(const kds_ledger *l)
{
    return sqlite3_get_autocommit(l->db) == 0;
}

kds_code kds_ledger_begin(kds_ledger *l, kds_err *e)
{
    if (is_open(l))
        return kds_fail(e, KDS_FAILED, "a transaction is open already");
    kds_query q = kds_sql_kept(l, l->may_write ? KDS_SQL_BEGIN_WRITE : KDS_SQL_BEGIN_READ);
    return kds_sql_run(&q, NULL, "begin a transaction", e);
}

kds_code kds_ledger_commit(kds_ledger *l, kds_err *e)
{
    if (!is_open(l))
        return kds_fail(e, KDS_FAILED, "there is no transaction to commit");
    kds_query q = kds_sql_kept(l, KDS_SQL_COMMIT);
    kds_code code = kds_sql_run(&q, NULL, "make a transaction durable", e);
    if (code != KDS_OK) {
        kds_ledger_rollback(l);
        return code;
    }
    l->durable_seq = l->last_seq;
    memcpy(l->durable_hash, l->last_hash, sizeof l->durable_hash);
    return KDS_OK;
}

void kds_ledger_rollback(kds_ledger *l)
{
    if (l->db == NULL)
        return;
    if (is_open(l)) {
        kds_query q = kds_sql_kept(l, KDS_SQL_ROLLBACK);
        kds_code ignored = kds_sql_run(&q, NULL, "roll back", NULL);
        (void)ignored;
    }
    kds_objects_forget(l);
    l->last_seq = l->durable_seq;
    memcpy(l->last_hash, l->durable_hash, sizeof l->last_hash);
}

kds_code kds_step_begin(kds_ledger *l, bool *own, kds_err *e)
{
    *own = !is_open(l);
    return *own ? kds_ledger_begin(l, e) : KDS_OK;
}

kds_code kds_step_end(kds_ledger *l, bool own, kds_code code, kds_err *e)
{
    if (code != KDS_OK)
        kds_ledger_rollback(l);
    else if (own)
        code = kds_ledger_commit(l, e);
    return code;
}
