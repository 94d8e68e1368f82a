/* Both kernels are compiled once; then duels run one after the other in the GPU worker, which is
 * replaced when a kernel has spoilt it. Every record is replayed: a verdict that does not follow
 * from its own rounds ends everything. */
#include "search/engine/duel_bench.h"

#include "eval/duel_replay.h"
#include "eval/stats.h"
#include "search/base/clock.h"
#include "search/base/file.h"
#include "search/engine/gpu_bench_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DUEL_SECONDS 900.0 /* most of one duel */
#define WRITE_SECONDS 5.0  /* between writings of the report */
#define FAULTS_MAX 3       /* duels in a row that the machine failed */

typedef struct duel_bench {
    gpu_bench b;
    const kds_duel_bench_options *o;
    kds_gpu_duel_options options;
    double written; /* when */
} duel_bench;

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* ---- Summary ---- */

static bool add_estimates(cJSON *summary, double *values, size_t n)
{
    cJSON *o = cJSON_AddObjectToObject(summary, "estimates");
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        mean += values[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (values[i] - mean) * (values[i] - mean);
    bool good = o != NULL && kds_json_add_int(o, "count", (int64_t)n);
    if (!good || n == 0)
        return good;
    kds_stats_sort(values, n);
    good = kds_json_add_num(o, "mean", mean) &&
           kds_json_add_num(o, "sd", n > 1 ? sqrt(square / (double)(n - 1)) : NAN) &&
           kds_json_add_num(o, "p1", kds_stats_quantile(values, n, 0.01)) &&
           kds_json_add_num(o, "p50", kds_stats_quantile(values, n, 0.5)) &&
           kds_json_add_num(o, "p99", kds_stats_quantile(values, n, 0.99));
    for (size_t i = 0; i < n; i++)
        values[i] = fabs(values[i]);
    kds_stats_sort(values, n);
    return good && kds_json_add_num(o, "floor", kds_stats_quantile(values, n, 0.99));
}

cJSON *kds_duel_bench_summary(const cJSON *duels)
{
    const cJSON *d = NULL;
    int count = cJSON_GetArraySize(duels), verdicts[3] = {0}, failed = 0, disturbed = 0;
    int64_t repeats = 0, rounds = 0;
    double seconds = 0;
    size_t n = 0;
    double *values = calloc((size_t)count + 1, sizeof *values);
    cJSON *s = cJSON_CreateObject();
    cJSON_ArrayForEach(d, duels)
    {
        const cJSON *estimate = kds_json_at(d, "estimate");
        int v = 0;
        while (v < 3 && strcmp(kds_json_str(d, "verdict", ""),
                               kds_duel_verdict_name((kds_duel_verdict)v)) != 0)
            v++;
        failed += v == 3;
        if (v < 3)
            verdicts[v]++;
        disturbed += *kds_json_str(d, "ended_by", "") != '\0';
        repeats += kds_json_int(d, "repeats", 0);
        rounds += kds_json_int(d, "counted", 0);
        seconds += kds_json_num(d, "seconds", 0);
        if (values != NULL && v < 3 && cJSON_IsNumber(estimate))
            values[n++] = estimate->valuedouble;
    }
    double each = count > 0 ? count : 1;
    bool good = s != NULL && values != NULL && kds_json_add_int(s, "duels", count);
    for (int v = 0; good && v < 3; v++)
        good = kds_json_add_int(s, kds_duel_verdict_name((kds_duel_verdict)v), verdicts[v]);
    good = good && kds_json_add_int(s, "failed", failed) &&
           kds_json_add_int(s, "disturbed", disturbed) && kds_json_add_int(s, "repeats", repeats) &&
           kds_json_add_num(s, "rounds", (double)rounds / each) &&
           kds_json_add_num(s, "seconds", seconds / each) && add_estimates(s, values, n);
    free(values);
    if (good)
        return s;
    cJSON_Delete(s);
    return NULL;
}

/* ---- Report ---- */

static bool add_kernel(duel_bench *x, const char *key, int i)
{
    const gpu_bench *b = &x->b;
    const kds_compiled *c = b->entries[i].compiled;
    cJSON *o = cJSON_AddObjectToObject(b->report, key);
    int64_t bytes = 0;
    for (int m = 0; m < c->module_count; m++)
        bytes += (int64_t)c->modules[m].cubin_len;
    return o != NULL && kds_json_add_str(o, "file", b->kernels.items[i].file) &&
           kds_json_add_id(o, "id",
                           kds_id_of(b->kernels.items[i].source, b->kernels.items[i].len)) &&
           kds_json_add_id(o, "code", c->cubin_id) &&
           kds_json_add_int(o, "registers", gpu_report_registers(c)) &&
           kds_json_add_int(o, "cubin_bytes", bytes);
}

static kds_code begin_report(duel_bench *x, int driver_version, kds_err *e)
{
    gpu_bench *b = &x->b;
    bool good =
        gpu_report_head(b, "duels", driver_version) &&
        kds_json_add_str(b->report, "method",
                         "rounds of ABBA or BAAB; modules loaded, buffers placed and inputs "
                         "changed anew; visits are graphs of launches behind a delay") &&
        kds_json_add_bool(b->report, "renamed", x->o->child == NULL) &&
        kds_json_add_bool(b->report, "fresh", x->o->fresh);
    return good ? KDS_OK : no_memory(e);
}

static kds_code write_report(duel_bench *x, kds_err *e)
{
    if (x->o->out == NULL)
        return KDS_OK;
    char *text = kds_json_print(x->b.report);
    kds_code code =
        text != NULL ? kds_file_write_atomic(x->o->out, text, strlen(text), e) : no_memory(e);
    free(text);
    x->written = kds_clock_monotonic();
    return code;
}

/* The summary so far, in place of the one before. */
static kds_code add_summary(duel_bench *x, kds_err *e)
{
    cJSON *s = kds_duel_bench_summary(x->b.list);
    cJSON_DeleteItemFromObject(x->b.report, "summary");
    return s != NULL && cJSON_AddItemToObject(x->b.report, "summary", s) ? KDS_OK : no_memory(e);
}

/* ---- Duels ---- */

static kds_code ask(duel_bench *x, int i, kds_err *e)
{
    gpu_bench *b = &x->b;
    kds_gpu_duel_side sides[2];
    kds_frame job;
    for (int arm = 0; arm < 2; arm++)
        sides[arm] = (kds_gpu_duel_side){.source = b->kernels.items[arm].source,
                                         .len = b->kernels.items[arm].len,
                                         .parent = b->task->baseline,
                                         .compiled = b->entries[arm].compiled};
    x->options.seed = x->o->seed + (uint64_t)i;
    kds_code code = kds_gpu_duel_job(&job, sides, &x->options, e);
    if (code != KDS_OK)
        return code;
    code = gpu_bench_ask(b, &job, e);
    kds_frame_free(&job);
    return code;
}

/* Takes the answer as record number i. */
static kds_code take(duel_bench *x, int i, kds_err *e)
{
    gpu_bench *b = &x->b;
    kds_duel replayed;
    cJSON *record = b->answer;
    b->answer = NULL;
    cJSON_DeleteItemFromObject(record, "ok");
    cJSON_DeleteItemFromObject(record, "spoilt");
    if (!cJSON_AddItemToArray(b->list, record))
        return no_memory(e);
    kds_code code = kds_duel_replay(record, &replayed, e);
    if (code != KDS_OK)
        return kds_err_prefix(e, KDS_SELF_TEST, "duel %d does not follow from its record", i);
    if (x->o->note != NULL)
        x->o->note(x->o->user, &(kds_duel_bench_note){i + 1, x->o->duels, record});
    return KDS_OK;
}

/* One duel. A worker that dies or a fault of the machine gets another chance. */
static kds_code fight(duel_bench *x, int i, kds_err *e)
{
    gpu_bench *b = &x->b;
    kds_code code = KDS_OK;
    if (x->o->fresh && i > 0 && (code = gpu_bench_renew(b, e)) == KDS_OK)
        code = gpu_bench_greet(b, e);
    for (int attempt = 0; code == KDS_OK;) {
        code = ask(x, i, e);
        if (code != KDS_OK)
            return code;
        if (b->end == KDS_JOB_REPLY && kds_json_bool(b->answer, "ok", false))
            return take(x, i, e);
        if (b->end == KDS_JOB_DIED && b->was_ending)
            continue;
        if (b->end == KDS_JOB_REPLY) {
            code = gpu_bench_code(kds_json_str(b->answer, "code", ""));
            (void)snprintf(b->why, sizeof b->why, "%s",
                           kds_json_str(b->answer, "message", "failed"));
        } else
            code = KDS_WORKER;
        if (++attempt >= FAULTS_MAX || code == KDS_INVALID || code == KDS_NO_MEMORY ||
            code == KDS_USAGE)
            return kds_fail(e, code, "duel %d: the GPU worker: %s", i, b->why);
        code = KDS_OK;
    }
    return code;
}

static kds_code fight_all(duel_bench *x, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && i < x->o->duels && !gpu_bench_budget_is_out(&x->b); i++) {
        code = fight(x, i, e);
        if (code == KDS_OK && kds_clock_monotonic() - x->written > WRITE_SECONDS) {
            code = add_summary(x, e);
            if (code == KDS_OK)
                code = write_report(x, e);
        }
    }
    return code;
}

/* ---- Beginning and end ---- */

static kds_code add_kernels(duel_bench *x, kds_err *e)
{
    gpu_bench *b = &x->b;
    kds_code code = kds_gpu_kernels_add(&b->kernels, x->o->incumbent, 0, 0, e);
    if (code == KDS_OK)
        code = kds_gpu_kernels_add(&b->kernels, x->o->child != NULL ? x->o->child : x->o->incumbent,
                                   0, 0, e);
    if (code != KDS_OK || x->o->child != NULL)
        return code;
    kds_gpu_kernel *k = &b->kernels.items[1];
    char *copy = NULL;
    size_t len = 0;
    code = kds_duel_rename(k->source, k->len, &copy, &len, e);
    if (code != KDS_OK)
        return kds_err_prefix(e, code, "%s", x->o->incumbent);
    free(k->source);
    k->source = copy;
    k->len = len;
    return KDS_OK;
}

static kds_code choose_rows(duel_bench *x, kds_err *e)
{
    bool rows[KDS_ROWS_MAX] = {false};
    kds_code code = gpu_bench_rows(&x->b, rows, e);
    for (int i = 0; code == KDS_OK && i < x->b.task->row_count; i++) {
        if (!rows[i])
            continue;
        if (x->options.row_count == KDS_GPU_DUEL_ROWS)
            return kds_fail(e, KDS_USAGE, "--rows: at most %d rows in a duel", KDS_GPU_DUEL_ROWS);
        x->options.rows[x->options.row_count++] = i;
    }
    x->options.margin = kds_duel_margin(x->b.task->margin, 0);
    x->options.max_regress = x->b.task->max_regress;
    x->options.hopeless = kds_duel_hopeless(x->options.margin, x->options.floor);
    return code;
}

static kds_code check_kernels(const gpu_bench *b, kds_err *e)
{
    for (int i = 0; i < 2; i++)
        if (b->entries[i].compiled == NULL)
            return kds_fail(e, KDS_INVALID, "%s: %s: line %d: %.700s", b->kernels.items[i].file,
                            kds_verdict_name(b->entries[i].f.verdict), b->entries[i].f.line,
                            b->entries[i].f.text);
    return KDS_OK;
}

static kds_code run(duel_bench *x, kds_err *e)
{
    gpu_bench *b = &x->b;
    int version = 0;
    kds_code code = kds_task_load(&b->task, x->o->task_dir, e);
    if (code == KDS_OK)
        code = choose_rows(x, e);
    if (code == KDS_OK)
        code = add_kernels(x, e);
    if (code == KDS_OK)
        code = gpu_bench_look(b, &version, e);
    if (code == KDS_OK && !(b->entries = calloc((size_t)b->kernels.count + 1, sizeof *b->entries)))
        code = no_memory(e);
    if (code == KDS_OK)
        code = gpu_bench_pools(b, e);
    if (code == KDS_OK)
        code = begin_report(x, version, e);
    if (code == KDS_OK)
        code = gpu_bench_compile(b, e);
    if (code == KDS_OK)
        code = check_kernels(b, e);
    if (code == KDS_OK && !(add_kernel(x, "incumbent", 0) && add_kernel(x, "child", 1) &&
                            (b->list = cJSON_AddArrayToObject(b->report, "duels")) != NULL))
        code = no_memory(e);
    if (code == KDS_OK)
        code = gpu_bench_greet(b, e);
    x->written = kds_clock_monotonic();
    return code == KDS_OK ? fight_all(x, e) : code;
}

kds_code kds_duel_bench(const kds_duel_bench_options *o, cJSON **report, kds_err *e)
{
    kds_gpu_bench_options inner = {
        .task_dir = o->task_dir, .device = o->device, .rows = o->rows, .out = o->out};
    duel_bench x = {.o = o,
                    .options = {.floor = o->floor,
                                .to_the_look = o->child == NULL &&
                                               !(o->slowdown > 0), /* of equals: the estimates */
                                .warm = o->warm,
                                .slowdown = o->slowdown}};
    kds_err err = {0};
    x.b.o = &inner;
    x.b.job_seconds = DUEL_SECONDS;
    x.b.deadline = o->seconds > 0 ? kds_clock_monotonic() + o->seconds : 0;
    kds_code code = run(&x, &err);
    const char *stopped = code != KDS_OK                  ? err.message
                          : gpu_bench_budget_is_out(&x.b) ? "--seconds"
                                                          : NULL;
    /* What was measured before the end is worth keeping, whatever the end. */
    if (x.b.list != NULL) {
        kds_err *to = code == KDS_OK ? &err : NULL;
        kds_code kept =
            kds_json_add_str(x.b.report, "stopped", stopped) ? add_summary(&x, to) : no_memory(to);
        if (kept == KDS_OK)
            kept = write_report(&x, to);
        code = code == KDS_OK ? kept : code;
    }
    if (code == KDS_OK) {
        *report = x.b.report;
        x.b.report = NULL;
    } else if (e != NULL)
        *e = err;
    gpu_bench_free(&x.b);
    return code;
}
