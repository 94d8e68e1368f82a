/* All kernels are compiled, in parallel; then each is profiled on each row by one worker. A worker
 * that dies or cannot go on is replaced and the job tried once more; then that row has no counters,
 * which is no failure of the kernel. The report is written after every row. */
#include "search/engine/profile_bench_internal.h"

#include "eval/cuda/profile_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROFILE_SECONDS 180.0 /* a row's set-up included; the worker's own limits are shorter */
#define GREETING UINT64_MAX
#define ATTEMPTS 2 /* of one kernel on one row */

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* ---- The report ---- */

static void tell(const profile_bench *x, int i, int row, const cJSON *o)
{
    kds_profile_note n = {.row = row >= 0 ? x->b.task->rows[row].id : NULL,
                          .file = x->b.kernels.items[i].file,
                          .no_counters = kds_json_bool(o, "no_counters", false),
                          .seconds = kds_json_num(o, "seconds", 0)};
    n.message = kds_json_str(o, n.no_counters ? "reason" : "message", "");
    if (!kds_verdict_parse(kds_json_str(o, "verdict", ""), &n.verdict))
        n.verdict = KDS_VERDICT_DEVICE_FAULT;
    if (x->o->note != NULL)
        x->o->note(x->o->user, &n);
}

static kds_code report_kernels(profile_bench *x, kds_err *e)
{
    cJSON *list = cJSON_AddArrayToObject(x->b.report, "kernels");
    for (int i = 0; i < x->b.kernels.count; i++) {
        const kds_gpu_kernel *k = &x->b.kernels.items[i];
        gpu_entry *entry = &x->b.entries[i];
        cJSON *o = cJSON_CreateObject();
        if (list == NULL || o == NULL || !cJSON_AddItemToArray(list, o) ||
            !kds_json_add_str(o, "file", k->file) ||
            !kds_json_add_id(o, "id", kds_id_of(k->source, k->len)) ||
            !gpu_report_finding(o, &entry->f) ||
            (entry->rows = cJSON_AddArrayToObject(o, "rows")) == NULL)
            return no_memory(e);
        if (entry->f.verdict != KDS_VERDICT_OK)
            tell(x, i, -1, o);
    }
    return KDS_OK;
}

/* ---- Profiling ---- */

/* What the first worker that starts says of itself and of the counters. */
static void take_greeting(profile_bench *x, const cJSON *h)
{
    cJSON *report = x->b.report, *device = cJSON_GetObjectItem(report, "device");
    static const char *const keys[] = {"cupti",   "cupti_path", "passes",
                                       "missing", "self_test",  "seconds"};
    if (x->started)
        return;
    x->started = true;
    bool good = kds_json_add_str(device, "chip", kds_json_str(h, "chip", NULL)) &&
                kds_json_add_str(report, "no_counters", kds_json_str(h, "reason", NULL));
    for (size_t i = 0; good && i < sizeof keys / sizeof keys[0]; i++) {
        const cJSON *item = kds_json_at(h, keys[i]);
        cJSON *copy = item != NULL ? cJSON_Duplicate(item, true) : cJSON_CreateNull();
        good = copy != NULL && cJSON_AddItemToObject(report, keys[i], copy);
    }
    if (!good)
        gpu_bench_fail(&x->b, KDS_NO_MEMORY, "out of memory");
}

/* A start that fails for reasons that do not pass ends everything. */
static void take_refusal(gpu_bench *b, const cJSON *h)
{
    static const kds_code final[] = {KDS_NOT_FOUND, KDS_USAGE,     KDS_INVALID,
                                     KDS_NO_DEVICE, KDS_SELF_TEST, KDS_PROTOCOL};
    const char *name = kds_json_str(h, "code", "");
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++)
        if (strcmp(kds_code_name(final[i]), name) == 0)
            gpu_bench_fail(b, final[i],
                           kds_json_str(h, "message", "the profile worker gave no reason"));
}

static void profile_done(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                         const char *why)
{
    profile_bench *x = user;
    gpu_bench *b = &x->b;
    const cJSON *h = end == KDS_JOB_REPLY ? reply->header : NULL;
    bool good = h != NULL && kds_json_bool(h, "ok", false);
    if (tag == GREETING) {
        x->start_failed = !good;
        if (good)
            take_greeting(x, h);
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
        gpu_bench_fail(b, KDS_NO_MEMORY, "out of memory");
    else if (!good && !x->start_failed)
        (void)snprintf(b->why, sizeof b->why, "%s%s", h != NULL ? "" : "the profile worker ",
                       h != NULL ? kds_json_str(h, "message", "no reason given") : why);
    x->start_failed = false;
}

static kds_code ask(profile_bench *x, int i, int row, kds_err *e)
{
    const kds_gpu_kernel *k = &x->b.kernels.items[i];
    kds_frame job;
    kds_frame_init(&job);
    x->start_failed = false;
    kds_code code = kds_profile_rows_job(&job, &row, 1, false, k->source, k->len,
                                         x->b.task->baseline, x->b.entries[i].compiled, e);
    if (code == KDS_OK)
        code = gpu_bench_ask(&x->b, &job, e);
    kds_frame_free(&job);
    return code;
}

/* An answer that takes the place of one that did not come. */
static kds_code give_up(gpu_bench *b, kds_err *e)
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
static kds_code profile(profile_bench *x, int i, int row, kds_err *e)
{
    gpu_bench *b = &x->b;
    kds_code code = KDS_OK;
    for (int attempt = 0; code == KDS_OK && b->answer == NULL && attempt < ATTEMPTS;) {
        bool was_ending = b->ending;
        code = ask(x, i, row, e);
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
    code = profile_simulate(x, i, row, o, e);
    tell(x, i, row, o);
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

static kds_code choose_rows(profile_bench *x, bool *chosen, kds_err *e)
{
    if (x->o->rows != NULL)
        return gpu_bench_rows(&x->b, chosen, e);
    for (int i = 0; i < x->b.task->row_count; i++)
        chosen[i] = wanted_by_default(x->b.task, i);
    return KDS_OK;
}

static kds_code greet(profile_bench *x, kds_err *e)
{
    kds_profile_request r = {.device = x->o->device,
                             .task_dir = x->b.task->dir,
                             .metrics = x->o->metrics,
                             .self_test = x->o->self_test};
    kds_frame greeting;
    kds_frame_init(&greeting);
    kds_code code = kds_profile_open_job(&greeting, &r, e);
    if (code == KDS_OK)
        code = kds_pool_greet(x->b.gpu, &greeting, e);
    kds_frame_free(&greeting);
    return code;
}

static kds_code run_bench(profile_bench *x, kds_err *e)
{
    gpu_bench *b = &x->b;
    bool rows[KDS_ROWS_MAX] = {false};
    int version = 0;
    kds_code code = kds_task_load(&b->task, x->o->task_dir, e);
    if (code == KDS_OK)
        code = choose_rows(x, rows, e);
    for (int i = 0; code == KDS_OK && i < x->o->file_count; i++)
        code = kds_gpu_kernels_add(&b->kernels, x->o->files[i], 0, 0, e);
    if (code == KDS_OK)
        code = gpu_bench_look(b, &version, e);
    if (code == KDS_OK && !(b->entries = calloc((size_t)b->kernels.count + 1, sizeof *b->entries)))
        code = no_memory(e);
    if (code == KDS_OK)
        code = gpu_bench_pools(b, e);
    if (code == KDS_OK && !gpu_report_head(b, "profiled", version))
        code = no_memory(e);
    if (code == KDS_OK)
        code = gpu_bench_compile(b, e);
    if (code == KDS_OK)
        code = report_kernels(x, e);
    if (code == KDS_OK)
        code = greet(x, e);
    for (int row = 0; code == KDS_OK && row < b->task->row_count; row++) {
        for (int i = 0; code == KDS_OK && rows[row] && i < b->kernels.count; i++)
            if (b->entries[i].f.verdict == KDS_VERDICT_OK)
                code = profile(x, i, row, e);
        if (code == KDS_OK && rows[row])
            code = gpu_report_write(b, e);
    }
    return code;
}

kds_code kds_profile_bench(const kds_profile_bench_options *o, cJSON **report, kds_err *e)
{
    kds_gpu_bench_options inner = {
        .task_dir = o->task_dir, .device = o->device, .rows = o->rows, .out = o->out};
    profile_bench x = {.o = o,
                       .b = {.o = &inner,
                             .job_seconds = PROFILE_SECONDS,
                             .command = "worker-profile",
                             .taker = profile_done,
                             .taker_user = &x}};
    kds_code code = run_bench(&x, e);
    if (code == KDS_OK)
        code = gpu_report_write(&x.b, e);
    if (code == KDS_OK) {
        *report = x.b.report;
        x.b.report = NULL;
    }
    kds_device_close(x.sim);
    gpu_bench_free(&x.b);
    return code;
}
