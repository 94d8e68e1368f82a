/* All kernels are compiled, in parallel; then each is profiled on each row by one worker. A worker
 * that dies or cannot go on is replaced and the job tried once more; then that row has no counters,
 * which is no failure of the kernel. The report is written after every row. */
#include "search/engine/profile_bench_internal.h"

#include "eval/cuda/profile_job.h"
#include "eval/lint.h"
#include "search/base/clock.h"
#include "search/base/file.h"
#include "search/base/spawn.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMPILE_SECONDS 120.0
#define PROFILE_SECONDS 180.0 /* a row's set-up included; the worker's own limits are shorter */
#define START_SECONDS 120.0
#define ANY_FILE_SIZE UINT64_MAX
#define GREETING UINT64_MAX
#define ATTEMPTS 2 /* of one kernel on one row */

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

static void fail_bench(profile_bench *b, kds_code code, const char *message)
{
    if (b->error.code == KDS_OK)
        (void)kds_fail(&b->error, code, "%s", message);
}

static kds_code step(profile_bench *b, kds_pool *pool, kds_err *e)
{
    struct pollfd fds[KDS_POOL_WORKERS];
    kds_code code = kds_pool_start(pool, e);
    if (code != KDS_OK)
        return code;
    int n = kds_pool_poll_set(pool, fds, KDS_POOL_WORKERS), timeout = kds_pool_timeout_ms(pool);
    (void)poll(fds, (nfds_t)n, timeout < 0 || timeout > 1000 ? 1000 : timeout);
    kds_pool_step(pool);
    if (b->error.code == KDS_OK)
        return KDS_OK;
    if (e != NULL)
        *e = b->error;
    return b->error.code;
}

/* ---- Compiling ---- */

static kds_code submit_compile(profile_bench *b, int i, kds_err *e)
{
    const kds_gpu_kernel *k = &b->kernels.items[i];
    kds_frame job;
    kds_frame_init(&job);
    kds_code code = kds_compile_job(&job, k->source, k->len, b->info.arch, b->entries[i].plan, e);
    if (code == KDS_OK)
        code = kds_pool_submit(b->compile, (uint64_t)i, &job, e);
    kds_frame_free(&job);
    return code;
}

static void compile_done(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                         const char *why)
{
    profile_bench *b = user;
    profile_entry *x = &b->entries[tag];
    kds_err err = {0};
    if (end == KDS_JOB_TIMEOUT) {
        kds_finding_set(&x->f, KDS_VERDICT_COMPILE_TIMEOUT, "compile", 0,
                        "compilation did not end within %.0f s", COMPILE_SECONDS);
        return;
    }
    kds_code code = end == KDS_JOB_REPLY ? kds_compile_reply(&x->compiled, reply, &x->f, &err)
                                         : kds_fail(&err, KDS_WORKER, "the compile worker %s", why);
    if (code != KDS_OK && code != KDS_NOT_FOUND && ++x->deaths < 3)
        code = submit_compile(b, (int)tag, &err);
    if (code != KDS_OK)
        fail_bench(b, code, err.message);
}

static kds_code compile_all(profile_bench *b, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && i < b->kernels.count; i++) {
        const kds_gpu_kernel *k = &b->kernels.items[i];
        profile_entry *x = &b->entries[i];
        kds_finding_clear(&x->f);
        code = kds_lint_source(k->source, k->len, &x->f, e);
        if (code == KDS_OK && x->f.verdict == KDS_VERDICT_OK)
            code =
                kds_plan_parse(&x->plan, b->task, k->source, k->len, b->task->baseline, &x->f, e);
        if (code == KDS_OK && x->plan != NULL)
            code = submit_compile(b, i, e);
    }
    while (code == KDS_OK && (kds_pool_waiting(b->compile) > 0 || kds_pool_running(b->compile) > 0))
        code = step(b, b->compile, e);
    return code;
}

/* ---- The report ---- */

static bool add_finding(cJSON *o, const kds_finding *f)
{
    return kds_json_add_str(o, "verdict", kds_verdict_name(f->verdict)) &&
           (f->verdict == KDS_VERDICT_OK ||
            (kds_json_add_str(o, "stage", f->stage) && kds_json_add_int(o, "line", f->line) &&
             kds_json_add_str(o, "message", f->text)));
}

static kds_code begin_report(profile_bench *b, kds_err *e)
{
    char date[40], cuda[32];
    kds_clock_format(kds_clock_wall_ms(), date, sizeof date);
    (void)snprintf(cuda, sizeof cuda, "%d.%d", b->cuda_version / 1000, b->cuda_version % 1000 / 10);
    cJSON *r = b->report = cJSON_CreateObject();
    bool good =
        r != NULL && kds_json_add_int(r, "format", 1) && kds_json_add_str(r, "kind", "profiled") &&
        kds_json_add_str(r, "task", b->task->name) &&
        kds_json_add_str(r, "task_dir", b->o->task_dir) &&
        kds_json_add_id(r, "task_hash", b->task->hash) && kds_json_add_str(r, "date", date) &&
        (b->device = cJSON_AddObjectToObject(r, "device")) != NULL &&
        kds_json_add_str(b->device, "name", b->info.name) &&
        kds_json_add_str(b->device, "arch", b->info.arch) &&
        kds_json_add_str(b->device, "uuid", b->info.uuid) &&
        kds_json_add_str(b->device, "cuda", cuda);
    return good ? KDS_OK : no_memory(e);
}

static void tell(const profile_bench *b, int i, int row, const cJSON *o)
{
    kds_profile_note n = {.row = row >= 0 ? b->task->rows[row].id : NULL,
                          .file = b->kernels.items[i].file,
                          .no_counters = kds_json_bool(o, "no_counters", false),
                          .seconds = kds_json_num(o, "seconds", 0)};
    n.message = kds_json_str(o, n.no_counters ? "reason" : "message", "");
    if (!kds_verdict_parse(kds_json_str(o, "verdict", ""), &n.verdict))
        n.verdict = KDS_VERDICT_DEVICE_FAULT;
    if (b->o->note != NULL)
        b->o->note(b->o->user, &n);
}

static kds_code report_kernels(profile_bench *b, kds_err *e)
{
    cJSON *list = cJSON_AddArrayToObject(b->report, "kernels");
    for (int i = 0; i < b->kernels.count; i++) {
        const kds_gpu_kernel *k = &b->kernels.items[i];
        profile_entry *x = &b->entries[i];
        cJSON *o = cJSON_CreateObject();
        if (list == NULL || o == NULL || !cJSON_AddItemToArray(list, o) ||
            !kds_json_add_str(o, "file", k->file) ||
            !kds_json_add_id(o, "id", kds_id_of(k->source, k->len)) || !add_finding(o, &x->f) ||
            (x->rows = cJSON_AddArrayToObject(o, "rows")) == NULL)
            return no_memory(e);
        if (x->f.verdict != KDS_VERDICT_OK)
            tell(b, i, -1, o);
    }
    return KDS_OK;
}

static kds_code write_report(const profile_bench *b, kds_err *e)
{
    if (b->o->out == NULL)
        return KDS_OK;
    char *text = kds_json_print_pretty(b->report);
    kds_code code =
        text != NULL ? kds_file_write_atomic(b->o->out, text, strlen(text), e) : no_memory(e);
    free(text);
    return code;
}

/* ---- Profiling ---- */

/* What the first worker that starts says of itself and of the counters. */
static void take_greeting(profile_bench *b, const cJSON *h)
{
    static const char *const keys[] = {"cupti",   "cupti_path", "passes",
                                       "missing", "self_test",  "seconds"};
    if (b->started)
        return;
    b->started = true;
    bool good = kds_json_add_str(b->device, "chip", kds_json_str(h, "chip", NULL)) &&
                kds_json_add_str(b->report, "no_counters", kds_json_str(h, "reason", NULL));
    for (size_t i = 0; good && i < sizeof keys / sizeof keys[0]; i++) {
        const cJSON *item = kds_json_at(h, keys[i]);
        cJSON *copy = item != NULL ? cJSON_Duplicate(item, true) : cJSON_CreateNull();
        good = copy != NULL && cJSON_AddItemToObject(b->report, keys[i], copy);
    }
    if (!good)
        fail_bench(b, KDS_NO_MEMORY, "out of memory");
}

/* A start that fails for reasons that do not pass ends everything. */
static void take_refusal(profile_bench *b, const cJSON *h)
{
    static const kds_code final[] = {KDS_NOT_FOUND, KDS_USAGE,     KDS_INVALID,
                                     KDS_NO_DEVICE, KDS_SELF_TEST, KDS_PROTOCOL};
    const char *name = kds_json_str(h, "code", "");
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++)
        if (strcmp(kds_code_name(final[i]), name) == 0)
            fail_bench(b, final[i],
                       kds_json_str(h, "message", "the profile worker gave no reason"));
}

static void profile_done(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                         const char *why)
{
    profile_bench *b = user;
    const cJSON *h = end == KDS_JOB_REPLY ? reply->header : NULL;
    bool good = h != NULL && kds_json_bool(h, "ok", false);
    if (tag == GREETING) {
        b->start_failed = !good;
        if (good)
            take_greeting(b, h);
        else if (h != NULL)
            take_refusal(b, h);
        if (!good)
            (void)snprintf(b->why, sizeof b->why, "%s",
                           h != NULL ? kds_json_str(h, "message", "no reason given") : why);
        return;
    }
    b->answered = true;
    b->end = end;
    b->ending = h != NULL && (!good || kds_json_bool(h, "spoilt", false));
    if (good && (b->answer = cJSON_Duplicate(h, true)) == NULL)
        fail_bench(b, KDS_NO_MEMORY, "out of memory");
    else if (!good && !b->start_failed)
        (void)snprintf(b->why, sizeof b->why, "%s%s", h != NULL ? "" : "the profile worker ",
                       h != NULL ? kds_json_str(h, "message", "no reason given") : why);
    b->start_failed = false;
}

static kds_code ask(profile_bench *b, int i, int row, kds_err *e)
{
    const kds_gpu_kernel *k = &b->kernels.items[i];
    kds_frame job;
    kds_frame_init(&job);
    cJSON_Delete(b->answer);
    b->answer = NULL;
    b->answered = b->start_failed = false;
    kds_code code = kds_profile_rows_job(&job, &row, 1, k->source, k->len, b->task->baseline,
                                         b->entries[i].compiled, e);
    if (code == KDS_OK)
        code = kds_pool_submit(b->profile, (uint64_t)i, &job, e);
    kds_frame_free(&job);
    while (code == KDS_OK && !b->answered)
        code = step(b, b->profile, e);
    return code;
}

/* An answer that takes the place of one that did not come. */
static kds_code give_up(profile_bench *b, kds_err *e)
{
    b->answer = cJSON_CreateObject();
    if (b->answer == NULL || !kds_json_add_bool(b->answer, "ok", true) ||
        !kds_json_add_str(b->answer, "verdict", kds_verdict_name(KDS_VERDICT_OK)) ||
        !kds_json_add_bool(b->answer, "no_counters", true) ||
        !kds_json_add_str(b->answer, "reason", b->why))
        return no_memory(e);
    return KDS_OK;
}

/* A worker that has said that it would end does not count against the job that met it. */
static kds_code profile(profile_bench *b, int i, int row, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int attempt = 0; code == KDS_OK && b->answer == NULL && attempt < ATTEMPTS;) {
        bool was_ending = b->ending;
        code = ask(b, i, row, e);
        attempt += !(was_ending && b->end == KDS_JOB_DIED);
    }
    if (code == KDS_OK && b->answer == NULL)
        code = give_up(b, e);
    if (code != KDS_OK)
        return code;
    cJSON *o = b->answer;
    b->answer = NULL;
    cJSON_DeleteItemFromObject(o, "ok");
    cJSON *list = cJSON_DetachItemFromObject(o, "rows"); /* of the one row that was asked for */
    cJSON *counters = cJSON_DetachItemFromObject(cJSON_GetArrayItem(list, 0), "counters");
    cJSON_Delete(list);
    if (counters != NULL)
        (void)cJSON_AddItemToObject(o, "counters", counters);
    if (!cJSON_AddItemToArray(b->entries[i].rows, o) ||
        !kds_json_add_str(o, "row", b->task->rows[row].id))
        return no_memory(e);
    code = profile_simulate(b, i, row, o, e);
    tell(b, i, row, o);
    return code;
}

/* ---- Beginning and end ---- */

static bool wanted_by_default(const kds_task *t, int row)
{
    bool any = false;
    for (int i = 0; i < t->row_count; i++)
        any |= t->rows[i].set == KDS_ROWS_PRODUCTION && t->rows[i].profile;
    return t->rows[row].set == KDS_ROWS_PRODUCTION && (!any || t->rows[row].profile);
}

static kds_code choose_rows(profile_bench *b, bool *chosen, kds_err *e)
{
    const char *at = b->o->rows;
    for (int i = 0; at == NULL && i < b->task->row_count; i++)
        chosen[i] = wanted_by_default(b->task, i);
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

static kds_code make_pools(profile_bench *b, kds_err *e)
{
    const char *named = getenv("KDASEARCH_BINARY"); /* a test or an embedding program names it */
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int most = cores < 1 ? 1 : cores > 64 ? 64 : (int)cores;
    kds_code code = KDS_OK;
    if (named == NULL || *named == '\0')
        code = kds_self_path(&b->program, e);
    else if ((b->program = strdup(named)) == NULL)
        code = no_memory(e);
    if (code != KDS_OK)
        return code;
    kds_pool_options p = {.program = b->program,
                          .command = "worker-compile",
                          .workers = b->kernels.count < most ? b->kernels.count : most,
                          .job_seconds = COMPILE_SECONDS,
                          .start_seconds = START_SECONDS,
                          .done = compile_done,
                          .user = b};
    code = kds_pool_create(&b->compile, &p, e);
    p.command = "worker-profile";
    p.workers = 1;
    p.file_bytes = ANY_FILE_SIZE; /* the driver may keep files of its own */
    p.job_seconds = PROFILE_SECONDS;
    p.done = profile_done;
    return code == KDS_OK ? kds_pool_create(&b->profile, &p, e) : code;
}

static kds_code greet(profile_bench *b, kds_err *e)
{
    kds_profile_request r = {.device = b->o->device,
                             .task_dir = b->task->dir,
                             .metrics = b->o->metrics,
                             .self_test = b->o->self_test};
    kds_frame greeting;
    kds_frame_init(&greeting);
    kds_code code = kds_profile_open_job(&greeting, &r, e);
    if (code == KDS_OK)
        code = kds_pool_greet(b->profile, &greeting, e);
    kds_frame_free(&greeting);
    return code;
}

/* The GPU's facts; no context is made in this process. */
static kds_code look_at_gpu(profile_bench *b, kds_err *e)
{
    kds_cuda *cuda = NULL;
    int ordinal = 0;
    kds_code code = kds_cuda_ordinal(b->o->device, &ordinal, e);
    if (code == KDS_OK)
        code = kds_cuda_open(&cuda, e);
    if (code == KDS_OK)
        code = kds_cuda_look(cuda, ordinal, &b->info, e);
    if (code == KDS_OK)
        b->cuda_version = cuda->version;
    kds_cuda_close(cuda);
    return code;
}

static kds_code run_bench(profile_bench *b, kds_err *e)
{
    bool rows[KDS_ROWS_MAX] = {false};
    kds_code code = kds_task_load(&b->task, b->o->task_dir, e);
    if (code == KDS_OK)
        code = choose_rows(b, rows, e);
    for (int i = 0; code == KDS_OK && i < b->o->file_count; i++)
        code = kds_gpu_kernels_add(&b->kernels, b->o->files[i], 0, 0, e);
    if (code == KDS_OK)
        code = look_at_gpu(b, e);
    if (code == KDS_OK && !(b->entries = calloc((size_t)b->kernels.count, sizeof *b->entries)))
        code = no_memory(e);
    if (code == KDS_OK)
        code = make_pools(b, e);
    if (code == KDS_OK)
        code = begin_report(b, e);
    if (code == KDS_OK)
        code = compile_all(b, e);
    if (code == KDS_OK)
        code = report_kernels(b, e);
    if (code == KDS_OK)
        code = greet(b, e);
    for (int row = 0; code == KDS_OK && row < b->task->row_count; row++) {
        for (int i = 0; code == KDS_OK && rows[row] && i < b->kernels.count; i++)
            if (b->entries[i].f.verdict == KDS_VERDICT_OK)
                code = profile(b, i, row, e);
        if (code == KDS_OK && rows[row])
            code = write_report(b, e);
    }
    return code;
}

kds_code kds_profile_bench(const kds_profile_bench_options *o, cJSON **report, kds_err *e)
{
    profile_bench b = {.o = o};
    kds_code code = run_bench(&b, e);
    if (code == KDS_OK)
        code = write_report(&b, e);
    if (code == KDS_OK) {
        *report = b.report;
        b.report = NULL;
    }
    kds_pool_close(b.compile);
    kds_pool_close(b.profile);
    for (int i = 0; b.entries != NULL && i < b.kernels.count; i++) {
        kds_plan_free(b.entries[i].plan);
        kds_compiled_free(b.entries[i].compiled);
    }
    free(b.entries);
    kds_device_close(b.sim);
    kds_gpu_kernels_free(&b.kernels);
    cJSON_Delete(b.answer);
    cJSON_Delete(b.report);
    free(b.program);
    kds_task_free(b.task);
    return code;
}
