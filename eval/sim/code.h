/* A decoded kernel: compact instructions over byte offsets into a warp's register file. Registers
 * are stored lane by lane (32 elements of 2, 4 or 8 bytes side by side), predicates as one 32-bit
 * mask. Constants and special registers have slots of their own at the front of the file, so an
 * operand is always just an offset. */
#ifndef KDS_EVAL_SIM_CODE_H
#define KDS_EVAL_SIM_CODE_H

#include "eval/sim/calls.h"
#include "eval/sim/ops.h"
#include "eval/sim/ptx.h"

#define KDS_LANES 32
#define KDS_FULL 0xffffffffu
#define KDS_NO_REF INT32_MIN
#define KDS_SHARED_CAP (256u << 10) /* static + dynamic shared memory of a block */
#define KDS_LOCAL_CAP (512u << 10)  /* local memory of a thread */

/* Shared memory of the block with rank r of a cluster lies at (r + 1) times this in
 * shared::cluster; below it is the block's own. */
#define KDS_CLUSTER_STEP (UINT32_C(1) << 24)
#define KDS_CLUSTER_BLOCKS 16

/* Windows of the generic address space. */
#define KDS_SHARED_WINDOW (UINT64_C(1) << 32)
#define KDS_LOCAL_WINDOW (UINT64_C(2) << 32)
#define KDS_PARAM_WINDOW (UINT64_C(3) << 32)

enum {
    KDS_INS_GUARDED = 1,
    KDS_INS_GUARD_NEGATED = 2,
    KDS_INS_OWN_MASK = 4,
    KDS_INS_ENDS_RUN = 8,
    KDS_INS_LEADER = 16,
    KDS_INS_POLLS = 32,    /* an ordered load: may be what a loop waits by */
    KDS_INS_CLUSTER = 64,  /* may use shared memory of other blocks of the cluster */
    KDS_INS_CONSTANT = 128 /* loads what the launch does not write (.nc) */
};

/* Memory order of an access or fence (ins->rounding) and its scope (ins->type2). */
enum {
    KDS_ORDER_WEAK,
    KDS_ORDER_VOLATILE,
    KDS_ORDER_RELAXED,
    KDS_ORDER_ACQUIRE,
    KDS_ORDER_RELEASE,
    KDS_ORDER_ACQ_REL,
    KDS_ORDER_SC
};
enum { KDS_SCOPE_CTA, KDS_SCOPE_CLUSTER, KDS_SCOPE_GPU, KDS_SCOPE_SYS };

/* Rounding modes of arithmetic; of conversions to integers the same four. */
enum { KDS_RN, KDS_RZ, KDS_RM, KDS_RP };
enum {
    KDS_MOD_FTZ = 1,
    KDS_MOD_SAT = 2,
    KDS_MOD_RELU = 4,
    KDS_MOD_NAN = 8,
    KDS_MOD_SATFINITE = 16,
    KDS_MOD_ROUND_INTEGRAL = 32,
    KDS_MOD_RNA = 64
};

typedef enum kds_compare {
    KDS_EQ,
    KDS_NE,
    KDS_LT,
    KDS_LE,
    KDS_GT,
    KDS_GE,
    KDS_EQU,
    KDS_NEU,
    KDS_LTU,
    KDS_LEU,
    KDS_GTU,
    KDS_GEU,
    KDS_NUM,
    KDS_NAN
} kds_compare;
/* How setp and set combine with their last operand. */
enum { KDS_COMBINE_NONE, KDS_COMBINE_AND, KDS_COMBINE_OR, KDS_COMBINE_XOR };

typedef enum kds_atom_op {
    KDS_ATOM_ADD,
    KDS_ATOM_MIN,
    KDS_ATOM_MAX,
    KDS_ATOM_AND,
    KDS_ATOM_OR,
    KDS_ATOM_XOR,
    KDS_ATOM_EXCH,
    KDS_ATOM_CAS,
    KDS_ATOM_INC,
    KDS_ATOM_DEC
} kds_atom_op;

/* What an mbarrier instruction does (ins->compare). */
enum {
    KDS_MBARRIER_INIT,
    KDS_MBARRIER_INVAL,
    KDS_MBARRIER_ARRIVE,
    KDS_MBARRIER_DROP,
    KDS_MBARRIER_EXPECT,
    KDS_MBARRIER_COMPLETE,
    KDS_MBARRIER_COPIES /* cp.async.mbarrier.arrive */
};
/* How (ins->mods). */
enum { KDS_MBARRIER_TX = 1, KDS_MBARRIER_NO_COMPLETE = 2, KDS_MBARRIER_NO_INC = 4 };
/* ins->mods of a wait: for a parity, not a token. */
enum { KDS_MBARRIER_PARITY = 1 };
/* ins->combine of a bulk copy: where from and to. */
enum { KDS_BULK_LOAD, KDS_BULK_EXCHANGE, KDS_BULK_STORE };

typedef enum kds_pipe {
    KDS_PIPE_NONE,
    KDS_PIPE_FP32,
    KDS_PIPE_ALU,
    KDS_PIPE_FP16,
    KDS_PIPE_FP64,
    KDS_PIPE_XU,
    KDS_PIPE_LSU,
    KDS_PIPE_TENSOR,
    KDS_PIPE_CONTROL,
    KDS_PIPE_COUNT
} kds_pipe;

/* What a consumer of the result waits for, for the dependency timing. */
typedef enum kds_wait {
    KDS_WAIT_NONE,
    KDS_WAIT_ALU,
    KDS_WAIT_FP32,
    KDS_WAIT_FP64,
    KDS_WAIT_XU,
    KDS_WAIT_SHARED,
    KDS_WAIT_GLOBAL,
    KDS_WAIT_ATOMIC,
    KDS_WAIT_SHUFFLE,
    KDS_WAIT_TENSOR
} kds_wait;

typedef struct kds_ins {
    uint16_t op;
    uint8_t flags;
    uint8_t result_bytes; /* per lane of d; 0: none, or a predicate */
    uint8_t compare;      /* kds_compare, kds_atom_op, or another choice of the handler */
    uint8_t combine;      /* KDS_COMBINE_* of setp, sub-mode of others */
    uint8_t rounding, mods;
    uint8_t type, type2; /* kds_ptx_type of the result, of the source */
    uint8_t bytes;       /* memory: per element */
    uint8_t elements;    /* memory and vector moves */
    uint8_t space;
    uint8_t pipe, weight,
        xu; /* SASS instructions that it stands for, roughly: on its pipe, on XU */
    uint8_t wait;
    uint8_t listed, defined; /* references in the list; the first `defined` of them are results */
    int32_t guard, d, d2, a, b, c, x; /* references before allocation, byte offsets after */
    uint32_t list;                    /* first of `listed` references in kernel->list */
    uint32_t target;                  /* instruction, or first in kernel->jumps */
    uint32_t run_end, block_end;      /* next instruction that ends a run, next leader */
    uint32_t used_bytes;              /* mask of the bytes of a load that are used; 0: all */
    uint32_t line, source_line;
    int32_t memo; /* slot for an address pattern, -1 if none */
    int64_t imm;  /* address offset, immediate */
    kds_ptx_name opcode;
} kds_ins;

typedef enum kds_const_kind {
    KDS_CONST_BITS,    /* bits in every lane */
    KDS_CONST_SYMBOL,  /* address of module symbol `index` plus bits */
    KDS_CONST_SPECIAL, /* special register `index` */
    KDS_CONST_FRAME /* where the frame of each lane begins, see calls.h; `index` of kds_frame_kind
                     */
} kds_const_kind;

/* Special registers that do not change while a block runs. */
typedef enum kds_special {
    KDS_TID_X,
    KDS_TID_Y,
    KDS_TID_Z,
    KDS_NTID_X,
    KDS_NTID_Y,
    KDS_NTID_Z,
    KDS_CTAID_X,
    KDS_CTAID_Y,
    KDS_CTAID_Z,
    KDS_NCTAID_X,
    KDS_NCTAID_Y,
    KDS_NCTAID_Z,
    KDS_LANEID,
    KDS_WARPID,
    KDS_NWARPID,
    KDS_SMID,
    KDS_NSMID,
    KDS_GRIDID,
    KDS_LANEMASK_EQ,
    KDS_LANEMASK_LE,
    KDS_LANEMASK_LT,
    KDS_LANEMASK_GE,
    KDS_LANEMASK_GT,
    KDS_DYNAMIC_SMEM_SIZE,
    KDS_TOTAL_SMEM_SIZE,
    KDS_CLUSTER_CTAID_X,
    KDS_CLUSTER_CTAID_Y,
    KDS_CLUSTER_CTAID_Z,
    KDS_CLUSTER_NCTAID_X,
    KDS_CLUSTER_NCTAID_Y,
    KDS_CLUSTER_NCTAID_Z,
    KDS_CLUSTERID_X,
    KDS_CLUSTERID_Y,
    KDS_CLUSTERID_Z,
    KDS_NCLUSTERID_X,
    KDS_NCLUSTERID_Y,
    KDS_NCLUSTERID_Z,
    KDS_CLUSTER_CTARANK,
    KDS_CLUSTER_NCTARANK,
    KDS_IS_EXPLICIT_CLUSTER,
    KDS_WORKSPACE_HIGH, /* %envreg1 and 2: where grid synchronisation keeps its state */
    KDS_WORKSPACE_LOW
} kds_special;

typedef struct kds_const {
    uint8_t kind, bytes; /* 2, 4, 8; 0: a predicate */
    int32_t index;
    uint64_t bits;
    int32_t offset; /* in the register file */
} kds_const;

typedef struct kds_kernel {
    char *name;
    char *missing; /* what is not simulated; NULL if it can run */
    kds_ins *code; /* ends with an exit */
    uint32_t code_count, code_room;
    int32_t *list; /* references of vector operands */
    uint32_t list_count, list_room;
    uint32_t *jumps; /* of brx */
    uint32_t jump_count, jump_room;
    kds_const *consts;
    uint32_t const_count, const_room;
    uint32_t file_bytes;   /* of one warp's registers */
    uint32_t shared_bytes; /* static */
    uint32_t dynamic_align;
    uint32_t local_bytes;
    uint32_t param_bytes;
    uint32_t memo_count;
    uint32_t max_threads, required[3];
    bool talks; /* blocks may learn of each other, or of time: atomics, ordered accesses, clocks */
    uint32_t cluster[3]; /* .reqnctapercluster; 0: none */
    bool reads_async;    /* has bulk copies that read shared memory */
    kds_calls calls;
} kds_kernel;

static inline int kds_type_bytes(int type)
{
    return type <= KDS_PTX_PRED     ? 0
           : type <= KDS_PTX_S8     ? 1
           : type <= KDS_PTX_BF16   ? 2
           : type <= KDS_PTX_BF16X2 ? 4
           : type <= KDS_PTX_F64    ? 8
                                    : 16;
}

/* Offset of vector element k of an instruction. */
static inline int32_t kds_ins_element(const kds_kernel *k, const kds_ins *i, int element)
{
    return k->list[i->list + (uint32_t)element];
}

#endif
