/* Reading local memory that was never written is no fault by itself: compilers copy structs with
 * their padding, read ahead of the condition under which the value counts, and read words to keep
 * some of their bits. So the value is followed, and the fault is to depend on it: to compute with
 * it and store or pass on the result, to use it as an address, to add it to memory. Copies and
 * selections are none; after an operation on bits it counts as written. So does what a branch
 * decides by it, what was passed to a function as it is, and a value of which some byte was
 * written. What is reported is therefore always wrong in the source; what is not reported reads as
 * all ones. */
#include "eval/sim/taint.h"
#include "eval/sim/stack.h"
#include <stdlib.h>
#include <string.h>

void kds_taint_free(kds_warp *w)
{
    if (w->taint == NULL)
        return;
    free(w->taint->unwritten);
    free(w->taint->computed);
    free(w->taint->origins);
    free(w->taint);
}

void kds_taint_begin(kds_warp *w)
{
    size_t slots = w->run->kernel->file_bytes / 4 + 1;
    if (!w->tainted)
        return;
    memset(w->taint->unwritten, 0, slots * sizeof *w->taint->unwritten);
    memset(w->taint->computed, 0, slots * sizeof *w->taint->computed);
    w->taint->live = 0;
    w->tainted = false;
}

static bool create(kds_warp *w)
{
    size_t slots = w->run->kernel->file_bytes / 4 + 1;
    if (w->taint != NULL)
        return true;
    w->taint = calloc(1, sizeof *w->taint);
    if (w->taint == NULL)
        return false;
    w->taint->unwritten = calloc(slots, sizeof *w->taint->unwritten);
    w->taint->computed = calloc(slots, sizeof *w->taint->computed);
    w->taint->origins = calloc(slots, sizeof *w->taint->origins);
    return w->taint->unwritten != NULL && w->taint->computed != NULL && w->taint->origins != NULL;
}

typedef struct taint {
    uint32_t unwritten, computed;
    kds_origin origin;
} taint;

static taint get(const kds_warp *w, int32_t offset, uint32_t mask)
{
    const kds_taint *t = w->taint;
    if (offset < 0)
        return (taint){0};
    return (taint){.unwritten = t->unwritten[offset / 4] & mask,
                   .computed = t->computed[offset / 4] & mask,
                   .origin = t->origins[offset / 4]};
}

/* The lanes of `mask` of a register get what `v` says of them. */
static void set(kds_warp *w, int32_t offset, uint32_t mask, taint v)
{
    kds_taint *t = w->taint;
    if (offset < 0)
        return;
    uint32_t *unwritten = &t->unwritten[offset / 4], *computed = &t->computed[offset / 4];
    bool before = *unwritten != 0;
    *unwritten = (*unwritten & ~mask) | (v.unwritten & mask);
    *computed = (*computed & ~mask) | (v.computed & mask);
    if ((v.unwritten & mask) != 0)
        t->origins[offset / 4] = v.origin;
    t->live += (uint32_t)(*unwritten != 0) - (uint32_t)before;
    w->tainted = t->live != 0;
}

static taint both(taint a, taint b)
{
    return (taint){.unwritten = a.unwritten | b.unwritten,
                   .computed = a.computed | b.computed,
                   .origin = a.unwritten != 0 ? a.origin : b.origin};
}

static kds_step fault(kds_warp *w, const kds_ins *i, uint32_t lanes, kds_origin origin,
                      const char *use)
{
    const kds_kernel *k = w->run->kernel;
    uint32_t lane = (uint32_t)__builtin_ctz(lanes);
    const kds_ins *load = &k->code[origin.load];
    char where[140];
    kds_local_place(w, lane, origin.address, (uint32_t)load->bytes, where, sizeof where);
    return kds_fault_text(w->run, KDS_SIM_UNINITIALISED, i, lane, "%s read at PTX line %u %s", use,
                          load->line, where);
}

/* What arithmetic makes of a value that was never written is a value of that kind. */
static bool is_arithmetic(int op)
{
    switch (op) {
    case KDS_OP_add_b16:
    case KDS_OP_add_b32:
    case KDS_OP_add_b64:
    case KDS_OP_sub_b16:
    case KDS_OP_sub_b32:
    case KDS_OP_sub_b64:
    case KDS_OP_mul_lo_b16:
    case KDS_OP_mul_lo_b32:
    case KDS_OP_mul_lo_b64:
    case KDS_OP_mad_lo_b16:
    case KDS_OP_mad_lo_b32:
    case KDS_OP_mad_lo_b64:
    case KDS_OP_add_f32:
    case KDS_OP_add_ftz_f32:
    case KDS_OP_add_any_f32:
    case KDS_OP_sub_f32:
    case KDS_OP_sub_ftz_f32:
    case KDS_OP_sub_any_f32:
    case KDS_OP_mul_f32:
    case KDS_OP_mul_ftz_f32:
    case KDS_OP_mul_any_f32:
    case KDS_OP_fma_f32:
    case KDS_OP_fma_ftz_f32:
    case KDS_OP_fma_any_f32:
    case KDS_OP_div_f32:
    case KDS_OP_div_approx_f32:
    case KDS_OP_sqrt_f32:
    case KDS_OP_sqrt_approx_f32:
    case KDS_OP_rsqrt_approx_f32:
    case KDS_OP_ex2_f32:
    case KDS_OP_lg2_f32:
    case KDS_OP_add_f64:
    case KDS_OP_sub_f64:
    case KDS_OP_mul_f64:
    case KDS_OP_fma_f64:
    case KDS_OP_div_f64:
    case KDS_OP_sqrt_f64:
    case KDS_OP_add_f16:
    case KDS_OP_sub_f16:
    case KDS_OP_mul_f16:
    case KDS_OP_fma_f16:
    case KDS_OP_add_bf16:
    case KDS_OP_sub_bf16:
    case KDS_OP_mul_bf16:
    case KDS_OP_fma_bf16:
        return true;
    default:
        return false;
    }
}

/* The value in another place or width. */
static bool is_copy(int op)
{
    switch (op) {
    case KDS_OP_mov_b16:
    case KDS_OP_mov_b32:
    case KDS_OP_mov_b64:
    case KDS_OP_cvt_any:
    case KDS_OP_cvt_f32_bf16:
    case KDS_OP_cvt_f32_f16:
    case KDS_OP_cvt_bf16_f32:
    case KDS_OP_cvt_f16_f32:
    case KDS_OP_cvt_f32_s32:
    case KDS_OP_cvt_f32_u32:
    case KDS_OP_cvt_rzi_s32_f32:
    case KDS_OP_cvt_sat_f32:
    case KDS_OP_cvt_f64_f32:
    case KDS_OP_cvt_f32_f64:
    case KDS_OP_cvt_b64_s32:
    case KDS_OP_cvt_b64_u32:
    case KDS_OP_cvt_b32_b64:
    case KDS_OP_cvt_b32_u16:
    case KDS_OP_cvt_b32_s16:
    case KDS_OP_cvt_b64_u16:
    case KDS_OP_cvt_b64_s16:
    case KDS_OP_mul_wide_s32: /* an index on its way to become an address */
    case KDS_OP_mul_wide_u32:
        return true;
    default:
        return false;
    }
}

static taint result_of(const kds_warp *w, const kds_ins *i, uint32_t mask)
{
    taint v = {0};
    if (i->op == KDS_OP_selp_b16 || i->op == KDS_OP_selp_b32 || i->op == KDS_OP_selp_b64) {
        uint32_t p;
        memcpy(&p, w->file + i->c, sizeof p);
        return both(get(w, i->a, mask & p), get(w, i->b, mask & ~p));
    }
    if (is_copy(i->op))
        return get(w, i->a, mask);
    if (is_arithmetic(i->op)) {
        v = both(both(get(w, i->a, mask), get(w, i->b, mask)), get(w, i->c, mask));
        v.computed = v.unwritten;
    }
    return v;
}

static bool is_store(int op)
{
    return op == KDS_OP_st_global || op == KDS_OP_st_shared || op == KDS_OP_st_local ||
           op == KDS_OP_st_generic || op == KDS_OP_st_call;
}

static bool is_access(int op)
{
    return is_store(op) || op == KDS_OP_ld_global || op == KDS_OP_ld_shared ||
           op == KDS_OP_ld_local || op == KDS_OP_ld_generic || op == KDS_OP_atom ||
           op == KDS_OP_cp_async;
}

/* What an access does with its address and its data. */
static kds_step check_access(kds_warp *w, const kds_ins *i, uint32_t mask)
{
    taint v = get(w, i->a, mask);
    if (v.unwritten != 0)
        return fault(w, i, v.unwritten, v.origin, "its address comes from memory never written,");
    if (i->op == KDS_OP_atom) {
        v = get(w, i->b, mask);
        bool adds =
            i->compare == KDS_ATOM_ADD || i->compare == KDS_ATOM_MIN || i->compare == KDS_ATOM_MAX;
        if (adds && v.unwritten != 0)
            return fault(w, i, v.unwritten, v.origin, "it takes a value never written,");
    }
    for (int e = 0; is_store(i->op) && e < i->elements; e++) {
        v = get(w, kds_ins_element(w->run->kernel, i, e), mask);
        if (v.computed != 0)
            return fault(w, i, v.computed, v.origin, "it was computed from a value never written,");
    }
    return KDS_STEP_ON;
}

kds_step kds_taint_step(kds_warp *w, const kds_ins *i, uint32_t mask)
{
    if (is_access(i->op)) {
        kds_step s = check_access(w, i, mask);
        if (s != KDS_STEP_ON)
            return s;
    }
    if (i->result_bytes != 0 && i->elements == 0)
        set(w, i->d, mask, result_of(w, i, mask));
    else
        set(w, i->d, mask, (taint){0});
    set(w, i->d2, mask, (taint){0});
    for (int e = 0; e < i->defined; e++)
        set(w, kds_ins_element(w->run->kernel, i, e), mask, (taint){0});
    return KDS_STEP_ON;
}

/* Whether the bytes of one element that are used have all not been written by the lane. */
static bool all_unwritten(const kds_warp *w, const kds_ins *i, uint32_t lane, uint64_t address,
                          unsigned first)
{
    for (unsigned k = first; k < first + i->bytes; k++) {
        bool used = i->used_bytes == 0 || (i->used_bytes >> k & 1) != 0;
        if (used && (w->local_stored[address + k] >> lane & 1) != 0)
            return false;
    }
    return true;
}

kds_step kds_taint_load(kds_warp *w, const kds_ins *i, const uint64_t *a, uint32_t mask)
{
    if (!create(w))
        return KDS_STEP_NO_MEMORY;
    for (int e = 0; e < i->elements; e++)
        for (uint32_t left = mask; left != 0; left &= left - 1) {
            uint32_t lane = (uint32_t)__builtin_ctz(left);
            if (!all_unwritten(w, i, lane, a[lane], (unsigned)e * i->bytes))
                continue;
            kds_origin origin = {.load = (uint32_t)(i - w->run->kernel->code),
                                 .address = a[lane] + (unsigned)e * i->bytes};
            set(w, kds_ins_element(w->run->kernel, i, e), 1u << lane,
                (taint){.unwritten = 1u << lane, .origin = origin});
        }
    return KDS_STEP_ON;
}

void kds_taint_store(kds_warp *w, const kds_ins *i, const uint64_t *a, uint32_t mask)
{
    for (int e = 0; e < i->elements; e++) {
        uint32_t lanes = get(w, kds_ins_element(w->run->kernel, i, e), mask).unwritten;
        for (; lanes != 0; lanes &= lanes - 1) {
            uint32_t lane = (uint32_t)__builtin_ctz(lanes);
            for (unsigned k = 0; k < i->bytes; k++)
                w->local_stored[a[lane] + (unsigned)e * i->bytes + k] &= ~(1u << lane);
        }
    }
}

void kds_taint_forget(kds_warp *w, const kds_function *f, uint32_t lane)
{
    static const uint32_t bytes[KDS_SLOT_KINDS] = {256, 128, 64, 4};
    for (int k = 0; w->tainted && k < KDS_SLOT_KINDS; k++)
        for (uint32_t n = 0; n < f->slots[k].count; n++)
            set(w, (int32_t)(f->slots[k].offset + n * bytes[k]), 1u << lane, (taint){0});
}
