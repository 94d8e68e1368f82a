/* What a traced block finds in the L1, and the loads that a traced warp may have under way. */
#ifndef KDS_EVAL_SIM_L1_H
#define KDS_EVAL_SIM_L1_H

#include <stdbool.h>
#include <stdint.h>

#define KDS_L1_SETS 16384u
#define KDS_L1_WAYS 4u
#define KDS_FLIGHT_LOADS 64u

/* Warps of a block are taken to advance in step: the clock of each is the number of lines that it
 * has asked for, and a sector is still there if it was last asked for less than a warp's share of
 * the L1 ago, by whichever warp. The table is larger than any L1, so that it forgets nothing that
 * could still be there. */
typedef struct kds_l1 {
    uint64_t loads, misses, again; /* sectors; again: missed though its block had loaded it */
    double again_lines;            /* lines that a warp asked for before each of these, summed */
    struct {
        uint64_t sector; /* 0: none */
        uint32_t clock;
    } ways[KDS_L1_SETS][KDS_L1_WAYS];
} kds_l1;

void kds_l1_clear(kds_l1 *c);
/* Is the sector there? It is from now on. `lines`: the share. */
bool kds_l1_load(kds_l1 *c, uint64_t sector, uint32_t clock, uint32_t lines);

/* The compiler hoists loads only as far as there are registers for what they bring. */
typedef struct kds_flight {
    double arrives[KDS_FLIGHT_LOADS];
    uint16_t registers[KDS_FLIGHT_LOADS];
    uint32_t first, count, held;
} kds_flight;

/* A load of `registers` of the `room` is to issue at `issue`: when it can. */
double kds_flight_issue(kds_flight *f, double issue, uint32_t registers, uint32_t room);
void kds_flight_add(kds_flight *f, double arrives, uint32_t registers);

#endif
