/* The gate. A case is a row with one secret seed and one regime; its expectation holds the inputs,
 * the outputs of reference and baseline, and the baseline's own errors, kept below a cap and
 * computed again when they were dropped. Invariant: a report depends on the candidate and the
 * seeds, never on what is kept. */
#include "eval/gate.h"
#include "search/base/buf.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_BYTES (256u << 20)
#define POISON_NAN 0xff       /* all floating types: NaN */
#define POISON_PLAUSIBLE 0x3f /* bf16 and f32: 0.747, f16: 1.81 */
/* Work that a candidate may take, as a multiple of the baseline's. */
#define BUDGET_FACTOR 64
#define BUDGET_LEAST 4000000u
/* What a sampled candidate must write of its outputs, as far as its blocks tell. */
#define COVERAGE_LEAST (1 - 1e-6)

typedef struct expectation {
    kds_bench *bench;
    kds_outputs *reference, *baseline; /* NULL on sampled rows; reference also if there is none */
    kds_errors baseline_errors[KDS_BUFFERS_MAX];
    uint64_t work;    /* of the baseline */
    double rewritten; /* by the baseline, on sampled rows */
    size_t bytes;
    uint64_t used; /* when, in calls */
} expectation;

struct kds_gate {
    kds_device *device;
    const kds_task *task;
    uint64_t seed;
    int seeds;
    kds_program *baseline, *reference;
    expectation **kept; /* by row, seed, regime */
    size_t kept_count, bytes;
    uint64_t calls;
};

static void expectation_free(kds_gate *g, expectation *x)
{
    if (x == NULL)
        return;
    const kds_device_ops *ops = g->device->ops;
    ops->outputs_free(x->reference);
    ops->outputs_free(x->baseline);
    ops->teardown(x->bench);
    free(x);
}

kds_code kds_gate_open(kds_gate **out, kds_device *d, const kds_task *t, uint64_t seed, int seeds,
                       kds_program *baseline, kds_program *reference, kds_err *e)
{
    kds_gate *g = calloc(1, sizeof *g);
    if (g == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot open the gate: out of memory");
    *g = (kds_gate){.device = d,
                    .task = t,
                    .seed = seed,
                    .seeds = seeds,
                    .baseline = baseline,
                    .reference = reference};
    g->kept_count = (size_t)t->row_count * (size_t)seeds * (size_t)t->regime_count;
    g->kept = calloc(g->kept_count, sizeof(expectation *));
    if (g->kept == NULL) {
        free(g);
        return kds_fail(e, KDS_NO_MEMORY, "cannot open the gate: out of memory");
    }
    *out = g;
    return KDS_OK;
}

void kds_gate_close(kds_gate *g)
{
    if (g == NULL)
        return;
    for (size_t i = 0; i < g->kept_count; i++)
        expectation_free(g, g->kept[i]);
    free(g->kept);
    free(g);
}

static uint64_t secret_of(const kds_gate *g, int seed)
{
    unsigned char bytes[9];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(g->seed >> (8 * i));
    bytes[8] = (unsigned char)seed;
    return kds_hash64(bytes, sizeof bytes, 0);
}

static bool is_output(const kds_task *t, int buffer)
{
    return t->buffers[buffer].role != KDS_ROLE_IN;
}

/* A finding about the task's own kernels is an error of the task. */
static kds_code own_fault(const kds_gate *g, const char *which, int row, const kds_finding *f,
                          kds_err *e)
{
    return kds_fail(e, KDS_INVALID, "task %s: the %s fails on row %s: %s: %s", g->task->name, which,
                    g->task->rows[row].id, kds_verdict_name(f->verdict), f->text);
}

static kds_code baseline_errors(kds_gate *g, expectation *x, const kds_outputs *got,
                                const kds_outputs *want, kds_err *e)
{
    for (int i = 0; i < g->task->buffer_count; i++) {
        if (!is_output(g->task, i))
            continue;
        kds_code code =
            g->device->ops->compare(x->bench, i, got, want, NULL, false, &x->baseline_errors[i], e);
        if (code != KDS_OK)
            return code;
    }
    return KDS_OK;
}

/* Runs baseline and reference on the case's inputs. */
static kds_code expect(kds_gate *g, expectation *x, int row, kds_err *e)
{
    const kds_device_ops *ops = g->device->ops;
    const kds_run_options o = {.poison = POISON_NAN};
    kds_finding f;
    kds_run_result run;
    kds_outputs *got = NULL, *want = NULL;
    kds_finding_clear(&f);
    kds_code code = ops->run(x->bench, g->baseline, &o, &run, &got, &f, e);
    if (code == KDS_OK && f.verdict != KDS_VERDICT_OK)
        code = own_fault(g, "baseline", row, &f, e);
    if (code != KDS_OK)
        goto out;
    x->work = run.work;
    x->rewritten = run.rewritten;
    if (g->reference != NULL) {
        code = ops->cover(x->bench, g->reference, got, &want, &f, e);
        if (code == KDS_OK && f.verdict != KDS_VERDICT_OK)
            code = own_fault(g, "reference", row, &f, e);
        if (code == KDS_OK && want != NULL)
            code = baseline_errors(g, x, got, want, e);
    }
    if (code == KDS_OK && !x->bench->sampled) {
        x->baseline = got;
        x->reference = want;
        got = want = NULL;
    }
out:
    ops->outputs_free(got);
    ops->outputs_free(want);
    return code;
}

/* Drops what was used longest ago until the cap holds; never `keep`. */
static void drop_old(kds_gate *g, const expectation *keep)
{
    size_t most = g->device->kept_bytes > 0 ? g->device->kept_bytes : KEPT_BYTES;
    while (g->bytes > most) {
        size_t oldest = g->kept_count;
        for (size_t i = 0; i < g->kept_count; i++)
            if (g->kept[i] != NULL && g->kept[i] != keep &&
                (oldest == g->kept_count || g->kept[i]->used < g->kept[oldest]->used))
                oldest = i;
        if (oldest == g->kept_count)
            return;
        g->bytes -= g->kept[oldest]->bytes;
        expectation_free(g, g->kept[oldest]);
        g->kept[oldest] = NULL;
    }
}

static kds_code expectation_get(kds_gate *g, int row, int seed, int regime, expectation **out,
                                kds_err *e)
{
    const kds_device_ops *ops = g->device->ops;
    size_t at = ((size_t)row * (size_t)g->seeds + (size_t)seed) * (size_t)g->task->regime_count +
                (size_t)regime;
    expectation *x = g->kept[at];
    if (x == NULL) {
        x = calloc(1, sizeof *x);
        if (x == NULL)
            return kds_fail(e, KDS_NO_MEMORY, "cannot prepare a row: out of memory");
        kds_code code = ops->setup(g->device, row, secret_of(g, seed), regime, &x->bench, e);
        if (code == KDS_OK)
            code = expect(g, x, row, e);
        if (code != KDS_OK) {
            expectation_free(g, x);
            return code;
        }
        x->bytes = sizeof *x;
        x->bytes += x->reference != NULL ? ops->outputs_bytes(x->reference) : 0;
        x->bytes += x->baseline != NULL ? ops->outputs_bytes(x->baseline) : 0;
        g->kept[at] = x;
        g->bytes += x->bytes;
    }
    x->used = ++g->calls;
    drop_old(g, x);
    *out = x;
    return KDS_OK;
}

/* One candidate on one case. */
typedef struct trial {
    kds_gate *gate;
    kds_program *program;
    expectation *x;
    int row, regime;
    kds_gate_row *out;
    kds_finding *f;
} trial;

static bool failed(const trial *t)
{
    return t->f->verdict != KDS_VERDICT_OK;
}

static void note_errors(trial *t, int buffer, const kds_errors *errors)
{
    if (t->regime != 0)
        return;
    int at = 0;
    while (at < t->out->error_count && t->out->errors[at].buffer != buffer)
        at++;
    if (at == t->out->error_count) {
        memset(&t->out->errors[at], 0, sizeof t->out->errors[at]);
        t->out->error_count++;
        t->out->errors[at].buffer = buffer;
    }
    if (errors->max_abs > t->out->errors[at].max_abs)
        t->out->errors[at].max_abs = errors->max_abs;
    if (errors->rel_rmse > t->out->errors[at].rel_rmse)
        t->out->errors[at].rel_rmse = errors->rel_rmse;
    double base = t->x->baseline_errors[buffer].max_abs;
    if (base > t->out->errors[at].baseline_max_abs)
        t->out->errors[at].baseline_max_abs = base;
}

/* What an output is compared with. */
typedef enum oracle {
    REFERENCE, /* with norms and the baseline's errors, which are told */
    BASELINE,  /* there is no reference, or bits must be equal: with norms, which are told */
    SECOND /* the baseline after the reference; norms count if its tolerance is one of its own */
} oracle;

/* Compares one output with `want` and judges it. */
static kds_code check_output(trial *t, int buffer, const kds_outputs *got, const kds_outputs *want,
                             oracle which, int64_t *checked, kds_err *e)
{
    const kds_task *task = t->gate->task;
    const kds_buffer_spec *spec = &task->buffers[buffer];
    const kds_tolerance *tolerance = which == SECOND ? &spec->beside_baseline : &spec->tolerance;
    kds_errors errors;
    kds_code code = t->gate->device->ops->compare(t->x->bench, buffer, got, want, tolerance,
                                                  task->bitwise, &errors, e);
    if (code != KDS_OK)
        return code;
    if (which == REFERENCE || which == BASELINE)
        note_errors(t, buffer, &errors);
    if (checked != NULL)
        *checked += errors.checked;
    (void)kds_errors_judge(&errors, which == REFERENCE ? &t->x->baseline_errors[buffer] : NULL,
                           tolerance, &t->x->bench->extents[buffer], spec->name,
                           which == REFERENCE ? "reference" : "baseline",
                           which != SECOND || spec->has_beside_baseline, task->bitwise, t->f);
    return KDS_OK;
}

/* The outputs of a whole row against reference and baseline. A bitwise task knows the baseline
 * only. */
static kds_code check_whole(trial *t, const kds_outputs *got, kds_err *e)
{
    const kds_task *task = t->gate->task;
    bool reference = t->x->reference != NULL && !task->bitwise;
    kds_code code = KDS_OK;
    for (int i = 0; i < task->buffer_count && code == KDS_OK && !failed(t); i++) {
        if (!is_output(task, i))
            continue;
        if (reference)
            code = check_output(t, i, got, t->x->reference, REFERENCE, NULL, e);
        if (code == KDS_OK && !failed(t))
            code = check_output(t, i, got, t->x->baseline, reference ? SECOND : BASELINE, NULL, e);
    }
    return code;
}

/* Time is scaled from the blocks of a sample, so their outputs must add up to all outputs. */
static void check_coverage(trial *t, const kds_run_result *run)
{
    if (run->coverage <= 0)
        kds_finding_set(t->f, KDS_VERDICT_WRONG, "correctness", 0,
                        "none of the blocks that were sampled wrote any output");
    else if (run->coverage < COVERAGE_LEAST)
        kds_finding_set(t->f, KDS_VERDICT_WRONG, "correctness", 0,
                        "the blocks of the grid write only about %.3g %% of an output; every "
                        "element must be written",
                        100 * run->coverage);
    else if (run->rewritten < COVERAGE_LEAST && t->x->rewritten >= COVERAGE_LEAST)
        kds_finding_set(t->f, KDS_VERDICT_WRONG, "correctness", 0,
                        "the blocks of the grid rewrite only about %.3g %% of a buffer that is "
                        "read and written; the baseline rewrites all of it",
                        100 * run->rewritten);
}

static kds_code compare_sample(trial *t, const kds_outputs *got, int64_t *checked, kds_err *e)
{
    const kds_task *task = t->gate->task;
    const kds_device_ops *ops = t->gate->device->ops;
    bool reference = t->gate->reference != NULL && !task->bitwise;
    kds_outputs *want = NULL;
    kds_finding f;
    kds_finding_clear(&f);
    kds_code code = ops->cover(t->x->bench, reference ? t->gate->reference : t->gate->baseline, got,
                               &want, &f, e);
    if (code == KDS_OK && f.verdict != KDS_VERDICT_OK)
        code = own_fault(t->gate, reference ? "reference" : "baseline", t->row, &f, e);
    for (int i = 0; i < task->buffer_count && code == KDS_OK && want != NULL && !failed(t); i++)
        if (is_output(task, i))
            code = check_output(t, i, got, want, reference ? REFERENCE : BASELINE, checked, e);
    ops->outputs_free(want);
    return code;
}

/* The outputs of a sampled row, as far as an oracle can be had for them. Where blocks may depend on
 * blocks that did not run, right outputs prove the candidate and wrong ones prove nothing. */
static kds_code check_sample(trial *t, const kds_outputs *got, const kds_run_result *run,
                             kds_err *e)
{
    int64_t checked = 0;
    kds_code code = KDS_OK;
    check_coverage(t, run);
    if (!failed(t))
        code = compare_sample(t, got, &checked, e);
    t->out->unchecked = checked == 0 || (failed(t) && run->partial);
    if (!failed(t) || !run->partial)
        return code;
    kds_finding_clear(t->f);
    t->out->error_count = 0;
    return code;
}

/* The second run: other poison, and on top of an earlier run, so that what depends on either shows.
 */
static kds_code check_again(trial *t, const kds_outputs *first, kds_run_options o, kds_err *e)
{
    const kds_device_ops *ops = t->gate->device->ops;
    kds_outputs *second = NULL;
    kds_run_result run;
    o.poison = POISON_PLAUSIBLE;
    o.timed = o.races = false;
    o.repeat = true;
    kds_code code = ops->run(t->x->bench, t->program, &o, &run, &second, t->f, e);
    if (code == KDS_OK && !failed(t))
        code = ops->intact(t->x->bench, t->f, e);
    if (code == KDS_OK && !failed(t))
        code = ops->complete(t->x->bench, second, t->f, e);
    if (code == KDS_OK && failed(t) && t->f->verdict == KDS_VERDICT_WRONG) {
        kds_finding inner = *t->f;
        kds_finding_set(t->f, KDS_VERDICT_STALE_OUTPUT, "correctness", 0,
                        "when launched a second time: %s", inner.text);
    }
    if (code == KDS_OK && !failed(t))
        code = ops->same(t->x->bench, first, second, t->f, e);
    ops->outputs_free(second);
    return code;
}

static kds_code check_case(trial *t, bool timed, bool again, kds_err *e)
{
    const kds_device_ops *ops = t->gate->device->ops;
    uint64_t budget = t->x->work * BUDGET_FACTOR;
    kds_run_options o = {.poison = POISON_NAN,
                         .timed = timed,
                         .races = again,
                         .budget = budget > BUDGET_LEAST ? budget : BUDGET_LEAST};
    kds_outputs *got = NULL;
    kds_run_result run;
    kds_code code = ops->run(t->x->bench, t->program, &o, &run, &got, t->f, e);
    t->out->variant = run.variant;
    t->out->launches = run.launches;
    t->out->sampled = t->x->bench->sampled;
    if (timed) {
        t->out->us = run.us;
        t->out->limiter = run.limiter;
        t->out->counters = run.counters;
    }
    if (code != KDS_OK || failed(t))
        goto out;
    code = ops->intact(t->x->bench, t->f, e);
    if (code != KDS_OK || failed(t))
        goto out;
    if (t->x->bench->sampled) {
        code = check_sample(t, got, &run, e);
        goto out;
    }
    code = ops->complete(t->x->bench, got, t->f, e);
    if (code == KDS_OK && !failed(t))
        code = check_whole(t, got, e);
    if (code == KDS_OK && !failed(t) && again)
        code = check_again(t, got, o, e);
    if (code == KDS_OK && !failed(t) && timed && ops->time != NULL)
        code = ops->time(t->x->bench, t->program, t->gate->baseline, &run, t->f, e);
    if (code == KDS_OK && !failed(t) && timed && ops->time != NULL) {
        t->out->us = run.us;
        t->out->baseline_us = run.baseline_us;
    }
out:
    ops->outputs_free(got);
    return code;
}

/* Says where: the row with its dims and the regime stand before the finding. The plan's own
 * findings say it themselves. */
static void place_finding(const trial *t)
{
    const kds_row *row = &t->gate->task->rows[t->row];
    if (strcmp(t->f->stage, "plan") == 0)
        return;
    kds_buf dims;
    kds_buf_init(&dims, 400);
    for (int i = 0; i < row->dim_count; i++) {
        const kds_value *v = &row->dims[i].value;
        kds_buf_printf(&dims, "%s%s=", i > 0 ? ", " : "", row->dims[i].name);
        if (v->is_double)
            kds_buf_printf(&dims, "%g", v->d);
        else
            kds_buf_printf(&dims, "%lld", (long long)v->i);
    }
    const char *regime = t->regime > 0 ? t->gate->task->regimes[t->regime].name : "";
    kds_finding inner = *t->f;
    kds_finding_set(t->f, inner.verdict, inner.stage, inner.line, "row %s (%s)%s%s: %s", row->id,
                    dims.data, t->regime > 0 ? ", inputs " : "", regime, inner.text);
    kds_buf_free(&dims);
}

/* One case; the finding, if any, says where. */
static kds_code check_one(trial *t, int seed, bool timed, bool again, kds_err *e)
{
    kds_code code = expectation_get(t->gate, t->row, seed, t->regime, &t->x, e);
    if (code == KDS_OK)
        code = check_case(t, timed, again, e);
    if (code != KDS_OK || !failed(t))
        return code;
    place_finding(t);
    t->out->verdict = t->f->verdict;
    return KDS_OK;
}

kds_code kds_gate_check(kds_gate *g, kds_program *p, int row, kds_gate_row *out, kds_finding *f,
                        kds_err *e)
{
    bool production = g->task->rows[row].set == KDS_ROWS_PRODUCTION;
    bool brief = production && g->device->modelled;
    bool unchecked = false;
    memset(out, 0, sizeof *out);
    kds_finding_clear(f);
    for (int seed = 0; seed < (brief ? 1 : g->seeds); seed++) {
        for (int regime = 0; regime < (seed == 0 ? g->task->regime_count : 1); regime++) {
            trial t = {g, p, NULL, row, regime, out, f};
            bool plain = regime == 0;
            kds_code code =
                check_one(&t, seed, production && plain && seed == 0, !brief && plain, e);
            if (code != KDS_OK || failed(&t))
                return code;
            unchecked = unchecked || out->unchecked;
        }
    }
    out->unchecked = unchecked;
    return KDS_OK;
}
