/* The tables. `events` and `objects` are the record; every other table is a pure function of the
 * events (apply.c) and can be thrown away. All tables are STRICT, so that a value of a wrong type
 * is damage that SQLite itself reports. Ids in derived tables are 32 hex digits and cells 16, as in
 * the events; a time is milliseconds since 1970. The key columns of a derived table come first.
 *
 * candidates.decision is the first decision that proposed the candidate; parent, parent2, operator,
 * model and hypothesis are of that decision. verdict is '' until the decision is committed.
 * decisions.cell is the cell of the first parent, child_cell that of the child; commit_seq is the
 * event that committed it, NULL while it is under way. calls.outcome is NULL until the response. */
#include "archive/schema.h"

static const char *const creation[] = {
    "CREATE TABLE events(seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind TEXT NOT NULL,"
    " body TEXT NOT NULL, hash BLOB NOT NULL) STRICT",
    /* encoding: 0 raw, 1 zstd; size: of the bytes themselves */
    "CREATE TABLE objects(id BLOB NOT NULL PRIMARY KEY, kind TEXT NOT NULL, size INTEGER NOT NULL,"
    " encoding INTEGER NOT NULL, data BLOB NOT NULL) STRICT",
    "CREATE TABLE meta(key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE decisions(decision INTEGER PRIMARY KEY, seq INTEGER NOT NULL,"
    " time INTEGER NOT NULL, operator TEXT NOT NULL, proposer TEXT NOT NULL, model TEXT NOT NULL,"
    " parent TEXT, parent2 TEXT, cell TEXT, target TEXT, chain TEXT, candidate TEXT,"
    " requests INTEGER NOT NULL DEFAULT 0, cost_usd REAL NOT NULL DEFAULT 0, commit_seq INTEGER,"
    " accepted INTEGER NOT NULL DEFAULT 0, verdict TEXT NOT NULL DEFAULT '', fitness REAL,"
    " child_cell TEXT, duplicate_of TEXT, why TEXT NOT NULL DEFAULT '') STRICT",
    "CREATE TABLE candidates(decision INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, norm TEXT,"
    " cubin TEXT, parent TEXT, parent2 TEXT, operator TEXT NOT NULL, model TEXT NOT NULL,"
    " hypothesis TEXT NOT NULL, stage TEXT NOT NULL DEFAULT '', verdict TEXT NOT NULL DEFAULT '',"
    " accepted INTEGER NOT NULL DEFAULT 0, fitness REAL, cell TEXT, report TEXT,"
    " why TEXT NOT NULL DEFAULT '', time INTEGER NOT NULL) STRICT",
    "CREATE INDEX candidates_norm ON candidates(norm)",
    "CREATE INDEX candidates_cubin ON candidates(cubin) WHERE cubin IS NOT NULL",
    "CREATE INDEX candidates_fitness ON candidates(fitness DESC)",
    "CREATE TABLE evaluations(seq INTEGER PRIMARY KEY, decision INTEGER NOT NULL,"
    " candidate TEXT NOT NULL, stage TEXT NOT NULL, verdict TEXT NOT NULL, message TEXT NOT NULL,"
    " line INTEGER NOT NULL, report TEXT, log TEXT, cubin TEXT, seconds REAL NOT NULL,"
    " time INTEGER NOT NULL) STRICT",
    "CREATE INDEX evaluations_decision ON evaluations(decision)",
    "CREATE TABLE cells(key TEXT NOT NULL PRIMARY KEY, bins TEXT NOT NULL, elite TEXT,"
    " fitness REAL, visits INTEGER NOT NULL, improvements INTEGER NOT NULL, filled_by INTEGER)"
    " STRICT, WITHOUT ROWID",
    "CREATE TABLE cell_history(seq INTEGER PRIMARY KEY, cell TEXT NOT NULL,"
    " decision INTEGER NOT NULL, candidate TEXT NOT NULL, fitness REAL NOT NULL, replaced TEXT,"
    " best INTEGER NOT NULL, time INTEGER NOT NULL) STRICT",
    "CREATE TABLE calls(request INTEGER PRIMARY KEY, decision INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, model TEXT NOT NULL, prompt TEXT, max_tokens INTEGER NOT NULL,"
    " reserved_usd REAL NOT NULL, time INTEGER NOT NULL, answered INTEGER, status INTEGER,"
    " outcome TEXT, reply TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, cost_usd REAL,"
    " seconds REAL, message TEXT) STRICT",
    "CREATE INDEX calls_decision ON calls(decision)",
    "CREATE TABLE operators(operator TEXT NOT NULL, model TEXT NOT NULL,"
    " decisions INTEGER NOT NULL, commits INTEGER NOT NULL, accepted INTEGER NOT NULL,"
    " cost_usd REAL NOT NULL, PRIMARY KEY(operator, model)) STRICT, WITHOUT ROWID",
    "CREATE TABLE epochs(epoch INTEGER PRIMARY KEY, seq INTEGER NOT NULL, time INTEGER NOT NULL,"
    " why TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, settings TEXT NOT NULL,"
    " stopped INTEGER, stop_why TEXT, stop_code TEXT, seconds REAL) STRICT",
    /* one row: the sums over everything */
    "CREATE TABLE budget(id INTEGER PRIMARY KEY, decisions INTEGER NOT NULL DEFAULT 0,"
    " committed INTEGER NOT NULL DEFAULT 0, candidates INTEGER NOT NULL DEFAULT 0,"
    " accepted INTEGER NOT NULL DEFAULT 0, duplicates INTEGER NOT NULL DEFAULT 0,"
    " requests INTEGER NOT NULL DEFAULT 0, responses INTEGER NOT NULL DEFAULT 0,"
    " failed_calls INTEGER NOT NULL DEFAULT 0, epochs INTEGER NOT NULL DEFAULT 0,"
    " prompt_tokens INTEGER NOT NULL DEFAULT 0, completion_tokens INTEGER NOT NULL DEFAULT 0,"
    " cost_usd REAL NOT NULL DEFAULT 0, run_seconds REAL NOT NULL DEFAULT 0) STRICT",
    "INSERT INTO budget(id) VALUES(1)",
};

kds_code kds_schema_create(kds_ledger *l, kds_err *e)
{
    for (size_t i = 0; i < sizeof creation / sizeof *creation; i++) {
        kds_code code = kds_sql_exec(l, creation[i], "create its tables", e);
        if (code != KDS_OK)
            return code;
    }
    return KDS_OK;
}

const kds_derived_table *kds_schema_derived(void)
{
    static const kds_derived_table tables[] = {
        {"meta", "key", 1},
        {"decisions", "decision", 1},
        {"candidates", "decision", 1},
        {"evaluations", "seq", 1},
        {"cells", "key", 1},
        {"cell_history", "seq", 1},
        {"calls", "request", 1},
        {"operators", "operator, model", 2},
        {"epochs", "epoch", 1},
        {"budget", "id", 1},
        {NULL, NULL, 0},
    };
    return tables;
}
