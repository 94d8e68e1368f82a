/* What an oracle gives where a sampled candidate wrote: on a large row only those of its blocks run
 * whose outputs are asked for. That needs a linear map, block b writing the elements
 * [b*k, (b+1)*k) of each output (kernels/README.md), which is established from block 0 and verified
 * for every block that is used. Blocks that ran are kept for the next candidate; which of them are
 * used depends on the candidate alone, so that a report does not depend on what came before. */
#include "eval/sim/device_sim.h"
#include "search/base/random.h"

#include <stdlib.h>
#include <string.h>

#define BLOCKS_MOST 128      /* of the oracle for one candidate and row */
#define BLOCKS_KEPT 8192     /* then the memory is dropped and begun anew */
#define BLOCK_BUDGET 4000000 /* warp instructions of one block of an oracle */

void sim_cover_drop(sim_cover *c)
{
    sim_memory_drop(&c->at);
    free(c->ran);
    memset(c, 0, sizeof *c);
}

/* The ranges that block 0 wrote of one output. */
typedef struct first_block {
    uint64_t ranges, first, len;
} first_block;

static void note_range(void *user, uint64_t first, uint64_t len)
{
    first_block *b = user;
    if (b->ranges++ == 0) {
        b->first = first;
        b->len = len;
    }
}

static kds_code run_blocks(const sim_launch *l, const uint64_t *blocks, size_t count,
                           kds_finding *f, kds_err *e)
{
    kds_sim_result r;
    if (count == 0)
        return KDS_OK;
    return sim_launch_blocks(l, blocks, count, (uint64_t)count * BLOCK_BUDGET, false, &r, f, e);
}

/* Runs block 0 and learns what one block writes. *linear is false if it is not one range from the
 * beginning in every output. */
static kds_code begin(sim_cover *c, sim_bench *b, kds_program *p, sim_launch *l, bool *linear,
                      kds_finding *f, kds_err *e)
{
    const kds_task *t = b->base.device->task;
    const uint64_t zero = 0;
    *linear = true;
    c->program = p;
    kds_code code = sim_memory_fill(&c->at, b, l->binding, p->oracle, 0xff, e);
    if (code == KDS_OK)
        code = run_blocks(l, &zero, 1, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    for (int i = 0; i < t->buffer_count; i++) {
        if (!sim_is_output(t, i))
            continue;
        const kds_extent *x = &b->base.extents[i];
        size_t size = kds_dtype_size(sim_output_type(b, p, i));
        first_block first = {0, 0, 0};
        kds_sim_memory_each_written(c->at.memory, c->at.buffers[i], note_range, &first);
        if (first.ranges != 1 || first.first != 0 || first.len % size != 0 || x->span != x->numel)
            *linear = false;
        else
            c->per_block[i] = (int64_t)(first.len / size);
    }
    return KDS_OK;
}

/* The output with the most elements in `like`; -1 if there are none. */
static int widest(const kds_outputs *like, const kds_task *t)
{
    int best = -1;
    int64_t most = 0;
    for (int i = 0; i < t->buffer_count; i++) {
        int64_t count = 0;
        for (size_t r = 0; r < like->parts[i].range_count; r++)
            count += like->parts[i].ranges[r].count;
        if (count > most) {
            most = count;
            best = i;
        }
    }
    return best;
}

/* Calls fn(user, block) for each block of the oracle that writes into the ranges, ascending. */
typedef void block_fn(void *user, uint64_t block);
static uint64_t each_needed(const sim_part *p, int64_t per_block, block_fn *fn, void *user)
{
    uint64_t count = 0;
    int64_t next = 0;
    for (size_t r = 0; r < p->range_count; r++) {
        int64_t from = p->ranges[r].first / per_block;
        int64_t to = (p->ranges[r].first + p->ranges[r].count - 1) / per_block;
        for (int64_t b = from > next ? from : next; b <= to; b++, count++)
            if (fn != NULL)
                fn(user, (uint64_t)b);
        next = to + 1 > next ? to + 1 : next;
    }
    return count;
}

typedef struct choosing {
    uint64_t at, needed;
    double offset; /* drawn, in [0, 1) */
    uint64_t *blocks;
    size_t count;
} choosing;

/* Takes one block of each of BLOCKS_MOST equal parts of those needed. */
static void choose(void *user, uint64_t block)
{
    choosing *c = user;
    uint64_t most = c->needed < BLOCKS_MOST ? c->needed : BLOCKS_MOST;
    double share = (double)c->needed / (double)most;
    uint64_t wanted = (uint64_t)(((double)c->count + c->offset) * share);
    if (c->needed <= BLOCKS_MOST || (c->count < most && c->at == wanted))
        c->blocks[c->count++] = block;
    c->at++;
}

static bool has_run(const sim_cover *c, uint64_t block)
{
    size_t low = 0, high = c->ran_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->ran[middle] < block)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->ran_count && c->ran[low] == block;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Runs those of the blocks that have not run yet. */
static kds_code run_missing(sim_cover *c, const sim_launch *l, const uint64_t *blocks, size_t count,
                            kds_finding *f, kds_err *e)
{
    uint64_t missing[BLOCKS_MOST];
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (blocks[i] != 0 && !has_run(c, blocks[i]))
            missing[n++] = blocks[i];
    if (c->ran_count + n > c->ran_room) {
        size_t room = 2 * (c->ran_count + n);
        uint64_t *grown = realloc(c->ran, room * sizeof *grown);
        if (grown == NULL)
            return kds_fail(e, KDS_NO_MEMORY, "cannot run the reference: out of memory");
        c->ran = grown;
        c->ran_room = room;
    }
    kds_code code = run_blocks(l, missing, n, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    if (n > 0) {
        memcpy(c->ran + c->ran_count, missing, n * sizeof missing[0]);
        c->ran_count += n;
        qsort(c->ran, c->ran_count, sizeof c->ran[0], by_number);
    }
    return KDS_OK;
}

/* True if every byte of the elements was written. */
static kds_code all_written(const sim_cover *c, int buffer, size_t size, int64_t first,
                            int64_t count, bool *yes, kds_err *e)
{
    size_t len = (size_t)count * size;
    unsigned char *bytes = malloc(2 * len);
    if (bytes == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot read the reference: out of memory");
    *yes = kds_sim_memory_read(c->at.memory, c->at.buffers[buffer] + (uint64_t)first * size, len,
                               bytes, bytes + len) &&
           memchr(bytes + len, 0, len) == NULL;
    free(bytes);
    return KDS_OK;
}

/* Puts what the blocks wrote into outputs, after proving that they wrote it. */
static kds_code gather(const sim_cover *c, const sim_bench *b, const uint64_t *blocks, size_t count,
                       kds_outputs **out, kds_err *e)
{
    const kds_task *t = b->base.device->task;
    kds_code code = KDS_OK;
    bool written = true;
    kds_outputs *o = sim_outputs_create();
    if (o == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot keep reference outputs: out of memory");
    for (int i = 0; i < t->buffer_count; i++) {
        if (!sim_is_output(t, i))
            continue;
        kds_dtype type = sim_output_type(b, c->program, i);
        for (size_t k = 0; k < count && code == KDS_OK && written; k++) {
            int64_t first = (int64_t)blocks[k] * c->per_block[i];
            int64_t rest = b->base.extents[i].numel - first;
            int64_t n = rest < c->per_block[i] ? rest : c->per_block[i];
            if (n <= 0)
                continue;
            code = all_written(c, i, kds_dtype_size(type), first, n, &written, e);
            if (code == KDS_OK && written)
                code = sim_outputs_add(o, i, type, first, n, &c->at, e);
        }
    }
    if (code == KDS_OK && written) {
        *out = o;
        return KDS_OK;
    }
    sim_outputs_free(o);
    return code;
}

/* The whole oracle, for a row that runs whole. */
static kds_code cover_whole(kds_bench *base, kds_program *p, kds_outputs **out, kds_finding *f,
                            kds_err *e)
{
    kds_run_result run;
    const kds_run_options o = {.poison = 0xff};
    return sim_bench_run(base, p, &o, &run, out, f, e);
}

static sim_cover *slot_of(sim_bench *b, const kds_program *p)
{
    for (int i = 0; i < SIM_COVERS; i++)
        if (b->covers[i].program == p)
            return &b->covers[i];
    for (int i = 0; i < SIM_COVERS; i++)
        if (b->covers[i].program == NULL)
            return &b->covers[i];
    sim_cover_drop(&b->covers[0]);
    return &b->covers[0];
}

kds_code sim_bench_cover(kds_bench *base, kds_program *p, const kds_outputs *like,
                         kds_outputs **out, kds_finding *f, kds_err *e)
{
    sim_bench *b = (sim_bench *)base;
    kds_binding *binding = NULL;
    uint64_t blocks[BLOCKS_MOST];
    bool linear = true;
    *out = NULL;
    if (!base->sampled)
        return cover_whole(base, p, out, f, e);
    kds_code code = sim_program_binding(p, base->row_index, &binding, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    int buffer = widest(like, base->device->task);
    if (buffer < 0 || binding->launch_count != 1 || binding->scratch_count > 0)
        return KDS_OK;
    sim_cover *c = slot_of(b, p);
    if (c->ran_count > BLOCKS_KEPT)
        sim_cover_drop(c);
    sim_launch l = {.bench = b,
                    .program = p,
                    .binding = binding,
                    .launch = &binding->launches[0],
                    .at = &c->at,
                    .check_uninitialised = true};
    code = sim_launch_prepare(&l, f);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK && c->program == NULL)
        code = begin(c, b, p, &l, &linear, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK || !linear || c->per_block[buffer] < 1) {
        sim_cover_drop(c);
        return code;
    }
    kds_random random =
        kds_random_stream(((const sim_device *)base->device)->seed, base->row->seed, "cover");
    choosing chosen = {.offset = kds_random_unit(&random), .blocks = blocks};
    chosen.needed = each_needed(&like->parts[buffer], c->per_block[buffer], NULL, NULL);
    (void)each_needed(&like->parts[buffer], c->per_block[buffer], choose, &chosen);
    while (chosen.count > 0 && blocks[chosen.count - 1] >= l.grid)
        chosen.count--;
    code = run_missing(c, &l, blocks, chosen.count, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
        code = gather(c, b, blocks, chosen.count, out, e);
    return code;
}
