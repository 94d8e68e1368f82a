/* Asks are built from the record alone (objects and committed rows never change), so that replay
 * builds the same. */
#include "search/engine/ask.h"

#include "search/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A recorded report; *out stays NULL if `hex` names none. */
static kds_code load_report(kds_ledger *ledger, const char *hex, cJSON **out, kds_err *e)
{
    kds_id id;
    return kds_id_parse(hex, &id) ? kds_ledger_get_json(ledger, id, out, e) : KDS_OK;
}

static kds_code keep_origin(void *user, const cJSON *origin, kds_err *e)
{
    kds_candidate_row *row = user;
    (void)e;
    snprintf(row->parent, sizeof row->parent, "%s", kds_json_str(origin, "parent", ""));
    snprintf(row->hypothesis, sizeof row->hypothesis, "%s", kds_json_str(origin, "hypothesis", ""));
    return KDS_OK;
}

/* A candidate with its origin as of the decision that was committed first. The row is of the one
 * that was recorded first: where replies are waited for, an equal child of a later decision may
 * have come before. */
static kds_code find_committed(kds_ledger *ledger, const kds_state *state, kds_id id,
                               const char *hex, kds_candidate_row *row, kds_err *e)
{
    int64_t decision = kds_map_get(state->ids, id);
    kds_code code = kds_ledger_find(ledger, hex, row, e);
    if (code != KDS_OK || decision < 0 || decision == row->decision)
        return code;
    cJSON *args = cJSON_CreateArray(), *number = cJSON_CreateNumber((double)decision);
    if (!args || !number || !cJSON_AddItemToArray(args, number)) {
        cJSON_Delete(number);
        cJSON_Delete(args);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    code = kds_ledger_select(
        ledger,
        "SELECT parent, (SELECT json_extract(body, '$.hypothesis') FROM events WHERE seq > d.seq "
        "AND kind = 'CANDIDATE' AND json_extract(body, '$.decision') = d.decision "
        "ORDER BY seq LIMIT 1) AS hypothesis FROM decisions d WHERE decision = ?1",
        args, keep_origin, row, e);
    cJSON_Delete(args);
    return code;
}

static kds_code gather_source(kds_gathered *g, int i, kds_ask_parent *out, kds_ledger *ledger,
                              kds_id id, kds_err *e)
{
    kds_id_format(id, g->hex[i]);
    kds_code code = kds_ledger_get(ledger, id, &g->source[i], &out->source_len, e);
    if (code != KDS_OK)
        return kds_err_prefix(e, code, "parent %.8s", g->hex[i]);
    out->id = g->hex[i];
    out->source = g->source[i];
    return KDS_OK;
}

/* Report and hypothesis of one parent. */
static kds_code gather_report(kds_gathered *g, int i, kds_ask_parent *out, kds_ledger *ledger,
                              const kds_state *state, kds_id id, kds_err *e)
{
    kds_candidate_row row;
    kds_code code = find_committed(ledger, state, id, g->hex[i], &row, e);
    if (code != KDS_OK)
        return kds_err_prefix(e, code, "parent %.8s", g->hex[i]);
    snprintf(g->hypothesis[i], sizeof g->hypothesis[i], "%s", row.hypothesis);
    snprintf(g->grandparent[i], sizeof g->grandparent[i], "%s", row.parent);
    out->hypothesis = g->hypothesis[i];
    if ((code = load_report(ledger, row.report, &g->report[i], e)) != KDS_OK)
        return kds_err_prefix(e, code, "report of %.8s", g->hex[i]);
    out->report = g->report[i];
    return KDS_OK;
}

kds_code kds_gather_sources(kds_gathered *g, const kds_selector *s, const kds_state *state,
                            const char *operator_name, kds_id parent, kds_id other, kds_err *e)
{
    memset(g, 0, sizeof *g);
    g->ask.decision = (uint64_t)state->decisions;
    g->ask.operator_name = operator_name;
    g->ask.task_name = s->task->name;
    g->ask.task_function = s->task->function;
    g->ask.task_card = s->task->card;
    kds_code code = gather_source(g, 0, &g->ask.parent, s->ledger, parent, e);
    if (code == KDS_OK && !kds_id_is_zero(other))
        code = gather_source(g, 1, &g->ask.other, s->ledger, other, e);
    if (code != KDS_OK)
        kds_gathered_free(g);
    return code;
}

kds_code kds_gather(kds_gathered *g, const kds_selector *s, const kds_state *state,
                    const char *operator_name, kds_id parent, kds_id other, kds_err *e)
{
    kds_code code = kds_gather_sources(g, s, state, operator_name, parent, other, e);
    if (code != KDS_OK)
        return code;
    code = gather_report(g, 0, &g->ask.parent, s->ledger, state, parent, e);
    if (code == KDS_OK && !kds_id_is_zero(other))
        code = gather_report(g, 1, &g->ask.other, s->ledger, state, other, e);
    if (code != KDS_OK) {
        kds_gathered_free(g);
        return code;
    }
    const char *device = kds_json_str(g->report[0], "device", "sim"),
               *gpu = kds_json_str(g->report[0], "model", "");
    if (*gpu)
        snprintf(g->device, sizeof g->device, "%.100s (%.40s)", gpu, device);
    else
        snprintf(g->device, sizeof g->device, "%.100s", device);
    g->ask.device = g->device;
    for (int i = 0; i < state->note_count; i++)
        g->notes[i] = (kds_ask_note){state->notes[i].hypothesis, state->notes[i].outcome};
    g->ask.notes = g->notes;
    g->ask.note_count = state->note_count;
    return KDS_OK;
}

kds_code kds_gather_past(kds_gathered *g, kds_ledger *ledger, kds_err *e)
{
    kds_candidate_row older;
    kds_ask_parent *parents[2] = {&g->ask.parent, &g->ask.other};
    kds_err none = {0};
    kds_code code = KDS_OK;
    for (int i = 0; i < 2 && code == KDS_OK; i++) {
        if (!g->grandparent[i][0] ||
            kds_ledger_find(ledger, g->grandparent[i], &older, &none) != KDS_OK)
            continue;
        code = load_report(ledger, older.report, &g->before[i], e);
        parents[i]->before = g->before[i];
    }
    return code;
}

/* Keeps the last failed stage of the candidate's own decision. */
static kds_code keep_stage(void *user, const cJSON *row, kds_err *e)
{
    cJSON **kept = user;
    cJSON_Delete(*kept);
    *kept = cJSON_Duplicate(row, true);
    return *kept ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

kds_code kds_gather_failure(kds_gathered *g, kds_ledger *ledger, int64_t decision, kds_err *e)
{
    cJSON *stage = NULL;
    char *log = NULL;
    size_t len = 0;
    kds_buf text;
    kds_buf_init(&text, 8192);
    cJSON *args = cJSON_CreateArray();
    cJSON_AddItemToArray(args, cJSON_CreateNumber((double)decision));
    kds_code code =
        kds_ledger_select(ledger,
                          "SELECT stage, verdict, message, log FROM evaluations "
                          "WHERE decision = ?1 AND verdict <> 'ok' ORDER BY seq DESC LIMIT 1",
                          args, keep_stage, &stage, e);
    kds_id id;
    if (code == KDS_OK && stage) {
        kds_buf_printf(&text, "%s: %s\n%s\n", kds_json_str(stage, "stage", ""),
                       kds_json_str(stage, "verdict", ""), kds_json_str(stage, "message", ""));
        if (kds_json_id(stage, "log", &id) &&
            (code = kds_ledger_get(ledger, id, &log, &len, e)) == KDS_OK)
            kds_buf_add(&text, log, len < 4000 ? len : 4000);
    }
    if (code == KDS_OK && !(g->failure = kds_buf_take(&text)))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    g->ask.failure = g->failure;
    free(log);
    cJSON_Delete(stage);
    cJSON_Delete(args);
    kds_buf_free(&text);
    return code;
}

void kds_gather_target(kds_gathered *g, const kds_task *task, const cJSON *target)
{
    const char *name = kds_json_str(target, "axis", NULL);
    int to = (int)kds_json_int(target, "to", -1);
    for (int i = 0; name && i < task->axis_count; i++) {
        const kds_axis *a = &task->axes[i];
        if (strcmp(a->name, name) != 0 || to < 0 || to > a->edge_count)
            continue;
        if (to == 0)
            snprintf(g->target, sizeof g->target, "%s (%s) below %.6g", a->name, a->unit,
                     a->edges[0]);
        else if (to == a->edge_count)
            snprintf(g->target, sizeof g->target, "%s (%s) of %.6g or more", a->name, a->unit,
                     a->edges[to - 1]);
        else
            snprintf(g->target, sizeof g->target, "%s (%s) from %.6g to %.6g", a->name, a->unit,
                     a->edges[to - 1], a->edges[to]);
        g->ask.target = g->target;
    }
}

void kds_gather_correction(kds_gathered *g, const char *problem)
{
    g->ask.failure = problem;
    g->ask.note_count = g->ask.guidance_count = 0;
    if (strcmp(g->ask.operator_name, "guide") == 0) {
        g->ask.parent = (kds_ask_parent){NULL};
        g->ask.guidance.score = g->ask.unguided = NULL;
    }
}

int kds_capability_of(const char *arch)
{
    int64_t n = 0;
    bool ok = strncmp(arch, "sm_", 3) == 0 && kds_text_parse_i64(arch + 3, &n) && n > 0 && n < 1000;
    return ok ? (int)n : 0;
}

void kds_gathered_free(kds_gathered *g)
{
    for (int i = 0; i < 2; i++) {
        free(g->source[i]);
        cJSON_Delete(g->report[i]);
        cJSON_Delete(g->before[i]);
    }
    for (int i = 0; i < KDS_GUIDANCE_MAX; i++)
        free(g->guidance_texts[i]);
    free(g->guidance);
    free(g->tried);
    free(g->failure);
    memset(g, 0, sizeof *g);
}
