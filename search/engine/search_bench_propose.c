/* The scripted model. It knows the catalogue, and of a kernel nothing but what a model with the
 * counters before it might guess: now and then it chooses the better of two ideas. It makes the
 * mistakes that models make: replies without a kernel, kernels that do not compile, kernels that
 * are wrong. */
#include "search/engine/search_bench_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* All of them are told in search/README.md. */
#define UNUSABLE 0.05   /* replies without a kernel */
#define FLAWED 0.15     /* kernels with a mistake */
#define TWO_CHANGES 0.3 /* else one */
#define INFORMED 0.3    /* the better of two ideas */
#define AIMED 0.5       /* explorations that see which of four ideas comes closest */
#define MENDED 0.7      /* repairs without a mistake */
#define STRUCTURE 2.0   /* weight of a choice beside a tunable's 1 */

/* Another value of one coordinate. */
static void change(const kds_catalogue *c, kds_point *p, kds_random *random)
{
    double weights[KDS_CHOICES_MAX + KDS_TUNABLES];
    int n = c->choice_count + c->tunable_count;
    for (int i = 0; i < n; i++) {
        bool choice = i < c->choice_count;
        weights[i] = choice ? STRUCTURE : c->tunables[i - c->choice_count].count > 1;
    }
    int axis = (int)kds_random_weighted(random, weights, (size_t)n);
    bool choice = axis < c->choice_count;
    int count = choice ? c->choices[axis].count : c->tunables[axis - c->choice_count].count;
    int *at = choice ? &p->option[axis] : &p->value[axis - c->choice_count];
    if (count > 1)
        *at = (*at + 1 + (int)kds_random_below(random, (uint64_t)count - 1)) % count;
}

/* One or two changes of a kernel without a mistake; gives the point. */
static int idea(const kds_catalogue *c, int from, kds_random *random)
{
    kds_point p = c->points[from];
    p.flaw = 0;
    int changes = kds_random_unit(random) < TWO_CHANGES ? 2 : 1;
    for (int i = 0; i < changes; i++)
        change(c, &p, random);
    return kds_catalogue_index(c, &p);
}

static int mutate(const kds_catalogue *c, int from, kds_random *random)
{
    int first = idea(c, from, random);
    if (kds_random_unit(random) >= INFORMED)
        return first;
    int second = idea(c, from, random);
    return c->points[second].fitness > c->points[first].fitness ? second : first;
}

/* How far a kernel lies from the bin that is aimed at. */
static double distance(const kds_catalogue *c, int point, const kds_script_ask *ask)
{
    const cJSON *bins = kds_json_at(kds_json_at(c->points[point].report, "descriptor"), "bins");
    const cJSON *bin = cJSON_GetArrayItem(bins, ask->axis);
    return cJSON_IsNumber(bin) ? fabs(bin->valuedouble - ask->bin) : INFINITY;
}

static int explore(const kds_catalogue *c, const kds_script_ask *ask, kds_random *random)
{
    int nearest = idea(c, ask->parent, random);
    if (ask->axis < 0 || kds_random_unit(random) >= AIMED)
        return nearest;
    for (int i = 1; i < 4; i++) {
        int other = idea(c, ask->parent, random);
        if (distance(c, other, ask) < distance(c, nearest, ask))
            nearest = other;
    }
    return nearest;
}

static int cross(const kds_catalogue *c, int a, int b, kds_random *random)
{
    kds_point p = c->points[a];
    const kds_point *other = &c->points[b];
    p.flaw = 0;
    for (int i = 0; i < c->choice_count; i++)
        if (kds_random_below(random, 2))
            p.option[i] = other->option[i];
    for (int i = 0; i < c->tunable_count; i++)
        if (kds_random_below(random, 2))
            p.value[i] = other->value[i];
    return kds_catalogue_index(c, &p);
}

/* Takes one choice back to the first, plainest option. */
static int simplify(const kds_catalogue *c, int from, kds_random *random)
{
    kds_point p = c->points[from];
    double weights[KDS_CHOICES_MAX];
    p.flaw = 0;
    for (int i = 0; i < c->choice_count; i++)
        weights[i] = p.option[i] > 0;
    p.option[kds_random_weighted(random, weights, (size_t)c->choice_count)] = 0;
    return kds_catalogue_index(c, &p);
}

/* The same kernel with one mistake, its tunables at their first values. */
static int spoil(const kds_catalogue *c, int point, kds_random *random)
{
    kds_point p = c->points[point];
    p.flaw = 1 + (int)kds_random_below(random, (uint64_t)c->flaw_count);
    return kds_catalogue_index(c, &p);
}

static int make(const kds_catalogue *c, const kds_script_ask *ask, kds_random *random)
{
    if (strcmp(ask->operator_name, "repair") == 0) {
        kds_point p = c->points[ask->parent];
        bool mended = !c->flaw_count || kds_random_unit(random) < MENDED;
        p.flaw = 0;
        int point = kds_catalogue_index(c, &p);
        return mended ? point : spoil(c, point, random);
    }
    int point = 0;
    if (strcmp(ask->operator_name, "explore") == 0)
        point = explore(c, ask, random);
    else if (strcmp(ask->operator_name, "crossover") == 0 && ask->other >= 0)
        point = cross(c, ask->parent, ask->other, random);
    else if (strcmp(ask->operator_name, "simplify") == 0)
        point = simplify(c, ask->parent, random);
    else
        point = mutate(c, ask->parent, random);
    return c->flaw_count && kds_random_unit(random) < FLAWED ? spoil(c, point, random) : point;
}

void kds_script_reply(const kds_catalogue *c, const kds_script_ask *ask, kds_random *random,
                      kds_buf *reply)
{
    char words[256];
    if (kds_random_unit(random) < UNUSABLE) {
        kds_buf_puts(reply,
                     "Hypothesis: fewer bytes are moved, but the kernel is for you to write.\n");
        return;
    }
    const int point = make(c, ask, random);
    kds_catalogue_describe(c, point, words, sizeof words);
    kds_buf_printf(reply, "Hypothesis: %s\n\n```cuda\n", words);
    kds_buf_add(reply, c->points[point].source, c->points[point].len);
    kds_buf_puts(reply, "```\n");
}
