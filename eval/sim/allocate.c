/* Places virtual registers into slots of the register file: liveness over the blocks, then a linear
 * scan over live intervals in the order of the code, one kind of slot per register size. A small
 * file is what keeps a warp in the first-level cache. Sharing a slot is sound lane by lane, because
 * every write is masked to the lanes that are there (lanes that have exited may hold anything).
 * Slots are given back only after the instruction that last uses them, so a result never shares a
 * slot with a source that ends there. Functions share no slots with each other: a lane that calls
 * keeps its registers in their places. */
#include "eval/sim/decode.h"
#include <stdlib.h>
#include <string.h>

#define FILE_CAP (2u << 20)     /* bytes of one warp's registers */
#define LIVENESS_CAP (4u << 20) /* words of one set of bits */

typedef struct allocation {
    kds_decoder *d;
    kds_kernel *k;
    uint32_t *block_of, *first, block_count; /* first[block_count] is the end */
    size_t words;
    uint64_t *in, *out, *use, *def;
    uint32_t *from, *to; /* live interval of each register; from > to: not used */
    int32_t *slot;
} allocation;

/* Calls `fn` for every reference of an instruction. */
typedef void reference_fn(allocation *a, const kds_ins *i, int32_t *ref, bool defines);

static void each_reference(allocation *a, kds_ins *i, reference_fn *fn)
{
    fn(a, i, &i->guard, false);
    fn(a, i, &i->a, false);
    fn(a, i, &i->b, false);
    fn(a, i, &i->c, false);
    fn(a, i, &i->x, false);
    for (int k = i->defined; k < i->listed; k++)
        fn(a, i, &a->k->list[i->list + (uint32_t)k], false);
    for (int k = 0; k < i->defined; k++)
        fn(a, i, &a->k->list[i->list + (uint32_t)k], true);
    fn(a, i, &i->d, true);
    fn(a, i, &i->d2, true);
}

static uint32_t position(const allocation *a, const kds_ins *i)
{
    return (uint32_t)(i - a->k->code);
}

static void note_block(allocation *a, const kds_ins *i, int32_t *ref, bool defines)
{
    if (*ref < 0)
        return;
    size_t base = a->block_of[position(a, i)] * a->words, word = (size_t)*ref / 64;
    uint64_t bit = UINT64_C(1) << (*ref & 63);
    if (!defines && (a->def[base + word] & bit) == 0)
        a->use[base + word] |= bit;
    if (defines && (i->flags & KDS_INS_GUARDED) == 0)
        a->def[base + word] |= bit;
}

static void note_interval(allocation *a, const kds_ins *i, int32_t *ref, bool defines)
{
    (void)defines;
    if (*ref < 0)
        return;
    uint32_t at = position(a, i);
    if (at < a->from[*ref])
        a->from[*ref] = at;
    if (a->to[*ref] == UINT32_MAX || at > a->to[*ref])
        a->to[*ref] = at;
}

static void place_reference(allocation *a, const kds_ins *i, int32_t *ref, bool defines)
{
    (void)i;
    (void)defines;
    if (*ref == KDS_NO_REF)
        *ref = -1;
    else
        *ref = *ref >= 0 ? a->slot[*ref] : a->k->consts[~*ref].offset;
}

static bool cut_blocks(allocation *a)
{
    kds_kernel *k = a->k;
    a->block_of = malloc(k->code_count * sizeof *a->block_of);
    a->first = malloc((k->code_count + 1) * sizeof *a->first);
    if (a->block_of == NULL || a->first == NULL)
        return false;
    for (uint32_t i = 0; i < k->code_count; i++) {
        if ((k->code[i].flags & KDS_INS_LEADER) != 0)
            a->first[a->block_count++] = i;
        a->block_of[i] = a->block_count - 1;
    }
    a->first[a->block_count] = k->code_count;
    return true;
}

/* out |= in of a successor. */
static void flow(allocation *a, uint32_t block, uint32_t successor)
{
    uint64_t *out = a->out + block * a->words;
    const uint64_t *in = a->in + successor * a->words;
    for (size_t w = 0; w < a->words; w++)
        out[w] |= in[w];
}

static void flow_block(allocation *a, uint32_t b)
{
    const kds_kernel *k = a->k;
    const kds_ins *last = &k->code[a->first[b + 1] - 1];
    bool falls = (last->flags & KDS_INS_GUARDED) != 0 ||
                 !(last->op == KDS_OP_bra || last->op == KDS_OP_brx || last->op == KDS_OP_exit ||
                   last->op == KDS_OP_trap || last->op == KDS_OP_ret);
    if (falls && b + 1 < a->block_count)
        flow(a, b, b + 1);
    if (last->op == KDS_OP_bra)
        flow(a, b, a->block_of[last->target]);
    for (int64_t j = 0; last->op == KDS_OP_brx && j < last->imm; j++)
        flow(a, b, a->block_of[k->jumps[last->target + j]]);
}

/* Backwards to a fixed point. */
static bool find_liveness(allocation *a)
{
    size_t total = a->words * a->block_count + 1;
    a->in = calloc(total, sizeof *a->in);
    a->out = calloc(total, sizeof *a->out);
    a->use = calloc(total, sizeof *a->use);
    a->def = calloc(total, sizeof *a->def);
    if (a->in == NULL || a->out == NULL || a->use == NULL || a->def == NULL)
        return false;
    for (uint32_t i = 0; i < a->k->code_count; i++)
        each_reference(a, &a->k->code[i], note_block);
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t b = a->block_count; b-- > 0;) {
            flow_block(a, b);
            for (size_t w = b * a->words; w < (b + 1) * a->words; w++) {
                uint64_t in = a->use[w] | (a->out[w] & ~a->def[w]);
                changed |= in != a->in[w];
                a->in[w] = in;
            }
        }
    }
    return true;
}

/* Stretches the intervals over the blocks that a register lives through. */
static void stretch(allocation *a)
{
    for (uint32_t b = 0; b < a->block_count; b++)
        for (size_t w = 0; w < a->words; w++) {
            uint64_t in = a->in[b * a->words + w], out = a->out[b * a->words + w];
            for (uint64_t both = in | out; both != 0; both &= both - 1) {
                size_t r = w * 64 + (size_t)__builtin_ctzll(both);
                uint64_t bit = both & (0 - both);
                uint32_t first = a->first[b], last = a->first[b + 1] - 1;
                if ((in & bit) != 0 && first < a->from[r])
                    a->from[r] = first;
                if ((out & bit) != 0 && (a->to[r] == UINT32_MAX || last > a->to[r]))
                    a->to[r] = last;
            }
        }
}

static int class_of(uint8_t bytes)
{
    return bytes == 8 ? 0 : bytes == 4 ? 1 : bytes == 2 ? 2 : 3;
}

/* Gives slot numbers within each class; counts[] receives how many each class has. */
static bool scan(allocation *a, uint32_t counts[4])
{
    uint32_t n = a->d->register_count, code = a->k->code_count;
    uint32_t *starts = calloc(code + 1, sizeof *starts), *ends = calloc(code + 1, sizeof *ends);
    uint32_t *next_start = calloc(n + 1, sizeof *next_start);
    uint32_t *next_end = calloc(n + 1, sizeof *next_end);
    uint32_t *spare = calloc(4 * ((size_t)n + 1), sizeof *spare), spare_count[4] = {0};
    bool ok =
        starts != NULL && ends != NULL && next_start != NULL && next_end != NULL && spare != NULL;
    for (uint32_t r = n; ok && r-- > 0;) {
        if (a->to[r] == UINT32_MAX)
            continue;
        next_start[r] = starts[a->from[r]];
        starts[a->from[r]] = r + 1;
        next_end[r] = ends[a->to[r]];
        ends[a->to[r]] = r + 1;
    }
    uint32_t function = 0;
    for (uint32_t at = 0; ok && at < code; at++) {
        while (function < a->k->calls.function_count &&
               a->k->calls.functions[function].first == at) {
            memcpy(a->k->calls.functions[function++].first_slot, counts, 4 * sizeof counts[0]);
            memset(spare_count, 0, sizeof spare_count);
        }
        for (uint32_t r = starts[at]; r != 0; r = next_start[r - 1]) {
            int c = class_of(a->d->registers[r - 1]);
            a->slot[r - 1] =
                (int32_t)(spare_count[c] > 0 ? spare[(size_t)c * (n + 1) + --spare_count[c]]
                                             : counts[c]++);
        }
        for (uint32_t r = ends[at]; r != 0; r = next_end[r - 1]) {
            int c = class_of(a->d->registers[r - 1]);
            spare[(size_t)c * (n + 1) + spare_count[c]++] = (uint32_t)a->slot[r - 1];
        }
    }
    for (; function < a->k->calls.function_count; function++) /* without code */
        memcpy(a->k->calls.functions[function].first_slot, counts, 4 * sizeof counts[0]);
    free(starts);
    free(ends);
    free(next_start);
    free(next_end);
    free(spare);
    return ok;
}

/* Which part of the file the registers of each function are. */
static void note_slots(kds_calls *c, const uint32_t counts[4], const uint64_t base[4],
                       const uint32_t bytes[4])
{
    for (uint32_t n = 0; n < c->function_count; n++)
        for (int s = 0; s < KDS_SLOT_KINDS; s++) {
            kds_function *f = &c->functions[n];
            uint32_t end =
                n + 1 < c->function_count ? c->functions[n + 1].first_slot[s] : counts[s];
            f->slots[s] = (kds_slots){.offset = (uint32_t)base[s] + f->first_slot[s] * bytes[s],
                                      .count = end - f->first_slot[s]};
        }
}

static void note_frames(kds_kernel *k)
{
    k->calls.frames[0] = k->calls.frames[1] = -1;
    for (uint32_t i = 0; i < k->const_count; i++)
        if (k->consts[i].kind == KDS_CONST_FRAME)
            k->calls.frames[k->consts[i].index] = k->consts[i].offset;
}

/* Byte offsets: constants first, then 64, 32, 16-bit registers, then predicates. False: too big. */
static bool lay_out(allocation *a, const uint32_t counts[4])
{
    static const uint32_t bytes[4] = {256, 128, 64, 4};
    kds_kernel *k = a->k;
    uint64_t at = 0, base[4];
    for (uint32_t i = 0; i < k->const_count; i++)
        if (k->consts[i].bytes != 0) {
            k->consts[i].offset = (int32_t)at;
            at += k->consts[i].bytes * (uint64_t)KDS_LANES;
        }
    for (int c = 0; c < 4; c++) {
        base[c] = at;
        at += (uint64_t)counts[c] * bytes[c];
    }
    for (uint32_t i = 0; i < k->const_count; i++)
        if (k->consts[i].bytes == 0) {
            k->consts[i].offset = (int32_t)at;
            at += 4;
        }
    at = (at + 63) / 64 * 64;
    if (at > FILE_CAP)
        return false;
    k->file_bytes = (uint32_t)at + 64;
    note_slots(&k->calls, counts, base, bytes);
    note_frames(k);
    for (uint32_t r = 0; r < a->d->register_count; r++) {
        int c = class_of(a->d->registers[r]);
        a->slot[r] = (int32_t)(base[c] + (uint64_t)(uint32_t)a->slot[r] * bytes[c]);
    }
    return true;
}

/* Too large to analyse: every register lives throughout its function. */
static void live_throughout(allocation *a)
{
    const kds_calls *c = &a->k->calls;
    for (uint32_t r = 0; r < a->d->register_count; r++) {
        uint32_t low = 0, high = c->function_count;
        if (a->to[r] == UINT32_MAX)
            continue;
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            if (c->functions[middle].first <= a->from[r])
                low = middle;
            else
                high = middle;
        }
        a->from[r] = c->functions[low].first;
        a->to[r] = c->functions[low].end - 1;
    }
}

bool kds_allocate_registers(kds_decoder *d)
{
    kds_kernel *k = d->kernel;
    allocation a = {.d = d, .k = k, .words = ((size_t)d->register_count + 63) / 64};
    uint32_t n = d->register_count, counts[4] = {0};
    a.from = malloc(((size_t)n + 1) * sizeof *a.from);
    a.to = malloc(((size_t)n + 1) * sizeof *a.to);
    a.slot = calloc((size_t)n + 1, sizeof *a.slot);
    bool ok = a.from != NULL && a.to != NULL && a.slot != NULL && cut_blocks(&a);
    if (ok) {
        memset(a.from, 0xff, n * sizeof *a.from);
        memset(a.to, 0xff, n * sizeof *a.to);
        for (uint32_t i = 0; i < k->code_count; i++)
            each_reference(&a, &k->code[i], note_interval);
        if (a.words * a.block_count <= LIVENESS_CAP) {
            ok = find_liveness(&a);
            if (ok)
                stretch(&a);
        } else {
            live_throughout(&a);
        }
    }
    ok = ok && scan(&a, counts);
    if (ok && lay_out(&a, counts)) {
        for (uint32_t i = 0; i < k->code_count; i++)
            each_reference(&a, &k->code[i], place_reference);
    } else if (ok) {
        k->missing = strdup("more registers than can be held");
        ok = k->missing != NULL;
    }
    free(a.block_of);
    free(a.first);
    free(a.in);
    free(a.out);
    free(a.use);
    free(a.def);
    free(a.from);
    free(a.to);
    free(a.slot);
    return ok;
}
