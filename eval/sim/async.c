/* What a block has under way: the copies of cp.async, which each thread waits for by groups of its
 * own, and whose bytes are not to be touched meanwhile. Words are the unit: no asynchronous copy
 * writes less. */
#include "eval/sim/async.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t bit_words(const kds_run *r)
{
    return (size_t)r->shared_bytes / 256 + 2;
}

kds_async *kds_async_of(kds_block *b)
{
    const kds_run *r = b->run;
    if (b->async != NULL)
        return b->async;
    kds_async *a = calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    b->async = a;
    a->busy = calloc(bit_words(r), sizeof *a->busy);
    a->reading = calloc(bit_words(r), sizeof *a->reading);
    a->slots = calloc((size_t)r->shared_bytes / 8 + 1, sizeof *a->slots);
    a->warps = calloc(r->warp_count, sizeof *a->warps);
    if (r->kernel->reads_async)
        a->stores = calloc((size_t)r->shared_bytes / 4 + 1, sizeof *a->stores);
    if (a->busy == NULL || a->reading == NULL || a->slots == NULL || a->warps == NULL ||
        (r->kernel->reads_async && a->stores == NULL)) {
        kds_async_free(b);
        return NULL;
    }
    return a;
}

void kds_async_reset(kds_block *b)
{
    kds_async *a = b->async;
    const kds_run *r = b->run;
    b->watched = 0;
    if (a == NULL)
        return;
    memset(a->busy, 0, bit_words(r) * sizeof *a->busy);
    memset(a->reading, 0, bit_words(r) * sizeof *a->reading);
    for (uint32_t k = 0; k < a->barrier_count; k++)
        a->slots[a->barriers[k].at / 8] = 0;
    a->barrier_count = a->tie_count = 0;
    if (a->stores != NULL)
        memset(a->stores, 0, ((size_t)r->shared_bytes / 4 + 1) * sizeof *a->stores);
    memset(a->fences, 0, sizeof a->fences);
    a->fence_count = 0;
    for (uint32_t k = 0; k < r->warp_count; k++) {
        kds_warp_async *w = &a->warps[k];
        *w = (kds_warp_async){.copies = w->copies,
                              .copy_room = w->copy_room,
                              .bulks = w->bulks,
                              .bulk_room = w->bulk_room};
    }
}

void kds_async_free(kds_block *b)
{
    kds_async *a = b->async;
    b->async = NULL;
    if (a == NULL)
        return;
    for (uint32_t k = 0; a->warps != NULL && k < b->run->warp_count; k++) {
        free(a->warps[k].copies);
        free(a->warps[k].bulks);
    }
    free(a->warps);
    free(a->busy);
    free(a->reading);
    free(a->slots);
    free(a->barriers);
    free(a->ties);
    free(a->stores);
    free(a);
}

void kds_async_mark(kds_block *b, uint32_t at, uint32_t len, bool writes)
{
    kds_bits_set(writes ? b->async->busy : b->async->reading, at / 4, (at + len + 3) / 4 - at / 4);
}

static void clear_words(uint64_t *bits, uint32_t at, uint32_t len)
{
    for (uint32_t word = at / 4; word < (at + len + 3) / 4; word++)
        bits[word / 64] &= ~(UINT64_C(1) << word % 64);
}

static void mark_overlap(kds_block *b, uint32_t at, uint32_t len, uint32_t other, uint32_t size)
{
    uint32_t first = at > other ? at : other;
    uint32_t end = at + len < other + size ? at + len : other + size;
    if (first < end)
        kds_async_mark(b, first, end - first, false);
}

void kds_async_unmark_read(kds_block *b, uint32_t at, uint32_t len)
{
    const kds_run *r = b->run;
    clear_words(b->async->reading, at, len);
    for (uint32_t k = 0; k < r->warp_count; k++)
        for (uint32_t n = 0; n < b->async->warps[k].bulk_count; n++) {
            const kds_bulk *other = &b->async->warps[k].bulks[n];
            mark_overlap(b, at, len, other->from, other->len);
        }
    for (uint32_t k = 0; k < r->cluster_size; k++) {
        const kds_async *a = b->group->blocks[k]->async;
        for (uint32_t n = 0; a != NULL && n < a->tie_count; n++)
            if (a->ties[n].issuer == b)
                mark_overlap(b, at, len, a->ties[n].from, a->ties[n].from_len);
    }
}

bool kds_async_copy(kds_warp *w, const kds_ins *i, uint32_t lane, uint32_t at, uint32_t bytes)
{
    kds_warp_async *a = &w->block->async->warps[w->index];
    if (!kds_ptx_room(&a->copies, a->copy_count, &a->copy_room, sizeof *a->copies))
        return false;
    a->copies[a->copy_count++] = (kds_copy){.ins = i,
                                            .at = at,
                                            .number = a->issued[lane]++,
                                            .group = a->groups[lane],
                                            .lane = (uint8_t)lane,
                                            .bytes = (uint8_t)bytes};
    kds_async_mark(w->block, at, bytes, true);
    w->block->watched++;
    return true;
}

bool kds_async_same(const kds_block *b, uint32_t at, uint32_t bytes)
{
    for (uint32_t k = 0; k < b->run->warp_count; k++)
        for (uint32_t n = b->async->warps[k].copy_count; n-- > 0;) {
            const kds_copy *c = &b->async->warps[k].copies[n];
            if (c->at == at && c->bytes == bytes)
                return true;
        }
    return false;
}

static void finish_copy(kds_block *b, const kds_copy *c)
{
    clear_words(b->async->busy, c->at, c->bytes);
    b->watched--;
}

void kds_async_commit(kds_warp *w, uint32_t mask)
{
    kds_warp_async *a = &w->block->async->warps[w->index];
    for (uint32_t left = mask; left != 0; left &= left - 1)
        a->groups[__builtin_ctz(left)]++;
    a->groups_ready[a->timed_groups++ % KDS_TIMED_GROUPS] = a->copies_ready;
}

void kds_async_wait(kds_warp *w, uint32_t mask, uint32_t left, bool all)
{
    kds_warp_async *a = &w->block->async->warps[w->index];
    uint32_t kept = 0;
    for (uint32_t n = 0; n < a->copy_count; n++) {
        kds_copy c = a->copies[n];
        if ((mask >> c.lane & 1) != 0 && (all || a->groups[c.lane] - c.group > left))
            finish_copy(w->block, &c);
        else
            a->copies[kept++] = c;
    }
    a->copy_count = kept;
}

void kds_async_complete(kds_block *b, uint32_t thread, uint32_t upto)
{
    kds_warp_async *a = &b->async->warps[thread / KDS_LANES];
    uint32_t kept = 0;
    for (uint32_t n = 0; n < a->copy_count; n++) {
        kds_copy c = a->copies[n];
        if (c.lane == thread % KDS_LANES && (int32_t)(c.number - upto) < 0)
            finish_copy(b, &c);
        else
            a->copies[kept++] = c;
    }
    a->copy_count = kept;
}

/* ---- Words ---- */

static bool overlap(uint32_t at, uint32_t len, uint32_t other, uint32_t other_len)
{
    return at < other + other_len && other < at + len;
}

/* Who holds the bytes, as the end of a sentence. */
typedef struct holder {
    const kds_ins *ins;
    const char *how;
    uint32_t thread, rank, at, len;
} holder;

static bool copy_of(const kds_block *b, uint32_t at, uint32_t len, holder *h)
{
    for (uint32_t k = 0; k < b->run->warp_count; k++)
        for (uint32_t n = 0; n < b->async->warps[k].copy_count; n++) {
            const kds_copy *c = &b->async->warps[k].copies[n];
            if (!overlap(at, len, c->at, c->bytes))
                continue;
            *h = (holder){c->ins, "may still write", k * KDS_LANES + c->lane, b->rank,
                          c->at,  c->bytes};
            return true;
        }
    return false;
}

static bool tie_of(const kds_block *b, uint32_t at, uint32_t len, bool store, holder *h)
{
    for (uint32_t k = 0; k < b->run->cluster_size; k++) {
        const kds_block *other = b->group->blocks[k];
        for (uint32_t n = 0; other->async != NULL && n < other->async->tie_count; n++) {
            const kds_tie *t = &other->async->ties[n];
            bool writes = other == b && overlap(at, len, t->at, t->len);
            bool reads = store && t->issuer == b && overlap(at, len, t->from, t->from_len);
            if (!writes && !reads)
                continue;
            *h = (holder){t->ins,
                          writes ? "may still write" : "may still read",
                          t->thread,
                          t->issuer->rank,
                          writes ? t->at : t->from,
                          writes ? t->len : t->from_len};
            return true;
        }
    }
    return false;
}

static bool bulk_of(const kds_block *b, uint32_t at, uint32_t len, holder *h)
{
    for (uint32_t k = 0; k < b->run->warp_count; k++)
        for (uint32_t n = 0; n < b->async->warps[k].bulk_count; n++) {
            const kds_bulk *c = &b->async->warps[k].bulks[n];
            if (!overlap(at, len, c->from, c->len))
                continue;
            *h = (holder){c->ins,  "may still read", k * KDS_LANES + c->lane,
                          b->rank, c->from,          c->len};
            return true;
        }
    return false;
}

kds_step kds_async_fault(kds_warp *w, const kds_ins *i, uint32_t lane, kds_block *b, uint32_t at,
                         uint32_t len, bool store)
{
    kds_run *r = w->run;
    holder h;
    const char *does = store ? "writes" : "reads";
    /* The words that hold these bytes: no copy is smaller. */
    uint32_t first = at / 4 * 4, size = (at + len + 3) / 4 * 4 - first;
    for (uint32_t k = 0; k < b->async->barrier_count; k++) {
        const kds_mbarrier *m = &b->async->barriers[k];
        if (m->live && overlap(first, size, m->at, 8))
            return kds_fault_text(
                r, KDS_SIM_BARRIER, i, lane,
                "%s %u bytes at byte %u of shared memory, where an mbarrier lives "
                "(initialised at line %u): only mbarrier instructions may",
                does, len, at, m->ins->line);
    }
    if (!copy_of(b, first, size, &h) && !tie_of(b, first, size, store, &h) &&
        !(store && bulk_of(b, first, size, &h)))
        return kds_fault_text(r, KDS_SIM_ASYNC, i, lane, "%s %u bytes at byte %u of shared memory",
                              does, len, at);
    uint32_t t = h.thread;
    char block[40] = "";
    if (h.rank != w->block->rank)
        snprintf(block, sizeof block, " of block %u of the cluster", h.rank);
    return kds_fault_text(r, KDS_SIM_ASYNC, i, lane,
                          "%s %u bytes at byte %u of shared memory, which the copy at line %u by "
                          "thread (%u, %u, %u)%s %s (bytes %u to %u)",
                          does, len, at, h.ins->line, t % r->block[0],
                          t / r->block[0] % r->block[1], t / r->block[0] / r->block[1], block,
                          h.how, h.at, h.at + h.len - 1);
}
