/* Loads, stores, atomics, prefetches. Cache hints and eviction priorities
 * change nothing that a program can see and are accepted; orderings are stronger here than asked.
 */
#include "eval/sim/decode.h"
#include <string.h>

static bool base_is(const kds_decoder *d, const char *name)
{
    return d->segments[0].len == strlen(name) &&
           memcmp(d->segments[0].text, name, d->segments[0].len) == 0;
}

static const char *const scopes[] = {"cta", "cluster", "gpu", "sys", NULL};

bool kds_accept_space(kds_decoder *d, kds_ptx_space *space)
{
    static const char *const names[] = {"global", "shared",       "shared::cta", "local",
                                        "param",  "param::entry", "const",       NULL};
    static const kds_ptx_space spaces[] = {KDS_SPACE_GLOBAL, KDS_SPACE_SHARED, KDS_SPACE_SHARED,
                                           KDS_SPACE_LOCAL,  KDS_SPACE_PARAM,  KDS_SPACE_PARAM,
                                           KDS_SPACE_CONST};
    if (kds_accept(d, "shared::cluster")) {
        d->ins.flags |= KDS_INS_CLUSTER;
        *space = KDS_SPACE_SHARED;
        return true;
    }
    int i = kds_accept_of(d, names);
    if (i >= 0)
        *space = spaces[i];
    return i >= 0;
}

static bool accept_hint(kds_decoder *d, bool *has_policy)
{
    static const char *const caching[] = {"ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", NULL};
    static const char *const hints[] = {"L1::evict_normal", "L1::evict_unchanged",
                                        "L1::evict_first",  "L1::evict_last",
                                        "L1::no_allocate",  "L2::evict_normal",
                                        "L2::evict_first",  "L2::evict_last",
                                        "L2::64B",          "L2::128B",
                                        "L2::256B",         NULL};
    if (kds_accept(d, "L2::cache_hint")) {
        *has_policy = true;
        return true;
    }
    int way = kds_accept_of(d, caching);
    if (way >= 0) {
        /* .cv and .wt: each one goes to memory, as volatile ones do. */
        bool each = strcmp(caching[way], "cv") == 0 || strcmp(caching[way], "wt") == 0;
        if (each && d->ins.rounding == KDS_ORDER_WEAK)
            d->ins.rounding = KDS_ORDER_VOLATILE;
        if (strcmp(caching[way], "nc") == 0)
            d->ins.flags |= KDS_INS_CONSTANT;
        return true;
    }
    return kds_accept_of(d, hints) >= 0;
}

bool kds_plain_type(kds_ptx_type t)
{
    return t != KDS_PTX_NO_TYPE && t != KDS_PTX_PRED && t != KDS_PTX_F16 && t != KDS_PTX_BF16 &&
           t != KDS_PTX_F16X2 && t != KDS_PTX_BF16X2 && t != KDS_PTX_B128;
}

static bool real_type(kds_ptx_type t)
{
    return t == KDS_PTX_F32 || t == KDS_PTX_F64;
}

/* Of a vector load, the elements whose register the function never reads: their bytes may be
 * undefined, whether or not the compiler says so by a mask. */
static void drop_unused_elements(kds_decoder *d, const kds_ptx_operand *o)
{
    uint32_t used = 0, all = 0, element = (1u << d->ins.bytes) - 1;
    for (int k = 0; o->kind == KDS_OPERAND_VECTOR && k < o->count; k++) {
        const kds_ptx_operand *e = &d->function->operands[o->index + k];
        bool read = e->kind == KDS_OPERAND_REGISTER && d->mentions[e->index] > 1;
        used |= read ? element << k * d->ins.bytes : 0;
        all |= element << k * d->ins.bytes;
    }
    if (d->ins.used_bytes == 0 && used != 0 && used != all)
        d->ins.used_bytes = used;
}

bool kds_data_operands(kds_decoder *d, int position, bool load, kds_ptx_type type)
{
    const kds_ptx_operand *o = kds_operand(d, position);
    int count = o->kind == KDS_OPERAND_VECTOR ? o->count : 1;
    int smallest = d->ins.bytes < 2 ? 2 : d->ins.bytes, width = -1;
    if (count != d->ins.elements || (count == 1 && o->kind == KDS_OPERAND_VECTOR))
        return kds_why(d, "another number of elements");
    for (int k = 0; k < count; k++) {
        const kds_ptx_operand *e =
            o->kind == KDS_OPERAND_VECTOR ? &d->function->operands[o->index + k] : o;
        int bytes = kds_register_bytes(d, e);
        if (bytes >= 0 && width >= 0 && bytes != width)
            return kds_why(d, "registers of several sizes");
        if (bytes >= 0)
            width = bytes;
    }
    if (width < 0)
        width = smallest;
    if (width < smallest || width > 8 || (real_type(type) && width != d->ins.bytes))
        return kds_why(d, "an operand of another size");
    for (int k = 0; k < count; k++) {
        const kds_ptx_operand *e =
            o->kind == KDS_OPERAND_VECTOR ? &d->function->operands[o->index + k] : o;
        int32_t ref;
        bool ok = load
                      ? kds_define_operand(d, e, width, &ref) && kds_list_define(d, ref)
                      : kds_use_operand(d, e, width, real_type(type), &ref) && kds_list_add(d, ref);
        if (!ok)
            return false;
    }
    if (load)
        drop_unused_elements(d, o);
    d->ins.result_bytes = (uint8_t)width;
    return true;
}

bool kds_space_fits(kds_decoder *d, kds_ptx_space space, kds_ptx_space named)
{
    bool flat = named == KDS_SPACE_GLOBAL || named == KDS_SPACE_CONST;
    if (named == KDS_SPACE_GENERIC || named == space || (space == KDS_SPACE_GENERIC && flat))
        return true;
    return kds_why(d, "a variable of another state space");
}

bool kds_policy_operand(kds_decoder *d, int position)
{
    int32_t ignored;
    return kds_use(d, position, 8, false, &ignored);
}

static int accept_elements(kds_decoder *d)
{
    return kds_accept(d, "v2") ? 2 : kds_accept(d, "v4") ? 4 : kds_accept(d, "v8") ? 8 : 1;
}

static bool decode_load_store(kds_decoder *d, bool load)
{
    static const char *const orders[] = {"weak", "volatile", "relaxed", "acquire", "release", NULL};
    kds_ptx_space space = KDS_SPACE_GENERIC, named;
    bool policy = false;
    int order = kds_accept_of(d, orders), scope = KDS_SCOPE_SYS;
    if ((order == KDS_ORDER_ACQUIRE && !load) || (order == KDS_ORDER_RELEASE && load))
        return false;
    if (order >= KDS_ORDER_RELAXED && (scope = kds_accept_of(d, scopes)) < 0)
        return false;
    d->ins.rounding = (uint8_t)(order > 0 ? order : KDS_ORDER_WEAK);
    d->ins.type2 = (uint8_t)scope;
    kds_accept_space(d, &space);
    while (accept_hint(d, &policy))
        continue;
    if (load && d->ins.rounding > KDS_ORDER_WEAK)
        d->ins.flags |= KDS_INS_POLLS;
    d->ins.elements = (uint8_t)accept_elements(d);
    kds_ptx_type type = kds_accept_type(d);
    if (!kds_plain_type(type) || !kds_all_read(d) || kds_operand_count(d) != 2 + policy)
        return false;
    if (!load && (space == KDS_SPACE_PARAM || space == KDS_SPACE_CONST))
        return false;
    d->ins.type = (uint8_t)type;
    d->ins.bytes = (uint8_t)kds_ptx_type_size(type);
    d->ins.space = (uint8_t)space;
    if (d->ins.bytes * d->ins.elements > 32)
        return kds_why(d, "more than 32 bytes");
    static const kds_op loads[] = {KDS_OP_ld_generic, KDS_OP_ld_global, KDS_OP_ld_shared,
                                   KDS_OP_ld_local,   KDS_OP_ld_param,  KDS_OP_ld_global};
    static const kds_op stores[] = {KDS_OP_st_generic, KDS_OP_st_global, KDS_OP_st_shared,
                                    KDS_OP_st_local};
    kds_wait wait = space == KDS_SPACE_SHARED                              ? KDS_WAIT_SHARED
                    : space == KDS_SPACE_PARAM || space == KDS_SPACE_CONST ? KDS_WAIT_NONE
                                                                           : KDS_WAIT_GLOBAL;
    bool in_bank = space == KDS_SPACE_PARAM;
    kds_kind(d, load ? loads[space] : stores[space], in_bank ? KDS_PIPE_NONE : KDS_PIPE_LSU,
             in_bank ? 0 : 1, load ? wait : KDS_WAIT_NONE);
    d->ins.flags |=
        (uint8_t)(KDS_INS_OWN_MASK | (space == KDS_SPACE_GENERIC ? KDS_INS_CLUSTER : 0));
    if (space == KDS_SPACE_SHARED || space == KDS_SPACE_GENERIC)
        d->ins.memo = (int32_t)d->kernel->memo_count++;
    return kds_address(d, load ? 1 : 0, &named) && kds_space_fits(d, space, named) &&
           kds_data_operands(d, load ? 0 : 1, load, type) &&
           (!policy || kds_policy_operand(d, 2)) && kds_emit(d);
}

/* Which types an atomic operation has. */
static bool atomic_fits(kds_atom_op op, kds_ptx_type t, bool noftz)
{
    bool halves =
        t == KDS_PTX_F16 || t == KDS_PTX_F16X2 || t == KDS_PTX_BF16 || t == KDS_PTX_BF16X2;
    if (noftz != (op == KDS_ATOM_ADD && halves))
        return false;
    switch (op) {
    case KDS_ATOM_ADD:
        return halves || t == KDS_PTX_U32 || t == KDS_PTX_S32 || t == KDS_PTX_U64 ||
               t == KDS_PTX_F32 || t == KDS_PTX_F64;
    case KDS_ATOM_MIN:
    case KDS_ATOM_MAX:
        return t == KDS_PTX_U32 || t == KDS_PTX_S32 || t == KDS_PTX_U64 || t == KDS_PTX_S64;
    case KDS_ATOM_AND:
    case KDS_ATOM_OR:
    case KDS_ATOM_XOR:
    case KDS_ATOM_EXCH:
        return t == KDS_PTX_B32 || t == KDS_PTX_B64;
    case KDS_ATOM_CAS:
        return t == KDS_PTX_B16 || t == KDS_PTX_B32 || t == KDS_PTX_B64;
    default:
        return t == KDS_PTX_U32;
    }
}

/* Each element of a vector is an atomic operation of its own (PTX promises no more), behind a check
 * that the whole vector is aligned. */
static bool emit_vector_atomic(kds_decoder *d, bool returns, int elements)
{
    const kds_ptx_operand *to = returns ? kds_operand(d, 0) : NULL;
    const kds_ptx_operand *from = kds_operand(d, returns + 1);
    int bytes = d->ins.bytes;
    if (from->kind != KDS_OPERAND_VECTOR || from->count != elements ||
        (returns && (to->kind != KDS_OPERAND_VECTOR || to->count != elements)))
        return kds_why(d, "another number of elements");
    kds_ins atom = d->ins;
    int64_t first = d->ins.imm;
    kds_kind(d, KDS_OP_aligned, KDS_PIPE_NONE, 0, KDS_WAIT_NONE);
    d->ins.bytes = (uint8_t)(bytes * elements);
    d->ins.result_bytes = 0;
    if (!kds_emit(d))
        return false;
    int32_t results[8];
    for (int k = 0; k < elements; k++) {
        d->ins = atom;
        d->ins.imm = first + k * bytes;
        if (!kds_use_operand(d, &d->function->operands[from->index + k], bytes, true, &d->ins.b))
            return false;
        for (int before = 0; returns && before < k; before++)
            if (results[before] == d->ins.b)
                return kds_why(d, "a register that is given and set");
        if (returns &&
            !kds_define_operand(d, &d->function->operands[to->index + k], bytes, &results[k]))
            return false;
        d->ins.d = returns ? results[k] : KDS_NO_REF;
        if (!kds_emit(d))
            return false;
    }
    return true;
}

static bool vector_atomic_fits(int op, kds_ptx_type t, int elements, kds_ptx_space space)
{
    int bytes = kds_ptx_type_size(t) * elements;
    return op == KDS_ATOM_ADD && space != KDS_SPACE_SHARED && bytes <= 16 &&
           (t == KDS_PTX_F32 || kds_ptx_type_size(t) == 2 || t == KDS_PTX_F16X2 ||
            t == KDS_PTX_BF16X2);
}

static bool decode_atomic(kds_decoder *d, bool returns)
{
    static const char *const orders[] = {"relaxed", "acquire", "release", "acq_rel", NULL};
    static const char *const ops[] = {"add",  "min", "max", "and", "or", "xor",
                                      "exch", "cas", "inc", "dec", NULL};
    kds_ptx_space space = KDS_SPACE_GENERIC, named;
    int order = kds_accept_of(d, orders), scope = kds_accept_of(d, scopes);
    kds_accept_space(d, &space);
    scope = scope >= 0 ? scope : kds_accept_of(d, scopes); /* the compiler: atom.global.sys.xor */
    int op = kds_accept_of(d, ops);
    /* ptxas takes the order after the operation as well, as libcu++ writes it. */
    order = order >= 0 ? order : kds_accept_of(d, orders);
    scope = scope >= 0 ? scope : kds_accept_of(d, scopes);
    bool noftz = kds_accept(d, "noftz"), policy = kds_accept(d, "L2::cache_hint");
    int elements = accept_elements(d);
    kds_ptx_type type = kds_accept_type(d);
    if (elements > 1 && !vector_atomic_fits(op, type, elements, space))
        return false;
    if (op < 0 || !kds_all_read(d) || !atomic_fits((kds_atom_op)op, type, noftz) ||
        (space != KDS_SPACE_GENERIC && space != KDS_SPACE_GLOBAL && space != KDS_SPACE_SHARED) ||
        (!returns && (op == KDS_ATOM_EXCH || op == KDS_ATOM_CAS)))
        return false;
    int bytes = kds_ptx_type_size(type), at = returns;
    if (kds_operand_count(d) != at + 2 + (op == KDS_ATOM_CAS) + policy)
        return kds_why(d, "another number of operands");
    kds_kind(d, KDS_OP_atom, KDS_PIPE_LSU, 1, returns ? KDS_WAIT_ATOMIC : KDS_WAIT_NONE);
    d->ins.flags |=
        (uint8_t)(KDS_INS_OWN_MASK | (space == KDS_SPACE_GENERIC ? KDS_INS_CLUSTER : 0));
    d->ins.rounding = (uint8_t)(KDS_ORDER_RELAXED + (order > 0 ? order : 0));
    d->ins.type2 = (uint8_t)(scope >= 0 ? scope : KDS_SCOPE_GPU);
    d->ins.compare = (uint8_t)op;
    d->ins.type = (uint8_t)type;
    d->ins.bytes = d->ins.result_bytes = (uint8_t)bytes;
    d->ins.space = (uint8_t)space;
    d->ins.elements = 1;
    bool real = real_type(type);
    if (elements > 1)
        return kds_address(d, at, &named) && kds_space_fits(d, space, named) &&
               (!policy || kds_policy_operand(d, kds_operand_count(d) - 1)) &&
               emit_vector_atomic(d, returns, elements);
    return (!returns || kds_define(d, 0, bytes, &d->ins.d)) && kds_address(d, at, &named) &&
           kds_space_fits(d, space, named) && kds_use(d, at + 1, bytes, real, &d->ins.b) &&
           (op != KDS_ATOM_CAS || kds_use(d, at + 2, bytes, real, &d->ins.c)) &&
           (!policy || kds_policy_operand(d, kds_operand_count(d) - 1)) && kds_emit(d);
}

static bool emit_nop(kds_decoder *d, kds_pipe pipe)
{
    kds_kind(d, KDS_OP_nop, pipe, 1, KDS_WAIT_NONE);
    d->ins.flags |= KDS_INS_OWN_MASK;
    return kds_emit(d);
}

static bool decode_isspacep(kds_decoder *d)
{
    kds_ptx_space space;
    if (!kds_accept_space(d, &space) || !kds_all_read(d) || kds_operand_count(d) != 2)
        return false;
    kds_kind(d, KDS_OP_isspacep, KDS_PIPE_ALU, 2, KDS_WAIT_ALU);
    d->ins.flags |= KDS_INS_OWN_MASK;
    d->ins.space = (uint8_t)space;
    return kds_define(d, 0, 0, &d->ins.d) && kds_use(d, 1, 8, false, &d->ins.a) && kds_emit(d);
}

/* mapa{.shared::cluster}.type d, a, rank and getctarank{.shared::cluster}.type d, a. */
static bool decode_cluster_address(kds_decoder *d, bool map)
{
    bool shared = kds_accept(d, "shared::cluster");
    kds_ptx_type type = kds_accept_type(d);
    int bytes = type == KDS_PTX_U32 ? 4 : type == KDS_PTX_U64 ? 8 : 0;
    if (bytes == 0 || (bytes == 4 && !shared) || !kds_all_read(d) ||
        kds_operand_count(d) != 2 + map)
        return false;
    if (bytes == 8 && shared)
        return kds_why(d, "a 64-bit address in shared::cluster");
    kds_kind(d, map ? KDS_OP_mapa : KDS_OP_getctarank, KDS_PIPE_ALU, 2, KDS_WAIT_ALU);
    d->ins.flags |= KDS_INS_OWN_MASK;
    d->ins.bytes = (uint8_t)bytes;
    d->ins.result_bytes = map ? (uint8_t)bytes : 4;
    return kds_define(d, 0, d->ins.result_bytes, &d->ins.d) &&
           kds_use(d, 1, bytes, false, &d->ins.a) && (!map || kds_use(d, 2, 4, false, &d->ins.b)) &&
           kds_emit(d);
}

/* prefetch.global.L2 [a]: no fault, no effect. */
static bool decode_prefetch(kds_decoder *d)
{
    static const char *const levels[] = {"L1", "L2", "L2::evict_last", "L2::evict_normal", NULL};
    kds_ptx_space space = KDS_SPACE_GENERIC, named;
    kds_accept_space(d, &space);
    if (kds_accept_of(d, levels) < 0 || !kds_all_read(d) || kds_operand_count(d) != 1)
        return false;
    return kds_address(d, 0, &named) && emit_nop(d, KDS_PIPE_LSU);
}

/* createpolicy: the value only says what the caches should prefer. */
static bool decode_createpolicy(kds_decoder *d)
{
    static const char *const kinds[] = {"fractional", "range", NULL};
    static const char *const priorities[] = {"L2::evict_last", "L2::evict_normal",
                                             "L2::evict_first", "L2::evict_unchanged", NULL};
    if (kds_accept_of(d, kinds) != 0 || kds_accept_of(d, priorities) < 0)
        return false;
    kds_accept_of(d, priorities);
    if (!kds_accept(d, "b64") || !kds_all_read(d))
        return false;
    kds_kind(d, KDS_OP_mov_b64, KDS_PIPE_ALU, 1, KDS_WAIT_ALU);
    d->ins.result_bytes = 8;
    return kds_define(d, 0, 8, &d->ins.d) &&
           kds_constant(d, (kds_const){.kind = KDS_CONST_BITS, .bytes = 8}, &d->ins.a) &&
           kds_emit(d);
}

bool kds_decode_memory(kds_decoder *d)
{
    if (base_is(d, "ld"))
        return decode_load_store(d, true);
    if (base_is(d, "st"))
        return decode_load_store(d, false);
    if (base_is(d, "atom"))
        return decode_atomic(d, true);
    if (base_is(d, "red"))
        return decode_atomic(d, false);
    if (base_is(d, "isspacep"))
        return decode_isspacep(d);
    if (base_is(d, "mapa") || base_is(d, "getctarank"))
        return decode_cluster_address(d, base_is(d, "mapa"));
    if (base_is(d, "prefetch") || base_is(d, "prefetchu"))
        return decode_prefetch(d);
    if (base_is(d, "createpolicy"))
        return decode_createpolicy(d);
    return false;
}
