/* Correctness once, then time: visits behind a delay kernel that hides the cost of submitting the
 * graph. The outputs of the last set after the timed launches must be right too: a kernel that
 * skips its work when it is timed is found. */
#include "eval/cuda/gpu_measure.h"
#include "eval/cuda/gpu_visit.h"
#include "eval/stats.h"

#include <math.h>
#include <string.h>

#define CYCLE_US 100000.0 /* most work of one turn through all sets */
#define WARM_US 5000.0    /* work before the first visit that counts */
#define WARM_VISITS 2     /* at least */
#define WARM_VISITS_MAX 50
#define MEASURED_US 15000.0 /* work that counts, at least */
#define VISITS_LEAST 9

typedef struct timed {
    kds_gpu_program *program;
    kds_gpu_visit visit;
    int launches, sets; /* of the graph */
    kds_finding *f;
    kds_err *e;
} timed;

static bool stopped(const timed *t)
{
    return t->f->verdict != KDS_VERDICT_OK;
}

/* A graph of that many runs in a row. */
static kds_code build_graph(timed *t, int launches)
{
    kds_code code = kds_gpu_visit_begin(&t->visit, t->e);
    t->launches = launches;
    if (code != KDS_OK)
        return code;
    for (int i = 0; i < launches && !stopped(t); i++)
        (void)kds_gpu_program_queue(t->program, i % t->sets, t->f);
    return kds_gpu_visit_end(&t->visit, !stopped(t), t->e);
}

static kds_code visit(timed *t, double *us)
{
    return kds_gpu_visit_run(&t->visit, t->program, us, t->f, t->e);
}

/* How many sets, and a graph long enough. */
static kds_code plan_visit(timed *t)
{
    double one = 0, all = 0;
    kds_code code =
        kds_gpu_visit_single(&t->visit, t->program, 1 % t->program->sets, &one, t->f, t->e);
    if (code != KDS_OK || stopped(t))
        return code;
    double most = CYCLE_US / (one > 0.1 ? one : 0.1);
    int most_launches = KDS_GPU_VISIT_NODES / kds_gpu_visit_nodes(t->program);
    t->sets = t->program->sets;
    if (t->sets > most_launches)
        t->sets = most_launches;
    if (most < (double)t->sets)
        t->sets = most < 2 ? (t->sets < 2 ? t->sets : 2) : (int)most;
    code = build_graph(t, t->sets);
    if (code == KDS_OK && !stopped(t))
        code = visit(t, &all);
    if (code == KDS_OK && !stopped(t))
        code = visit(t, &all);
    if (code != KDS_OK || stopped(t) || all >= KDS_GPU_VISIT_US)
        return code;
    double turns = ceil(1.1 * KDS_GPU_VISIT_US / (all > 1 ? all : 1));
    if (turns * t->sets > most_launches)
        turns = floor((double)most_launches / t->sets);
    return build_graph(t, t->sets * (turns > 1 ? (int)turns : 1));
}

static kds_code take_samples(timed *t, kds_gpu_timing *out)
{
    double sorted[KDS_GPU_VISITS], us = 0, sum = 0;
    kds_code code = KDS_OK;
    for (int i = 0;
         code == KDS_OK && !stopped(t) && i < WARM_VISITS_MAX && (i < WARM_VISITS || sum < WARM_US);
         i++) {
        code = visit(t, &us);
        sum += us;
    }
    sum = 0;
    while (code == KDS_OK && !stopped(t) && out->visits < KDS_GPU_VISITS &&
           (out->visits < VISITS_LEAST || sum < MEASURED_US)) {
        code = visit(t, &us);
        sum += us;
        out->samples[out->visits++] = us / t->launches;
    }
    if (code != KDS_OK || stopped(t))
        return code;
    memcpy(sorted, out->samples, sizeof sorted);
    kds_stats_sort(sorted, (size_t)out->visits);
    size_t n = (size_t)out->visits;
    out->us = kds_stats_quantile(sorted, n, 0.5);
    if (!(out->us > 0))
        return kds_fail(t->e, KDS_SELF_TEST, "a graph of %d launches took no time at all",
                        t->launches);
    out->spread =
        (kds_stats_quantile(sorted, n, 0.75) - kds_stats_quantile(sorted, n, 0.25)) / out->us;
    return KDS_OK;
}

static kds_code time_program(kds_gpu_row *r, kds_gpu_program *p, kds_gpu_timing *out,
                             kds_finding *f, kds_err *e)
{
    timed t = {.program = p,
               .visit = {.card = r->card, .helpers = r->helpers, .delay_ns = KDS_GPU_DELAY_NS},
               .f = f,
               .e = e};
    kds_code code = plan_visit(&t);
    if (code == KDS_OK && !stopped(&t))
        code = take_samples(&t, out);
    out->launches = t.launches;
    out->sets = t.sets;
    out->cold = (double)t.sets * (double)r->buffer_bytes > 2.0 * (double)r->card->info.l2_bytes;
    kds_gpu_visit_drop(&t.visit);
    return code;
}

/* Right once, on poisoned outputs. */
static kds_code prove(kds_gpu_row *r, kds_gpu_program *p, kds_finding *f, kds_err *e)
{
    kds_code code = KDS_OK;
    if (kds_gpu_program_queue(p, 0, f) && kds_gpu_program_wait(p, f))
        code = kds_gpu_row_intact(r, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
        code = kds_gpu_row_check(r, 0, f, e);
    return code;
}

/* The outputs that timed launches left in a set. */
static kds_code check_timed(kds_gpu_row *r, int set, kds_finding *f, kds_err *e)
{
    kds_code code = kds_gpu_row_check(r, set, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_WRONG) {
        kds_finding inner = *f;
        kds_finding_set(f, KDS_VERDICT_STALE_OUTPUT, "correctness", 0,
                        "right when it ran alone, but after the timed launches: %.2000s",
                        inner.text);
    }
    return code;
}

/* After the timed launches: nothing foreign written, and the last set's outputs right. */
static kds_code prove_timed(kds_gpu_row *r, const kds_gpu_timing *t, kds_finding *f, kds_err *e)
{
    kds_code code = kds_gpu_row_intact(r, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK || r->has_inout || t->sets < 1)
        return code;
    return check_timed(r, t->sets - 1, f, e);
}

kds_code kds_gpu_measure(kds_gpu_row *r, const kds_plan *plan, const kds_compiled *c,
                         kds_gpu_timing *out, bool *spoilt, kds_finding *f, kds_err *e)
{
    kds_gpu_program *p = NULL;
    memset(out, 0, sizeof *out);
    kds_code code = kds_gpu_program_load(&p, r, plan, c, f, e);
    if (code == KDS_OK && p != NULL) {
        out->variant = p->code.binding->variant_name;
        out->plan_launches = p->code.binding->launch_count;
        code = prove(r, p, f, e);
        if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
            code = time_program(r, p, out, f, e);
        if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
            code = prove_timed(r, out, f, e);
    }
    *spoilt = f->verdict == KDS_VERDICT_TIMEOUT || f->verdict == KDS_VERDICT_DEVICE_FAULT ||
              f->verdict == KDS_VERDICT_WROTE_OUTSIDE;
    if (!*spoilt) /* destroying what a hung or lost card still holds would wait for ever */
        kds_gpu_program_unload(p);
    return code;
}

/* What the baseline makes of a set's inputs, which are no other set's, and then poison there. */
static kds_code expect_set(kds_gpu_row *r, kds_gpu_program *baseline, int set, kds_finding *own,
                           kds_err *e)
{
    kds_code code = KDS_OK;
    if (kds_gpu_program_queue(baseline, set, own) && kds_gpu_program_wait(baseline, own))
        code = kds_gpu_row_keep(r, set, e);
    if (code == KDS_OK && own->verdict == KDS_VERDICT_OK)
        code = kds_gpu_row_poison(r, set, e);
    return code;
}

/* A visit that must work: a set drawn for it loses its outputs before and must have them after.
 * Buffers that are input and output change with every launch and cannot be looked at here. */
static kds_code checked_visit(timed *t, const timed *baseline, kds_random *draw, double *us)
{
    kds_gpu_row *r = t->program->row;
    int set = (int)kds_random_below(draw, (uint64_t)t->sets);
    kds_code code =
        r->has_inout ? KDS_OK : expect_set(r, baseline->program, set, baseline->f, t->e);
    if (code == KDS_OK && !stopped(baseline))
        code = visit(t, us);
    *us /= t->launches;
    if (code == KDS_OK && !stopped(t) && !stopped(baseline) && !r->has_inout)
        code = check_timed(r, set, t->f, t->e);
    return code;
}

/* After all visits: once more on fresh memory, where no visit could be checked. */
static kds_code prove_after(timed *t)
{
    kds_gpu_row *r = t->program->row;
    kds_code code = kds_gpu_row_intact(r, t->f, t->e);
    if (code != KDS_OK || stopped(t) || !r->has_inout)
        return code;
    code = kds_gpu_row_reset(r, t->e);
    if (code == KDS_OK && kds_gpu_program_queue(t->program, 0, t->f) &&
        kds_gpu_program_wait(t->program, t->f))
        code = check_timed(r, 0, t->f, t->e);
    return code;
}

/* Visits of both arms that are alike: the same sets, the same number of runs, and one visit of each
 * that does not count, because the first one after a graph was made is slow. */
static kds_code plan_pair(timed *arms)
{
    kds_code code = KDS_OK;
    double us = 0;
    for (int i = 0; code == KDS_OK && i < 2 && !stopped(&arms[i]); i++)
        code = plan_visit(&arms[i]);
    if (code != KDS_OK || stopped(&arms[0]) || stopped(&arms[1]))
        return code;
    int sets = arms[0].sets < arms[1].sets ? arms[0].sets : arms[1].sets;
    int turns = 0;
    for (int i = 0; i < 2; i++) {
        int most = KDS_GPU_VISIT_NODES / kds_gpu_visit_nodes(arms[!i].program) / sets;
        int own = arms[i].launches / sets < most ? arms[i].launches / sets : most;
        turns = own > turns ? own : turns;
    }
    for (int i = 0; code == KDS_OK && i < 2 && !stopped(&arms[i]); i++) {
        arms[i].sets = sets;
        if (arms[i].launches != turns * sets)
            code = build_graph(&arms[i], turns * sets);
        if (code == KDS_OK && !stopped(&arms[i]))
            code = visit(&arms[i], &us);
    }
    return code;
}

static kds_code measure_arms(timed *arms, kds_random *draw, double us[2])
{
    bool swap = kds_random_below(draw, 2) == 1;
    us[0] = us[1] = 0;
    kds_code code = plan_pair(arms);
    for (int i = 0; code == KDS_OK && !stopped(&arms[0]) && !stopped(&arms[1]) && i < 4; i++) {
        int arm = (i == 1 || i == 2) != swap;
        double one = 0;
        code = checked_visit(&arms[arm], &arms[1], draw, &one);
        us[arm] += one / 2;
    }
    if (code == KDS_OK && !stopped(&arms[0]) && !stopped(&arms[1]))
        code = prove_after(&arms[0]);
    return code;
}

kds_code kds_gpu_measure_pair(kds_gpu_program *candidate, kds_gpu_program *baseline,
                              kds_random *draw, double us[2], kds_finding *f, kds_err *e)
{
    kds_gpu_row *r = candidate->row;
    kds_finding own;
    timed arms[2] = {
        {.program = candidate,
         .visit = {.card = r->card, .helpers = r->helpers, .delay_ns = KDS_GPU_DELAY_NS},
         .f = f,
         .e = e}};
    kds_finding_clear(&own);
    arms[1] = arms[0];
    arms[1].program = baseline;
    arms[1].f = &own;
    kds_code code = measure_arms(arms, draw, us);
    if (code == KDS_OK && own.verdict != KDS_VERDICT_OK)
        code = kds_fail(e, KDS_DEVICE_LOST, "the baseline failed beside a candidate: %.600s",
                        own.text);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK && !(us[0] > 0 && us[1] > 0))
        code = kds_fail(e, KDS_SELF_TEST, "a graph of launches took no time at all");
    if (f->verdict != KDS_VERDICT_TIMEOUT && f->verdict != KDS_VERDICT_DEVICE_FAULT)
        for (int i = 0; i < 2; i++)
            kds_gpu_visit_drop(&arms[i].visit);
    return code;
}
