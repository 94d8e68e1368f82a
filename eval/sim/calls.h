/* Functions of a kernel and calls between them. The kernel and all functions that it may reach are
 * one array of code. Every function has registers of its own in the file of a warp; where a lane
 * calls a function that it is already in, those registers are saved. A lane's frame holds the
 * local variables of a function in local memory and its results, parameters and those of its calls
 * in an area of their own, both at places of the lane's own. */
#ifndef KDS_EVAL_SIM_CALLS_H
#define KDS_EVAL_SIM_CALLS_H

#include "eval/sim/ptx.h"

#define KDS_CALL_DEPTH 4096            /* frames of one lane */
#define KDS_CALL_PARAMS_CAP (1u << 20) /* bytes of parameters of one lane */
#define KDS_CALL_SAVED_CAP (2u << 20)  /* bytes of saved registers of one lane */
#define KDS_CALL_FUNCTIONS 4096        /* that one kernel may reach */
#define KDS_BY_ADDRESS UINT32_MAX
/* Where the addresses of functions lie in the generic address space; nothing else does. */
#define KDS_CODE_WINDOW (UINT64_C(4) << 32)

typedef enum kds_frame_kind { KDS_FRAME_LOCAL, KDS_FRAME_PARAMS, KDS_FRAME_KINDS } kds_frame_kind;

typedef enum kds_builtin { KDS_BUILTIN_NONE, KDS_BUILTIN_PRINT, KDS_BUILTIN_ASSERT } kds_builtin;

/* A piece of a frame's parameters. */
typedef struct kds_slice {
    uint32_t offset, bytes;
} kds_slice;

/* Slots of one size in the register file, side by side. */
typedef struct kds_slots {
    uint32_t offset, count;
} kds_slots;

/* Sizes of slots, by which registers are laid out: 8, 4, 2 bytes per lane, and predicates. */
#define KDS_SLOT_KINDS 4

typedef struct kds_function {
    const kds_ptx_function *source;
    char *missing;       /* why it cannot run; NULL if it can. Set only if it may be called by its
                            address: of others the kernel lacks what they lack */
    bool by_address;     /* reached by its address alone */
    uint32_t first, end; /* code */
    uint32_t local_bytes, param_bytes;   /* of its frame */
    uint32_t local_stride, param_stride; /* to the frame of a function that it calls */
    uint32_t formals;                    /* results, then parameters, in calls.slices */
    uint32_t first_slot[KDS_SLOT_KINDS]; /* while registers are being placed */
    kds_slots slots[KDS_SLOT_KINDS];
} kds_function;

/* One place that calls. */
typedef struct kds_call {
    uint32_t function; /* KDS_BY_ADDRESS: of each lane's own */
    kds_builtin builtin;
    uint32_t actuals; /* results, then arguments, in calls.slices */
    uint32_t return_count, formal_count;
} kds_call;

/* A variable in local memory. */
typedef struct kds_local {
    kds_ptx_name name;
    uint32_t function, offset, bytes;
} kds_local;

typedef struct kds_calls {
    kds_function *functions; /* the kernel itself is the first */
    uint32_t function_count, function_room;
    kds_call *sites;
    uint32_t site_count, site_room;
    kds_slice *slices;
    uint32_t slice_count, slice_room;
    kds_local *locals;
    uint32_t local_count, local_room;
    uint32_t *by_symbol; /* which function a symbol of the module is; KDS_BY_ADDRESS: none here */
    uint32_t symbol_count;
    uint32_t local_align;            /* the greatest of a local variable */
    int32_t frames[KDS_FRAME_KINDS]; /* slots in the register file; -1: no calls */
    bool used;                       /* it calls: warps need a stack */
} kds_calls;

static inline uint64_t kds_function_address(uint32_t symbol)
{
    return KDS_CODE_WINDOW + ((uint64_t)symbol + 1) * 16;
}

#endif
