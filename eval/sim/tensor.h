/* What the decoder and the interpreter agree on about matrix instructions. Fields of kds_ins:
 *
 * mma, mma_f64, mma_int: `type` and `type2` of a and b, `compare` rows of a tile (8 or 16; 8
 * columns), `bytes` its depth k, `rounding` the products that are summed at a time, `elements` the
 * tiles, `combine` KDS_TENSOR_HALF_*, `mods` KDS_MOD_SATFINITE. The list has the results of all
 * tiles, then a, b and c of each tile. wmma.mma is one or two tiles, whose fragments lie as those
 * of mma.sync do.
 *
 * wmma_load, wmma_store: `type` a kds_tensor_role, `type2` how many elements a lane holds side by
 * side, `rounding` the blocks along k, `elements` the blocks that there are, `bytes` of an element,
 * `compare` whether memory runs across the lanes' elements, `b` the stride.
 *
 * ldmatrix, stmatrix: `elements` matrices, `compare` transposed. */
#ifndef KDS_EVAL_SIM_TENSOR_H
#define KDS_EVAL_SIM_TENSOR_H

typedef enum kds_tensor_type {
    KDS_TENSOR_F16,
    KDS_TENSOR_BF16,
    KDS_TENSOR_TF32,
    KDS_TENSOR_E4M3,
    KDS_TENSOR_E5M2,
    KDS_TENSOR_S8,
    KDS_TENSOR_U8,
    KDS_TENSOR_F64
} kds_tensor_type;

enum { KDS_TENSOR_HALF_C = 1, KDS_TENSOR_HALF_D = 2 };

/* How the blocks of a wmma fragment follow each other; a block has 8 lines, four lanes to each. */
typedef enum kds_tensor_role {
    KDS_TENSOR_ROWS,     /* 16 lines by k, as matrix a of mma.sync; perhaps twice */
    KDS_TENSOR_COLUMNS,  /* 8 lines by k, as matrix b; perhaps twice */
    KDS_TENSOR_SUM_WIDE, /* 16 lines by 8, and the next 8 */
    KDS_TENSOR_SUM_LONG  /* 16 lines by 8, and 16 more lines */
} kds_tensor_role;

#endif
