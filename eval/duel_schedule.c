/* The draws come in a fixed order from a stream of their own for every attempt and row. */
#include "eval/duel_schedule.h"

#include "search/base/random.h"

static uint64_t decision(int attempt, int row)
{
    return (uint64_t)(uint32_t)attempt << 32 | (uint32_t)row;
}

kds_duel_draw kds_duel_schedule(uint64_t seed, int attempt, int row)
{
    kds_random r = kds_random_stream(seed, decision(attempt, row), "duel");
    kds_duel_draw d;
    d.child_first = kds_random_below(&r, 2) == 1;
    d.child_loads_first = kds_random_below(&r, 2) == 1;
    for (int i = 0; i < 2; i++)
        d.spacers[i] = (int)kds_random_below(&r, KDS_DUEL_SPACERS + 1);
    uint64_t places = KDS_DUEL_OFFSET_MOST / KDS_DUEL_OFFSET_STEP;
    d.offset = (int64_t)kds_random_below(&r, places) * KDS_DUEL_OFFSET_STEP;
    d.checked = kds_random_unit(&r);
    d.turn = kds_random_unit(&r);
    d.window = kds_random_unit(&r);
    return d;
}

int kds_duel_visit_arm(const kds_duel_draw *d, int visit)
{
    int outer = visit == 0 || visit == KDS_DUEL_VISITS - 1;
    return outer == (int)d->child_first;
}

const char *kds_duel_visit_order(const kds_duel_draw *d)
{
    return d->child_first ? "BAAB" : "ABBA";
}

void kds_duel_order(uint64_t seed, int attempt, int row, int *order, int count)
{
    kds_random r = kds_random_stream(seed, decision(attempt, row), "duel sets");
    for (int i = 0; i < count; i++) {
        int k = (int)kds_random_below(&r, (uint64_t)i + 1);
        order[i] = order[k];
        order[k] = i;
    }
}
