/* Data races: two accesses of one place by different threads, at least one of them a store, at
 * least one of them neither atomic nor ordered, that nothing orders. What orders is decided by
 * vector clocks of warps; what was done to each place is remembered in shadow cells.
 *
 * Time is one counter of the memory, the tick. It moves whenever something synchronises and
 * whenever another block gets its turn, so a tick belongs to one block, and everything that a warp
 * did before an event has a tick up to the event's. "Warp V knows warp W up to tick t" then says
 * that all that W did up to t happened before what V does now.
 *
 * A cell stands for the smallest piece that any instruction of the kernel accesses (1 to 16 bytes),
 * so that an access is always of whole cells. A place has the last write and the last reads of two
 * different warps; each of them is an access that did happen, so nothing is reported that is not
 * there, and a reader that two others displaced is what can be missed. */
#ifndef KDS_EVAL_SIM_RACE_H
#define KDS_EVAL_SIM_RACE_H

#include "eval/sim/machine.h"

/* 63: 0, 62-32: tick, 31: atomic or ordered, 30-26: warp in its block, 25-21 and 20-16: first and
 * last lane, 15-0: instruction (0xffff: one beyond). 0: nothing yet. */
typedef int64_t kds_cell;
#define KDS_CELL_STRONG (UINT64_C(1) << 31)
#define KDS_CELL_WHO UINT64_C(0x7fff0000)
#define KDS_CELL_WARP UINT64_C(0x7c000000)
#define KDS_CELL_LANE UINT64_C(0x00210000) /* times a lane */
#define KDS_CELL_FIRST_SHIFT 21
#define KDS_CELL_LAST_SHIFT 16
#define KDS_CELL_INS 0xffffu
#define KDS_RACE_TICKS (UINT32_C(0x7fffffff))

/* Cells above it are later than the tick. */
static inline kds_cell kds_cell_limit(uint32_t tick)
{
    return (kds_cell)((uint64_t)tick << 32 | 0xffffffffu);
}

/* The cells of one area: who wrote last, who read last, and which other warp before. */
typedef struct kds_cells {
    kds_cell *written, *read, *read_before;
} kds_cells;

/* Of a page of global memory. Cells of earlier launches have earlier ticks. */
typedef struct kds_race_page {
    uint32_t shift;      /* bytes per cell, as a power of two */
    uint32_t generation; /* of the memory's ticks */
    uint32_t read_tick;  /* of the latest read */
    kds_cell cells[];
} kds_race_page;

/* A place that threads synchronise through: what who acquires it learns. */
typedef struct kds_race_object {
    uint64_t key;
    uint32_t group; /* that `known` is of */
    uint32_t outer;
    uint32_t known[]; /* by warp of the group */
} kds_race_object;

typedef struct kds_race_objects {
    kds_race_object **slots; /* open addressing; NULL: free */
    uint32_t count, room;
} kds_race_objects;

typedef struct kds_race_warp {
    uint32_t synced; /* up to here every lane knows every other one of its warp */
    uint32_t outer;  /* knows what blocks published up to then */
    uint32_t *known; /* by warp of the group */
    bool fenced;
    uint8_t fence_scope;
    uint32_t fence_base;          /* what its block knew of itself at the fence */
    uint32_t fence_published;     /* when other groups could learn it; 0: not yet */
    uint32_t *fence;              /* what the warp knew */
    uint32_t (*lanes)[KDS_LANES]; /* [of][for]: beyond `synced`; NULL: nothing */
    uint32_t arrived;             /* tick at the arrival at the cluster's barrier */
    uint32_t opened;              /* the same of the barrier that opened last */
} kds_race_warp;

/* Who arrived at a barrier without waiting. */
typedef struct kds_race_barrier {
    uint32_t *known; /* NULL: nobody */
    uint32_t outer;
    bool any;
} kds_race_barrier;

struct kds_race_block {
    uint32_t serial;    /* index of what the launch remembers of it */
    uint32_t start;     /* older cells are of what ran here before */
    uint32_t base;      /* all warps of the block know each other up to here */
    uint32_t outer;     /* all of them know what was published up to here */
    uint32_t read_tick; /* latest read of its shared memory */
    uint32_t waited;    /* warps that have left the cluster's last barrier */
    kds_cell limit;     /* cells up to it are ordered before anything in the block */
    bool fences;        /* some warp has fenced since warps last exchanged that */
    bool remote;        /* other blocks use its shared memory: every cell is looked at closely */
    kds_cells shared;
    kds_race_objects objects; /* in its shared memory */
    kds_race_barrier barriers[KDS_BARRIERS];
    kds_race_warp warps[];
};

/* What is remembered of a block to the end of the launch. */
typedef struct kds_race_origin {
    uint64_t number;
    uint32_t group; /* serial of the group's first block */
    uint32_t rank;
    uint32_t published; /* its last record plus one; 0: none */
} kds_race_origin;

/* At tick `when` the block's warp (all: 0xffff) had published all that it did up to `upto`. */
typedef struct kds_race_record {
    uint32_t when, upto, before; /* before: the block's previous record plus one */
    uint16_t warp;
} kds_race_record;

/* From `tick` on block `serial` ran. */
typedef struct kds_race_slice {
    uint32_t tick, serial;
} kds_race_slice;

struct kds_race {
    kds_run *run;
    uint32_t tick, start;
    uint32_t slice;   /* tick at which the block at hand got its turn */
    uint32_t running; /* its serial */
    uint32_t shared_shift, global_shift;
    bool no_memory;
    bool full;       /* a cap is reached: the rest of the launch is not checked */
    uint8_t *strong; /* by instruction: a plain load that counts as ordered; NULL: none */
    kds_race_origin *origins;
    uint32_t origin_count, origin_room;
    kds_race_record *records;
    uint32_t record_count, record_room;
    kds_race_slice *slices;
    uint32_t slice_count, slice_room;
    kds_race_objects objects; /* in global memory */
    kds_sim_result *deferred; /* NULL: none */
};

typedef enum kds_race_kind { KDS_RACE_READ, KDS_RACE_WRITE, KDS_RACE_ATOMIC } kds_race_kind;

/* ---- The launch and its blocks. False: out of memory. ---- */
bool kds_race_open(kds_run *r);
void kds_race_close(kds_run *r);
bool kds_race_block_create(kds_block *b);
void kds_race_block_free(kds_block *b);
bool kds_race_block_begin(kds_block *b);
/* The block gets its turn. */
void kds_race_turn(kds_block *b);

/* ---- Accesses of one lane that are in bounds, before memory changes. `data`: what a store stores
 * (NULL: counts as another value). KDS_STEP_FAULT with the report if it races. ---- */
kds_step kds_race_shared(kds_warp *w, const kds_ins *i, uint32_t lane, kds_block *owner,
                         uint32_t at, uint32_t bytes, kds_race_kind kind, const void *data);
kds_step kds_race_global(kds_warp *w, const kds_ins *i, uint32_t lane, kds_page *p,
                         uint64_t address, uint32_t bytes, kds_race_kind kind, const void *data);
/* The cells of a page; NULL if out of memory. */
kds_race_page *kds_race_page_cells(kds_race *q, kds_page *p);

/* A read of what nobody wrote, noted in run->fault, waits: if the launch ends without a race, it is
 * what is reported. */
kds_step kds_race_defer(kds_warp *w);
static inline kds_step kds_race_unwritten(kds_warp *w)
{
    return w->run->race != NULL ? kds_race_defer(w) : KDS_STEP_FAULT;
}
/* At the end of the launch: such a read, if there was one and no race. */
void kds_race_settle(kds_run *r, kds_step *s, kds_sim_result *out);

/* ---- What orders ---- */
/* A place that threads synchronise through, at an offset in the shared memory of a block (`owner`)
 * or a global address (owner NULL). Places of one 8-byte unit count as one. */
static inline uint64_t kds_race_object_at(uint64_t address)
{
    return address / 8;
}
/* The warp makes all that it knows and did known to those that acquire the object later: what an
 * mbarrier's arrival does, or a store with release semantics. */
void kds_race_release(kds_warp *w, kds_block *owner, uint64_t object, uint32_t scope);
/* Lanes of `mask` learn what was released to the object: a completed wait of an mbarrier. */
void kds_race_acquire(kds_warp *w, kds_block *owner, uint64_t object, uint32_t mask);
/* An atomic or ordered access of lanes; owner NULL: global memory. */
void kds_race_ordered(kds_warp *w, const kds_ins *i, kds_block *owner, uint64_t object,
                      uint32_t mask, kds_race_kind kind);
void kds_race_fence(kds_warp *w, uint32_t scope);
void kds_race_warpsync(kds_warp *w, uint32_t mask);
/* A warp comes to barrier `id` without waiting (bar.arrive). */
void kds_race_arrive(kds_warp *w, uint32_t id);
/* Barrier `id` opens for the warps of a mask. `counted`: for a number of them, not for all that are
 * left of the block. */
void kds_race_opens(kds_block *b, uint32_t id, uint32_t waiting, bool counted);
void kds_race_cluster_arrive(kds_warp *w, bool releases);
void kds_race_cluster_opens(kds_group *g);
/* The warp goes on after the cluster's barrier. */
void kds_race_cluster_left(kds_warp *w);

/* ---- Between race.c and race_order.c ---- */
void kds_race_advance(kds_race *q);
/* Has block `serial` published what its warp did up to `tick`, at a time that the reader knows? */
bool kds_race_published(const kds_race *q, uint32_t serial, uint32_t warp, uint32_t tick,
                        uint32_t outer);
void kds_race_objects_clear(kds_race_objects *o);

#endif
