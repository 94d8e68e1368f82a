/* The GPU worker: one context, one row at a time, candidates on it one after the other. Its own
 * failures are answers too; a candidate that leaves the context unusable, or that wrote what was
 * not its own, ends the process after the answer, and a fresh one takes over. */
#include "eval/cuda/card_lock.h"
#include "eval/cuda/gpu_job.h"
#include "eval/cuda/nvml.h"
#include "eval/judge.h"
#include "eval/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_SECONDS 10.0 /* a worker before this one may still be ending */

typedef struct worker {
    kds_nvrtc *nvrtc;
    kds_cuda *cuda;
    kds_nvml *nvml;
    kds_card *card;
    kds_helpers *helpers;
    kds_task *task;
    kds_compiled *baseline;
    kds_plan *baseline_plan;
    kds_gpu_row *row;
    int lock; /* of the card */
    kds_gpu_duels *duels;
    bool spoilt;
} worker;

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "cannot build a message: out of memory");
}

static kds_code begin(kds_frame *f, const char *job, kds_err *e)
{
    kds_frame_init(f);
    f->header = cJSON_CreateObject();
    if (f->header == NULL || !kds_json_add_str(f->header, "job", job))
        return no_memory(e);
    return KDS_OK;
}

kds_code kds_gpu_open_job(kds_frame *out, const char *device, const char *task_dir,
                          const kds_compiled *baseline, kds_err *e)
{
    kds_code code = begin(out, "open", e);
    if (code == KDS_OK && !(kds_json_add_str(out->header, "device", device) &&
                            kds_json_add_str(out->header, "task", task_dir)))
        code = no_memory(e);
    if (code == KDS_OK)
        code = kds_compiled_pack(out, "baseline", baseline, e);
    if (code != KDS_OK)
        kds_frame_free(out);
    return code;
}

kds_code kds_gpu_measure_job(kds_frame *out, int row, const char *source, size_t len,
                             const char *parent_source, const kds_compiled *compiled, kds_err *e)
{
    kds_code code = begin(out, "measure", e);
    if (code == KDS_OK && !kds_json_add_int(out->header, "row", row))
        code = no_memory(e);
    if (code == KDS_OK)
        code =
            kds_program_pack(out, out->header, "compiled", source, len, parent_source, compiled, e);
    if (code != KDS_OK)
        kds_frame_free(out);
    return code;
}

/* The task's own, which has been parsed before. */
static kds_code plan_baseline(worker *w, kds_err *e)
{
    kds_finding f;
    kds_finding_clear(&f);
    kds_code code = kds_plan_parse(&w->baseline_plan, w->task, w->task->baseline,
                                   strlen(w->task->baseline), NULL, &f, e);
    if (code == KDS_OK && w->baseline_plan == NULL)
        code = kds_fail(e, KDS_PROTOCOL, "the baseline's plan is wrong: line %d: %.500s", f.line,
                        f.text);
    return code;
}

static kds_code open_card(worker *w, const char *device, kds_err *e)
{
    kds_cuda_info info;
    int ordinal = 0;
    kds_code code = kds_cuda_ordinal(device, &ordinal, e);
    if (code == KDS_OK)
        code = kds_nvrtc_open(&w->nvrtc, e);
    if (code == KDS_OK)
        code = kds_cuda_open(&w->cuda, e);
    if (code == KDS_OK)
        code = kds_cuda_look(w->cuda, ordinal, &info, e);
    if (code == KDS_OK) /* held until this process ends */
        code = kds_card_lock(&info, LOCK_SECONDS, &w->lock, e);
    if (code == KDS_OK)
        code = kds_card_open(&w->card, w->cuda, ordinal, e);
    if (code == KDS_OK)
        code = kds_helpers_open(&w->helpers, w->card, w->nvrtc, e);
    if (code == KDS_OK && kds_nvml_open(&w->nvml, NULL) != KDS_OK)
        w->nvml = NULL; /* optional */
    return code;
}

static kds_code do_open(worker *w, const kds_frame *job, cJSON *reply, kds_err *e)
{
    const char *dir = kds_json_str(job->header, "task", NULL);
    char version[32];
    int major = 0, minor = 0;
    if (dir == NULL || w->card != NULL)
        return kds_fail(e, KDS_PROTOCOL, "an open job without a task, or a second one");
    kds_code code = open_card(w, kds_json_str(job->header, "device", ""), e);
    if (code == KDS_OK)
        code = kds_task_load(&w->task, dir, e);
    if (code == KDS_OK)
        code = kds_compiled_unpack(job, "baseline", &w->baseline, e);
    if (code == KDS_OK)
        code = plan_baseline(w, e);
    if (code != KDS_OK)
        return code;
    kds_nvrtc_version(w->nvrtc, &major, &minor);
    (void)snprintf(version, sizeof version, "%d.%d", major, minor);
    return kds_json_add_str(reply, "nvrtc", version) ? KDS_OK : no_memory(e);
}

/* The row's buffers with their inputs, and what the baseline makes of them. */
static kds_code take_row(worker *w, int row, kds_err *e)
{
    kds_gpu_duels_close(w->duels); /* their memory is needed */
    w->duels = NULL;
    if (w->row != NULL && w->row->index == row)
        return kds_gpu_row_reset(w->row, e);
    kds_gpu_row_close(w->row);
    w->row = NULL;
    kds_code code = kds_gpu_row_open(&w->row, w->card, w->helpers, w->task, row, e);
    if (code == KDS_OK)
        code = kds_gpu_row_expect(w->row, w->baseline_plan, w->baseline, e);
    return code == KDS_OK ? kds_gpu_row_reset(w->row, e) : code;
}

static bool add_timing(cJSON *reply, const kds_gpu_timing *t)
{
    cJSON *samples;
    bool good =
        kds_json_add_num(reply, "us", t->us) && kds_json_add_num(reply, "spread", t->spread) &&
        kds_json_add_int(reply, "visits", t->visits) &&
        kds_json_add_int(reply, "launches_per_visit", t->launches) &&
        kds_json_add_int(reply, "sets", t->sets) && kds_json_add_bool(reply, "cold", t->cold) &&
        kds_json_add_str(reply, "variant", t->variant) &&
        kds_json_add_int(reply, "launches", t->plan_launches) &&
        (samples = cJSON_AddArrayToObject(reply, "samples")) != NULL;
    for (int i = 0; good && i < t->visits; i++)
        good = cJSON_AddItemToArray(samples, cJSON_CreateNumber(t->samples[i]));
    return good;
}

static bool add_state(cJSON *reply, const worker *w)
{
    kds_nvml_state s;
    char text[200];
    kds_nvml_look(w->nvml, w->card->info.pci, &s);
    kds_nvml_throttle_text(s.throttle, text, sizeof text);
    return (s.sm_mhz < 0 || kds_json_add_int(reply, "sm_mhz", s.sm_mhz)) &&
           (s.memory_mhz < 0 || kds_json_add_int(reply, "memory_mhz", s.memory_mhz)) &&
           (s.temperature < 0 || kds_json_add_int(reply, "temperature", s.temperature)) &&
           (s.throttle < 0 || kds_json_add_str(reply, "throttled", text));
}

static kds_code measure(worker *w, const kds_plan *plan, const kds_compiled *c, cJSON *reply,
                        kds_err *e)
{
    kds_gpu_timing timing;
    kds_finding f;
    kds_finding_clear(&f);
    kds_code code = kds_gpu_measure(w->row, plan, c, &timing, &w->spoilt, &f, e);
    if (code != KDS_OK) {
        w->spoilt = true;
        return code;
    }
    bool good = kds_json_add_str(reply, "verdict", kds_verdict_name(f.verdict)) &&
                kds_json_add_bool(reply, "spoilt", w->spoilt);
    if (good && f.verdict != KDS_VERDICT_OK)
        good = kds_json_add_str(reply, "stage", f.stage) &&
               kds_json_add_int(reply, "line", f.line) &&
               kds_json_add_str(reply, "message", f.text);
    else if (good)
        good = add_timing(reply, &timing) && add_state(reply, w);
    return good ? KDS_OK : no_memory(e);
}

static kds_code do_measure(worker *w, const kds_frame *job, cJSON *reply, kds_err *e)
{
    int64_t row = kds_json_int(job->header, "row", -1);
    kds_plan *plan = NULL;
    kds_compiled *compiled = NULL;
    if (w->card == NULL)
        return kds_fail(e, KDS_PROTOCOL, "a measure job before an open one");
    if (row < 0 || row >= w->task->row_count)
        return kds_fail(e, KDS_PROTOCOL, "a measure job without a row");
    kds_code code = kds_program_unpack(job, job->header, "compiled", w->task, &plan, &compiled, e);
    if (code == KDS_OK && (code = take_row(w, (int)row, e)) != KDS_OK) {
        w->spoilt = true; /* half set up, or faulted by the baseline */
        if (!kds_json_add_bool(reply, "row_failed", true))
            code = no_memory(e);
    } else if (code == KDS_OK)
        code = measure(w, plan, compiled, reply, e);
    kds_compiled_free(compiled);
    kds_plan_free(plan);
    return code;
}

static kds_code do_duel(worker *w, const kds_frame *job, cJSON *reply, kds_err *e)
{
    if (w->card == NULL)
        return kds_fail(e, KDS_PROTOCOL, "a duel job before an open one");
    kds_gpu_row_close(w->row);
    w->row = NULL;
    kds_code code = KDS_OK;
    if (w->duels == NULL)
        code = kds_gpu_duels_open(&w->duels, w->card, w->helpers, w->nvml, w->task,
                                  w->baseline_plan, w->baseline, e);
    return code == KDS_OK ? kds_gpu_duel_answer(w->duels, job, w->task, reply, &w->spoilt, e)
                          : code;
}

static kds_code answer(void *user, const char *kind, const kds_frame *job, cJSON *reply, kds_err *e)
{
    worker *w = user;
    if (strcmp(kind, "open") == 0)
        return do_open(w, job, reply, e);
    if (strcmp(kind, "measure") == 0)
        return do_measure(w, job, reply, e);
    if (strcmp(kind, "duel") == 0)
        return do_duel(w, job, reply, e);
    return kds_fail(e, KDS_PROTOCOL, "the message is no GPU job");
}

static void drop(worker *w)
{
    kds_gpu_row_close(w->row);
    kds_gpu_duels_close(w->duels);
    kds_plan_free(w->baseline_plan);
    kds_compiled_free(w->baseline);
    kds_task_free(w->task);
    kds_helpers_close(w->helpers);
    kds_card_close(w->card);
    kds_nvml_close(w->nvml);
    kds_cuda_close(w->cuda);
    kds_nvrtc_close(w->nvrtc);
}

kds_code kds_worker_gpu(int fd, kds_err *e)
{
    worker w = {0};
    unsetenv("NVRTC_APPEND_FLAGS"); /* options that would not be in the record */
    kds_code code = kds_worker_serve(fd, answer, &w, &w.spoilt, e);
    if (w.spoilt) /* a lost or hung card is left to the kernel: closing would wait for it */
        _exit(0);
    drop(&w);
    return code;
}
