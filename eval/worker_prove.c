/* The prove worker: one job is one row (eval/prove.h). The task is loaded by the first job, before
 * the process gives up files; a worker serves one task. */
#include "eval/judge.h"
#include "eval/nvrtc.h"
#include "eval/prove.h"
#include "eval/worker.h"

#include <stdlib.h>
#include <string.h>

typedef struct worker {
    kds_nvrtc *nvrtc;
    kds_task *task, *spare;
} worker;

kds_code kds_prove_job(kds_frame *out, const char *task_dir, const kds_prove_options *o,
                       const kds_compiled *kernel, kds_err *e)
{
    kds_frame_init(out);
    out->header = cJSON_CreateObject();
    if (out->header == NULL || !kds_json_add_str(out->header, "task", task_dir) ||
        !kds_json_add_str(out->header, "device", o->device) ||
        !kds_json_add_str(out->header, "arch", o->arch) ||
        !kds_json_add_int(out->header, "row", o->row) ||
        !kds_json_add_int(out->header, "kernel", o->kernel) ||
        (o->inputs != NULL && !kds_json_add_str(out->header, "inputs", o->inputs))) {
        kds_frame_free(out);
        return kds_fail(e, KDS_NO_MEMORY, "cannot build a message: out of memory");
    }
    kds_code code = kds_compiled_pack(out, "compiled", kernel, e);
    if (code != KDS_OK)
        kds_frame_free(out);
    return code;
}

/* Opens what needs files, then gives them up. */
static kds_code open_once(worker *w, const char *dir, kds_err *e)
{
    if (w->task != NULL)
        return KDS_OK;
    kds_code code = kds_nvrtc_open(&w->nvrtc, e);
    if (code == KDS_OK)
        code = kds_task_load(&w->task, dir, e);
    if (code == KDS_OK)
        code = kds_task_load(&w->spare, dir, e);
    return code == KDS_OK ? kds_nvrtc_confine(w->nvrtc, e) : code;
}

/* Adds "result". */
static kds_code prove(void *user, const char *kind, const kds_frame *job, cJSON *reply, kds_err *e)
{
    worker *w = user;
    const cJSON *h = job->header;
    (void)kind;
    const char *dir = kds_json_str(h, "task", NULL);
    kds_prove_options o = {.device = kds_json_str(h, "device", "sim"),
                           .arch = kds_json_str(h, "arch", "sm_90"),
                           .row = (int)kds_json_int(h, "row", -1),
                           .kernel = (int)kds_json_int(h, "kernel", 0),
                           .inputs = kds_json_str(h, "inputs", NULL)};
    kds_compiled *compiled = NULL;
    cJSON *result = NULL;
    if (dir == NULL)
        return kds_fail(e, KDS_PROTOCOL, "a prove job without a task");
    kds_code code = open_once(w, dir, e);
    if (code == KDS_OK && (o.row < 0 || o.row >= w->task->row_count))
        code = kds_fail(e, KDS_PROTOCOL, "a prove job without a row");
    if (code == KDS_OK && (o.kernel < 0 || o.kernel > w->task->seed_count))
        code = kds_fail(e, KDS_PROTOCOL, "a prove job without a kernel");
    if (code == KDS_OK)
        code = kds_compiled_unpack(job, "compiled", &compiled, e);
    if (code == KDS_OK)
        code = kds_prove_row(w->task, w->spare, &o, compiled, w->nvrtc, &result, e);
    if (code == KDS_OK && !cJSON_AddItemToObject(reply, "result", result)) {
        cJSON_Delete(result);
        code = kds_fail(e, KDS_NO_MEMORY, "cannot build a message: out of memory");
    }
    kds_compiled_free(compiled);
    return code;
}

kds_code kds_worker_prove(int fd, kds_err *e)
{
    worker w = {0};
    bool ending = false;
    unsetenv("NVRTC_APPEND_FLAGS");
    kds_code code = kds_worker_serve(fd, prove, &w, &ending, e);
    kds_task_free(w.task);
    kds_task_free(w.spare);
    kds_nvrtc_close(w.nvrtc);
    return code;
}
