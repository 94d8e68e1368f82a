/* The L1 of a traced block, and loads under way. */
#include "eval/sim/l1.h"

#include <string.h>

void kds_l1_clear(kds_l1 *c)
{
    memset(c, 0, sizeof *c);
}

bool kds_l1_load(kds_l1 *c, uint64_t sector, uint32_t clock, uint32_t lines)
{
    uint64_t set = (sector * 0x9e3779b97f4a7c15u) >> 50;
    uint32_t oldest = 0, most = 0;
    c->loads++;
    for (uint32_t k = 0; k < KDS_L1_WAYS; k++) {
        uint32_t then = c->ways[set][k].clock;
        uint32_t away = clock > then ? clock - then : then - clock;
        if (c->ways[set][k].sector == sector) {
            c->ways[set][k].clock = clock;
            if (away <= lines)
                return true;
            c->misses++;
            c->again++;
            c->again_lines += away;
            return false;
        }
        if (c->ways[set][k].sector == 0)
            away = UINT32_MAX;
        if (away >= most) {
            most = away;
            oldest = k;
        }
    }
    c->misses++;
    c->ways[set][oldest].sector = sector;
    c->ways[set][oldest].clock = clock;
    return false;
}

double kds_flight_issue(kds_flight *f, double issue, uint32_t registers, uint32_t room)
{
    while (f->count > 0 && (f->count == KDS_FLIGHT_LOADS || f->held + registers > room)) {
        double there = f->arrives[f->first];
        issue = there > issue ? there : issue;
        f->held -= f->registers[f->first];
        f->first = (f->first + 1) % KDS_FLIGHT_LOADS;
        f->count--;
    }
    return issue;
}

void kds_flight_add(kds_flight *f, double arrives, uint32_t registers)
{
    uint32_t at = (f->first + f->count) % KDS_FLIGHT_LOADS;
    f->arrives[at] = arrives;
    f->registers[at] = (uint16_t)registers;
    f->held += registers;
    f->count++;
}
