/* Agreement and fit. The search is Hooke and Jeeves' pattern search ("Direct search solution of
 * numerical and statistical problems", J. ACM 1961) over logarithms of the parameters: the loss is
 * piecewise smooth and cheap, and no derivative is needed. */
#include "eval/sim/calibrate.h"
#include "eval/stats.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BOUND 0.6931471805599453 /* ln 2 */
#define FIRST_STEP 0.15
#define LAST_STEP 0.002
#define SWEEPS_MAX 400
#define KNEE 0.25 /* ln(ratio) from which on the loss grows linearly only */
#define TETHER                                                                                     \
    2e-3            /* weight of a parameter's own distance: what the data does not decide stays   \
                     */
#define DIFFER 1.01 /* measured times of a pair, for its order to count */
#define ROW_LEAST 3

static const struct {
    const char *name;
    size_t offset;
} parameters[] = {
#define P(field)                                                                                   \
    {                                                                                              \
#field, offsetof(kds_gpu, field)                                                           \
    }
    P(dram_bytes_per_second),
    P(l2_bytes_per_second),
    P(l2_write_bytes_per_second),
    P(l2_write_sectors_per_second),
    P(l2_write_lines_per_second),
    P(one_wave_share),
    P(issue_per_cycle),
    P(fp32_per_cycle),
    P(alu_per_cycle),
    P(fp16_per_cycle),
    P(fp64_per_cycle),
    P(xu_per_cycle),
    P(lsu_per_cycle),
    P(tensor_per_cycle),
    P(l1_lines_per_cycle),
    P(shared_wavefronts_per_cycle),
    P(launch_us),
    P(block_launch_cycles),
    P(store_drain_cycles),
    P(blocks_per_cycle),
    P(soft_max),
    P(soft_latency),
#undef P
};
#define PARAMETERS ((int)(sizeof parameters / sizeof parameters[0]))

int kds_calibrate_parameter_count(void)
{
    return PARAMETERS;
}

const char *kds_calibrate_parameter_name(int i)
{
    return parameters[i].name;
}

double kds_calibrate_parameter(const kds_gpu *g, int i)
{
    double value;
    memcpy(&value, (const char *)g + parameters[i].offset, sizeof value);
    return value;
}

void kds_calibrate_set_parameter(kds_gpu *g, int i, double value)
{
    memcpy((char *)g + parameters[i].offset, &value, sizeof value);
}

/* ---- Agreement ---- */

/* Measured and modelled times of the samples that count. */
typedef struct times {
    double *measured, *modelled, *ratio;
    int *row;
    size_t n;
} times;

static bool take_times(const kds_gpu *g, const kds_sample *samples, size_t n, int task, times *t)
{
    *t = (times){.measured = calloc(n + 1, sizeof(double)),
                 .modelled = calloc(n + 1, sizeof(double)),
                 .ratio = calloc(n + 1, sizeof(double)),
                 .row = calloc(n + 1, sizeof(int))};
    if (t->measured == NULL || t->modelled == NULL || t->ratio == NULL || t->row == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (task >= 0 && samples[i].task != task)
            continue;
        t->measured[t->n] = samples[i].measured_us;
        t->modelled[t->n] = kds_sim_observed_us(g, samples[i].inputs, NULL);
        t->ratio[t->n] = t->modelled[t->n] / t->measured[t->n];
        t->row[t->n++] = samples[i].row;
    }
    return true;
}

static void drop_times(times *t)
{
    free(t->measured);
    free(t->modelled);
    free(t->ratio);
    free(t->row);
}

/* The rank correlation within each row, and the order of its pairs. */
static bool compare_rows(const times *t, kds_agreement *out)
{
    double *x = calloc(2 * t->n + 1, sizeof *x), sum = 0, weight = 0;
    bool *done = calloc(t->n + 1, sizeof *done);
    bool good = x != NULL && done != NULL;
    for (size_t i = 0; good && i < t->n; i++) {
        size_t n = 0;
        for (size_t k = i; k < t->n && !done[i]; k++)
            if (t->row[k] == t->row[i]) {
                done[k] = k != i;
                x[n] = t->measured[k];
                x[t->n + n++] = t->modelled[k];
            }
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b < n; b++)
                if (x[a] > DIFFER * x[b]) {
                    out->pairs++;
                    out->ordered += x[t->n + a] > x[t->n + b];
                }
        double rho = n >= ROW_LEAST ? kds_stats_spearman(x, x + t->n, n) : NAN;
        if (!isnan(rho)) {
            sum += rho * (double)n;
            weight += (double)n;
            out->rows++;
        }
    }
    out->within = weight > 0 ? sum / weight : NAN;
    free(x);
    free(done);
    return good;
}

bool kds_calibrate_agreement(const kds_gpu *g, const kds_sample *samples, size_t n, int task,
                             kds_agreement *out)
{
    times t;
    *out = (kds_agreement){.spearman = NAN, .within = NAN};
    bool good = take_times(g, samples, n, task, &t);
    out->count = t.n;
    if (good && t.n > 0) {
        good = compare_rows(&t, out);
        out->spearman = kds_stats_spearman(t.measured, t.modelled, t.n);
        out->worst = 1;
        for (size_t i = 0; i < t.n; i++) {
            double off = log(t.ratio[i]);
            out->rms_log += off * off / (double)t.n;
            if (fabs(off) > fabs(log(out->worst)))
                out->worst = t.ratio[i];
        }
        out->rms_log = sqrt(out->rms_log);
        kds_stats_sort(t.ratio, t.n);
        out->p10 = kds_stats_quantile(t.ratio, t.n, 0.1);
        out->median = kds_stats_quantile(t.ratio, t.n, 0.5);
        out->p90 = kds_stats_quantile(t.ratio, t.n, 0.9);
    }
    drop_times(&t);
    return good;
}

/* ---- Fit ---- */

/* Pseudo-Huber: x^2 for small x, 2 * KNEE * |x| for large x. */
static double robust(double x)
{
    return 2 * KNEE * KNEE * (sqrt(1 + x / KNEE * (x / KNEE)) - 1);
}

static size_t count_task(const kds_sample *samples, size_t n, int task)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += samples[i].task == task;
    return count;
}

double kds_calibrate_loss(const kds_gpu *g, const kds_gpu *start, const kds_sample *samples,
                          size_t n, int left_out)
{
    double loss = 0, weight = 0;
    int task = -1;
    for (size_t i = 0; i < n; i++) {
        if (samples[i].task == left_out)
            continue;
        if (samples[i].task != task) { /* samples of a task mostly stand together */
            task = samples[i].task;
            weight = 1 / (double)count_task(samples, n, task);
        }
        double us = kds_sim_observed_us(g, samples[i].inputs, NULL);
        loss += weight * robust(log(us / samples[i].measured_us));
    }
    for (int i = 0; i < PARAMETERS; i++) {
        double moved = log(kds_calibrate_parameter(g, i) / kds_calibrate_parameter(start, i));
        loss += TETHER * moved * moved;
    }
    return loss;
}

typedef struct fitting {
    const kds_gpu *start;
    const kds_sample *samples;
    size_t n;
    int left_out;
} fitting;

static void place(const fitting *f, const double *x, kds_gpu *out)
{
    *out = *f->start;
    for (int i = 0; i < PARAMETERS; i++)
        kds_calibrate_set_parameter(out, i, kds_calibrate_parameter(f->start, i) * exp(x[i]));
}

static double loss_at(const fitting *f, const double *x)
{
    kds_gpu g;
    place(f, x, &g);
    return kds_calibrate_loss(&g, f->start, f->samples, f->n, f->left_out);
}

static double clamp(double x)
{
    return x < -BOUND ? -BOUND : x > BOUND ? BOUND : x;
}

/* One step along each axis where it helps; gives the loss. */
static double explore(const fitting *f, double *x, double loss, double step)
{
    for (int i = 0; i < PARAMETERS; i++) {
        const double before = x[i];
        for (int sign = 1; sign >= -1; sign -= 2) {
            x[i] = clamp(before + sign * step);
            double trial = x[i] != before ? loss_at(f, x) : INFINITY;
            if (trial < loss) {
                loss = trial;
                break;
            }
            x[i] = before;
        }
    }
    return loss;
}

void kds_calibrate_fit(const kds_gpu *start, const kds_sample *samples, size_t n, int left_out,
                       kds_gpu *out)
{
    const fitting f = {start, samples, n, left_out};
    double base[PARAMETERS] = {0}, x[PARAMETERS] = {0}, jump[PARAMETERS];
    double best = loss_at(&f, base), step = FIRST_STEP;
    for (int sweep = 0; sweep < SWEEPS_MAX && step > LAST_STEP; sweep++) {
        memcpy(x, base, sizeof x);
        double loss = explore(&f, x, best, step);
        if (!(loss < best)) {
            step /= 2;
            continue;
        }
        /* On in the same direction, as long as that helps. */
        while (loss < best) {
            for (int i = 0; i < PARAMETERS; i++)
                jump[i] = clamp(2 * x[i] - base[i]);
            memcpy(base, x, sizeof base);
            best = loss;
            loss = explore(&f, jump, loss_at(&f, jump), step);
            memcpy(x, jump, sizeof x);
        }
    }
    place(&f, base, out);
}
