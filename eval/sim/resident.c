/* Resident blocks: their memory, and the constants and special registers at the front of each
 * warp's file. Blocks that have ended leave their memory to those that start. */
#include "eval/sim/async.h"
#include "eval/sim/module.h"
#include "eval/sim/race.h"
#include "eval/sim/stack.h"
#include <stdlib.h>
#include <string.h>

static uint32_t special_value(const kds_block *b, const kds_warp *w, kds_special s, uint32_t lane)
{
    const kds_run *r = b->run;
    uint32_t t = w->index * KDS_LANES + lane;
    switch (s) {
    case KDS_TID_X:
        return t % r->block[0];
    case KDS_TID_Y:
        return t / r->block[0] % r->block[1];
    case KDS_TID_Z:
        return t / r->block[0] / r->block[1];
    case KDS_NTID_X:
    case KDS_NTID_Y:
    case KDS_NTID_Z:
        return r->block[s - KDS_NTID_X];
    case KDS_CTAID_X:
    case KDS_CTAID_Y:
    case KDS_CTAID_Z:
        return b->at[s - KDS_CTAID_X];
    case KDS_NCTAID_X:
    case KDS_NCTAID_Y:
    case KDS_NCTAID_Z:
        return r->grid[s - KDS_NCTAID_X];
    case KDS_CLUSTER_CTAID_X:
    case KDS_CLUSTER_CTAID_Y:
    case KDS_CLUSTER_CTAID_Z:
        return b->at[s - KDS_CLUSTER_CTAID_X] % r->cluster[s - KDS_CLUSTER_CTAID_X];
    case KDS_CLUSTER_NCTAID_X:
    case KDS_CLUSTER_NCTAID_Y:
    case KDS_CLUSTER_NCTAID_Z:
        return r->cluster[s - KDS_CLUSTER_NCTAID_X];
    case KDS_CLUSTERID_X:
    case KDS_CLUSTERID_Y:
    case KDS_CLUSTERID_Z:
        return b->at[s - KDS_CLUSTERID_X] / r->cluster[s - KDS_CLUSTERID_X];
    case KDS_NCLUSTERID_X:
    case KDS_NCLUSTERID_Y:
    case KDS_NCLUSTERID_Z:
        return r->grid[s - KDS_NCLUSTERID_X] / r->cluster[s - KDS_NCLUSTERID_X];
    case KDS_CLUSTER_CTARANK:
        return b->rank;
    case KDS_CLUSTER_NCTARANK:
        return r->cluster_size;
    case KDS_IS_EXPLICIT_CLUSTER:
        return r->cluster_size > 1;
    case KDS_LANEID:
        return lane;
    case KDS_WARPID:
        return w->index;
    case KDS_NWARPID:
        return 64;
    case KDS_LANEMASK_EQ:
        return 1u << lane;
    case KDS_LANEMASK_LE:
        return (2u << lane) - 1;
    case KDS_LANEMASK_LT:
        return (1u << lane) - 1;
    case KDS_LANEMASK_GE:
        return ~((1u << lane) - 1);
    case KDS_LANEMASK_GT:
        return ~((2u << lane) - 1);
    case KDS_NSMID:
        return 1;
    case KDS_DYNAMIC_SMEM_SIZE:
        return r->dynamic_shared;
    case KDS_TOTAL_SMEM_SIZE:
        return r->shared_bytes;
    case KDS_WORKSPACE_HIGH:
        return (uint32_t)(r->workspace >> 32);
    case KDS_WORKSPACE_LOW:
        return (uint32_t)r->workspace;
    case KDS_SMID:
    case KDS_GRIDID:
        break;
    }
    return 0;
}

/* Does it change from block to block? */
static bool is_of_block(const kds_const *c)
{
    if (c->kind != KDS_CONST_SPECIAL)
        return false;
    return (c->index >= KDS_CTAID_X && c->index <= KDS_CTAID_Z) ||
           (c->index >= KDS_CLUSTER_CTAID_X && c->index <= KDS_CLUSTER_CTAID_Z) ||
           (c->index >= KDS_CLUSTERID_X && c->index <= KDS_CLUSTERID_Z) ||
           c->index == KDS_CLUSTER_CTARANK;
}

static void fill_same(kds_warp *w, const kds_const *c, uint64_t bits)
{
    uint32_t small = (uint32_t)bits, p = bits != 0 ? KDS_FULL : 0;
    uint8_t *to = w->file + c->offset;
    if (c->bytes == 0) {
        memcpy(to, &p, sizeof p);
    } else if (c->bytes == 4) {
        for (uint32_t l = 0; l < KDS_LANES; l++)
            memcpy(to + l * 4, &small, 4);
    } else {
        for (uint32_t l = 0; l < KDS_LANES; l++)
            memcpy(to + l * c->bytes, &bits, c->bytes);
    }
}

static void fill_special(const kds_block *b, kds_warp *w, const kds_const *c)
{
    if (c->bytes == 0) {
        fill_same(w, c, special_value(b, w, (kds_special)c->index, 0));
        return;
    }
    for (uint32_t l = 0; l < KDS_LANES; l++) {
        uint32_t v = special_value(b, w, (kds_special)c->index, l);
        memcpy(w->file + c->offset + l * c->bytes, &v, c->bytes);
    }
}

/* Those of the launch, once for the life of the block's memory. */
static void fill_launch_constants(kds_block *b)
{
    const kds_run *r = b->run;
    for (uint32_t i = 0; i < r->kernel->const_count; i++) {
        const kds_const *c = &r->kernel->consts[i];
        for (uint32_t k = 0; !is_of_block(c) && k < r->warp_count; k++)
            if (c->kind == KDS_CONST_SPECIAL)
                fill_special(b, &b->warps[k], c);
            else
                fill_same(&b->warps[k], c, r->const_bits[i]);
    }
}

bool kds_run_resolve(kds_run *r, const kds_sim_module *m, char *why, size_t size)
{
    why[0] = '\0';
    r->const_bits = calloc((size_t)r->kernel->const_count + 1, sizeof *r->const_bits);
    if (r->const_bits == NULL)
        return false;
    for (uint32_t i = 0; i < r->kernel->const_count; i++) {
        const kds_const *c = &r->kernel->consts[i];
        r->const_bits[i] = c->bits;
        if (is_of_block(c) && r->block_const_count < KDS_BLOCK_CONSTS)
            r->block_consts[r->block_const_count++] = i;
        if (c->kind != KDS_CONST_SYMBOL)
            continue;
        uint64_t address = kds_module_variable(m, r->memory, (uint32_t)c->index, why, size);
        if (address == 0)
            return false;
        r->const_bits[i] += address;
    }
    return true;
}

static void block_free(kds_block *b, uint32_t warps)
{
    if (b == NULL)
        return;
    for (uint32_t k = 0; b->warps != NULL && k < warps; k++) {
        free(b->warps[k].file);
        kds_stack_free(&b->warps[k]);
        free(b->warps[k].ready);
        free(b->warps[k].flight);
    }
    kds_race_block_free(b);
    kds_async_free(b);
    free(b->l1);
    free(b->warps);
    free(b->shared);
    free(b->shared_stored);
    free(b);
}

static kds_block *block_create(kds_run *r, kds_group *g, uint32_t rank)
{
    size_t file = ((size_t)r->kernel->file_bytes + 255) / 64 * 64;
    size_t warps = (r->warp_count * sizeof(kds_warp) + 63) / 64 * 64;
    kds_block *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->run = r;
    b->group = g;
    b->rank = rank;
    b->warps = aligned_alloc(_Alignof(kds_warp), warps);
    b->shared = aligned_alloc(64, ((size_t)r->shared_bytes + 127) / 64 * 64);
    b->shared_stored = calloc((size_t)r->shared_bytes / 64 + 2, sizeof *b->shared_stored);
    bool ok = b->warps != NULL && b->shared != NULL && b->shared_stored != NULL;
    if (b->warps != NULL)
        memset(b->warps, 0, warps);
    for (uint32_t k = 0; ok && k < r->warp_count; k++) {
        kds_warp *w = &b->warps[k];
        w->run = r;
        w->block = b;
        w->index = k;
        w->file = aligned_alloc(64, file);
        ok = w->file != NULL && kds_stack_create(w);
        if (ok)
            memset(w->file, 0, file);
    }
    if (!ok || (r->race != NULL && !kds_race_block_create(b))) {
        block_free(b, r->warp_count);
        return NULL;
    }
    fill_launch_constants(b);
    return b;
}

/* At the first instruction, with empty shared memory. */
static void block_begin(kds_block *b)
{
    kds_run *r = b->run;
    uint64_t limit = r->options->block_budget;
    b->budget = limit != 0 && limit < r->budget ? limit : r->budget;
    b->done = false;
    memset(b->shared, 0, r->shared_bytes);
    memset(b->shared_stored, 0, ((size_t)r->shared_bytes + 63) / 64 * 8);
    kds_async_reset(b);
    for (int i = 0; i < KDS_BARRIERS; i++)
        b->barriers[i] = (kds_barrier){.all = true};
    for (uint32_t k = 0; k < r->warp_count; k++) {
        kds_warp *w = &b->warps[k];
        uint32_t left = r->threads - k * KDS_LANES;
        w->live = left >= KDS_LANES ? KDS_FULL : (1u << left) - 1;
        w->splits[0] = (kds_split){.at = 0, .mask = w->live};
        w->split_count = 1;
        kds_stack_begin(w);
        w->carry = w->favoured = w->favour = w->polls = 0;
        w->patience = 1;
        w->at_cluster = w->owes_wait = false;
        w->state = KDS_WARP_READY;
        memset(w->poll, 0, sizeof w->poll);
    }
    for (uint32_t i = 0; i < r->block_const_count; i++) {
        const kds_const *c = &r->kernel->consts[r->block_consts[i]];
        uint32_t value = special_value(b, b->warps, (kds_special)c->index, 0);
        for (uint32_t k = 0; k < r->warp_count; k++)
            fill_same(&b->warps[k], c, value);
    }
    r->counts.blocks++;
    r->counts.warps += r->warp_count;
}

static kds_group *group_create(kds_run *r)
{
    kds_group *g = calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    g->blocks = calloc(r->cluster_size, sizeof(kds_block *));
    bool ok = g->blocks != NULL;
    for (uint32_t k = 0; ok && k < r->cluster_size; k++) {
        g->blocks[k] = block_create(r, g, k);
        ok = g->blocks[k] != NULL;
    }
    if (ok && r->group_count == r->group_room) {
        uint32_t room = 2 * r->group_room + 4;
        kds_group **grown = realloc(r->groups, room * sizeof(kds_group *));
        ok = grown != NULL;
        if (ok) {
            r->groups = grown;
            r->group_room = room;
        }
    }
    if (ok)
        return g;
    for (uint32_t k = 0; g->blocks != NULL && k < r->cluster_size; k++)
        block_free(g->blocks[k], r->warp_count);
    free(g->blocks);
    free(g);
    return NULL;
}

kds_group *kds_group_start(kds_run *r, uint64_t number)
{
    if (r->resident == r->group_count) {
        kds_group *fresh = group_create(r);
        if (fresh == NULL)
            return NULL;
        r->groups[r->group_count++] = fresh;
    }
    kds_group *g = r->groups[r->resident++];
    uint64_t clusters[3];
    g->number = number;
    g->traced = false;
    for (int d = 0; d < 3; d++)
        clusters[d] = r->grid[d] / r->cluster[d];
    for (uint32_t k = 0; k < r->cluster_size; k++) {
        kds_block *b = g->blocks[k];
        uint64_t left = number;
        uint32_t inside = k;
        for (int d = 0; d < 3; d++) {
            b->at[d] = (uint32_t)(left % clusters[d]) * r->cluster[d] + inside % r->cluster[d];
            left /= clusters[d];
            inside /= r->cluster[d];
        }
        b->number = b->at[0] + (uint64_t)r->grid[0] * (b->at[1] + (uint64_t)r->grid[1] * b->at[2]);
        block_begin(b);
        if (r->race != NULL && !kds_race_block_begin(b))
            return NULL;
    }
    return g;
}

void kds_group_end(kds_run *r, uint32_t index)
{
    kds_group *g = r->groups[index];
    r->resident--;
    for (uint32_t i = index; i < r->resident; i++)
        r->groups[i] = r->groups[i + 1];
    r->groups[r->resident] = g;
}

void kds_groups_free(kds_run *r)
{
    for (uint32_t i = 0; i < r->group_count; i++) {
        for (uint32_t k = 0; k < r->cluster_size; k++)
            block_free(r->groups[i]->blocks[k], r->warp_count);
        free(r->groups[i]->blocks);
        free(r->groups[i]);
    }
    free(r->groups);
}
