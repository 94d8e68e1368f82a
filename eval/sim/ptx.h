/* The PTX text as a tree: what the parser makes and the decoder reads. Everything points into the
 * text, which must outlive the tree. */
#ifndef KDS_EVAL_SIM_PTX_H
#define KDS_EVAL_SIM_PTX_H

#include "search/base/err.h"

/* Caps of what a text may ask for; beyond them loading fails with KDS_TOO_LARGE. */
#define KDS_PTX_TEXT_CAP (16u << 20)
#define KDS_PTX_REGISTERS_CAP 200000
#define KDS_PTX_INSTRUCTIONS_CAP 400000
#define KDS_PTX_OPERANDS_CAP 4000000
#define KDS_PTX_SYMBOLS_CAP 100000
#define KDS_PTX_DATA_CAP (64u << 20) /* bytes of one variable, of all initialisers */
#define KDS_PTX_SCOPES_CAP 20000
#define KDS_PTX_ELEMENTS 8 /* of a vector operand */

typedef enum kds_ptx_token_kind {
    KDS_PTX_END,
    KDS_PTX_WORD, /* identifier, register, directive or opcode, with its dots and "::" */
    KDS_PTX_NUMBER,
    KDS_PTX_STRING,
    KDS_PTX_PUNCT
} kds_ptx_token_kind;

typedef struct kds_ptx_token {
    kds_ptx_token_kind kind;
    char punct; /* of KDS_PTX_PUNCT */
    const char *text;
    uint32_t len;
    int line;
} kds_ptx_token;

typedef struct kds_ptx_lexer {
    const char *at, *end;
    int line;
} kds_ptx_lexer;

void kds_ptx_lexer_init(kds_ptx_lexer *x, const char *text, size_t len);
kds_ptx_token kds_ptx_next(kds_ptx_lexer *x);
bool kds_ptx_is(kds_ptx_token t, const char *word);

/* A piece of the text. */
typedef struct kds_ptx_name {
    const char *text;
    uint32_t len;
} kds_ptx_name;

typedef enum kds_ptx_type {
    KDS_PTX_NO_TYPE,
    KDS_PTX_PRED,
    KDS_PTX_B8,
    KDS_PTX_U8,
    KDS_PTX_S8,
    KDS_PTX_B16,
    KDS_PTX_U16,
    KDS_PTX_S16,
    KDS_PTX_F16,
    KDS_PTX_BF16,
    KDS_PTX_B32,
    KDS_PTX_U32,
    KDS_PTX_S32,
    KDS_PTX_F32,
    KDS_PTX_F16X2,
    KDS_PTX_BF16X2,
    KDS_PTX_B64,
    KDS_PTX_U64,
    KDS_PTX_S64,
    KDS_PTX_F64,
    KDS_PTX_B128
} kds_ptx_type;
/* "u32" or ".u32"; KDS_PTX_NO_TYPE if it is none. */
kds_ptx_type kds_ptx_type_parse(const char *text, size_t len);
int kds_ptx_type_size(kds_ptx_type t); /* bytes; 0 for a predicate */

typedef enum kds_ptx_space {
    KDS_SPACE_GENERIC,
    KDS_SPACE_GLOBAL,
    KDS_SPACE_SHARED,
    KDS_SPACE_LOCAL,
    KDS_SPACE_PARAM,
    KDS_SPACE_CONST
} kds_ptx_space;

/* A place in initial data that holds the address of another variable. */
typedef struct kds_ptx_reloc {
    uint64_t offset;
    uint32_t bytes;
    kds_ptx_name symbol;
    int64_t add;
} kds_ptx_reloc;

/* A variable or a parameter. */
typedef struct kds_ptx_symbol {
    kds_ptx_name name;
    kds_ptx_space space;
    uint32_t align;
    uint64_t bytes;  /* 0 for an array of unknown size (dynamic shared memory) */
    uint64_t offset; /* of a parameter */
    uint8_t *data;   /* initial content, `bytes` long; NULL: zero */
    kds_ptx_reloc *relocs;
    uint32_t reloc_count, reloc_room;
    bool is_function;
    uint32_t function;  /* of a function: its definition, or its declaration if there is none */
    bool address_taken; /* of a function: other than to call it directly */
    bool for_call;      /* a .param variable of a body: an argument or a result of a call there */
    bool has_data;      /* an initialiser was given */
    uint32_t next;      /* chain of the name table */
} kds_ptx_symbol;

typedef enum kds_ptx_operand_kind {
    KDS_OPERAND_REGISTER, /* index = register */
    KDS_OPERAND_INT,      /* value */
    KDS_OPERAND_F32,      /* value = bits */
    KDS_OPERAND_F64,      /* value = bits */
    KDS_OPERAND_SYMBOL,   /* index = symbol of the module, or ~index = of the function; + value */
    KDS_OPERAND_LABEL,    /* index = instruction */
    KDS_OPERAND_NAME,     /* not resolved: a special register, a label to come, or unknown */
    KDS_OPERAND_VECTOR,   /* index = first of `count` operands in the pool */
    KDS_OPERAND_ADDRESS,  /* index = the operand in the pool that is the base; value = offset */
    KDS_OPERAND_SINK,     /* "_" */
    KDS_OPERAND_LIST,     /* "(a, b)" of a call: index = first of `count` operands in the pool */
    KDS_OPERAND_OTHER     /* a form that we do not read (tensor coordinates) */
} kds_ptx_operand_kind;

typedef struct kds_ptx_operand {
    uint8_t kind;
    bool negated; /* "!p" */
    uint8_t count;
    bool piped; /* followed by '|': the second destination is the next operand */
    int32_t index;
    uint32_t scope; /* where a name was met */
    int64_t value;
    kds_ptx_name name;
} kds_ptx_operand;

typedef struct kds_ptx_instruction {
    kds_ptx_name opcode;
    int line, source_line;
    int32_t guard; /* register, -1 for none */
    bool guard_negated;
    uint8_t operand_count;
    uint32_t operands;        /* first in the pool */
    uint32_t used_bytes_mask; /* of the pragma before it; 0: all */
} kds_ptx_instruction;

/* A jump table: `name: .branchtargets a, b, c;` */
typedef struct kds_ptx_targets {
    kds_ptx_name name;
    uint32_t scope, first, count; /* operands in the pool */
} kds_ptx_targets;

typedef struct kds_ptx_function {
    kds_ptx_name name;
    bool is_entry, has_body;
    int line;
    uint32_t param_bytes;                /* of a .func: results, then parameters */
    uint32_t return_count, formal_count; /* the first symbols: results, then parameters */
    bool register_formals;               /* some of them are registers */
    uint32_t call_at, call_bytes;        /* room for the .param variables of the body */
    uint32_t max_threads;                /* .maxntid or .reqntid as a product; 0 if none */
    uint32_t required[3];                /* .reqntid; 0 if none */
    uint32_t cluster[3];                 /* .reqnctapercluster; 0 if none */
    kds_ptx_symbol *symbols;             /* parameters and variables of the body */
    uint32_t symbol_count, symbol_room;
    uint8_t *registers; /* type of each */
    uint32_t register_count, register_room;
    kds_ptx_instruction *code;
    uint32_t code_count, code_room;
    kds_ptx_operand *operands;
    uint32_t operand_count, operand_room;
    kds_ptx_targets *targets;
    uint32_t target_count, target_room;
} kds_ptx_function;

typedef struct kds_ptx {
    int version_major, version_minor;
    char target[32];
    kds_ptx_symbol *symbols; /* of the module */
    uint32_t symbol_count, symbol_room;
    kds_ptx_function *functions;
    uint32_t function_count, function_room;
    uint64_t data_bytes;
} kds_ptx;

KDS_MUST_USE kds_code kds_ptx_parse(kds_ptx **out, const char *text, size_t len, kds_err *e);
void kds_ptx_free(kds_ptx *p);

/* Makes room for one more of the items of a growing array: false if out of memory. */
bool kds_ptx_room(void *array, uint32_t count, uint32_t *room, size_t size);

#endif
