/* The fault suite on the fake driver: each kernel of tests/gpu/faults gets its verdict, and the
 * good kernel after it is judged right by whatever worker is there then. tests/gpu/faults.sh runs
 * the same on a real GPU. */
#include "tests/cli/fake_gpu.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS                                                                                       \
    "{\"format\": 1, \"production\": ["                                                            \
    "{\"id\": \"large\", \"dims\": {\"n\": 20000, \"a\": 0.5}, \"weight\": 1, \"seed\": 1,"        \
    " \"profile\": true},"                                                                         \
    "{\"id\": \"small\", \"dims\": {\"n\": 6000, \"a\": 3.0}, \"weight\": 1, \"seed\": 2}],"       \
    "\"quick\": [{\"id\": \"quick\", \"dims\": {\"n\": 1000, \"a\": 2.0}, \"seed\": 3}],"          \
    "\"held_out\": [{\"id\": \"held\", \"dims\": {\"n\": 777, \"a\": 0.25}, \"seed\": 4}]}"
#define BATCH 8 /* a task has at most 16 seeds; every other one is good */
#define GOOD "good_two_elements"

typedef struct fault {
    char name[80], verdict[40], words[100];
} fault;
static fault faults[64];
static int count;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const fault *)a)->name, ((const fault *)b)->name);
}

/* "// expect: verdict|or another: words" in the first line. */
static void read_expectation(fault *f)
{
    char path[200];
    (void)snprintf(path, sizeof path, "tests/gpu/faults/%s.cu", f->name);
    char *text = cli_read(cli_source(path), NULL);
    assert_non_null(text);
    if (sscanf(text, "// expect: %39[a-z_|]", f->verdict) != 1)
        fail_msg("%s does not say what to expect", path);
    const char *words = strstr(text, ": ") + 2;
    words += strlen(f->verdict);
    if (words[0] == ':')
        (void)snprintf(f->words, sizeof f->words, "%.*s", (int)strcspn(words + 2, "\n"), words + 2);
    free(text);
}

static void list_faults(void)
{
    DIR *dir = opendir(cli_source("tests/gpu/faults"));
    const struct dirent *entry;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        const char *dot = strstr(entry->d_name, ".cu");
        if (dot == NULL || dot[3] != '\0')
            continue;
        assert_true(count < 64);
        (void)snprintf(faults[count].name, sizeof faults[count].name, "%.*s",
                       (int)(dot - entry->d_name), entry->d_name);
        read_expectation(&faults[count++]);
    }
    closedir(dir);
    qsort(faults, (size_t)count, sizeof *faults, by_name);
}

static void put_seed(const char *as, const char *name)
{
    char from[200], to[200];
    size_t len = 0;
    (void)snprintf(from, sizeof from, "tests/gpu/faults/%s.cu", name);
    (void)snprintf(to, sizeof to, "scale/seeds/%s.cu", as);
    char *text = cli_read(cli_source(from), &len);
    assert_non_null(text);
    cli_write(to, text, len);
    free(text);
}

static const cJSON *kernel_of(const cJSON *report, const char *file)
{
    const cJSON *k = NULL;
    cJSON_ArrayForEach(k, kds_json_at(report, "kernels"))
    {
        if (strcmp(kds_json_str(k, "file", ""), file) == 0)
            return k;
    }
    fail_msg("no kernel %s in the report", file);
    return NULL;
}

static bool is_one_of(const char *word, const char *words)
{
    size_t len = strlen(word);
    for (const char *at = words; at != NULL; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, word, len) == 0 && (at[len] == '\0' || at[len] == '|'))
            return true;
    }
    return false;
}

static void check_kernel(const cJSON *report, const char *as, const char *verdict,
                         const char *words)
{
    char file[200];
    (void)snprintf(file, sizeof file, "seeds/%s.cu", as);
    const cJSON *k = kernel_of(report, file);
    const char *message = kds_json_str(k, "message", "");
    if (!is_one_of(kds_json_str(k, "verdict", ""), verdict))
        fail_msg("%s: %s, expected %s (%s)", as, kds_json_str(k, "verdict", ""), verdict, message);
    if (strstr(message, words) == NULL)
        fail_msg("%s: '%s' does not say '%s'", as, message, words);
}

static void run_batch(int first)
{
    char fault_name[100], good_name[100];
    int n = count - first < BATCH ? count - first : BATCH;
    fake_gpu_task("tests/tasks/scale", "scale", ROWS);
    for (int i = 0; i < n; i++) {
        (void)snprintf(fault_name, sizeof fault_name, "%d_%s", i, faults[first + i].name);
        (void)snprintf(good_name, sizeof good_name, "%d_then", i);
        put_seed(fault_name, faults[first + i].name);
        put_seed(good_name, GOOD);
    }
    cli_result r = CLI("lint", "scale", "--device", "cuda:0", "--json");
    cJSON *report = kds_json_parse_record(r.out, strlen(r.out));
    if (report == NULL)
        fail_msg("status %d, no report: %s", r.status, r.err);
    for (int i = 0; i < n; i++) {
        (void)snprintf(fault_name, sizeof fault_name, "%d_%s", i, faults[first + i].name);
        (void)snprintf(good_name, sizeof good_name, "%d_then", i);
        check_kernel(report, fault_name, faults[first + i].verdict, faults[first + i].words);
        check_kernel(report, good_name, "ok", "");
        char path[300];
        (void)snprintf(path, sizeof path, "scale/seeds/%s.cu", fault_name);
        assert_int_equal(unlink(cli_path(path)), 0);
    }
    cJSON_Delete(report);
    cli_free(&r);
}

static void test_every_fault_has_its_verdict(void **state)
{
    (void)state;
    list_faults();
    assert_true(count > 20);
    for (int first = 0; first < count; first += BATCH)
        run_batch(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_fault_has_its_verdict)};
    return cmocka_run_group_tests(tests, fake_gpu_set_up, fake_gpu_tear_down);
}
