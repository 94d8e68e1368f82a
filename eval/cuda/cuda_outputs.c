/* What a run left, kept on the card: copied out of the arena into an allocation of its own that no
 * candidate is told of, and guarded by a checksum all the same. Outputs never cross the bus; what
 * does is single elements and sums. */
#include "eval/cuda/device_cuda.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SPARE_BYTES (64u << 20) /* larger memory is given back */

static kds_cuda_address output_at(const kds_outputs *o, int buffer)
{
    return o->at + o->offsets[buffer];
}

static void unlink_outputs(kds_outputs *o)
{
    kds_outputs **at = &o->bench->kept;
    while (*at != NULL && *at != o)
        at = &(*at)->next;
    if (*at == o)
        *at = o->next;
}

/* Allocating and freeing wait for the card; a case keeps and forgets outputs of one size. */
static kds_code take_memory(cuda_device *d, uint64_t bytes, kds_cuda_address *out, kds_err *e)
{
    for (int i = 0; i < CUDA_SPARES; i++)
        if (d->spares[i].at != 0 && d->spares[i].bytes == bytes) {
            *out = d->spares[i].at;
            d->spares[i].at = 0;
            return KDS_OK;
        }
    return kds_card_alloc(d->card, (size_t)bytes, "kept outputs", out, e);
}

static void give_memory(cuda_device *d, kds_cuda_address at, uint64_t bytes)
{
    if (bytes > SPARE_BYTES) {
        kds_card_free(d->card, at);
        return;
    }
    cuda_spare *s = &d->spares[d->next_spare++ % CUDA_SPARES];
    kds_card_free(d->card, s->at);
    *s = (cuda_spare){at, bytes};
}

void cuda_outputs_drop_spares(cuda_device *d)
{
    for (int i = 0; i < CUDA_SPARES; i++) {
        kds_card_free(d->card, d->spares[i].at);
        d->spares[i].at = 0;
    }
}

void cuda_outputs_free(kds_outputs *o)
{
    if (o == NULL)
        return;
    unlink_outputs(o);
    if (!o->device->base.spoilt && o->at != 0) /* else freeing would wait for what never ends */
        give_memory(o->device, o->at, o->bytes);
    free(o);
}

size_t cuda_outputs_bytes(const kds_outputs *o)
{
    return sizeof *o + (size_t)o->bytes;
}

kds_code cuda_outputs_take(cuda_device *d, bool is_nan, uint64_t poison_seed, kds_outputs **out,
                           kds_err *e)
{
    const cuda_stage *s = &d->stage;
    cuda_bench *bench = (cuda_bench *)(uintptr_t)s->bench;
    kds_outputs *o = calloc(1, sizeof *o);
    if (o == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot keep outputs: out of memory");
    *o = (kds_outputs){.device = d, .bench = bench, .is_nan = is_nan, .poison_seed = poison_seed};
    for (int i = 0; i < s->buffers; i++) {
        if (!cuda_is_output(d->base.task, i))
            continue;
        o->offsets[i] = o->bytes;
        o->types[i] = s->places[i].dtype;
        o->bytes += (s->places[i].bytes + CUDA_ALIGN - 1) / CUDA_ALIGN * CUDA_ALIGN;
    }
    o->next = bench->kept;
    bench->kept = o;
    kds_code code = take_memory(d, o->bytes, &o->at, e);
    if (code == KDS_OK) /* what lies between is part of the checksum */
        code = kds_cuda_check(d->cuda, d->cuda->set(o->at, 0, (size_t)o->bytes, d->card->stream), e,
                              "clearing kept outputs");
    for (int i = 0; code == KDS_OK && i < s->buffers; i++)
        if (cuda_is_output(d->base.task, i))
            code = kds_cuda_check(d->cuda,
                                  d->cuda->copy(output_at(o, i), s->arena + s->places[i].first,
                                                (size_t)s->places[i].bytes, d->card->stream),
                                  e, "keeping outputs");
    if (code == KDS_OK)
        code = kds_helpers_hash(d->helpers, o->at, o->bytes, &o->hash, e);
    if (code == KDS_OK)
        *out = o;
    else
        cuda_outputs_free(o);
    return code;
}

kds_code cuda_outputs_unchanged(const cuda_bench *b, bool *same, kds_err *e)
{
    *same = true;
    for (const kds_outputs *o = b->kept; o != NULL && *same; o = o->next) {
        uint64_t hash = 0;
        kds_code code = kds_helpers_hash(o->device->helpers, o->at, o->bytes, &hash, e);
        if (code != KDS_OK)
            return code;
        *same = hash == o->hash;
    }
    return KDS_OK;
}

kds_code cuda_outputs_compare(const kds_bench *b, int buffer, const kds_outputs *got,
                              const kds_outputs *want, const kds_tolerance *t, bool bitwise,
                              kds_errors *out, kds_err *e)
{
    return kds_helpers_judge(got->device->helpers, &b->extents[buffer], got->types[buffer],
                             output_at(got, buffer), want->types[buffer], output_at(want, buffer),
                             t, bitwise, out, e);
}

static bool is_floating(kds_dtype t)
{
    return t == KDS_DTYPE_F32 || t == KDS_DTYPE_F16 || t == KDS_DTYPE_BF16 || t == KDS_DTYPE_F64;
}

static kds_code fetch_element(const kds_outputs *o, int buffer, int64_t offset, unsigned char *out,
                              kds_err *e)
{
    size_t size = kds_dtype_size(o->types[buffer]);
    return kds_cuda_check(
        o->device->cuda,
        o->device->cuda->copy_to_host(out, output_at(o, buffer) + (uint64_t)offset * size, size), e,
        "fetching an element");
}

/* True if the element still holds what the run began with. */
static bool holds_poison(const kds_bench *b, const kds_outputs *o, int buffer, int64_t offset,
                         const unsigned char *element)
{
    unsigned char poison[4 * 8]; /* fills come in fours */
    size_t size = kds_dtype_size(o->types[buffer]);
    if (b->device->task->buffers[buffer].role != KDS_ROLE_OUT)
        return false;
    if (o->is_nan)
        memset(poison, CUDA_POISON_NAN, sizeof poison);
    else {
        kds_filler f =
            cuda_poison_filler(o->types[buffer], buffer, b->extents[buffer].span, o->poison_seed);
        int64_t first = offset / 4 * 4;
        int64_t count = b->extents[buffer].span - first;
        kds_filler_write(&f, first, count < 4 ? count : 4, poison);
        memmove(poison, poison + (size_t)(offset - first) * size, size);
    }
    return memcmp(poison, element, size) == 0;
}

static void never_written(const kds_bench *b, int buffer, int64_t index, kds_verdict verdict,
                          const char *more, kds_finding *f)
{
    char name[160];
    kds_extent_name(&b->extents[buffer], b->device->task->buffers[buffer].name, index, name,
                    sizeof name);
    kds_finding_set(f, verdict, "correctness", 0, "%s%s was never written", more, name);
}

/* The value that no right kernel leaves: the poison NaN. What a run on plausible values left is
 * told from what was never written by comparing two runs. */
kds_code cuda_outputs_complete(const kds_bench *b, const kds_outputs *o, kds_finding *f, kds_err *e)
{
    const kds_task *t = b->device->task;
    for (int i = 0; o->is_nan && i < t->buffer_count; i++) {
        uint64_t count = 0;
        int64_t first = -1;
        if (t->buffers[i].role != KDS_ROLE_OUT || !is_floating(o->types[i]))
            continue;
        kds_code code = kds_helpers_count(o->device->helpers, &b->extents[i], o->types[i],
                                          output_at(o, i), UINT64_MAX, &count, &first, e);
        if (code != KDS_OK)
            return code;
        if (count == 0)
            continue;
        never_written(b, i, first, KDS_VERDICT_WRONG, "", f);
        kds_finding inner = *f;
        kds_finding_set(f, KDS_VERDICT_WRONG, "correctness", 0,
                        "%s; %" PRId64 " of %" PRId64 " elements were", inner.text,
                        b->extents[i].numel - (int64_t)count, b->extents[i].numel);
        return KDS_OK;
    }
    return KDS_OK;
}

/* Why two runs differ in one element: it was left alone in both, in the second one, or its value
 * is not the inputs' alone. */
static kds_code explain(const kds_bench *b, int buffer, const kds_outputs *first,
                        const kds_outputs *second, const kds_errors *x, kds_finding *f, kds_err *e)
{
    unsigned char one[8], two[8];
    char name[160];
    int64_t at = kds_extent_offset(&b->extents[buffer], x->first_wrong);
    kds_code code = fetch_element(first, buffer, at, one, e);
    if (code == KDS_OK)
        code = fetch_element(second, buffer, at, two, e);
    if (code != KDS_OK)
        return code;
    bool unwritten = holds_poison(b, second, buffer, at, two);
    if (unwritten && holds_poison(b, first, buffer, at, one))
        never_written(b, buffer, x->first_wrong, KDS_VERDICT_WRONG, "", f);
    else if (unwritten)
        never_written(b, buffer, x->first_wrong, KDS_VERDICT_STALE_OUTPUT,
                      "when launched a second time: ", f);
    else {
        kds_extent_name(&b->extents[buffer], b->device->task->buffers[buffer].name, x->first_wrong,
                        name, sizeof name);
        kds_finding_set(f, KDS_VERDICT_NONDETERMINISTIC, "correctness", 0,
                        "%s was %.9g in one run and %.9g in another on the same inputs", name,
                        x->got, x->want);
    }
    return KDS_OK;
}

kds_code cuda_outputs_same(const kds_bench *b, const kds_outputs *first, const kds_outputs *second,
                           kds_finding *f, kds_err *e)
{
    const kds_task *t = b->device->task;
    for (int i = 0; i < t->buffer_count; i++) {
        kds_errors x;
        if (!cuda_is_output(t, i))
            continue;
        kds_code code = cuda_outputs_compare(b, i, first, second, NULL, true, &x, e);
        if (code == KDS_OK && x.wrong > 0)
            return explain(b, i, first, second, &x, f, e);
        if (code != KDS_OK)
            return code;
    }
    return KDS_OK;
}
