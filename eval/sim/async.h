/* Asynchronous copies and mbarriers of a block. A copy moves its data when it is issued; what the
 * program may observe of it is kept here: bytes that a copy may still write are touched by nobody,
 * bytes that it may still read are written by nobody, until the wait that the copy's kind asks for.
 * Completion comes as late as it can: an mbarrier hears of a copy when somebody asks it. */
#ifndef KDS_EVAL_SIM_ASYNC_H
#define KDS_EVAL_SIM_ASYNC_H

#include "eval/sim/machine.h"

/* Arrivals that an mbarrier can expect, and bytes that can be under way. */
#define KDS_MBARRIER_CAP ((1u << 20) - 1)
/* Of a thing that its mbarrier has not heard of yet. */
#define KDS_NOT_DELIVERED UINT64_MAX
/* Groups of a warp whose time is remembered. */
#define KDS_TIMED_GROUPS 16

typedef struct kds_mbarrier {
    uint32_t at;                  /* in shared memory */
    const kds_ins *ins;           /* that initialised it */
    uint32_t expected, pending;   /* arrivals: of a whole phase, still to come in this one */
    int64_t tx;                   /* bytes still to come in this phase */
    uint64_t phase;               /* how many are complete */
    uint32_t undelivered, unseen; /* of the block's ties */
    bool live;
    double ready, complete; /* when traced: of this phase so far, of the last complete one */
} kds_mbarrier;

/* What an mbarrier is to hear of: bytes copied, or the copies of a thread before an arrival. */
typedef struct kds_tie {
    uint32_t barrier; /* index in the block */
    uint64_t phase;   /* in which it was heard; KDS_NOT_DELIVERED */
    const kds_ins *ins;
    kds_block *issuer;
    uint32_t thread;         /* that issued it, in its block */
    uint32_t at, len;        /* written here */
    uint32_t from, from_len; /* read in the issuer's shared memory; 0: nothing */
    uint32_t upto;           /* the first copies of the thread */
    bool arrives;            /* an arrival of cp.async.mbarrier.arrive */
    double ready;            /* when traced: when it is done */
} kds_tie;

/* The part of one cp.async that a lane issued and has not waited for. */
typedef struct kds_copy {
    const kds_ins *ins;
    uint32_t at, number, group; /* number and group: counted by lane */
    uint8_t lane, bytes;
} kds_copy;

/* A bulk copy out of shared memory whose source may still be read. */
typedef struct kds_bulk {
    const kds_ins *ins;
    uint32_t from, len, group;
    uint8_t lane;
} kds_bulk;

typedef struct kds_warp_async {
    uint32_t issued[KDS_LANES], groups[KDS_LANES], bulk_groups[KDS_LANES];
    kds_copy *copies;
    uint32_t copy_count, copy_room;
    kds_bulk *bulks;
    uint32_t bulk_count, bulk_room;
    /* When traced: of all copies so far, and of those committed with each group. */
    double copies_ready, groups_ready[KDS_TIMED_GROUPS];
    uint32_t timed_groups;
    double bulks_ready, bulk_groups_ready[KDS_TIMED_GROUPS];
    uint32_t timed_bulk_groups;
    /* Before the first failed poll of a row of them, which stands for all. */
    bool polling;
    double now, slots_issued, floor, slots;
} kds_warp_async;

struct kds_async {
    uint64_t *busy;    /* a bit per word of shared memory that nobody may touch */
    uint64_t *reading; /* that nobody may write */
    uint16_t *slots;   /* per 8 bytes: index of its mbarrier + 1 */
    kds_mbarrier *barriers;
    uint32_t barrier_count, barrier_room;
    kds_tie *ties;
    uint32_t tie_count, tie_room;
    /* Per word: who stored it last, and when, in fences of the cluster; 0: nobody since a copy.
     * NULL unless the kernel has bulk copies that read shared memory. */
    uint32_t *stores;
    uint32_t fences[KDS_WARPS];
    uint32_t fence_count;
    kds_warp_async *warps;
};

/* ---- Looking at pending bytes ---- */
static inline bool kds_words_any(const uint64_t *bits, uint32_t first, uint32_t end)
{
    uint32_t word = first / 64, last = (end - 1) / 64;
    uint64_t mask = ~UINT64_C(0) << first % 64;
    for (; word < last; word++, mask = ~UINT64_C(0))
        if ((bits[word] & mask) != 0)
            return true;
    return (bits[word] & mask & ~UINT64_C(0) >> (63 - (end - 1) % 64)) != 0;
}

/* May [at, at + len) of the block's shared memory not be touched, or not be written, now? */
static inline bool kds_async_pending(const kds_block *b, uint32_t at, uint32_t len, bool store)
{
    if (b->watched == 0)
        return false;
    uint32_t first = at / 4, end = (at + len + 3) / 4;
    return kds_words_any(b->async->busy, first, end) ||
           (store && kds_words_any(b->async->reading, first, end));
}

/* Says who has it. */
kds_step kds_async_fault(kds_warp *w, const kds_ins *i, uint32_t lane, kds_block *b, uint32_t at,
                         uint32_t len, bool store);

/* ---- In async.c ---- */
/* The block's state, made on first use; NULL if out of memory. */
kds_async *kds_async_of(kds_block *b);
void kds_async_reset(kds_block *b);
void kds_async_free(kds_block *b);
/* Marks what a lane's cp.async writes. False: out of memory. */
bool kds_async_copy(kds_warp *w, const kds_ins *i, uint32_t lane, uint32_t at, uint32_t bytes);
/* Is a cp.async of just these bytes pending? A second one that brings the same is harmless: whoever
 * waits for one of them may read. */
bool kds_async_same(const kds_block *b, uint32_t at, uint32_t bytes);
void kds_async_commit(kds_warp *w, uint32_t mask);
/* Until at most `left` committed groups are pending; `all`: and no copy outside of them. */
void kds_async_wait(kds_warp *w, uint32_t mask, uint32_t left, bool all);
/* Copies of a thread before its `upto`-th are complete. */
void kds_async_complete(kds_block *b, uint32_t thread, uint32_t upto);
void kds_async_mark(kds_block *b, uint32_t at, uint32_t len, bool writes);
/* Unmarks bytes that were being read, but for what other copies read of them. */
void kds_async_unmark_read(kds_block *b, uint32_t at, uint32_t len);

/* ---- In mbarrier.c. Addresses are shared ones, `lane` is for reports. ---- */
/* A token: the phase of an arrival above, the arrivals that were pending before it below. */
#define KDS_TOKEN_BITS 24
kds_step kds_mbarrier_find(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                           kds_block **b, kds_mbarrier **m);
/* init, inval, arrive, ...: `count` is the operand; *state the token of an arrival. */
kds_step kds_mbarrier_do(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                         uint32_t count, uint64_t *state);
typedef struct kds_answer {
    bool done;
    uint64_t seen; /* the state of the mbarrier, in one number */
    double ready;  /* when traced and done: since when */
} kds_answer;
/* Is the phase complete that a token or a parity names? */
kds_step kds_mbarrier_test(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                           uint64_t state, kds_answer *out);
/* Adds a tie to the mbarrier at index `t->barrier` of b. False: out of memory. */
bool kds_mbarrier_tie(kds_block *b, const kds_tie *t);
uint32_t kds_mbarrier_index(const kds_block *b, const kds_mbarrier *m);
/* What a warp waits for that polls in vain. */
kds_step kds_mbarrier_deadlock(kds_warp *w, const kds_ins *i);

/* ---- In bulk.c ---- */
/* The operands of one lane's bulk copy. */
typedef struct kds_bulk_operands {
    uint64_t to, from, barrier;
    uint32_t size;
    uint32_t ranks; /* blocks of the cluster to which a load goes; 0: where `to` says */
} kds_bulk_operands;
/* How a reduction of global memory combines two elements. */
typedef uint64_t kds_bulk_combine(const kds_ins *i, uint64_t old, uint64_t value);
kds_step kds_bulk_copy(kds_warp *w, const kds_ins *i, uint32_t lane, const kds_bulk_operands *o,
                       kds_bulk_combine *combine);
/* st.async: `len` bytes of one lane. */
kds_step kds_bulk_store_async(kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t to,
                              uint64_t barrier, const uint8_t *data, uint32_t len);
void kds_bulk_commit(kds_warp *w, uint32_t mask);
void kds_bulk_wait(kds_warp *w, uint32_t mask, uint32_t left);
/* fence.proxy.async. */
kds_step kds_bulk_fence(kds_warp *w);
/* Bytes of the block's shared memory were stored by ordinary means. */
void kds_bulk_stored(const kds_warp *w, kds_block *b, uint32_t at, uint32_t len);

/* ---- In trace.c ---- */
/* A copy of cp.async is under way; `hit`: of sectors that were read before. */
void kds_trace_copy(kds_warp *w, bool hit);
/* The warp waits until `left` groups are pending; `all`: for every copy. */
void kds_trace_groups(kds_warp *w, uint32_t left, bool all);
void kds_trace_bulk_groups(kds_warp *w, uint32_t left);
/* A poll of mbarriers; `ready` is when the last of them was complete. */
void kds_trace_poll(kds_warp *w, bool done, double ready);

#endif
