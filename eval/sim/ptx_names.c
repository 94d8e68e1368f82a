/* Name tables of the parser (fixed buckets, chained; an entry never moves within the chain order,
 * so the newest of a name and scope wins) and its growing arrays. */
#include "eval/sim/ptx_parse.h"
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

bool kds_ptx_room(void *array, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return true;
    uint32_t want = *room < 8 ? 16 : *room + *room / 2;
    void *old;
    memcpy(&old, array, sizeof old);
    void *grown = realloc(old, want * size);
    if (grown == NULL)
        return false;
    memset((char *)grown + *room * size, 0, (want - *room) * size);
    memcpy(array, &grown, sizeof grown);
    *room = want;
    return true;
}

static uint32_t bucket_of(kds_ptx_name name, uint32_t scope)
{
    return (uint32_t)(XXH3_64bits_withSeed(name.text, name.len, scope) % KDS_PTX_BUCKETS);
}

bool kds_ptx_names_add(kds_ptx_names *n, kds_ptx_entry entry)
{
    if (!kds_ptx_room(&n->entries, n->count, &n->room, sizeof *n->entries))
        return false;
    uint32_t b = bucket_of(entry.name, entry.scope);
    entry.next = n->buckets[b];
    n->entries[n->count++] = entry;
    n->buckets[b] = n->count;
    return true;
}

const kds_ptx_entry *kds_ptx_names_find(const kds_ptx_names *n, kds_ptx_name name, uint32_t scope)
{
    for (uint32_t i = n->buckets[bucket_of(name, scope)]; i != 0; i = n->entries[i - 1].next) {
        const kds_ptx_entry *entry = &n->entries[i - 1];
        if (entry->scope == scope && entry->name.len == name.len &&
            memcmp(entry->name.text, name.text, name.len) == 0)
            return entry;
    }
    return NULL;
}

void kds_ptx_names_clear(kds_ptx_names *n)
{
    n->count = 0;
    memset(n->buckets, 0, sizeof n->buckets);
}
