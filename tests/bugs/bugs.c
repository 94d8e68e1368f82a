/* Compiles each file twice, with its bugs and mended, runs every kernel in both instruction sets
 * with all checks on, and compares reports and results. */
#include "tests/bugs/bugs.h"
#include "eval/nvrtc.h"
#include "eval/prelude.h"
#include "search/base/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BUDGET 400000000 /* warp instructions */

static kds_nvrtc *nvrtc;
static int found, mended, with_line, complaints;

double noise(uint64_t i)
{
    return (double)((i * 5 + 3) % 17) - 4;
}

double other(uint64_t i)
{
    return (double)((i * 7 + 1) % 13) - 6;
}

double iota(uint64_t i)
{
    return (double)i;
}

double zero(uint64_t i)
{
    (void)i;
    return 0;
}

double one(uint64_t i)
{
    (void)i;
    return 1;
}

static void complain(const bug_file *f, const bug_case *c, const char *fmt, ...) KDS_PRINTF(3, 4);

static void complain(const bug_file *f, const bug_case *c, const char *fmt, ...)
{
    char text[3000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    print_error("%s: %s: %s\n", f->name, c->kernel, text);
    complaints++;
}

static kds_sim_module *compile(const char *name, const char *source, bool fixed)
{
    const char *options[16] = {"--gpu-architecture=compute_90a", "--std=c++17", "-default-device",
                               "-lineinfo", "--pre-include=" KDS_PRELUDE_NAME};
    int count = 5;
    for (int i = 0; i < nvrtc->include_count; i++)
        options[count++] = nvrtc->include_options[i];
    if (fixed)
        options[count++] = "-DFIXED";
    kds_nvrtc_program *p = NULL;
    size_t len = 0;
    assert_int_equal(nvrtc->create(&p, source, name, kds_prelude_count(), kds_prelude_texts(),
                                   kds_prelude_names()),
                     KDS_NVRTC_SUCCESS);
    if (nvrtc->compile(p, count, options) != KDS_NVRTC_SUCCESS) {
        static char log[16384];
        if (nvrtc->log_size(p, &len) == KDS_NVRTC_SUCCESS && len < sizeof log)
            nvrtc->log(p, log);
        fail_msg("%s: %s", name, log);
    }
    assert_int_equal(nvrtc->ptx_size(p, &len), KDS_NVRTC_SUCCESS);
    char *ptx = malloc(len);
    assert_non_null(ptx);
    assert_int_equal(nvrtc->ptx(p, ptx), KDS_NVRTC_SUCCESS);
    nvrtc->destroy(&p);
    const char *keep = getenv("BUGS_KEEP_PTX"); /* a folder */
    if (keep != NULL) {
        char path[1000];
        kds_err e;
        snprintf(path, sizeof path, "%s/%s.%s.ptx", keep, name, fixed ? "fixed" : "bug");
        if (kds_file_write_atomic(path, ptx, strlen(ptx), &e) != KDS_OK)
            fail_msg("%s", e.message);
    }
    kds_sim_module *m = NULL;
    kds_err e = {0};
    if (kds_sim_module_load(&m, ptx, len, &e) != KDS_OK)
        fail_msg("%s: %s", name, e.message);
    free(ptx);
    return m;
}

static void fill_range(void *user, uint64_t first, uint64_t len, void *out)
{
    const bug_arg *a = user;
    size_t size = kds_dtype_size((kds_dtype)a->dtype);
    for (uint64_t at = 0; at < len; at += size)
        kds_dtype_store((kds_dtype)a->dtype, (uint8_t *)out + at, a->fill((first + at) / size));
}

typedef struct trial {
    kds_sim_memory *memory;
    uint8_t params[128];
    size_t len;
    uint64_t address[BUG_ARGS];
} trial;

static void put(trial *t, const void *value, size_t size)
{
    t->len = (t->len + size - 1) / size * size;
    assert_true(t->len + size <= sizeof t->params);
    memcpy(t->params + t->len, value, size);
    t->len += size;
}

static void open_trial(trial *t, const bug_case *c)
{
    *t = (trial){.memory = kds_sim_memory_create()};
    assert_non_null(t->memory);
    for (int k = 0; k < BUG_ARGS && c->args[k].role != BUG_END; k++) {
        bug_arg a = c->args[k];
        size_t size = kds_dtype_size((kds_dtype)a.dtype);
        if (a.role == BUG_SCALAR) {
            uint64_t bits = 0;
            kds_dtype_store((kds_dtype)a.dtype, &bits, a.value);
            put(t, &bits, size);
            continue;
        }
        kds_sim_buffer b = {.name = a.name,
                            .bytes = a.count * size,
                            .read_only = a.role == BUG_IN,
                            .content = a.role == BUG_OUT ? KDS_SIM_UNDEFINED : KDS_SIM_DEFINED,
                            .fill = a.role == BUG_OUT ? NULL : fill_range,
                            .user = (void *)(uintptr_t)&c->args[k],
                            .poison = 0xee};
        t->address[k] = kds_sim_memory_add(t->memory, &b);
        assert_true(t->address[k] != 0);
        put(t, &t->address[k], 8);
    }
}

static kds_sim_result run(const kds_sim_module *m, const bug_case *c, trial *t, bool fixed, int isa)
{
    uint32_t grid[3], block[3];
    kds_sim_options o = {.budget = c->budget != 0 ? c->budget : BUDGET,
                         .check_uninitialised = true,
                         .check_races = true,
                         .cooperative = c->cooperative,
                         .resident = c->resident,
                         .isa = isa == 0 ? NULL : "baseline"};
    for (int d = 0; d < 3; d++) {
        grid[d] = c->grid[d] != 0 ? c->grid[d] : 1;
        block[d] = c->block[d] != 0 ? c->block[d] : 1;
        o.cluster[d] = c->cluster == 0 ? 0 : d == 0 ? c->cluster : 1;
    }
    if (fixed && c->fixed_grid != 0)
        grid[0] = c->fixed_grid;
    uint32_t shared = fixed && c->fixed_shared != 0 ? c->fixed_shared : c->shared;
    kds_sim_result r;
    kds_err e = {0};
    if (kds_sim_launch(m, c->kernel, grid, block, shared, t->params, t->len, t->memory, &o, &r,
                       &e) != KDS_OK)
        fail_msg("%s: %s", c->kernel, e.message);
    return r;
}

/* Is a line with this number marked, in the kernel or in a device function? Sets whether any line
 * of the kernel is. */
static bool at_marked_line(const char *source, const char *kernel, int line, bool *any)
{
    char head[128];
    bool here = false, helper = false, known = false, marked = false;
    int number = 1;
    snprintf(head, sizeof head, "extern \"C\" __global__ void %s(", kernel);
    *any = false;
    for (const char *s = source; s != NULL && *s != '\0'; number++) {
        const char *end = strchr(s, '\n');
        if (strncmp(s, "extern \"C\"", 10) == 0) {
            here = strncmp(s, head, strlen(head)) == 0;
            known |= here;
            helper = false;
        } else if (strncmp(s, "__device__", 10) == 0) {
            here = false;
            helper = true;
        }
        if (end != NULL && end - s > 6 && strncmp(end - 6, "// BUG", 6) == 0) {
            *any |= here;
            marked |= (here || helper) && number == line;
        }
        s = end != NULL ? end + 1 : NULL;
    }
    if (!known)
        fail_msg("no kernel %s", kernel);
    return marked;
}

static void check_result(const bug_file *f, const bug_case *c, trial *t)
{
    int k = c->result;
    while (c->result == 0 && c->args[k].role != BUG_OUT && c->args[k].role != BUG_INOUT)
        k++;
    const bug_arg *a = &c->args[k];
    size_t size = kds_dtype_size((kds_dtype)a->dtype), bytes = size * a->count;
    uint8_t *data = malloc(bytes), *written = malloc(bytes);
    assert_true(data != NULL && written != NULL);
    assert_true(kds_sim_memory_read(t->memory, t->address[k], bytes, data, written));
    for (uint64_t i = 0; i < a->count; i++) {
        double got = kds_dtype_load((kds_dtype)a->dtype, data + i * size), want = c->want(i);
        if (got == want && (a->role != BUG_OUT || written[i * size]))
            continue;
        complain(f, c, "%s[%llu] is %g%s, not %g", a->name, (unsigned long long)i, got,
                 written[i * size] ? "" : " (never stored)", want);
        break;
    }
    free(data);
    free(written);
}

/* It runs clean and is right. */
static void check_clean(const bug_file *f, const bug_case *c, const kds_sim_module *m, bool fixed)
{
    for (int isa = 0; isa < 2; isa++) {
        trial t;
        open_trial(&t, c);
        kds_sim_result r = run(m, c, &t, fixed, isa);
        if (r.status == KDS_SIM_OK)
            check_result(f, c, &t);
        else
            complain(f, c, "%s, but: %s", fixed ? "mended" : "no bug in this launch", r.report);
        mended += fixed && r.status == KDS_SIM_OK && isa == 0;
        kds_sim_memory_free(t.memory);
    }
}

/* The bug is reported as its case says. Both instruction sets must use the same words. */
static void check_bug(const bug_file *f, const bug_case *c, const char *source,
                      const kds_sim_module *m)
{
    static char before[2000];
    for (int isa = 0; isa < 2; isa++) {
        trial t;
        bool any;
        open_trial(&t, c);
        kds_sim_result r = run(m, c, &t, false, isa);
        kds_sim_memory_free(t.memory);
        if (getenv("BUGS_VERBOSE") != NULL && isa == 0)
            print_message("%s: %s: line %d: %s\n", f->name, c->kernel, r.source_line, r.report);
        if (r.status != c->status && (c->also >> r.status & 1) == 0) {
            complain(f, c, "%s: \"%s\", not %s", kds_sim_status_name(r.status), r.report,
                     kds_sim_status_name(c->status));
            return;
        }
        for (int k = 0; k < BUG_SAYS && c->says[k] != NULL; k++)
            if (strstr(r.report, c->says[k]) == NULL)
                complain(f, c, "no \"%s\" in \"%s\"", c->says[k], r.report);
        char head[200];
        snprintf(head, sizeof head, "kernel %s, block (", c->kernel);
        if (strstr(r.report, head) == NULL || strstr(r.report, "at PTX line ") == NULL)
            complain(f, c, "no kernel, block or PTX line in \"%s\"", r.report);
        if (!at_marked_line(source, c->kernel, r.source_line, &any) && any)
            complain(f, c, "line %d is not marked: \"%s\"", r.source_line, r.report);
        if (isa == 0) {
            memcpy(before, r.report, sizeof before);
            found++;
            with_line += any;
        } else if (strcmp(before, r.report) != 0) {
            complain(f, c, "\"%s\" in one instruction set, \"%s\" in another", before, r.report);
        }
    }
}

static void check_file(void **state)
{
    const bug_file *f = *state;
    char path[600];
    kds_buf source;
    kds_err e;
    snprintf(path, sizeof path, KDS_SOURCE_DIR "/tests/bugs/%s", f->name);
    kds_buf_init(&source, 1 << 20);
    if (kds_file_read(path, &source, &e) != KDS_OK)
        fail_msg("%s", e.message);
    kds_sim_module *bug = compile(f->name, source.data, false);
    kds_sim_module *fixed = compile(f->name, source.data, true);
    const char *only = getenv("BUGS_ONLY");
    complaints = 0;
    for (size_t k = 0; k < f->count; k++) {
        if (only != NULL && strcmp(only, f->cases[k].kernel) != 0)
            continue;
        if (f->cases[k].status == KDS_SIM_OK)
            check_clean(f, &f->cases[k], bug, false);
        else
            check_bug(f, &f->cases[k], source.data, bug);
        check_clean(f, &f->cases[k], fixed, true);
    }
    kds_sim_module_free(bug);
    kds_sim_module_free(fixed);
    kds_buf_free(&source);
    if (complaints > 0)
        fail_msg("%s: %d complaints", f->name, complaints);
}

static int open_compiler(void **state)
{
    (void)state;
    kds_err e = {0};
    if (kds_nvrtc_open(&nvrtc, &e) != KDS_OK)
        fail_msg("%s", e.message);
    return 0;
}

int bugs_main(const bug_file *files, size_t count)
{
    struct CMUnitTest tests[8] = {0};
    if (count > sizeof tests / sizeof tests[0])
        return 1;
    for (size_t k = 0; k < count; k++)
        tests[k] = (struct CMUnitTest){files[k].name, check_file, NULL, NULL,
                                       (void *)(uintptr_t)&files[k]};
    /* The count is that of this array. */
    int failed = _cmocka_run_group_tests("bugs", tests, count, open_compiler, NULL);
    printf("%d bugs found, %d of them at a marked line; %d mended kernels clean\n", found,
           with_line, mended);
    kds_nvrtc_close(nvrtc);
    return failed;
}
