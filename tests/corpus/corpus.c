/* Compiles, launches and compares. A kernel is not simulated if the module says so, or if the
 * launch ends so; that is counted and printed, and anything else that is not right fails its file.
 */
#include "tests/corpus/corpus.h"
#include "eval/nvrtc.h"
#include "eval/prelude.h"
#include "eval/sim/sim.h"
#include "search/base/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define FILES_MAX 16
#define COMPLAINTS_MAX 20
#define KERNELS_MAX 64
#define BUDGET 4000000 /* warp instructions of one launch */

static kds_nvrtc *nvrtc;
static int kernels, not_simulated, allowed;

/* One compiled file: its module and how it was made. */
typedef struct variant {
    const corpus_file *file;
    kds_sim_module *module;
    char label[64];
    bool fast;
    int complaints;
    bool missing[KERNELS_MAX];
} variant;

static void complain(variant *v, const char *kernel, const char *fmt, ...) KDS_PRINTF(3, 4);

static void complain(variant *v, const char *kernel, const char *fmt, ...)
{
    char text[2400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (v->complaints++ < COMPLAINTS_MAX)
        print_error("%s: %s (%s): %s\n", v->file->name, kernel, v->label, text);
}

static uint32_t hash(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

static size_t size_of(int dtype)
{
    return dtype == U32 ? 4 : dtype == U16 ? 2 : kds_dtype_size((kds_dtype)dtype);
}

static double load(int dtype, const void *p)
{
    uint32_t u = 0;
    if (dtype != U32 && dtype != U16)
        return kds_dtype_load((kds_dtype)dtype, p);
    memcpy(&u, p, size_of(dtype));
    return u;
}

static void store(int dtype, void *p, double value)
{
    uint32_t u = (uint32_t)value;
    if (dtype == U32 || dtype == U16)
        memcpy(p, &u, size_of(dtype));
    else
        kds_dtype_store((kds_dtype)dtype, p, value);
}

static double filled(const corpus_arg *a, uint32_t seed, uint32_t i)
{
    uint32_t h = hash(i * 2654435761u + seed * 97u + 1);
    double unit = (h + 0.5) / 4294967296.0;
    switch (a->fill) {
    case FILL_NOISE:
        return (2 * unit - 1) * a->p;
    case FILL_ABOVE:
        return unit * a->p;
    case FILL_INDEX:
        return floor(unit * a->p);
    case FILL_BITS:
        return a->dtype == U8    ? h & 255
               : a->dtype == U16 ? h & 65535
               : a->dtype == I32 ? (double)(int32_t)h
                                 : h;
    case FILL_IOTA:
        return i * a->p;
    case FILL_STEPS:
        return i * a->p - 1;
    case FILL_SHUFFLE:
    case FILL_VALUE:
        break;
    }
    return a->p;
}

/* An argument's bytes as they are before the launch; the values get what the bytes stand for. */
static void make_argument(const corpus_arg *a, uint32_t seed, uint8_t *bytes, double *values)
{
    for (uint32_t i = 0; i < a->count; i++)
        values[i] = a->fill == FILL_SHUFFLE ? i : filled(a, seed, i);
    for (uint32_t i = a->count; a->fill == FILL_SHUFFLE && i > 1; i--) {
        uint32_t other = hash(i * 77u + seed) % i;
        double t = values[other];
        values[other] = values[i - 1];
        values[i - 1] = t;
    }
    size_t size = size_of(a->dtype);
    for (uint32_t i = 0; i < a->count; i++) {
        store(a->dtype, bytes + i * size, values[i]);
        values[i] = load(a->dtype, bytes + i * size);
    }
}

/* One launch: the machine's memory, the parameter block, and what the arguments should become. */
typedef struct trial {
    const corpus_case *c;
    kds_sim_memory *memory;
    uint8_t params[256];
    size_t len;
    uint64_t address[CORPUS_ARGS];
    double *before[CORPUS_ARGS], *want[CORPUS_ARGS];
} trial;

static void put(trial *t, const void *value, size_t size)
{
    t->len = (t->len + size - 1) / size * size;
    assert_true(t->len + size <= sizeof t->params);
    memcpy(t->params + t->len, value, size);
    t->len += size;
}

static void add_argument(trial *t, int k)
{
    const corpus_arg *a = &t->c->args[k];
    size_t size = size_of(a->dtype), bytes = size * a->count;
    uint8_t *data = calloc(a->count, size);
    t->before[k] = calloc(a->count, sizeof(double));
    t->want[k] = calloc(a->count, sizeof(double));
    assert_true(data != NULL && t->before[k] != NULL && t->want[k] != NULL);
    make_argument(a, (uint32_t)k + 1, data, t->before[k]);
    for (uint32_t i = 0; i < a->count; i++)
        t->want[k][i] = a->role == CORPUS_OUT ? (double)NAN : t->before[k][i];
    if (a->role == CORPUS_SCALAR) {
        put(t, data, size);
    } else {
        char name[16];
        snprintf(name, sizeof name, "argument %d", k);
        kds_sim_buffer b = {.name = name,
                            .bytes = bytes,
                            .read_only = a->role == CORPUS_IN,
                            .content = KDS_SIM_UNDEFINED,
                            .poison = 0xee};
        t->address[k] = kds_sim_memory_add(t->memory, &b);
        assert_true(t->address[k] != 0);
        if (a->role != CORPUS_OUT)
            assert_true(kds_sim_memory_write(t->memory, t->address[k], bytes, data));
        put(t, &t->address[k], 8);
    }
    free(data);
}

static void close_trial(trial *t)
{
    for (int k = 0; k < CORPUS_ARGS; k++) {
        free(t->before[k]);
        free(t->want[k]);
    }
    kds_sim_memory_free(t->memory);
}

static bool near(const corpus_case *c, double got, double want, double factor)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (isinf(want) || isinf(got))
        return want == got;
    return fabs(got - want) <= factor * (c->atol + c->rtol * fabs(want));
}

static void compare_argument(variant *v, trial *t, int k)
{
    const corpus_arg *a = &t->c->args[k];
    size_t size = size_of(a->dtype);
    uint8_t *data = calloc(a->count, size), *written = calloc(a->count, size);
    assert_true(data != NULL && written != NULL);
    assert_true(kds_sim_memory_read(t->memory, t->address[k], size * a->count, data, written));
    int wrong = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        double want = t->want[k][i], got = load(a->dtype, data + i * size);
        bool untouched = a->role == CORPUS_OUT && !written[i * size];
        bool leave = a->role == CORPUS_OUT && isnan(want);
        double factor = v->fast && t->c->fast > 0 ? t->c->fast : 1;
        if (leave ? untouched : !untouched && near(t->c, got, want, factor))
            continue;
        if (wrong++ == 0)
            complain(v, t->c->kernel, "argument %d [%u]: %.9g%s, not %.9g", k, i, got,
                     untouched ? " (never stored)" : "", want);
    }
    if (wrong > 1)
        complain(v, t->c->kernel, "argument %d: %d of %u wrong", k, wrong, a->count);
    free(data);
    free(written);
}

static void no_dimension_is_zero(uint32_t out[3], const uint32_t in[3])
{
    for (int d = 0; d < 3; d++)
        out[d] = in[d] > 0 ? in[d] : 1;
}

static void missing(variant *v, size_t at, const char *why)
{
    v->missing[at] = true;
    print_message("%s: %s (%s): not simulated: %s\n", v->file->name, v->file->cases[at].kernel,
                  v->label, why);
}

static void run_case(variant *v, size_t at, const char *isa)
{
    const corpus_case *c = &v->file->cases[at];
    const char *why = kds_sim_module_missing(v->module, c->kernel);
    if (why != NULL && strcmp(why, "no such kernel") == 0) {
        complain(v, c->kernel, "%s", why);
        return;
    }
    if (why != NULL) {
        missing(v, at, why);
        return;
    }
    trial t = {.c = c, .memory = kds_sim_memory_create()};
    assert_non_null(t.memory);
    for (int k = 0; k < CORPUS_ARGS && c->args[k].role != CORPUS_END; k++)
        add_argument(&t, k);
    uint32_t grid[3], block[3];
    no_dimension_is_zero(grid, c->grid);
    no_dimension_is_zero(block, c->block);
    kds_sim_options o = {.check_uninitialised = true,
                         .check_races = isa == NULL,
                         .budget = BUDGET,
                         .isa = isa,
                         .cluster = {c->cluster[0], c->cluster[1], c->cluster[2]},
                         .cooperative = c->cooperative};
    kds_sim_result r;
    kds_err e = {0};
    if (kds_sim_launch(v->module, c->kernel, grid, block, c->shared, t.params, t.len, t.memory, &o,
                       &r, &e) != KDS_OK)
        fail_msg("%s: %s", c->kernel, e.message);
    if (r.status == KDS_SIM_NOT_SIMULATED) {
        missing(v, at, r.report);
    } else if (r.status != KDS_SIM_OK) {
        complain(v, c->kernel, "%s", r.report);
    } else {
        c->want(t.want);
        for (int k = 0; k < CORPUS_ARGS && c->args[k].role != CORPUS_END; k++)
            if (c->args[k].role == CORPUS_OUT || c->args[k].role == CORPUS_INOUT)
                compare_argument(v, &t, k);
    }
    if (getenv("CORPUS_COUNTS") != NULL)
        print_message("%s (%s): %.0f warp instructions\n", c->kernel, v->label,
                      r.counters[KDS_SIM_COUNTER_WARP_INST]);
    close_trial(&t);
}

/* NULL: it did not compile, which has been said. */
static kds_sim_module *compile(variant *v, const char *source, const char *arch)
{
    kds_nvrtc_program *program = NULL;
    char target[48];
    snprintf(target, sizeof target, "--gpu-architecture=compute_%s", arch);
    const char *options[8 + KDS_NVRTC_INCLUDES] = {target, "--std=c++17", "-default-device",
                                                   "--pre-include=" KDS_PRELUDE_NAME};
    int count = 4;
    if (v->fast)
        options[count++] = "--use_fast_math";
    for (int i = 0; i < nvrtc->include_count; i++)
        options[count++] = nvrtc->include_options[i];
    assert_int_equal(nvrtc->create(&program, source, v->file->name, kds_prelude_count(),
                                   kds_prelude_texts(), kds_prelude_names()),
                     0);
    size_t size = 0;
    kds_sim_module *m = NULL;
    kds_err e = {0};
    if (nvrtc->compile(program, count, options) != 0) {
        assert_int_equal(nvrtc->log_size(program, &size), 0);
        char *log = calloc(1, size + 1);
        assert_non_null(log);
        nvrtc->log(program, log);
        complain(v, "(all)", "%.2000s", log);
        free(log);
    } else {
        assert_int_equal(nvrtc->ptx_size(program, &size), 0);
        char *ptx = malloc(size);
        assert_non_null(ptx);
        assert_int_equal(nvrtc->ptx(program, ptx), 0);
        if (kds_sim_module_load(&m, ptx, size, &e) != KDS_OK)
            complain(v, "(all)", "%s", e.message);
        free(ptx);
    }
    nvrtc->destroy(&program);
    return m;
}

static int count_of(const char *text, const char *word)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, word)) != NULL; p += strlen(word))
        n++;
    return n;
}

/* Every kernel of a file has its place in the table. */
static void all_are_listed(variant *v, const char *source)
{
    int distinct = 0;
    for (size_t i = 0; i < v->file->count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i; j++)
            seen = seen || strcmp(v->file->cases[i].kernel, v->file->cases[j].kernel) == 0;
        distinct += !seen;
    }
    int there = count_of(source, "__global__");
    if (there != distinct)
        complain(v, "(all)", "%d kernels in the file, %d in the table", there, distinct);
    kernels += distinct;
}

static bool any_fast(const corpus_file *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->cases[i].fast > 0)
            return true;
    return false;
}

static void run_variant(variant *v, const char *source, const char *arch, bool first)
{
    snprintf(v->label, sizeof v->label, "compute_%s%s", arch, v->fast ? ", fast math" : "");
    v->module = compile(v, source, arch);
    for (size_t i = 0; v->module != NULL && i < v->file->count; i++) {
        if (v->fast && !(v->file->cases[i].fast > 0))
            continue;
        run_case(v, i, NULL);
        if (first && !v->missing[i] && strcmp(kds_sim_isa(), "baseline") != 0)
            run_case(v, i, "baseline");
    }
    kds_sim_module_free(v->module);
}

static void runs(void **state)
{
    const corpus_file *f = *state;
    char path[600];
    kds_err e = {0};
    kds_buf text;
    kds_buf_init(&text, 1 << 20);
    snprintf(path, sizeof path, "%s/tests/corpus/%s", KDS_SOURCE_DIR, f->name);
    if (kds_file_read(path, &text, &e) != KDS_OK)
        fail_msg("%s", e.message);
    const char *source = text.data;
    variant v = {.file = f};
    assert_true(f->count <= KERNELS_MAX);
    all_are_listed(&v, source);
    for (int a = 0; a < 4 && f->archs[a] != NULL; a++)
        run_variant(&v, source, f->archs[a], a == 0);
    v.fast = true;
    if (any_fast(f))
        run_variant(&v, source, f->archs[0], false);
    kds_buf_free(&text);
    for (size_t i = 0; i < f->count; i++) {
        bool again = false;
        for (size_t j = 0; j < i; j++)
            again = again || (v.missing[j] && strcmp(f->cases[i].kernel, f->cases[j].kernel) == 0);
        not_simulated += v.missing[i] && !again;
    }
    if (v.complaints > 0)
        fail_msg("%s: %d complaints", f->name, v.complaints);
}

static void nearly_all_are_simulated(void **state)
{
    (void)state;
    print_message("%d kernels, %d not simulated\n", kernels, not_simulated);
    if (not_simulated > allowed)
        fail_msg("%d of %d kernels are not simulated, at most %d were", not_simulated, kernels,
                 allowed);
}

static int open_compiler(void **state)
{
    (void)state;
    kds_err e = {0};
    if (kds_nvrtc_open(&nvrtc, &e) != KDS_OK)
        fail_msg("%s", e.message);
    return 0;
}

static int close_compiler(void **state)
{
    (void)state;
    kds_nvrtc_close(nvrtc);
    return 0;
}

int corpus_main(const corpus_file *files, size_t count, int missing_at_most)
{
    static struct CMUnitTest tests[FILES_MAX + 1];
    if (count > FILES_MAX)
        return 1;
    allowed = missing_at_most;
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){.name = files[i].name,
                                       .test_func = runs,
                                       .initial_state = (void *)(uintptr_t)&files[i]};
    tests[count] = (struct CMUnitTest){.name = "nearly_all_are_simulated",
                                       .test_func = nearly_all_are_simulated};
    return _cmocka_run_group_tests("corpus", tests, count + 1, open_compiler, close_compiler);
}
