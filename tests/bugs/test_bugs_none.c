/* The other side: what every task brings along, its baseline and seeds, runs on the quick rows with
 * all checks on, in every value regime, and nothing is reported. */
#include "eval/compile.h"
#include "eval/device.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TASKS_MAX 64

static kds_nvrtc *nvrtc;
static char names[TASKS_MAX][128];
static int runs;

static void check(kds_code code, const kds_err *e)
{
    if (code != KDS_OK)
        fail_msg("%s: %s", kds_code_name(code), e->message);
}

static kds_compiled *compile(const kds_task *t, const char *source, kds_plan **plan)
{
    kds_err e;
    kds_finding f;
    kds_frame job, reply;
    kds_compiled *compiled = NULL;
    kds_finding_clear(&f);
    check(kds_plan_parse(plan, t, source, strlen(source), NULL, &f, &e), &e);
    if (*plan == NULL)
        fail_msg("plan: line %d: %s", f.line, f.text);
    kds_frame_init(&job);
    kds_frame_init(&reply);
    check(kds_compile_job(&job, source, strlen(source), "sm_90", *plan, &e), &e);
    check(kds_compile_run(nvrtc, &job, &reply, &e), &e);
    check(kds_compile_reply(&compiled, &reply, &f, &e), &e);
    if (compiled == NULL)
        fail_msg("compile: line %d: %s", f.line, f.text);
    kds_frame_free(&job);
    kds_frame_free(&reply);
    return compiled;
}

static void run_row(kds_device *d, kds_program *p, int row, int regime, const char *file)
{
    const kds_device_ops *ops = d->ops;
    const char *id = d->task->rows[row].id;
    kds_bench *bench = NULL;
    kds_outputs *out = NULL;
    kds_run_result run;
    kds_finding f;
    kds_err e;
    kds_run_options o = {.poison = 0xff, .races = true};
    kds_finding_clear(&f);
    check(ops->setup(d, row, 7, regime, &bench, &e), &e);
    check(ops->run(bench, p, &o, &run, &out, &f, &e), &e);
    if (out == NULL)
        fail_msg("%s on %s: %s", file, id, f.text);
    if (bench->sampled || run.partial)
        fail_msg("%s is not run whole: not a quick row", id);
    check(ops->complete(bench, out, &f, &e), &e);
    if (f.verdict != KDS_VERDICT_OK)
        fail_msg("%s on %s: %s", file, id, f.text);
    ops->outputs_free(out);
    ops->teardown(bench);
    runs++;
}

static void run_source(kds_device *d, const char *source, const char *file)
{
    const kds_task *t = d->task;
    kds_plan *plan = NULL;
    kds_program *p = NULL;
    kds_finding f;
    kds_err e;
    kds_finding_clear(&f);
    kds_compiled *compiled = compile(t, source, &plan);
    check(d->ops->load(d, plan, compiled, false, &p, &f, &e), &e);
    if (p == NULL)
        fail_msg("%s: %s", file, f.text);
    for (int row = 0; row < t->row_count; row++)
        for (int regime = 0; t->rows[row].set == KDS_ROWS_QUICK && regime < t->regime_count;
             regime++)
            run_row(d, p, row, regime, file);
    d->ops->unload(p);
    kds_plan_free(plan);
    kds_compiled_free(compiled);
}

static void task_is_clean(void **state)
{
    char dir[600];
    kds_task *t = NULL;
    kds_device *d = NULL;
    kds_err e;
    snprintf(dir, sizeof dir, "%s/kernels/%s", KDS_SOURCE_DIR, (const char *)*state);
    check(kds_task_load(&t, dir, &e), &e);
    check(kds_device_open(&d, "sim", t, 7, "test", &e), &e);
    runs = 0;
    run_source(d, t->baseline, "baseline");
    for (int s = 0; s < t->seed_count; s++)
        run_source(d, t->seeds[s].source, t->seeds[s].name);
    print_message("%d sources, %d runs\n", 1 + t->seed_count, runs);
    assert_true(runs > t->seed_count);
    kds_device_close(d);
    kds_task_free(t);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int find_tasks(void)
{
    int count = 0;
    DIR *folder = opendir(KDS_SOURCE_DIR "/kernels");
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char path[600];
        snprintf(path, sizeof path, "%s/kernels/%s/task.json", KDS_SOURCE_DIR, entry->d_name);
        FILE *f = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (f == NULL)
            continue;
        fclose(f);
        if (count < TASKS_MAX)
            snprintf(names[count++], sizeof names[0], "%.127s", entry->d_name);
    }
    if (folder != NULL)
        closedir(folder);
    qsort(names, (size_t)count, sizeof names[0], by_name);
    return count;
}

static int open_compiler(void **state)
{
    (void)state;
    kds_err e = {0};
    check(kds_nvrtc_open(&nvrtc, &e), &e);
    return 0;
}

static int close_compiler(void **state)
{
    (void)state;
    kds_nvrtc_close(nvrtc);
    return 0;
}

int main(void)
{
    static struct CMUnitTest tests[TASKS_MAX];
    int count = find_tasks();
    if (count == 0) {
        fprintf(stderr, "no tasks found\n");
        return 1;
    }
    for (int k = 0; k < count; k++)
        tests[k] = (struct CMUnitTest){
            .name = names[k], .test_func = task_is_clean, .initial_state = names[k]};
    return _cmocka_run_group_tests("tasks", tests, (size_t)count, open_compiler, close_compiler);
}
