/* Islands: populations that search apart, the policy of several peers, as OpenEvolve has it: each
 * has a grid of its own, a child joins the island of its parents, and every so often the fittest of
 * each moves on to the next in a ring (there every 50 generations of an island). Fitness alone
 * decides, as there. Decision n draws from island n modulo their number. The task's own kernels
 * settle on every island. Kept only in a campaign whose parents come from islands. */
#include "search/engine/state_internal.h"

#include <stdlib.h>
#include <string.h>

#define MIGRATION_EVERY 50 /* decisions */

static kds_code settle(kds_island *island, const kds_cell *newcomer, kds_err *e)
{
    for (int i = 0; i < island->count; i++) {
        if (island->cells[i].key != newcomer->key)
            continue;
        if (newcomer->fitness > island->cells[i].fitness)
            island->cells[i] = *newcomer;
        return KDS_OK;
    }
    if (island->count == island->room) {
        int room = island->room ? island->room * 2 : 16;
        kds_cell *more = realloc(island->cells, (size_t)room * sizeof *more);
        if (!more)
            return kds_fail(e, KDS_NO_MEMORY, "out of memory while reading the record");
        island->cells = more;
        island->room = room;
    }
    island->cells[island->count++] = *newcomer;
    return KDS_OK;
}

kds_code kds_state_settle(kds_state *s, const kds_flight *f, const kds_cell *newcomer, kds_err *e)
{
    kds_code code = KDS_OK;
    bool everywhere = !f->parent_count; /* the baseline and the seeds */
    for (int i = 0; s->has_islands && i < KDS_ISLANDS && code == KDS_OK; i++)
        if (everywhere || i == f->island)
            code = settle(&s->islands[i], newcomer, e);
    return code;
}

kds_code kds_state_migrate(kds_state *s, int64_t decision, kds_err *e)
{
    kds_cell fittest[KDS_ISLANDS];
    bool moves[KDS_ISLANDS] = {false};
    kds_code code = KDS_OK;
    if (!s->has_islands || decision % MIGRATION_EVERY != 0)
        return KDS_OK;
    for (int i = 0; i < KDS_ISLANDS; i++) {
        const kds_island *from = &s->islands[i];
        for (int k = 0; k < from->count; k++)
            if (k == 0 || from->cells[k].fitness > fittest[i].fitness)
                fittest[i] = from->cells[k];
        moves[i] = from->count > 0;
    }
    for (int i = 0; i < KDS_ISLANDS && code == KDS_OK; i++)
        if (moves[i])
            code = settle(&s->islands[(i + 1) % KDS_ISLANDS], &fittest[i], e);
    return code;
}
