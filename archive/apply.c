/* The fold: the effect of each event on the derived tables. One small function per kind, found by a
 * table; the only code that writes those tables. An effect depends on the event and on the tables
 * alone, so that folding all events again gives the same rows. A kind that is not known has no
 * effect. What cannot be read from the body, or cannot follow the events before it, is an error. */
#include "archive/fold.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void not_under_way(kds_fold_event *f)
{
    kds_fold_malformed(f, "decision",
                       "names a decision that is not under way or has another candidate");
}

/* Everything about the campaign becomes a meta value of the same name. */
static void apply_campaign(kds_fold_event *f)
{
    const cJSON *node = NULL;
    cJSON_ArrayForEach(node, f->body)
    {
        char *text = NULL;
        if (f->code != KDS_OK || cJSON_IsNull(node))
            continue;
        if (!cJSON_IsString(node) && (text = kds_json_print(node)) == NULL)
            f->code = kds_fail(f->e, KDS_NO_MEMORY, "out of memory while applying an event");
        else
            kds_fold_run_text(f, KDS_SQL_META_ADD, node->string,
                              text == NULL ? node->valuestring : text);
        free(text);
    }
    char created[32];
    snprintf(created, sizeof created, "%lld", (long long)f->event->time_ms);
    if (f->code == KDS_OK)
        kds_fold_run_text(f, KDS_SQL_META_ADD, "created", created);
}

static void apply_epoch(kds_fold_event *f)
{
    int64_t epoch = kds_fold_int(f, "epoch", true, 0);
    const char *why = kds_fold_text(f, "why", false, ""),
               *host = kds_fold_text(f, "host", false, "");
    int64_t pid = kds_fold_int(f, "pid", false, 0);
    const char *settings = kds_fold_any(f, "settings");
    if (f->code != KDS_OK)
        return;
    kds_query q = kds_fold_use(f, KDS_SQL_EPOCH_ADD);
    kds_sql_int(&q, 1, epoch);
    kds_sql_int(&q, 2, f->event->seq);
    kds_sql_int(&q, 3, f->event->time_ms);
    kds_sql_text(&q, 4, why);
    kds_sql_text(&q, 5, host);
    kds_sql_int(&q, 6, pid);
    kds_sql_text(&q, 7, settings == NULL ? "{}" : settings);
    kds_fold_run(f, &q);
    kds_fold_run_plain(f, KDS_SQL_BUDGET_EPOCH);
}

static void apply_stop(kds_fold_event *f)
{
    const char *why = kds_fold_text(f, "why", false, ""), *code = kds_fold_any(f, "code");
    double seconds = kds_fold_sum(f, "seconds");
    if (f->code != KDS_OK)
        return;
    kds_query q = kds_fold_use(f, KDS_SQL_EPOCH_STOP);
    kds_sql_int(&q, 1, f->event->time_ms);
    kds_sql_text(&q, 2, why);
    kds_sql_text(&q, 3, code);
    kds_sql_real(&q, 4, seconds);
    kds_fold_run(f, &q);
    q = kds_fold_use(f, KDS_SQL_BUDGET_STOP);
    kds_sql_real(&q, 1, seconds);
    kds_fold_run(f, &q);
}

static void apply_decision(kds_fold_event *f)
{
    int64_t decision = kds_fold_int(f, "decision", true, 0);
    const char *operator_name = kds_fold_text(f, "operator", true, "");
    const char *proposer = kds_fold_text(f, "proposer", false, ""),
               *model = kds_fold_text(f, "model", false, "");
    const char *parent = kds_fold_parent(f, 0), *parent2 = kds_fold_parent(f, 1);
    const char *cell = kds_fold_hex(f, "cell", false, 16),
               *chain = kds_fold_hex(f, "chain", false, 32);
    const char *target = kds_fold_any(f, "target");
    if (f->code != KDS_OK)
        return;
    kds_query q = kds_fold_use(f, KDS_SQL_DECISION_ADD);
    kds_sql_int(&q, 1, decision);
    kds_sql_int(&q, 2, f->event->seq);
    kds_sql_int(&q, 3, f->event->time_ms);
    kds_sql_text(&q, 4, operator_name);
    kds_sql_text(&q, 5, proposer);
    kds_sql_text(&q, 6, model);
    kds_sql_text(&q, 7, parent);
    kds_sql_text(&q, 8, parent2);
    kds_sql_text(&q, 9, cell);
    kds_sql_text(&q, 10, target);
    kds_sql_text(&q, 11, chain);
    kds_fold_run(f, &q);
    kds_fold_run_text(f, KDS_SQL_OPERATOR_DECISION, operator_name, model);
    if (cell != NULL) {
        q = kds_fold_use(f, KDS_SQL_CELL_VISIT);
        kds_sql_text(&q, 1, cell);
        kds_fold_run(f, &q);
    }
    kds_fold_run_plain(f, KDS_SQL_BUDGET_DECISION);
}

static void apply_request(kds_fold_event *f)
{
    int64_t request = kds_fold_int(f, "request", true, 0),
            decision = kds_fold_int(f, "decision", true, 0);
    int64_t attempt = kds_fold_int(f, "attempt", false, 0);
    const char *model = kds_fold_text(f, "model", false, ""),
               *prompt = kds_fold_hex(f, "prompt", false, 32);
    int64_t max_tokens = kds_fold_int(f, "max_tokens", false, 0);
    double reserved = kds_fold_sum(f, "reserved_usd");
    if (f->code != KDS_OK)
        return;
    kds_query q = kds_fold_use(f, KDS_SQL_CALL_ADD);
    kds_sql_int(&q, 1, request);
    kds_sql_int(&q, 2, decision);
    kds_sql_int(&q, 3, attempt);
    kds_sql_text(&q, 4, model);
    kds_sql_text(&q, 5, prompt);
    kds_sql_int(&q, 6, max_tokens);
    kds_sql_real(&q, 7, reserved);
    kds_sql_int(&q, 8, f->event->time_ms);
    kds_fold_run(f, &q);
    q = kds_fold_use(f, KDS_SQL_DECISION_REQUEST);
    kds_sql_int(&q, 1, decision);
    if (kds_fold_run(f, &q) != 1)
        not_under_way(f);
    kds_fold_run_plain(f, KDS_SQL_BUDGET_REQUEST);
}

/* A spend counts whatever became of the call. */
static void apply_response(kds_fold_event *f)
{
    int64_t request = kds_fold_int(f, "request", true, 0),
            decision = kds_fold_int(f, "decision", true, 0);
    int64_t status = kds_fold_int(f, "status", false, 0);
    const char *outcome = kds_fold_text(f, "outcome", true, ""),
               *reply = kds_fold_hex(f, "reply", false, 32);
    int64_t prompt_tokens = kds_fold_int(f, "prompt_tokens", false, -1);
    int64_t completion_tokens = kds_fold_int(f, "completion_tokens", false, -1);
    double cost = kds_fold_sum(f, "cost_usd"), seconds = kds_fold_sum(f, "seconds");
    const char *message = kds_fold_text(f, "message", false, "");
    if (f->code != KDS_OK)
        return;
    kds_query q = kds_fold_use(f, KDS_SQL_CALL_ANSWER);
    kds_sql_int(&q, 1, request);
    kds_sql_int(&q, 2, decision);
    kds_sql_int(&q, 3, f->event->time_ms);
    kds_sql_int(&q, 4, status);
    kds_sql_text(&q, 5, outcome);
    kds_sql_text(&q, 6, reply);
    kds_sql_int(&q, 7, prompt_tokens);
    kds_sql_int(&q, 8, completion_tokens);
    kds_sql_real(&q, 9, cost);
    kds_sql_real(&q, 10, seconds);
    kds_sql_text(&q, 11, message);
    if (kds_fold_run(f, &q) != 1)
        kds_fold_malformed(f, "request", "names a request that this decision did not make");
    kds_fold_run_cost(f, KDS_SQL_DECISION_COST, decision, cost);
    kds_fold_run_cost(f, KDS_SQL_OPERATOR_COST, decision, cost);
    q = kds_fold_use(f, KDS_SQL_BUDGET_ANSWER);
    kds_sql_int(&q, 1, strcmp(outcome, "ok") != 0 && strcmp(outcome, "length") != 0);
    kds_sql_int(&q, 2, prompt_tokens > 0 ? prompt_tokens : 0);
    kds_sql_int(&q, 3, completion_tokens > 0 ? completion_tokens : 0);
    kds_sql_real(&q, 4, cost);
    kds_fold_run(f, &q);
}

static void apply_candidate(kds_fold_event *f)
{
    int64_t decision = kds_fold_int(f, "decision", true, 0);
    const char *id = kds_fold_hex(f, "candidate", true, 32),
               *norm = kds_fold_hex(f, "norm", false, 32);
    const char *parent = kds_fold_parent(f, 0), *parent2 = kds_fold_parent(f, 1);
    const char *operator_name = kds_fold_text(f, "operator", false, "");
    const char *model = kds_fold_text(f, "model", false, "");
    const char *hypothesis = kds_fold_text(f, "hypothesis", false, "");
    if (f->code != KDS_OK)
        return;
    kds_query q = kds_fold_use(f, KDS_SQL_DECISION_CANDIDATE);
    kds_sql_int(&q, 1, decision);
    kds_sql_text(&q, 2, id);
    if (kds_fold_run(f, &q) != 1)
        not_under_way(f);
    q = kds_fold_use(f, KDS_SQL_CANDIDATE_ADD);
    kds_sql_int(&q, 1, decision);
    kds_sql_text(&q, 2, id);
    kds_sql_text(&q, 3, norm);
    kds_sql_text(&q, 4, parent);
    kds_sql_text(&q, 5, parent2);
    kds_sql_text(&q, 6, operator_name);
    kds_sql_text(&q, 7, model);
    kds_sql_text(&q, 8, hypothesis);
    kds_sql_int(&q, 9, f->event->time_ms);
    if (kds_fold_run(f, &q) == 1)
        kds_fold_run_plain(f, KDS_SQL_BUDGET_CANDIDATE);
}

/* A row of a decision's evaluations. */
typedef struct stage_row {
    int64_t decision, line;
    const char *id, *stage, *verdict, *message, *report, *log, *cubin;
    double seconds;
} stage_row;

static void insert_stage(kds_fold_event *f, const stage_row *r)
{
    kds_query q = kds_fold_use(f, KDS_SQL_STAGE_ADD);
    kds_sql_int(&q, 1, f->event->seq);
    kds_sql_int(&q, 2, r->decision);
    kds_sql_text(&q, 3, r->id);
    kds_sql_text(&q, 4, r->stage);
    kds_sql_text(&q, 5, r->verdict);
    kds_sql_text(&q, 6, r->message);
    kds_sql_int(&q, 7, r->line);
    kds_sql_text(&q, 8, r->report);
    kds_sql_text(&q, 9, r->log);
    kds_sql_text(&q, 10, r->cubin);
    kds_sql_real(&q, 11, r->seconds);
    kds_sql_int(&q, 12, f->event->time_ms);
    kds_fold_run(f, &q);
}

/* Adds it, if the decision is under way with that candidate. */
static void add_stage(kds_fold_event *f, const stage_row *r)
{
    kds_query q = kds_fold_use(f, KDS_SQL_DECISION_FLYING);
    kds_sql_int(&q, 1, r->decision);
    kds_sql_text(&q, 2, r->id);
    bool flying = kds_sql_next(&q);
    kds_fold_run(f, &q);
    if (!flying)
        not_under_way(f);
    insert_stage(f, r);
}

static void apply_stage(kds_fold_event *f)
{
    const stage_row r = {.decision = kds_fold_int(f, "decision", true, 0),
                         .id = kds_fold_hex(f, "candidate", false, 32),
                         .stage = kds_fold_text(f, "stage", true, ""),
                         .verdict = kds_fold_text(f, "verdict", true, ""),
                         .message = kds_fold_text(f, "message", false, ""),
                         .line = kds_fold_int(f, "line", false, 0),
                         .report = kds_fold_hex(f, "report", false, 32),
                         .log = kds_fold_hex(f, "log", false, 32),
                         .cubin = kds_fold_hex(f, "cubin", false, 32),
                         .seconds = kds_fold_sum(f, "seconds")};
    if (f->code != KDS_OK)
        return;
    add_stage(f, &r);
    kds_query q = kds_fold_use(
        f, KDS_SQL_CANDIDATE_STAGE); /* no row if this decision repeats an earlier candidate */
    kds_sql_int(&q, 1, r.decision);
    kds_sql_text(&q, 2, r.id);
    kds_sql_text(&q, 3, r.stage);
    kds_sql_text(&q, 4, r.report);
    kds_sql_text(&q, 5, r.cubin);
    kds_fold_run(f, &q);
}

/* An elite that was profiled again, long after its decision: its report has more counters now. */
static void apply_profile(kds_fold_event *f)
{
    const stage_row r = {.decision = kds_fold_int(f, "decision", true, 0),
                         .id = kds_fold_hex(f, "candidate", true, 32),
                         .stage = "profile",
                         .verdict = kds_fold_text(f, "verdict", true, ""),
                         .message = kds_fold_text(f, "message", false, ""),
                         .report = kds_fold_hex(f, "report", false, 32),
                         .seconds = kds_fold_sum(f, "seconds")};
    if (f->code != KDS_OK)
        return;
    insert_stage(f, &r);
    kds_query q = kds_fold_use(f, KDS_SQL_CANDIDATE_PROFILE);
    kds_sql_text(&q, 1, r.id);
    kds_sql_text(&q, 2, r.report);
    if (kds_fold_run(f, &q) != 1)
        kds_fold_malformed(f, "candidate", "is not in the record");
}

/* A duel of a decision's candidate stands among its stages. Duels of equals belong to none. */
static void apply_duel(kds_fold_event *f)
{
    char stage[40];
    const char *purpose = kds_fold_text(f, "purpose", true, "");
    const stage_row r = {.decision = kds_fold_int(f, "decision", false, -1),
                         .id = kds_fold_hex(f, "candidate", false, 32),
                         .stage = stage,
                         .verdict = kds_fold_text(f, "verdict", false, "failed"),
                         .message = kds_fold_text(f, "why", false, ""),
                         .report = kds_fold_hex(f, "record", false, 32),
                         .seconds = kds_fold_sum(f, "seconds")};
    if (f->code != KDS_OK || r.decision < 0)
        return;
    snprintf(stage, sizeof stage, "duel %.20s", purpose);
    add_stage(f, &r);
}

/* Guidance stands among the stages of the decision that asked for it. */
static void apply_guidance(kds_fold_event *f)
{
    const stage_row r = {.decision = kds_fold_int(f, "decision", true, 0),
                         .stage = "guidance",
                         .verdict = "ok",
                         .message = "",
                         .report = kds_fold_hex(f, "guidance", true, 32)};
    if (f->code == KDS_OK)
        add_stage(f, &r);
}

/* What both endings of a decision say. */
typedef struct ending {
    int64_t decision;
    const char *id, *verdict, *cell, *why;
    double fitness;
} ending;

/* One more that held a cell. */
static void add_history(kds_fold_event *f, const ending *x, const char *replaced, bool best)
{
    kds_query q = kds_fold_use(f, KDS_SQL_HISTORY_ADD);
    kds_sql_int(&q, 1, f->event->seq);
    kds_sql_text(&q, 2, x->cell);
    kds_sql_int(&q, 3, x->decision);
    kds_sql_text(&q, 4, x->id);
    kds_sql_real(&q, 5, x->fitness);
    kds_sql_text(&q, 6, replaced);
    kds_sql_int(&q, 7, best);
    kds_sql_int(&q, 8, f->event->time_ms);
    kds_fold_run(f, &q);
}

/* A place goes back to the one that held it before. */
static void apply_retire(kds_fold_event *f)
{
    const char *cell = kds_fold_hex(f, "cell", false, 16),
               *gone = kds_fold_hex(f, "candidate", true, 32),
               *back = kds_fold_hex(f, "back_to", true, 32);
    const char *why = kds_fold_text(f, "why", false, "");
    int64_t decision = kds_fold_int(f, "decision", true, 0);
    double fitness = kds_fold_real(f, "fitness", true);
    if (f->code != KDS_OK)
        return;
    if (cell == NULL) {
        kds_fold_run_text(f, KDS_SQL_META_PUT, "best", back);
        return;
    }
    kds_query q = kds_fold_use(f, KDS_SQL_CELL_GIVE_BACK);
    kds_sql_text(&q, 1, cell);
    kds_sql_text(&q, 2, back);
    kds_sql_real(&q, 3, fitness);
    kds_sql_int(&q, 4, decision);
    kds_sql_text(&q, 5, gone);
    if (kds_fold_run(f, &q) != 1)
        kds_fold_malformed(f, "candidate", "is not the elite of that cell");
    add_history(f, &(ending){.decision = decision, .id = back, .cell = cell, .fitness = fitness},
                gone, false);
    q = kds_fold_use(f, KDS_SQL_CANDIDATE_RETIRE);
    kds_sql_text(&q, 1, gone);
    kds_sql_text(&q, 2, why);
    kds_fold_run(f, &q);
}

/* Reads an ending and marks the decision as committed. */
static ending commit_decision(kds_fold_event *f, bool accepted)
{
    ending x = {.decision = kds_fold_int(f, "decision", true, 0),
                .id = kds_fold_hex(f, "candidate", accepted, 32),
                .verdict = kds_fold_text(f, "verdict", true, ""),
                .cell = kds_fold_hex(f, "cell", accepted, 16),
                .why = kds_fold_text(f, "why", false, ""),
                .fitness = kds_fold_real(f, "fitness", accepted)};
    const char *twin = kds_fold_hex(f, "duplicate_of", false, 32);
    if (f->code != KDS_OK)
        return x;
    kds_query q = kds_fold_use(f, KDS_SQL_DECISION_COMMIT);
    kds_sql_int(&q, 1, x.decision);
    kds_sql_text(&q, 2, x.id);
    kds_sql_int(&q, 3, f->event->seq);
    kds_sql_int(&q, 4, accepted);
    kds_sql_text(&q, 5, x.verdict);
    kds_sql_real(&q, 6, x.fitness);
    kds_sql_text(&q, 7, x.cell);
    kds_sql_text(&q, 8, twin);
    kds_sql_text(&q, 9, x.why);
    if (kds_fold_run(f, &q) != 1)
        not_under_way(f);
    q = kds_fold_use(f, KDS_SQL_OPERATOR_COMMIT);
    kds_sql_int(&q, 1, x.decision);
    kds_sql_int(&q, 2, accepted);
    kds_fold_run(f, &q);
    q = kds_fold_use(f, KDS_SQL_BUDGET_COMMIT);
    kds_sql_int(&q, 1, accepted);
    kds_sql_int(&q, 2, strcmp(x.verdict, "duplicate") == 0);
    kds_fold_run(f, &q);
    return x;
}

/* Puts the candidate into its cell as the new elite. */
static void fill_cell(kds_fold_event *f, const ending *x, const char *bins, const char *replaced,
                      bool best)
{
    kds_query q = kds_fold_use(f, KDS_SQL_CELL_FILL);
    kds_sql_text(&q, 1, x->cell);
    kds_sql_text(&q, 2, bins);
    kds_sql_text(&q, 3, x->id);
    kds_sql_real(&q, 4, x->fitness);
    kds_sql_int(&q, 5, x->decision);
    kds_fold_run(f, &q);
    kds_fold_run_decision(f, KDS_SQL_CELL_IMPROVE, x->decision);
    add_history(f, x, replaced, best);
}

static void apply_accept(kds_fold_event *f)
{
    const char *bins = kds_fold_any(f, "bins"), *replaced = kds_fold_hex(f, "replaced", false, 32);
    bool best = kds_json_bool(f->body, "best", false);
    ending x = commit_decision(f, true);
    if (f->code != KDS_OK)
        return;
    kds_query q = kds_fold_use(f, KDS_SQL_CANDIDATE_ACCEPT);
    kds_sql_text(&q, 1, x.id);
    kds_sql_text(&q, 2, x.verdict);
    kds_sql_text(&q, 3, x.cell);
    kds_sql_real(&q, 4, x.fitness);
    kds_sql_text(&q, 5, x.why);
    kds_fold_run(f, &q);
    fill_cell(f, &x, bins == NULL ? "" : bins, replaced, best);
    if (best)
        kds_fold_run_text(f, KDS_SQL_META_PUT, "best", x.id);
}

static void apply_reject(kds_fold_event *f)
{
    ending x = commit_decision(f, false);
    if (f->code != KDS_OK || x.id == NULL)
        return;
    kds_query q = kds_fold_use(f, KDS_SQL_CANDIDATE_REJECT);
    kds_sql_int(&q, 1, x.decision);
    kds_sql_text(&q, 2, x.id);
    kds_sql_text(&q, 3, x.verdict);
    kds_sql_text(&q, 4, x.cell);
    kds_sql_real(&q, 5, x.fitness);
    kds_sql_text(&q, 6, x.why);
    kds_fold_run(f, &q);
}

static const struct {
    const char *kind;
    void (*apply)(kds_fold_event *);
} kinds[] = {
    {"CAMPAIGN", apply_campaign}, {"EPOCH", apply_epoch},       {"DECISION", apply_decision},
    {"REQUEST", apply_request},   {"RESPONSE", apply_response}, {"CANDIDATE", apply_candidate},
    {"STAGE", apply_stage},       {"DUEL", apply_duel},         {"ACCEPT", apply_accept},
    {"REJECT", apply_reject},     {"RETIRE", apply_retire},     {"GUIDANCE", apply_guidance},
    {"STOP", apply_stop},         {"PROFILE", apply_profile},
};

kds_code kds_fold(kds_ledger *l, const kds_ledger_event *event, kds_err *e)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(event->kind, kinds[i].kind) != 0)
            continue;
        kds_fold_event f = {.ledger = l, .event = event, .e = e};
        f.body = kds_json_parse_record(event->body, event->body_len);
        if (!cJSON_IsObject(f.body))
            kds_fold_malformed(&f, "body", "is not a JSON object");
        else
            kinds[i].apply(&f);
        for (int t = 0; t < f.text_count; t++)
            free(f.texts[t]);
        cJSON_Delete(f.body);
        return f.code;
    }
    return KDS_OK;
}

kds_code kds_ledger_apply(kds_ledger *l, const kds_ledger_event *event, kds_err *e)
{
    bool own = false;
    if (!l->may_write)
        return kds_fail(e, KDS_FAILED, "%s was opened for reading only", l->dir);
    kds_code code = kds_step_begin(l, &own, e);
    if (code != KDS_OK)
        return code;
    code = kds_fold(l, event, e);
    if (code == KDS_PROTOCOL) { /* here the event comes from a record */
        code = KDS_DAMAGED;
        if (e != NULL)
            e->code = code;
    }
    return kds_step_end(l, own, code, e);
}
