/* The statements that a ledger keeps prepared: X(name, SQL). Only those that run once per event,
 * object or decision; the rest is prepared where it is used. */
#ifndef KDS_ARCHIVE_STATEMENTS_H
#define KDS_ARCHIVE_STATEMENTS_H

/* The columns of a kds_candidate_row, in the order of its fields. */
#define KDS_CANDIDATE_COLUMNS                                                                      \
    "SELECT id, decision, parent, parent2, operator, model, norm, cubin, verdict, stage,"          \
    " accepted, fitness, cell, report, hypothesis, why, time FROM candidates "

#define KDS_STATEMENTS(X)                                                                          \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                              \
    X(BEGIN_READ, "BEGIN")                                                                         \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(EVENT_ADD, "INSERT INTO events(seq, time, kind, body, hash) VALUES(?1, ?2, ?3, ?4, ?5)")     \
    X(OBJECT_ADD,                                                                                  \
      "INSERT INTO objects(id, kind, size, encoding, data) VALUES(?1, ?2, ?3, ?4, ?5)")            \
    X(OBJECT_HAS, "SELECT 1 FROM objects WHERE id = ?1")                                           \
    X(OBJECT_GET, "SELECT size, encoding, data FROM objects WHERE id = ?1")                        \
    X(CANDIDATE_OF,                                                                                \
      KDS_CANDIDATE_COLUMNS "WHERE id = (SELECT candidate FROM decisions WHERE decision = ?1)")    \
    X(CANDIDATE_FIND, KDS_CANDIDATE_COLUMNS "WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 6")      \
    X(META_ADD, "INSERT INTO meta(key, value) VALUES(?1, ?2)")                                     \
    X(META_PUT, "INSERT INTO meta(key, value) VALUES(?1, ?2)"                                      \
                " ON CONFLICT(key) DO UPDATE SET value = excluded.value")                          \
    X(META_GET, "SELECT value FROM meta WHERE key = ?1")                                           \
    X(EPOCH_ADD, "INSERT INTO epochs(epoch, seq, time, why, host, pid, settings)"                  \
                 " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                            \
    X(EPOCH_STOP, "UPDATE epochs SET stopped = ?1, stop_why = ?2, stop_code = ?3, seconds = ?4"    \
                  " WHERE epoch = (SELECT max(epoch) FROM epochs)")                                \
    X(BUDGET_EPOCH, "UPDATE budget SET epochs = epochs + 1")                                       \
    X(BUDGET_STOP, "UPDATE budget SET run_seconds = run_seconds + ?1")                             \
    X(DECISION_ADD,                                                                                \
      "INSERT INTO decisions(decision, seq, time, operator, proposer, model, parent, parent2,"     \
      " cell, target, chain) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")                \
    X(OPERATOR_DECISION,                                                                           \
      "INSERT INTO operators(operator, model, decisions, commits, accepted, cost_usd)"             \
      " VALUES(?1, ?2, 1, 0, 0, 0) ON CONFLICT(operator, model) DO UPDATE"                         \
      " SET decisions = decisions + 1")                                                            \
    X(CELL_VISIT, "INSERT INTO cells(key, bins, visits, improvements) VALUES(?1, '', 1, 0)"        \
                  " ON CONFLICT(key) DO UPDATE SET visits = visits + 1")                           \
    X(BUDGET_DECISION, "UPDATE budget SET decisions = decisions + 1")                              \
    X(CALL_ADD, "INSERT INTO calls(request, decision, attempt, model, prompt, max_tokens,"         \
                " reserved_usd, time) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                     \
    X(DECISION_REQUEST, "UPDATE decisions SET requests = requests + 1"                             \
                        " WHERE decision = ?1 AND commit_seq IS NULL")                             \
    X(BUDGET_REQUEST, "UPDATE budget SET requests = requests + 1")                                 \
    X(CALL_ANSWER,                                                                                 \
      "UPDATE calls SET answered = ?3, status = ?4, outcome = ?5, reply = ?6, prompt_tokens = ?7," \
      " completion_tokens = ?8, cost_usd = ?9, seconds = ?10, message = ?11"                       \
      " WHERE request = ?1 AND decision = ?2")                                                     \
    X(DECISION_COST, "UPDATE decisions SET cost_usd = cost_usd + ?2 WHERE decision = ?1")          \
    X(OPERATOR_COST, "UPDATE operators SET cost_usd = cost_usd + ?2 WHERE (operator, model) ="     \
                     " (SELECT operator, model FROM decisions WHERE decision = ?1)")               \
    X(BUDGET_ANSWER,                                                                               \
      "UPDATE budget SET responses = responses + 1, failed_calls = failed_calls + ?1,"             \
      " prompt_tokens = prompt_tokens + ?2, completion_tokens = completion_tokens + ?3,"           \
      " cost_usd = cost_usd + ?4")                                                                 \
    X(CANDIDATE_ADD,                                                                               \
      "INSERT INTO candidates(decision, id, norm, parent, parent2, operator, model, hypothesis,"   \
      " time) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT(id) DO NOTHING")              \
    X(DECISION_CANDIDATE, "UPDATE decisions SET candidate = ?2 WHERE decision = ?1"                \
                          " AND commit_seq IS NULL AND coalesce(candidate, ?2) = ?2")              \
    X(BUDGET_CANDIDATE, "UPDATE budget SET candidates = candidates + 1")                           \
    X(DECISION_FLYING, "SELECT 1 FROM decisions WHERE decision = ?1 AND candidate IS ?2"           \
                       " AND commit_seq IS NULL")                                                  \
    X(STAGE_ADD,                                                                                   \
      "INSERT INTO evaluations(seq, decision, candidate, stage, verdict, message, line, report,"   \
      " log, cubin, seconds, time) VALUES(?1, ?2, coalesce(?3, ''), ?4, ?5, ?6, ?7, ?8, ?9, ?10, " \
      "?11, ?12)")                                                                                 \
    X(CANDIDATE_STAGE, "UPDATE candidates SET stage = ?3, report = coalesce(?4, report),"          \
                       " cubin = coalesce(?5, cubin) WHERE id = ?2 AND verdict = ''")              \
    X(DECISION_COMMIT,                                                                             \
      "UPDATE decisions SET commit_seq = ?3, accepted = ?4, verdict = ?5, fitness = ?6,"           \
      " child_cell = ?7, duplicate_of = ?8, why = ?9 WHERE decision = ?1"                          \
      " AND commit_seq IS NULL AND coalesce(candidate = ?2, ?2 IS NULL)")                          \
    X(OPERATOR_COMMIT,                                                                             \
      "UPDATE operators SET commits = commits + 1, accepted = accepted + ?2"                       \
      " WHERE (operator, model) = (SELECT operator, model FROM decisions WHERE decision = ?1)")    \
    X(BUDGET_COMMIT, "UPDATE budget SET committed = committed + 1, accepted = accepted + ?1,"      \
                     " duplicates = duplicates + ?2")                                              \
    X(CANDIDATE_ACCEPT, "UPDATE candidates SET verdict = ?2, cell = ?3, fitness = ?4,"             \
                        " accepted = 1, why = ?5 WHERE id = ?1")                                   \
    X(CANDIDATE_REJECT, "UPDATE candidates SET verdict = ?3, cell = ?4, fitness = ?5, why = ?6"    \
                        " WHERE id = ?2 AND verdict = ''")                                         \
    X(CELL_FILL,                                                                                   \
      "INSERT INTO cells(key, bins, elite, fitness, visits, improvements, filled_by)"              \
      " VALUES(?1, ?2, ?3, ?4, 0, 0, ?5) ON CONFLICT(key) DO UPDATE SET bins = excluded.bins,"     \
      " elite = excluded.elite, fitness = excluded.fitness, filled_by = excluded.filled_by")       \
    X(CELL_GIVE_BACK, "UPDATE cells SET elite = ?2, fitness = ?3, filled_by = ?4"                  \
                      " WHERE key = ?1 AND elite = ?5")                                            \
    X(CANDIDATE_PROFILE, "UPDATE candidates SET report = coalesce(?2, report) WHERE id = ?1")      \
    X(CANDIDATE_RETIRE, "UPDATE candidates SET why = ?2 WHERE id = ?1")                            \
    X(CELL_IMPROVE, "UPDATE cells SET improvements = improvements + 1"                             \
                    " WHERE key = (SELECT cell FROM decisions WHERE decision = ?1)")               \
    X(HISTORY_ADD,                                                                                 \
      "INSERT INTO cell_history(seq, cell, decision, candidate, fitness, replaced, best, time)"    \
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")

typedef enum kds_statement {
#define KDS_X(name, sql) KDS_SQL_##name,
    KDS_STATEMENTS(KDS_X)
#undef KDS_X
        KDS_SQL_COUNT
} kds_statement;

#endif
