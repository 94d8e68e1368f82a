/* The buffers of a row on a GPU. All sets have one layout in one allocation, so that set 0 is made
 * by the fill kernel and the others by copying. Between buffers lie gaps that nothing may write. */
#include "eval/cuda/gpu_row.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 256u
#define GAP 1024u /* bytes at least behind each buffer */
#define MEMORY_SHARE 0.8
#define SPOT 1024 /* elements of each input compared with the host's at both ends */

static bool is_input(const kds_gpu_row *r, int buffer)
{
    return r->task->buffers[buffer].role != KDS_ROLE_OUT;
}

static bool is_output(const kds_gpu_row *r, int buffer)
{
    return r->task->buffers[buffer].role != KDS_ROLE_IN;
}

static kds_cuda_address buffer_at(const kds_gpu_row *r, int set, int buffer)
{
    return r->arena + (uint64_t)set * r->set_bytes + r->offsets[buffer];
}

static kds_code wait_for_card(kds_gpu_row *r, const char *what, kds_err *e)
{
    bool late = false;
    kds_code code = kds_card_wait(r->card, KDS_GPU_RUN_SECONDS, &late, e);
    if (code == KDS_OK && late)
        code =
            kds_fail(e, KDS_DEVICE_LOST, "%s did not end within %.0f s", what, KDS_GPU_RUN_SECONDS);
    return code;
}

static kds_code lay_out(kds_gpu_row *r, kds_err *e)
{
    const kds_row *row = &r->task->rows[r->index];
    for (int i = 0; i < r->task->buffer_count; i++) {
        kds_code code = kds_task_extent(r->task, row, i, &r->extents[i], e);
        if (code != KDS_OK)
            return code;
        r->fillers[i] = kds_task_filler(r->task, row, i, &r->extents[i], r->secret, 0);
        r->bytes[i] = (uint64_t)r->extents[i].span * kds_dtype_size(r->extents[i].dtype);
        r->offsets[i] = r->set_bytes;
        r->buffer_bytes += r->bytes[i];
        r->set_bytes += (r->bytes[i] + GAP + ALIGN - 1) / ALIGN * ALIGN;
        r->has_inout |= r->task->buffers[i].role == KDS_ROLE_INOUT;
    }
    return KDS_OK;
}

/* So many that a set has left the L2 when its turn comes again, as far as memory allows. */
static kds_code count_sets(kds_gpu_row *r, kds_err *e)
{
    size_t free_bytes = 0, total = 0;
    kds_code code = kds_cuda_check(r->card->cuda, r->card->cuda->memory_info(&free_bytes, &total),
                                   e, "asking for free memory");
    if (code != KDS_OK)
        return code;
    uint64_t wanted = 2 * (uint64_t)r->card->info.l2_bytes / r->buffer_bytes + 2;
    uint64_t room = (uint64_t)(MEMORY_SHARE * (double)free_bytes) / r->set_bytes;
    if (room < 2)
        return kds_fail(e, KDS_NO_MEMORY,
                        "row %s needs %.1f GB twice, but %s has %.1f GB free; use a GPU with more "
                        "memory, or leave the row out (--rows)",
                        r->task->rows[r->index].id, (double)r->set_bytes / 1e9, r->card->info.name,
                        (double)free_bytes / 1e9);
    wanted = wanted < room - 1 ? wanted : room - 1;
    r->sets = wanted > KDS_GPU_SETS ? KDS_GPU_SETS : (int)wanted;
    return KDS_OK;
}

static kds_code fill_set(kds_gpu_row *r, int set, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && i < r->task->buffer_count; i++) {
        if (!is_input(r, i))
            continue;
        kds_filler f = kds_task_filler(r->task, &r->task->rows[r->index], i, &r->extents[i],
                                       r->secret + (uint64_t)set, 0);
        code = kds_helpers_fill(r->helpers, &f, 0, r->extents[i].span, buffer_at(r, set, i), e);
    }
    return code;
}

kds_code kds_gpu_row_reset(kds_gpu_row *r, kds_err *e)
{
    const kds_cuda *c = r->card->cuda;
    kds_code code =
        kds_cuda_check(c, c->set(r->arena, KDS_GPU_POISON, r->set_bytes, r->card->stream), e,
                       "poisoning a row's buffers");
    for (int s = 0; code == KDS_OK && s < r->distinct; s++)
        code = fill_set(r, s, e);
    for (uint64_t have = (uint64_t)r->distinct; code == KDS_OK && have < (uint64_t)r->sets;) {
        uint64_t more = (uint64_t)r->sets - have < have ? (uint64_t)r->sets - have : have;
        code = kds_cuda_check(
            c,
            c->copy(r->arena + have * r->set_bytes, r->arena, more * r->set_bytes, r->card->stream),
            e, "copying a row's inputs");
        have += more;
    }
    return code == KDS_OK ? wait_for_card(r, "making a row's inputs", e) : code;
}

kds_code kds_gpu_row_poison(kds_gpu_row *r, int set, kds_err *e)
{
    const kds_cuda *c = r->card->cuda;
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && i < r->task->buffer_count; i++)
        if (r->task->buffers[i].role == KDS_ROLE_OUT)
            code = kds_cuda_check(
                c, c->set(buffer_at(r, set, i), KDS_GPU_POISON, r->bytes[i], r->card->stream), e,
                "poisoning outputs");
    return code;
}

/* Both ends of an input against what the host makes. */
static kds_code prove_input(kds_gpu_row *r, int buffer, kds_err *e)
{
    unsigned char got[SPOT * 8], want[SPOT * 8];
    const kds_extent *x = &r->extents[buffer];
    size_t size = kds_dtype_size(x->dtype);
    int64_t count = x->span < SPOT ? x->span : SPOT;
    const int64_t starts[] = {0, (x->span - count) / 4 * 4};
    for (int end = 0; end < 2; end++) {
        int64_t n = x->span - starts[end] < SPOT ? x->span - starts[end] : SPOT;
        uint64_t at = buffer_at(r, r->sets - 1, buffer) + (uint64_t)starts[end] * size;
        kds_filler_write(&r->fillers[buffer], starts[end], n, want);
        kds_code code =
            kds_cuda_check(r->card->cuda, r->card->cuda->copy_to_host(got, at, (size_t)n * size), e,
                           "fetching an input");
        if (code != KDS_OK)
            return code;
        if (memcmp(got, want, (size_t)n * size) != 0)
            return kds_fail(e, KDS_SELF_TEST,
                            "input %s of row %s on the GPU is not what the host makes (elements "
                            "from %" PRId64 " on)",
                            r->task->buffers[buffer].name, r->task->rows[r->index].id, starts[end]);
    }
    return KDS_OK;
}

/* Checksum over set 0: its inputs, or what lies between its buffers. */
static kds_code hash_set(kds_gpu_row *r, bool gaps, uint64_t *out, kds_err *e)
{
    uint64_t all = 0;
    for (int i = 0; i < r->task->buffer_count; i++) {
        uint64_t next = i + 1 < r->task->buffer_count ? r->offsets[i + 1] : r->set_bytes;
        uint64_t begin = buffer_at(r, 0, i), bytes = r->bytes[i], one = 0;
        if (gaps) { /* whole words behind the buffer */
            uint64_t end = r->offsets[i] + (r->bytes[i] + 3) / 4 * 4;
            begin = r->arena + end;
            bytes = next - end;
        } else if (r->task->buffers[i].role != KDS_ROLE_IN)
            continue;
        kds_code code = kds_helpers_hash(r->helpers, begin, bytes, &one, e);
        if (code != KDS_OK)
            return code;
        all = all * UINT64_C(0x9E3779B97F4A7C15) + one;
    }
    *out = all;
    return KDS_OK;
}

kds_code kds_gpu_row_open(kds_gpu_row **out, kds_card *c, kds_helpers *h, const kds_task *t,
                          int row, kds_err *e)
{
    kds_gpu_row *r = calloc(1, sizeof *r);
    if (r == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    r->card = c;
    r->helpers = h;
    r->task = t;
    r->index = row;
    r->secret = KDS_GPU_INPUT_SEED;
    r->distinct = 1;
    kds_code code = lay_out(r, e);
    if (code == KDS_OK)
        code = count_sets(r, e);
    if (code == KDS_OK)
        code = kds_card_alloc(c, (size_t)((uint64_t)r->sets * r->set_bytes), "a row's buffers",
                              &r->arena, e);
    if (code == KDS_OK)
        code = kds_card_alloc(c, (size_t)r->set_bytes, "the baseline's outputs", &r->want, e);
    if (code == KDS_OK)
        code = kds_gpu_row_reset(r, e);
    for (int i = 0; code == KDS_OK && i < t->buffer_count; i++)
        if (is_input(r, i))
            code = prove_input(r, i, e);
    if (code == KDS_OK)
        code = hash_set(r, false, &r->input_hash, e);
    if (code == KDS_OK)
        code = hash_set(r, true, &r->gap_hash, e);
    if (code == KDS_OK)
        *out = r;
    else
        kds_gpu_row_close(r);
    return code;
}

static kds_code reseed(kds_gpu_row *r, uint64_t seed, int distinct, kds_err *e)
{
    const kds_row *row = &r->task->rows[r->index];
    for (int i = 0; i < r->task->buffer_count; i++)
        r->fillers[i] = kds_task_filler(r->task, row, i, &r->extents[i], seed, 0);
    r->secret = seed;
    r->distinct = distinct;
    r->want_hash = 0;
    kds_code code = kds_gpu_row_reset(r, e);
    return code == KDS_OK ? hash_set(r, false, &r->input_hash, e) : code;
}

kds_code kds_gpu_row_reseed(kds_gpu_row *r, uint64_t seed, kds_err *e)
{
    return reseed(r, seed, 1, e);
}

kds_code kds_gpu_row_reseed_apart(kds_gpu_row *r, uint64_t seed, kds_err *e)
{
    return reseed(r, seed, r->sets < KDS_GPU_DISTINCT ? r->sets : KDS_GPU_DISTINCT, e);
}

void kds_gpu_row_close(kds_gpu_row *r)
{
    if (r == NULL)
        return;
    kds_card_free(r->card, r->arena);
    kds_card_free(r->card, r->want);
    free(r);
}

kds_code kds_gpu_row_keep(kds_gpu_row *r, int set, kds_err *e)
{
    const kds_cuda *c = r->card->cuda;
    kds_code code = kds_cuda_check(
        c, c->copy(r->want, r->arena + (uint64_t)set * r->set_bytes, r->set_bytes, r->card->stream),
        e, "keeping the outputs");
    if (code == KDS_OK)
        code = wait_for_card(r, "keeping the outputs", e);
    if (code == KDS_OK)
        code = kds_helpers_hash(r->helpers, r->want, r->set_bytes, &r->want_hash, e);
    return code;
}

/* Keeps the outputs in set 0. A NaN among them would make every candidate right that leaves one
 * there. */
static kds_code keep_outputs(kds_gpu_row *r, kds_err *e)
{
    kds_code code = kds_gpu_row_keep(r, 0, e);
    for (int i = 0; code == KDS_OK && i < r->task->buffer_count; i++) {
        kds_gpu_errors x;
        if (!is_output(r, i) || r->extents[i].span != r->extents[i].numel)
            continue;
        code = kds_helpers_compare(r->helpers, r->extents[i].dtype, r->extents[i].span,
                                   buffer_at(r, 0, i), r->want + r->offsets[i],
                                   &r->task->buffers[i].beside_baseline, true, &x, e);
        if (code == KDS_OK && x.nan_want > 0)
            code = kds_fail(
                e, KDS_INVALID,
                "task %s: the baseline leaves %" PRId64 " elements of %s not a number on "
                "row %s",
                r->task->name, x.nan_want, r->task->buffers[i].name, r->task->rows[r->index].id);
    }
    return code;
}

kds_code kds_gpu_row_expect(kds_gpu_row *r, const kds_plan *plan, const kds_compiled *baseline,
                            kds_err *e)
{
    kds_gpu_program *p = NULL;
    kds_finding f;
    kds_finding_clear(&f);
    kds_code code = kds_gpu_program_load(&p, r, plan, baseline, &f, e);
    if (code == KDS_OK && p != NULL)
        (void)(kds_gpu_program_queue(p, 0, &f) && kds_gpu_program_wait(p, &f));
    if (code == KDS_OK && f.verdict == KDS_VERDICT_OK)
        code = kds_gpu_row_intact(r, &f, e);
    if (code == KDS_OK && f.verdict != KDS_VERDICT_OK)
        code = kds_fail(e, KDS_INVALID, "task %s: the baseline fails on row %s: %s: %.500s",
                        r->task->name, r->task->rows[r->index].id, kds_verdict_name(f.verdict),
                        f.text);
    if (code == KDS_OK)
        code = keep_outputs(r, e);
    kds_gpu_program_unload(p);
    return code;
}

kds_code kds_gpu_row_check(kds_gpu_row *r, int set, kds_finding *f, kds_err *e)
{
    for (int i = 0; i < r->task->buffer_count; i++) {
        const kds_extent *x = &r->extents[i];
        const kds_tolerance *t = &r->task->buffers[i].beside_baseline;
        kds_gpu_errors found;
        if (!is_output(r, i))
            continue;
        kds_code code =
            kds_helpers_compare(r->helpers, x->dtype, x->span, buffer_at(r, set, i),
                                r->want + r->offsets[i], t, r->task->bitwise, &found, e);
        if (code != KDS_OK)
            return code;
        kds_tolerance whole = *t; /* without norms of slices, which are not taken */
        whole.slice_rel_rmse = 0;
        int64_t index = kds_extent_index(x, found.errors.first_wrong);
        if (found.errors.wrong > 0 && index < 0) {
            kds_finding_set(f, KDS_VERDICT_WROTE_OUTSIDE, "correctness", 0,
                            "%s: an element between the strides was written (offset %" PRId64 ")",
                            r->task->buffers[i].name, found.errors.first_wrong);
            return KDS_OK;
        }
        found.errors.first_wrong = index;
        if (!kds_errors_judge(&found.errors, NULL, &whole, x, r->task->buffers[i].name, "baseline",
                              true, r->task->bitwise, f))
            return KDS_OK;
    }
    return KDS_OK;
}

kds_code kds_gpu_row_intact(kds_gpu_row *r, kds_finding *f, kds_err *e)
{
    uint64_t inputs = 0, gaps = 0, want = r->want_hash;
    kds_code code = hash_set(r, false, &inputs, e);
    if (code == KDS_OK)
        code = hash_set(r, true, &gaps, e);
    if (code == KDS_OK && r->want_hash != 0)
        code = kds_helpers_hash(r->helpers, r->want, r->set_bytes, &want, e);
    if (code != KDS_OK)
        return code;
    if (gaps != r->gap_hash || want != r->want_hash)
        kds_finding_set(f, KDS_VERDICT_WROTE_OUTSIDE, "correctness", 0, "memory %s was written",
                        gaps != r->gap_hash ? "behind a buffer" : "of ours");
    else if (inputs != r->input_hash)
        kds_finding_set(f, KDS_VERDICT_CHANGED_INPUT, "correctness", 0,
                        "an input was written to, although it is read-only");
    return KDS_OK;
}
