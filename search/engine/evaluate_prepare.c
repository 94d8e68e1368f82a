/* Before the first candidate: pools of workers, what each new worker is told, and the task's own
 * kernels, compiled once and proved on every device. */
#include "search/engine/evaluate_internal.h"

#include "eval/cuda/profile_job.h"
#include "eval/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANY_FILE_SIZE UINT64_MAX

const char *evaluator_device_setting(const kds_evaluator *x)
{
    return kds_settings_text(x->o.settings, "device");
}

/* Workers of one kind. Beside a GPU two kinds run at once, and what is timed there wants a core of
 * its own. */
static int worker_count(const kds_evaluator *x)
{
    int n = (int)kds_settings_int(x->o.settings, "workers");
    if (n > 0)
        return n;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (x->card_count)
        cores = cores / 2 - x->card_count;
    return cores < 1 ? 1 : cores > KDS_POOL_WORKERS ? KDS_POOL_WORKERS : (int)cores;
}

/* Where there is a driver, NVRTC opens it too, and it reserves as many addresses as all GPUs have
 * memory: there, what can be written is limited instead of addresses. */
static kds_pool_options pool_options(kds_evaluator *x, const char *command, const char *timeout,
                                     kds_job_fn *done)
{
    const kds_settings *s = x->o.settings;
    bool driver = x->card_count > 0 || access("/dev/nvidiactl", F_OK) == 0;
    uint64_t memory = (uint64_t)kds_settings_int(s, "worker-memory") << 20;
    double seconds = kds_settings_double(s, timeout);
    return (kds_pool_options){.program = x->program,
                              .command = command,
                              .workers = worker_count(x),
                              .memory_bytes = driver ? 0 : memory,
                              .data_bytes = driver ? memory : 0,
                              .job_seconds = seconds,
                              .start_seconds = seconds,
                              .done = done,
                              .user = x};
}

static kds_code make_card_pools(kds_evaluator *x, card *c, kds_err *e)
{
    kds_pool_options p = pool_options(x, "worker-judge", "judge-timeout", evaluator_card_judge);
    p.workers = 1;
    p.file_bytes = ANY_FILE_SIZE; /* the driver may keep files of its own */
    p.user = c;
    kds_code code = kds_pool_create(&c->judge, &p, e);
    p.command = "worker-profile";
    p.done = evaluator_card_profile;
    return code == KDS_OK ? kds_pool_create(&c->profile, &p, e) : code;
}

kds_code evaluator_make_pools(kds_evaluator *x, kds_err *e)
{
    kds_pool_options p = pool_options(x, "worker-compile", "compile-timeout", evaluator_compiled);
    kds_code code = kds_pool_create(&x->compile, &p, e);
    p = pool_options(x, "worker-judge", "judge-timeout",
                     x->card_count ? evaluator_checked : evaluator_sim_judged);
    if (x->o.one_by_one && x->card_count)
        p.workers = 1; /* it may use every core */
    if (code == KDS_OK)
        code = kds_pool_create(x->card_count ? &x->safety : &x->judge, &p, e);
    for (int i = 0; code == KDS_OK && i < x->card_count; i++)
        code = make_card_pools(x, &x->cards[i], e);
    return code;
}

/* ---- Greetings ---- */

static kds_code greet_judge(kds_evaluator *x, kds_pool *pool, const char *device, bool safety,
                            kds_err *e)
{
    kds_frame greeting;
    bool gpu = kds_device_is_gpu(device);
    kds_judge_options o = {
        .device = device,
        .gate_seed = x->o.gate_seed,
        .seeds = (int)kds_settings_int(x->o.settings, "gate-seeds"),
        .only_safety = safety || x->o.only_safety,
        .forecast = safety && x->o.forecast,
        .proven = gpu && x->prepared,
        .threads = x->o.one_by_one ? worker_count(x) : 1,
        .confine = !gpu || strcmp(kds_settings_text(x->o.settings, "gpu-confinement"), "on") == 0};
    kds_frame_init(&greeting);
    kds_code code =
        kds_judge_prepare_job(&greeting, x->o.task->dir, &o, x->baseline, x->reference, e);
    if (code == KDS_OK)
        code = kds_pool_greet(pool, &greeting, e);
    kds_frame_free(&greeting);
    return code;
}

static kds_code greet_profiler(kds_evaluator *x, card *c, kds_err *e)
{
    kds_frame greeting;
    kds_profile_request r = {
        .device = c->device, .task_dir = x->o.task->dir, .self_test = !x->prepared};
    kds_code code = kds_profile_open_job(&greeting, &r, e);
    if (code == KDS_OK)
        code = kds_pool_greet(c->profile, &greeting, e);
    kds_frame_free(&greeting);
    return code;
}

kds_code evaluator_greet(kds_evaluator *x, kds_err *e)
{
    kds_code code = KDS_OK;
    if (!x->card_count)
        return greet_judge(x, x->judge, evaluator_device_setting(x), false, e);
    code = greet_judge(x, x->safety, kds_device_safety(x->cards[0].model, x->arch), true, e);
    for (int i = 0; code == KDS_OK && i < x->card_count; i++) {
        code = greet_judge(x, x->cards[i].judge, x->cards[i].device, false, e);
        if (code == KDS_OK)
            code = greet_profiler(x, &x->cards[i], e);
    }
    return code;
}

kds_code kds_evaluator_move(kds_evaluator *x, const kds_task *task, kds_err *e)
{
    x->o.task = task;
    return evaluator_greet(x, e);
}

/* The simulator's judge: the answer to the greeting tells which device it is. */
static void sim_greeted(kds_evaluator *x, kds_job_end end, const kds_frame *reply, const char *why)
{
    char text[300];
    if (end != KDS_JOB_REPLY && x->prepared)
        return; /* its job has died with it, which counts */
    if (end != KDS_JOB_REPLY) {
        snprintf(text, sizeof text, "a judge worker could not get ready: it %s", why);
        evaluator_fail(x, KDS_WORKER, text);
        return;
    }
    const cJSON *h = reply->header;
    if (!kds_json_bool(h, "ok", false)) {
        evaluator_fail(x, evaluator_code(kds_json_str(h, "code", "FAILED")),
                       kds_json_str(h, "message", "the judge gave no reason"));
        return;
    }
    const char *fingerprint = kds_json_str(h, "fingerprint", "");
    if (x->fingerprint[0] && strcmp(x->fingerprint, fingerprint) != 0) {
        evaluator_fail(x, KDS_DEVICE_LOST,
                       "the device's fingerprint changed while the campaign ran");
        return;
    }
    snprintf(x->fingerprint, sizeof x->fingerprint, "%s", fingerprint);
    snprintf(x->kind, sizeof x->kind, "%s", kds_json_str(h, "kind", ""));
    snprintf(x->device, sizeof x->device, "%s", kds_json_str(h, "device", ""));
}

void evaluator_sim_judged(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                          const char *why)
{
    kds_evaluator *x = user;
    if (tag == TAG_GREETING)
        sim_greeted(x, end, reply, why);
    else
        evaluator_judged(x, tag, end, reply, why);
}

/* ---- Preparing: the task's own kernels ---- */

typedef struct preparing {
    kds_evaluator *x;
    kds_stage_fn *stage; /* of the owner, put back afterwards */
    void *user;
    char problem[1200];
} preparing;

/* Takes the compiled task kernels out of the pipeline before they would be judged. */
static bool prepare_stage(void *user, const kds_stage *s)
{
    preparing *p = user;
    const char *what = s->tag == TAG_BASELINE ? "baseline/kernel.cu" : "reference/kernel.cu";
    if (s->verdict != KDS_VERDICT_OK) {
        snprintf(p->problem, sizeof p->problem, "%s/%s:%d: %s: %.600s\n%.400s", p->x->o.task->dir,
                 what, s->line, kds_verdict_name(s->verdict), s->message, s->log ? s->log : "");
        return false;
    }
    work *w = evaluator_find(p->x, s->tag);
    kds_compiled **slot = s->tag == TAG_BASELINE ? &p->x->baseline : &p->x->reference;
    if (w && strcmp(s->stage, "compile") == 0) {
        *slot = w->compiled;
        w->compiled = NULL;
    }
    return false;
}

static kds_code wait_step(kds_evaluator *x, kds_err *e)
{
    struct pollfd fds[2 * KDS_POOL_WORKERS];
    int n = kds_evaluator_poll_set(x, fds, 2 * KDS_POOL_WORKERS);
    int timeout = kds_evaluator_timeout_ms(x);
    if (poll(fds, (nfds_t)n, timeout < 0 || timeout > 1000 ? 1000 : timeout) < 0)
        return KDS_OK; /* interrupted */
    return kds_evaluator_step(x, e);
}

static kds_code compile_own(kds_evaluator *x, kds_err *e)
{
    preparing p = {.x = x, .stage = x->o.stage, .user = x->o.user};
    const kds_task *t = x->o.task;
    x->o.stage = prepare_stage;
    x->o.user = &p;
    kds_code code =
        kds_evaluator_submit(x, TAG_BASELINE, t->baseline, strlen(t->baseline), NULL, e);
    if (code == KDS_OK && t->reference)
        code = kds_evaluator_submit(x, TAG_REFERENCE, t->reference, strlen(t->reference), NULL, e);
    if (code == KDS_OK)
        code = kds_evaluator_step(x, e);
    while (code == KDS_OK && x->in_hand && !p.problem[0])
        code = wait_step(x, e);
    x->o.stage = p.stage;
    x->o.user = p.user;
    if (code == KDS_OK && p.problem[0])
        code = kds_fail(e, KDS_INVALID, "%s", p.problem);
    if (code == KDS_OK && (!x->baseline || (t->reference && !x->reference)))
        code = kds_fail(e, KDS_FAILED, "the task's kernels were not compiled");
    return code;
}

/* True when every device has answered. */
static bool all_answered(const kds_evaluator *x)
{
    if (!x->card_count)
        return x->fingerprint[0] != '\0';
    for (int i = 0; i < x->card_count; i++)
        if (!x->cards[i].ready || !x->cards[i].told)
            return false;
    return true;
}

/* Judges first: a profiler would disturb the times by which the baseline is proved. */
static kds_code wake_all(kds_evaluator *x, kds_err *e)
{
    kds_code code = x->card_count ? KDS_OK : kds_pool_wake(x->judge, e);
    for (int i = 0; code == KDS_OK && i < x->card_count; i++)
        code = kds_pool_wake(x->cards[i].ready ? x->cards[i].profile : x->cards[i].judge, e);
    return code;
}

/* What all cards are together. */
static kds_code describe_cards(kds_evaluator *x, kds_err *e)
{
    size_t used = 0;
    kds_hasher *h = kds_hasher_create();
    if (!h)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    x->counts = true;
    for (int i = 0; i < x->card_count; i++) {
        const card *c = &x->cards[i];
        if (strcmp(c->kind, x->cards[0].kind) != 0) {
            kds_hasher_free(h);
            return kds_fail(e, KDS_USAGE,
                            "%s and %s differ in model, clocks or software: cards of one campaign "
                            "must be alike",
                            x->cards[0].device, c->device);
        }
        used += (size_t)snprintf(x->device + used, sizeof x->device - used, "%s%s", i ? "," : "",
                                 c->device);
        kds_hasher_add(h, c->fingerprint, strlen(c->fingerprint));
    }
    x->counts = x->no_counters[0] == '\0';
    snprintf(x->kind, sizeof x->kind, "%s", x->cards[0].kind);
    if (x->card_count == 1)
        snprintf(x->fingerprint, sizeof x->fingerprint, "%s", x->cards[0].fingerprint);
    else
        kds_id_format(kds_hasher_id(h), x->fingerprint);
    kds_hasher_free(h);
    return KDS_OK;
}

kds_code kds_evaluator_prepare(kds_evaluator *x, kds_err *e)
{
    kds_code code = compile_own(x, e);
    if (code == KDS_OK)
        code = evaluator_greet(x, e);
    while (code == KDS_OK && !all_answered(x)) {
        code = wake_all(x, e);
        if (code == KDS_OK)
            code = wait_step(x, e);
    }
    if (code == KDS_OK && x->card_count)
        code = describe_cards(x, e);
    x->prepared = code == KDS_OK;
    return code == KDS_OK ? evaluator_greet(x, e) : code; /* from now on it is proven */
}
