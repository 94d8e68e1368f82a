/* The judge: runs a candidate through the gate row by row, cheapest and most telling first (quick
 * rows, production rows, held-out rows), stops at the first finding, and hands what was seen to the
 * report. The baseline goes through the same gate when the judge is opened, so that a wrong task is
 * found before anything is paid for. */
#include "eval/judge_internal.h"
#include "eval/worker.h"
#include "search/base/text.h"

#include <stdlib.h>
#include <string.h>

#define SEEDS_DEFAULT 2
#define SEEDS_MOST 16

static void judgement_drop(kds_judgement *x)
{
    free(x->rows);
    free(x->checked);
    free(x->order);
}

static kds_code judgement_make(kds_judgement *x, const kds_task *t, kds_err *e)
{
    size_t rows = (size_t)t->row_count;
    x->rows = calloc(rows, sizeof *x->rows);
    x->checked = calloc(rows, sizeof *x->checked);
    x->order = calloc(rows, sizeof *x->order);
    kds_finding_clear(&x->finding);
    if (x->rows != NULL && x->checked != NULL && x->order != NULL)
        return KDS_OK;
    judgement_drop(x);
    return kds_fail(e, KDS_NO_MEMORY, "cannot judge a candidate: out of memory");
}

static void note_row(kds_judgement *x, int row)
{
    x->checked[row] = true;
    x->order[x->order_count++] = row;
}

/* Checks all rows of a set in order, until a finding. */
static kds_code check_set(kds_judge *j, kds_judgement *x, kds_program *p, kds_row_set set,
                          kds_err *e)
{
    for (int row = 0; row < j->task->row_count && x->finding.verdict == KDS_VERDICT_OK; row++) {
        if (j->task->rows[row].set != set)
            continue;
        kds_code code = kds_gate_check(j->main.gate, p, row, &x->rows[row], &x->finding, e);
        if (code != KDS_OK)
            return code;
        note_row(x, row);
    }
    return KDS_OK;
}

/* A held-out row teaches the model that it failed and nothing more: any word of the finding may
 * have a number of the row in it. */
static void hide_held_out(kds_judgement *x)
{
    kds_verdict verdict = x->finding.verdict;
    if (verdict != KDS_VERDICT_OK)
        kds_finding_set(&x->finding, verdict, "held_out", 0,
                        "a held-out row failed: the kernel is not right for every legal shape");
}

static kds_code check_all(kds_judge *j, kds_judgement *x, kds_program *p, kds_err *e)
{
    kds_code code = check_set(j, x, p, KDS_ROWS_QUICK, e);
    if (code != KDS_OK || j->only_safety || x->finding.verdict != KDS_VERDICT_OK)
        return code;
    code = check_set(j, x, p, KDS_ROWS_PRODUCTION, e);
    if (code != KDS_OK || x->finding.verdict != KDS_VERDICT_OK)
        return code;
    code = check_set(j, x, p, KDS_ROWS_HELD_OUT, e);
    if (code == KDS_OK)
        hide_held_out(x);
    return code;
}

/* The report is complete, or there is none. */
static kds_code add_forecast(kds_judge *j, kds_program *p, cJSON **report, kds_err *e)
{
    kds_code code = kds_judge_forecast(j, p, *report, e);
    if (code == KDS_OK)
        return code;
    cJSON_Delete(*report);
    *report = NULL;
    return code;
}

kds_code kds_judge_run(kds_judge *j, const char *source, size_t len, const kds_plan *plan,
                       const kds_compiled *compiled, cJSON **report, kds_err *e)
{
    kds_program *p = NULL;
    kds_judgement x = {.source = source, .len = len, .plan = plan, .compiled = compiled};
    kds_code code = judgement_make(&x, j->task, e);
    if (code != KDS_OK)
        return code;
    if (j->blind)
        kds_finding_set(&x.finding, KDS_VERDICT_NOT_SIMULATED, "safety", 0,
                        "the simulator cannot run the task's own kernels");
    else
        code = j->main.device->ops->load(j->main.device, plan, compiled, false, &p, &x.finding, e);
    if (code == KDS_OK && p != NULL)
        code = check_all(j, &x, p, e);
    if (code == KDS_OK)
        code = kds_judge_report(j, &x, report, e);
    if (code == KDS_OK && j->forecasts && p != NULL && x.finding.verdict == KDS_VERDICT_OK)
        code = add_forecast(j, p, report, e);
    if (code != KDS_OK && !j->main.device->modelled)
        j->main.device->spoilt = true; /* a fresh process is a sane one */
    j->main.device->ops->unload(p);
    judgement_drop(&x);
    return code;
}

/* Which compiler made the code: the comment lines at the top of its PTX. */
static void toolchain_of(const kds_compiled *c, char *out, size_t size)
{
    size_t used = 0;
    const char *at = c->module_count > 0 && c->modules[0].ptx != NULL ? c->modules[0].ptx : "";
    while (at[0] == '/' && at[1] == '/') {
        size_t line = strcspn(at, "\n");
        if (used + line + 2 > size)
            break;
        memcpy(out + used, at, line);
        used += line;
        out[used++] = ' ';
        at += line + (at[line] == '\n');
    }
    out[used] = '\0';
}

static kds_code parse_own(kds_judge *j, const char *which, const char *source, kds_plan **plan,
                          kds_err *e)
{
    kds_finding f;
    kds_finding_clear(&f);
    kds_code code = kds_plan_parse(plan, j->task, source, strlen(source), NULL, &f, e);
    if (code == KDS_OK && *plan == NULL)
        code = kds_fail(e, KDS_INVALID, "task %s: the %s is no valid candidate: %s: line %d: %s",
                        j->task->name, which, kds_verdict_name(f.verdict), f.line, f.text);
    return code;
}

/* Puts the task's own kernels on a device. A finding is an error of the task, but for the one that
 * the device does not have what they need: then *out stays empty. */
static kds_code load_own(const kds_judge *j, kds_judge_bench *b, const char *which,
                         const kds_plan *plan, const kds_compiled *compiled, bool oracle,
                         kds_program **out, kds_err *e)
{
    kds_finding f;
    kds_finding_clear(&f);
    kds_code code = b->device->ops->load(b->device, plan, compiled, oracle, out, &f, e);
    if (code == KDS_OK && *out == NULL &&
        !(j->only_safety && f.verdict == KDS_VERDICT_NOT_SIMULATED))
        code = kds_fail(e, KDS_INVALID, "task %s: the %s is no valid candidate: %s: line %d: %s",
                        j->task->name, which, kds_verdict_name(f.verdict), f.line, f.text);
    return code;
}

static void bench_close(kds_judge_bench *b)
{
    kds_gate_close(b->gate);
    if (b->device != NULL) {
        b->device->ops->unload(b->baseline);
        b->device->ops->unload(b->reference);
    }
    kds_device_close(b->device);
    *b = (kds_judge_bench){0};
}

/* The device is open; its gate, with the task's own kernels behind it. */
static kds_code bench_open(kds_judge *j, kds_judge_bench *b, const kds_judge_options *o,
                           const kds_compiled *baseline, const kds_compiled *reference, kds_err *e)
{
    int seeds = o->seeds > 0 ? o->seeds : SEEDS_DEFAULT;
    b->device->threads = o->threads;
    kds_code code = load_own(j, b, "baseline", j->baseline_plan, baseline, false, &b->baseline, e);
    if (code == KDS_OK && reference != NULL)
        code = load_own(j, b, "reference", j->reference_plan, reference, true, &b->reference, e);
    if (code == KDS_OK && (b->baseline == NULL || (reference != NULL && b->reference == NULL)))
        j->blind = true;
    else if (code == KDS_OK)
        code = kds_gate_open(&b->gate, b->device, j->task, o->gate_seed, seeds, b->baseline,
                             b->reference, e);
    return code;
}

/* Judges the baseline, keeps its report and times. */
static kds_code judge_baseline(kds_judge *j, const kds_compiled *compiled, kds_err *e)
{
    const char *source = j->task->baseline;
    kds_code code = kds_judge_run(j, source, strlen(source), j->baseline_plan, compiled,
                                  &j->baseline_report, e);
    if (code != KDS_OK)
        return code;
    const char *verdict = kds_json_str(j->baseline_report, "verdict", "");
    if (j->only_safety && strcmp(verdict, kds_verdict_name(KDS_VERDICT_NOT_SIMULATED)) == 0) {
        j->blind = true;
        return KDS_OK;
    }
    if (strcmp(verdict, kds_verdict_name(KDS_VERDICT_OK)) != 0)
        return kds_fail(e, KDS_INVALID, "task %s: the baseline does not pass its own gate: %s: %s",
                        j->task->name, verdict, kds_json_str(j->baseline_report, "message", ""));
    const cJSON *row;
    cJSON_ArrayForEach(row, kds_json_at(j->baseline_report, "rows"))
    {
        const kds_row *r = kds_task_row(j->task, kds_json_str(row, "row", ""));
        if (r != NULL)
            j->baseline_us[r - j->task->rows] = kds_json_num(row, "time_us", 0);
    }
    return KDS_OK;
}

/* What needs files is opened before confinement. */
static kds_code open_device(kds_judge *j, const kds_judge_options *o, const char *toolchain,
                            kds_err *e)
{
    const char *spec = o->device != NULL ? o->device : "sim";
    kds_code code = kds_device_open(&j->main.device, spec, j->task, o->gate_seed, toolchain, e);
    if (code == KDS_OK && o->confine)
        code = kds_worker_confine_judge(kds_device_is_gpu(spec), e);
    return code;
}

kds_code kds_judge_open(kds_judge **out, const kds_task *t, const kds_judge_options *o,
                        const kds_compiled *baseline, const kds_compiled *reference, kds_err *e)
{
    char toolchain[512];
    if (o->seeds > SEEDS_MOST)
        return kds_fail(e, KDS_USAGE, "%d secret seeds asked for; at most %d", o->seeds,
                        SEEDS_MOST);
    if ((reference == NULL) != (t->reference == NULL))
        return kds_fail(e, KDS_INVALID, "task %s: the reference was not compiled with the task",
                        t->name);
    kds_judge *j = calloc(1, sizeof *j);
    if (j == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot open the judge: out of memory");
    j->task = t;
    j->only_safety = o->only_safety;
    j->forecasts = o->forecast && o->only_safety;
    j->baseline_us = calloc((size_t)t->row_count, sizeof(double));
    kds_code code = j->baseline_us != NULL
                        ? KDS_OK
                        : kds_fail(e, KDS_NO_MEMORY, "cannot open the judge: out of memory");
    toolchain_of(baseline, toolchain, sizeof toolchain);
    if (code == KDS_OK)
        code = open_device(j, o, toolchain, e);
    if (code == KDS_OK)
        code = parse_own(j, "baseline", t->baseline, &j->baseline_plan, e);
    if (code == KDS_OK && reference != NULL)
        code = parse_own(j, "reference", t->reference, &j->reference_plan, e);
    if (code == KDS_OK)
        code = bench_open(j, &j->main, o, baseline, reference, e);
    if (code == KDS_OK && !o->proven && !j->blind)
        code = judge_baseline(j, baseline, e);
    if (code == KDS_OK)
        *out = j;
    else
        kds_judge_close(j);
    return code;
}

void kds_judge_close(kds_judge *j)
{
    if (j == NULL)
        return;
    kds_judge_ahead_close(j);
    bench_close(&j->main);
    kds_plan_free(j->baseline_plan);
    kds_plan_free(j->reference_plan);
    cJSON_Delete(j->baseline_report);
    free(j->baseline_us);
    free(j);
}

const char *kds_judge_fingerprint(const kds_judge *j)
{
    return j->main.device->fingerprint;
}

const kds_device *kds_judge_device(const kds_judge *j)
{
    return j->main.device;
}

bool kds_judge_spoilt(const kds_judge *j)
{
    return j->main.device->spoilt;
}

const cJSON *kds_judge_baseline(const kds_judge *j)
{
    return j->baseline_report;
}
