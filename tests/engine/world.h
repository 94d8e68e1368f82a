/* What the engine's tests share: the small task, a ledger in memory and the state that its events
 * fold to, written together as a campaign writes them. No compiler and no device: verdicts and
 * reports are made up by the tests. */
#ifndef KDS_TESTS_ENGINE_WORLD_H
#define KDS_TESTS_ENGINE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eval/judge.h"
#include "search/engine/commit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED __attribute__((unused))

#define ASSERT_OK(call)                                                                            \
    do {                                                                                           \
        kds_err err_ = {.code = KDS_OK};                                                           \
        kds_err *e = &err_;                                                                        \
        kds_code code_ = (call);                                                                   \
        if (code_ != KDS_OK)                                                                       \
            fail_msg("%s: %s: %s", #call, kds_code_name(code_), err_.message);                     \
    } while (0)

typedef struct world {
    kds_task *task;
    kds_ledger *ledger;
    kds_state *state;
    kds_selector selector;
} world;

/* Appends an event and applies it. Takes the body. */
UNUSED static void record(world *w, const char *kind, cJSON *body)
{
    assert_non_null(body);
    ASSERT_OK(kds_ledger_append(w->ledger, kind, body, NULL, e));
    ASSERT_OK(kds_state_apply(w->state, kind, body, e));
    cJSON_Delete(body);
}

/* A campaign whose parents come by the policy `parents`. */
UNUSED static world *world_create_by(uint64_t seed, bool endpoint, const char *parents)
{
    char text[24];
    world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    ASSERT_OK(kds_task_load(&w->task, KDS_SOURCE_DIR "/tests/tasks/scale", e));
    ASSERT_OK(kds_ledger_memory(&w->ledger, e));
    assert_non_null(w->state = kds_state_create());
    w->selector = (kds_selector){.task = w->task,
                                 .proposer = endpoint ? "endpoint" : "builtin",
                                 .ledger = w->ledger,
                                 .endpoint = endpoint,
                                 .model = endpoint ? "test-model" : NULL};
    cJSON *body = cJSON_CreateObject();
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    kds_json_add_int(body, "format", KDS_ARCHIVE_FORMAT);
    kds_json_add_int(body, "rules", KDS_RULES);
    kds_json_add_str(body, "seed", text);
    kds_json_add_str(cJSON_AddObjectToObject(body, "settings"), "parents", parents);
    record(w, "CAMPAIGN", body);
    body = cJSON_CreateObject();
    kds_json_add_int(body, "epoch", 0);
    record(w, "EPOCH", body);
    return w;
}

UNUSED static world *world_create(uint64_t seed, bool endpoint)
{
    return world_create_by(seed, endpoint, "curiosity");
}

UNUSED static void world_free(world *w)
{
    kds_state_free(w->state);
    kds_ledger_close(w->ledger);
    kds_task_free(w->task);
    free(w);
}

/* ---- Events ---- */

/* A DECISION by hand, with the child given as its source (NULL: none yet). Its parent is `parent`
 * (zero: none), the elite of that cell, if it is one. */
UNUSED static int64_t propose_as(world *w, const char *operator_name, const char *proposer,
                                 const char *model, const char *source, kds_id parent)
{
    kds_id id;
    char text[KDS_ID_HEX];
    int64_t decision = w->state->decisions;
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, "decision", decision);
    kds_json_add_str(body, "operator", operator_name);
    kds_json_add_str(body, "proposer", proposer);
    kds_json_add_str(body, "model", model);
    cJSON *parents = cJSON_AddArrayToObject(body, "parents");
    kds_id_format(parent, text);
    if (!kds_id_is_zero(parent))
        cJSON_AddItemToArray(parents, cJSON_CreateString(text));
    for (int i = 0; i < w->state->cell_count; i++) {
        if (!kds_id_equal(w->state->cells[i].elite, parent))
            continue;
        kds_cell_format(w->state->cells[i].key, text);
        kds_json_add_str(body, "cell", text);
    }
    record(w, "DECISION", body);
    if (source) {
        ASSERT_OK(kds_ledger_put(w->ledger, "source", source, strlen(source), &id, e));
        record(w, "CANDIDATE",
               kds_candidate_body(w->state, decision, operator_name, NULL, NULL, source,
                                  strlen(source), "h"));
    }
    return decision;
}

UNUSED static int64_t propose(world *w, const char *operator_name, const char *proposer,
                              const char *source)
{
    const char *model = strcmp(proposer, "endpoint") == 0 ? "test-model" : NULL;
    return propose_as(w, operator_name, proposer, model, source, (kds_id){0, 0});
}

/* By a model. */
UNUSED static int64_t propose_from(world *w, const char *operator_name, const char *source,
                                   kds_id parent)
{
    return propose_as(w, operator_name, "endpoint", "test-model", source, parent);
}

/* A STAGE event; ids that are zero are left out. */
UNUSED static void stage(world *w, int64_t decision, const char *name, const char *verdict,
                         const char *message, kds_id program, kds_id report)
{
    const kds_flight *f = kds_state_flight(w->state, decision);
    assert_non_null(f);
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, "decision", decision);
    kds_json_add_id(body, "candidate", f->candidate);
    kds_json_add_str(body, "stage", name);
    kds_json_add_str(body, "verdict", verdict);
    kds_json_add_str(body, "message", message);
    if (!kds_id_is_zero(program))
        kds_json_add_id(body, "cubin", program);
    if (!kds_id_is_zero(report))
        kds_json_add_id(body, "report", report);
    record(w, "STAGE", body);
}

/* The STAGE event of a proposer that made nothing. */
UNUSED static void no_child(world *w, int64_t decision)
{
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, "decision", decision);
    kds_json_add_str(body, "candidate", NULL);
    kds_json_add_str(body, "stage", "propose");
    kds_json_add_str(body, "verdict", "no_child");
    kds_json_add_str(body, "message", "");
    record(w, "STAGE", body);
}

/* What a made-up judge says. */
typedef struct outcome {
    double large_us, small_us; /* the baseline takes 100 and 100 */
    int bins[3];
    const char *flag;        /* NULL: none */
    const char *fingerprint; /* NULL: "f" */
} outcome;

UNUSED static void add_row(cJSON *rows, const char *id, double us)
{
    cJSON *row = cJSON_CreateObject();
    kds_json_add_str(row, "row", id);
    kds_json_add_str(row, "set", "production");
    kds_json_add_num(row, "weight", 1);
    kds_json_add_num(row, "time_us", us);
    kds_json_add_num(row, "baseline_us", 100);
    cJSON_AddItemToArray(rows, row);
}

UNUSED static cJSON *make_report(const outcome *o)
{
    char cell[17];
    cJSON *report = cJSON_CreateObject();
    kds_json_add_str(report, "verdict", "ok");
    kds_json_add_str(report, "device", "sim:h200");
    kds_json_add_str(report, "fingerprint", o->fingerprint ? o->fingerprint : "f");
    cJSON *flags = cJSON_AddArrayToObject(report, "flags");
    cJSON_AddItemToArray(flags, cJSON_CreateString("modelled"));
    if (o->flag)
        cJSON_AddItemToArray(flags, cJSON_CreateString(o->flag));
    cJSON *rows = cJSON_AddArrayToObject(report, "rows");
    add_row(rows, "large", o->large_us);
    add_row(rows, "small", o->small_us);
    kds_json_add_num(report, "fitness", 100 / sqrt(o->large_us * o->small_us));
    cJSON *descriptor = cJSON_AddObjectToObject(report, "descriptor");
    kds_cell_format(kds_cell_key(1, o->bins, 3), cell);
    kds_json_add_int(descriptor, "version", 1);
    cJSON_AddItemToObject(descriptor, "bins", cJSON_CreateIntArray(o->bins, 3));
    kds_json_add_str(descriptor, "cell", cell);
    return report;
}

UNUSED static kds_id put_json(world *w, cJSON *value)
{
    kds_id id;
    char *text = kds_json_print(value);
    assert_non_null(text);
    ASSERT_OK(kds_ledger_put(w->ledger, "report", text, strlen(text), &id, e));
    free(text);
    cJSON_Delete(value);
    return id;
}

/* The judge's STAGE with its report. */
UNUSED static void judge(world *w, int64_t decision, const outcome *o)
{
    stage(w, decision, "judge", "ok", "", (kds_id){0, 0}, put_json(w, make_report(o)));
}

/* Commits a decision and gives the event's body; *accepted tells its kind. */
UNUSED static cJSON *commit(world *w, int64_t decision, bool *accepted)
{
    const char *kind = NULL;
    cJSON *body = NULL;
    const kds_flight *f = kds_state_flight(w->state, decision);
    assert_non_null(f);
    assert_true(kds_commit_ready(w->state, f));
    ASSERT_OK(kds_commit(&w->selector, w->state, f, &kind, &body, e));
    *accepted = strcmp(kind, "ACCEPT") == 0;
    assert_true(*accepted || strcmp(kind, "REJECT") == 0);
    record(w, kind, cJSON_Duplicate(body, true));
    assert_null(kds_state_flight(w->state, decision));
    return body;
}

/* A candidate from proposal to commit. */
UNUSED static cJSON *child(world *w, const char *source, const outcome *o, bool *accepted)
{
    int64_t decision = propose(w, "mutate", "endpoint", source);
    judge(w, decision, o);
    return commit(w, decision, accepted);
}

#endif
