/* From the parsed tree to compact instructions. What the files of the decoder share. */
#ifndef KDS_EVAL_SIM_DECODE_H
#define KDS_EVAL_SIM_DECODE_H

#include "eval/sim/code.h"

#define KDS_SEGMENTS 16

typedef struct kds_decoder {
    const kds_ptx *ptx;
    const kds_ptx_function *function;
    kds_kernel *kernel;
    const kds_ptx_instruction *source;
    kds_ins ins; /* being built */
    /* The opcode cut at its dots; `at` is the next segment to be read. */
    kds_ptx_name segments[KDS_SEGMENTS];
    int segment_count, at;
    /* Virtual registers: those of the function, then ours. */
    uint8_t *registers; /* bytes per lane; 0 for a predicate; 16 for what we cannot hold */
    uint32_t register_count, register_room;
    uint8_t *mentions; /* of each register of the function among its operands: none, one, more */
    uint32_t *starts;  /* of each PTX instruction, the first of ours */
    uint32_t start_count, start_room;
    /* The function at hand: its number in the kernel, and where its own begin. */
    uint32_t at_function, register_base, start_base;
    bool calls_by_address;
    uint32_t *module_offsets, *function_offsets; /* of shared and local symbols; UINT32_MAX: none */
    uint32_t const_heads[256], *const_next, const_next_room;
    char
        why[200]; /* set when an instruction cannot be decoded for another reason than its opcode */
    bool no_memory;
} kds_decoder;

/* Decodes one function as a kernel. On KDS_OK *out may have `missing` set. */
KDS_MUST_USE kds_code kds_decode(kds_kernel *out, const kds_ptx *ptx, const kds_ptx_function *f,
                                 kds_err *e);
void kds_kernel_free(kds_kernel *k);

/* ---- Segments of the opcode ---- */
bool kds_accept(kds_decoder *d, const char *segment);
/* A segment that begins so (L1::no_allocate, L2::128B). */
bool kds_accept_prefix(kds_decoder *d, const char *prefix);
/* The index of the matching one of a NULL-terminated list, -1 if none matches. */
int kds_accept_of(kds_decoder *d, const char *const *list);
kds_ptx_type kds_accept_type(kds_decoder *d);
bool kds_all_read(const kds_decoder *d);

/* ---- Operands, by position; false and `why` if they do not fit ---- */
const kds_ptx_operand *kds_operand(const kds_decoder *d, int position);
int kds_operand_count(const kds_decoder *d);
/* bytes: 2, 4, 8 or 0 for a predicate. `real` tells that a literal is floating point. */
bool kds_use(kds_decoder *d, int position, int bytes, bool real, int32_t *ref);
bool kds_use_operand(kds_decoder *d, const kds_ptx_operand *o, int bytes, bool real, int32_t *ref);
bool kds_define(kds_decoder *d, int position, int bytes, int32_t *ref);
bool kds_define_operand(kds_decoder *d, const kds_ptx_operand *o, int bytes, int32_t *ref);
/* Bytes per lane of a register operand; -1 if it is none. */
int kds_register_bytes(const kds_decoder *d, const kds_ptx_operand *o);
bool kds_constant(kds_decoder *d, kds_const c, int32_t *ref);
bool kds_immediate(kds_decoder *d, int position, int64_t *value);
/* The address operand: base into ins->a (KDS_NO_REF: none), offset into ins->imm; its variable's
 * space if it names one, else KDS_SPACE_GENERIC, into *named. */
bool kds_address(kds_decoder *d, int position, kds_ptx_space *named);
/* One more register of ins->list: a source, or a result. Results come before sources; nothing may
 * be emitted between the first and the last. */
bool kds_list_add(kds_decoder *d, int32_t ref);
bool kds_list_define(kds_decoder *d, int32_t ref);
/* Appends d->ins to the code. */
bool kds_emit(kds_decoder *d);
/* The state space of the opcode; sets KDS_INS_CLUSTER for shared::cluster. */
bool kds_accept_space(kds_decoder *d, kds_ptx_space *space);
/* The space of the opcode against that of the variable named in the address. */
bool kds_space_fits(kds_decoder *d, kds_ptx_space space, kds_ptx_space named);
/* A cache policy: its value changes nothing. */
bool kds_policy_operand(kds_decoder *d, int position);
bool kds_why(kds_decoder *d, const char *fmt, ...) KDS_PRINTF(2, 3);
void kds_kind(kds_decoder *d, kds_op op, kds_pipe pipe, int weight, kds_wait wait);

/* ---- One per group of opcodes. False: not known. They emit what they decode. ---- */
bool kds_decode_row(kds_decoder *d);
bool kds_decode_move(kds_decoder *d);
bool kds_decode_convert(kds_decoder *d);
bool kds_decode_async(kds_decoder *d);
bool kds_decode_memory(kds_decoder *d);
bool kds_decode_cross(kds_decoder *d);
bool kds_decode_tensor(kds_decoder *d);
bool kds_decode_control(kds_decoder *d);
/* Calls, returns of functions, and the .param variables of calls. */
bool kds_decode_call(kds_decoder *d);

/* One PTX instruction, d->source. False: `missing` is set, or memory is out. */
bool kds_decode_instruction(kds_decoder *d);
/* Decodes the kernel and all functions that it may reach. False: out of memory. */
bool kds_decode_functions(kds_decoder *d);
void kds_calls_free(kds_calls *c);
/* Notes where a variable lies in the local memory of the function at hand. */
bool kds_note_local(kds_decoder *d, const kds_ptx_symbol *s, uint32_t offset);
/* The beginning of each lane's frame, as an operand. */
bool kds_frame(kds_decoder *d, kds_frame_kind kind, int32_t *ref);
/* The address of a local variable of a function that is called, computed before the instruction
 * that is being built. */
bool kds_use_frame_address(kds_decoder *d, const kds_ptx_operand *o, int bytes, int32_t *ref);
/* Where a shared or local variable lies, given a place on its first use. */
bool kds_place_variable(kds_decoder *d, const kds_ptx_symbol *s, uint32_t *offset);
/* A register of our own. */
bool kds_own_register(kds_decoder *d, uint8_t bytes, int32_t *ref);
/* Emits an instruction of ours before the one being built. */
bool kds_emit_before(kds_decoder *d, kds_ins ins);

/* ---- Shared by loads and stores of all kinds ---- */
bool kds_plain_type(kds_ptx_type t);
/* The registers that are loaded or stored, into the list; all of one size. */
bool kds_data_operands(kds_decoder *d, int position, bool load, kds_ptx_type type);

/* ---- After decoding ---- */
/* Puts every virtual register into a slot of the file; references become offsets. */
bool kds_allocate_registers(kds_decoder *d);

#endif
