/* GPUs as the evaluator sees them: each has a process that judges and fights and one that profiles,
 * and never more than one job in hand, because two things at once on a GPU disturb each other's
 * times. A card whose processes do not get ready three times in a row is given up; the work goes on
 * with the others. */
#include "search/engine/evaluate_internal.h"

#include "eval/cuda/card.h"
#include "search/base/clock.h"
#include "search/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAILURES_MAX 3    /* of getting ready, in a row */
#define PASSED_OVER_MAX 8 /* times, of a candidate that waits */

/* ---- Which cards ---- */

static kds_code add_card(kds_evaluator *x, const char *name, size_t len, kds_err *e)
{
    card *c = &x->cards[x->card_count];
    int ordinal = 0;
    if (x->card_count == KDS_CARDS_MAX)
        return kds_fail(e, KDS_USAGE, "--device names more than %d GPUs", KDS_CARDS_MAX);
    if (len == 0 || len >= sizeof c->device)
        return kds_fail(e, KDS_USAGE, "--device %s: write cuda:0 or cuda:0,cuda:1 or all",
                        evaluator_device_setting(x));
    memcpy(c->device, name, len);
    c->device[len] = '\0';
    kds_code code = kds_cuda_ordinal(c->device, &ordinal, e);
    if (code != KDS_OK)
        return code;
    (void)snprintf(c->device, sizeof c->device, "cuda:%d", ordinal);
    for (int i = 0; i < x->card_count; i++)
        if (strcmp(x->cards[i].device, c->device) == 0)
            return kds_fail(e, KDS_USAGE, "--device names %s twice", c->device);
    c->x = x;
    x->card_count++;
    return KDS_OK;
}

static kds_code add_all(kds_evaluator *x, kds_err *e)
{
    kds_cuda *cuda = NULL;
    int count = 0;
    kds_code code = kds_cuda_open(&cuda, e);
    if (code == KDS_OK)
        code = kds_cuda_count(cuda, &count, e);
    kds_cuda_close(cuda);
    if (code == KDS_OK && count == 0)
        code = kds_fail(e, KDS_NO_DEVICE,
                        "--device all: this machine has no GPU; `kdasearch "
                        "doctor` tells more");
    for (int i = 0; code == KDS_OK && i < count; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "cuda:%d", i);
        code = add_card(x, name, (size_t)len, e);
    }
    return code;
}

kds_code evaluator_list_cards(kds_evaluator *x, kds_err *e)
{
    const char *at = evaluator_device_setting(x);
    if (strcmp(at, "all") == 0)
        return add_all(x, e);
    for (;;) {
        size_t len = strcspn(at, ",");
        kds_code code = add_card(x, at, len, e);
        if (code != KDS_OK || at[len] == '\0')
            return code;
        at += len + 1;
    }
}

/* ---- Jobs ---- */

static void job_free(gpu_job *j)
{
    if (j)
        kds_frame_free(&j->frame);
    free(j);
}

kds_code evaluator_queue(kds_evaluator *x, gpu_kind kind, uint64_t tag, kds_frame *frame,
                         bool fresh, const char *not_on, kds_err *e)
{
    gpu_job *j = calloc(1, sizeof *j), **at = &x->jobs;
    if (!j)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    j->kind = kind;
    j->tag = tag;
    j->frame = *frame;
    kds_frame_init(frame);
    j->fresh = fresh;
    const work *w = kind == GPU_JUDGE ? evaluator_find(x, tag) : NULL;
    j->rank = w ? w->rank : 0;
    snprintf(j->not_on, sizeof j->not_on, "%s", not_on ? not_on : "");
    while (*at)
        at = &(*at)->next;
    *at = j;
    return KDS_OK;
}

static void put_back(kds_evaluator *x, gpu_job *j)
{
    j->next = x->jobs;
    x->jobs = j;
}

int kds_evaluator_cards(const kds_evaluator *x)
{
    int n = 0;
    for (int i = 0; i < x->card_count; i++)
        n += !x->cards[i].lost;
    return n;
}

/* Of those that wait to be judged, the one in turn: who has been passed over often enough, else the
 * lowest rank, else who came first. */
static bool is_before(const gpu_job *a, const gpu_job *b)
{
    bool tired = a->passed_over >= PASSED_OVER_MAX;
    if (tired != (b->passed_over >= PASSED_OVER_MAX))
        return tired;
    return !tired && a->rank < b->rank;
}

gpu_job *evaluator_take_job(gpu_job **jobs, const char *device, bool others)
{
    gpu_job **best = NULL;
    for (gpu_job **at = jobs; *at; at = &(*at)->next)
        if (!(others && strcmp((*at)->not_on, device) == 0) &&
            (!best || (*at)->kind < (*best)->kind ||
             ((*at)->kind == (*best)->kind && (*at)->kind == GPU_JUDGE && is_before(*at, *best))))
            best = at;
    if (!best)
        return NULL;
    gpu_job *j = *best;
    for (gpu_job *earlier = *jobs; earlier != j; earlier = earlier->next)
        earlier->passed_over += j->kind == GPU_JUDGE && earlier->kind == GPU_JUDGE;
    *best = j->next;
    return j;
}

static kds_code start_job(kds_evaluator *x, card *c, gpu_job *j, kds_err *e)
{
    if (j->fresh || c->renewing)
        kds_pool_renew(c->judge);
    c->renewing = false;
    c->job = j;
    c->since = kds_clock_monotonic();
    (void)x;
    return kds_pool_submit(j->kind == GPU_PROFILE ? c->profile : c->judge, j->tag, &j->frame, e);
}

kds_code evaluator_pump(kds_evaluator *x, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && i < x->card_count; i++) {
        card *c = &x->cards[i];
        gpu_job *j = c->job || c->lost || !x->prepared
                         ? NULL
                         : evaluator_take_job(&x->jobs, c->device, kds_evaluator_cards(x) > 1);
        if (j)
            code = start_job(x, c, j, e);
    }
    return code;
}

/* The job that a card has ended; the caller frees it. */
static gpu_job *end_job(card *c)
{
    gpu_job *j = c->job;
    c->job = NULL;
    if (j) {
        c->x->gpu_jobs[j->kind]++;
        c->x->gpu_seconds[j->kind] += kds_clock_monotonic() - c->since;
    }
    return j;
}

/* ---- Getting ready ---- */

static void keep_identity(card *c, const cJSON *h)
{
    snprintf(c->fingerprint, sizeof c->fingerprint, "%s", kds_json_str(h, "fingerprint", ""));
    snprintf(c->kind, sizeof c->kind, "%s", kds_json_str(h, "kind", ""));
    snprintf(c->model, sizeof c->model, "%s", kds_json_str(h, "model", ""));
    c->ready = true;
}

/* A judge could not get ready. At the start that ends everything; later the card has three tries.
 */
static void not_ready(card *c, kds_code code, const char *message)
{
    kds_evaluator *x = c->x;
    char text[1000];
    c->unready = c->renewing = true;
    if (!x->prepared) {
        evaluator_fail(x, code, message);
        return;
    }
    if (++c->failures < FAILURES_MAX)
        return;
    c->lost = true;
    if (kds_evaluator_cards(x))
        return;
    snprintf(text, sizeof text, "%s does not get ready, %d times in a row: %.700s", c->device,
             FAILURES_MAX, message);
    evaluator_fail(x, KDS_DEVICE_LOST, text);
}

static void judge_greeted(card *c, kds_job_end end, const kds_frame *reply, const char *why)
{
    char text[300];
    if (end != KDS_JOB_REPLY) {
        snprintf(text, sizeof text, "the process for %s could not get ready: it %s", c->device,
                 why);
        not_ready(c, KDS_WORKER, text);
        return;
    }
    const cJSON *h = reply->header;
    if (!kds_json_bool(h, "ok", false))
        not_ready(c, evaluator_code(kds_json_str(h, "code", "FAILED")),
                  kds_json_str(h, "message", "the judge gave no reason"));
    else if (c->ready && strcmp(c->fingerprint, kds_json_str(h, "fingerprint", "")) != 0)
        evaluator_fail(c->x, KDS_DEVICE_LOST,
                       "the device's fingerprint changed while the campaign ran");
    else {
        c->failures = 0;
        c->unready = false;
        keep_identity(c, h);
        if (c->down > 0) {
            c->x->recoveries++;
            c->x->recovery_seconds += kds_clock_monotonic() - c->down;
            c->down = 0;
        }
    }
}

void evaluator_card_judge(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                          const char *why)
{
    card *c = user;
    kds_evaluator *x = c->x;
    if (tag == TAG_GREETING) {
        judge_greeted(c, end, reply, why);
        return;
    }
    gpu_job *j = end_job(c);
    if (!j)
        return;
    if (c->unready) { /* its process never got ready */
        c->unready = false;
        put_back(x, j);
        return;
    }
    if (end != KDS_JOB_REPLY || kds_json_bool(reply->header, "ending", false))
        c->down = kds_clock_monotonic();
    if (j->kind == GPU_DUEL)
        evaluator_fought(c, tag, end, reply, why);
    else
        evaluator_judged(x, tag, end, reply, why);
    job_free(j);
}

/* No counters is no failure of the campaign: its cells are then made of facts. */
static void profiler_greeted(card *c, kds_job_end end, const kds_frame *reply, const char *why)
{
    kds_evaluator *x = c->x;
    const cJSON *h = end == KDS_JOB_REPLY ? reply->header : NULL;
    const char *reason = !h ? why : kds_json_str(h, "reason", kds_json_str(h, "message", ""));
    bool good = h && kds_json_bool(h, "ok", false) && kds_json_bool(h, "counters", false);
    c->told = true;
    if (!good && !x->prepared)
        snprintf(x->no_counters, sizeof x->no_counters, "%s: %.500s", c->device,
                 *reason ? reason : "the profiler gave no reason");
}

void evaluator_card_profile(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                            const char *why)
{
    card *c = user;
    if (tag == TAG_GREETING) {
        profiler_greeted(c, end, reply, why);
        return;
    }
    gpu_job *j = end_job(c);
    if (j)
        evaluator_profiled(c->x, tag, end, reply, why);
    job_free(j);
}

void evaluator_cards_close(kds_evaluator *x)
{
    for (int i = 0; i < x->card_count; i++) {
        kds_pool_close(x->cards[i].judge);
        kds_pool_close(x->cards[i].profile);
        job_free(x->cards[i].job);
    }
    while (x->jobs) {
        gpu_job *next = x->jobs->next;
        job_free(x->jobs);
        x->jobs = next;
    }
}
