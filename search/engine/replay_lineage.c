/* A lineage run once more. What the record says of it is read at one moment; then each kernel from
 * the baseline to the candidate goes through compiler and gate again, all by the frozen task, and
 * on a GPU its duels are fought again. Nothing is written to the archive. */
#include "search/engine/replay_lineage.h"

#include "eval/device.h"
#include "search/engine/campaign.h"
#include "search/engine/state_fold.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_HAND 32 /* most at a time: sources and cubins of all are in memory */

static kds_code out_of_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

void kds_replay_tell(const kds_lineage_replay *r, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cJSON *body = cJSON_CreateObject();
    char *json = body && kds_json_add_str(body, "text", text) ? kds_json_print(body) : NULL;
    if (json && r->fn)
        r->fn(r->user, &(kds_event){.kind = "notice", .json = json});
    free(json);
    cJSON_Delete(body);
}

/* ---- What the record says ---- */

/* Recorded settings, with the flags of now over those that a device and its workers have. */
static kds_code take_settings(kds_lineage_replay *r, const cJSON *recorded,
                              const kds_settings *given, kds_err *e)
{
    kds_code code = kds_settings_create(&r->settings, e);
    if (code == KDS_OK)
        code = kds_settings_from_json(r->settings, recorded, e);
    for (const kds_option *o = kds_options(); o->name && code == KDS_OK && given; o++) {
        if (!(o->commands & KDS_FOR_EVAL) || kds_settings_source(given, o->name) != KDS_FROM_FLAG)
            continue;
        const char *value = kds_settings_text(given, o->name);
        bool changed = strcmp(value, kds_settings_text(r->settings, o->name)) != 0;
        if (changed && (strcmp(o->name, "seed") == 0 || strcmp(o->name, "gate-seeds") == 0))
            r->other_inputs = true;
        code = kds_settings_set_from(r->settings, o->name, value, KDS_FROM_ARCHIVE, e);
    }
    return code;
}

/* The chain of first parents, with the baseline before it if it began with another of the task's
 * kernels. */
static kds_code load_steps(kds_lineage_replay *r, const char *candidate, kds_err *e)
{
    kds_candidate_row *rows = NULL;
    int count = 0;
    char baseline[KDS_ID_HEX];
    kds_id_format(r->baseline, baseline);
    kds_code code = kds_ledger_lineage(r->ledger, candidate, &rows, &count, e);
    if (code != KDS_OK)
        return code;
    bool missing = strcmp(rows[0].id, baseline) != 0;
    r->steps = calloc((size_t)count + 1, sizeof *r->steps);
    if (!r->steps)
        code = out_of_memory(e);
    if (code == KDS_OK && missing)
        code = kds_ledger_find(r->ledger, baseline, &r->steps[r->step_count++].row, e);
    for (int i = 0; i < count && code == KDS_OK; i++)
        r->steps[r->step_count++].row = rows[i];
    for (int i = 0; i < r->step_count && code == KDS_OK; i++) {
        kds_replay_step *s = &r->steps[i];
        kds_recorded k = {.source = NULL};
        kds_id id;
        s->fitness = NAN;
        code = kds_id_parse(s->row.id, &id)
                   ? kds_recorded_load(r->ledger, id, &k, e)
                   : kds_fail(e, KDS_DAMAGED, "a candidate's id is none: %.40s", s->row.id);
        s->source = k.source;
        s->parent = k.parent;
        s->len = k.len;
    }
    free(rows);
    return code;
}

static kds_code load_record(kds_lineage_replay *r, const char *dir, const char *candidate,
                            const kds_settings *given, kds_err *e)
{
    cJSON *settings = NULL;
    kds_state *state = kds_state_create();
    kds_code code = state ? kds_ledger_open(&r->ledger, dir, KDS_LEDGER_READ, e) : out_of_memory(e);
    if (code == KDS_OK)
        code = kds_ledger_begin(r->ledger, e);
    if (code == KDS_OK)
        code = kds_state_fold(r->ledger, state, &r->campaign, &settings, e);
    if (code == KDS_OK) {
        r->baseline = state->baseline;
        r->measured = state->measured;
        code = take_settings(r, settings, given, e);
    }
    if (code == KDS_OK && kds_id_is_zero(r->baseline))
        code = kds_fail(e, KDS_NOT_FOUND, "%s ended before its baseline was judged", dir);
    if (code == KDS_OK)
        code = load_steps(r, candidate, e);
    if (code == KDS_OK)
        code = kds_replay_duels_load(r, e);
    if (code == KDS_OK)
        code = kds_ledger_commit(r->ledger, e);
    if (code == KDS_OK)
        code = kds_campaign_load_frozen(&r->task, dir, r->campaign, e);
    cJSON_Delete(settings);
    kds_state_free(state);
    return code;
}

/* ---- Compiler and gate ---- */

static bool keep_stage(void *lineage, const kds_stage *s)
{
    kds_lineage_replay *r = lineage;
    kds_replay_step *step = &r->steps[s->tag];
    if (strcmp(s->stage, "compile") == 0)
        step->program = s->program;
    (void)snprintf(step->verdict, sizeof step->verdict, "%s", kds_verdict_name(s->verdict));
    (void)snprintf(step->stage, sizeof step->stage, "%s", s->stage);
    (void)snprintf(step->message, sizeof step->message, "%s", s->message ? s->message : "");
    if (!s->report && s->verdict == KDS_VERDICT_OK)
        return true;
    step->fitness = kds_json_num(s->report, "fitness", NAN);
    if (isfinite(step->fitness))
        kds_replay_tell(r, "#%lld %.8s: %s, %.4fx the baseline (%s)", (long long)step->row.decision,
                        step->row.id, step->verdict, step->fitness,
                        kds_evaluator_measures(r->evaluator) ? "measured" : "modelled");
    else
        kds_replay_tell(r, "#%lld %.8s: %s at stage %s", (long long)step->row.decision,
                        step->row.id, step->verdict, step->stage);
    return false;
}

static kds_code open_evaluator(kds_lineage_replay *r, kds_err *e)
{
    const char *seed = kds_settings_text(r->settings, "seed");
    uint64_t recorded = (uint64_t)kds_json_int(r->campaign, "gate_seed", 0);
    r->seed = kds_hash64(seed, strlen(seed), 0x6b64732d61676e00ULL);
    kds_evaluator_options o = {.task = r->task,
                               .settings = r->settings,
                               .gate_seed = r->other_inputs ? r->seed >> 11 : recorded,
                               .stage = keep_stage,
                               .fought = kds_replay_fought,
                               .user = r};
    kds_err err = {0};
    kds_code code = kds_evaluator_create(&r->evaluator, &o, &err);
    if (code == KDS_OK)
        code = kds_evaluator_prepare(r->evaluator, &err);
    if (code == KDS_NO_DEVICE && kds_device_is_gpu(kds_settings_text(r->settings, "device")))
        return kds_fail(e, code,
                        "%.700s. Recorded on %.60s; `--device sim` compiles and checks it here, "
                        "and times nothing",
                        err.message, kds_json_str(r->campaign, "device", "?"));
    if (code != KDS_OK && e)
        *e = err;
    if (code == KDS_OK && kds_evaluator_measures(r->evaluator))
        code = kds_campaign_check_rows(r->task, e);
    if (code != KDS_OK)
        return code;
    const char *kind = kds_json_str(r->campaign, "kind", "");
    r->same_kind = strcmp(kind, kds_evaluator_kind(r->evaluator)) == 0;
    kds_replay_tell(r, "%d kernels from the baseline to %.8s, on %s; recorded on %s (%s%s)",
                    r->step_count, r->steps[r->step_count - 1].row.id,
                    kds_evaluator_device(r->evaluator), kds_json_str(r->campaign, "device", "?"),
                    r->same_kind ? "the same kind of device, the same software"
                                 : "device or software differ",
                    r->other_inputs ? ", other inputs" : "");
    return KDS_OK;
}

static kds_code judge_steps(kds_lineage_replay *r, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int i = 0; i < r->step_count && code == KDS_OK; i++) {
        const kds_replay_step *s = &r->steps[i];
        code = kds_evaluator_submit(r->evaluator, (uint64_t)i, s->source, s->len, s->parent, e);
        if (code == KDS_OK && kds_evaluator_in_hand(r->evaluator) >= IN_HAND)
            code = kds_evaluator_finish(r->evaluator, e);
    }
    return code == KDS_OK ? kds_evaluator_finish(r->evaluator, e) : code;
}

static void free_lineage(kds_lineage_replay *r)
{
    kds_evaluator_close(r->evaluator);
    kds_replay_duels_free(r);
    for (int i = 0; i < r->step_count; i++) {
        free(r->steps[i].source);
        free(r->steps[i].parent);
    }
    free(r->steps);
    cJSON_Delete(r->campaign);
    kds_settings_free(r->settings);
    kds_task_free(r->task);
    kds_ledger_close(r->ledger);
}

kds_code kds_replay_lineage(const char *archive_dir, const char *candidate,
                            const kds_settings *given, kds_event_fn *fn, void *user, char **json,
                            kds_err *e)
{
    kds_lineage_replay r = {.claim = -1, .fn = fn, .user = user};
    cJSON *report = NULL;
    kds_code code = load_record(&r, archive_dir, candidate, given, e);
    if (code == KDS_OK)
        code = open_evaluator(&r, e);
    if (code == KDS_OK)
        code = judge_steps(&r, e);
    if (code == KDS_OK && kds_evaluator_measures(r.evaluator))
        code = kds_replay_duels_fight(&r, e);
    if (code == KDS_OK)
        code = kds_replay_judge(&r, &report, e);
    if (report && !(*json = kds_json_print(report)))
        code = out_of_memory(e);
    cJSON_Delete(report);
    free_lineage(&r);
    return code;
}
