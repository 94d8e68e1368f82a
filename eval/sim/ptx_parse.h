/* What the files of the parser share. The parser stops at the first error, which is sticky in
 * `bad`; every function returns false from then on. */
#ifndef KDS_EVAL_SIM_PTX_PARSE_H
#define KDS_EVAL_SIM_PTX_PARSE_H

#include "eval/sim/ptx.h"

#define KDS_PTX_BUCKETS 4096

typedef enum kds_ptx_meaning {
    KDS_MEANS_NOTHING,
    KDS_MEANS_REGISTER, /* value = first register of `count` (0: just the one name) */
    KDS_MEANS_SYMBOL,   /* value = index */
    KDS_MEANS_LABEL     /* value = instruction */
} kds_ptx_meaning;

typedef struct kds_ptx_entry {
    kds_ptx_name name;
    kds_ptx_meaning meaning;
    uint32_t scope, value, count, next;
} kds_ptx_entry;

typedef struct kds_ptx_names {
    kds_ptx_entry *entries;
    uint32_t count, room;
    uint32_t buckets[KDS_PTX_BUCKETS]; /* index + 1 */
} kds_ptx_names;

bool kds_ptx_names_add(kds_ptx_names *n, kds_ptx_entry entry);
/* The entry of that name in exactly that scope, or NULL. */
const kds_ptx_entry *kds_ptx_names_find(const kds_ptx_names *n, kds_ptx_name name, uint32_t scope);
void kds_ptx_names_clear(kds_ptx_names *n);

typedef struct kds_ptx_parser {
    kds_ptx *ptx;
    kds_ptx_lexer lexer;
    kds_ptx_token t; /* the next token */
    kds_err *e;
    kds_code bad;
    kds_ptx_names module_names; /* of symbols, scope 0 */
    kds_ptx_names local_names;  /* of the function being read */
    kds_ptx_function *function;
    uint32_t *scope_parent;  /* scope 0 is the function's */
    uint32_t *scope_call_at; /* where the .param variables of a scope begin */
    uint32_t scope_count, scope_room, scope_call_room, scope;
    int source_line;
    int main_file; /* first file number met in a .loc; 0 for none */
    uint32_t used_bytes_mask;
} kds_ptx_parser;

void kds_ptx_advance(kds_ptx_parser *p);
/* "PTX line 12: ..."; returns false. */
bool kds_ptx_fail(kds_ptx_parser *p, kds_code code, const char *fmt, ...) KDS_PRINTF(3, 4);
bool kds_ptx_no_memory(kds_ptx_parser *p);
bool kds_ptx_at(const kds_ptx_parser *p, char punct);
bool kds_ptx_accept(kds_ptx_parser *p, char punct);
bool kds_ptx_expect(kds_ptx_parser *p, char punct);
/* A whole number, with sign if `sign`. */
bool kds_ptx_integer(kds_ptx_parser *p, int64_t *out);
/* An immediate: integer, 0f, 0d or decimal floating point. */
bool kds_ptx_number(kds_ptx_parser *p, kds_ptx_operand *out);
/* Skips to the matching closing bracket of the opening one at hand. */
bool kds_ptx_skip_bracket(kds_ptx_parser *p);
bool kds_ptx_skip_pragma(kds_ptx_parser *p);
/* After the space word (.global, .shared, .param, ...): the declaration up to its ';' (not of a
 * parameter list). */
bool kds_ptx_variable(kds_ptx_parser *p, kds_ptx_space space, bool parameter);
bool kds_ptx_body(kds_ptx_parser *p);
kds_ptx_name kds_ptx_token_name(kds_ptx_token t);

#endif
