/* The order of things: all kernels are compiled first, in parallel; then, row by row, each runs on
 * the GPU. Rows are the outer loop, because a row's inputs and the baseline's outputs are made once
 * for all kernels. The report is written after every row, so that an interruption loses one row. */
#include "search/engine/gpu_bench_internal.h"

#include "eval/judge.h"
#include "eval/lint.h"
#include "search/base/clock.h"
#include "search/base/spawn.h"
#include "search/engine/program_id.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMPILE_SECONDS 120.0
#define MEASURE_SECONDS 180.0 /* a row's set-up included; the worker's own limits are shorter */
#define START_SECONDS 120.0
#define BASELINE (-1) /* number of the task's baseline among the kernels */
#define ANY_FILE_SIZE UINT64_MAX
#define FAULTS_MAX 5

static gpu_entry *entry_of(gpu_bench *b, int i)
{
    return &b->entries[i == BASELINE ? b->kernels.count : i];
}

void gpu_bench_fail(gpu_bench *b, kds_code code, const char *message)
{
    if (b->error.code == KDS_OK)
        (void)kds_fail(&b->error, code, "%s", message);
}

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

kds_code gpu_bench_code(const char *name)
{
    for (int i = 1; i < KDS_CODE_COUNT; i++)
        if (strcmp(kds_code_name((kds_code)i), name) == 0)
            return (kds_code)i;
    return KDS_FAILED;
}

kds_code gpu_bench_step(gpu_bench *b, kds_err *e)
{
    struct pollfd fds[2 * KDS_POOL_WORKERS];
    kds_code code = kds_pool_start(b->compile, e);
    if (code == KDS_OK)
        code = kds_pool_start(b->gpu, e);
    if (code != KDS_OK)
        return code;
    int n = kds_pool_poll_set(b->compile, fds, KDS_POOL_WORKERS);
    n += kds_pool_poll_set(b->gpu, fds + n, KDS_POOL_WORKERS);
    int timeout = kds_pool_timeout_ms(b->compile), other = kds_pool_timeout_ms(b->gpu);
    timeout = timeout < 0 || (other >= 0 && other < timeout) ? other : timeout;
    (void)poll(fds, (nfds_t)n, timeout < 0 || timeout > 1000 ? 1000 : timeout);
    kds_pool_step(b->compile);
    kds_pool_step(b->gpu);
    if (b->error.code == KDS_OK)
        return KDS_OK;
    if (e != NULL)
        *e = b->error;
    return b->error.code;
}

/* ---- Compiling ---- */

static kds_code submit_compile(gpu_bench *b, int i, const char *source, size_t len, kds_err *e)
{
    kds_frame job;
    kds_frame_init(&job);
    kds_code code = kds_compile_job(&job, source, len, b->info.arch, entry_of(b, i)->plan, e);
    if (code == KDS_OK)
        code = kds_pool_submit(b->compile, (uint64_t)(i + 1), &job, e);
    kds_frame_free(&job);
    return code;
}

static void compile_done(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                         const char *why)
{
    gpu_bench *b = user;
    int i = (int)tag - 1;
    gpu_entry *x = entry_of(b, i);
    kds_err err = {0};
    if (end == KDS_JOB_TIMEOUT) {
        kds_finding_set(&x->f, KDS_VERDICT_COMPILE_TIMEOUT, "compile", 0,
                        "compilation did not end within %.0f s", COMPILE_SECONDS);
        return;
    }
    kds_code code = end == KDS_JOB_REPLY ? kds_compile_reply(&x->compiled, reply, &x->f, &err)
                                         : kds_fail(&err, KDS_WORKER, "the compile worker %s", why);
    if (code == KDS_OK)
        return;
    if (code == KDS_NOT_FOUND || ++x->deaths >= 3)
        gpu_bench_fail(b, code, err.message);
    else if ((code = i == BASELINE
                         ? submit_compile(b, i, b->task->baseline, strlen(b->task->baseline), &err)
                         : submit_compile(b, i, b->kernels.items[i].source, b->kernels.items[i].len,
                                          &err)) != KDS_OK)
        gpu_bench_fail(b, code, err.message);
}

/* Lint and plan; what passes is queued for compilation. */
static kds_code begin_kernel(gpu_bench *b, int i, const char *source, size_t len, kds_err *e)
{
    gpu_entry *x = entry_of(b, i);
    kds_finding_clear(&x->f);
    kds_code code = kds_lint_source(source, len, &x->f, e);
    if (code == KDS_OK && x->f.verdict == KDS_VERDICT_OK)
        code = kds_plan_parse(&x->plan, b->task, source, len,
                              i == BASELINE ? NULL : b->task->baseline, &x->f, e);
    if (code == KDS_OK && x->plan != NULL)
        code = submit_compile(b, i, source, len, e);
    return code;
}

/* Kernels that are the same program as an earlier one of the list are not measured again. */
static kds_code find_twins(gpu_bench *b, kds_err *e)
{
    for (int i = 0; i < b->kernels.count; i++) {
        gpu_entry *x = &b->entries[i];
        if (x->compiled == NULL)
            continue;
        kds_code code = kds_program_id(x->plan, b->task, x->compiled, &x->program, e);
        if (code != KDS_OK)
            return code;
        for (int k = 0; k < i && x->f.verdict == KDS_VERDICT_OK; k++)
            if (b->entries[k].compiled != NULL && b->entries[k].f.verdict == KDS_VERDICT_OK &&
                kds_id_equal(b->entries[k].program, x->program))
                kds_finding_set(&x->f, KDS_VERDICT_DUPLICATE, "compile", 0,
                                "compiles to the same program as %s %s", b->kernels.items[k].file,
                                b->kernels.items[k].tune);
    }
    return KDS_OK;
}

kds_code gpu_bench_compile(gpu_bench *b, kds_err *e)
{
    kds_code code = begin_kernel(b, BASELINE, b->task->baseline, strlen(b->task->baseline), e);
    for (int i = 0; code == KDS_OK && i < b->kernels.count; i++)
        code = begin_kernel(b, i, b->kernels.items[i].source, b->kernels.items[i].len, e);
    while (code == KDS_OK && (kds_pool_waiting(b->compile) > 0 || kds_pool_running(b->compile) > 0))
        code = gpu_bench_step(b, e);
    const gpu_entry *base = entry_of(b, BASELINE);
    if (code == KDS_OK && base->compiled == NULL)
        code = kds_fail(e, KDS_INVALID, "%s/baseline/kernel.cu: %s: %.700s", b->task->dir,
                        kds_verdict_name(base->f.verdict), base->f.text);
    return code;
}

/* ---- Measuring ---- */

static void gpu_done(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                     const char *why)
{
    gpu_bench *b = user;
    if (tag == UINT64_MAX) { /* the greeting; a worker that dies over it ends its job as well */
        if (end != KDS_JOB_REPLY)
            return;
        if (!kds_json_bool(reply->header, "ok", false))
            gpu_bench_fail(b, gpu_bench_code(kds_json_str(reply->header, "code", "")),
                           kds_json_str(reply->header, "message", "the GPU worker gave no reason"));
        else if (kds_json_at(b->report, "nvrtc") == NULL)
            (void)kds_json_add_str(b->report, "nvrtc", kds_json_str(reply->header, "nvrtc", "?"));
        return;
    }
    b->answered = true;
    b->end = end;
    (void)snprintf(b->why, sizeof b->why, "%s", why);
    b->was_ending = b->ending;
    b->ending = end == KDS_JOB_REPLY && (kds_json_bool(reply->header, "spoilt", false) ||
                                         !kds_json_bool(reply->header, "ok", false));
    if (end == KDS_JOB_REPLY && (b->answer = cJSON_Duplicate(reply->header, true)) == NULL)
        gpu_bench_fail(b, KDS_NO_MEMORY, "out of memory");
}

kds_code gpu_bench_ask(gpu_bench *b, const kds_frame *job, kds_err *e)
{
    cJSON_Delete(b->answer);
    b->answer = NULL;
    b->answered = false;
    kds_code code = kds_pool_submit(b->gpu, 0, job, e);
    while (code == KDS_OK && !b->answered)
        code = gpu_bench_step(b, e);
    return code;
}

static kds_code ask_gpu(gpu_bench *b, int i, int row, kds_err *e)
{
    const kds_gpu_kernel *k = &b->kernels.items[i];
    kds_frame job;
    kds_frame_init(&job);
    kds_code code = kds_gpu_measure_job(&job, row, k->source, k->len, b->task->baseline,
                                        b->entries[i].compiled, e);
    if (code == KDS_OK)
        code = gpu_bench_ask(b, &job, e);
    kds_frame_free(&job);
    return code;
}

static kds_code skip_row(gpu_bench *b, int row, const char *message, bool *skip, kds_err *e)
{
    cJSON *o = cJSON_CreateObject();
    *skip = true;
    if (o == NULL || !cJSON_AddItemToArray(b->skipped, o) ||
        !kds_json_add_str(o, "row", b->task->rows[row].id) ||
        !kds_json_add_str(o, "message", message))
        return no_memory(e);
    return KDS_OK;
}

/* Takes the answer into the report, or makes one for a worker that died. */
static kds_code record(gpu_bench *b, int i, int row, kds_err *e)
{
    cJSON *o = b->answer;
    b->answer = NULL;
    kds_finding f;
    if (o == NULL && (o = cJSON_CreateObject()) != NULL) {
        kds_finding_set(&f,
                        b->end == KDS_JOB_TIMEOUT ? KDS_VERDICT_TIMEOUT : KDS_VERDICT_DEVICE_FAULT,
                        "correctness", 0, "the GPU worker: %s",
                        b->end == KDS_JOB_TIMEOUT ? "ran out of time" : b->why);
        if (!gpu_report_finding(o, &f)) {
            cJSON_Delete(o);
            o = NULL;
        }
    }
    cJSON_DeleteItemFromObject(o, "ok");
    if (o == NULL || !cJSON_AddItemToArray(b->entries[i].rows, o) ||
        !kds_json_add_str(o, "row", b->task->rows[row].id))
        return no_memory(e);
    b->done++;
    gpu_report_tell(b, i, b->task->rows[row].id, o);
    return KDS_OK;
}

/* One kernel on one row. A worker that dies is given a second chance, a fault of the machine as
 * well; a worker that was about to end for what came before does not count. What fails twice is the
 * kernel's failure, or the row's if it could not be set up; several kernels in a row, and it is the
 * machine's. */
static kds_code measure(gpu_bench *b, int i, int row, bool *skip, kds_err *e)
{
    for (int attempt = 0;;) {
        kds_code code = ask_gpu(b, i, row, e);
        if (code != KDS_OK)
            return code;
        bool replied = b->end == KDS_JOB_REPLY;
        bool good = replied && kds_json_bool(b->answer, "ok", false);
        if (good || b->end == KDS_JOB_TIMEOUT) {
            b->faults = 0;
            return record(b, i, row, e);
        }
        code = replied ? gpu_bench_code(kds_json_str(b->answer, "code", "")) : KDS_WORKER;
        if (!replied && b->was_ending)
            continue;
        if (attempt++ == 0 && code != KDS_INVALID && code != KDS_NO_MEMORY)
            continue;
        if (replied)
            (void)snprintf(b->why, sizeof b->why, "%s",
                           kds_json_str(b->answer, "message", "failed"));
        if (replied && kds_json_bool(b->answer, "row_failed", false))
            return skip_row(b, row, b->why, skip, e);
        cJSON_Delete(b->answer);
        b->answer = NULL;
        if (++b->faults >= FAULTS_MAX)
            return kds_fail(e, code, "%d kernels in a row failed; the last: the GPU worker: %s",
                            FAULTS_MAX, b->why);
        return record(b, i, row, e);
    }
}

bool gpu_bench_budget_is_out(const gpu_bench *b)
{
    return b->deadline > 0 && kds_clock_monotonic() > b->deadline;
}

static kds_code measure_row(gpu_bench *b, int row, kds_err *e)
{
    kds_code code = KDS_OK;
    bool skip = false;
    for (int i = 0; code == KDS_OK && !skip && i < b->kernels.count && !gpu_bench_budget_is_out(b);
         i++)
        if (b->entries[i].f.verdict == KDS_VERDICT_OK)
            code = measure(b, i, row, &skip, e);
    kds_code written = gpu_report_write(b, code == KDS_OK ? e : NULL);
    return code == KDS_OK ? written : code;
}

/* ---- Beginning and end ---- */

kds_code gpu_bench_rows(gpu_bench *b, bool *chosen, kds_err *e)
{
    const char *at = b->o->rows;
    for (int i = 0; at == NULL && i < b->task->row_count; i++)
        chosen[i] = b->task->rows[i].set == KDS_ROWS_PRODUCTION;
    while (at != NULL && *at != '\0') {
        char id[128];
        size_t n = strcspn(at, ",");
        (void)snprintf(id, sizeof id, "%.*s", (int)(n < sizeof id ? n : sizeof id - 1), at);
        const kds_row *row = kds_task_row(b->task, id);
        if (row == NULL)
            return kds_fail(e, KDS_USAGE, "--rows: task %s has no row '%s'", b->task->name, id);
        chosen[row - b->task->rows] = true;
        at += n + (at[n] == ',');
    }
    return KDS_OK;
}

static int pool_size(const kds_gpu_kernels *kernels)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int most = cores < 1 ? 1 : cores > 64 ? 64 : (int)cores;
    return kernels->count + 1 < most ? kernels->count + 1 : most;
}

kds_code gpu_bench_renew(gpu_bench *b, kds_err *e)
{
    bool other = b->command != NULL;
    kds_pool_options p = {.program = b->program,
                          .command = other ? b->command : "worker-gpu",
                          .workers = 1,
                          .file_bytes = ANY_FILE_SIZE, /* the driver may keep files of its own */
                          .job_seconds = b->job_seconds,
                          .start_seconds = START_SECONDS,
                          .done = other ? b->taker : gpu_done,
                          .user = other ? b->taker_user : b};
    kds_pool_close(b->gpu);
    b->gpu = NULL;
    return kds_pool_create(&b->gpu, &p, e);
}

kds_code gpu_bench_pools(gpu_bench *b, kds_err *e)
{
    const char *named =
        getenv("KDASEARCH_BINARY"); /* a test or an embedding program names another */
    kds_code code = KDS_OK;
    if (named == NULL || *named == '\0')
        code = kds_self_path(&b->program, e);
    else if ((b->program = strdup(named)) == NULL)
        code = no_memory(e);
    if (code != KDS_OK)
        return code;
    /* No limit of addresses: where there is a GPU, NVRTC too opens the driver, which reserves as
     * many as all GPUs have memory. */
    kds_pool_options p = {.program = b->program,
                          .command = "worker-compile",
                          .workers = pool_size(&b->kernels),
                          .job_seconds = COMPILE_SECONDS,
                          .start_seconds = START_SECONDS,
                          .done = compile_done,
                          .user = b};
    code = kds_pool_create(&b->compile, &p, e);
    return code == KDS_OK ? gpu_bench_renew(b, e) : code;
}

kds_code gpu_bench_greet(gpu_bench *b, kds_err *e)
{
    kds_frame greeting;
    kds_frame_init(&greeting);
    kds_code code =
        kds_gpu_open_job(&greeting, b->o->device, b->task->dir, entry_of(b, BASELINE)->compiled, e);
    if (code == KDS_OK)
        code = kds_pool_greet(b->gpu, &greeting, e);
    kds_frame_free(&greeting);
    return code;
}

kds_code gpu_bench_look(gpu_bench *b, int *version, kds_err *e)
{
    kds_cuda *cuda = NULL;
    int ordinal = 0;
    kds_code code = kds_cuda_ordinal(b->o->device, &ordinal, e);
    if (code == KDS_OK)
        code = kds_cuda_open(&cuda, e);
    if (code == KDS_OK)
        code = kds_cuda_look(cuda, ordinal, &b->info, e);
    if (code == KDS_OK)
        *version = cuda->version;
    if (code == KDS_OK && b->info.capability < KDS_CUDA_OLDEST)
        code = kds_fail(
            e, KDS_NO_DEVICE, "%s is a %s of compute capability %d.%d; 7.5 or newer is needed",
            b->o->device, b->info.name, b->info.capability / 10, b->info.capability % 10);
    kds_cuda_close(cuda);
    return code;
}

static kds_code run_bench(gpu_bench *b, kds_err *e)
{
    bool rows[KDS_ROWS_MAX] = {false};
    int version = 0, row_count = 0, runnable = 0;
    kds_code code = kds_task_load(&b->task, b->o->task_dir, e);
    if (code == KDS_OK)
        code = gpu_bench_rows(b, rows, e);
    for (int i = 0; code == KDS_OK && i < b->o->file_count; i++)
        code = kds_gpu_kernels_add(&b->kernels, b->o->files[i], b->o->sweep, b->o->seed, e);
    if (code == KDS_OK)
        code = gpu_bench_look(b, &version, e);
    if (code == KDS_OK && !(b->entries = calloc((size_t)b->kernels.count + 1, sizeof *b->entries)))
        code = no_memory(e);
    if (code == KDS_OK)
        code = gpu_bench_pools(b, e);
    if (code == KDS_OK)
        code = gpu_report_begin(b, version, e);
    if (code == KDS_OK)
        code = gpu_bench_compile(b, e);
    if (code == KDS_OK)
        code = find_twins(b, e);
    if (code == KDS_OK)
        code = gpu_report_kernels(b, e);
    if (code == KDS_OK)
        code = gpu_bench_greet(b, e);
    for (int i = 0; code == KDS_OK && i < b->task->row_count; i++)
        row_count += rows[i];
    for (int i = 0; code == KDS_OK && i < b->kernels.count; i++)
        runnable += b->entries[i].f.verdict == KDS_VERDICT_OK;
    b->total = row_count * runnable;
    for (int i = 0; code == KDS_OK && i < b->kernels.count; i++)
        if (b->entries[i].f.verdict != KDS_VERDICT_OK)
            gpu_report_tell(b, i, NULL, b->entries[i].json);
    for (int i = 0; code == KDS_OK && i < b->task->row_count && !gpu_bench_budget_is_out(b); i++)
        if (rows[i])
            code = measure_row(b, i, e);
    return code;
}

void gpu_bench_free(gpu_bench *b)
{
    kds_pool_close(b->compile);
    kds_pool_close(b->gpu);
    for (int i = 0; b->entries != NULL && i <= b->kernels.count; i++) {
        kds_plan_free(b->entries[i].plan);
        kds_compiled_free(b->entries[i].compiled);
    }
    free(b->entries);
    kds_gpu_kernels_free(&b->kernels);
    cJSON_Delete(b->answer);
    cJSON_Delete(b->report);
    free(b->program);
    kds_task_free(b->task);
}

kds_code kds_gpu_bench(const kds_gpu_bench_options *o, cJSON **report, kds_err *e)
{
    gpu_bench b = {.o = o,
                   .job_seconds = MEASURE_SECONDS,
                   .deadline = o->seconds > 0 ? kds_clock_monotonic() + o->seconds : 0};
    kds_err err = {0};
    kds_code code = run_bench(&b, &err);
    const char *stopped = code != KDS_OK                ? err.message
                          : gpu_bench_budget_is_out(&b) ? "--seconds"
                                                        : NULL;
    /* What was measured before the end is worth keeping, whatever the end. */
    if (b.entries != NULL && b.report != NULL && kds_json_add_str(b.report, "stopped", stopped)) {
        kds_code written = gpu_report_write(&b, code == KDS_OK ? &err : NULL);
        code = code == KDS_OK ? written : code;
    }
    if (code == KDS_OK) {
        *report = b.report;
        b.report = NULL;
    } else if (e != NULL)
        *e = err;
    gpu_bench_free(&b);
    return code;
}
