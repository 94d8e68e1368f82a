/* The visits of a duel. Between visits all sets get other inputs and poisoned outputs, and the L2
 * is read clean. The outputs of one run of a visit are looked at, any run as likely as another: its
 * set rests for the remaining turns, and part of its outputs is poisoned before if it ran already,
 * so that a kernel which skips what it believes to be done, or is idle now and then, is found. */
#include "eval/cuda/gpu_duel_internal.h"
#include "eval/stats.h"

#include <string.h>

#define LATE_MOST 3 /* times that a visit is taken again because the host was late */
#define WINDOW_BYTES UINT64_C(65536)

static kds_code load_arm(duel *d, int arm, int spacers)
{
    duel_arm *a = &d->arms[arm];
    const kds_compiled *c = d->given[arm].compiled;
    const kds_cuda *cuda = d->g->card->cuda;
    for (int i = 0; i < spacers && c->module_count > 0; i++) {
        kds_code code = kds_cuda_check(cuda, cuda->module_load(&a->spacers[i], c->modules[0].cubin),
                                       d->e, "loading the code once more");
        if (code != KDS_OK)
            return code;
        a->spacer_count++;
    }
    a->visit =
        (kds_gpu_visit){.card = d->g->card, .helpers = d->g->helpers, .delay_ns = d->delay_ns};
    d->guilty = arm;
    return kds_gpu_program_load(&a->program, d->r->row, d->given[arm].plan, c, &d->f, d->e);
}

kds_code duel_load(duel *d, const kds_duel_draw *draw)
{
    int first = draw != NULL && draw->child_loads_first;
    kds_code code = load_arm(d, first, draw != NULL ? draw->spacers[first] : 0);
    if (code == KDS_OK && !duel_stopped(d))
        code = load_arm(d, !first, draw != NULL ? draw->spacers[!first] : 0);
    return code;
}

void duel_unload(duel *d)
{
    const kds_cuda *cuda = d->g->card->cuda;
    for (int arm = 0; arm < 2; arm++) {
        duel_arm *a = &d->arms[arm];
        kds_gpu_visit_drop(&a->visit);
        kds_gpu_program_unload(a->program);
        for (int i = 0; i < a->spacer_count; i++)
            (void)cuda->module_unload(a->spacers[i]);
        if (a->visit.delay_ns > 0)
            d->delay_ns = a->visit.delay_ns;
        memset(a, 0, sizeof *a);
    }
}

bool duel_can_renew(const duel *d, bool warm)
{
    return !(warm && d->r->row->has_inout);
}

/* Poisons part of every output of a set. */
static kds_code poison_window(duel *d, int set, double where)
{
    const kds_gpu_row *row = d->r->row;
    const kds_cuda *c = row->card->cuda;
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && i < row->task->buffer_count; i++) {
        uint64_t bytes = row->bytes[i], at = (uint64_t)(where * (double)bytes) / 256 * 256;
        if (row->task->buffers[i].role != KDS_ROLE_OUT || bytes == 0)
            continue;
        uint64_t most = bytes - at < WINDOW_BYTES ? bytes - at : WINDOW_BYTES;
        code = kds_cuda_check(
            c,
            c->set(row->arena + (uint64_t)set * row->set_bytes + row->offsets[i] + at,
                   KDS_GPU_POISON, (size_t)most, row->card->stream),
            d->e, "poisoning an output");
    }
    return code;
}

/* Index of the run whose outputs are looked at. A lone set cannot rest: its last one. */
static int checked_run(const duel_graph *g)
{
    int turns = 1 + (g->launches - 1 - g->checked) / g->sets;
    int turn = g->sets > 1 ? (int)(g->turn * turns) : turns - 1;
    return g->checked + turn * g->sets;
}

/* The set of a run: in turn, but where the checked one rests, the one furthest from it. */
static int set_of_run(const duel *d, const duel_graph *g, int run, int checked)
{
    int position = run % g->sets;
    if (position == g->checked && run > checked)
        position = (position + g->sets / 2) % g->sets;
    return d->order[position];
}

kds_code duel_build(duel *d, int arm, const duel_graph *g)
{
    duel_arm *a = &d->arms[arm];
    int checked = checked_run(g), pad = g->pad_ns > 0 ? g->launches / 2 : -1;
    d->guilty = arm;
    kds_code code = kds_gpu_visit_begin(&a->visit, d->e);
    if (code != KDS_OK)
        return code;
    for (int i = 0; code == KDS_OK && !duel_stopped(d) && i < g->launches; i++) {
        int set = set_of_run(d, g, i, checked);
        if (i == checked && i >= g->sets)
            code = poison_window(d, set, g->window);
        if (code == KDS_OK && i == pad)
            code = kds_helpers_delay(d->g->helpers, g->pad_ns, d->e);
        if (code == KDS_OK)
            (void)kds_gpu_program_queue(a->program, set, &d->f);
    }
    bool whole = code == KDS_OK && !duel_stopped(d);
    kds_code ended = kds_gpu_visit_end(&a->visit, whole, whole ? d->e : NULL);
    return code == KDS_OK ? ended : code;
}

kds_code duel_refresh(duel *d, int variant)
{
    kds_code code = kds_gpu_duel_row_refill(d->r, variant, d->e);
    return code == KDS_OK ? kds_helpers_read(d->g->helpers, d->g->flush, d->g->flush_bytes, d->e)
                          : code;
}

kds_code duel_check(duel *d, int arm, int position)
{
    kds_code code = kds_gpu_row_check(d->r->row, d->order[position], &d->f, d->e);
    if (code == KDS_OK && d->f.verdict == KDS_VERDICT_WRONG) {
        kds_finding inner = d->f;
        kds_finding_set(&d->f, KDS_VERDICT_STALE_OUTPUT, "correctness", 0,
                        "right when it ran alone, but after timed launches: %.2000s", inner.text);
    }
    d->guilty = arm;
    return code;
}

/* Runs with a clean L2 each, every one on fresh inputs. */
static kds_code visit_flushed(duel *d, int arm, const duel_row *x, int variant, double *us)
{
    duel_arm *a = &d->arms[arm];
    double sum = 0, one = 0;
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && !duel_stopped(d) && i < x->launches; i++) {
        code = duel_refresh(d, variant);
        if (code == KDS_OK)
            code = kds_gpu_visit_single(&a->visit, a->program, d->order[i % x->sets], &one, &d->f,
                                        d->e);
        if (a->visit.late && code == KDS_OK && !duel_stopped(d)) {
            code = duel_refresh(d, variant);
            if (code == KDS_OK)
                code = kds_gpu_visit_single(&a->visit, a->program, d->order[i % x->sets], &one,
                                            &d->f, d->e);
        }
        sum += one;
    }
    *us = kds_stats_picoseconds(sum / x->launches);
    return code;
}

kds_code duel_visit(duel *d, int arm, const duel_row *x, bool warm, int variant, double *us,
                    int *late)
{
    duel_arm *a = &d->arms[arm];
    kds_code code = KDS_OK;
    d->guilty = arm;
    if (x->flushed && !warm)
        return visit_flushed(d, arm, x, variant, us);
    for (int again = 0; code == KDS_OK && !duel_stopped(d); again++) {
        code = duel_refresh(d, variant);
        if (code == KDS_OK && warm)
            (void)kds_gpu_program_queue(a->program, d->order[0], &d->f);
        if (code == KDS_OK && !duel_stopped(d))
            code = kds_gpu_visit_run(&a->visit, a->program, us, &d->f, d->e);
        if (!a->visit.late || again >= LATE_MOST)
            break;
        ++*late;
    }
    *us = kds_stats_picoseconds(*us / x->launches);
    if (code == KDS_OK && !duel_stopped(d) && !(*us > 0))
        code = kds_fail(d->e, KDS_SELF_TEST, "a visit of %d launches took no time at all",
                        x->launches);
    return code;
}
