/* What follows from a worker's answer about a candidate: the next stage, another try, or a verdict.
 */
#include "search/engine/evaluate_internal.h"

#include "eval/cuda/profile_job.h"
#include "search/engine/program_id.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS_MAX 3 /* candidates in a row whose workers died twice: the baseline is tried */

static const char *const stage_names[] = {"compile", "safety", "judge", "profile"};

static kds_code submit_judge(kds_evaluator *x, work *w, kds_err *e)
{
    kds_frame job;
    bool safety = w->stage == WORK_SAFETY;
    kds_frame_init(&job);
    kds_code code =
        kds_judge_candidate_job(&job, w->source, w->len, w->parent_source, w->compiled, e);
    if (code == KDS_OK && !safety && x->card_count)
        code = evaluator_queue(x, GPU_JUDGE, w->tag, &job, false, NULL, e);
    else if (code == KDS_OK)
        code = kds_pool_submit(safety ? x->safety : x->judge, w->tag, &job, e);
    kds_frame_free(&job);
    return code;
}

kds_code evaluator_submit_compile(kds_evaluator *x, work *w, kds_err *e)
{
    kds_frame job;
    kds_frame_init(&job);
    kds_code code = kds_compile_job(&job, w->source, w->len, x->arch, w->plan, e);
    if (code == KDS_OK)
        code = kds_pool_submit(x->compile, w->tag, &job, e);
    kds_frame_free(&job);
    return code;
}

/* From `row` on, the rows that make the descriptor, as many as go into one message. */
static int list_profiled(const kds_task *t, int row, int *out)
{
    int count = 0;
    for (; row < t->row_count && count < KDS_PROFILE_ROWS; row++)
        if (kds_row_is_profiled(t, row))
            out[count++] = row;
    return count;
}

static kds_code submit_profile(kds_evaluator *x, work *w, kds_err *e)
{
    kds_frame job;
    int rows[KDS_PROFILE_ROWS];
    int count = list_profiled(x->o.task, w->row, rows);
    kds_frame_init(&job);
    kds_code code = kds_profile_rows_job(&job, rows, count, w->again, w->source, w->len,
                                         w->parent_source, w->compiled, e);
    if (code == KDS_OK)
        code = evaluator_queue(x, GPU_PROFILE, w->tag, &job, false, NULL, e);
    kds_frame_free(&job);
    return code;
}

static kds_code submit(kds_evaluator *x, work *w, kds_err *e)
{
    switch (w->stage) {
    case WORK_COMPILE:
        return evaluator_submit_compile(x, w, e);
    case WORK_PROFILE:
        return submit_profile(x, w, e);
    case WORK_SAFETY:
    case WORK_JUDGE:
        break;
    }
    return submit_judge(x, w, e);
}

static void go_on(kds_evaluator *x, work *w, work_stage stage)
{
    kds_err err = {0};
    w->stage = stage;
    w->deaths = 0;
    kds_code code = submit(x, w, &err);
    if (code != KDS_OK)
        evaluator_fail(x, code, err.message);
}

/* Several candidates in a row have killed their workers: if the baseline does so too, the machine
 * is at fault and the work ends. */
static void probe(kds_evaluator *x)
{
    const char *source = x->o.task->baseline;
    kds_err err = {0};
    x->faults = 0;
    if (evaluator_find(x, TAG_PROBE))
        return;
    kds_code code = kds_evaluator_submit(x, TAG_PROBE, source, strlen(source), NULL, &err);
    if (code != KDS_OK)
        evaluator_fail(x, code, err.message);
}

/* The judge's report is all there is: without counters. */
static void tell_judged(kds_evaluator *x, work *w)
{
    kds_stage s = {.stage = "judge", .log = "", .report = w->report, .kept = &w->report};
    (void)kds_verdict_parse(kds_json_str(w->report, "verdict", ""), &s.verdict);
    s.message = kds_json_str(w->report, "message", "");
    s.line = (int)kds_json_int(w->report, "line", 0);
    (void)evaluator_tell(x, w, &s);
}

/* A worker died or ran out of time on this candidate. */
static void work_failed(kds_evaluator *x, work *w, kds_job_end end, const char *why)
{
    kds_err err = {0};
    kds_stage s = {.stage = stage_names[w->stage], .log = ""};
    bool late = end == KDS_JOB_TIMEOUT;
    char text[400];
    s.message = text;
    if (late && w->stage == WORK_COMPILE) {
        s.verdict = KDS_VERDICT_COMPILE_TIMEOUT;
        snprintf(text, sizeof text, "compilation did not end within %s",
                 kds_settings_text(x->o.settings, "compile-timeout"));
        (void)evaluator_tell(x, w, &s);
        return;
    }
    if (++w->deaths < 2) {
        kds_code code = submit(x, w, &err);
        if (code != KDS_OK)
            evaluator_fail(x, code, err.message);
        return;
    }
    if (w->stage == WORK_PROFILE && !w->again) { /* the profiler is known to die: no fault of the
                                                    candidate */
        tell_judged(x, w);
        return;
    }
    if (w->tag == TAG_BASELINE || w->tag == TAG_REFERENCE || w->tag == TAG_PROBE) {
        snprintf(text, sizeof text, "%s workers fail again and again (%s)", s.stage,
                 late ? "time ran out" : why);
        evaluator_fail(x, w->stage == WORK_JUDGE && x->card_count ? KDS_DEVICE_LOST : KDS_WORKER,
                       text);
        return;
    }
    if (w->stage == WORK_COMPILE)
        s.verdict = KDS_VERDICT_COMPILE_FAILED;
    else
        s.verdict = late ? KDS_VERDICT_TIMEOUT : KDS_VERDICT_DEVICE_FAULT;
    snprintf(text, sizeof text, "the %s worker %s on this source, twice", s.stage,
             late ? "ran out of time" : why);
    bool counts = !w->again;
    (void)evaluator_tell(x, w, &s);
    if (counts && ++x->faults >= FAULTS_MAX)
        probe(x);
}

static void tell_refused(kds_evaluator *x, work *w, const kds_finding *f)
{
    kds_finding told = *f;
    if (kds_plan_is_inherited(w->plan))
        kds_finding_set(&told, f->verdict, f->stage, f->line,
                        "the source has no #pragma kda launch, so its parent's plan was used, "
                        "kernel names included: %s",
                        f->text);
    kds_stage s = {.stage = told.stage,
                   .verdict = told.verdict,
                   .line = told.line,
                   .message = told.text,
                   .log = ""};
    (void)evaluator_tell(x, w, &s);
}

void evaluator_compiled(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                        const char *why)
{
    kds_evaluator *x = user;
    kds_finding f;
    kds_err err = {0};
    if (evaluator_arm_compiled(x, tag, end, reply, why))
        return;
    work *w = evaluator_find(x, tag);
    if (!w)
        return;
    if (end != KDS_JOB_REPLY) {
        work_failed(x, w, end, why);
        return;
    }
    kds_finding_clear(&f);
    kds_code code = kds_compile_reply(&w->compiled, reply, &f, &err);
    if (code == KDS_NOT_FOUND || code == KDS_NO_DEVICE) {
        evaluator_fail(x, code, err.message);
        return;
    }
    if (code != KDS_OK) {
        work_failed(x, w, KDS_JOB_DIED, err.message);
        return;
    }
    x->faults = 0;
    if (!w->compiled) {
        tell_refused(x, w, &f);
        return;
    }
    if (w->again) {
        go_on(x, w, WORK_PROFILE);
        return;
    }
    kds_stage s = {.stage = "compile",
                   .verdict = KDS_VERDICT_OK,
                   .message = "",
                   .log = w->compiled->log ? w->compiled->log : "",
                   .compiled = w->compiled};
    if ((code = kds_program_id(w->plan, x->o.task, w->compiled, &s.program, &err)) != KDS_OK) {
        evaluator_fail(x, code, err.message);
        return;
    }
    if (!evaluator_tell(x, w, &s))
        return;
    free(w->compiled->log); /* it has been told and need not go where the code goes */
    w->compiled->log = NULL;
    go_on(x, w, x->safety ? WORK_SAFETY : WORK_JUDGE);
}

/* The report of a judge's answer; NULL if there is none, and the work has been dealt with. */
static const cJSON *take_report(kds_evaluator *x, work *w, kds_job_end end, const kds_frame *reply,
                                const char *why, kds_verdict *v)
{
    if (end != KDS_JOB_REPLY) {
        work_failed(x, w, end, why);
        return NULL;
    }
    const cJSON *report = kds_json_at(reply->header, "report");
    if (!kds_json_bool(reply->header, "ok", false))
        work_failed(x, w, KDS_JOB_DIED, kds_json_str(reply->header, "message", "failed"));
    else if (!kds_verdict_parse(kds_json_str(report, "verdict", ""), v))
        work_failed(x, w, KDS_JOB_DIED, "the judge's report has no verdict");
    else {
        x->faults = 0;
        return report;
    }
    return NULL;
}

/* What the simulator said of the quick rows. What it cannot run goes on, and is flagged. */
void evaluator_checked(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                       const char *why)
{
    kds_evaluator *x = user;
    work *w = evaluator_find(x, tag);
    kds_verdict v = KDS_VERDICT_OK;
    if (tag == TAG_GREETING) {
        if (end == KDS_JOB_REPLY && !kds_json_bool(reply->header, "ok", false))
            evaluator_fail(x, evaluator_code(kds_json_str(reply->header, "code", "")),
                           kds_json_str(reply->header, "message", "the safety check failed"));
        return;
    }
    const cJSON *report =
        w && x->error.code == KDS_OK ? take_report(x, w, end, reply, why, &v) : NULL;
    if (!report)
        return;
    const cJSON *counted = kds_json_at(kds_json_at(report, "forecast"), "counters");
    cJSON_Delete(w->simulated);
    w->simulated = cJSON_Duplicate(counted, true);
    w->not_simulated = v == KDS_VERDICT_NOT_SIMULATED;
    bool ok = v == KDS_VERDICT_OK || w->not_simulated;
    kds_stage s = {.stage = "safety",
                   .verdict = ok ? KDS_VERDICT_OK : v,
                   .message = kds_json_str(report, "message", ""),
                   .line = (int)kds_json_int(report, "line", 0),
                   .log = "",
                   .report = ok ? NULL : report,
                   .forecast = ok ? kds_json_at(report, "forecast") : NULL};
    if (evaluator_tell(x, w, &s))
        go_on(x, w, WORK_JUDGE);
}

/* So slow that it is not worth counters and duels (the task's `screen`). */
static bool is_screened(const kds_evaluator *x, const work *w)
{
    double fitness = kds_json_num(w->report, "fitness", 1);
    return w->tag < TAG_ARMS && fitness * (1 + x->o.task->screen) < 1;
}

/* A candidate that passed on a GPU: to its counters, or to its end. */
static void judged_on_gpu(kds_evaluator *x, work *w)
{
    const kds_task *t = x->o.task;
    bool screened = is_screened(x, w), ok = true;
    if (w->not_simulated)
        ok = kds_report_flag(w->report, "not_simulated");
    if (screened)
        ok = ok && kds_report_flag(w->report, "screened");
    if (w->simulated) {
        ok = ok && cJSON_AddItemToObject(w->report, "simulated", w->simulated);
        w->simulated = NULL;
    }
    bool profiled = ok && !screened && x->counts && !x->o.only_safety && w->tag != TAG_PROBE;
    if (profiled)
        ok = (w->counters = calloc((size_t)t->row_count, sizeof *w->counters)) != NULL;
    if (!ok)
        evaluator_fail(x, KDS_NO_MEMORY, "out of memory");
    else if (profiled)
        go_on(x, w, WORK_PROFILE);
    else
        tell_judged(x, w);
}

void evaluator_judged(kds_evaluator *x, uint64_t tag, kds_job_end end, const kds_frame *reply,
                      const char *why)
{
    work *w = evaluator_find(x, tag);
    kds_verdict v = KDS_VERDICT_OK;
    const cJSON *report =
        w && x->error.code == KDS_OK ? take_report(x, w, end, reply, why, &v) : NULL;
    if (!report)
        return;
    w->report = cJSON_DetachItemFromObjectCaseSensitive(reply->header, "report");
    if (x->card_count && v == KDS_VERDICT_OK)
        judged_on_gpu(x, w);
    else
        tell_judged(x, w);
}

static bool take_row(const cJSON *row, kds_measures *out)
{
    const cJSON *c = NULL;
    out->count = 0;
    cJSON_ArrayForEach(c, kds_json_at(row, "counters"))
    {
        if (cJSON_IsNumber(c) && isfinite(c->valuedouble))
            (void)kds_measures_set(out, c->string, c->valuedouble);
    }
    return out->count > 0;
}

/* Counters of the rows that were asked for; false if the answer has them not. */
static bool take_counters(const cJSON *answer, const int *rows, int count, kds_measures *by_row)
{
    const cJSON *list = kds_json_at(answer, "rows");
    bool good = kds_json_bool(answer, "ok", false) && !kds_json_bool(answer, "no_counters", true) &&
                cJSON_GetArraySize(list) == count;
    for (int i = 0; good && i < count; i++)
        good = take_row(cJSON_GetArrayItem(list, i), &by_row[rows[i]]);
    return good;
}

static void complete(kds_evaluator *x, work *w)
{
    kds_err err = {0};
    kds_stage s = {.stage = "profile", .message = "", .log = "", .report = w->report};
    kds_code code = w->again ? kds_report_more_counters(w->report, x->o.task, w->counters, &err)
                             : kds_report_counters(w->report, x->o.task, w->counters, &err);
    if (code != KDS_OK)
        evaluator_fail(x, code, err.message);
    else if (w->again)
        (void)evaluator_tell(x, w, &s);
    else
        tell_judged(x, w);
}

void evaluator_profiled(kds_evaluator *x, uint64_t tag, kds_job_end end, const kds_frame *reply,
                        const char *why)
{
    work *w = evaluator_find(x, tag);
    kds_verdict v = KDS_VERDICT_OK;
    if (!w || x->error.code != KDS_OK)
        return;
    const cJSON *answer = end == KDS_JOB_REPLY ? reply->header : NULL;
    int rows[KDS_PROFILE_ROWS], count = list_profiled(x->o.task, w->row, rows);
    if (answer && kds_verdict_parse(kds_json_str(answer, "verdict", "ok"), &v) &&
        v != KDS_VERDICT_OK) {
        kds_stage s = {.stage = "profile",
                       .verdict = v,
                       .line = (int)kds_json_int(answer, "line", 0),
                       .message = kds_json_str(answer, "message", ""),
                       .log = ""};
        (void)evaluator_tell(x, w, &s);
        return;
    }
    if (!answer || !take_counters(answer, rows, count, w->counters)) {
        work_failed(x, w, end == KDS_JOB_REPLY ? KDS_JOB_DIED : end,
                    answer ? kds_json_str(answer, "message", "gave no counters") : why);
        return;
    }
    w->row = rows[count - 1] + 1;
    if (list_profiled(x->o.task, w->row, rows) > 0)
        go_on(x, w, WORK_PROFILE);
    else
        complete(x, w);
}
