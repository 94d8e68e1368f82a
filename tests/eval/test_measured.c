/* The times that were measured on a GPU (tests/calibration/h200) load, every one of them, and a few
 * small kernels among them still come out near what was measured. Nothing is timed here. */
#include "eval/sim/measured.h"
#include "search/base/file.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FOLDER KDS_SOURCE_DIR "/tests/calibration/h200"
#define FILE_CAP (64u << 20)

/* Every row of a kernel is a row of its task, with a time. */
static int check_kernel(const char *name, const kds_task *task, const cJSON *k)
{
    int count = 0;
    const cJSON *r = NULL;
    assert_true(strlen(kds_json_str(k, "source", "")) > 100);
    assert_true(strncmp(kds_json_str(k, "file", ""), "kernels/", 8) == 0 ||
                strncmp(kds_json_str(k, "file", ""), "tests/", 6) == 0);
    cJSON_ArrayForEach(r, kds_json_at(k, "rows"))
    {
        const char *row = kds_json_str(r, "row", "");
        if (kds_task_row(task, row) == NULL)
            fail_msg("%s: task %s has no row '%s'", name, task->name, row);
        if (strcmp(kds_json_str(r, "verdict", ""), "ok") != 0)
            continue;
        assert_true(kds_json_num(r, "us", 0) > 0.5 && kds_json_num(r, "us", 0) < 1e6);
        assert_true(kds_json_num(r, "spread", 1) < 0.05);
        count++;
    }
    return count;
}

static int check_file(const char *path)
{
    kds_json_doc *doc = NULL;
    kds_task *task = NULL;
    kds_err e = {0};
    int count = 0;
    const cJSON *k = NULL;
    char dir[1000];
    if (kds_json_load(&doc, path, FILE_CAP, &e) != KDS_OK)
        fail_msg("%s", e.message);
    const cJSON *root = kds_json_root(doc), *device = kds_json_at(root, "device");
    assert_string_equal(kds_json_str(root, "kind", ""), "measured");
    assert_string_equal(kds_json_str(device, "name", ""), "NVIDIA H200");
    assert_true(kds_json_str(device, "driver", NULL) != NULL);
    assert_null(kds_json_at(device, "uuid"));
    assert_true(kds_json_str(root, "date", NULL) != NULL);
    assert_true(kds_json_str(root, "nvrtc", NULL) != NULL);
    snprintf(dir, sizeof dir, "%s/%s", KDS_SOURCE_DIR, kds_json_str(root, "task_dir", ""));
    if (kds_task_load(&task, dir, &e) != KDS_OK)
        fail_msg("%s", e.message);
    cJSON_ArrayForEach(k, kds_json_at(root, "kernels"))
    {
        count += check_kernel(path, task, k);
    }
    kds_task_free(task);
    kds_json_free(doc);
    return count;
}

static void every_file_loads(void **state)
{
    (void)state;
    int files = 0, times = 0;
    DIR *d = opendir(FOLDER);
    assert_non_null(d);
    for (struct dirent *x = readdir(d); x != NULL; x = readdir(d)) {
        char path[1400];
        if (strstr(x->d_name, ".json") == NULL)
            continue;
        snprintf(path, sizeof path, "%s/%s", FOLDER, x->d_name);
        times += check_file(path);
        files++;
    }
    closedir(d);
    assert_int_equal(files, 10);
    assert_int_equal(times, 984);
}

/* A file with one kernel on one row of a file of measured times. */
static void write_one(const char *path, const char *task, const char *row, const char *part,
                      double *us)
{
    char from[1000];
    kds_json_doc *doc = NULL;
    kds_err e = {0};
    cJSON *k = NULL, *next = NULL;
    snprintf(from, sizeof from, "%s/%s.json", FOLDER, task);
    if (kds_json_load(&doc, from, FILE_CAP, &e) != KDS_OK)
        fail_msg("%s", e.message);
    cJSON *root = cJSON_Duplicate(kds_json_root(doc), true);
    cJSON *kernels = cJSON_GetObjectItem(root, "kernels"), *kept = cJSON_CreateArray();
    *us = 0;
    for (k = kernels->child; k != NULL; k = next) {
        next = k->next;
        cJSON *rows = cJSON_GetObjectItem(k, "rows"), *after = NULL;
        if (*us > 0 || strstr(kds_json_str(k, "file", ""), part) == NULL)
            continue;
        for (cJSON *r = rows->child; r != NULL; r = after) {
            after = r->next;
            if (strcmp(kds_json_str(r, "row", ""), row) == 0)
                *us = kds_json_num(r, "us", 0);
            else
                cJSON_Delete(cJSON_DetachItemViaPointer(rows, r));
        }
        cJSON_AddItemToArray(kept, cJSON_DetachItemViaPointer(kernels, k));
    }
    assert_true(*us > 0);
    cJSON_ReplaceItemInObject(root, "kernels", kept);
    char *text = cJSON_PrintUnformatted(root);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    free(text);
    cJSON_Delete(root);
    kds_json_free(doc);
}

static void small_ones_come_out_near(void **state)
{
    (void)state;
    static const struct {
        const char *task, *row, *kernel;
    } cases[] = {{"rms_norm", "hunyuan_1320", "baseline/kernel.cu"},
                 {"transpose", "experts_8192x8", "transpose__swizzled.cu"},
                 {"silu_mul", "llama8b_64", "seeds/flat.cu"}};
    enum { CASES = sizeof cases / sizeof cases[0] };
    kds_nvrtc *nvrtc = NULL;
    kds_err e = {0};
    kds_measured m = {0};
    char paths[CASES][64];
    const char *list[CASES];
    double us[CASES];
    if (kds_nvrtc_open(&nvrtc, &e) != KDS_OK)
        fail_msg("%s", e.message);
    for (int k = 0; k < CASES; k++) {
        snprintf(paths[k], sizeof paths[k], "/tmp/kds_measured_%ld_%d.json", (long)getpid(), k);
        write_one(paths[k], cases[k].task, cases[k].row, cases[k].kernel, &us[k]);
        list[k] = paths[k];
    }
    const kds_measured_options o = {
        .gpu = "h200", .tasks_dir = KDS_SOURCE_DIR "/kernels", .nvrtc = nvrtc};
    kds_code code = kds_measured_add_all(&m, list, CASES, &o, &e);
    for (int k = 0; k < CASES; k++)
        unlink(paths[k]);
    if (code != KDS_OK)
        fail_msg("%s", e.message);
    assert_int_equal(m.count, CASES);
    assert_int_equal(m.task_count, CASES);
    assert_int_equal(m.row_count, CASES);
    assert_int_equal(m.left_count, 0);
    assert_string_equal(m.device, "NVIDIA H200");
    for (int k = 0; k < CASES; k++) {
        const kds_sample *s = &m.samples[k];
        double modelled = kds_sim_observed_us(kds_gpu_find("h200"), s->inputs, NULL);
        assert_string_equal(s->task_name, cases[k].task);
        assert_string_equal(s->row_name, cases[k].row);
        assert_true(s->measured_us == us[k]);
        if (!(modelled > us[k] / 2 && modelled < us[k] * 2))
            fail_msg("%s on %s: %.2f us modelled, %.2f measured", s->kernel, s->row_name, modelled,
                     us[k]);
    }
    kds_measured_free(&m);
    kds_nvrtc_close(nvrtc);
}

/* What one process finds wrong with its file is what the caller hears. */
static void a_bad_file_is_named(void **state)
{
    (void)state;
    kds_measured m = {0};
    kds_err e = {0};
    const char *list[] = {KDS_SOURCE_DIR "/kernels/rms_norm/task.json"};
    const kds_measured_options o = {.gpu = "h200"};
    assert_int_equal(kds_measured_add_all(&m, list, 1, &o, &e), KDS_INVALID);
    assert_non_null(strstr(e.message, "kernels/rms_norm/task.json"));
    assert_non_null(strstr(e.message, "no measured times"));
    kds_measured_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_loads),
        cmocka_unit_test(small_ones_come_out_near),
        cmocka_unit_test(a_bad_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
