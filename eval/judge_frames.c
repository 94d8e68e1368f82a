/* The judge worker's messages: what a prepare and a candidate job hold, and how each is answered.
 * A job is trusted as far as its frame is: lengths and types are checked, sources and compiled code
 * are the candidate's and never believed. */
#include "eval/judge_internal.h"
#include "eval/worker.h"
#include "search/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "cannot build a message: out of memory");
}

/* A frame with an empty header of the kind `job`. */
static kds_code begin(kds_frame *f, const char *job, kds_err *e)
{
    kds_frame_init(f);
    f->header = cJSON_CreateObject();
    if (f->header == NULL || !kds_json_add_str(f->header, "job", job))
        return no_memory(e);
    return KDS_OK;
}

kds_code kds_judge_prepare_job(kds_frame *out, const char *task_dir, const kds_judge_options *o,
                               const kds_compiled *baseline, const kds_compiled *reference,
                               kds_err *e)
{
    char seed[24];
    kds_code code = begin(out, "prepare", e);
    (void)snprintf(seed, sizeof seed, "%" PRIu64, o->gate_seed);
    if (code == KDS_OK && !(kds_json_add_str(out->header, "task", task_dir) &&
                            kds_json_add_str(out->header, "device", o->device) &&
                            kds_json_add_str(out->header, "gate_seed", seed) &&
                            kds_json_add_int(out->header, "seeds", o->seeds) &&
                            kds_json_add_bool(out->header, "only_safety", o->only_safety) &&
                            kds_json_add_bool(out->header, "forecast", o->forecast) &&
                            kds_json_add_bool(out->header, "proven", o->proven) &&
                            kds_json_add_bool(out->header, "confine", o->confine) &&
                            kds_json_add_int(out->header, "threads", o->threads)))
        code = no_memory(e);
    if (code == KDS_OK)
        code = kds_compiled_pack(out, "baseline", baseline, e);
    if (code == KDS_OK && reference != NULL)
        code = kds_compiled_pack(out, "reference", reference, e);
    if (code != KDS_OK)
        kds_frame_free(out);
    return code;
}

kds_code kds_judge_candidate_job(kds_frame *out, const char *source, size_t len,
                                 const char *parent_source, const kds_compiled *compiled,
                                 kds_err *e)
{
    kds_code code = begin(out, "candidate", e);
    if (code == KDS_OK)
        code =
            kds_program_pack(out, out->header, "compiled", source, len, parent_source, compiled, e);
    if (code != KDS_OK)
        kds_frame_free(out);
    return code;
}

/* What a worker holds between jobs. */
typedef struct worker {
    kds_task *task;
    kds_compiled *baseline, *reference;
    kds_judge *judge;
    bool ending;
} worker;

static void worker_drop(worker *w)
{
    kds_judge_close(w->judge);
    kds_compiled_free(w->baseline);
    kds_compiled_free(w->reference);
    kds_task_free(w->task);
    memset(w, 0, sizeof *w);
}

static kds_code prepare(worker *w, const kds_frame *job, cJSON *reply, kds_err *e)
{
    const cJSON *h = job->header;
    const char *dir = kds_json_str(h, "task", NULL);
    kds_judge_options o = {.device = kds_json_str(h, "device", "sim"),
                           .seeds = (int)kds_json_int(h, "seeds", 0),
                           .only_safety = kds_json_bool(h, "only_safety", false),
                           .forecast = kds_json_bool(h, "forecast", false),
                           .proven = kds_json_bool(h, "proven", false),
                           .threads = (int)kds_json_int(h, "threads", 0),
                           .confine = kds_json_bool(h, "confine", true)};
    if (dir == NULL || !kds_text_parse_u64(kds_json_str(h, "gate_seed", ""), &o.gate_seed))
        return kds_fail(e, KDS_PROTOCOL, "a prepare job without task or gate_seed");
    worker_drop(w);
    kds_code code = kds_task_load(&w->task, dir, e);
    if (code == KDS_OK)
        code = kds_compiled_unpack(job, "baseline", &w->baseline, e);
    if (code == KDS_OK && kds_json_at(h, "reference") != NULL)
        code = kds_compiled_unpack(job, "reference", &w->reference, e);
    if (code == KDS_OK)
        code = kds_judge_open(&w->judge, w->task, &o, w->baseline, w->reference, e);
    const kds_device *d = code == KDS_OK ? kds_judge_device(w->judge) : NULL;
    if (code == KDS_OK &&
        !(kds_json_add_str(reply, "fingerprint", d->fingerprint) &&
          kds_json_add_str(reply, "kind", d->kind) && kds_json_add_str(reply, "device", d->name) &&
          kds_json_add_str(reply, "model", d->model)))
        code = no_memory(e);
    if (code != KDS_OK)
        worker_drop(w);
    return code;
}

/* The blob that the header names under `key`; NULL with len 0 if it names none. */
static const char *blob_of(const kds_frame *f, const char *key, size_t *len)
{
    int64_t at = kds_json_int(f->header, key, -1);
    *len = 0;
    if (at < 0 || at >= f->blob_count)
        return NULL;
    *len = f->blobs[at].len;
    return f->blobs[at].data;
}

/* A plan that is wrong ends as a report like any other. */
static kds_code report_plan(const kds_judge *j, const kds_finding *f, cJSON **out, kds_err *e)
{
    cJSON *json = cJSON_CreateObject();
    if (json != NULL && kds_json_add_str(json, "verdict", kds_verdict_name(f->verdict)) &&
        kds_json_add_str(json, "stage", "plan") && kds_json_add_str(json, "message", f->text) &&
        kds_json_add_int(json, "line", f->line) &&
        kds_json_add_str(json, "device", j->main.device->name) &&
        kds_json_add_str(json, "fingerprint", j->main.device->fingerprint) &&
        cJSON_AddArrayToObject(json, "flags") != NULL &&
        cJSON_AddArrayToObject(json, "rows") != NULL) {
        *out = json;
        return KDS_OK;
    }
    cJSON_Delete(json);
    return no_memory(e);
}

static kds_code candidate(worker *w, const kds_frame *job, cJSON *reply, kds_err *e)
{
    size_t len, parent_len;
    kds_finding f;
    kds_plan *plan = NULL;
    kds_compiled *compiled = NULL;
    cJSON *report = NULL;
    const char *source = blob_of(job, "source", &len);
    const char *parent = blob_of(job, "parent", &parent_len);
    kds_finding_clear(&f);
    if (w->judge == NULL)
        return kds_fail(e, KDS_PROTOCOL, "a candidate job before a prepare job");
    if (source == NULL)
        return kds_fail(e, KDS_PROTOCOL, "a candidate job without a source");
    kds_code code = kds_compiled_unpack(job, "compiled", &compiled, e);
    if (code == KDS_OK)
        code = kds_plan_parse(&plan, w->task, source, len, parent, &f, e);
    if (code == KDS_OK && plan == NULL)
        code = report_plan(w->judge, &f, &report, e);
    else if (code == KDS_OK)
        code = kds_judge_run(w->judge, source, len, plan, compiled, &report, e);
    if (code == KDS_OK && !cJSON_AddItemToObject(reply, "report", report)) {
        cJSON_Delete(report);
        code = no_memory(e);
    }
    kds_plan_free(plan);
    kds_compiled_free(compiled);
    return code;
}

/* Both programs have passed the gate of a judge like this one. */
static kds_code duel(worker *w, const kds_frame *job, cJSON *reply, kds_err *e)
{
    kds_device *d = w->judge != NULL ? w->judge->main.device : NULL;
    if (d == NULL || d->ops->duel == NULL)
        return kds_fail(e, KDS_PROTOCOL, "a duel job before a prepare job, or for no GPU");
    return d->ops->duel(d, job, w->judge->main.baseline, reply, e);
}

/* With "ending" if this was the last answer. */
static kds_code answer(void *user, const char *kind, const kds_frame *job, cJSON *reply, kds_err *e)
{
    worker *w = user;
    kds_code code;
    if (strcmp(kind, "prepare") == 0)
        code = prepare(w, job, reply, e);
    else if (strcmp(kind, "candidate") == 0)
        code = candidate(w, job, reply, e);
    else if (strcmp(kind, "duel") == 0)
        code = duel(w, job, reply, e);
    else
        code = kds_fail(e, KDS_PROTOCOL, "a judge worker knows no job '%s'", kind);
    w->ending = w->judge != NULL && kds_judge_spoilt(w->judge);
    if (w->ending && !kds_json_add_bool(reply, "ending", true) && code == KDS_OK)
        code = no_memory(e);
    return code;
}

kds_code kds_worker_judge(int fd, kds_err *e)
{
    worker w = {0};
    kds_code code = kds_worker_serve(fd, answer, &w, &w.ending, e);
    if (w.ending) /* a lost or hung GPU is left to the kernel: closing would wait for it */
        _exit(code == KDS_OK ? 0 : 1);
    worker_drop(&w);
    return code;
}
