/* The state of a running launch: warps, the block that runs, counts. All of it is explicit, so a
 * warp can stop anywhere and go on later. */
#ifndef KDS_EVAL_SIM_MACHINE_H
#define KDS_EVAL_SIM_MACHINE_H

#include "eval/sim/code.h"
#include "eval/sim/memory.h"

#define KDS_WARPS 32
#define KDS_BARRIERS 16

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
    char text[200]; /* instead of an address */
} kds_fault;

/* The lanes of a warp that are at one instruction. */
typedef struct kds_split {
    uint32_t at, mask;
    uint32_t depth; /* of calls */
    bool waits;     /* for others at the same place, or at a barrier */
} kds_split;

typedef enum kds_warp_state { KDS_WARP_READY, KDS_WARP_AT_BARRIER, KDS_WARP_DONE } kds_warp_state;

typedef struct kds_run kds_run;
typedef struct kds_stack kds_stack; /* stack.h */
typedef struct kds_taint kds_taint; /* taint.h */

typedef struct kds_warp {
    uint8_t *file; /* registers */
    uint32_t mask; /* lanes that execute the instruction at hand */
    uint32_t live; /* lanes that have not exited */
    uint32_t carry;
    kds_run *run;
    kds_split splits[KDS_LANES];
    int split_count;
    uint32_t patience;         /* backward branches left before another split gets its turn */
    uint32_t favoured, favour; /* the lane let ahead when patience is out, for so many runs */
    kds_warp_state state;
    uint32_t index;
    uint32_t barrier;       /* at which it waits */
    const kds_ins *bar;     /* by which instruction */
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
} kds_memo;

typedef struct kds_counts {
    uint64_t load_requests, load_sectors, store_requests, store_sectors, red_requests, red_sectors;
    uint64_t shared_loads, shared_stores, shared_load_conflicts, shared_store_conflicts;
    uint64_t local_sectors, branches, divergent, barriers, warps, blocks, unique_loads,
        unique_stores;
} kds_counts;

typedef kds_step kds_run_warp(kds_warp *w, uint32_t quantum);

struct kds_run {
    const kds_kernel *kernel;
    kds_sim_memory *memory;
    const kds_sim_options *options;
    uint32_t grid[3], block[3], block_at[3];
    uint32_t threads, warp_count, dynamic_shared;
    uint64_t budget, block_budget; /* warp instructions left */
    const uint8_t *params;
    /* Shared memory of the block that runs. */
    uint8_t *shared;
    uint64_t *shared_stored; /* a bit per byte */
    uint32_t shared_bytes;
    kds_warp warps[KDS_WARPS];
    kds_barrier barriers[KDS_BARRIERS];
    kds_memo *memos;
    kds_counts counts;
    /* Differences of how often each instruction was executed, by warps and by threads. */
    int64_t *warp_runs, *thread_runs;
    kds_fault fault;
    uint32_t warp_at; /* the warp at hand */
    bool check_uninitialised;
    uint64_t clock; /* warp instructions so far: what clock registers show */
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

/* Runs the block at run->block_at to its end. */
kds_step kds_run_block(kds_run *r);

/* ---- In trace.c ---- */
bool kds_trace_begin(kds_run *r);
double kds_trace_end(kds_run *r);
/* Warps of `mask` leave a barrier together. */
void kds_trace_barrier(kds_run *r, uint32_t mask);
void kds_trace_step(kds_warp *w, const kds_ins *i, uint32_t mask);

/* ---- In report.c ---- */
/* Notes a fault at an address; returns KDS_STEP_FAULT. */
kds_step kds_fault_at(kds_run *r, kds_sim_status s, const kds_ins *i, uint32_t lane,
                      kds_ptx_space space, uint64_t address, uint32_t bytes, bool store);
kds_step kds_fault_text(kds_run *r, kds_sim_status s, const kds_ins *i, uint32_t lane,
                        const char *fmt, ...) KDS_PRINTF(5, 6);
void kds_report(const kds_run *r, const kds_warp *w, kds_sim_result *out);

#endif
