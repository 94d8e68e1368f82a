/* The state of a running launch: warps, the block that runs, counts. All of it is explicit, so a
 * warp can stop anywhere and go on later. */
#ifndef KDS_EVAL_SIM_MACHINE_H
#define KDS_EVAL_SIM_MACHINE_H

#include "eval/sim/code.h"
#include "eval/sim/memory.h"

#define KDS_WARPS 32
#define KDS_BARRIERS 16
#define KDS_BLOCK_CONSTS 32       /* ten special registers, of 2 or 4 bytes */
#define KDS_RESIDENT_DEFAULT 4096 /* blocks */

/* What a handler returns. */
typedef enum kds_step {
    KDS_STEP_ON,
    KDS_STEP_FAULT,    /* run->fault says what */
    KDS_STEP_WAIT,     /* lanes named by a member mask are not here yet */
    KDS_STEP_NO_MEMORY /* ours */
} kds_step;

typedef struct kds_fault {
    kds_sim_status status;
    const kds_ins *ins;
    uint32_t lane;
    uint64_t address; /* as the space numbers it */
    uint32_t bytes;
    kds_ptx_space space;
    bool store;
    char text[1000]; /* instead of an address */
} kds_fault;

/* The lanes of a warp that are at one instruction. */
typedef struct kds_split {
    uint32_t at, mask;
    uint32_t depth; /* of calls */
    bool waits;     /* for others at the same place, or at a barrier */
} kds_split;

/* What the pipes of a scheduler are busy with, where warps of a block wait for each other. */
typedef enum kds_busy {
    KDS_BUSY_ISSUE,
    KDS_BUSY_ALU,
    KDS_BUSY_XU,
    KDS_BUSY_LSU,
    KDS_BUSY_COUNT
} kds_busy;

typedef enum kds_warp_state {
    KDS_WARP_READY,
    KDS_WARP_AT_BARRIER,
    KDS_WARP_AT_CLUSTER, /* waits for the barrier of its cluster */
    KDS_WARP_DONE
} kds_warp_state;

typedef struct kds_run kds_run;
typedef struct kds_block kds_block;
typedef struct kds_group kds_group;
typedef struct kds_race kds_race;
typedef struct kds_race_block kds_race_block;
typedef struct kds_async kds_async; /* async.h */

/* What a polling instruction (an ordered load, an atomic) gave last: a warp that gets the same
 * again and again spins, and lets others run. */
typedef struct kds_poll {
    const kds_ins *ins;
    uint64_t value;
} kds_poll;
#define KDS_POLLS 4
/* Polls without news after which a warp counts as spinning. */
#define KDS_SPIN 64
typedef struct kds_stack kds_stack; /* stack.h */
typedef struct kds_taint kds_taint; /* taint.h */

typedef struct kds_warp {
    uint8_t *file; /* registers */
    uint32_t mask; /* lanes that execute the instruction at hand */
    uint32_t live; /* lanes that have not exited */
    uint32_t carry;
    kds_run *run;
    kds_block *block;
    kds_split splits[KDS_LANES];
    int split_count;
    uint32_t from;             /* where the straight run that it is in began */
    uint32_t patience;         /* backward branches left before another split gets its turn */
    uint32_t favoured, favour; /* the lane let ahead when patience is out, for so many runs */
    kds_warp_state state;
    uint32_t polls; /* in a row that brought nothing new */
    kds_poll poll[KDS_POLLS];
    bool news;              /* a poll brought something new in this turn */
    bool at_cluster;        /* has arrived at the cluster's barrier, which is not complete yet */
    bool owes_wait;         /* has arrived at it and not waited since */
    uint32_t index;         /* in its block */
    uint32_t barrier;       /* at which it waits */
    const kds_ins *bar;     /* by which instruction */
    uint32_t awaited;       /* where the mbarrier lies that it polled last in vain */
    uint8_t *local;         /* words of all lanes side by side; NULL until touched */
    uint32_t *local_stored; /* for each byte of it, the lanes that have stored to it */
    uint32_t local_room;    /* bytes of each lane */
    kds_stack *stack;       /* NULL if the kernel calls nothing */
    uint32_t depth;         /* of the split at hand */
    double *ready; /* per 4 bytes of the file: when a result is there; NULL if not traced */
    double now;    /* cycle of the latest issue */
    double issued; /* issue slots taken */
    /* Tracing within a region, between two places that instructions do not move across. */
    double floor;         /* earliest cycle of an issue */
    double slots;         /* taken in the region */
    const kds_ins *load;  /* the last global load, while it is not known what it hit; else NULL */
    double load_issue;    /* when that was */
    uint64_t load_unique; /* distinct sectors read before it */
    uint64_t load_missed; /* sectors that its block had not found in the L1 before it */
    const kds_ins *predicated; /* what stands before it waits for `predicate` */
    double predicate;
    double stored;                     /* when it issued its last store to global memory */
    uint32_t l1_clock;                 /* lines that it has asked for */
    struct kds_flight *flight;         /* loads under way */
    double phase_busy[KDS_BUSY_COUNT]; /* of its pipes since the last barrier */
    union {
        struct {
            bool traced;
            bool tainted; /* a register holds what nobody wrote */
        };
        uint16_t watched; /* either */
    };
    kds_taint *taint;                  /* NULL: none has so far */
    _Alignas(64) uint8_t scratch[256]; /* a result before it is merged */
} kds_warp;

typedef struct kds_barrier {
    uint32_t arrived;  /* warps */
    uint32_t expected; /* warps; 0: all that live */
    uint32_t waiting;  /* mask of warps to wake */
    uint32_t count;    /* of a reduction: true predicates */
    bool all, any;
} kds_barrier;

/* An address pattern met before: offsets of the lanes to the first, and what follows from them. */
typedef struct kds_memo {
    _Alignas(64) uint32_t delta[KDS_LANES];
    uint32_t low;               /* address bits of the first lane that matter */
    uint32_t smallest, largest; /* of delta, as seen from the smallest */
    uint16_t wavefronts, ideal;
    bool used;
    uint8_t distinct;                          /* different addresses; 0: not looked at */
    uint8_t first[KDS_LANES], last[KDS_LANES]; /* lanes at each of them */
} kds_memo;

typedef struct kds_counts {
    uint64_t load_requests, load_sectors, store_requests, store_sectors, red_requests, red_sectors;
    uint64_t lines, store_lines;
    uint64_t shared_loads, shared_stores, shared_load_conflicts, shared_store_conflicts;
    uint64_t local_sectors, branches, divergent, barriers, warps, blocks, unique_loads,
        unique_stores;
} kds_counts;

typedef kds_step kds_run_warp(kds_warp *w, uint32_t quantum);

/* A resident block: everything that is its own, so that it can stop anywhere and go on later. */
struct kds_block {
    kds_run *run;
    kds_group *group;
    uint64_t number; /* linear, in the grid */
    uint32_t at[3];
    uint32_t rank; /* in its cluster */
    bool done;
    uint64_t budget; /* warp instructions left */
    uint8_t *shared;
    uint64_t *shared_stored; /* a bit per byte */
    uint32_t watched;        /* asynchronous copies and mbarriers that are to be heeded */
    kds_async *async;        /* NULL until used */
    kds_barrier barriers[KDS_BARRIERS];
    struct kds_l1 *l1; /* of a traced block; l1.h */
    kds_warp *warps;   /* run->warp_count */
    kds_race_block *race;
};

/* Blocks that start and run together: a cluster, or one block. */
struct kds_group {
    uint64_t number;    /* of the cluster, in the grid of clusters */
    kds_block **blocks; /* run->cluster_size, by rank */
    bool traced;
};

/* What a turn brought a block. */
typedef enum kds_turn {
    KDS_TURN_MOVED,
    KDS_TURN_STUCK, /* every warp waits or spins: only others can help */
    KDS_TURN_DONE
} kds_turn;

struct kds_run {
    const kds_kernel *kernel;
    kds_sim_memory *memory;
    const kds_sim_options *options;
    uint32_t grid[3], block[3], cluster[3];
    uint32_t cluster_size;
    uint32_t threads, warp_count, dynamic_shared, shared_bytes;
    uint64_t budget; /* warp instructions left */
    const uint8_t *params;
    uint64_t *const_bits;                    /* of the kernel's constants, addresses resolved */
    uint32_t block_consts[KDS_BLOCK_CONSTS]; /* those that change from block to block */
    uint32_t block_const_count;
    uint64_t workspace; /* of a cooperative launch: what grid synchronisation uses; else 0 */
    /* Resident groups in the order of their start, then spare ones. */
    kds_group **groups;
    uint32_t resident, group_count, group_room;
    kds_memo *memos;
    kds_counts counts;
    /* Differences of how often each instruction was executed, by warps and by threads. */
    int64_t *warp_runs, *thread_runs;
    kds_fault fault;
    kds_warp *warp; /* the one at hand */
    bool check_uninitialised;
    kds_race *race;       /* NULL: races are not looked for, or no longer */
    kds_race *race_state; /* to be freed */
    bool parallel;        /* other threads run blocks of the same launch */
    uint64_t clock;       /* warp instructions so far: what clock registers show */
    uint64_t polls;       /* without news, since anything moved */
    kds_run_warp *run_warp;
};

/* The warp loop, compiled once per instruction set. Runs until the warp is done, waits at a block
 * barrier, or has taken `quantum` branches. */
kds_run_warp kds_run_warp_baseline;
#if defined(__x86_64__)
kds_run_warp kds_run_warp_avx2;
#endif

/* ---- In block.c: what the loop calls on its rare ways ---- */
/* Every split waits: wakes those that may go on, or reports a deadlock within the warp. */
kds_step kds_warp_stuck(kds_warp *w);
/* The whole warp has come to a barrier instruction. */
kds_step kds_warp_barrier(kds_warp *w, const kds_ins *i, uint32_t mask);
/* Lanes have exited: others may have waited for them. */
void kds_warp_exited(kds_warp *w);

/* The whole warp has come to barrier.cluster.arrive or .wait. */
kds_step kds_warp_cluster(kds_warp *w, const kds_ins *i, uint32_t mask);

/* Runs the warps of a block in turn until it is done, or stuck, or, unless it is `alone`, has had
 * its share. */
kds_step kds_block_run(kds_block *b, bool alone, kds_turn *how);
/* Names who waits for what, when nobody can go on. */
kds_step kds_block_deadlock(kds_run *r);

/* ---- In resident.c ---- */
/* Addresses of the kernel's constants. False with `why` empty: out of memory. */
bool kds_run_resolve(kds_run *r, const kds_sim_module *m, char *why, size_t size);
/* Makes group `number` resident at its start: NULL if out of memory. */
kds_group *kds_group_start(kds_run *r, uint64_t number);
/* Takes resident group `index` out again. */
void kds_group_end(kds_run *r, uint32_t index);
void kds_groups_free(kds_run *r);

/* ---- In schedule.c ---- */
/* Groups to be run, in order. */
typedef struct kds_queue {
    const uint64_t *numbers; /* NULL: the number is the place in the queue */
    uint64_t next, end, all;
} kds_queue;
typedef struct kds_tracing {
    double cycles, longest;
    uint64_t blocks, l1_loads, l1_misses, l1_again;
    double again_lines;
} kds_tracing;
kds_step kds_run_queue(kds_run *r, kds_queue *q, kds_tracing *t);
/* Is the n-th group of a queue to be traced? */
bool kds_queue_traces(const kds_queue *q, const kds_sim_options *o, uint64_t n);
/* Runs all blocks asked for. */
kds_step kds_run_blocks(kds_run *r, kds_sim_result *out);

/* ---- In parallel.c ---- */
/* Can its blocks run on several cores, with the same results? */
bool kds_run_can_split(const kds_run *r);
/* As kds_run_queue, with the report of a fault: that of the first block that has one. */
kds_step kds_run_split(kds_run *r, kds_queue *q, kds_tracing *t, kds_sim_result *out);

/* ---- In launch.c ---- */
/* A run of the same launch with counts of its own; NULL if out of memory. */
kds_run *kds_run_clone(const kds_run *r);
/* Adds what was counted in `from`. */
void kds_run_merge(kds_run *to, const kds_run *from);
void kds_run_free(kds_run *r);

/* ---- In trace.c ---- */
bool kds_trace_begin(kds_block *b);
void kds_trace_end(kds_block *b, kds_tracing *t);
/* A traced warp loads `count` sectors from `sector` (address / 32) on. */
void kds_trace_sectors(kds_warp *w, uint64_t sector, unsigned count);
/* Warps of `mask` leave a barrier together. */
void kds_trace_barrier(kds_block *b, uint32_t mask);
void kds_trace_step(kds_warp *w, const kds_ins *i, uint32_t mask);

/* ---- In report.c ---- */
/* Notes a fault at an address; returns KDS_STEP_FAULT. */
kds_step kds_fault_at(kds_run *r, kds_sim_status s, const kds_ins *i, uint32_t lane,
                      kds_ptx_space space, uint64_t address, uint32_t bytes, bool store);
kds_step kds_fault_text(kds_run *r, kds_sim_status s, const kds_ins *i, uint32_t lane,
                        const char *fmt, ...) KDS_PRINTF(5, 6);
/* Where an address is, relative to its buffer or memory: "at byte 12 of x (1024 bytes)". */
void kds_fault_place(const kds_run *r, kds_ptx_space space, uint64_t address, uint32_t bytes,
                     char *out, size_t size);
void kds_report(const kds_run *r, const kds_warp *w, kds_sim_result *out);

#endif
