/* Comparison and guards on the card, as the gate needs them: calling the kernels, and adding up on
 * the host what their blocks found, in a fixed order. */
#include "eval/cuda/helpers_internal.h"

#include <math.h>
#include <string.h>

#define SHORT_SLICE 256 /* elements: below, a thread takes a whole slice */

/* The parameter of kds_judge, field by field as helpers.cu declares it. */
typedef struct comparison {
    uint64_t got, want;
    int32_t got_type, want_type, bitwise, contiguous;
    int64_t shape[KDS_RANK_MAX], strides[KDS_RANK_MAX];
    int64_t slices, length, parts;
    double atol, rtol;
} comparison;

/* Leading dims of one element, so that the kernel knows one rank only. */
static void widen_shape(const kds_extent *x, comparison *c)
{
    int missing = KDS_RANK_MAX - x->rank;
    for (int d = 0; d < KDS_RANK_MAX; d++) {
        c->shape[d] = d < missing ? 1 : x->shape[d - missing];
        c->strides[d] = d < missing ? 0 : x->strides[d - missing];
    }
    c->contiguous = x->span == x->numel;
}

/* How slices are spread over blocks; gives the number of blocks. parts 0: each thread takes whole
 * slices; 1: each block takes whole slices; more: each block takes one part of one slice. */
static int64_t spread_slices(const kds_helpers *h, const kds_extent *x, bool slices, comparison *c)
{
    int64_t most = h->blocks;
    c->slices = slices && x->rank > 0 && x->shape[0] > 0 ? x->shape[0] : 1;
    c->length = x->numel / c->slices;
    if (c->slices > 1 && c->length < SHORT_SLICE) {
        int64_t blocks = (c->slices + KDS_HELPERS_THREADS - 1) / KDS_HELPERS_THREADS;
        c->parts = 0;
        return blocks < most ? blocks : most;
    }
    int64_t useful = (c->length + KDS_HELPERS_THREADS - 1) / KDS_HELPERS_THREADS;
    c->parts = most / c->slices;
    c->parts = c->parts > useful ? useful : c->parts;
    if (c->parts < 1)
        c->parts = 1;
    int64_t units = c->slices * c->parts;
    return units < most ? units : most;
}

static double relative(double error, double want)
{
    if (want > 0)
        return sqrt(error / want);
    return error > 0 ? INFINITY : 0;
}

static void worse_slice(kds_errors *x, double worst, int64_t at)
{
    if (at < 0 || (x->worst_slice_at >= 0 && !(worst > x->worst_slice) &&
                   !(worst == x->worst_slice && at < x->worst_slice_at)))
        return;
    x->worst_slice = worst;
    x->worst_slice_at = at;
}

/* Adds up the blocks. Where slices are cut into parts, a block is one part. */
static void add_blocks(const comparison *c, const kds_judged *blocks, int64_t count, kds_errors *x,
                       uint64_t *first)
{
    double error = 0, want = 0, slice_error = 0, slice_want = 0;
    uint64_t largest = 0;
    *first = UINT64_MAX;
    for (int64_t i = 0; i < count; i++) {
        const kds_judged *b = &blocks[i];
        x->wrong += (int64_t)b->wrong;
        *first = b->first < *first ? b->first : *first;
        largest = b->largest > largest ? b->largest : largest;
        error += b->error;
        want += b->want;
        slice_error += b->error;
        slice_want += b->want;
        if (c->parts <= 1)
            worse_slice(x, b->worst, b->worst_at);
        else if ((i + 1) % c->parts == 0) {
            worse_slice(x, relative(slice_error, slice_want), i / c->parts);
            slice_error = slice_want = 0;
        }
    }
    memcpy(&x->max_abs, &largest, sizeof x->max_abs);
    x->rel_rmse = relative(error, want);
}

kds_code kds_helpers_judge(kds_helpers *h, const kds_extent *x, kds_dtype got_type,
                           kds_cuda_address got, kds_dtype want_type, kds_cuda_address want,
                           const kds_tolerance *t, bool bitwise, kds_errors *out, kds_err *e)
{
    comparison c = {.got = got,
                    .want = want,
                    .got_type = (int)got_type,
                    .want_type = (int)want_type,
                    .bitwise = bitwise,
                    .atol = t != NULL ? t->atol : INFINITY,
                    .rtol = t != NULL ? t->rtol : 0};
    uint64_t first = UINT64_MAX;
    void *parameters[] = {&c, &h->partial};
    if (bitwise && got_type != want_type)
        return kds_fail(e, KDS_FAILED, "outputs of two types cannot be bitwise equal");
    widen_shape(x, &c);
    int64_t blocks = spread_slices(h, x, t != NULL && t->slice_rel_rmse > 0, &c);
    kds_code code =
        kds_helpers_launch(h, h->judge, "kds_judge", blocks, KDS_HELPERS_THREADS, parameters, e);
    if (code == KDS_OK)
        code = kds_helpers_fetch(h, (size_t)blocks * sizeof(kds_judged), "kds_judge", e);
    if (code != KDS_OK)
        return code;
    kds_errors found = {.checked = x->numel, .first_wrong = -1, .worst_slice_at = -1};
    add_blocks(&c, h->host, blocks, &found, &first);
    if (found.wrong > 0) {
        found.first_wrong = (int64_t)first;
        int64_t at = kds_extent_offset(x, found.first_wrong);
        code = kds_helpers_element(h, got_type, got, at, &found.got, e);
        if (code == KDS_OK)
            code = kds_helpers_element(h, want_type, want, at, &found.want, e);
        bool finite = isfinite(found.got) && isfinite(found.want);
        found.allowed = finite && !bitwise ? c.atol + c.rtol * fabs(found.want) : 0;
    }
    if (code == KDS_OK)
        *out = found;
    return code;
}

kds_code kds_helpers_count(kds_helpers *h, const kds_extent *x, kds_dtype type, kds_cuda_address at,
                           uint64_t pattern, uint64_t *count, int64_t *first, kds_err *e)
{
    comparison c = {.got = at, .got_type = (int)type, .slices = 1, .length = x->numel};
    unsigned long long bits = pattern;
    void *parameters[] = {&c, &bits, &h->partial};
    int64_t blocks = (x->numel + KDS_HELPERS_THREADS - 1) / KDS_HELPERS_THREADS;
    uint64_t lowest = UINT64_MAX;
    blocks = blocks < h->blocks ? blocks : h->blocks;
    widen_shape(x, &c);
    kds_code code =
        kds_helpers_launch(h, h->find, "kds_find", blocks, KDS_HELPERS_THREADS, parameters, e);
    if (code == KDS_OK)
        code = kds_helpers_fetch(h, (size_t)blocks * sizeof(kds_judged), "kds_find", e);
    if (code != KDS_OK)
        return code;
    *count = 0;
    for (int64_t i = 0; i < blocks; i++) {
        const kds_judged *b = (const kds_judged *)h->host + i;
        *count += b->wrong;
        lowest = b->first < lowest ? b->first : lowest;
    }
    *first = *count > 0 ? (int64_t)lowest : -1;
    return KDS_OK;
}

kds_code kds_helpers_guard_fill(kds_helpers *h, kds_cuda_address arena, uint64_t bytes,
                                uint64_t seed, kds_err *e)
{
    unsigned long long words = (bytes + 3) / 4, pattern = seed;
    void *parameters[] = {&arena, &words, &pattern};
    return kds_helpers_launch(h, h->guard_fill, "kds_guard_fill", h->blocks, KDS_HELPERS_THREADS,
                              parameters, e);
}

kds_code kds_helpers_guard_check(kds_helpers *h, kds_cuda_address arena, const kds_guard *guards,
                                 int count, uint64_t seed, kds_guard_state *out, kds_err *e)
{
    size_t results = (size_t)count * KDS_GUARD_BLOCKS;
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && i < count; i++) {
        unsigned long long first = guards[i].first, bytes = guards[i].bytes, pattern = seed;
        kds_cuda_address to = h->partial + (uint64_t)i * KDS_GUARD_BLOCKS * sizeof(kds_guard_found);
        void *parameters[] = {&arena, &first, &bytes, &pattern, &to};
        code = kds_helpers_launch(h, h->guard_check, "kds_guard_check", KDS_GUARD_BLOCKS,
                                  KDS_HELPERS_THREADS, parameters, e);
    }
    if (code == KDS_OK)
        code = kds_helpers_fetch(h, results * sizeof(kds_guard_found), "kds_guard_check", e);
    for (size_t i = 0; code == KDS_OK && i < results; i++) {
        const kds_guard_found *f = (const kds_guard_found *)h->host + i;
        kds_guard_state *s = &out[i / KDS_GUARD_BLOCKS];
        if (i % KDS_GUARD_BLOCKS == 0)
            *s = (kds_guard_state){0, UINT64_MAX, 0};
        s->wrong += f->wrong;
        s->first = f->first < s->first ? f->first : s->first;
        s->last = f->wrong > 0 && f->last > s->last ? f->last : s->last;
    }
    return code;
}
