/* Asynchronous copies and what waits for them: cp.async and its groups, bulk copies, mbarriers,
 * fences between proxies. Tensor-map copies are left out. */
#include "eval/sim/decode.h"
#include <string.h>

static bool base_is(const kds_decoder *d, const char *name)
{
    return d->segments[0].len == strlen(name) &&
           memcmp(d->segments[0].text, name, d->segments[0].len) == 0;
}

static bool emit(kds_decoder *d, kds_op op, kds_pipe pipe, kds_wait wait)
{
    kds_kind(d, op, pipe, 1, wait);
    d->ins.flags |= KDS_INS_OWN_MASK;
    return kds_emit(d);
}

/* ---- cp.async ---- */

/* A group that is to be left pending. */
static bool groups_left(kds_decoder *d)
{
    if (!kds_all_read(d) || kds_operand_count(d) != 1 || !kds_immediate(d, 0, &d->ins.imm))
        return false;
    if (d->ins.imm < 0 || d->ins.imm > INT32_MAX)
        return kds_why(d, "%lld groups", (long long)d->ins.imm);
    return true;
}

static bool decode_copy(kds_decoder *d)
{
    static const char *const levels[] = {"ca", "cg", NULL};
    static const char *const prefetches[] = {"L2::64B", "L2::128B", "L2::256B", NULL};
    int level = kds_accept_of(d, levels);
    int64_t n;
    kds_ptx_space to, from;
    if (level < 0 || !kds_accept_space(d, &to) || to != KDS_SPACE_SHARED ||
        (d->ins.flags & KDS_INS_CLUSTER) != 0 || !kds_accept_space(d, &from) ||
        from != KDS_SPACE_GLOBAL)
        return false;
    bool policy = kds_accept(d, "L2::cache_hint");
    kds_accept_of(d, prefetches);
    int count = kds_operand_count(d) - policy;
    if (!kds_all_read(d) || (count != 3 && count != 4) || !kds_immediate(d, 2, &n))
        return false;
    if ((n != 4 && n != 8 && n != 16) || (level == 1 && n != 16))
        return kds_why(d, "a copy of %lld bytes", (long long)n);
    kds_ptx_space named;
    if (!kds_address(d, 1, &named) || !kds_space_fits(d, KDS_SPACE_GLOBAL, named))
        return false;
    int64_t source_offset = d->ins.imm;
    uint8_t source_width = d->ins.combine;
    d->ins.b = d->ins.a;
    if (!kds_address(d, 0, &named) || !kds_space_fits(d, KDS_SPACE_SHARED, named))
        return false;
    if (source_width != 8 || source_offset != (int32_t)source_offset ||
        d->ins.imm != (int32_t)d->ins.imm)
        return kds_why(d, "an address offset beyond 32 bits");
    d->ins.imm = (int64_t)((uint64_t)(uint32_t)d->ins.imm | (uint64_t)source_offset << 32);
    if (count == 4) {
        bool is_predicate = kds_register_bytes(d, kds_operand(d, 3)) == 0;
        if (!kds_use(d, 3, is_predicate ? 0 : 4, false, is_predicate ? &d->ins.x : &d->ins.c))
            return false;
    }
    d->ins.bytes = (uint8_t)n;
    return (!policy || kds_policy_operand(d, count)) &&
           emit(d, KDS_OP_cp_async, KDS_PIPE_LSU, KDS_WAIT_NONE);
}

/* An mbarrier's address, in its space or generic. */
static bool barrier_address(kds_decoder *d, int position, bool cluster_too)
{
    kds_ptx_space space = (kds_ptx_space)d->ins.space, named;
    if (space == KDS_SPACE_GENERIC && cluster_too)
        d->ins.flags |= KDS_INS_CLUSTER;
    if ((d->ins.flags & KDS_INS_CLUSTER) != 0 && !cluster_too)
        return kds_why(d, "an mbarrier in shared::cluster");
    return kds_address(d, position, &named) && kds_space_fits(d, space, named);
}

/* cp.async.mbarrier.arrive{.noinc}{.shared}.b64 [addr] */
static bool decode_copy_arrival(kds_decoder *d)
{
    kds_ptx_space space = KDS_SPACE_GENERIC;
    if (!kds_accept(d, "arrive"))
        return false;
    d->ins.mods = kds_accept(d, "noinc") ? KDS_MBARRIER_NO_INC : 0;
    kds_accept_space(d, &space);
    d->ins.space = (uint8_t)space;
    d->ins.compare = KDS_MBARRIER_COPIES;
    if ((space != KDS_SPACE_GENERIC && space != KDS_SPACE_SHARED) || !kds_accept(d, "b64") ||
        !kds_all_read(d) || kds_operand_count(d) != 1)
        return false;
    return barrier_address(d, 0, false) && emit(d, KDS_OP_mbarrier, KDS_PIPE_LSU, KDS_WAIT_NONE);
}

/* ---- Bulk copies ---- */

/* An address of a copy into the list: its base and its offset. `bit` of mods says how wide. */
static bool list_address(kds_decoder *d, int position, kds_ptx_space space, int bit)
{
    kds_ptx_space named;
    int32_t offset;
    if (!kds_address(d, position, &named) || !kds_space_fits(d, space, named))
        return false;
    d->ins.mods |= (uint8_t)((d->ins.combine == 8) << bit);
    kds_const c = {.kind = KDS_CONST_BITS, .bytes = 8, .bits = (uint64_t)d->ins.imm};
    bool ok = kds_constant(d, c, &offset) && kds_list_add(d, d->ins.a) && kds_list_add(d, offset);
    d->ins.a = KDS_NO_REF;
    d->ins.imm = 0;
    d->ins.combine = 0;
    return ok;
}

/* cp.reduce.async.bulk's operation and type, for global memory. */
static bool accept_reduction(kds_decoder *d)
{
    static const char *const ops[] = {"add", "min", "max", "and", "or", "xor", "inc", "dec", NULL};
    static const uint8_t which[] = {KDS_ATOM_ADD, KDS_ATOM_MIN, KDS_ATOM_MAX, KDS_ATOM_AND,
                                    KDS_ATOM_OR,  KDS_ATOM_XOR, KDS_ATOM_INC, KDS_ATOM_DEC};
    int op = kds_accept_of(d, ops);
    bool noftz = kds_accept(d, "noftz");
    kds_ptx_type t = kds_accept_type(d);
    bool half = t == KDS_PTX_F16 || t == KDS_PTX_BF16, fits = false;
    if (op == 0)
        fits = half || t == KDS_PTX_U32 || t == KDS_PTX_S32 || t == KDS_PTX_U64 ||
               t == KDS_PTX_F32 || t == KDS_PTX_F64;
    else if (op == 1 || op == 2)
        fits = t == KDS_PTX_U32 || t == KDS_PTX_S32 || t == KDS_PTX_U64 || t == KDS_PTX_S64;
    else if (op >= 3 && op <= 5)
        fits = t == KDS_PTX_B32 || t == KDS_PTX_B64;
    else if (op > 5)
        fits = t == KDS_PTX_U32;
    if (!fits || noftz != (half && op == 0))
        return false;
    d->ins.compare = which[op];
    d->ins.type = (uint8_t)t;
    d->ins.bytes = (uint8_t)kds_ptx_type_size(t);
    d->kernel->talks = true; /* the order of sums is that of the blocks */
    return true;
}

/* [to], [from], size{, [mbarrier]}{, mask}{, policy} */
static bool bulk_operands(kds_decoder *d, int kind, bool multicast, bool policy)
{
    bool tied = kind != KDS_BULK_STORE;
    int32_t size, mask = KDS_NO_REF;
    int at = 3;
    if (!kds_all_read(d) || kds_operand_count(d) != 3 + tied + multicast + policy)
        return false;
    if (!(tied ? list_address(d, 0, KDS_SPACE_SHARED, 0)
               : list_address(d, 0, KDS_SPACE_GLOBAL, 0)) ||
        !(kind != KDS_BULK_LOAD ? list_address(d, 1, KDS_SPACE_SHARED, 1)
                                : list_address(d, 1, KDS_SPACE_GLOBAL, 1)))
        return false;
    uint8_t global = kind == KDS_BULK_STORE ? 1 : kind == KDS_BULK_LOAD ? 2 : 0;
    if ((d->ins.mods & global) != global)
        return kds_why(d, "a global address of 32 bits");
    if (tied ? !list_address(d, at++, KDS_SPACE_SHARED, 2)
             : !kds_list_add(d, KDS_NO_REF) || !kds_list_add(d, KDS_NO_REF))
        return false;
    if (!kds_use(d, 2, 4, false, &size) || (multicast && !kds_use(d, at++, 2, false, &mask)) ||
        (policy && !kds_policy_operand(d, at)))
        return false;
    d->ins.combine = (uint8_t)kind;
    if (tied)
        d->ins.flags |= KDS_INS_CLUSTER;
    if (kind != KDS_BULK_LOAD)
        d->kernel->reads_async = true;
    return kds_list_add(d, size) && kds_list_add(d, mask) &&
           emit(d, KDS_OP_bulk, KDS_PIPE_LSU, KDS_WAIT_NONE);
}

/* What follows cp.async.bulk or cp.reduce.async.bulk. */
static bool decode_bulk(kds_decoder *d, bool reduces)
{
    static const char *const spaces[] = {"global", "shared::cta", "shared::cluster", NULL};
    if (!reduces && kds_accept(d, "commit_group"))
        return kds_all_read(d) && kds_operand_count(d) == 0 &&
               emit(d, KDS_OP_bulk_commit, KDS_PIPE_LSU, KDS_WAIT_NONE);
    if (!reduces && kds_accept(d, "wait_group")) {
        kds_accept(d, "read");
        return groups_left(d) && emit(d, KDS_OP_bulk_wait, KDS_PIPE_LSU, KDS_WAIT_NONE);
    }
    if (!reduces && kds_accept(d, "prefetch")) {
        bool known = kds_accept(d, "L2") && kds_accept(d, "global");
        bool policy = kds_accept(d, "L2::cache_hint");
        int32_t size;
        kds_ptx_space named;
        return known && kds_all_read(d) && kds_operand_count(d) == 2 + policy &&
               kds_address(d, 0, &named) && kds_use(d, 1, 4, false, &size) &&
               emit(d, KDS_OP_nop, KDS_PIPE_LSU, KDS_WAIT_NONE);
    }
    int to = kds_accept_of(d, spaces), from = kds_accept_of(d, spaces), kind;
    if (to >= 1 && from == 0)
        kind = KDS_BULK_LOAD;
    else if (to == 2 && from == 1)
        kind = KDS_BULK_EXCHANGE;
    else if (to == 0 && from == 1)
        kind = KDS_BULK_STORE;
    else
        return false;
    if (!kds_accept(d, kind == KDS_BULK_STORE ? "bulk_group" : "mbarrier::complete_tx::bytes"))
        return false;
    bool multicast = kind == KDS_BULK_LOAD && to == 2 && kds_accept(d, "multicast::cluster");
    bool policy = kds_accept(d, "L2::cache_hint");
    if (reduces && (kind != KDS_BULK_STORE || !accept_reduction(d)))
        return false;
    return bulk_operands(d, kind, multicast, policy);
}

static bool decode_cp(kds_decoder *d)
{
    bool reduces = kds_accept(d, "reduce");
    if (!kds_accept(d, "async"))
        return false;
    if (kds_accept(d, "bulk"))
        return decode_bulk(d, reduces);
    if (reduces)
        return false;
    if (kds_accept(d, "mbarrier"))
        return decode_copy_arrival(d);
    if (kds_accept(d, "commit_group"))
        return kds_all_read(d) && kds_operand_count(d) == 0 &&
               emit(d, KDS_OP_cp_commit, KDS_PIPE_LSU, KDS_WAIT_NONE);
    if (kds_accept(d, "wait_group"))
        return groups_left(d) && emit(d, KDS_OP_cp_wait, KDS_PIPE_LSU, KDS_WAIT_NONE);
    if (kds_accept(d, "wait_all")) {
        d->ins.combine = 1;
        return kds_all_read(d) && kds_operand_count(d) == 0 &&
               emit(d, KDS_OP_cp_wait, KDS_PIPE_LSU, KDS_WAIT_NONE);
    }
    return decode_copy(d);
}

/* st.async{.weak}.shared::cluster.mbarrier::complete_tx::bytes{.v2|.v4}.type [a], b, [mbarrier] */
static bool decode_st_async(kds_decoder *d)
{
    kds_accept(d, "weak");
    bool known = kds_accept(d, "shared::cluster") && kds_accept(d, "mbarrier::complete_tx::bytes");
    int count = kds_accept(d, "v2") ? 2 : kds_accept(d, "v4") ? 4 : 1;
    kds_ptx_type t = kds_accept_type(d);
    int bytes = t == KDS_PTX_NO_TYPE || t == KDS_PTX_PRED ? 0 : kds_ptx_type_size(t);
    bool real = t == KDS_PTX_F32 || t == KDS_PTX_F64;
    const kds_ptx_operand *o = kds_operand(d, 1);
    if (!known || !kds_all_read(d) || kds_operand_count(d) != 3 || (bytes != 4 && bytes != 8) ||
        t == KDS_PTX_F16X2 || t == KDS_PTX_BF16X2 || count * bytes > 16)
        return false;
    if ((o->kind == KDS_OPERAND_VECTOR ? o->count : 1) != count ||
        (count == 1 && o->kind == KDS_OPERAND_VECTOR))
        return kds_why(d, "another number of elements");
    d->ins.bytes = (uint8_t)bytes;
    d->ins.flags |= KDS_INS_CLUSTER;
    if (!list_address(d, 0, KDS_SPACE_SHARED, 0) || !list_address(d, 2, KDS_SPACE_SHARED, 1))
        return false;
    for (int k = 0; k < count; k++) {
        const kds_ptx_operand *e = count > 1 ? &d->function->operands[o->index + k] : o;
        int32_t ref;
        if (!kds_use_operand(d, e, bytes, real, &ref) || !kds_list_add(d, ref))
            return false;
    }
    return emit(d, KDS_OP_st_async, KDS_PIPE_LSU, KDS_WAIT_NONE);
}

/* ---- mbarriers ---- */

/* {.sem.scope}: of the given ones, noted. */
static bool accept_order(kds_decoder *d, const char *strong, int order)
{
    static const char *const scopes[] = {"cta", "cluster", NULL};
    bool relaxed = kds_accept(d, "relaxed");
    d->ins.rounding = (uint8_t)(relaxed ? KDS_ORDER_RELAXED : order);
    d->ins.type2 = KDS_SCOPE_CTA;
    if (!relaxed && !kds_accept(d, strong))
        return true;
    int scope = kds_accept_of(d, scopes);
    d->ins.type2 = (uint8_t)scope;
    return scope >= 0;
}

/* The rest of the opcode: {.space}.b64. */
static bool accept_barrier_space(kds_decoder *d)
{
    kds_ptx_space space = KDS_SPACE_GENERIC;
    kds_accept_space(d, &space);
    d->ins.space = (uint8_t)space;
    return (space == KDS_SPACE_GENERIC || space == KDS_SPACE_SHARED) && kds_accept(d, "b64") &&
           kds_all_read(d);
}

/* mbarrier.arrive and .arrive_drop, with .expect_tx or .noComplete. */
static bool decode_arrive(kds_decoder *d, int kind)
{
    bool tx = kds_accept(d, "expect_tx"), partial = !tx && kds_accept(d, "noComplete");
    if (!accept_order(d, "release", KDS_ORDER_RELEASE) || !accept_barrier_space(d))
        return false;
    int count = kds_operand_count(d);
    bool sink = kds_operand(d, 0)->kind == KDS_OPERAND_SINK;
    if (count < 2 || count > 3 || ((tx || partial) && count != 3))
        return kds_why(d, "another number of operands");
    d->ins.compare = (uint8_t)kind;
    d->ins.mods = tx ? KDS_MBARRIER_TX : partial ? KDS_MBARRIER_NO_COMPLETE : 0;
    d->ins.result_bytes = 8;
    return kds_define(d, 0, 8, &d->ins.d) && barrier_address(d, 1, sink) &&
           (count == 2 || kds_use(d, 2, 4, false, &d->ins.b)) &&
           emit(d, KDS_OP_mbarrier, KDS_PIPE_LSU, KDS_WAIT_ATOMIC);
}

/* mbarrier.test_wait and .try_wait, for a token or .parity. */
static bool decode_wait(kds_decoder *d, bool tries)
{
    bool parity = kds_accept(d, "parity");
    int32_t hint;
    if (!accept_order(d, "acquire", KDS_ORDER_ACQUIRE) || !accept_barrier_space(d))
        return false;
    int count = kds_operand_count(d);
    if (count != 3 && !(tries && count == 4))
        return kds_why(d, "another number of operands");
    d->ins.mods = parity ? KDS_MBARRIER_PARITY : 0;
    return kds_define(d, 0, 0, &d->ins.d) && barrier_address(d, 1, false) &&
           kds_use(d, 2, parity ? 4 : 8, false, &d->ins.b) &&
           (count == 3 || kds_use(d, 3, 4, false, &hint)) &&
           emit(d, KDS_OP_mbarrier_wait, KDS_PIPE_LSU, KDS_WAIT_SHARED);
}

/* init and inval; expect_tx and complete_tx, which may be at another block's. */
static bool decode_barrier_state(kds_decoder *d, int kind)
{
    bool bytes = kind == KDS_MBARRIER_EXPECT || kind == KDS_MBARRIER_COMPLETE;
    if (bytes && !accept_order(d, "relaxed", KDS_ORDER_RELAXED))
        return false;
    if (!accept_barrier_space(d) || kds_operand_count(d) != 1 + (kind != KDS_MBARRIER_INVAL))
        return false;
    d->ins.compare = (uint8_t)kind;
    return barrier_address(d, 0, bytes) &&
           (kind == KDS_MBARRIER_INVAL || kds_use(d, 1, 4, false, &d->ins.b)) &&
           emit(d, KDS_OP_mbarrier, KDS_PIPE_LSU, KDS_WAIT_NONE);
}

static bool decode_mbarrier(kds_decoder *d)
{
    static const char *const states[] = {"init", "inval", "expect_tx", "complete_tx", NULL};
    static const int kinds[] = {KDS_MBARRIER_INIT, KDS_MBARRIER_INVAL, KDS_MBARRIER_EXPECT,
                                KDS_MBARRIER_COMPLETE};
    int k = kds_accept_of(d, states);
    if (k >= 0)
        return decode_barrier_state(d, kinds[k]);
    if (kds_accept(d, "arrive"))
        return decode_arrive(d, KDS_MBARRIER_ARRIVE);
    if (kds_accept(d, "arrive_drop"))
        return decode_arrive(d, KDS_MBARRIER_DROP);
    if (kds_accept(d, "test_wait"))
        return decode_wait(d, false);
    if (kds_accept(d, "try_wait"))
        return decode_wait(d, true);
    if (!kds_accept(d, "pending_count") || !kds_accept(d, "b64") || !kds_all_read(d) ||
        kds_operand_count(d) != 2)
        return false;
    d->ins.result_bytes = 4;
    return kds_define(d, 0, 4, &d->ins.d) && kds_use(d, 1, 8, false, &d->ins.a) &&
           emit(d, KDS_OP_pending_count, KDS_PIPE_ALU, KDS_WAIT_ALU);
}

/* ---- Fences ---- */

/* fence.proxy.alias, .async{.space}; .async::generic.order.sync_restrict::space.cluster;
 * fence.mbarrier_init.release.cluster. */
static bool decode_fence(kds_decoder *d)
{
    static const char *const spaces[] = {"global", "shared::cta", "shared::cluster", NULL};
    kds_op op = KDS_OP_fence;
    d->ins.rounding = KDS_ORDER_RELEASE;
    d->ins.type2 = KDS_SCOPE_CLUSTER;
    if (kds_accept(d, "mbarrier_init")) {
        if (!kds_accept(d, "release") || !kds_accept(d, "cluster"))
            return false;
    } else if (!kds_accept(d, "proxy")) {
        return false;
    } else if (kds_accept(d, "async")) {
        d->ins.rounding = KDS_ORDER_WEAK;
        op = kds_accept_of(d, spaces) == 0 ? KDS_OP_fence : KDS_OP_proxy_fence;
    } else if (kds_accept(d, "async::generic")) {
        bool acquires = kds_accept(d, "acquire");
        if (!acquires && !kds_accept(d, "release"))
            return false;
        if (!kds_accept(d, acquires ? "sync_restrict::shared::cluster"
                                    : "sync_restrict::shared::cta") ||
            !kds_accept(d, "cluster"))
            return false;
        d->ins.rounding = acquires ? KDS_ORDER_ACQUIRE : KDS_ORDER_RELEASE;
        op = acquires ? KDS_OP_fence : KDS_OP_proxy_fence;
    } else if (kds_accept(d, "alias")) {
        d->ins.rounding = KDS_ORDER_WEAK;
    } else {
        return false;
    }
    return kds_all_read(d) && kds_operand_count(d) == 0 && emit(d, op, KDS_PIPE_LSU, KDS_WAIT_NONE);
}

/* setmaxnreg only moves registers between warps: no value changes. */
static bool decode_registers(kds_decoder *d)
{
    static const char *const ways[] = {"inc", "dec", NULL};
    int64_t count;
    if (kds_accept_of(d, ways) < 0 || !kds_accept(d, "sync") || !kds_accept(d, "aligned") ||
        !kds_accept(d, "u32") || !kds_all_read(d) || kds_operand_count(d) != 1 ||
        !kds_immediate(d, 0, &count))
        return false;
    if (count < 24 || count > 256 || count % 8 != 0)
        return kds_why(d, "%lld registers", (long long)count);
    return emit(d, KDS_OP_nop, KDS_PIPE_CONTROL, KDS_WAIT_NONE);
}

bool kds_decode_async(kds_decoder *d)
{
    if (base_is(d, "cp"))
        return decode_cp(d);
    if (base_is(d, "mbarrier"))
        return decode_mbarrier(d);
    if (base_is(d, "st") && kds_accept(d, "async"))
        return decode_st_async(d);
    if (base_is(d, "fence"))
        return decode_fence(d);
    if (base_is(d, "setmaxnreg"))
        return decode_registers(d);
    return false;
}
