/* `bench model`: the simulator's time model against measured times. */
#include "search/cli/bench.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "eval/sim/measured.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORST 10

typedef struct model {
    kds_measured m;
    const kds_gpu *gpu;
    bool json;
    cJSON *report;
} model;

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

static void note(void *user, const char *file, int done, int total)
{
    (void)user;
    fprintf(stderr, "%s: %d of %d kernels simulated\n", file, done, total);
}

static const char *task_name(const model *x, int task)
{
    for (size_t i = 0; i < x->m.count; i++)
        if (x->m.samples[i].task == task)
            return x->m.samples[i].task_name;
    return "?";
}

/* ---- Agreement ---- */

static bool add_agreement(cJSON *list, const char *name, const kds_agreement *a)
{
    cJSON *o = cJSON_CreateObject();
    return o != NULL && cJSON_AddItemToArray(list, o) && kds_json_add_str(o, "task", name) &&
           kds_json_add_int(o, "count", (int64_t)a->count) &&
           kds_json_add_num(o, "spearman", a->spearman) &&
           kds_json_add_num(o, "spearman_within_rows", a->within) &&
           kds_json_add_int(o, "rows", (int64_t)a->rows) &&
           kds_json_add_int(o, "pairs", (int64_t)a->pairs) &&
           kds_json_add_int(o, "pairs_ordered", (int64_t)a->ordered) &&
           kds_json_add_num(o, "p10", a->p10) && kds_json_add_num(o, "median", a->median) &&
           kds_json_add_num(o, "p90", a->p90) && kds_json_add_num(o, "worst", a->worst) &&
           kds_json_add_num(o, "rms_log", a->rms_log);
}

/* One line for each task and one for all. */
static kds_code report_agreement(model *x, const kds_gpu *g, const char *key, kds_err *e)
{
    cJSON *list = cJSON_AddArrayToObject(x->report, key);
    for (int task = 0; list != NULL && task <= x->m.task_count; task++) {
        bool all = task == x->m.task_count;
        kds_agreement a;
        if (!kds_calibrate_agreement(g, x->m.samples, x->m.count, all ? -1 : task, &a))
            return no_memory(e);
        if (a.count > 0 && !add_agreement(list, all ? "all" : task_name(x, task), &a))
            return no_memory(e);
    }
    return list != NULL ? KDS_OK : no_memory(e);
}

/* A number, or a dash where there is none. */
static void cell(kds_table *t, int digits, double value)
{
    if (isfinite(value))
        kds_table_cell(t, "%.*f", digits, value);
    else
        kds_table_cell(t, "-");
}

static void show_agreement(const cJSON *list)
{
    const char *columns[] = {"task",  ">kernels x rows", ">Spearman", ">within rows",
                             ">rows", ">pairs ordered",  ">p10",      ">median",
                             ">p90",  ">worst",          ">rms ln",   NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *o = NULL;
    cJSON_ArrayForEach(o, list)
    {
        kds_table_cell(t, "%s", kds_json_str(o, "task", ""));
        kds_table_cell(t, "%.0f", kds_json_num(o, "count", 0));
        cell(t, 3, kds_json_num(o, "spearman", NAN));
        cell(t, 3, kds_json_num(o, "spearman_within_rows", NAN));
        kds_table_cell(t, "%.0f", kds_json_num(o, "rows", 0));
        kds_table_cell(t, "%.0f of %.0f", kds_json_num(o, "pairs_ordered", 0),
                       kds_json_num(o, "pairs", 0));
        cell(t, 2, kds_json_num(o, "p10", NAN));
        cell(t, 2, kds_json_num(o, "median", NAN));
        cell(t, 2, kds_json_num(o, "p90", NAN));
        cell(t, 2, kds_json_num(o, "worst", NAN));
        cell(t, 3, kds_json_num(o, "rms_log", NAN));
    }
    kds_table_print(t, stdout);
    kds_table_free(t);
}

/* ---- The worst ---- */

static int compare_off(const void *a, const void *b)
{
    const double *x = a, *y = b; /* |ln ratio|, number */
    return x[0] > y[0] ? -1 : x[0] < y[0];
}

static kds_code report_worst(model *x, kds_err *e)
{
    cJSON *list = cJSON_AddArrayToObject(x->report, "worst");
    double(*off)[2] = calloc(x->m.count + 1, sizeof *off);
    bool good = list != NULL && off != NULL;
    for (size_t i = 0; good && i < x->m.count; i++) {
        const kds_sample *s = &x->m.samples[i];
        off[i][0] = fabs(log(kds_sim_observed_us(x->gpu, s->inputs, NULL) / s->measured_us));
        off[i][1] = (double)i;
    }
    if (good)
        qsort(off, x->m.count, sizeof *off, compare_off);
    for (size_t i = 0; good && i < WORST && i < x->m.count; i++) {
        const kds_sample *s = &x->m.samples[(size_t)off[i][1]];
        const char *limiter = "";
        double us = kds_sim_observed_us(x->gpu, s->inputs, &limiter);
        cJSON *o = cJSON_CreateObject();
        good = o != NULL && cJSON_AddItemToArray(list, o) &&
               kds_json_add_str(o, "task", s->task_name) &&
               kds_json_add_str(o, "row", s->row_name) &&
               kds_json_add_str(o, "kernel", s->kernel) &&
               kds_json_add_num(o, "measured_us", s->measured_us) &&
               kds_json_add_num(o, "modelled_us", us) &&
               kds_json_add_num(o, "ratio", us / s->measured_us) &&
               kds_json_add_str(o, "limiter", limiter);
    }
    free(off);
    return good ? KDS_OK : no_memory(e);
}

static void show_worst(const cJSON *list)
{
    const char *columns[] = {"task",   "row",         ">measured us", ">modelled us",
                             ">ratio", "modelled as", "kernel",       NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *o = NULL;
    cJSON_ArrayForEach(o, list)
    {
        kds_table_cell(t, "%s", kds_json_str(o, "task", ""));
        kds_table_cell(t, "%s", kds_json_str(o, "row", ""));
        kds_table_cell(t, "%.2f", kds_json_num(o, "measured_us", 0));
        kds_table_cell(t, "%.2f", kds_json_num(o, "modelled_us", 0));
        kds_table_cell(t, "%.2f", kds_json_num(o, "ratio", 0));
        kds_table_cell(t, "%s", kds_json_str(o, "limiter", ""));
        kds_table_cell(t, "%s", kds_json_str(o, "kernel", ""));
    }
    printf("\nfurthest off\n");
    kds_table_print(t, stdout);
    kds_table_free(t);
}

/* ---- Fit ---- */

static kds_code report_parameters(model *x, const kds_gpu *fitted, kds_err *e)
{
    cJSON *list = cJSON_AddArrayToObject(x->report, "parameters");
    bool good = list != NULL;
    for (int i = 0; good && i < kds_calibrate_parameter_count(); i++) {
        double now = kds_calibrate_parameter(x->gpu, i), then = kds_calibrate_parameter(fitted, i);
        cJSON *o = cJSON_CreateObject();
        good = o != NULL && cJSON_AddItemToArray(list, o) &&
               kds_json_add_str(o, "name", kds_calibrate_parameter_name(i)) &&
               kds_json_add_num(o, "present", now) && kds_json_add_num(o, "fitted", then) &&
               kds_json_add_num(o, "ratio", then / now);
    }
    return good ? KDS_OK : no_memory(e);
}

static void show_parameters(const cJSON *list)
{
    const char *columns[] = {"parameter", ">present", ">fitted", ">ratio", NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *o = NULL;
    cJSON_ArrayForEach(o, list)
    {
        kds_table_cell(t, "%s", kds_json_str(o, "name", ""));
        kds_table_cell(t, "%.4g", kds_json_num(o, "present", 0));
        kds_table_cell(t, "%.4g", kds_json_num(o, "fitted", 0));
        kds_table_cell(t, "%.3f", kds_json_num(o, "ratio", 0));
    }
    printf("\nthe rates (latencies are part of the traced cycles and are not fitted)\n");
    kds_table_print(t, stdout);
    kds_table_free(t);
}

/* Each task as rates see it that were fitted to the others only. */
static kds_code report_cross(model *x, kds_err *e)
{
    cJSON *list = cJSON_AddArrayToObject(x->report, "cross_validation");
    for (int task = 0; list != NULL && task < x->m.task_count; task++) {
        kds_gpu others;
        kds_agreement a;
        kds_calibrate_fit(x->gpu, x->m.samples, x->m.count, task, &others);
        if (!kds_calibrate_agreement(&others, x->m.samples, x->m.count, task, &a))
            return no_memory(e);
        if (a.count > 0 && !add_agreement(list, task_name(x, task), &a))
            return no_memory(e);
    }
    return list != NULL ? KDS_OK : no_memory(e);
}

static kds_code fit(model *x, kds_err *e)
{
    kds_gpu fitted;
    kds_calibrate_fit(x->gpu, x->m.samples, x->m.count, -1, &fitted);
    kds_code code = report_parameters(x, &fitted, e);
    if (code == KDS_OK)
        code = report_agreement(x, &fitted, "fitted_agreement", e);
    if (code == KDS_OK && x->m.task_count > 1)
        code = report_cross(x, e);
    return code;
}

/* ---- All of it ---- */

static kds_code report_left(model *x, kds_err *e)
{
    cJSON *list = cJSON_AddArrayToObject(x->report, "not_simulated");
    bool good = list != NULL;
    for (size_t i = 0; good && i < x->m.left_count; i++) {
        cJSON *o = cJSON_CreateObject();
        good = o != NULL && cJSON_AddItemToArray(list, o) &&
               kds_json_add_str(o, "kernel", x->m.left[i].kernel) &&
               kds_json_add_str(o, "row", x->m.left[i].row) &&
               kds_json_add_str(o, "why", x->m.left[i].why);
    }
    return good ? KDS_OK : no_memory(e);
}

static void show(const model *x)
{
    const cJSON *o = NULL, *fitted = kds_json_at(x->report, "parameters");
    printf("measured on %s (driver %s), modelled as %s; ratios are modelled / measured\n",
           x->m.device, x->m.driver, x->gpu->name);
    show_agreement(kds_json_at(x->report, "agreement"));
    show_worst(kds_json_at(x->report, "worst"));
    cJSON_ArrayForEach(o, kds_json_at(x->report, "not_simulated"))
    {
        printf("not simulated: %s on %s: %.300s\n", kds_json_str(o, "kernel", ""),
               kds_json_str(o, "row", ""), kds_json_str(o, "why", ""));
    }
    if (fitted == NULL)
        return;
    show_parameters(fitted);
    printf("\nwith the fitted rates\n");
    show_agreement(kds_json_at(x->report, "fitted_agreement"));
    if (kds_json_at(x->report, "cross_validation") == NULL)
        return;
    printf("\neach task with rates fitted to the other tasks only\n");
    show_agreement(kds_json_at(x->report, "cross_validation"));
}

static kds_code find_gpu(const kds_args *args, model *x, kds_err *e)
{
    const char *device = kds_args_flag(args, "device");
    const char *colon = device != NULL ? strchr(device, ':') : NULL;
    if (device != NULL && strcmp(device, "sim") != 0 && strncmp(device, "sim:", 4) != 0)
        return kds_fail(e, KDS_USAGE, "--device: '%s' is not simulated; sim:h200 is", device);
    x->gpu = kds_gpu_find(colon != NULL ? colon + 1 : "h200");
    if (x->gpu == NULL)
        return kds_fail(e, KDS_USAGE, "--device: the simulator knows no GPU '%s'", colon + 1);
    return KDS_OK;
}

kds_code kds_bench_model(const kds_args *args, kds_err *e)
{
    model x = {.json = args->json, .report = cJSON_CreateObject()};
    kds_measured_options o = {.tasks_dir = kds_args_flag(args, "tasks"), .note = note};
    kds_nvrtc *nvrtc = NULL;
    kds_code code = find_gpu(args, &x, e);
    if (code == KDS_OK)
        code = kds_nvrtc_open(&nvrtc, e);
    o.nvrtc = nvrtc;
    o.gpu = code == KDS_OK ? x.gpu->name : "";
    if (code == KDS_OK)
        code = kds_measured_add_all(&x.m, args->operands + 1, args->operand_count - 1, &o, e);
    if (code == KDS_OK && x.m.count == 0)
        code = kds_fail(e, KDS_NOTHING_RUNNABLE,
                        "no kernel of these files has both a measured and a modelled time%s%.300s",
                        x.m.left_count > 0 ? ": " : "", x.m.left_count > 0 ? x.m.left[0].why : "");
    if (code == KDS_OK && !(kds_json_add_str(x.report, "device", x.m.device) &&
                            kds_json_add_str(x.report, "model", x.gpu->name)))
        code = no_memory(e);
    if (code == KDS_OK)
        code = report_agreement(&x, x.gpu, "agreement", e);
    if (code == KDS_OK)
        code = report_worst(&x, e);
    if (code == KDS_OK)
        code = report_left(&x, e);
    if (code == KDS_OK && kds_args_flag(args, "fit") != NULL)
        code = fit(&x, e);
    if (code == KDS_OK && x.json)
        code = kds_view_json(x.report, e);
    else if (code == KDS_OK)
        show(&x);
    kds_measured_free(&x.m);
    kds_nvrtc_close(nvrtc);
    cJSON_Delete(x.report);
    return code;
}
