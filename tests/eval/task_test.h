/* What the tests of the task loader share: a small right task in a scratch folder, and ways to
 * spoil it. */
#ifndef KDS_TESTS_TASK_TEST_H
#define KDS_TESTS_TASK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eval/task.h"
#include "search/base/file.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64]; /* scratch folder of this program */

static const char task_json[] =
    "{ // a small task\n"
    "  \"format\": 1, \"name\": \"small\", \"family\": \"tests\",\n"
    "  \"summary\": \"s\", \"function\": \"f(x, index, y)\",\n"
    "  \"dims\": [\"M\", \"N\", \"eps\"],\n"
    "  \"buffers\": [\n"
    "    {\"name\": \"x\", \"dtype_from\": \"in\", \"shape\": [\"M\", \"N\"], \"role\": \"in\",\n"
    "     \"fill\": {\"kind\": \"normal\", \"mean\": 0, \"std\": 1}},\n"
    "    {\"name\": \"index\", \"dtype\": \"i32\", \"shape\": [\"M\"], \"role\": \"in\",\n"
    "     \"fill\": {\"kind\": \"permutation\"}},\n"
    "    {\"name\": \"y\", \"dtype\": \"bf16\", \"shape\": [\"M\", \"N\"], \"role\": \"out\",\n"
    "     \"strides\": [\"pitch\", 1],\n"
    "     \"tolerance\": {\"atol\": 0.01, \"rtol\": 0.02, \"rel_rmse\": 0.03, \"slice_rel_rmse\": "
    "0.04,\n"
    "                   \"worse_than_baseline\": {\"factor\": 2, \"floor\": 0.5}}}\n"
    "  ],\n"
    "  \"scalars\": [{\"name\": \"M\", \"dtype\": \"i32\", \"value\": \"M\"},\n"
    "              {\"name\": \"pitch\", \"dtype\": \"i64\", \"value\": \"align_up(N, 8)\"},\n"
    "              {\"name\": \"eps\", \"dtype\": \"f32\", \"value\": \"eps\"}],\n"
    "  \"regimes\": [{\"name\": \"large\", \"changes\": {\"x\": {\"scale\": 100, \"shift\": "
    "1}}}],\n"
    "  \"bytes\": \"6 * M * N + 4 * M\", \"flops\": \"M * N\",\n"
    "  \"max_regress\": 0.05, \"screen\": 0.2, \"margin\": 0.01,\n"
    "  \"descriptors\": {\"version\": 7, \"axes\": [\n"
    "    {\"name\": \"regs\", \"unit\": \"per thread\", \"value\": \"registers\", \"edges\": [32, "
    "64]},\n"
    "    {\"name\": \"launches\", \"value\": \"launches\", \"edges\": [2]}]}\n"
    "}\n";

static const char rows_json[] = "{\"format\": 1,\n"
                                " \"production\": [{\"id\": \"big\", \"dims\": {\"M\": 64, \"N\": "
                                "12, \"eps\": 1e-6}, \"weight\": 2,\n"
                                "                 \"seed\": \"18446744073709551615\", \"profile\": "
                                "true, \"dtypes\": {\"in\": \"f16\"},\n"
                                "                 \"note\": \"n\"}],\n"
                                " \"quick\": [{\"id\": \"tiny\", \"dims\": {\"M\": 1, \"N\": 1, "
                                "\"eps\": 1}, \"seed\": 3, \"dtypes\": {\"in\": "
                                "\"f32\"}}],\n"
                                " \"held_out\": [{\"id\": \"odd\", \"dims\": {\"M\": 3, \"N\": 5, "
                                "\"eps\": 1}, \"seed\": 4, \"dtypes\": {\"in\": "
                                "\"f32\"}}]}\n";

__attribute__((unused)) static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/t/%s", root, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

__attribute__((unused)) static int remove_one(const char *path, const struct stat *st, int type,
                                              struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

__attribute__((unused)) static void make_dir(const char *name)
{
    char path[256];
    kds_err e = {0};
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (kds_dir_make(path, &e) != KDS_OK)
        fail_msg("%s", e.message);
}

/* A fresh, right task folder at root/t. */
__attribute__((unused)) static void make_task(void)
{
    char path[256];
    snprintf(path, sizeof path, "%s/t", root);
    (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    static const char *const dirs[] = {"t",       "t/baseline", "t/reference", "t/bench",
                                       "t/seeds", "t/docs",     "t/solution"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        make_dir(dirs[i]);
    put("task.json", task_json);
    put("bench/workloads.json", rows_json);
    put("prompt.md", "the card\n");
    put("baseline/kernel.cu", "// baseline\n");
    put("reference/kernel.cu", "// reference\n");
    put("seeds/b.cu", "// b\n");
    put("seeds/a.cu", "// a\n");
    put("seeds/README.md", "not a seed\n");
}

/* `text` with the only occurrence of `from` replaced; owned by the caller. */
__attribute__((unused)) static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    assert_non_null(at);
    assert_null(strstr(at + 1, from));
    size_t head = (size_t)(at - text);
    size_t size = strlen(text) + strlen(to) + 1;
    char *out = malloc(size);
    assert_non_null(out);
    snprintf(out, size, "%.*s%s%s", (int)head, text, to, at + strlen(from));
    return out;
}

__attribute__((unused)) static kds_task *load_ok(void)
{
    char path[256];
    kds_err e = {0};
    kds_task *t = NULL;
    snprintf(path, sizeof path, "%s/t", root);
    if (kds_task_load(&t, path, &e) != KDS_OK)
        fail_msg("%s", e.message);
    return t;
}

__attribute__((unused)) static int open_scratch(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/kds-task-XXXXXX");
    return mkdtemp(root) == NULL;
}

__attribute__((unused)) static int close_scratch(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
