/* The arena of a run. Buffers begin at multiples of 256 bytes, as allocations do, and a guard
 * begins at the very byte behind each. Inputs are made once for a row, secret and regime and proved
 * unchanged after every run, so that they need not be made again for the next candidate. */
#include "eval/cuda/device_cuda.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t align_up(uint64_t n)
{
    return (n + CUDA_ALIGN - 1) / CUDA_ALIGN * CUDA_ALIGN;
}

static kds_cuda_address place_at(const cuda_stage *s, int place)
{
    return s->arena + s->places[place].first;
}

/* Where everything goes; gives the bytes in all. */
static uint64_t lay_out(const cuda_bench *b, const kds_program *p, cuda_stage *s)
{
    const kds_task *t = b->base.device->task;
    const kds_binding *binding = p->code.binding;
    uint64_t at = 0;
    s->buffers = t->buffer_count;
    s->count = t->buffer_count + binding->scratch_count;
    for (int i = 0; i < s->count; i++) {
        cuda_place *x = &s->places[i];
        int64_t count = 0;
        if (i < s->buffers) {
            bool wide = p->oracle && t->buffers[i].role != KDS_ROLE_IN;
            x->dtype = wide ? KDS_DTYPE_F64 : b->base.extents[i].dtype;
            count = b->base.extents[i].span;
        } else {
            x->dtype = binding->scratch[i - s->buffers].dtype;
            count = binding->scratch[i - s->buffers].numel;
        }
        x->bytes = (uint64_t)count * kds_dtype_size(x->dtype);
        x->first = align_up(at + CUDA_GUARD_BYTES);
        at = x->first + x->bytes;
    }
    return align_up(at + CUDA_GUARD_BYTES);
}

static bool same_places(const cuda_stage *a, const cuda_stage *b)
{
    if (a->count != b->count || a->buffers != b->buffers)
        return false;
    for (int i = 0; i < a->count; i++)
        if (a->places[i].first != b->places[i].first || a->places[i].bytes != b->places[i].bytes ||
            a->places[i].dtype != b->places[i].dtype)
            return false;
    return true;
}

/* The bytes of one place: whole words on the card, the rest here. */
static kds_code hash_place(cuda_device *d, int place, uint64_t *out, kds_err *e)
{
    const cuda_place *x = &d->stage.places[place];
    uint64_t words = x->bytes / 4 * 4, rest = 0, sum = 0;
    kds_code code = kds_helpers_hash(d->helpers, place_at(&d->stage, place), words, &sum, e);
    if (code == KDS_OK && words < x->bytes)
        code = kds_cuda_check(d->cuda,
                              d->cuda->copy_to_host(&rest, place_at(&d->stage, place) + words,
                                                    (size_t)(x->bytes - words)),
                              e, "fetching the end of a buffer");
    *out = sum + rest * UINT64_C(0x9E3779B97F4A7C15);
    return code;
}

static kds_code hash_inputs(cuda_device *d, uint64_t *out, kds_err *e)
{
    uint64_t all = 0, one = 0;
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && i < d->stage.buffers; i++) {
        if (d->base.task->buffers[i].role != KDS_ROLE_IN)
            continue;
        code = hash_place(d, i, &one, e);
        all = all * UINT64_C(0x9E3779B97F4A7C15) + one;
    }
    *out = all;
    return code;
}

/* In the type that it has there: a reference finds doubles in what it also writes. */
static kds_code fill_input(cuda_device *d, const cuda_bench *b, int buffer, kds_err *e)
{
    kds_filler f = b->fillers[buffer];
    f.wide = d->stage.places[buffer].dtype != b->base.extents[buffer].dtype;
    return kds_helpers_fill(d->helpers, &f, 0, b->base.extents[buffer].span,
                            place_at(&d->stage, buffer), e);
}

/* Guards first: the words at the ends of buffers are shared with them. */
static kds_code fill_stage(cuda_device *d, cuda_bench *b, uint64_t bytes, kds_err *e)
{
    cuda_stage *s = &d->stage;
    uint64_t hash = 0;
    s->guard_seed = b->secret ^ d->seed * UINT64_C(0xD6E8FEB86659FD93);
    kds_code code = kds_helpers_guard_fill(d->helpers, s->arena, bytes, s->guard_seed, e);
    for (int i = 0; code == KDS_OK && i < s->buffers; i++)
        if (d->base.task->buffers[i].role == KDS_ROLE_IN)
            code = fill_input(d, b, i, e);
    if (code == KDS_OK)
        code = cuda_settle(d, "making inputs", e);
    if (code == KDS_OK)
        code = hash_inputs(d, &hash, e);
    if (code != KDS_OK)
        return code;
    if (!b->hashed)
        b->input_hash = hash;
    else if (b->input_hash != hash)
        return kds_fail(e, KDS_DEVICE_LOST, "row %s: its inputs are not what they were before",
                        b->base.row->id);
    b->hashed = true;
    s->bench = b;
    return KDS_OK;
}

kds_code cuda_stage_set(cuda_device *d, cuda_bench *b, const kds_program *p, kds_err *e)
{
    cuda_stage next = d->stage;
    uint64_t bytes = lay_out(b, p, &next);
    bool same = true;
    kds_code code = cuda_outputs_unchanged(b, &same, e);
    if (code == KDS_OK && !same)
        code = kds_fail(e, KDS_DEVICE_LOST, "row %s: kept outputs have changed", b->base.row->id);
    if (code != KDS_OK || (d->stage.bench == b && same_places(&d->stage, &next)))
        return code;
    next.bench = NULL;
    d->stage = next;
    if (bytes > d->stage.arena_bytes) {
        kds_card_free(d->card, d->stage.arena);
        d->stage.arena = 0;
        d->stage.arena_bytes = 0;
        code = kds_card_alloc(d->card, bytes, "the buffers of a row", &d->stage.arena, e);
        if (code == KDS_NO_MEMORY && cuda_duels_drop(d))
            code = kds_card_alloc(d->card, bytes, "the buffers of a row", &d->stage.arena, e);
        if (code != KDS_OK)
            return code;
        d->stage.arena_bytes = bytes;
    }
    return fill_stage(d, b, bytes, e);
}

/* Values that a kernel could have computed. */
kds_filler cuda_poison_filler(kds_dtype dtype, int place, int64_t count, uint64_t seed)
{
    bool whole = dtype == KDS_DTYPE_I32 || dtype == KDS_DTYPE_I64 || dtype == KDS_DTYPE_U8;
    return (kds_filler){.fill = {KDS_FILL_UNIFORM, whole ? 0 : -2, whole ? 200 : 2},
                        .dtype = dtype,
                        .scale = 1,
                        .shift = 0,
                        .seed = seed,
                        .buffer = 0x1000u + (uint32_t)place,
                        .span = count};
}

static kds_code poison_place(cuda_device *d, int place, bool is_nan, uint64_t seed, kds_err *e)
{
    const cuda_place *x = &d->stage.places[place];
    if (is_nan)
        return kds_cuda_check(d->cuda,
                              d->cuda->set(place_at(&d->stage, place), CUDA_POISON_NAN,
                                           (size_t)x->bytes, d->card->stream),
                              e, "poisoning memory");
    int64_t count = (int64_t)(x->bytes / kds_dtype_size(x->dtype));
    kds_filler f = cuda_poison_filler(x->dtype, place, count, seed);
    return kds_helpers_fill(d->helpers, &f, 0, count, place_at(&d->stage, place), e);
}

kds_code cuda_stage_poison(cuda_device *d, bool is_nan, uint64_t seed, kds_err *e)
{
    const kds_task *t = d->base.task;
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && i < d->stage.count; i++) {
        if (i >= d->stage.buffers || t->buffers[i].role == KDS_ROLE_OUT)
            code = poison_place(d, i, is_nan, seed, e);
        else if (t->buffers[i].role == KDS_ROLE_INOUT)
            code = fill_input(d, d->stage.bench, i, e);
    }
    return code == KDS_OK ? cuda_settle(d, "poisoning memory", e) : code;
}

/* "12 bytes behind the end of y": of what was written in a guard, what is nearest to a buffer. */
static void name_nearest(const cuda_device *d, int guard, const kds_guard_state *state, char *out,
                         size_t size)
{
    const cuda_stage *s = &d->stage;
    const cuda_place *before = guard > 0 ? &s->places[guard - 1] : NULL;
    const cuda_place *after = guard < s->count ? &s->places[guard] : NULL;
    uint64_t behind =
        before != NULL ? state->first - before->first - before->bytes + 1 : UINT64_MAX;
    uint64_t ahead = after != NULL ? after->first - state->last : UINT64_MAX;
    bool is_behind = behind <= ahead;
    int place = is_behind ? guard - 1 : guard;
    uint64_t distance = is_behind ? behind : ahead;
    (void)snprintf(out, size, "%" PRIu64 " byte%s %s %s", distance, distance == 1 ? "" : "s",
                   is_behind ? "behind the end of" : "before the beginning of",
                   place < s->buffers ? d->base.task->buffers[place].name : "scratch memory");
}

static int list_guards(const cuda_stage *s, kds_guard *out)
{
    uint64_t at = 0;
    for (int i = 0; i < s->count; i++) {
        out[i] = (kds_guard){at, s->places[i].first - at};
        at = s->places[i].first + s->places[i].bytes;
    }
    out[s->count] = (kds_guard){at, align_up(at + CUDA_GUARD_BYTES) - at};
    return s->count + 1;
}

static kds_code check_guards(const cuda_device *d, kds_finding *f, kds_err *e)
{
    kds_guard guards[CUDA_PLACES + 1];
    kds_guard_state states[CUDA_PLACES + 1];
    int count = list_guards(&d->stage, guards);
    uint64_t wrong = 0;
    int first = -1;
    kds_code code = kds_helpers_guard_check(d->helpers, d->stage.arena, guards, count,
                                            d->stage.guard_seed, states, e);
    for (int i = 0; code == KDS_OK && i < count; i++) {
        wrong += states[i].wrong;
        first = first < 0 && states[i].wrong > 0 ? i : first;
    }
    if (code != KDS_OK || first < 0)
        return code;
    char where[160];
    name_nearest(d, first, &states[first], where, sizeof where);
    kds_finding_set(f, KDS_VERDICT_WROTE_OUTSIDE, "correctness", 0,
                    "%" PRIu64 " byte%s outside of all buffers %s written; the nearest is %s",
                    wrong, wrong == 1 ? "" : "s", wrong == 1 ? "was" : "were", where);
    return KDS_OK;
}

kds_code cuda_stage_intact(const kds_bench *base, kds_finding *f, kds_err *e)
{
    cuda_device *d = (cuda_device *)base->device;
    const cuda_bench *b = (const cuda_bench *)base;
    uint64_t hash = 0;
    bool same = true;
    if (d->stage.bench != b)
        return kds_fail(e, KDS_FAILED, "row %s is not what ran last", base->row->id);
    kds_code code = check_guards(d, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
        code = hash_inputs(d, &hash, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK && hash != b->input_hash)
        kds_finding_set(f, KDS_VERDICT_CHANGED_INPUT, "correctness", 0,
                        "an input was written to, although it is read-only");
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
        code = cuda_outputs_unchanged(b, &same, e);
    if (code == KDS_OK && !same)
        kds_finding_set(f, KDS_VERDICT_WROTE_OUTSIDE, "correctness", 0,
                        "memory of ours, far from all buffers, was written");
    if (f->verdict == KDS_VERDICT_WROTE_OUTSIDE)
        d->base.spoilt = true; /* who knows what else was written */
    if (f->verdict == KDS_VERDICT_CHANGED_INPUT)
        d->stage.bench = NULL;
    return code;
}

void cuda_stage_drop(cuda_device *d)
{
    kds_card_free(d->card, d->stage.arena);
    memset(&d->stage, 0, sizeof d->stage);
}
