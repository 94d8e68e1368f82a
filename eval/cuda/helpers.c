/* Loading our kernels and calling them. Partial results of blocks are added up on the host in their
 * order, so that a sum of doubles is the same every time. */
#include "eval/cuda/helpers_internal.h"
#include "eval/nvrtc.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS KDS_HELPERS_THREADS
#define BLOCKS_PER_SM 8
#define SELF_TEST_COUNT 4099 /* elements: more than one block, no multiple of 4 */
#define WAIT_SECONDS 30.0
#define SOURCE_CAP (1u << 18)

static kds_code failed(const kds_nvrtc *n, const char *what, int result, kds_err *e)
{
    return kds_fail(e, KDS_WORKER, "NVRTC %d.%d failed in %s: %s", n->major, n->minor, what,
                    n->error_text(result));
}

/* The compiler's words for a failure, as far as they fit. */
static kds_code refused(const kds_nvrtc *n, kds_nvrtc_program *program, int result, kds_err *e)
{
    size_t size = 0;
    char *log = NULL;
    if (n->log_size(program, &size) == KDS_NVRTC_SUCCESS && (log = calloc(1, size + 1)) != NULL &&
        n->log(program, log) != KDS_NVRTC_SUCCESS)
        log[0] = '\0';
    kds_code code = kds_fail(e, KDS_SELF_TEST, "our own kernels do not compile: %s: %.600s",
                             n->error_text(result), log != NULL ? log : "");
    free(log);
    return code;
}

kds_code kds_helpers_compile(kds_nvrtc *n, const char *arch, bool ptx, char **out, size_t *len,
                             kds_err *e)
{
    kds_nvrtc_program *program = NULL;
    char option[64];
    const char *options[] = {option, "--std=c++17", "--fmad=false"};
    char *code_text = NULL;
    size_t size = 0;
    kds_buf source;
    kds_buf_init(&source, SOURCE_CAP);
    kds_helpers_source(&source);
    kds_code code = kds_buf_check(&source, "our kernels", e);
    (void)snprintf(option, sizeof option, "--gpu-architecture=%s", arch);
    int result = KDS_NVRTC_SUCCESS;
    if (code == KDS_OK && (result = n->create(&program, source.data, "helpers.cu", 0, NULL,
                                              NULL)) != KDS_NVRTC_SUCCESS)
        code = failed(n, "taking our kernels", result, e);
    if (code == KDS_OK && (result = n->compile(program, 3, options)) != KDS_NVRTC_SUCCESS)
        code = refused(n, program, result, e);
    if (code == KDS_OK && (result = ptx ? n->ptx_size(program, &size)
                                        : n->cubin_size(program, &size)) != KDS_NVRTC_SUCCESS)
        code = failed(n, "giving its output", result, e);
    if (code == KDS_OK && (code_text = calloc(1, size + 1)) == NULL)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK && (result = ptx ? n->ptx(program, code_text)
                                        : n->cubin(program, code_text)) != KDS_NVRTC_SUCCESS)
        code = failed(n, "giving its output", result, e);
    if (code == KDS_OK) {
        *out = code_text;
        *len = size;
    } else
        free(code_text);
    if (program != NULL)
        (void)n->destroy(&program);
    kds_buf_free(&source);
    return code;
}

kds_code kds_helpers_launch(kds_helpers *h, kds_cuda_function function, const char *name,
                            int64_t blocks, int threads, void **parameters, kds_err *e)
{
    kds_card_launch l = {.name = name,
                         .function = function,
                         .grid = {blocks, 1, 1},
                         .block = {threads, 1, 1},
                         .parameters = parameters};
    return kds_cuda_check(h->card->cuda, kds_card_launch_kernel(h->card, &l), e, "launching %s",
                          name);
}

static int64_t blocks_for(const kds_helpers *h, int64_t threads)
{
    int64_t blocks = (threads + THREADS - 1) / THREADS;
    return blocks < 1 ? 1 : blocks > h->blocks ? h->blocks : blocks;
}

/* The kind as helpers.cu numbers it. A new kind of fill needs a counterpart there. */
static int kind_code(kds_fill_kind kind)
{
    switch (kind) {
    case KDS_FILL_NORMAL:
        return 0;
    case KDS_FILL_UNIFORM:
        return 1;
    case KDS_FILL_CONSTANT:
        return 2;
    case KDS_FILL_IOTA:
        return 3;
    case KDS_FILL_PERMUTATION:
        return 4;
    case KDS_FILL_OFFSETS:
        return 5;
    case KDS_FILL_LISTED:
        break; /* as constants, one by one */
    }
    return -1;
}

/* Of one element as it is written. */
static size_t filled_size(const kds_filler *f)
{
    return kds_dtype_size(f->wide ? KDS_DTYPE_F64 : f->dtype);
}

/* Every number of a list is a constant of its own: lists are short, and the bits are then those of
 * the other fills. */
static kds_code fill_listed(kds_helpers *h, const kds_filler *f, int64_t first, int64_t count,
                            kds_cuda_address to, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int64_t i = 0; i < count && code == KDS_OK; i++) {
        kds_filler one = *f;
        one.fill = (kds_fill){KDS_FILL_CONSTANT, f->list[first + i], 0};
        code = kds_helpers_fill(h, &one, 0, 1, to + (uint64_t)i * filled_size(f), e);
    }
    return code;
}

kds_code kds_helpers_fill(kds_helpers *h, const kds_filler *f, int64_t first, int64_t count,
                          kds_cuda_address to, kds_err *e)
{
    if (f->fill.kind == KDS_FILL_LISTED)
        return fill_listed(h, f, first, count, to, e);
    long long from = first, n = count, span = f->span;
    int kind = kind_code(f->fill.kind), type = (int)f->dtype;
    double a = f->fill.a, b = f->fill.b, scale = f->scale, shift = f->shift;
    unsigned long long seed = f->seed;
    unsigned buffer = f->buffer;
    int wide = f->wide;
    void *parameters[] = {&to,    &from,  &n,    &kind,   &type, &a,   &b,
                          &scale, &shift, &seed, &buffer, &span, &wide};
    return kds_helpers_launch(h, h->fill, "kds_fill", blocks_for(h, (count + 3) / 4), THREADS,
                              parameters, e);
}

kds_code kds_helpers_delay(kds_helpers *h, int64_t ns, kds_err *e)
{
    unsigned long long for_ns = ns > 0 ? (unsigned long long)ns : 0;
    void *parameters[] = {&for_ns};
    return kds_helpers_launch(h, h->delay, "kds_delay", 1, 1, parameters, e);
}

kds_code kds_helpers_fetch(kds_helpers *h, size_t bytes, const char *what, kds_err *e)
{
    bool late = false;
    kds_code code = kds_card_wait(h->card, WAIT_SECONDS, &late, e);
    if (code == KDS_OK && late)
        code = kds_fail(e, KDS_DEVICE_LOST, "%s did not end within %.0f s", what, WAIT_SECONDS);
    if (code == KDS_OK)
        code =
            kds_cuda_check(h->card->cuda, h->card->cuda->copy_to_host(h->host, h->partial, bytes),
                           e, "fetching the results of %s", what);
    return code;
}

kds_code kds_helpers_read(kds_helpers *h, kds_cuda_address at, uint64_t bytes, kds_err *e)
{
    long long words = (long long)((bytes + 3) / 4);
    void *parameters[] = {&at, &words, &h->partial};
    return kds_helpers_launch(h, h->hash, "kds_hash", blocks_for(h, words), THREADS, parameters, e);
}

kds_code kds_helpers_hash(kds_helpers *h, kds_cuda_address at, uint64_t bytes, uint64_t *out,
                          kds_err *e)
{
    long long words = (long long)((bytes + 3) / 4);
    void *parameters[] = {&at, &words, &h->partial};
    int64_t blocks = blocks_for(h, words);
    uint64_t sum = 0;
    kds_code code = kds_helpers_launch(h, h->hash, "kds_hash", blocks, THREADS, parameters, e);
    if (code == KDS_OK)
        code = kds_helpers_fetch(h, (size_t)blocks * sizeof(uint64_t), "kds_hash", e);
    for (int64_t i = 0; code == KDS_OK && i < blocks; i++) {
        uint64_t part;
        memcpy(&part, (const char *)h->host + (size_t)i * sizeof part, sizeof part);
        sum += part;
    }
    if (code == KDS_OK)
        *out = sum;
    return code;
}

kds_code kds_helpers_element(const kds_helpers *h, kds_dtype type, kds_cuda_address at, int64_t i,
                             double *out, kds_err *e)
{
    unsigned char bytes[8];
    size_t size = kds_dtype_size(type);
    kds_code code = kds_cuda_check(
        h->card->cuda, h->card->cuda->copy_to_host(bytes, at + (uint64_t)i * size, size), e,
        "fetching an element");
    if (code == KDS_OK)
        *out = kds_dtype_load(type, bytes);
    return code;
}

kds_code kds_helpers_compare(kds_helpers *h, kds_dtype type, int64_t span, kds_cuda_address got,
                             kds_cuda_address want, const kds_tolerance *t, bool bitwise,
                             kds_gpu_errors *out, kds_err *e)
{
    int kind = (int)type, exact = bitwise;
    long long n = span;
    double atol = t->atol, rtol = t->rtol;
    void *parameters[] = {&got, &want, &kind, &n, &atol, &rtol, &exact, &h->partial};
    int64_t blocks = blocks_for(h, span);
    kds_found all = {.first = UINT64_MAX};
    kds_code code =
        kds_helpers_launch(h, h->compare, "kds_compare", blocks, THREADS, parameters, e);
    if (code == KDS_OK)
        code = kds_helpers_fetch(h, (size_t)blocks * sizeof(kds_found), "kds_compare", e);
    if (code != KDS_OK)
        return code;
    for (int64_t i = 0; i < blocks; i++) {
        const kds_found *f = (const kds_found *)h->host + i;
        all.wrong += f->wrong;
        all.first = f->first < all.first ? f->first : all.first;
        all.largest = f->largest > all.largest ? f->largest : all.largest;
        all.nans += f->nans;
        all.error += f->error;
        all.want += f->want;
    }
    kds_errors *x = &out->errors;
    *out = (kds_gpu_errors){.nan_want = (int64_t)all.nans};
    x->checked = span;
    x->wrong = (int64_t)all.wrong;
    x->first_wrong = all.wrong > 0 ? (int64_t)all.first : -1;
    memcpy(&x->max_abs, &all.largest, sizeof x->max_abs);
    x->rel_rmse = all.want > 0 ? sqrt(all.error / all.want) : all.error > 0 ? INFINITY : 0;
    if (all.wrong == 0)
        return KDS_OK;
    code = kds_helpers_element(h, type, got, x->first_wrong, &x->got, e);
    if (code == KDS_OK)
        code = kds_helpers_element(h, type, want, x->first_wrong, &x->want, e);
    x->allowed = atol + rtol * fabs(x->want);
    return code;
}

static const kds_fill self_test_fills[] = {
    {KDS_FILL_NORMAL, 0.25, 3},
    {KDS_FILL_UNIFORM, -2, 5},
    {KDS_FILL_CONSTANT, 1.0 / 3, 0},
    {KDS_FILL_IOTA, -70, 0.3125},
    {KDS_FILL_PERMUTATION, 0, 0},
    {KDS_FILL_OFFSETS, 100000, 32.0 * 100000 / (SELF_TEST_COUNT - 1)}};

/* One fill of one type from `first` on: every byte equal to what eval/fill.c writes. */
static kds_code prove_fill(kds_helpers *h, const kds_filler *f, int64_t first, kds_cuda_address at,
                           unsigned char *got, unsigned char *want, kds_err *e)
{
    size_t size = filled_size(f), bytes = SELF_TEST_COUNT * size;
    bool late = false;
    kds_filler_write(f, first, SELF_TEST_COUNT, want);
    kds_code code = kds_helpers_fill(h, f, first, SELF_TEST_COUNT, at, e);
    if (code == KDS_OK)
        code = kds_card_wait(h->card, WAIT_SECONDS, &late, e);
    if (code == KDS_OK && late)
        code = kds_fail(e, KDS_DEVICE_LOST, "kds_fill did not end within %.0f s", WAIT_SECONDS);
    if (code == KDS_OK)
        code = kds_cuda_check(h->card->cuda, h->card->cuda->copy_to_host(got, at, bytes), e,
                              "fetching a self-test's result");
    for (int64_t i = 0; code == KDS_OK && i < SELF_TEST_COUNT; i++) {
        const unsigned char *g = got + (size_t)i * size, *w = want + (size_t)i * size;
        if (memcmp(g, w, size) != 0)
            code =
                kds_fail(e, KDS_SELF_TEST,
                         "the GPU fills other bits than the host: fill %d of %s, element %" PRId64
                         ": %.17g, not %.17g",
                         (int)f->fill.kind, kds_dtype_name(f->dtype), first + i,
                         kds_dtype_load(f->wide ? KDS_DTYPE_F64 : f->dtype, g),
                         kds_dtype_load(f->wide ? KDS_DTYPE_F64 : f->dtype, w));
    }
    return code;
}

static kds_code self_test(kds_helpers *h, kds_err *e)
{
    const int64_t far = (INT64_C(1) << 34) + 4;
    unsigned char *got = malloc(SELF_TEST_COUNT * 8), *want = malloc(SELF_TEST_COUNT * 8);
    kds_cuda_address at = 0;
    kds_code code =
        got != NULL && want != NULL ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = kds_card_alloc(h->card, SELF_TEST_COUNT * 8, "the self-test", &at, e);
    for (size_t k = 0; k < sizeof self_test_fills / sizeof self_test_fills[0]; k++) {
        for (int type = 0; type <= (int)KDS_DTYPE_F64; type++) {
            bool whole = self_test_fills[k].kind == KDS_FILL_PERMUTATION ||
                         self_test_fills[k].kind == KDS_FILL_OFFSETS;
            kds_filler f = {.fill = self_test_fills[k],
                            .dtype = (kds_dtype)type,
                            .scale = whole ? 1 : 1.5,
                            .shift = whole ? 0 : -0.1,
                            .seed = UINT64_C(0x9876543210fedcba) + k,
                            .buffer = (uint32_t)type,
                            .span = whole ? SELF_TEST_COUNT : INT64_C(1) << 36};
            if (code == KDS_OK)
                code = prove_fill(h, &f, 0, at, got, want, e);
            if (code == KDS_OK && !whole)
                code = prove_fill(h, &f, far, at, got, want, e);
            f.wide = k == 0; /* it differs by types alone */
            if (code == KDS_OK && f.wide)
                code = prove_fill(h, &f, 0, at, got, want, e);
        }
    }
    kds_card_free(h->card, at);
    free(got);
    free(want);
    return code;
}

static kds_code load(kds_helpers *h, const char *cubin, kds_err *e)
{
    const kds_cuda *c = h->card->cuda;
    const struct {
        const char *name;
        kds_cuda_function *to;
    } functions[] = {{"kds_fill", &h->fill},
                     {"kds_compare", &h->compare},
                     {"kds_judge", &h->judge},
                     {"kds_find", &h->find},
                     {"kds_hash", &h->hash},
                     {"kds_guard_fill", &h->guard_fill},
                     {"kds_guard_check", &h->guard_check},
                     {"kds_delay", &h->delay}};
    kds_code code = kds_cuda_check(c, c->module_load(&h->module, cubin), e,
                                   "loading our kernels on %s", h->card->info.name);
    for (size_t i = 0; code == KDS_OK && i < sizeof functions / sizeof functions[0]; i++)
        code = kds_cuda_check(c, c->module_function(functions[i].to, h->module, functions[i].name),
                              e, "finding our kernel %s", functions[i].name);
    return code;
}

kds_code kds_helpers_find(kds_helpers *h, const char *name, kds_cuda_function *out, kds_err *e)
{
    const kds_cuda *c = h->card->cuda;
    return kds_cuda_check(c, c->module_function(out, h->module, name), e, "finding our kernel %s",
                          name);
}

kds_code kds_helpers_open(kds_helpers **out, kds_card *c, kds_nvrtc *n, kds_err *e)
{
    char *cubin = NULL;
    size_t len = 0;
    kds_helpers *h = calloc(1, sizeof *h);
    if (h == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    h->card = c;
    h->blocks = c->info.sms * BLOCKS_PER_SM;
    h->partial_bytes = (size_t)h->blocks * sizeof(kds_judged);
    if (h->partial_bytes < KDS_GUARD_RESULTS)
        h->partial_bytes = KDS_GUARD_RESULTS;
    h->host = calloc(1, h->partial_bytes);
    kds_code code = h->host != NULL ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = kds_helpers_compile(n, c->info.arch, false, &cubin, &len, e);
    if (code == KDS_OK)
        code = load(h, cubin, e);
    if (code == KDS_OK)
        code = kds_card_alloc(c, h->partial_bytes, "partial results", &h->partial, e);
    if (code == KDS_OK)
        code = self_test(h, e);
    free(cubin);
    if (code == KDS_OK)
        *out = h;
    else
        kds_helpers_close(h);
    return code;
}

void kds_helpers_close(kds_helpers *h)
{
    if (h == NULL)
        return;
    kds_card_free(h->card, h->partial);
    if (h->module != NULL)
        (void)h->card->cuda->module_unload(h->module);
    free(h->host);
    free(h);
}
