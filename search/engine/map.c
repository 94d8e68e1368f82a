/* Two small hash tables of the state: ids to decisions, and cell keys to places in the dense array
 * of cells. Linear probing, at most half full; nothing is ever removed. */
#include "search/engine/state_internal.h"

#include <stdlib.h>

kds_map *kds_map_create(void)
{
    return calloc(1, sizeof(kds_map));
}

void kds_map_free(kds_map *m)
{
    if (m)
        free(m->items);
    free(m);
}

/* The place of `id`, or the free place where it would go. */
static size_t map_place(const kds_map *m, kds_id id)
{
    size_t at = (size_t)id.low & (m->size - 1);
    while (m->items[at].decision >= 0 && !kds_id_equal(m->items[at].id, id))
        at = (at + 1) & (m->size - 1);
    return at;
}

static bool map_grow(kds_map *m)
{
    kds_map bigger = {.size = m->size ? m->size * 2 : 64, .count = m->count};
    if (!(bigger.items = malloc(bigger.size * sizeof *bigger.items)))
        return false;
    for (size_t i = 0; i < bigger.size; i++)
        bigger.items[i].decision = -1;
    for (size_t i = 0; i < m->size; i++)
        if (m->items[i].decision >= 0)
            bigger.items[map_place(&bigger, m->items[i].id)] = m->items[i];
    free(m->items);
    *m = bigger;
    return true;
}

bool kds_map_put(kds_map *m, kds_id id, int64_t decision)
{
    if (2 * (m->count + 1) > m->size && !map_grow(m))
        return false;
    size_t at = map_place(m, id);
    if (m->items[at].decision >= 0)
        return true;
    m->items[at].id = id;
    m->items[at].decision = decision;
    m->count++;
    return true;
}

int64_t kds_map_get(const kds_map *m, kds_id id)
{
    return m->size ? m->items[map_place(m, id)].decision : -1;
}

static uint32_t cell_place(const kds_state *s, uint64_t key)
{
    uint32_t at = (uint32_t)(key ^ key >> 32) & (s->cell_index_size - 1);
    while (s->cell_index[at] && s->cells[s->cell_index[at] - 1].key != key)
        at = (at + 1) & (s->cell_index_size - 1);
    return at;
}

kds_cell *kds_state_cell(const kds_state *s, uint64_t key)
{
    if (!s->cell_index_size)
        return NULL;
    uint32_t slot = s->cell_index[cell_place(s, key)];
    return slot ? &s->cells[slot - 1] : NULL;
}

static bool index_grow(kds_state *s)
{
    uint32_t size = s->cell_index_size ? s->cell_index_size * 2 : 64;
    uint32_t *bigger = calloc(size, sizeof *bigger);
    if (!bigger)
        return false;
    free(s->cell_index);
    s->cell_index = bigger;
    s->cell_index_size = size;
    for (int i = 0; i < s->cell_count; i++)
        s->cell_index[cell_place(s, s->cells[i].key)] = (uint32_t)i + 1;
    return true;
}

kds_cell *kds_state_cell_add(kds_state *s, uint64_t key)
{
    kds_cell *found = kds_state_cell(s, key);
    if (found)
        return found;
    if (s->cell_count == s->cell_room) {
        int room = s->cell_room ? s->cell_room * 2 : 64;
        kds_cell *more = realloc(s->cells, (size_t)room * sizeof *more);
        if (!more)
            return NULL;
        s->cells = more;
        s->cell_room = room;
    }
    if (2 * ((uint32_t)s->cell_count + 1) > s->cell_index_size && !index_grow(s))
        return NULL;
    kds_cell *c = &s->cells[s->cell_count];
    *c = (kds_cell){.key = key, .elite_decision = -1};
    s->cell_index[cell_place(s, key)] = (uint32_t)++s->cell_count;
    return c;
}
