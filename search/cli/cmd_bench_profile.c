/* `bench profile`: counters of kernels of a task on a GPU. */
#include "search/cli/bench.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "eval/cuda/counters.h"
#include "search/base/text.h"
#include "search/engine/profile_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One line for each kernel and row, on stderr. */
static void note(void *user, const kds_profile_note *n)
{
    kds_buf line;
    char safe[4096];
    (void)user;
    kds_buf_init(&line, 8192);
    kds_buf_printf(&line, "%s%s%s: ", n->row != NULL ? n->row : "", n->row != NULL ? ": " : "",
                   n->file);
    if (n->no_counters)
        kds_buf_printf(&line, "no counters: %.900s", n->message);
    else if (n->verdict == KDS_VERDICT_OK)
        kds_buf_printf(&line, "profiled in %.2f s", n->seconds);
    else
        kds_buf_printf(&line, "%s: %.600s", kds_verdict_name(n->verdict), n->message);
    (void)kds_text_escape_into(safe, sizeof safe, line.data, line.len, false);
    fprintf(stderr, "%s\n", safe);
    kds_buf_free(&line);
}

static void show_self_test(const cJSON *report)
{
    const char *columns[] = {"counter", ">counted", ">known", ">off by", ">allowed", NULL};
    const cJSON *c = NULL, *list = kds_json_at(report, "self_test");
    if (cJSON_GetArraySize(list) == 0)
        return;
    kds_table *t = kds_table_create(columns);
    cJSON_ArrayForEach(c, list)
    {
        double got = kds_json_num(c, "got", 0), want = kds_json_num(c, "want", 1);
        kds_table_cell(t, "%s", kds_json_str(c, "counter", ""));
        kds_table_cell(t, "%.15g", got);
        kds_table_cell(t, "%.15g", want);
        kds_table_cell(t, "%+.3f %%", 100 * (got / want - 1));
        kds_table_cell(t, "%.0f %%", 100 * kds_json_num(c, "allowed", 0));
    }
    printf("self-test of the counters\n");
    kds_table_print(t, stdout);
    kds_table_free(t);
}

/* Hardware over simulator; "" where there is nothing to divide. */
static void ratio(kds_table *t, const cJSON *counter, const cJSON *sim)
{
    if (!cJSON_IsNumber(counter) || !cJSON_IsNumber(sim))
        kds_table_cell(t, "%s", "");
    else if (sim->valuedouble > 0 || sim->valuedouble < 0)
        kds_table_cell(t, "%.4f", counter->valuedouble / sim->valuedouble);
    else
        kds_table_cell(t, "%s", fabs(counter->valuedouble) > 0 ? "inf" : "1.0000");
}

static void counter_row(kds_table *t, const char *name, const cJSON *counter, const cJSON *sim,
                        bool compare)
{
    const kds_counter *known = kds_counter_find(name);
    kds_table_cell(t, "%s", name);
    if (cJSON_IsNumber(counter))
        kds_table_cell(t, "%.12g", counter->valuedouble);
    else
        kds_table_cell(t, "%s", "");
    if (!compare)
        return;
    if (cJSON_IsNumber(sim))
        kds_table_cell(t, "%.12g", sim->valuedouble);
    else
        kds_table_cell(t, "%s", "");
    ratio(t, counter, sim);
    kds_table_cell(t, "%s", known != NULL && known->near != NULL ? known->near : "");
}

static void show_row(const cJSON *row, bool compare)
{
    const char *plain[] = {"counter", ">value", NULL},
               *beside[] = {"counter", ">GPU", ">simulator", ">ratio", "not quite the same", NULL};
    const cJSON *c = NULL, *counters = kds_json_at(row, "counters"), *sim = kds_json_at(row, "sim");
    kds_table *t = kds_table_create(compare ? beside : plain);
    cJSON_ArrayForEach(c, counters)
        counter_row(t, c->string, c, kds_json_at(sim, c->string), compare);
    kds_table_print(t, stdout);
    kds_table_free(t);
    if (kds_json_str(row, "sim_message", NULL) != NULL)
        printf("not simulated: %s\n", kds_json_str(row, "sim_message", ""));
    if (kds_json_bool(row, "sampled", false))
        printf("the simulator ran a sample of this row's blocks and scaled its counters up\n");
}

static void show(const cJSON *report, bool compare)
{
    const cJSON *k = NULL, *r = NULL, *m = NULL, *device = kds_json_at(report, "device");
    printf("%s on %s (%s), CUPTI %.0f, %.0f passes\n", kds_json_str(report, "task", ""),
           kds_json_str(device, "name", ""), kds_json_str(device, "chip", "chip not known"),
           kds_json_num(report, "cupti", 0), kds_json_num(report, "passes", 0));
    show_self_test(report);
    if (kds_json_str(report, "no_counters", NULL) != NULL)
        printf("no counters: %s\n", kds_json_str(report, "no_counters", ""));
    cJSON_ArrayForEach(m, kds_json_at(report, "missing"))
        printf("this GPU has no counter %s\n", cJSON_IsString(m) ? m->valuestring : "");
    cJSON_ArrayForEach(k, kds_json_at(report, "kernels"))
    {
        cJSON_ArrayForEach(r, kds_json_at(k, "rows"))
        {
            const char *verdict = kds_json_str(r, "verdict", "");
            bool none = kds_json_bool(r, "no_counters", false);
            printf("\n%s on row %s%s%s\n", kds_json_str(k, "file", ""), kds_json_str(r, "row", ""),
                   strcmp(verdict, "ok") != 0 ? ": "
                   : none                     ? ": no counters"
                                              : "",
                   strcmp(verdict, "ok") != 0 ? verdict : "");
            if (strcmp(verdict, "ok") == 0 && !none)
                show_row(r, compare);
        }
    }
}

kds_code kds_bench_profile(const kds_args *args, kds_err *e)
{
    const char *device = kds_args_flag(args, "device");
    cJSON *report = NULL;
    kds_profile_bench_options o = {.task_dir = args->operands[1],
                                   .device = device != NULL ? device : "cuda:0",
                                   .files = &args->operands[2],
                                   .file_count = args->operand_count - 2,
                                   .rows = kds_args_flag(args, "rows"),
                                   .metrics = kds_args_flag(args, "metrics"),
                                   .self_test = kds_args_flag(args, "self-test") != NULL,
                                   .compare_sim = kds_args_flag(args, "compare-sim") != NULL,
                                   .out = kds_args_flag(args, "out"),
                                   .note = note};
    kds_code code = kds_profile_bench(&o, &report, e);
    if (code == KDS_OK && args->json)
        code = kds_view_json(report, e);
    else if (code == KDS_OK)
        show(report, o.compare_sim);
    cJSON_Delete(report);
    return code;
}
