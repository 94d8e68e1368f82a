/* Running a proof. The baseline, the seeds and the mutations are candidates like any other, all in
 * hand at once; as soon as the baseline is compiled, its rows go to prove workers. What comes back
 * is gathered here and judged by prove_rules.c. */
#include "search/engine/prove_internal.h"

#include "eval/device.h"
#include "eval/prove.h"
#include "eval/task_lint.h"
#include "search/base/spawn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAG_MUTATION 1000u /* of candidates; below: the baseline (0) and the seeds */
#define TAG_INPUTS 1000u   /* of rows of the baseline: the inputs are changed */
#define TAG_SEED 2000u     /* of rows: of the first seed; 1000 more for each further one */

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

void kds_proof_add(kds_proof *p, const char *level, const char *where, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cJSON *o = cJSON_CreateObject();
    if (o && kds_json_add_str(o, "level", level) && kds_json_add_str(o, "where", where) &&
        kds_json_add_str(o, "text", text) && cJSON_AddItemToArray(p->findings, o))
        return;
    cJSON_Delete(o);
    if (p->error.code == KDS_OK)
        (void)no_memory(&p->error);
}

static kds_code submit_job(kds_proof *p, uint64_t tag, const kds_prove_options *o,
                           const kds_compiled *compiled, kds_err *e)
{
    kds_frame job;
    kds_frame_init(&job);
    kds_code code = kds_prove_job(&job, p->task->dir, o, compiled, e);
    if (code == KDS_OK)
        code = kds_pool_submit(p->pool, tag, &job, e);
    kds_frame_free(&job);
    return code;
}

/* One row of the baseline. */
static kds_code submit_row(kds_proof *p, int row, const char *inputs, kds_err *e)
{
    const kds_prove_options o = {.device = p->sim, .arch = p->arch, .row = row, .inputs = inputs};
    return submit_job(p, (uint64_t)row + (inputs ? TAG_INPUTS : 0), &o, p->baseline, e);
}

/* Tries inputs on the next quick row. */
static kds_code submit_inputs(kds_proof *p, const char *inputs, kds_err *e)
{
    for (; p->next_row < p->task->row_count; p->next_row++) {
        uint64_t bytes = 0;
        if (p->task->rows[p->next_row].set != KDS_ROWS_QUICK)
            continue;
        kds_code code = kds_prove_bytes(p->task, p->next_row, &bytes, e);
        if (code != KDS_OK)
            return code;
        if (bytes <= KDS_PROVE_INPUTS_MOST)
            return submit_row(p, p->next_row++, inputs, e);
    }
    return KDS_OK;
}

static kds_code copy_compiled(const kds_compiled *from, kds_compiled **out, kds_err *e)
{
    kds_frame f;
    kds_frame_init(&f);
    f.header = cJSON_CreateObject();
    kds_code code = f.header ? kds_compiled_pack(&f, "c", from, e) : no_memory(e);
    if (code == KDS_OK)
        code = kds_compiled_unpack(&f, "c", out, e);
    kds_frame_free(&f);
    return code;
}

/* Does the bytes formula give less than the row's buffers hold? */
static kds_code is_doubtful(const kds_proof *p, int row, bool *doubtful, kds_err *e)
{
    kds_scope scope = p->task->rows[row].scope;
    double held = 0, formula = 0;
    kds_code code = kds_task_moved(p->task, row, NULL, &held, e);
    if (code == KDS_OK)
        code = kds_expr_eval_double(p->task->bytes, kds_scope_lookup, &scope, &formula, e);
    *doubtful = formula < held;
    return code;
}

/* Is the row one that is run whole to be counted? Of a quick proof the quick rows are, and small
 * ones whose formula needs it. */
static kds_code is_counted(const kds_proof *p, int row, bool *counted, kds_err *e)
{
    uint64_t bytes = 0;
    bool wanted = !p->o.quick || p->task->rows[row].set == KDS_ROWS_QUICK;
    kds_code code = kds_prove_bytes(p->task, row, &bytes, e);
    if (code == KDS_OK && !wanted && bytes <= KDS_PROVE_INPUTS_MOST)
        code = is_doubtful(p, row, &wanted, e);
    *counted = wanted && bytes <= KDS_PROVE_COUNT_MOST;
    return code;
}

/* The baseline is compiled: one job for each row that can be proven, and all inputs on the first.
 */
static kds_code submit_rows(kds_proof *p, const kds_compiled *baseline, kds_err *e)
{
    kds_code code = copy_compiled(baseline, &p->baseline, e);
    if (code == KDS_OK && !p->o.skip_inputs)
        code = submit_inputs(p, KDS_PROVE_ALL, e);
    for (int row = 0; row < p->task->row_count && code == KDS_OK; row++) {
        bool counted = false;
        code = is_counted(p, row, &counted, e);
        if (code == KDS_OK && counted)
            code = submit_row(p, row, NULL, e);
    }
    return code;
}

/* A seed is compiled: its work on the same rows. */
static kds_code submit_seed(kds_proof *p, int seed, const kds_compiled *compiled, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int row = 0; row < p->task->row_count && code == KDS_OK; row++) {
        const kds_prove_options o = {
            .device = p->sim, .arch = p->arch, .row = row, .kernel = seed + 1};
        bool counted = false;
        code = is_counted(p, row, &counted, e);
        if (code == KDS_OK && counted)
            code =
                submit_job(p, TAG_SEED + 1000u * (unsigned)seed + (unsigned)row, &o, compiled, e);
    }
    return code;
}

/* A stage before the judge ended it: a report of the same form. */
static cJSON *stage_report(const kds_stage *s)
{
    cJSON *o = s->report ? cJSON_Duplicate(s->report, true) : cJSON_CreateObject();
    if (!o || s->report)
        return o;
    (void)kds_json_add_str(o, "verdict", kds_verdict_name(s->verdict));
    (void)kds_json_add_str(o, "stage", s->stage);
    (void)kds_json_add_str(o, "message", s->message);
    (void)kds_json_add_int(o, "line", s->line);
    return o;
}

static bool gather_kernel(kds_proof *p, const kds_stage *s)
{
    char file[100] = "baseline/kernel.cu";
    cJSON *report = stage_report(s);
    if (s->tag > 0)
        snprintf(file, sizeof file, "seeds/%.80s.cu", p->task->seeds[s->tag - 1].name);
    cJSON_Delete(p->kernel_at[s->tag]);
    p->kernel_at[s->tag] = report;
    return report && kds_json_add_str(report, "file", file);
}

/* Is this how the gate refuses a kernel that runs and is wrong? */
static bool is_refusal(kds_verdict v)
{
    return v == KDS_VERDICT_WRONG || v == KDS_VERDICT_NONDETERMINISTIC ||
           v == KDS_VERDICT_WROTE_OUTSIDE || v == KDS_VERDICT_CHANGED_INPUT ||
           v == KDS_VERDICT_STALE_OUTPUT || v == KDS_VERDICT_UNSAFE || v == KDS_VERDICT_TIMEOUT ||
           v == KDS_VERDICT_LAUNCH_FAILED;
}

static bool gather_mutation(kds_proof *p, const kds_stage *s)
{
    const kds_mutation *m = &p->mutations->items[s->tag - TAG_MUTATION];
    cJSON **slot = &p->mutation_at[s->tag - TAG_MUTATION], *o = cJSON_CreateObject();
    const char *stage = s->report ? kds_json_str(s->report, "stage", "") : s->stage;
    cJSON_Delete(*slot);
    *slot = o;
    return o && kds_json_add_str(o, "what", m->what) &&
           kds_json_add_int(o, "number", (int64_t)(s->tag - TAG_MUTATION) + 1) &&
           kds_json_add_str(o, "verdict", kds_verdict_name(s->verdict)) &&
           kds_json_add_str(o, "stage", stage) && kds_json_add_str(o, "message", s->message) &&
           kds_json_add_bool(o, "refused", is_refusal(s->verdict));
}

static bool gather_stage(void *user, const kds_stage *s)
{
    kds_proof *p = user;
    kds_err err = {0};
    bool last = s->verdict != KDS_VERDICT_OK || s->report, ok = true;
    if (s->tag == 0 && !last && s->compiled)
        ok = submit_rows(p, s->compiled, &err) == KDS_OK;
    else if (s->tag < TAG_MUTATION && !last && s->compiled)
        ok = submit_seed(p, (int)s->tag - 1, s->compiled, &err) == KDS_OK;
    if (last)
        ok = s->tag >= TAG_MUTATION ? gather_mutation(p, s) : gather_kernel(p, s);
    if (!ok && p->error.code == KDS_OK) {
        if (err.code == KDS_OK)
            (void)no_memory(&err);
        p->error = err;
    }
    return true;
}

/* What a row showed of the inputs; those without an effect go on to the next row. */
static kds_code take_inputs(kds_proof *p, const cJSON *result, kds_err *e)
{
    const cJSON *x = NULL;
    kds_buf left;
    kds_buf_init(&left, 8192);
    kds_code code = kds_proof_join(p, result, e);
    cJSON_ArrayForEach(x, p->inputs)
    {
        if (cJSON_IsFalse(kds_json_at(x, "effect")))
            kds_buf_printf(&left, "%s%s", left.len ? "," : "", kds_json_str(x, "name", ""));
    }
    bool none = cJSON_GetArraySize(p->inputs) == 0; /* the row did not run */
    if (code == KDS_OK && (left.len || none))
        code = kds_buf_check(&left, "names of inputs", e);
    if (code == KDS_OK && (left.len || none))
        code = submit_inputs(p, none ? KDS_PROVE_ALL : left.data, e);
    kds_buf_free(&left);
    return code;
}

/* What a seed computed on a row, under the row's name; nothing where it did not run. */
static kds_code take_seed(kds_proof *p, const char *seed, const cJSON *result, kds_err *e)
{
    const cJSON *work = kds_json_at(result, "work");
    cJSON *o = work ? cJSON_Duplicate(work, true) : NULL;
    if (!work)
        return KDS_OK;
    if (o && kds_json_add_str(o, "row", kds_json_str(result, "row", "")) &&
        kds_json_add_str(o, "seed", seed) && cJSON_AddItemToArray(p->seed_work, o))
        return KDS_OK;
    cJSON_Delete(o);
    return no_memory(e);
}

static kds_code take_row(kds_proof *p, uint64_t row, const cJSON *result, kds_err *e)
{
    cJSON_Delete(p->row_at[row]);
    p->row_at[row] = cJSON_Duplicate(result, true);
    return p->row_at[row] ? KDS_OK : no_memory(e);
}

/* A row's worker has answered, or not. */
static void row_done(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                     const char *why)
{
    kds_proof *p = user;
    const char *row = p->task->rows[tag % 1000].id;
    const cJSON *result = end == KDS_JOB_REPLY ? kds_json_at(reply->header, "result") : NULL;
    kds_err err = {0};
    kds_code code = KDS_OK;
    if (result && tag >= TAG_SEED)
        code = take_seed(p, p->task->seeds[(tag - TAG_SEED) / 1000].name, result, &err);
    else if (result && tag >= TAG_INPUTS)
        code = take_inputs(p, result, &err);
    else if (result)
        code = take_row(p, tag, result, &err);
    else if (end == KDS_JOB_REPLY)
        kds_proof_add(p, "error", row, "could not be proven: %s",
                      kds_json_str(reply->header, "message", "the worker gave no reason"));
    else
        kds_proof_add(p, "error", row, "could not be proven: the worker %s",
                      end == KDS_JOB_TIMEOUT ? "ran out of time (--judge-timeout)" : why);
    if (code != KDS_OK && p->error.code == KDS_OK)
        p->error = err;
}

static kds_code open_pool(kds_proof *p, kds_err *e)
{
    const char *named = getenv("KDASEARCH_BINARY");
    kds_code code = KDS_OK;
    if (!named || !*named)
        code = kds_self_path(&p->program, e);
    else if (!(p->program = strdup(named)))
        code = no_memory(e);
    if (code != KDS_OK)
        return code;
    int workers = (int)kds_settings_int(p->settings, "workers");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    bool driver = access("/dev/nvidiactl", F_OK) == 0; /* as for compile workers: evaluate.c */
    uint64_t memory = (uint64_t)kds_settings_int(p->settings, "worker-memory") << 20;
    const kds_pool_options o = {.program = p->program,
                                .command = "worker-prove",
                                .workers = workers > 0                ? workers
                                           : cores < 1                ? 1
                                           : cores > KDS_POOL_WORKERS ? KDS_POOL_WORKERS
                                                                      : (int)cores,
                                .memory_bytes = driver ? 0 : memory,
                                .data_bytes = driver ? memory : 0,
                                .job_seconds = kds_settings_double(p->settings, "judge-timeout"),
                                .start_seconds = kds_settings_double(p->settings, "judge-timeout"),
                                .done = row_done,
                                .user = p};
    return kds_pool_create(&p->pool, &o, e);
}

static kds_code submit_source(kds_proof *p, uint64_t tag, const char *source, kds_err *e)
{
    return kds_evaluator_submit(p->evaluator, tag, source, strlen(source), NULL, e);
}

static kds_code submit_all(kds_proof *p, kds_err *e)
{
    const kds_task *t = p->task;
    kds_code code = submit_source(p, 0, t->baseline, e);
    for (int i = 0; i < t->seed_count && code == KDS_OK; i++)
        code = submit_source(p, (uint64_t)i + 1, t->seeds[i].source, e);
    int count = p->mutations && !p->o.skip_mutations ? p->mutations->count : 0;
    for (int i = 0; i < count && code == KDS_OK; i++) {
        char *source = kds_mutation_apply(t, &p->mutations->items[i]);
        code = source ? submit_source(p, TAG_MUTATION + (uint64_t)i, source, e) : no_memory(e);
        free(source);
    }
    return code;
}

static int sooner(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

/* Runs until nothing is in hand any more. */
static kds_code finish(kds_proof *p, kds_err *e)
{
    struct pollfd fds[3 * KDS_POOL_WORKERS];
    for (;;) {
        kds_code code = kds_evaluator_step(p->evaluator, e);
        if (code == KDS_OK)
            code = kds_pool_start(p->pool, e);
        if (code != KDS_OK)
            return code;
        kds_pool_step(p->pool);
        if ((code = kds_pool_start(p->pool, e)) != KDS_OK)
            return code;
        if (p->error.code != KDS_OK) {
            if (e)
                *e = p->error;
            return p->error.code;
        }
        if (!kds_evaluator_in_hand(p->evaluator) && !kds_pool_waiting(p->pool) &&
            !kds_pool_running(p->pool))
            return KDS_OK;
        int n = kds_evaluator_poll_set(p->evaluator, fds, 2 * KDS_POOL_WORKERS);
        n += kds_pool_poll_set(p->pool, fds + n, 3 * KDS_POOL_WORKERS - n);
        int timeout = sooner(kds_evaluator_timeout_ms(p->evaluator), kds_pool_timeout_ms(p->pool));
        (void)poll(fds, (nfds_t)n, timeout < 0 || timeout > 1000 ? 1000 : timeout);
    }
}

static kds_code run_all(kds_proof *p, kds_err *e)
{
    const char *seed = kds_settings_text(p->settings, "seed");
    const char *device = kds_settings_text(p->settings, "device");
    kds_evaluator_options o = {.task = p->task,
                               .settings = p->settings,
                               .gate_seed = kds_hash64(seed, strlen(seed), 0) >> 11,
                               .only_safety = p->o.quick,
                               .stage = gather_stage,
                               .user = p};
    p->sim = kds_device_is_gpu(device) ? "sim" : device;
    kds_code code = kds_device_arch(device, p->arch, sizeof p->arch, e);
    if (code == KDS_OK)
        code = open_pool(p, e);
    if (code == KDS_OK)
        code = kds_evaluator_create(&p->evaluator, &o, e);
    if (code == KDS_OK)
        code = kds_evaluator_prepare(p->evaluator, e);
    if (code == KDS_OK)
        code = submit_all(p, e);
    if (code == KDS_OK)
        code = finish(p, e);
    if (code == KDS_OK &&
        !kds_json_add_str(p->report, "device", kds_evaluator_device(p->evaluator)))
        code = no_memory(e);
    return code;
}

/* Static checks, and the file of mutations: wrong, it is a finding, and the rest is still proven.
 */
static kds_code check_files(kds_proof *p, kds_err *e)
{
    kds_err inner = {0};
    kds_code code = kds_task_lint(p->task, &p->findings, e);
    if (code != KDS_OK)
        return code;
    if (!cJSON_AddItemToObject(p->report, "findings", p->findings))
        return no_memory(e);
    code = kds_mutations_load(&p->mutations, p->task, &inner);
    if (code == KDS_NO_MEMORY || code == KDS_IO) {
        if (e)
            *e = inner;
        return code;
    }
    if (code != KDS_OK)
        kds_proof_add(p, "error", KDS_MUTATIONS_FILE, "%s", inner.message);
    return KDS_OK;
}

static kds_code open_report(kds_proof *p, kds_err *e)
{
    p->report = cJSON_CreateObject();
    if (p->report && kds_json_add_str(p->report, "task", p->task->name) &&
        kds_json_add_bool(p->report, "quick", p->o.quick) &&
        (p->kernels = cJSON_AddArrayToObject(p->report, "kernels")) &&
        (p->refusals = cJSON_AddArrayToObject(p->report, "mutations")) &&
        (p->inputs = cJSON_AddArrayToObject(p->report, "inputs")) &&
        (p->rows = cJSON_AddArrayToObject(p->report, "rows")) &&
        (p->seed_work = cJSON_AddArrayToObject(p->report, "seed_work")))
        return KDS_OK;
    return no_memory(e);
}

/* Results come as workers end; the report has them in the task's order. */
static void collect(cJSON *array, cJSON **slots, int count)
{
    for (int i = 0; i < count; i++)
        if (slots[i] && !cJSON_AddItemToArray(array, slots[i]))
            cJSON_Delete(slots[i]);
}

kds_code kds_prove_task(const kds_task *t, const kds_settings *s, const kds_proof_options *o,
                        cJSON **out, kds_err *e)
{
    kds_proof p = {.task = t, .settings = s, .o = *o};
    kds_code code = open_report(&p, e);
    if (code == KDS_OK)
        code = check_files(&p, e);
    if (code == KDS_OK)
        code = run_all(&p, e);
    collect(p.kernels, p.kernel_at, (int)(sizeof p.kernel_at / sizeof *p.kernel_at));
    collect(p.refusals, p.mutation_at, KDS_MUTATIONS_MAX);
    collect(p.rows, p.row_at, KDS_ROWS_MAX);
    if (code == KDS_OK)
        code = kds_proof_judge(&p, e);
    kds_evaluator_close(p.evaluator);
    kds_pool_close(p.pool);
    kds_mutations_free(p.mutations);
    kds_compiled_free(p.baseline);
    free(p.program);
    if (code == KDS_OK)
        *out = p.report;
    else
        cJSON_Delete(p.report);
    return code;
}
