/* A template of a set is kept for each variant, so that new inputs for all sets cost a copy and no
 * arithmetic. The kds_gpu_row underneath is pointed at what is in force. */
#include "eval/cuda/gpu_duel_row.h"

#include "eval/duel_schedule.h"

#include <stdlib.h>

#define MEMORY_SHARE 0.6 /* of what is free, for sets: the arms need scratch */

static kds_code alloc(kds_gpu_duel_row *r, kds_cuda_address *out, kds_err *e)
{
    return kds_card_alloc(r->row->card, (size_t)r->row->set_bytes, "a variant of a row's inputs",
                          out, e);
}

static kds_code room_for_sets(const kds_gpu_duel_row *r, int *sets, kds_err *e)
{
    const kds_card *c = r->row->card;
    size_t free_bytes = 0, total = 0;
    kds_code code = kds_cuda_check(c->cuda, c->cuda->memory_info(&free_bytes, &total), e,
                                   "asking for free memory");
    double room = MEMORY_SHARE * (double)free_bytes - (double)KDS_DUEL_OFFSET_MOST;
    double count = room > 0 ? room / (double)r->row->set_bytes : 0;
    *sets = count < KDS_GPU_SETS ? (int)count : KDS_GPU_SETS;
    return code;
}

/* The arena, of at most as many sets as asked for. */
static kds_code make_arena(kds_gpu_duel_row *r, int sets, kds_err *e)
{
    int room = 0;
    kds_code code = room_for_sets(r, &room, e);
    if (code == KDS_OK && room < 1)
        code = kds_fail(e, KDS_NO_MEMORY, "row %s does not fit into the memory that is free on %s",
                        r->row->task->rows[r->row->index].id, r->row->card->info.name);
    if (code != KDS_OK)
        return code;
    sets = sets < room ? sets : room;
    uint64_t bytes = (uint64_t)sets * r->row->set_bytes + (uint64_t)KDS_DUEL_OFFSET_MOST;
    code = kds_card_alloc(r->row->card, (size_t)bytes, "a row's buffers", &r->base, e);
    if (code == KDS_OK) {
        r->row->sets = sets;
        r->row->arena = r->base;
    }
    return code;
}

/* Makes one variant in the first set, keeps it, and takes the expectation. */
static kds_code prepare(kds_gpu_duel_row *r, int v, const kds_plan *plan,
                        const kds_compiled *baseline, kds_err *e)
{
    kds_gpu_row *row = r->row;
    row->want = r->wants[v];
    kds_code code = kds_gpu_row_reseed(row, KDS_GPU_INPUT_SEED + (uint64_t)v, e);
    if (code == KDS_OK)
        code = kds_cuda_check(
            row->card->cuda,
            row->card->cuda->copy(r->templates[v], row->arena, row->set_bytes, row->card->stream),
            e, "keeping a row's inputs");
    if (code == KDS_OK)
        code = kds_gpu_row_expect(row, plan, baseline, e);
    r->input_hashes[v] = row->input_hash;
    r->want_hashes[v] = row->want_hash;
    r->variant = v;
    return code;
}

kds_code kds_gpu_duel_row_open(kds_gpu_duel_row **out, kds_card *c, kds_helpers *h,
                               const kds_task *t, int row, const kds_plan *plan,
                               const kds_compiled *baseline, kds_err *e)
{
    kds_gpu_duel_row *r = calloc(1, sizeof *r);
    if (r == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_code code = kds_gpu_row_open(&r->row, c, h, t, row, e);
    if (code != KDS_OK) {
        free(r);
        return code;
    }
    kds_card_free(c, r->row->arena); /* a larger one takes its place */
    r->row->arena = 0;
    r->wants[0] = r->row->want;
    for (int v = 0; code == KDS_OK && v < KDS_GPU_VARIANTS; v++)
        code = alloc(r, &r->templates[v], e);
    for (int v = 1; code == KDS_OK && v < KDS_GPU_VARIANTS; v++)
        code = alloc(r, &r->wants[v], e);
    if (code == KDS_OK)
        code = make_arena(r, r->row->sets, e);
    for (int v = 0; code == KDS_OK && v < KDS_GPU_VARIANTS; v++)
        code = prepare(r, v, plan, baseline, e);
    if (code == KDS_OK)
        *out = r;
    else
        kds_gpu_duel_row_close(r);
    return code;
}

void kds_gpu_duel_row_close(kds_gpu_duel_row *r)
{
    if (r == NULL)
        return;
    kds_card *c = r->row->card;
    for (int v = 0; v < KDS_GPU_VARIANTS; v++) {
        kds_card_free(c, r->templates[v]);
        kds_card_free(c, r->wants[v]);
    }
    kds_card_free(c, r->base);
    r->row->arena = r->row->want = 0;
    kds_gpu_row_close(r->row);
    free(r);
}

bool kds_gpu_duel_row_rotates(const kds_gpu_duel_row *r)
{
    return r->row->sets > 1 && (double)r->row->sets * (double)r->row->buffer_bytes >
                                   2.0 * (double)r->row->card->info.l2_bytes;
}

kds_code kds_gpu_duel_row_grow(kds_gpu_duel_row *r, int sets, kds_err *e)
{
    int before = r->row->sets;
    if (sets <= before)
        return KDS_OK;
    kds_card_free(r->row->card, r->base);
    r->base = 0;
    return make_arena(r, sets < KDS_GPU_SETS ? sets : KDS_GPU_SETS, e);
}

void kds_gpu_duel_row_place(kds_gpu_duel_row *r, int64_t offset)
{
    r->row->arena = r->base + (uint64_t)offset;
}

kds_code kds_gpu_duel_row_refill(kds_gpu_duel_row *r, int variant, kds_err *e)
{
    kds_gpu_row *row = r->row;
    const kds_cuda *c = row->card->cuda;
    r->variant = variant;
    row->want = r->wants[variant];
    row->input_hash = r->input_hashes[variant];
    row->want_hash = r->want_hashes[variant];
    kds_code code = kds_cuda_check(
        c, c->copy(row->arena, r->templates[variant], row->set_bytes, row->card->stream), e,
        "copying a row's inputs");
    for (uint64_t have = 1; code == KDS_OK && have < (uint64_t)row->sets;) {
        uint64_t more = (uint64_t)row->sets - have < have ? (uint64_t)row->sets - have : have;
        code = kds_cuda_check(c,
                              c->copy(row->arena + have * row->set_bytes, row->arena,
                                      more * row->set_bytes, row->card->stream),
                              e, "copying a row's inputs");
        have += more;
    }
    return code;
}
