/* The order of a duel: every row prepared, then rounds over all rows until the rule is satisfied,
 * or too many rounds were disturbed, or an arm fails. */
#include "eval/cuda/gpu_duel_internal.h"

#include "search/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kds_code kds_gpu_duels_open(kds_gpu_duels **out, kds_card *c, kds_helpers *h, const kds_nvml *nvml,
                            const kds_task *t, const kds_plan *baseline_plan,
                            const kds_compiled *baseline, kds_err *e)
{
    kds_gpu_duels *g = calloc(1, sizeof *g);
    if (g == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    g->card = c;
    g->helpers = h;
    g->nvml = nvml;
    g->task = t;
    g->baseline_plan = baseline_plan;
    g->baseline = baseline;
    g->flush_bytes = 2 * (uint64_t)(c->info.l2_bytes > 0 ? c->info.l2_bytes : 1 << 20);
    kds_code code = kds_card_alloc(c, (size_t)g->flush_bytes, "flushing the L2", &g->flush, e);
    if (code == KDS_OK)
        code = kds_cuda_check(c->cuda, c->cuda->set(g->flush, 0, (size_t)g->flush_bytes, c->stream),
                              e, "clearing memory");
    if (code == KDS_OK)
        *out = g;
    else
        kds_gpu_duels_close(g);
    return code;
}

void kds_gpu_duels_close(kds_gpu_duels *g)
{
    if (g == NULL)
        return;
    for (int i = 0; i < g->row_count; i++)
        kds_gpu_duel_row_close(g->rows[i]);
    kds_card_free(g->card, g->flush);
    free(g);
}

/* Gives up the row that was not used for longest, other than `keep`; false if there is none. */
static bool drop_oldest(kds_gpu_duels *g, const kds_gpu_duel_row *keep)
{
    int oldest = -1;
    for (int i = 0; i < g->row_count; i++)
        if (g->rows[i] != keep && (oldest < 0 || g->rows[i]->stamp < g->rows[oldest]->stamp))
            oldest = i;
    if (oldest < 0)
        return false;
    kds_gpu_duel_row_close(g->rows[oldest]);
    g->rows[oldest] = g->rows[--g->row_count];
    return true;
}

static kds_code find_row(kds_gpu_duels *g, int index, kds_gpu_duel_row **out, kds_err *e)
{
    kds_gpu_duel_row *r = NULL;
    for (int i = 0; i < g->row_count && r == NULL; i++)
        if (g->rows[i]->row->index == index)
            r = g->rows[i];
    kds_code code = KDS_OK;
    while (r == NULL && code == KDS_OK) {
        if (g->row_count == KDS_GPU_DUEL_ROWS)
            (void)drop_oldest(g, NULL);
        code = kds_gpu_duel_row_open(&r, g->card, g->helpers, g->task, index, g->baseline_plan,
                                     g->baseline, e);
        if (code == KDS_NO_MEMORY && drop_oldest(g, NULL))
            code = KDS_OK;
        else if (code == KDS_OK)
            g->rows[g->row_count++] = r;
    }
    if (code != KDS_OK)
        return code;
    r->stamp = ++g->uses;
    *out = r;
    return KDS_OK;
}

kds_code duel_take_row(duel *d, int i)
{
    duel_row *x = &d->rows[i];
    kds_code code = find_row(d->g, x->index, &d->r, d->e);
    if (code == KDS_OK)
        code = kds_gpu_duel_row_grow(d->r, x->sets, d->e);
    while (code == KDS_OK && d->r->row->sets < x->sets && drop_oldest(d->g, d->r))
        code = kds_gpu_duel_row_grow(d->r, x->sets, d->e);
    if (code == KDS_OK && d->r->row->sets < x->sets)
        code = kds_fail(d->e, KDS_NO_MEMORY, "row %s had room for %d sets of buffers, now for %d",
                        d->g->task->rows[x->index].id, x->sets, d->r->row->sets);
    if (code != KDS_OK)
        return code;
    int *order = realloc(d->order, (size_t)d->r->row->sets * sizeof *order);
    if (order == NULL)
        return kds_fail(d->e, KDS_NO_MEMORY, "out of memory");
    d->order = order;
    for (int k = 0; k < d->r->row->sets; k++)
        order[k] = k;
    return KDS_OK;
}

/* Both arms loaded and their graphs built; one visit of each that does not count, because the first
 * one after a load has code to fetch and a card that was idle. */
static kds_code open_round(duel *d, const duel_row *x, const kds_duel_draw *draw, duel_graph *g)
{
    double us = 0;
    int late = 0;
    kds_code code = duel_load(d, draw);
    for (int arm = 0; code == KDS_OK && !x->flushed && !duel_stopped(d) && arm < 2; arm++) {
        g->pad_ns = arm == 0 ? x->pad_ns : 0;
        code = duel_build(d, arm, g);
    }
    for (int v = 0; code == KDS_OK && !duel_stopped(d) && v < 2; v++)
        code = duel_visit(d, kds_duel_visit_arm(draw, v), x, d->o->warm, v, &us, &late);
    return code;
}

/* A round on one row. Each arm meets both variants of the inputs. */
static kds_code fight_row(duel *d, int i, duel_row_round *out)
{
    duel_row *x = &d->rows[i];
    int seen[2] = {0, 0}, used;
    kds_code code = duel_take_row(d, i);
    if (code != KDS_OK)
        return code;
    out->draw = kds_duel_schedule(d->o->seed, d->attempts, x->index);
    kds_duel_order(d->o->seed, d->attempts, x->index, d->order, d->r->row->sets);
    kds_gpu_duel_row_place(d->r, out->draw.offset);
    used = x->launches < x->sets ? x->launches : x->sets;
    duel_graph g = {.launches = x->launches,
                    .sets = x->sets,
                    .checked = (int)(out->draw.checked * used),
                    .turn = out->draw.turn,
                    .window = out->draw.window};
    if (x->flushed) /* what ran before the last run has been refilled */
        g.checked = (x->launches - 1) % x->sets;
    code = open_round(d, x, &out->draw, &g);
    for (int v = 0; code == KDS_OK && !duel_stopped(d) && v < KDS_DUEL_VISITS; v++) {
        int arm = kds_duel_visit_arm(&out->draw, v);
        code = duel_visit(d, arm, x, d->o->warm, v % KDS_GPU_VARIANTS, &out->us[arm][seen[arm]++],
                          &x->late);
        if (code == KDS_OK && !duel_stopped(d) && duel_can_renew(d, d->o->warm)) {
            code = duel_check(d, arm, g.checked);
            x->checked++;
        }
    }
    if (code == KDS_OK && !duel_stopped(d))
        code = kds_gpu_row_intact(d->r->row, &d->f, d->e);
    if (code != KDS_OK || duel_stopped(d))
        return code;
    duel_unload(d);
    out->value = 0;
    for (int k = 0; k < DUEL_PAIRS; k++)
        out->value += log(out->us[1][k] / out->us[0][k]) / DUEL_PAIRS;
    return KDS_OK;
}

static kds_duel_sample look(duel *d)
{
    kds_nvml_state s;
    double from = kds_clock_monotonic();
    kds_nvml_look(d->g->nvml, d->g->card->info.pci, &s);
    d->watch_seconds += kds_clock_monotonic() - from;
    return (kds_duel_sample){.sm_mhz = s.sm_mhz,
                             .memory_mhz = s.memory_mhz,
                             .temperature = s.temperature,
                             .processes = s.processes,
                             .throttle = s.throttle};
}

static void count_round(duel *d, const duel_row_round *rows)
{
    for (int i = 0; i < d->o->row_count; i++) {
        duel_row *x = &d->rows[i];
        d->rounds.rows[d->rounds.count][i] = rows[i].value;
        for (int k = 0; k < DUEL_PAIRS; k++, x->visit_count++)
            for (int arm = 0; arm < 2; arm++)
                x->us[arm][x->visit_count] = rows[i].us[arm][k];
    }
    d->rounds.count++;
}

/* One round over all rows; *over: the duel has been decided. */
static kds_code fight_round(duel *d, duel_row_round *rows, bool *over)
{
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && !duel_stopped(d) && i < d->o->row_count; i++)
        code = fight_row(d, i, &rows[i]);
    if (code != KDS_OK || duel_stopped(d))
        return code;
    kds_duel_sample s = look(d);
    kds_duel_disturbance disturbed = kds_duel_watch_end(&d->watch, &s);
    code = duel_report_round(d, rows, disturbed);
    d->attempts++;
    if (disturbed != KDS_DUEL_CALM) {
        d->flags[disturbed] = true;
        d->repeats++;
        if (kds_duel_watch_gives_up(d->rounds.count, d->repeats)) {
            d->ended_by = disturbed;
            *over = true;
        }
        return code;
    }
    count_round(d, rows);
    *over = kds_duel_over(&d->rule, &d->rounds, &d->result);
    return code;
}

static kds_code fight(duel *d)
{
    duel_row_round *rows = calloc((size_t)d->o->row_count, sizeof *rows);
    bool over = false;
    kds_code code = rows != NULL ? KDS_OK : kds_fail(d->e, KDS_NO_MEMORY, "out of memory");
    for (int i = 0; code == KDS_OK && !duel_stopped(d) && i < d->o->row_count; i++)
        code = duel_prepare(d, i);
    kds_duel_sample opening = look(d);
    kds_duel_watch_begin(&d->watch, &opening);
    while (code == KDS_OK && !duel_stopped(d) && !over)
        code = fight_round(d, rows, &over);
    for (int i = 0; code == KDS_OK && !duel_stopped(d) && i < d->o->row_count; i++)
        code = duel_measure_times(d, i);
    if (code == KDS_OK && d->ended_by != KDS_DUEL_CALM) {
        d->result = (kds_duel){.verdict = KDS_DUEL_UNRESOLVED,
                               .gain = NAN,
                               .low = NAN,
                               .high = NAN,
                               .worst = NAN,
                               .p = NAN};
        (void)snprintf(d->result.why, sizeof d->result.why, "%d of %d rounds were disturbed: %s",
                       d->repeats, d->attempts, kds_duel_disturbance_name(d->ended_by));
    }
    free(rows);
    return code;
}

static kds_code begin(duel *d)
{
    const kds_gpu_duel_options *o = d->o;
    if (o->row_count < 1 || o->row_count > KDS_GPU_DUEL_ROWS)
        return kds_fail(d->e, KDS_PROTOCOL, "a duel over %d rows; from 1 to %d are possible",
                        o->row_count, KDS_GPU_DUEL_ROWS);
    d->names = calloc((size_t)o->row_count, sizeof *d->names);
    if (d->names == NULL)
        return kds_fail(d->e, KDS_NO_MEMORY, "out of memory");
    d->rounds.row_count = o->row_count;
    d->rounds.row_names = d->names;
    for (int i = 0; i < o->row_count; i++) {
        const kds_row *row = &d->g->task->rows[o->rows[i]];
        d->rows[i].index = o->rows[i];
        d->rounds.weights[i] = row->weight > 0 ? row->weight : 1;
        (void)snprintf(d->names[i], sizeof d->names[i], "%s", row->id);
    }
    return KDS_OK;
}

kds_code kds_gpu_duel(kds_gpu_duels *g, const kds_gpu_duel_arm arms[2],
                      const kds_gpu_duel_options *o, cJSON *out, bool *spoilt, kds_err *e)
{
    double from = kds_clock_monotonic();
    *spoilt = true;
    duel *d = calloc(1, sizeof *d);
    if (d == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    d->g = g;
    d->given = arms;
    d->o = o;
    d->e = e;
    d->out = out;
    d->delay_ns = KDS_GPU_DELAY_NS;
    d->rule = (kds_duel_rule){.margin = o->margin > o->floor ? o->margin : o->floor,
                              .max_regress = o->max_regress,
                              .hopeless = o->hopeless,
                              .to_the_look = o->to_the_look};
    kds_finding_clear(&d->f);
    kds_code code = begin(d);
    if (code == KDS_OK && (d->record = cJSON_CreateArray()) == NULL)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = fight(d);
    if (code == KDS_OK)
        code = duel_report(d, kds_clock_monotonic() - from);
    *spoilt = code != KDS_OK || duel_stopped(d);
    cJSON_Delete(d->record);
    free(d->names);
    free(d->order);
    free(d);
    return code;
}
