/* What orders threads: barriers, fences, and places that are released and acquired. Every function
 * here is generous where PTX is subtle: a release by one lane is one of its warp, and an acquire by
 * one lane is one of its warp as to other warps. */
#include "eval/sim/race.h"
#include <stdlib.h>
#include <string.h>

/* Most of what a launch remembers; beyond it, it is no longer checked. */
#define OBJECTS_CAP (1u << 20)
#define RECORDS_CAP (1u << 23)
#define ALL_WARPS 0xffffu

static uint32_t later(uint32_t x, uint32_t y)
{
    return x > y ? x : y;
}

static uint32_t group_warps(const kds_run *r)
{
    return r->cluster_size * r->warp_count;
}

static kds_race_warp *state_of(const kds_warp *w)
{
    return &w->block->race->warps[w->index];
}

/* Checks no more: cells would lie. */
static void give_up(kds_race *q)
{
    q->full = true;
    q->run->race = NULL;
}

void kds_race_advance(kds_race *q)
{
    if (++q->tick >= KDS_RACE_TICKS)
        give_up(q);
}

static bool grow(kds_race *q, void **items, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return true;
    if (count >= RECORDS_CAP) {
        give_up(q);
        return false;
    }
    uint32_t more = *room * 2 + 64;
    void *grown = realloc(*items, more * size);
    if (grown == NULL) {
        q->no_memory = true;
        return false;
    }
    *items = grown;
    *room = more;
    return true;
}

/* ---- Blocks ---- */

bool kds_race_block_create(kds_block *b)
{
    const kds_run *r = b->run;
    uint32_t n = group_warps(r);
    size_t cells = ((size_t)r->shared_bytes >> r->race->shared_shift) + 32;
    kds_race_block *s = calloc(1, sizeof *s + r->warp_count * sizeof s->warps[0]);
    b->race = s;
    if (s == NULL)
        return false;
    s->shared.written = calloc(3 * cells, sizeof(kds_cell));
    if (s->shared.written == NULL)
        return false;
    s->shared.read = s->shared.written + cells;
    s->shared.read_before = s->shared.read + cells;
    for (uint32_t k = 0; k < r->warp_count; k++) {
        s->warps[k].known = calloc(2 * (size_t)n, sizeof(uint32_t));
        if (s->warps[k].known == NULL)
            return false;
        s->warps[k].fence = s->warps[k].known + n;
    }
    return true;
}

void kds_race_block_free(kds_block *b)
{
    kds_race_block *s = b->race;
    if (s == NULL)
        return;
    for (uint32_t k = 0; k < b->run->warp_count; k++) {
        free(s->warps[k].known);
        free(s->warps[k].lanes);
    }
    for (int k = 0; k < KDS_BARRIERS; k++)
        free(s->barriers[k].known);
    kds_race_objects_clear(&s->objects);
    free(s->objects.slots);
    free(s->shared.written);
    free(s);
    b->race = NULL;
}

bool kds_race_block_begin(kds_block *b)
{
    const kds_run *r = b->run;
    kds_race *q = r->race;
    kds_race_block *s = b->race;
    if (!grow(q, (void **)&q->origins, q->origin_count, &q->origin_room, sizeof *q->origins))
        return !q->no_memory;
    s->serial = q->origin_count++;
    q->origins[s->serial] =
        (kds_race_origin){.number = b->number, .group = s->serial - b->rank, .rank = b->rank};
    s->start = s->base = q->tick;
    s->outer = s->read_tick = s->waited = 0;
    s->limit = kds_cell_limit(s->base);
    s->remote = s->fences = false;
    kds_race_objects_clear(&s->objects);
    for (int k = 0; k < KDS_BARRIERS; k++)
        s->barriers[k].any = false;
    for (uint32_t k = 0; k < r->warp_count; k++) {
        kds_race_warp *v = &s->warps[k];
        memset(v->known, 0, 2 * (size_t)group_warps(r) * sizeof(uint32_t));
        v->synced = v->outer = v->arrived = v->opened = 0;
        v->fenced = false;
        if (v->lanes != NULL)
            memset(v->lanes, 0, sizeof(uint32_t[KDS_LANES][KDS_LANES]));
    }
    return true;
}

void kds_race_turn(kds_block *b)
{
    kds_race *q = b->run->race;
    if (q->running == b->race->serial)
        return;
    kds_race_advance(q);
    if (!grow(q, (void **)&q->slices, q->slice_count, &q->slice_room, sizeof *q->slices))
        return;
    q->running = b->race->serial;
    q->slice = q->tick;
    q->slices[q->slice_count++] = (kds_race_slice){q->tick, q->running};
}

/* ---- Within a warp, and barriers ---- */

/* The matrix of a warp, made when it is first needed; NULL if out of memory. */
static uint32_t (*lanes_of(kds_race *q, kds_race_warp *v))[KDS_LANES]
{
    if (v->lanes == NULL)
        v->lanes = calloc(KDS_LANES, sizeof *v->lanes);
    q->no_memory |= v->lanes == NULL;
    return v->lanes;
}

void kds_race_warpsync(kds_warp *w, uint32_t mask)
{
    kds_race *q = w->run->race;
    kds_race_warp *v = state_of(w);
    if ((w->live & ~mask) == 0) {
        v->synced = q->tick;
        kds_race_advance(q);
        return;
    }
    uint32_t(*lanes)[KDS_LANES] = lanes_of(q, v);
    if (lanes == NULL)
        return;
    for (int of = 0; of < KDS_LANES; of++) {
        uint32_t most = (mask >> of & 1) != 0 ? q->tick : 0;
        for (int l = 0; l < KDS_LANES; l++)
            if ((mask >> l & 1) != 0)
                most = later(most, lanes[of][l]);
        for (int l = 0; l < KDS_LANES; l++)
            if ((mask >> l & 1) != 0)
                lanes[of][l] = most;
    }
    kds_race_advance(q);
}

void kds_race_arrive(kds_warp *w, uint32_t id)
{
    kds_race *q = w->run->race;
    kds_race_barrier *b = &w->block->race->barriers[id];
    const kds_race_warp *v = state_of(w);
    uint32_t n = group_warps(w->run), own = w->block->rank * w->run->warp_count + w->index;
    if (b->known == NULL)
        b->known = malloc(n * sizeof *b->known);
    if (b->known == NULL) {
        q->no_memory = true;
        return;
    }
    if (!b->any) {
        memset(b->known, 0, n * sizeof *b->known);
        b->outer = 0;
    }
    for (uint32_t k = 0; k < n; k++)
        b->known[k] = later(b->known[k], v->known[k]);
    b->known[own] = q->tick;
    b->outer = later(b->outer, v->outer);
    b->any = true;
    kds_race_advance(q);
}

/* What all that came to the barrier know together goes to those that wait. */
static void share_at_barrier(kds_block *b, const kds_race_barrier *gone, uint32_t waiting)
{
    const kds_run *r = b->run;
    kds_race_block *s = b->race;
    uint32_t n = group_warps(r), sum[KDS_CLUSTER_BLOCKS * KDS_WARPS] = {0}, outer = 0;
    if (gone->any) {
        memcpy(sum, gone->known, n * sizeof *sum);
        outer = gone->outer;
    }
    for (uint32_t k = 0; k < r->warp_count; k++) {
        if ((waiting >> k & 1) == 0)
            continue;
        for (uint32_t m = 0; m < n; m++)
            sum[m] = later(sum[m], s->warps[k].known[m]);
        outer = later(outer, s->warps[k].outer);
        sum[b->rank * r->warp_count + k] = r->race->tick;
    }
    for (uint32_t k = 0; k < r->warp_count; k++) {
        if ((waiting >> k & 1) == 0)
            continue;
        memcpy(s->warps[k].known, sum, n * sizeof *sum);
        s->warps[k].outer = outer;
        s->warps[k].synced = r->race->tick;
    }
}

/* Fences count for others too, once a barrier has told them: what a warp has fenced, each warp that
 * meets it can publish. Warps of a mask of one block exchange what they have fenced. */
static void share_fences(kds_block *b, uint32_t mask)
{
    const kds_run *r = b->run;
    kds_race_block *s = b->race;
    uint32_t n = group_warps(r), sum[KDS_CLUSTER_BLOCKS * KDS_WARPS] = {0}, base = 0;
    uint8_t scope = 0;
    for (uint32_t k = 0; k < r->warp_count; k++) {
        const kds_race_warp *v = &s->warps[k];
        if ((mask >> k & 1) == 0 || !v->fenced)
            continue;
        for (uint32_t m = 0; m < n; m++)
            sum[m] = later(sum[m], v->fence[m]);
        base = later(base, v->fence_base);
        scope = v->fence_scope > scope ? v->fence_scope : scope;
    }
    for (uint32_t k = 0; k < r->warp_count; k++) {
        kds_race_warp *v = &s->warps[k];
        if ((mask >> k & 1) == 0)
            continue;
        memcpy(v->fence, sum, n * sizeof *sum);
        v->fence_base = base;
        v->fence_scope = scope;
        v->fence_published = 0;
        v->fenced = true;
    }
    s->fences = false;
}

void kds_race_opens(kds_block *b, uint32_t id, uint32_t waiting, bool counted)
{
    const kds_run *r = b->run;
    kds_race *q = r->race;
    kds_race_block *s = b->race;
    uint32_t needed = 0;
    for (uint32_t k = 0; k < r->warp_count; k++)
        needed |= (uint32_t)(counted || b->warps[k].state != KDS_WARP_DONE) << k;
    bool all = (needed & ~waiting) == 0 && !s->barriers[id].any;
    if (s->fences)
        share_fences(b, s->barriers[id].any ? KDS_FULL : waiting);
    if (!all || r->cluster_size > 1)
        share_at_barrier(b, &s->barriers[id], waiting);
    if (all) {
        s->base = q->tick;
        s->limit = kds_cell_limit(s->base);
        for (uint32_t k = 0; k < r->warp_count; k++)
            s->outer = later(s->outer, s->warps[k].outer);
    }
    s->barriers[id].any = false;
    kds_race_advance(q);
}

void kds_race_cluster_arrive(kds_warp *w, bool releases)
{
    state_of(w)->arrived = releases ? w->run->race->tick : 0;
    kds_race_advance(w->run->race);
}

/* Of all warps of a cluster. */
static void share_fences_of_cluster(const kds_group *g)
{
    const kds_run *r = g->blocks[0]->run;
    uint32_t n = group_warps(r), count = r->warp_count;
    for (uint32_t k = 0; k < r->cluster_size; k++)
        share_fences(g->blocks[k], KDS_FULL);
    kds_race_warp *sum = &g->blocks[0]->race->warps[0];
    for (uint32_t k = 0; k < n; k++) {
        const kds_race_warp *v = &g->blocks[k / count]->race->warps[k % count];
        for (uint32_t m = 0; m < n; m++)
            sum->fence[m] = later(sum->fence[m], v->fence[m]);
        sum->fence[k] = later(sum->fence[k], v->fence_base);
        sum->fence_scope = v->fence_scope > sum->fence_scope ? v->fence_scope : sum->fence_scope;
    }
    for (uint32_t k = 1; k < n; k++) {
        kds_race_warp *v = &g->blocks[k / count]->race->warps[k % count];
        memcpy(v->fence, sum->fence, n * sizeof *v->fence);
        v->fence_scope = sum->fence_scope;
    }
}

void kds_race_cluster_opens(kds_group *g)
{
    const kds_run *r = g->blocks[0]->run;
    bool fences = false;
    for (uint32_t n = 0; n < r->cluster_size; n++)
        fences |= g->blocks[n]->race->fences;
    if (fences)
        share_fences_of_cluster(g);
    for (uint32_t n = 0; n < r->cluster_size; n++) {
        kds_race_block *s = g->blocks[n]->race;
        s->waited = 0;
        for (uint32_t k = 0; k < r->warp_count; k++) {
            bool done = g->blocks[n]->warps[k].state == KDS_WARP_DONE;
            s->warps[k].opened = done ? r->race->tick : s->warps[k].arrived;
        }
    }
}

void kds_race_cluster_left(kds_warp *w)
{
    const kds_run *r = w->run;
    const kds_group *g = w->block->group;
    kds_race_block *s = w->block->race;
    kds_race_warp *v = state_of(w);
    uint32_t living = 0, least = UINT32_MAX;
    for (uint32_t n = 0; n < r->cluster_size; n++)
        for (uint32_t k = 0; k < r->warp_count; k++) {
            const kds_race_warp *other = &g->blocks[n]->race->warps[k];
            uint32_t *known = &v->known[n * r->warp_count + k];
            *known = later(*known, other->opened);
            v->outer = later(v->outer, other->outer);
        }
    v->synced = later(v->synced, v->opened);
    for (uint32_t k = 0; k < r->warp_count; k++) {
        living += w->block->warps[k].state != KDS_WARP_DONE;
        least = s->warps[k].opened < least ? s->warps[k].opened : least;
    }
    if (++s->waited >= living) {
        s->base = later(s->base, least);
        s->limit = kds_cell_limit(s->base);
    }
    kds_race_advance(r->race);
}

/* ---- Objects ---- */

void kds_race_objects_clear(kds_race_objects *o)
{
    for (uint32_t k = 0; o->count > 0 && k < o->room; k++) {
        free(o->slots[k]);
        o->slots[k] = NULL;
    }
    o->count = 0;
}

static kds_race_object **slot_of(const kds_race_objects *o, uint64_t key)
{
    uint32_t at = (uint32_t)(key * 0x9e3779b97f4a7c15u >> 40) & (o->room - 1);
    while (o->slots[at] != NULL && o->slots[at]->key != key)
        at = (at + 1) & (o->room - 1);
    return &o->slots[at];
}

static bool objects_room(kds_race *q, kds_race_objects *o)
{
    if (2 * (o->count + 1) <= o->room)
        return true;
    if (o->count >= OBJECTS_CAP) {
        give_up(q);
        return false;
    }
    kds_race_objects grown = {.room = o->room != 0 ? 2 * o->room : 64, .count = o->count};
    grown.slots = calloc(grown.room, sizeof *grown.slots);
    if (grown.slots == NULL) {
        q->no_memory = true;
        return false;
    }
    for (uint32_t k = 0; k < o->room; k++)
        if (o->slots[k] != NULL)
            *slot_of(&grown, o->slots[k]->key) = o->slots[k];
    free(o->slots);
    *o = grown;
    return true;
}

static kds_race_objects *objects_of(const kds_warp *w, const kds_block *owner)
{
    return owner != NULL ? &owner->race->objects : &w->run->race->objects;
}

static kds_race_object *object_find(const kds_race_objects *o, uint64_t key)
{
    return o->count > 0 ? *slot_of(o, key) : NULL;
}

static kds_race_object *object_make(kds_race *q, kds_race_objects *o, uint64_t key)
{
    kds_race_object *x = object_find(o, key);
    if (x != NULL || !objects_room(q, o))
        return x;
    x = calloc(1, sizeof *x + group_warps(q->run) * sizeof x->known[0]);
    if (x == NULL) {
        q->no_memory = true;
        return NULL;
    }
    x->key = key;
    x->group = UINT32_MAX;
    *slot_of(o, key) = x;
    o->count++;
    return x;
}

/* ---- Publishing: what other groups can learn ---- */

static void publish(kds_race *q, uint32_t serial, uint32_t warp, uint32_t upto)
{
    if (upto == 0 ||
        !grow(q, (void **)&q->records, q->record_count, &q->record_room, sizeof *q->records))
        return;
    kds_race_origin *o = &q->origins[serial];
    q->records[q->record_count++] = (kds_race_record){
        .when = q->tick, .upto = upto, .before = o->published, .warp = (uint16_t)warp};
    o->published = q->record_count;
}

/* All that `known` says of the warps of the group; of the own block at least up to `base`. */
static void publish_known(kds_warp *w, const uint32_t *known, uint32_t base)
{
    const kds_run *r = w->run;
    kds_race *q = r->race;
    uint32_t first = q->origins[w->block->race->serial].group;
    for (uint32_t n = 0; n < r->cluster_size; n++) {
        uint32_t floor = n == w->block->rank ? base : 0;
        if (floor > 0)
            publish(q, first + n, ALL_WARPS, floor);
        for (uint32_t k = 0; k < r->warp_count; k++)
            if (known[n * r->warp_count + k] > floor)
                publish(q, first + n, k, known[n * r->warp_count + k]);
    }
}

/* Records of a block are in the order of time, and what they say of a warp only grows: the first
 * one from the end that the reader can know of decides, for the warp and for all. */
bool kds_race_published(const kds_race *q, uint32_t serial, uint32_t warp, uint32_t tick,
                        uint32_t outer)
{
    bool own = false, all = false;
    for (uint32_t at = q->origins[serial].published; at != 0 && !(own && all);) {
        const kds_race_record *x = &q->records[at - 1];
        at = x->before;
        if (x->when > outer || (x->warp != warp && x->warp != ALL_WARPS))
            continue;
        if (x->upto >= tick)
            return true;
        own |= x->warp == warp;
        all |= x->warp == ALL_WARPS;
        if (x->when < tick)
            return false;
    }
    return false;
}

/* ---- Fences, releases, acquires ---- */

void kds_race_fence(kds_warp *w, uint32_t scope)
{
    kds_race_warp *v = state_of(w);
    uint32_t n = group_warps(w->run), own = w->block->rank * w->run->warp_count + w->index;
    memcpy(v->fence, v->known, n * sizeof *v->fence);
    v->fence[own] = w->run->race->tick;
    v->fence_published = 0;
    v->fence_base = w->block->race->base;
    w->block->race->fences = true;
    v->fence_scope = (uint8_t)(v->fenced ? later(v->fence_scope, scope) : scope);
    v->fenced = true;
    kds_race_advance(w->run->race);
}

/* `known` and, of the own block, `base` go into the object. *published: when that was made known to
 * other groups, 0 if not yet. */
static void release(kds_warp *w, kds_block *owner, uint64_t key, const uint32_t *known,
                    uint32_t base, uint32_t scope, uint32_t *published)
{
    kds_race *q = w->run->race;
    uint32_t n = group_warps(w->run), count = w->run->warp_count;
    uint32_t group = q->origins[w->block->race->serial].group, outer = state_of(w)->outer;
    kds_race_object *x = object_make(q, objects_of(w, owner), key);
    if (x == NULL)
        return;
    if (x->group != group)
        memset(x->known, 0, n * sizeof *x->known);
    x->group = group;
    for (uint32_t k = 0; k < n; k++)
        x->known[k] =
            later(x->known[k], k / count == w->block->rank ? later(known[k], base) : known[k]);
    x->outer = later(x->outer, later(outer, w->block->race->outer));
    if (scope >= KDS_SCOPE_GPU && *published == 0) {
        publish_known(w, known, base);
        *published = q->tick;
    }
    if (scope >= KDS_SCOPE_GPU)
        x->outer = later(x->outer, *published);
    kds_race_advance(q);
}

void kds_race_release(kds_warp *w, kds_block *owner, uint64_t object, uint32_t scope)
{
    kds_race_warp *v = state_of(w);
    uint32_t own = w->block->rank * w->run->warp_count + w->index;
    uint32_t published = 0;
    v->known[own] = w->run->race->tick;
    release(w, owner, object, v->known, w->block->race->base, scope, &published);
}

void kds_race_acquire(kds_warp *w, kds_block *owner, uint64_t object, uint32_t mask)
{
    kds_race *q = w->run->race;
    kds_race_warp *v = state_of(w);
    const kds_race_object *x = object_find(objects_of(w, owner), object);
    if (x == NULL)
        return;
    v->outer = later(v->outer, x->outer);
    if (x->group != q->origins[w->block->race->serial].group)
        return;
    uint32_t n = group_warps(w->run), own = w->block->rank * w->run->warp_count + w->index;
    for (uint32_t k = 0; k < n; k++)
        v->known[k] = later(v->known[k], x->known[k]);
    if (x->known[own] <= v->synced)
        return;
    uint32_t(*lanes)[KDS_LANES] = lanes_of(q, v);
    for (uint32_t l = 0; lanes != NULL && l < KDS_LANES; l++)
        for (uint32_t of = 0; (mask >> l & 1) != 0 && of < KDS_LANES; of++)
            lanes[of][l] = later(lanes[of][l], x->known[own]);
}

void kds_race_ordered(kds_warp *w, const kds_ins *i, kds_block *owner, uint64_t object,
                      uint32_t mask, kds_race_kind kind)
{
    kds_race_warp *v = state_of(w);
    if (kind != KDS_RACE_WRITE)
        kds_race_acquire(w, owner, object, mask);
    if (kind == KDS_RACE_READ)
        return;
    if (i->rounding >= KDS_ORDER_RELEASE)
        kds_race_release(w, owner, object, i->type2);
    else if (v->fenced)
        release(w, owner, object, v->fence, v->fence_base, v->fence_scope, &v->fence_published);
}
