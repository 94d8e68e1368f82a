/* What the parser of expressions hands to the evaluator: stack code. Private to the expr_*.c files.
 */
#ifndef KDS_BASE_EXPR_CODE_H
#define KDS_BASE_EXPR_CODE_H

#include "search/base/expr.h"

typedef enum kds_expr_op {
    KDS_EXPR_PUSH, /* value */
    KDS_EXPR_NAME, /* index of the name */
    /* one operand */
    KDS_EXPR_NEGATE,
    KDS_EXPR_NOT,
    KDS_EXPR_TRUTH, /* 0 or 1 */
    KDS_EXPR_ABS,
    KDS_EXPR_NEXT_POW2,
    KDS_EXPR_LOG2,
    /* two operands */
    KDS_EXPR_ADD,
    KDS_EXPR_SUBTRACT,
    KDS_EXPR_MULTIPLY,
    KDS_EXPR_DIVIDE,
    KDS_EXPR_REMAINDER,
    KDS_EXPR_SHIFT_LEFT,
    KDS_EXPR_SHIFT_RIGHT,
    KDS_EXPR_BIT_AND,
    KDS_EXPR_BIT_OR,
    KDS_EXPR_EQUAL,
    KDS_EXPR_NOT_EQUAL,
    KDS_EXPR_LESS,
    KDS_EXPR_LESS_EQUAL,
    KDS_EXPR_GREATER,
    KDS_EXPR_GREATER_EQUAL,
    KDS_EXPR_MIN,
    KDS_EXPR_MAX,
    KDS_EXPR_CEIL_DIV,
    KDS_EXPR_ALIGN_UP,
    /* control */
    KDS_EXPR_AND,          /* top false: make it 0 and jump; else pop */
    KDS_EXPR_OR,           /* top true: make it 1 and jump; else pop */
    KDS_EXPR_BRANCH_FALSE, /* pop; jump if it was false */
    KDS_EXPR_JUMP
} kds_expr_op;

typedef struct kds_expr_step {
    kds_expr_op op;
    uint16_t column;     /* offset of the operator in the text */
    uint16_t start, end; /* the subexpression's bytes in the text */
    int target;          /* of a jump, or index of a name */
    kds_value value;     /* PUSH */
} kds_expr_step;

/* Values that can be pending: 9 for each level of nesting (a left operand for each level of
 * precedence between | and *, and an argument), and the operands in hand. */
#define KDS_EXPR_STACK (KDS_EXPR_DEPTH_CAP * 9 + 16)

struct kds_expr {
    char *text;
    kds_expr_step *steps;
    int step_count;
    char **names;
    int name_count;
};

/* Applies an operator of one or two operands. NULL, or why it has no value: "division by zero". */
const char *kds_expr_apply_unary(kds_expr_op op, kds_value a, kds_value *out);
const char *kds_expr_apply_binary(kds_expr_op op, kds_value a, kds_value b, kds_value *out);
bool kds_expr_truth(kds_value v);

#endif
