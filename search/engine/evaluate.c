/* A candidate in hand is one `work`: it moves from plan to compile to (on GPUs) safety to judge to
 * profile, each stage told through one callback. The pools run side by side, so that while one
 * candidate is judged the next ones compile. */
#include "search/engine/evaluate_internal.h"

#include "eval/device.h"
#include "eval/lint.h"
#include "search/base/clock.h"
#include "search/base/spawn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void work_free(work *w)
{
    if (!w)
        return;
    kds_plan_free(w->plan);
    kds_compiled_free(w->compiled);
    cJSON_Delete(w->simulated);
    cJSON_Delete(w->report);
    free(w->counters);
    free(w->source);
    free(w->parent_source);
    free(w);
}

work *evaluator_find(kds_evaluator *x, uint64_t tag)
{
    for (work *w = x->works; w; w = w->next)
        if (w->tag == tag)
            return w;
    return NULL;
}

static void remove_work(kds_evaluator *x, work *gone)
{
    for (work **at = &x->works; *at; at = &(*at)->next)
        if (*at == gone) {
            *at = gone->next;
            x->in_hand--;
            work_free(gone);
            return;
        }
}

void evaluator_fail(kds_evaluator *x, kds_code code, const char *message)
{
    if (x->error.code == KDS_OK)
        (void)kds_fail(&x->error, code, "%s", message);
}

kds_code evaluator_code(const char *name)
{
    for (int i = 1; i < KDS_CODE_COUNT; i++)
        if (strcmp(kds_code_name((kds_code)i), name) == 0)
            return (kds_code)i;
    return KDS_FAILED;
}

/* What passed on a GPU may have to fight. */
static void keep_code(kds_evaluator *x, work *w, const kds_stage *s)
{
    if (!x->card_count || s->verdict != KDS_VERDICT_OK || w->tag >= TAG_ARMS)
        return;
    evaluator_store(x, evaluator_key(w->source, w->len, w->parent_source), w->compiled);
    w->compiled = NULL;
}

bool evaluator_tell(kds_evaluator *x, work *w, kds_stage *s)
{
    s->tag = w->tag;
    s->plan = w->plan;
    s->seconds = kds_clock_monotonic() - w->started;
    w->started = kds_clock_monotonic();
    bool last = w->again || strcmp(s->stage, "judge") == 0;
    bool go_on =
        (w->tag == TAG_PROBE || x->o.stage(x->o.user, s)) && s->verdict == KDS_VERDICT_OK && !last;
    if (last)
        keep_code(x, w, s);
    if (!go_on)
        remove_work(x, w);
    return go_on;
}

/* The program to start workers from: this one, unless a test or an embedding program names another.
 */
static kds_code worker_program(char **out, kds_err *e)
{
    const char *named = getenv("KDASEARCH_BINARY");
    if (!named || !*named)
        return kds_self_path(out, e);
    if (!(*out = strdup(named)))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    return KDS_OK;
}

kds_code kds_evaluator_create(kds_evaluator **out, const kds_evaluator_options *o, kds_err *e)
{
    kds_evaluator *x = calloc(1, sizeof *x);
    if (!x)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    x->o = *o;
    x->arm_tags = TAG_ARMS;
    kds_code code = KDS_OK;
    if (kds_device_is_gpu(evaluator_device_setting(x)))
        code = evaluator_list_cards(x, e);
    if (code == KDS_OK)
        code = kds_device_arch(x->card_count ? x->cards[0].device : evaluator_device_setting(x),
                               x->arch, sizeof x->arch, e);
    if (code == KDS_OK)
        code = worker_program(&x->program, e);
    if (code == KDS_OK)
        code = evaluator_make_pools(x, e);
    if (code != KDS_OK) {
        kds_evaluator_close(x);
        return code;
    }
    *out = x;
    return KDS_OK;
}

void kds_evaluator_close(kds_evaluator *x)
{
    if (!x)
        return;
    kds_pool_close(x->compile);
    kds_pool_close(x->judge);
    kds_pool_close(x->safety);
    evaluator_cards_close(x);
    evaluator_bouts_close(x);
    while (x->works)
        remove_work(x, x->works);
    kds_compiled_free(x->baseline);
    kds_compiled_free(x->reference);
    free(x->program);
    free(x);
}

/* NULL: out of memory. */
static work *add_work(kds_evaluator *x, uint64_t tag, const char *source, size_t len,
                      const char *parent_source)
{
    work *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->tag = tag;
    w->len = len;
    w->started = kds_clock_monotonic();
    w->rank = -INFINITY;
    if ((w->source = calloc(1, len + 1))) /* a NUL in it is lint's to find */
        memcpy(w->source, source, len);
    w->parent_source = parent_source ? strdup(parent_source) : NULL;
    w->next = x->works;
    x->works = w;
    x->in_hand++;
    if (w->source && (w->parent_source || !parent_source))
        return w;
    remove_work(x, w);
    return NULL;
}

/* Lint, plan, and on to the compiler. */
static kds_code begin(kds_evaluator *x, work *w, kds_err *e)
{
    kds_finding f;
    kds_finding_clear(&f);
    kds_code code = kds_lint_source(w->source, w->len, &f, e);
    if (code == KDS_OK && f.verdict == KDS_VERDICT_OK)
        code = kds_plan_parse(&w->plan, x->o.task, w->source, w->len, w->parent_source, &f, e);
    if (code == KDS_OK && !w->plan) {
        kds_stage s = {
            .stage = f.stage, .verdict = f.verdict, .line = f.line, .message = f.text, .log = ""};
        (void)evaluator_tell(x, w, &s);
        return KDS_OK;
    }
    if (code == KDS_OK)
        code = evaluator_submit_compile(x, w, e);
    if (code != KDS_OK)
        remove_work(x, w);
    return code;
}

kds_code kds_evaluator_submit(kds_evaluator *x, uint64_t tag, const char *source, size_t len,
                              const char *parent_source, kds_err *e)
{
    work *w = add_work(x, tag, source, len, parent_source);
    return w ? begin(x, w, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

kds_code kds_evaluator_profile_again(kds_evaluator *x, uint64_t tag, const char *source, size_t len,
                                     const char *parent_source, cJSON *report, kds_err *e)
{
    kds_measures *counters = calloc((size_t)x->o.task->row_count, sizeof *counters);
    work *w = counters ? add_work(x, tag, source, len, parent_source) : NULL;
    if (!w) {
        free(counters);
        cJSON_Delete(report);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    w->again = true;
    w->report = report;
    w->counters = counters;
    return begin(x, w, e);
}

void kds_evaluator_rank(kds_evaluator *x, uint64_t tag, double rank)
{
    work *w = evaluator_find(x, tag);
    if (w)
        w->rank = rank;
}

int kds_evaluator_in_hand(const kds_evaluator *x)
{
    return x->in_hand;
}

/* All pools, NULL where there is none; gives how many places were used. */
static int list_pools(const kds_evaluator *x, kds_pool **out)
{
    int n = 0;
    out[n++] = x->compile;
    out[n++] = x->judge;
    out[n++] = x->safety;
    for (int i = 0; i < x->card_count; i++) {
        out[n++] = x->cards[i].judge;
        out[n++] = x->cards[i].profile;
    }
    return n;
}

#define POOLS_MAX (3 + 2 * KDS_CARDS_MAX)

int kds_evaluator_poll_set(const kds_evaluator *x, struct pollfd *fds, int room)
{
    kds_pool *pools[POOLS_MAX];
    int count = list_pools(x, pools), n = 0;
    for (int i = 0; i < count; i++)
        if (pools[i])
            n += kds_pool_poll_set(pools[i], fds + n, room - n);
    return n;
}

int kds_evaluator_timeout_ms(const kds_evaluator *x)
{
    kds_pool *pools[POOLS_MAX];
    int count = list_pools(x, pools), least = -1;
    for (int i = 0; i < count; i++) {
        int ms = pools[i] ? kds_pool_timeout_ms(pools[i]) : -1;
        if (ms >= 0 && (least < 0 || ms < least))
            least = ms;
    }
    return least;
}

static kds_code start_all(kds_evaluator *x, kds_err *e)
{
    kds_pool *pools[POOLS_MAX];
    kds_code code = evaluator_pump(x, e);
    int count = list_pools(x, pools);
    for (int i = 0; code == KDS_OK && i < count; i++)
        if (pools[i])
            code = kds_pool_start(pools[i], e);
    return code;
}

kds_code kds_evaluator_step(kds_evaluator *x, kds_err *e)
{
    kds_pool *pools[POOLS_MAX];
    kds_code code = start_all(x, e);
    int count = list_pools(x, pools);
    for (int i = 0; code == KDS_OK && i < count; i++)
        if (pools[i])
            kds_pool_step(pools[i]);
    if (code == KDS_OK && x->error.code != KDS_OK) {
        if (e)
            *e = x->error;
        return x->error.code;
    }
    return code == KDS_OK ? start_all(x, e) : code;
}

const char *kds_evaluator_device(const kds_evaluator *x)
{
    return x->device;
}

const char *kds_evaluator_fingerprint(const kds_evaluator *x)
{
    return x->fingerprint;
}

const char *kds_evaluator_kind(const kds_evaluator *x)
{
    return x->kind;
}

const char *kds_evaluator_model(const kds_evaluator *x)
{
    return x->card_count ? x->cards[0].model : "";
}

bool kds_evaluator_measures(const kds_evaluator *x)
{
    return x->card_count > 0;
}

bool kds_evaluator_counts(const kds_evaluator *x, const char **why_not)
{
    *why_not = x->no_counters;
    return !x->card_count || x->counts;
}

void kds_evaluator_forget_counters(kds_evaluator *x)
{
    x->counts = false;
}

double kds_evaluator_gpu_seconds(const kds_evaluator *x)
{
    double sum = 0;
    for (int kind = 0; kind < GPU_KINDS; kind++)
        sum += x->gpu_seconds[kind];
    return sum;
}

kds_code kds_evaluator_finish(kds_evaluator *x, kds_err *e)
{
    struct pollfd fds[1024];
    for (;;) {
        kds_code code = kds_evaluator_step(x, e);
        if (code != KDS_OK || !kds_evaluator_in_hand(x))
            return code;
        int n = kds_evaluator_poll_set(x, fds, 1024), timeout = kds_evaluator_timeout_ms(x);
        (void)poll(fds, (nfds_t)n, timeout < 0 || timeout > 1000 ? 1000 : timeout);
    }
}

static bool add_stats(cJSON *to, const char *key, int workers, int64_t jobs, double seconds)
{
    cJSON *o = cJSON_AddObjectToObject(to, key);
    return o && kds_json_add_int(o, "workers", workers) && kds_json_add_int(o, "jobs", jobs) &&
           kds_json_add_num(o, "seconds", seconds);
}

static bool add_pool(cJSON *to, const char *key, const kds_pool *p)
{
    int64_t jobs = 0;
    double seconds = 0;
    if (!p)
        return true;
    kds_pool_stats(p, &jobs, &seconds);
    return add_stats(to, key, kds_pool_workers(p), jobs, seconds);
}

cJSON *kds_evaluator_stats(const kds_evaluator *x)
{
    static const struct {
        const char *key;
        gpu_kind kind;
    } kinds[] = {{"judge", GPU_JUDGE}, {"profile", GPU_PROFILE}, {"duel", GPU_DUEL}};
    cJSON *o = cJSON_CreateObject();
    bool ok = o && add_pool(o, "compile", x->compile) && add_pool(o, "safety", x->safety) &&
              add_pool(o, "judge", x->judge);
    for (size_t i = 0; ok && x->card_count && i < sizeof kinds / sizeof *kinds; i++)
        ok = add_stats(o, kinds[i].key, x->card_count, x->gpu_jobs[kinds[i].kind],
                       x->gpu_seconds[kinds[i].kind]);
    if (ok && x->recoveries)
        ok = add_stats(o, "recovery", x->card_count, x->recoveries, x->recovery_seconds);
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}
