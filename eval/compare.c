/* Numeric comparison. The invariant: an element passes only if it is shown to be within its
 * tolerance, so every test is written as !(difference <= allowed), which a NaN fails. */
#include "eval/compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CHUNK 256

static bool is_contiguous(const kds_extent *x)
{
    return x->span == x->numel;
}

/* Peels the strides off from the largest to the smallest; the result is verified, so that an
 * offset between the elements is told from an element. */
int64_t kds_extent_index(const kds_extent *x, int64_t offset)
{
    if (offset < 0 || offset >= x->span)
        return -1;
    if (is_contiguous(x))
        return offset;
    int64_t at[KDS_RANK_MAX] = {0};
    bool done[KDS_RANK_MAX] = {false};
    int64_t rest = offset;
    for (int round = 0; round < x->rank; round++) {
        int widest = -1;
        for (int d = 0; d < x->rank; d++)
            if (!done[d] && (widest < 0 || x->strides[d] > x->strides[widest]))
                widest = d;
        done[widest] = true;
        if (x->strides[widest] <= 0 || x->shape[widest] == 1)
            continue;
        at[widest] = rest / x->strides[widest];
        if (at[widest] >= x->shape[widest])
            at[widest] = x->shape[widest] - 1;
        rest -= at[widest] * x->strides[widest];
    }
    if (rest != 0)
        return -1;
    int64_t index = 0;
    for (int d = 0; d < x->rank; d++)
        index = index * x->shape[d] + at[d];
    return index;
}

void kds_extent_name(const kds_extent *x, const char *buffer, int64_t index, char *out, size_t size)
{
    int64_t at[KDS_RANK_MAX] = {0};
    for (int d = x->rank - 1; d >= 0; d--) {
        at[d] = index % x->shape[d];
        index /= x->shape[d];
    }
    int used = snprintf(out, size, "%s[", buffer);
    for (int d = 0; d < x->rank && used >= 0 && (size_t)used < size; d++)
        used +=
            snprintf(out + used, size - (size_t)used, d > 0 ? ", %lld" : "%lld", (long long)at[d]);
    if (used >= 0 && (size_t)used < size)
        (void)snprintf(out + used, size - (size_t)used, "]");
}

void kds_comparison_begin(kds_comparison *c, const kds_extent *x, kds_dtype got, kds_dtype want,
                          const kds_tolerance *t, bool bitwise)
{
    *c = (kds_comparison){.extent = x,
                          .got = got,
                          .want = want,
                          .atol = t != NULL ? t->atol : INFINITY,
                          .rtol = t != NULL ? t->rtol : 0,
                          .bitwise = bitwise,
                          .slice = -1};
    c->errors.first_wrong = -1;
    c->errors.worst_slice_at = -1;
    c->slice_len = x->rank > 0 && x->shape[0] > 0 ? x->numel / x->shape[0] : x->numel;
    if (c->slice_len < 1)
        c->slice_len = 1;
}

/* sqrt(error / want), where nothing wanted allows no error at all. */
static double relative(double error, double want)
{
    if (want > 0)
        return sqrt(error / want);
    return error > 0 ? INFINITY : 0;
}

static void end_slice(kds_comparison *c)
{
    if (c->slice < 0)
        return;
    double worst = relative(c->slice_error, c->slice_want);
    if (c->errors.worst_slice_at < 0 || worst > c->errors.worst_slice) {
        c->errors.worst_slice = worst;
        c->errors.worst_slice_at = c->slice;
    }
    c->sum_error += c->slice_error;
    c->sum_want += c->slice_want;
    c->slice_error = c->slice_want = 0;
}

static void note_wrong(kds_comparison *c, int64_t index, double got, double want, double allowed)
{
    if (c->errors.wrong++ > 0)
        return;
    c->errors.first_wrong = index;
    c->errors.got = got;
    c->errors.want = want;
    c->errors.allowed = allowed;
}

/* An infinity or NaN on either side: equal after rounding to the output's type, or wrong. */
static bool same_special(kds_dtype type, double got, double want)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    unsigned char bytes[8];
    kds_dtype_store(type, bytes, want);
    return kds_dtype_load(type, bytes) == got;
}

static void add_element(kds_comparison *c, int64_t index, double got, double want)
{
    int64_t slice = index / c->slice_len;
    if (slice != c->slice) {
        end_slice(c);
        c->slice = slice;
    }
    c->errors.checked++;
    if (!isfinite(got) || !isfinite(want)) {
        if (!same_special(c->got, got, want))
            note_wrong(c, index, got, want, 0);
        return;
    }
    double difference = fabs(got - want);
    double allowed = c->atol + c->rtol * fabs(want);
    if (!(difference <= allowed) && !c->bitwise)
        note_wrong(c, index, got, want, allowed);
    if (difference > c->errors.max_abs)
        c->errors.max_abs = difference;
    c->slice_error += difference * difference;
    c->slice_want += want * want;
}

static void add_bitwise(kds_comparison *c, int64_t index, const void *got, const void *want)
{
    double g = kds_dtype_load(c->got, got), w = kds_dtype_load(c->want, want);
    bool equal = memcmp(got, want, kds_dtype_size(c->got)) == 0;
    int64_t wrong = c->errors.wrong;
    add_element(c, index, g, w);
    if (!equal && c->errors.wrong == wrong)
        note_wrong(c, index, g, w, 0);
}

void kds_comparison_add(kds_comparison *c, int64_t first, int64_t count, const void *got,
                        const void *want)
{
    size_t got_size = kds_dtype_size(c->got), want_size = kds_dtype_size(c->want);
    bool contiguous = is_contiguous(c->extent);
    const char *g = got, *w = want;
    for (int64_t i = 0; i < count; i++, g += got_size, w += want_size) {
        int64_t index = contiguous ? first + i : kds_extent_index(c->extent, first + i);
        if (index < 0)
            continue;
        if (c->bitwise)
            add_bitwise(c, index, g, w);
        else
            add_element(c, index, kds_dtype_load(c->got, g), kds_dtype_load(c->want, w));
    }
}

void kds_comparison_end(kds_comparison *c)
{
    end_slice(c);
    c->slice = -1;
    c->errors.rel_rmse = relative(c->sum_error, c->sum_want);
}

static void say_wrong(const kds_errors *x, const kds_extent *extent, const char *buffer,
                      const char *against, bool bitwise, kds_finding *f)
{
    char name[160];
    kds_extent_name(extent, buffer, x->first_wrong, name, sizeof name);
    char rule[96];
    if (bitwise)
        (void)snprintf(rule, sizeof rule, "they must be bitwise equal");
    else
        (void)snprintf(rule, sizeof rule, "the difference may be at most %.3g", x->allowed);
    kds_finding_set(f, KDS_VERDICT_WRONG, "correctness", 0,
                    "%s is %.9g, the %s has %.9g; %s. %lld of %lld elements compared are wrong",
                    name, x->got, against, x->want, rule, (long long)x->wrong,
                    (long long)x->checked);
}

bool kds_errors_judge(const kds_errors *x, const kds_errors *baseline, const kds_tolerance *t,
                      const kds_extent *extent, const char *buffer, const char *against, bool norms,
                      bool bitwise, kds_finding *f)
{
    if (x->wrong > 0) {
        say_wrong(x, extent, buffer, against, bitwise, f);
        return false;
    }
    if (norms && t->rel_rmse > 0 && !(x->rel_rmse <= t->rel_rmse)) {
        kds_finding_set(f, KDS_VERDICT_WRONG, "correctness", 0,
                        "%s: relative error norm against the %s is %.3g, at most %.3g is allowed",
                        buffer, against, x->rel_rmse, t->rel_rmse);
        return false;
    }
    if (norms && t->slice_rel_rmse > 0 && !(x->worst_slice <= t->slice_rel_rmse)) {
        kds_finding_set(f, KDS_VERDICT_WRONG, "correctness", 0,
                        "%s: relative error norm of slice %lld of the leading dimension against "
                        "the %s is %.3g, at most %.3g is allowed",
                        buffer, (long long)x->worst_slice_at, against, x->worst_slice,
                        t->slice_rel_rmse);
        return false;
    }
    if (baseline == NULL || !(t->worse_factor > 0))
        return true;
    double allowed = t->worse_factor * baseline->max_abs + t->worse_floor;
    if (x->max_abs <= allowed)
        return true;
    kds_finding_set(f, KDS_VERDICT_WRONG, "correctness", 0,
                    "%s: largest error against the %s is %.3g, the baseline's own is %.3g; at "
                    "most %.3g is allowed",
                    buffer, against, x->max_abs, baseline->max_abs, allowed);
    return false;
}
