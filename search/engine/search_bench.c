/* Arms x tasks x seeds, and what the budgets say. A campaign that does not get there counts with
 * the cap, so that means are of budgets cut there and no arm gains by failing. Intervals are
 * bootstrapped over seeds; arms are compared seed by seed. */
#include "search/engine/search_bench_internal.h"

#include "eval/signed_rank.h"
#include "eval/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESAMPLES 4000
#define TASKS_MAX 16

/* The default settings come first: the others are compared with them. */
static const kds_bench_arm arms[] = {
    {"default", NULL, NULL},
    {"best", "best", NULL},
    {"random", "random", NULL},
    {"islands", "islands", NULL},
    {"no-tune", NULL, "mutate,explore,crossover,simplify,repair"},
    {"no-crossover", NULL, "mutate,explore,simplify,repair,tune"},
    {"no-explore", NULL, "mutate,crossover,simplify,repair,tune"},
};
#define ARMS ((int)(sizeof arms / sizeof *arms))

/* What budgets are counted in. */
enum { DECISIONS, CALLS, COST, UNITS };
static const char *const units[UNITS] = {"decisions", "calls", "cost"};

/* Budgets of one arm by seed. */
typedef struct budgets {
    double *in[UNITS];
    int reached;
} budgets;

typedef struct bench {
    const kds_search_bench_options *o;
    bool runs[ARMS];
    int n; /* seeds */
    budgets of[ARMS];
    budgets sum[ARMS]; /* over tasks, each in units of the first arm's mean */
    int tasks;
    char device[32];
} bench;

static double mean_of(const double *v, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += v[i];
    return sum / n;
}

/* Bounds of the middle 95 % of means of resampled seeds; with `base` of the ratios of the means on
 * the same seeds. */
static void bootstrap(const double *v, const double *base, int n, double *low, double *high)
{
    static double means[RESAMPLES];
    kds_random r = kds_random_stream((uint64_t)n, 0, "bootstrap");
    for (int k = 0; k < RESAMPLES; k++) {
        double sum = 0, under = 0;
        for (int i = 0; i < n; i++) {
            size_t at = (size_t)kds_random_below(&r, (uint64_t)n);
            sum += v[at];
            under += base ? base[at] : 1;
        }
        means[k] = sum / under;
    }
    kds_stats_sort(means, RESAMPLES);
    *low = kds_stats_quantile(means, RESAMPLES, 0.025);
    *high = kds_stats_quantile(means, RESAMPLES, 0.975);
}

/* Two-sided; pairs that are equal count against a difference. */
static double paired_p(const double *v, const double *base, int n)
{
    double more[KDS_SIGNED_RANK_MAX], less[KDS_SIGNED_RANK_MAX];
    if (n > KDS_SIGNED_RANK_MAX)
        n = KDS_SIGNED_RANK_MAX;
    for (int i = 0; i < n; i++) {
        more[i] = v[i] - base[i];
        less[i] = base[i] - v[i];
    }
    return fmin(1, 2 * fmin(kds_signed_rank_below(more, n, 0), kds_signed_rank_below(less, n, 0)));
}

/* NULL: out of memory. */
static cJSON *summary(const double *v, const double *base, int n)
{
    cJSON *o = cJSON_CreateObject();
    double low, high, ratio_low = NAN, ratio_high = NAN;
    double *sorted = malloc((size_t)n * sizeof *sorted);
    bool ok = o && sorted;
    if (ok) {
        memcpy(sorted, v, (size_t)n * sizeof *sorted);
        kds_stats_sort(sorted, (size_t)n);
        bootstrap(v, NULL, n, &low, &high);
        if (base)
            bootstrap(v, base, n, &ratio_low, &ratio_high);
        ok = kds_json_add_num(o, "median", kds_stats_quantile(sorted, (size_t)n, 0.5)) &&
             kds_json_add_num(o, "mean", mean_of(v, n)) && kds_json_add_num(o, "low", low) &&
             kds_json_add_num(o, "high", high) &&
             kds_json_add_num(o, "ratio", base ? mean_of(v, n) / mean_of(base, n) : NAN) &&
             kds_json_add_num(o, "ratio_low", ratio_low) &&
             kds_json_add_num(o, "ratio_high", ratio_high) &&
             kds_json_add_num(o, "p", base ? paired_p(v, base, n) : NAN);
    }
    free(sorted);
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}

static int first_arm(const bench *b)
{
    int i = 0;
    while (i < ARMS - 1 && !b->runs[i])
        i++;
    return i;
}

/* One row per arm. */
static bool add_arms(const bench *b, const budgets *of, cJSON *to, const char *key)
{
    cJSON *list = cJSON_AddArrayToObject(to, key);
    const budgets *first = &of[first_arm(b)];
    bool ok = list != NULL;
    for (int i = 0; i < ARMS && ok; i++) {
        if (!b->runs[i])
            continue;
        const bool compared = i != first_arm(b);
        cJSON *o = cJSON_CreateObject();
        ok = o && cJSON_AddItemToArray(list, o) && kds_json_add_str(o, "arm", arms[i].name) &&
             kds_json_add_str(o, "parents", arms[i].parents) &&
             kds_json_add_str(o, "operators", arms[i].operators) &&
             kds_json_add_int(o, "reached", of[i].reached);
        for (int u = 0; u < UNITS && ok; u++) {
            cJSON *said = summary(of[i].in[u], compared ? first->in[u] : NULL, b->n);
            ok = said && cJSON_AddItemToObject(o, units[u], said);
        }
    }
    return ok;
}

static kds_code run_one(bench *b, const kds_catalogue *c, int arm, int i, kds_err *e)
{
    kds_ledger *ledger = NULL;
    kds_bench_run run;
    kds_code code = kds_ledger_memory(&ledger, e);
    if (code == KDS_OK)
        code = kds_ledger_begin(ledger, e); /* one transaction: nothing of it is kept */
    if (code == KDS_OK)
        code = kds_bench_campaign(c, b->o, &arms[arm], (uint64_t)(b->o->seed + i), ledger, &run, e);
    kds_ledger_close(ledger);
    if (code != KDS_OK)
        return code;
    budgets *of = &b->of[arm];
    of->reached += run.reached;
    of->in[DECISIONS][i] = (double)(run.reached ? run.decisions : b->o->cap);
    of->in[CALLS][i] = (double)run.calls;
    of->in[COST][i] = run.cost;
    return KDS_OK;
}

static kds_code run_arms(bench *b, const kds_catalogue *c, kds_err *e)
{
    char text[200];
    kds_code code = KDS_OK;
    for (int a = 0; a < ARMS && code == KDS_OK; a++) {
        if (!b->runs[a])
            continue;
        b->of[a].reached = 0;
        for (int i = 0; i < b->n && code == KDS_OK; i++)
            code = run_one(b, c, a, i, e);
        if (code == KDS_OK && b->o->tell) {
            snprintf(text, sizeof text,
                     "%s, %s: %d of %d campaigns reached it, mean budget %.1f "
                     "decisions, %.1f calls, %.3f USD",
                     c->task->name, arms[a].name, b->of[a].reached, b->n,
                     mean_of(b->of[a].in[DECISIONS], b->n), mean_of(b->of[a].in[CALLS], b->n),
                     mean_of(b->of[a].in[COST], b->n));
            b->o->tell(b->o->user, text);
        }
    }
    return code;
}

/* Adds a task to the sums over tasks. */
static void add_up(bench *b)
{
    const budgets *first = &b->of[first_arm(b)];
    double mean[UNITS];
    for (int u = 0; u < UNITS; u++)
        mean[u] = mean_of(first->in[u], b->n);
    b->tasks++;
    for (int a = 0; a < ARMS; a++) {
        b->sum[a].reached += b->of[a].reached;
        for (int i = 0; i < UNITS * b->n && b->runs[a]; i++) {
            int u = i / b->n, at = i % b->n;
            b->sum[a].in[u][at] += b->of[a].in[u][at] / mean[u];
        }
    }
}

static cJSON *describe_task(const bench *b, const kds_catalogue *c)
{
    char best[256];
    int flawed = 0, ok = 0, enough = 0;
    for (int i = 0; i < c->point_count; i++) {
        flawed += c->points[i].flaw != 0;
        ok += c->points[i].fitness > 0;
        enough += c->points[i].fitness >= b->o->share * c->optimum;
    }
    kds_catalogue_describe(c, c->best, best, sizeof best);
    cJSON *o = cJSON_CreateObject();
    if (o && kds_json_add_str(o, "task", c->task->name) &&
        kds_json_add_int(o, "points", c->point_count) &&
        kds_json_add_int(o, "programs", c->distinct) && kds_json_add_int(o, "flawed", flawed) &&
        kds_json_add_int(o, "ok", ok) && kds_json_add_int(o, "enough", enough) &&
        kds_json_add_num(o, "optimum", c->optimum) && kds_json_add_str(o, "optimum_point", best) &&
        kds_json_add_num(o, "judge_seconds", c->judge_seconds) && add_arms(b, b->of, o, "arms"))
        return o;
    cJSON_Delete(o);
    return NULL;
}

static kds_code run_task(bench *b, const char *dir, cJSON *tasks, kds_err *e)
{
    kds_catalogue *c = NULL;
    kds_code code = kds_catalogue_load(&c, dir, e);
    if (code == KDS_OK)
        code = kds_catalogue_judge(c, b->o, e);
    if (code == KDS_OK)
        code = run_arms(b, c, e);
    if (code == KDS_OK) {
        add_up(b);
        snprintf(b->device, sizeof b->device, "%s", c->device);
        cJSON *o = describe_task(b, c);
        if (!o || !cJSON_AddItemToArray(tasks, o))
            code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    kds_catalogue_free(c);
    return code;
}

/* Which arms run, by a list of names. */
static kds_code choose_arms(bench *b, kds_err *e)
{
    const char *at = b->o->arms;
    for (int i = 0; i < ARMS; i++)
        b->runs[i] = at == NULL;
    while (at && *at) {
        size_t len = strcspn(at, ",");
        int found = -1;
        for (int i = 0; i < ARMS; i++)
            if (strlen(arms[i].name) == len && strncmp(arms[i].name, at, len) == 0)
                found = i;
        if (found < 0)
            return kds_fail(e, KDS_USAGE,
                            "no arm '%.*s'; there are: default, best, random, islands, no-tune, "
                            "no-crossover, no-explore",
                            (int)len, at);
        b->runs[found] = true;
        at += len + (at[len] == ',');
    }
    return KDS_OK;
}

static bool make_room(budgets *all, int n)
{
    bool ok = true;
    for (int i = 0; i < ARMS * UNITS; i++) {
        all[i / UNITS].in[i % UNITS] = calloc((size_t)n, sizeof(double));
        ok = ok && all[i / UNITS].in[i % UNITS];
    }
    return ok;
}

static void free_room(budgets *all)
{
    for (int i = 0; i < ARMS * UNITS; i++)
        free(all[i / UNITS].in[i % UNITS]);
}

/* The sums become means over tasks. */
static kds_code finish(bench *b, cJSON *o, cJSON **report, kds_err *e)
{
    for (int a = 0; a < ARMS * UNITS; a++)
        for (int i = 0; i < b->n; i++)
            b->sum[a / UNITS].in[a % UNITS][i] /= b->tasks;
    if (!kds_json_add_str(o, "device", b->device) || !add_arms(b, b->sum, o, "together"))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    *report = o;
    return KDS_OK;
}

kds_code kds_search_bench(const kds_search_bench_options *o, cJSON **report, kds_err *e)
{
    bench b = {.o = o, .n = (int)o->seeds};
    cJSON *all = cJSON_CreateObject();
    bool ok = all && kds_json_add_int(all, "seed", o->seed) &&
              kds_json_add_int(all, "seeds", o->seeds) && kds_json_add_int(all, "cap", o->cap) &&
              kds_json_add_int(all, "in_flight", o->in_flight) &&
              kds_json_add_num(all, "share", o->share);
    cJSON *tasks = ok ? cJSON_AddArrayToObject(all, "tasks") : NULL;
    kds_code code = choose_arms(&b, e);
    if (code == KDS_OK && (!tasks || !make_room(b.of, b.n) || !make_room(b.sum, b.n)))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    for (int i = 0; i < o->catalogue_count && code == KDS_OK; i++)
        code = run_task(&b, o->catalogues[i], tasks, e);
    if (code == KDS_OK)
        code = finish(&b, all, report, e);
    if (code != KDS_OK)
        cJSON_Delete(all);
    free_room(b.of);
    free_room(b.sum);
    return code;
}
