/* A candidate in hand is one `work`: it moves from plan to compile to judge, each stage told
 * through one callback. The two pools run side by side, so that while one candidate is judged the
 * next ones compile. */
#include "search/engine/evaluate.h"

#include "eval/device.h"
#include "eval/lint.h"
#include "search/base/clock.h"
#include "search/base/spawn.h"
#include "search/engine/pool.h"
#include "search/engine/program_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAG_BASELINE (UINT64_MAX - 1)
#define TAG_REFERENCE (UINT64_MAX - 2)
#define TAG_PROBE (UINT64_MAX - 3)
#define ANY_FILE_SIZE UINT64_MAX
#define FAULTS_MAX 3 /* candidates in a row whose workers died twice: the baseline is tried */

typedef struct work {
    uint64_t tag;
    char *source, *parent_source;
    size_t len;
    kds_plan *plan;
    kds_compiled *compiled;
    bool judging;
    int deaths;
    double started;
    struct work *next;
} work;

struct kds_evaluator {
    kds_evaluator_options o;
    char *program;
    kds_pool *compile, *judge;
    work *works;
    int in_hand;
    int faults;
    kds_compiled *baseline, *reference;
    char arch[16];
    char device[80], fingerprint[80];
    bool prepared; /* a judge worker has answered the greeting */
    kds_err error; /* what ended the work */
};

static void work_free(work *w)
{
    if (!w)
        return;
    kds_plan_free(w->plan);
    kds_compiled_free(w->compiled);
    free(w->source);
    free(w->parent_source);
    free(w);
}

static work *find_work(kds_evaluator *x, uint64_t tag)
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

static void fail_evaluator(kds_evaluator *x, kds_code code, const char *message)
{
    if (x->error.code == KDS_OK)
        (void)kds_fail(&x->error, code, "%s", message);
}

/* Tells a stage's end; false if the candidate is done with (and forgotten). */
static bool tell(kds_evaluator *x, work *w, kds_stage *s)
{
    s->tag = w->tag;
    s->plan = w->plan;
    s->seconds = kds_clock_monotonic() - w->started;
    w->started = kds_clock_monotonic();
    bool go_on = (w->tag == TAG_PROBE || x->o.stage(x->o.user, s)) &&
                 s->verdict == KDS_VERDICT_OK && strcmp(s->stage, "judge") != 0;
    if (!go_on)
        remove_work(x, w);
    return go_on;
}

static bool tell_finding(kds_evaluator *x, work *w, const kds_finding *f)
{
    kds_stage s = {
        .stage = f->stage, .verdict = f->verdict, .line = f->line, .message = f->text, .log = ""};
    return tell(x, w, &s);
}

static kds_code submit_judge(kds_evaluator *x, work *w, kds_err *e)
{
    kds_frame job;
    kds_frame_init(&job);
    kds_code code =
        kds_judge_candidate_job(&job, w->source, w->len, w->parent_source, w->compiled, e);
    if (code == KDS_OK)
        code = kds_pool_submit(x->judge, w->tag, &job, e);
    kds_frame_free(&job);
    w->judging = true;
    return code;
}

static kds_code submit_compile(kds_evaluator *x, work *w, kds_err *e)
{
    kds_frame job;
    kds_frame_init(&job);
    kds_code code = kds_compile_job(&job, w->source, w->len, x->arch, w->plan, e);
    if (code == KDS_OK)
        code = kds_pool_submit(x->compile, w->tag, &job, e);
    kds_frame_free(&job);
    return code;
}

/* Several candidates in a row have killed their workers: if the baseline does so too, the machine
 * is at fault and the work ends. */
static void probe(kds_evaluator *x)
{
    const char *source = x->o.task->baseline;
    kds_err err = {0};
    x->faults = 0;
    if (find_work(x, TAG_PROBE))
        return;
    kds_code code = kds_evaluator_submit(x, TAG_PROBE, source, strlen(source), NULL, &err);
    if (code != KDS_OK)
        fail_evaluator(x, code, err.message);
}

/* A worker died or ran out of time on this candidate. */
static void work_failed(kds_evaluator *x, work *w, kds_job_end end, const char *why)
{
    kds_err err = {0};
    kds_stage s = {.stage = w->judging ? "judge" : "compile", .log = ""};
    char text[400];
    if (end == KDS_JOB_TIMEOUT && !w->judging) {
        s.verdict = KDS_VERDICT_COMPILE_TIMEOUT;
        snprintf(text, sizeof text, "compilation did not end within %s",
                 kds_settings_text(x->o.settings, "compile-timeout"));
        s.message = text;
        (void)tell(x, w, &s);
        return;
    }
    if (++w->deaths < 2) {
        kds_code code = w->judging ? submit_judge(x, w, &err) : submit_compile(x, w, &err);
        if (code != KDS_OK)
            fail_evaluator(x, code, err.message);
        return;
    }
    if (w->tag == TAG_BASELINE || w->tag == TAG_REFERENCE || w->tag == TAG_PROBE) {
        snprintf(text, sizeof text, "%s workers fail again and again (%s)", s.stage,
                 end == KDS_JOB_TIMEOUT ? "time ran out" : why);
        fail_evaluator(x, KDS_WORKER, text);
        return;
    }
    if (w->judging)
        s.verdict = end == KDS_JOB_TIMEOUT ? KDS_VERDICT_TIMEOUT : KDS_VERDICT_DEVICE_FAULT;
    else
        s.verdict = KDS_VERDICT_COMPILE_FAILED;
    snprintf(text, sizeof text, "the %s worker %s on this source, twice", s.stage,
             end == KDS_JOB_TIMEOUT ? "ran out of time" : why);
    s.message = text;
    (void)tell(x, w, &s);
    if (++x->faults >= FAULTS_MAX)
        probe(x);
}

/* An answer that carries a program error rather than a verdict: {"ok": false, "code", "message"}.
 */
static bool is_error_answer(const kds_frame *reply)
{
    return !kds_json_bool(reply->header, "ok", false);
}

static void compile_done(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                         const char *why)
{
    kds_evaluator *x = user;
    work *w = find_work(x, tag);
    kds_finding f;
    kds_err err = {0};
    if (!w)
        return;
    if (end != KDS_JOB_REPLY) {
        work_failed(x, w, end, why);
        return;
    }
    kds_finding_clear(&f);
    kds_code code = kds_compile_reply(&w->compiled, reply, &f, &err);
    if (code != KDS_OK) {
        if (code == KDS_NOT_FOUND || code == KDS_NO_DEVICE)
            fail_evaluator(x, code, err.message);
        else
            work_failed(x, w, KDS_JOB_DIED, err.message);
        return;
    }
    x->faults = 0;
    if (!w->compiled) {
        kds_finding told = f;
        if (kds_plan_is_inherited(w->plan))
            kds_finding_set(&told, f.verdict, f.stage, f.line,
                            "the source has no #pragma kda launch, so its parent's plan was used, "
                            "kernel names included: %s",
                            f.text);
        (void)tell_finding(x, w, &told);
        return;
    }
    kds_stage s = {.stage = "compile",
                   .verdict = KDS_VERDICT_OK,
                   .message = "",
                   .log = w->compiled->log ? w->compiled->log : "",
                   .compiled = w->compiled};
    if ((code = kds_program_id(w->plan, x->o.task, w->compiled, &s.program, &err)) != KDS_OK) {
        fail_evaluator(x, code, err.message);
        return;
    }
    if (tell(x, w, &s) && (code = submit_judge(x, w, &err)) != KDS_OK)
        fail_evaluator(x, code, err.message);
}

static const char *device_of(const kds_evaluator *x)
{
    return kds_settings_text(x->o.settings, "device");
}

/* The answer to the greeting: which device this is. */
static void greeting_done(kds_evaluator *x, const kds_frame *reply)
{
    if (is_error_answer(reply)) {
        const char *name = kds_json_str(reply->header, "code", "FAILED");
        kds_code code = KDS_FAILED;
        for (int i = 1; i < KDS_CODE_COUNT; i++)
            if (strcmp(kds_code_name((kds_code)i), name) == 0)
                code = (kds_code)i;
        fail_evaluator(x, code, kds_json_str(reply->header, "message", "the judge gave no reason"));
        return;
    }
    const char *fingerprint = kds_json_str(reply->header, "fingerprint", "");
    if (x->fingerprint[0] && strcmp(x->fingerprint, fingerprint) != 0) {
        fail_evaluator(x, KDS_DEVICE_LOST,
                       "the device's fingerprint changed while the campaign ran");
        return;
    }
    snprintf(x->fingerprint, sizeof x->fingerprint, "%s", fingerprint);
    snprintf(x->device, sizeof x->device, "%s",
             kds_json_str(kds_json_at(reply->header, "baseline"), "device", device_of(x)));
    x->prepared = true;
}

static void judge_done(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                       const char *why)
{
    kds_evaluator *x = user;
    if (tag == UINT64_MAX) {
        char text[300];
        snprintf(text, sizeof text, "a judge worker could not get ready: it %s", why);
        if (end == KDS_JOB_REPLY)
            greeting_done(x, reply);
        else
            fail_evaluator(x, KDS_WORKER, text);
        return;
    }
    work *w = find_work(x, tag);
    if (!w || x->error.code != KDS_OK)
        return;
    if (end != KDS_JOB_REPLY) {
        work_failed(x, w, end, why);
        return;
    }
    if (is_error_answer(reply)) {
        work_failed(x, w, KDS_JOB_DIED, kds_json_str(reply->header, "message", "failed"));
        return;
    }
    x->faults = 0;
    const cJSON *report = kds_json_at(reply->header, "report");
    kds_stage s = {.stage = "judge", .log = "", .report = report};
    if (!kds_verdict_parse(kds_json_str(report, "verdict", ""), &s.verdict)) {
        work_failed(x, w, KDS_JOB_DIED, "the judge's report has no verdict");
        return;
    }
    s.message = kds_json_str(report, "message", "");
    s.line = (int)kds_json_int(report, "line", 0);
    (void)tell(x, w, &s);
}

static int worker_count(const kds_settings *settings)
{
    int n = (int)kds_settings_int(settings, "workers");
    if (n > 0)
        return n;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > KDS_POOL_WORKERS ? KDS_POOL_WORKERS : (int)cores;
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

/* One worker holds a GPU; on the simulator there is one for each core. Where there is a driver,
 * NVRTC opens it too, and it reserves as many addresses as all GPUs have memory: there, what can be
 * written is limited instead of addresses. */
static kds_code make_pools(kds_evaluator *x, kds_err *e)
{
    const kds_settings *s = x->o.settings;
    bool gpu = kds_device_is_gpu(device_of(x));
    bool driver = gpu || access("/dev/nvidiactl", F_OK) == 0;
    uint64_t memory = (uint64_t)kds_settings_int(s, "worker-memory") << 20;
    kds_pool_options p = {.program = x->program,
                          .command = "worker-compile",
                          .workers = worker_count(s),
                          .memory_bytes = driver ? 0 : memory,
                          .data_bytes = driver ? memory : 0,
                          .job_seconds = kds_settings_double(s, "compile-timeout"),
                          .start_seconds = kds_settings_double(s, "compile-timeout"),
                          .done = compile_done,
                          .user = x};
    kds_code code = kds_pool_create(&x->compile, &p, e);
    p.command = "worker-judge";
    p.job_seconds = p.start_seconds = kds_settings_double(s, "judge-timeout");
    p.done = judge_done;
    if (gpu) {
        p.workers = 1;
        p.file_bytes = ANY_FILE_SIZE; /* the driver may keep files of its own */
    }
    return code == KDS_OK ? kds_pool_create(&x->judge, &p, e) : code;
}

kds_code kds_evaluator_create(kds_evaluator **out, const kds_evaluator_options *o, kds_err *e)
{
    kds_evaluator *x = calloc(1, sizeof *x);
    if (!x)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    x->o = *o;
    kds_code code = kds_device_arch(device_of(x), x->arch, sizeof x->arch, e);
    if (code == KDS_OK)
        code = worker_program(&x->program, e);
    if (code == KDS_OK)
        code = make_pools(x, e);
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
    while (x->works)
        remove_work(x, x->works);
    kds_compiled_free(x->baseline);
    kds_compiled_free(x->reference);
    free(x->program);
    free(x);
}

kds_code kds_evaluator_submit(kds_evaluator *x, uint64_t tag, const char *source, size_t len,
                              const char *parent_source, kds_err *e)
{
    kds_finding f;
    kds_finding_clear(&f);
    work *w = calloc(1, sizeof *w);
    if (!w)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    w->tag = tag;
    w->len = len;
    w->started = kds_clock_monotonic();
    w->source = strndup(source, len);
    w->parent_source = parent_source ? strdup(parent_source) : NULL;
    w->next = x->works;
    x->works = w;
    x->in_hand++;
    kds_code code = w->source ? kds_lint_source(source, len, &f, e)
                              : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK && f.verdict == KDS_VERDICT_OK)
        code = kds_plan_parse(&w->plan, x->o.task, source, len, parent_source, &f, e);
    if (code == KDS_OK && !w->plan) {
        (void)tell_finding(x, w, &f);
        return KDS_OK;
    }
    if (code == KDS_OK)
        code = submit_compile(x, w, e);
    if (code != KDS_OK)
        remove_work(x, w);
    return code;
}

int kds_evaluator_in_hand(const kds_evaluator *x)
{
    return x->in_hand;
}

int kds_evaluator_poll_set(const kds_evaluator *x, struct pollfd *fds, int room)
{
    int n = kds_pool_poll_set(x->compile, fds, room);
    return n + kds_pool_poll_set(x->judge, fds + n, room - n);
}

int kds_evaluator_timeout_ms(const kds_evaluator *x)
{
    int a = kds_pool_timeout_ms(x->compile), b = kds_pool_timeout_ms(x->judge);
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

kds_code kds_evaluator_step(kds_evaluator *x, kds_err *e)
{
    kds_code code = kds_pool_start(x->compile, e);
    if (code == KDS_OK)
        code = kds_pool_start(x->judge, e);
    if (code != KDS_OK)
        return code;
    kds_pool_step(x->compile);
    kds_pool_step(x->judge);
    if (x->error.code != KDS_OK) {
        if (e)
            *e = x->error;
        return x->error.code;
    }
    if ((code = kds_pool_start(x->compile, e)) == KDS_OK)
        code = kds_pool_start(x->judge, e);
    return code;
}

const char *kds_evaluator_device(const kds_evaluator *x)
{
    return x->device;
}

const char *kds_evaluator_fingerprint(const kds_evaluator *x)
{
    return x->fingerprint;
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
    work *w = find_work(p->x, s->tag);
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

/* Sets what every new judge worker is told first. */
static kds_code set_greeting(kds_evaluator *x, kds_err *e)
{
    kds_frame greeting;
    kds_frame_init(&greeting);
    bool alone = x->o.one_by_one || kds_device_is_gpu(device_of(x));
    kds_judge_options o = {
        .device = device_of(x),
        .gate_seed = x->o.gate_seed,
        .seeds = (int)kds_settings_int(x->o.settings, "gate-seeds"),
        .only_safety = x->o.only_safety,
        .threads = alone ? worker_count(x->o.settings) : 1,
        .confine = !kds_device_is_gpu(device_of(x)) ||
                   strcmp(kds_settings_text(x->o.settings, "gpu-confinement"), "on") == 0};
    kds_code code =
        kds_judge_prepare_job(&greeting, x->o.task->dir, &o, x->baseline, x->reference, e);
    if (code == KDS_OK)
        code = kds_pool_greet(x->judge, &greeting, e);
    kds_frame_free(&greeting);
    return code;
}

/* Greets a judge worker with the task and waits for its answer. */
static kds_code prepare_judge(kds_evaluator *x, kds_err *e)
{
    kds_code code = set_greeting(x, e);
    if (code == KDS_OK)
        code = kds_pool_wake(x->judge, e);
    while (code == KDS_OK && !x->prepared)
        code = wait_step(x, e);
    return code;
}

kds_code kds_evaluator_move(kds_evaluator *x, const kds_task *task, kds_err *e)
{
    x->o.task = task;
    return set_greeting(x, e);
}

kds_code kds_evaluator_prepare(kds_evaluator *x, kds_err *e)
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
    return code == KDS_OK ? prepare_judge(x, e) : code;
}
