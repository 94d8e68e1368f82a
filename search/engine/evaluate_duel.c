/* Duels: both sides' compiled code is looked up or made again, then the duel waits for a card. */
#include "search/engine/evaluate_internal.h"

#include "search/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEATHS_MAX 2 /* of workers over one duel, or over one of its compilations */

/* ---- Compiled code that is kept ---- */

kds_id evaluator_key(const char *source, size_t len, const char *parent)
{
    kds_id id = kds_id_of(source, len), other = {0, 0};
    if (parent)
        other = kds_id_of(parent, strlen(parent));
    id.high ^= other.low;
    id.low ^= other.high;
    return id;
}

static kds_compiled *find_stored(kds_evaluator *x, kds_id key)
{
    for (int i = 0; i < STORE_ENTRIES; i++)
        if (x->store[i].compiled && kds_id_equal(x->store[i].key, key)) {
            x->store[i].used = ++x->uses;
            return x->store[i].compiled;
        }
    return NULL;
}

void evaluator_store(kds_evaluator *x, kds_id key, kds_compiled *compiled)
{
    stored *place = &x->store[0];
    if (find_stored(x, key)) {
        kds_compiled_free(compiled);
        return;
    }
    for (int i = 1; i < STORE_ENTRIES && place->compiled; i++)
        if (!x->store[i].compiled || x->store[i].used < place->used)
            place = &x->store[i];
    kds_compiled_free(place->compiled);
    *place = (stored){.key = key, .compiled = compiled, .used = ++x->uses};
}

/* ---- Duels in hand ---- */

static void bout_free(bout *b)
{
    for (int arm = 0; b && arm < 2; arm++) {
        free(b->arms[arm].source);
        free(b->arms[arm].parent);
    }
    free(b);
}

static void remove_bout(kds_evaluator *x, bout *gone)
{
    for (bout **at = &x->bouts; *at; at = &(*at)->next)
        if (*at == gone) {
            *at = gone->next;
            x->in_hand--;
            bout_free(gone);
            return;
        }
}

/* Tells the end of a duel and forgets it. */
static void tell(kds_evaluator *x, bout *b, const card *c, cJSON *record, const char *why)
{
    kds_fought f = {.tag = b->tag,
                    .record = record,
                    .why = why,
                    .device = c ? c->device : "",
                    .fingerprint = c ? c->fingerprint : "",
                    .seconds = kds_clock_monotonic() - b->started};
    remove_bout(x, b);
    x->o.fought(x->o.user, &f);
}

static kds_code queue_bout(kds_evaluator *x, bout *b, kds_err *e)
{
    kds_gpu_duel_side sides[2];
    kds_frame job;
    for (int arm = 0; arm < 2; arm++) {
        const bout_arm *a = &b->arms[arm];
        sides[arm] = (kds_gpu_duel_side){.source = a->source,
                                         .len = a->len,
                                         .parent = a->parent,
                                         .compiled = find_stored(x, a->key)};
        if (!sides[arm].compiled)
            return kds_fail(e, KDS_FAILED, "the code of a duel was not kept");
    }
    kds_frame_init(&job);
    kds_code code = kds_gpu_duel_job(&job, sides, &b->o, e);
    if (code == KDS_OK)
        code = evaluator_queue(x, GPU_DUEL, b->tag, &job, b->fresh, b->not_on, e);
    b->queued = code == KDS_OK;
    kds_frame_free(&job);
    return code;
}

static kds_code compile_arm(kds_evaluator *x, bout_arm *a, kds_finding *f, kds_err *e)
{
    kds_plan *plan = NULL;
    kds_frame job;
    kds_frame_init(&job);
    kds_code code = kds_plan_parse(&plan, x->o.task, a->source, a->len, a->parent, f, e);
    if (code == KDS_OK && plan)
        code = kds_compile_job(&job, a->source, a->len, x->arch, plan, e);
    if (code == KDS_OK && plan) {
        a->tag = x->arm_tags++;
        code = kds_pool_submit(x->compile, a->tag, &job, e);
    }
    kds_frame_free(&job);
    kds_plan_free(plan);
    return code;
}

/* Compiles what is not there, or queues the duel. */
static void go_on(kds_evaluator *x, bout *b)
{
    kds_finding f;
    kds_err err = {0};
    kds_code code = KDS_OK;
    bool waiting = false;
    kds_finding_clear(&f);
    for (int arm = 0; code == KDS_OK && f.verdict == KDS_VERDICT_OK && arm < 2; arm++) {
        bout_arm *a = &b->arms[arm];
        if (!a->tag && !find_stored(x, a->key))
            code = compile_arm(x, a, &f, &err);
        waiting = waiting || a->tag;
    }
    if (code == KDS_OK && f.verdict != KDS_VERDICT_OK)
        tell(x, b, NULL, NULL, f.text);
    else if (code == KDS_OK && !waiting)
        code = queue_bout(x, b, &err);
    if (code != KDS_OK)
        evaluator_fail(x, code, err.message);
}

static bout *find_arm(kds_evaluator *x, uint64_t tag, bout_arm **out)
{
    for (bout *b = x->bouts; b; b = b->next)
        for (int arm = 0; arm < 2; arm++)
            if (b->arms[arm].tag == tag) {
                *out = &b->arms[arm];
                return b;
            }
    return NULL;
}

bool evaluator_arm_compiled(kds_evaluator *x, uint64_t tag, kds_job_end end, const kds_frame *reply,
                            const char *why)
{
    bout_arm *a = NULL;
    kds_compiled *compiled = NULL;
    kds_finding f;
    kds_err err = {0};
    if (tag < TAG_ARMS || tag >= TAG_PROBE)
        return false;
    bout *b = find_arm(x, tag, &a);
    if (!b)
        return true;
    kds_finding_clear(&f);
    kds_code code = end == KDS_JOB_REPLY ? kds_compile_reply(&compiled, reply, &f, &err)
                                         : kds_fail(&err, KDS_WORKER, "the compile worker %s", why);
    a->tag = 0;
    if (code != KDS_OK && ++a->deaths >= DEATHS_MAX)
        tell(x, b, NULL, NULL, err.message);
    else if (code == KDS_OK && !compiled)
        tell(x, b, NULL, NULL, f.text);
    else {
        if (compiled)
            evaluator_store(x, a->key, compiled);
        go_on(x, b);
    }
    return true;
}

kds_code kds_evaluator_fight(kds_evaluator *x, uint64_t tag, const kds_gpu_duel_side sides[2],
                             const kds_gpu_duel_options *o, bool fresh, const char *not_on,
                             kds_err *e)
{
    bout *b = calloc(1, sizeof *b);
    if (!b)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    bool ok = true;
    for (int arm = 0; arm < 2; arm++) {
        const kds_gpu_duel_side *s = &sides[arm];
        bout_arm *a = &b->arms[arm];
        a->source = strndup(s->source, s->len);
        a->len = s->len;
        a->parent = s->parent ? strdup(s->parent) : NULL;
        a->key = evaluator_key(s->source, s->len, s->parent);
        ok = ok && a->source && (a->parent || !s->parent);
    }
    if (!ok) {
        bout_free(b);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    b->tag = tag;
    b->o = *o;
    b->fresh = fresh;
    snprintf(b->not_on, sizeof b->not_on, "%s", not_on ? not_on : "");
    b->started = kds_clock_monotonic();
    b->next = x->bouts;
    x->bouts = b;
    x->in_hand++;
    go_on(x, b);
    return KDS_OK;
}

/* A worker that dies or cannot go on is replaced and the duel fought again, once. */
void evaluator_fought(card *c, uint64_t tag, kds_job_end end, const kds_frame *reply,
                      const char *why)
{
    kds_evaluator *x = c->x;
    kds_err err = {0};
    bout *b = x->bouts;
    while (b && b->tag != tag)
        b = b->next;
    if (!b || x->error.code != KDS_OK)
        return;
    if (end == KDS_JOB_REPLY && kds_json_bool(reply->header, "ok", false)) {
        cJSON_DeleteItemFromObject(reply->header, "ok");
        cJSON_DeleteItemFromObject(reply->header, "spoilt");
        cJSON_DeleteItemFromObject(reply->header, "ending");
        tell(x, b, c, reply->header, "");
        return;
    }
    if (end == KDS_JOB_REPLY)
        why = kds_json_str(reply->header, "message", "failed");
    else if (end == KDS_JOB_TIMEOUT)
        why = "ran out of time";
    if (++b->deaths >= DEATHS_MAX) {
        tell(x, b, c, NULL, why);
        return;
    }
    kds_code code = queue_bout(x, b, &err);
    if (code != KDS_OK)
        evaluator_fail(x, code, err.message);
}

void evaluator_bouts_close(kds_evaluator *x)
{
    while (x->bouts)
        remove_bout(x, x->bouts);
    for (int i = 0; i < STORE_ENTRIES; i++)
        kds_compiled_free(x->store[i].compiled);
}
