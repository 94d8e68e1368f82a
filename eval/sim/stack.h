/* The call stacks of a warp's lanes and their local memory. */
#ifndef KDS_EVAL_SIM_STACK_H
#define KDS_EVAL_SIM_STACK_H

#include "eval/sim/machine.h"
#include <string.h>

typedef struct kds_frame {
    uint32_t call; /* the instruction that called */
    uint32_t function;
    bool saved; /* the function's registers, which an outer frame of the lane needs again */
} kds_frame;

typedef struct kds_lane_stack {
    kds_frame *frames;
    uint32_t depth, room;
    uint8_t *saved;
    uint32_t saved_bytes, saved_room;
} kds_lane_stack;

struct kds_stack {
    kds_lane_stack lanes[KDS_LANES];
    uint8_t *params; /* words of all lanes side by side, as local memory */
    uint32_t params_room;
    uint32_t *active; /* frames of each function, by lane */
};

/* For a kernel that calls; false if memory is out. */
bool kds_stack_create(kds_warp *w);
void kds_stack_free(kds_warp *w);
/* A block begins: no frames but the kernel's, and nothing in local memory was written. */
void kds_stack_begin(kds_warp *w);

/* The lanes of `mask` execute the call at instruction `at`; to[] receives where each goes on. */
kds_step kds_stack_call(kds_warp *w, const kds_ins *i, uint32_t at, uint32_t mask, uint32_t *to);
/* They return from the functions that they are in. */
void kds_stack_return(kds_warp *w, uint32_t mask, uint32_t *to);
/* Splits at one instruction but at different depths become one; false if there are none. */
bool kds_stack_join(kds_warp *w);
/* Functions that are no code of the module: what printf and assert call. */
kds_step kds_builtin_call(kds_warp *w, const kds_ins *i, const kds_call *site, uint32_t lane);

/* Room for local memory of `bytes` per lane; false if memory is out. */
bool kds_local_reserve(kds_warp *w, uint32_t bytes);
/* Whether the bytes belong to the local variables of one frame of the lane. */
bool kds_local_holds(const kds_warp *w, uint32_t lane, uint64_t address, uint32_t bytes);
/* "at 4 bytes past the end of a (16 bytes), local memory of f" */
void kds_local_place(const kds_warp *w, uint32_t lane, uint64_t address, uint32_t bytes, char *out,
                     size_t size);

static inline uint64_t kds_frame_base(const kds_warp *w, kds_frame_kind kind, uint32_t lane)
{
    int32_t slot = w->run->kernel->calls.frames[kind];
    uint64_t base = 0;
    if (slot >= 0)
        memcpy(&base, w->file + slot + 8 * lane, sizeof base);
    return base;
}

/* Byte `address` of one lane among words of all lanes. */
static inline uint64_t kds_lane_byte(uint64_t address, uint32_t lane)
{
    return (address / 4 * KDS_LANES + lane) * 4 + address % 4;
}

#endif
