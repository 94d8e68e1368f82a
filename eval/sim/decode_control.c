/* Branches, barriers, fences, and instructions across the lanes of a warp. */
#include "eval/sim/decode.h"
#include <string.h>

static bool base_is(const kds_decoder *d, const char *name)
{
    return d->segments[0].len == strlen(name) &&
           memcmp(d->segments[0].text, name, d->segments[0].len) == 0;
}

/* d{|p}, a, b, c, membermask */
static bool decode_shfl(kds_decoder *d)
{
    static const char *const modes[] = {"up", "down", "bfly", "idx", NULL};
    int mode = kds_accept(d, "sync") ? kds_accept_of(d, modes) : -1;
    if (mode < 0 || !kds_accept(d, "b32") || !kds_all_read(d))
        return false;
    kds_kind(d, KDS_OP_shfl, KDS_PIPE_LSU, 1, KDS_WAIT_SHUFFLE);
    d->ins.flags |= KDS_INS_OWN_MASK;
    d->ins.combine = (uint8_t)mode;
    int at = 1;
    if (!kds_define(d, 0, 4, &d->ins.d))
        return false;
    if (kds_operand(d, 0)->piped && !kds_define(d, at++, 0, &d->ins.d2))
        return false;
    if (kds_operand_count(d) != at + 4)
        return kds_why(d, "another number of operands");
    return kds_use(d, at, 4, true, &d->ins.a) && kds_use(d, at + 1, 4, false, &d->ins.b) &&
           kds_use(d, at + 2, 4, false, &d->ins.c) && kds_use(d, at + 3, 4, false, &d->ins.x) &&
           kds_emit(d);
}

static bool decode_vote(kds_decoder *d)
{
    static const char *const modes[] = {"all", "any", "uni", "ballot", NULL};
    int mode = kds_accept(d, "sync") ? kds_accept_of(d, modes) : -1;
    if (mode < 0 || !kds_accept(d, mode == 3 ? "b32" : "pred") || !kds_all_read(d) ||
        kds_operand_count(d) != 3)
        return false;
    kds_kind(d, KDS_OP_vote, KDS_PIPE_ALU, 1, KDS_WAIT_ALU);
    d->ins.flags |= KDS_INS_OWN_MASK;
    d->ins.combine = (uint8_t)mode;
    return kds_define(d, 0, mode == 3 ? 4 : 0, &d->ins.d) && kds_use(d, 1, 0, false, &d->ins.a) &&
           kds_use(d, 2, 4, false, &d->ins.x) && kds_emit(d);
}

static bool decode_match(kds_decoder *d)
{
    static const char *const modes[] = {"any", "all", NULL};
    int mode = kds_accept_of(d, modes);
    if (mode < 0 || !kds_accept(d, "sync"))
        return false;
    int bytes = kds_accept(d, "b32") ? 4 : kds_accept(d, "b64") ? 8 : 0;
    if (bytes == 0 || !kds_all_read(d))
        return false;
    kds_kind(d, mode == 0 ? KDS_OP_match_any : KDS_OP_match_all, KDS_PIPE_ALU, 16,
             KDS_WAIT_SHUFFLE);
    d->ins.flags |= KDS_INS_OWN_MASK;
    d->ins.bytes = (uint8_t)bytes;
    int at = 1;
    if (!kds_define(d, 0, 4, &d->ins.d))
        return false;
    if (kds_operand(d, 0)->piped && (mode == 0 || !kds_define(d, at++, 0, &d->ins.d2)))
        return false;
    return kds_operand_count(d) == at + 2 && kds_use(d, at, bytes, false, &d->ins.a) &&
           kds_use(d, at + 1, 4, false, &d->ins.x) && kds_emit(d);
}

static bool decode_redux(kds_decoder *d)
{
    static const char *const ops[] = {"add", "min", "max", "and", "or", "xor", NULL};
    int op = kds_accept(d, "sync") ? kds_accept_of(d, ops) : -1;
    kds_ptx_type type = kds_accept_type(d);
    bool logic = op >= 3;
    if (op < 0 || !kds_all_read(d) || kds_operand_count(d) != 3 ||
        (logic ? type != KDS_PTX_B32 : type != KDS_PTX_U32 && type != KDS_PTX_S32))
        return false;
    kds_kind(d, KDS_OP_redux, KDS_PIPE_ALU, 2, KDS_WAIT_SHUFFLE);
    d->ins.flags |= KDS_INS_OWN_MASK;
    d->ins.compare = (uint8_t)op;
    d->ins.type = (uint8_t)type;
    return kds_define(d, 0, 4, &d->ins.d) && kds_use(d, 1, 4, false, &d->ins.a) &&
           kds_use(d, 2, 4, false, &d->ins.x) && kds_emit(d);
}

bool kds_decode_cross(kds_decoder *d)
{
    if (base_is(d, "shfl"))
        return decode_shfl(d);
    if (base_is(d, "vote"))
        return decode_vote(d);
    if (base_is(d, "match"))
        return decode_match(d);
    if (base_is(d, "redux"))
        return decode_redux(d);
    if (base_is(d, "activemask")) {
        kds_kind(d, KDS_OP_activemask, KDS_PIPE_ALU, 1, KDS_WAIT_ALU);
        d->ins.flags |= KDS_INS_OWN_MASK;
        return kds_accept(d, "b32") && kds_all_read(d) && kds_operand_count(d) == 1 &&
               kds_define(d, 0, 4, &d->ins.d) && kds_emit(d);
    }
    if (base_is(d, "elect")) {
        kds_kind(d, KDS_OP_elect, KDS_PIPE_ALU, 1, KDS_WAIT_ALU);
        d->ins.flags |= KDS_INS_OWN_MASK;
        return kds_accept(d, "sync") && kds_all_read(d) && kds_operand_count(d) == 3 &&
               kds_operand(d, 0)->piped && kds_define(d, 0, 4, &d->ins.d) &&
               kds_define(d, 1, 0, &d->ins.d2) && kds_use(d, 2, 4, false, &d->ins.x) && kds_emit(d);
    }
    return false;
}

static bool decode_bra(kds_decoder *d)
{
    kds_accept(d, "uni");
    const kds_ptx_operand *o = kds_operand(d, 0);
    if (!kds_all_read(d) || kds_operand_count(d) != 1)
        return false;
    if (o->kind != KDS_OPERAND_LABEL)
        return kds_why(d, "no such label");
    kds_kind(d, KDS_OP_bra, KDS_PIPE_CONTROL, 1, KDS_WAIT_NONE);
    d->ins.flags |= KDS_INS_ENDS_RUN;
    d->ins.target = d->start_base + (uint32_t)o->index;
    return kds_emit(d);
}

/* brx.idx index, table */
static bool decode_brx(kds_decoder *d)
{
    bool index = kds_accept(d, "idx");
    kds_accept(d, "uni");
    const kds_ptx_operand *o = kds_operand(d, 1);
    if (!index || !kds_all_read(d) || kds_operand_count(d) != 2 || o->kind != KDS_OPERAND_NAME)
        return false;
    const kds_ptx_function *f = d->function;
    kds_kernel *k = d->kernel;
    kds_kind(d, KDS_OP_brx, KDS_PIPE_CONTROL, 2, KDS_WAIT_NONE);
    d->ins.flags |= KDS_INS_ENDS_RUN;
    for (uint32_t i = 0; i < f->target_count; i++) {
        const kds_ptx_targets *t = &f->targets[i];
        if (t->name.len != o->name.len || memcmp(t->name.text, o->name.text, t->name.len) != 0)
            continue;
        d->ins.target = k->jump_count;
        d->ins.imm = t->count;
        for (uint32_t j = 0; j < t->count; j++) {
            const kds_ptx_operand *label = &f->operands[t->first + j];
            if (label->kind != KDS_OPERAND_LABEL)
                return kds_why(d, "no such label in the jump table");
            if (!kds_ptx_room(&k->jumps, k->jump_count, &k->jump_room, sizeof *k->jumps)) {
                d->no_memory = true;
                return false;
            }
            k->jumps[k->jump_count++] = d->start_base + (uint32_t)label->index;
        }
        return kds_use(d, 0, 4, false, &d->ins.a) && kds_emit(d);
    }
    return kds_why(d, "no such jump table");
}

/* bar.warp.sync mask */
static bool decode_warp_barrier(kds_decoder *d)
{
    kds_kind(d, KDS_OP_warpsync, KDS_PIPE_CONTROL, 1, KDS_WAIT_NONE);
    d->ins.flags |= KDS_INS_OWN_MASK;
    return kds_accept(d, "sync") && kds_all_read(d) && kds_operand_count(d) == 1 &&
           kds_use(d, 0, 4, false, &d->ins.x) && kds_emit(d);
}

/* barrier.cluster.arrive{.release|.relaxed}{.aligned} and .wait{.acquire}{.aligned} */
static bool decode_cluster_barrier(kds_decoder *d)
{
    static const char *const kinds[] = {"arrive", "wait", NULL};
    int kind = kds_accept_of(d, kinds);
    bool release = kind == 0 && !kds_accept(d, "relaxed");
    kds_accept(d, kind == 0 ? "release" : "acquire");
    bool aligned = kds_accept(d, "aligned");
    if (kind < 0 || !kds_all_read(d) || kds_operand_count(d) != 0)
        return false;
    kds_kind(d, KDS_OP_cluster_bar, KDS_PIPE_CONTROL, 1, KDS_WAIT_NONE);
    d->ins.flags |= KDS_INS_ENDS_RUN | KDS_INS_OWN_MASK;
    d->ins.combine = (uint8_t)kind;
    d->ins.compare = aligned;
    d->ins.rounding = kind == 1 ? KDS_ORDER_ACQUIRE
                      : release ? KDS_ORDER_RELEASE
                                : KDS_ORDER_RELAXED;
    return kds_emit(d);
}

static bool decode_bar(kds_decoder *d, bool aligned)
{
    static const char *const kinds[] = {"sync", "arrive", "red", NULL};
    static const char *const reductions[] = {"popc", "and", "or", NULL};
    kds_accept(d, "cta");
    if (!aligned && kds_accept(d, "cluster"))
        return decode_cluster_barrier(d);
    if (aligned && kds_accept(d, "warp"))
        return decode_warp_barrier(d);
    int kind = kds_accept_of(d, kinds), reduction = kind == 2 ? kds_accept_of(d, reductions) : -1;
    if (kind < 0 || (kind == 2 && reduction < 0))
        return false;
    if (!aligned)
        aligned = kds_accept(d, "aligned");
    if (kind == 2 && !kds_accept(d, reduction == 0 ? "u32" : "pred"))
        return false;
    if (!kds_all_read(d))
        return false;
    kds_kind(d, KDS_OP_bar, KDS_PIPE_CONTROL, 1, KDS_WAIT_NONE);
    d->ins.flags |= KDS_INS_ENDS_RUN | KDS_INS_OWN_MASK;
    d->ins.combine = (uint8_t)(kind == 2 ? 2 + reduction : kind);
    d->ins.compare = aligned;
    int at = 0, end = kds_operand_count(d);
    if (kind == 2) {
        if (end < 3 || !kds_define(d, at++, reduction == 0 ? 4 : 0, &d->ins.d) ||
            !kds_use(d, --end, 0, false, &d->ins.c))
            return false;
    }
    if (end - at < 1 || end - at > 2 || (kind == 1 && end - at != 2))
        return kds_why(d, "another number of operands");
    return kds_use(d, at, 4, false, &d->ins.a) &&
           (end - at == 1 || kds_use(d, at + 1, 4, false, &d->ins.b)) && kds_emit(d);
}

/* Memory is sequentially consistent here: what a fence orders is only noted. */
static bool decode_fence(kds_decoder *d)
{
    static const char *const levels[] = {"cta", "gl", "sys", NULL};
    static const uint8_t level_scopes[] = {KDS_SCOPE_CTA, KDS_SCOPE_GPU, KDS_SCOPE_SYS};
    static const char *const orders[] = {"sc", "acq_rel", "acquire", "release", NULL};
    static const uint8_t order_kinds[] = {KDS_ORDER_SC, KDS_ORDER_ACQ_REL, KDS_ORDER_ACQUIRE,
                                          KDS_ORDER_RELEASE};
    static const char *const scopes[] = {"cta", "cluster", "gpu", "sys", NULL};
    int order = -1, scope;
    if (base_is(d, "membar")) {
        scope = kds_accept_of(d, levels);
        scope = scope >= 0 ? level_scopes[scope] : -1;
    } else {
        order = kds_accept_of(d, orders);
        scope = kds_accept_of(d, scopes);
    }
    if (scope < 0 || !kds_all_read(d) || kds_operand_count(d) != 0)
        return false;
    kds_kind(d, KDS_OP_fence, KDS_PIPE_LSU, 1, KDS_WAIT_NONE);
    d->ins.flags |= KDS_INS_OWN_MASK;
    d->ins.rounding = order >= 0 ? order_kinds[order] : KDS_ORDER_SC;
    d->ins.type2 = (uint8_t)scope;
    return kds_emit(d);
}

/* nanosleep and griddepcontrol: launches run one after the other. */
static bool decode_pause(kds_decoder *d)
{
    static const char *const dependents[] = {"launch_dependents", "wait", NULL};
    int32_t ignored;
    bool sleep = base_is(d, "nanosleep");
    if (sleep ? !kds_accept(d, "u32") : kds_accept_of(d, dependents) < 0)
        return false;
    if (!kds_all_read(d) || kds_operand_count(d) != sleep)
        return false;
    kds_kind(d, KDS_OP_nop, KDS_PIPE_CONTROL, 1, KDS_WAIT_NONE);
    d->ins.flags |= KDS_INS_OWN_MASK;
    return (!sleep || kds_use(d, 0, 4, false, &ignored)) && kds_emit(d);
}

bool kds_decode_control(kds_decoder *d)
{
    if (base_is(d, "bra"))
        return decode_bra(d);
    if (base_is(d, "brx"))
        return decode_brx(d);
    if (base_is(d, "ret") || base_is(d, "exit") || base_is(d, "trap")) {
        if (base_is(d, "ret"))
            kds_accept(d, "uni");
        if (!kds_all_read(d) || kds_operand_count(d) != 0)
            return false;
        kds_kind(d, base_is(d, "trap") ? KDS_OP_trap : KDS_OP_exit, KDS_PIPE_CONTROL, 1,
                 KDS_WAIT_NONE);
        d->ins.flags |= KDS_INS_ENDS_RUN;
        return kds_emit(d);
    }
    if (base_is(d, "bar") || base_is(d, "barrier"))
        return decode_bar(d, base_is(d, "bar"));
    if (base_is(d, "membar") || base_is(d, "fence"))
        return decode_fence(d);
    if (base_is(d, "nanosleep") || base_is(d, "griddepcontrol"))
        return decode_pause(d);
    return false;
}
