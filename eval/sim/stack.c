/* Calls and returns lane by lane: frames, arguments, registers of functions that are entered again,
 * and the local memory of it all. What a frame held before is forgotten when it is entered: local
 * variables begin undefined. */
#include "eval/sim/stack.h"
#include "eval/sim/taint.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t slot_bytes[KDS_SLOT_KINDS] = {8, 4, 2, 0};

bool kds_stack_create(kds_warp *w)
{
    const kds_calls *c = &w->run->kernel->calls;
    if (!c->used)
        return true;
    w->stack = calloc(1, sizeof *w->stack);
    if (w->stack == NULL)
        return false;
    w->stack->active = calloc((size_t)c->function_count * KDS_LANES, sizeof *w->stack->active);
    w->stack->params_room = (c->functions[0].param_stride + 1023) / 1024 * 1024;
    w->stack->params = calloc(w->stack->params_room + 4, KDS_LANES);
    return w->stack->active != NULL && w->stack->params != NULL;
}

void kds_stack_free(kds_warp *w)
{
    free(w->local);
    free(w->local_stored);
    kds_taint_free(w);
    if (w->stack == NULL)
        return;
    for (int l = 0; l < KDS_LANES; l++) {
        free(w->stack->lanes[l].frames);
        free(w->stack->lanes[l].saved);
    }
    free(w->stack->params);
    free(w->stack->active);
    free(w->stack);
}

void kds_stack_begin(kds_warp *w)
{
    const kds_calls *c = &w->run->kernel->calls;
    if (w->local_room > 0)
        memset(w->local_stored, 0, w->local_room * sizeof *w->local_stored);
    w->depth = 0;
    kds_taint_begin(w);
    if (w->stack == NULL)
        return;
    memset(w->stack->active, 0, (size_t)c->function_count * KDS_LANES * sizeof *w->stack->active);
    for (int l = 0; l < KDS_LANES; l++)
        w->stack->lanes[l].depth = w->stack->lanes[l].saved_bytes = 0;
    for (int k = 0; k < KDS_FRAME_KINDS; k++)
        memset(w->file + c->frames[k], 0, 8 * KDS_LANES);
}

/* ---- Room ---- */

bool kds_local_reserve(kds_warp *w, uint32_t bytes)
{
    if (bytes <= w->local_room)
        return true;
    uint32_t room = w->local_room < 64 ? bytes : bytes + w->local_room;
    room = (room + 3) / 4 * 4;
    uint8_t *local = realloc(w->local, (size_t)room * KDS_LANES);
    if (local == NULL)
        return false;
    w->local = local;
    uint32_t *stored = realloc(w->local_stored, room * sizeof *stored);
    if (stored == NULL)
        return false;
    memset(local + (size_t)w->local_room * KDS_LANES, 0,
           (size_t)(room - w->local_room) * KDS_LANES);
    memset(stored + w->local_room, 0, (room - w->local_room) * sizeof *stored);
    w->local_stored = stored;
    w->local_room = room;
    return true;
}

static bool reserve_params(kds_stack *s, uint64_t bytes)
{
    if (bytes <= s->params_room)
        return true;
    uint32_t room = (uint32_t)(bytes * 2 + 1023) / 1024 * 1024;
    uint8_t *params = realloc(s->params, ((size_t)room + 4) * KDS_LANES);
    if (params == NULL)
        return false;
    memset(params + (size_t)s->params_room * KDS_LANES, 0,
           ((size_t)room + 4 - s->params_room) * KDS_LANES);
    s->params = params;
    s->params_room = room;
    return true;
}

/* ---- Registers of one lane ---- */

static uint32_t register_bytes(const kds_function *f)
{
    uint32_t n = (f->slots[3].count + 7) / 8;
    for (int k = 0; k < 3; k++)
        n += f->slots[k].count * slot_bytes[k];
    return n;
}

/* Between the file and `at`, which receives them or gives them back. */
static void move_registers(kds_warp *w, const kds_function *f, uint32_t lane, uint8_t *at,
                           bool save)
{
    for (int k = 0; k < 3; k++) {
        uint32_t bytes = slot_bytes[k];
        uint8_t *slot = w->file + f->slots[k].offset + bytes * lane;
        for (uint32_t n = 0; n < f->slots[k].count; n++, slot += bytes * KDS_LANES, at += bytes)
            memcpy(save ? at : slot, save ? slot : at, bytes);
    }
    for (uint32_t n = 0; n < f->slots[3].count; n++) {
        uint32_t all;
        uint8_t *slot = w->file + f->slots[3].offset + 4 * n, bit = (uint8_t)(1u << (n % 8));
        memcpy(&all, slot, sizeof all);
        if (save) {
            at[n / 8] = (uint8_t)(n % 8 == 0 ? 0 : at[n / 8]);
            at[n / 8] |= (all >> lane & 1) != 0 ? bit : 0;
        } else {
            all &= ~(1u << lane);
            all |= (uint32_t)((at[n / 8] & bit) != 0) << lane;
            memcpy(slot, &all, sizeof all);
        }
    }
}

static bool save_registers(kds_warp *w, const kds_function *f, uint32_t lane)
{
    kds_lane_stack *s = &w->stack->lanes[lane];
    uint32_t bytes = register_bytes(f);
    if (s->saved_bytes + bytes > s->saved_room) {
        uint32_t room = (s->saved_bytes + bytes) * 2;
        uint8_t *saved = realloc(s->saved, room);
        if (saved == NULL)
            return false;
        s->saved = saved;
        s->saved_room = room;
    }
    move_registers(w, f, lane, s->saved + s->saved_bytes, true);
    s->saved_bytes += bytes;
    return true;
}

/* ---- Frames ---- */

static uint32_t function_at(const kds_lane_stack *s, uint32_t depth)
{
    return depth > 0 ? s->frames[depth - 1].function : 0;
}

static void set_base(kds_warp *w, kds_frame_kind kind, uint32_t lane, uint64_t base)
{
    memcpy(w->file + w->run->kernel->calls.frames[kind] + 8 * lane, &base, sizeof base);
}

static void copy_params(kds_stack *s, uint32_t lane, uint64_t to, uint64_t from, uint32_t bytes)
{
    if ((to % 4 | from % 4) == 0)
        for (; bytes >= 4; bytes -= 4, to += 4, from += 4)
            memcpy(s->params + kds_lane_byte(to, lane), s->params + kds_lane_byte(from, lane), 4);
    for (; bytes > 0; bytes--, to++, from++)
        s->params[kds_lane_byte(to, lane)] = s->params[kds_lane_byte(from, lane)];
}

static kds_step overflow(kds_warp *w, const kds_ins *i, uint32_t lane, const kds_function *f)
{
    const kds_ptx_name *name = &f->source->name;
    return kds_fault_text(
        w->run, KDS_SIM_OUT_OF_BOUNDS, i, lane, "stack overflow: a call of %.*s at depth %u",
        name->len < 80 ? (int)name->len : 80, name->text, w->stack->lanes[lane].depth);
}

/* The lane enters a function; its arguments and results go by the slices of the place that calls.
 */
static kds_step enter(kds_warp *w, const kds_ins *i, uint32_t at, uint32_t lane, uint32_t number,
                      const kds_call *site)
{
    const kds_calls *c = &w->run->kernel->calls;
    const kds_function *f = &c->functions[number];
    kds_lane_stack *s = &w->stack->lanes[lane];
    const kds_function *caller = &c->functions[function_at(s, s->depth)];
    uint64_t local = kds_frame_base(w, KDS_FRAME_LOCAL, lane) + caller->local_stride;
    uint64_t old = kds_frame_base(w, KDS_FRAME_PARAMS, lane), params = old + caller->param_stride;
    uint32_t *active = &w->stack->active[number * KDS_LANES + lane];
    if (s->depth >= KDS_CALL_DEPTH || local + f->local_stride > KDS_LOCAL_CAP ||
        params + f->param_stride > KDS_CALL_PARAMS_CAP ||
        s->saved_bytes + register_bytes(f) > KDS_CALL_SAVED_CAP)
        return overflow(w, i, lane, f);
    if (!kds_ptx_room(&s->frames, s->depth, &s->room, sizeof *s->frames) ||
        !kds_local_reserve(w, (uint32_t)local + f->local_bytes) ||
        !reserve_params(w->stack, params + f->param_stride) ||
        (*active > 0 && !save_registers(w, f, lane)))
        return KDS_STEP_NO_MEMORY;
    s->frames[s->depth++] = (kds_frame){.call = at, .function = number, .saved = *active > 0};
    ++*active;
    kds_taint_forget(w, f, lane);
    set_base(w, KDS_FRAME_LOCAL, lane, local);
    set_base(w, KDS_FRAME_PARAMS, lane, params);
    for (uint32_t k = site->return_count; k < site->formal_count; k++)
        copy_params(w->stack, lane, params + c->slices[f->formals + k].offset,
                    old + c->slices[site->actuals + k].offset, c->slices[f->formals + k].bytes);
    return KDS_STEP_ON;
}

/* The function at an address that a lane calls, if it can be called like this. */
static kds_step find_function(kds_warp *w, const kds_ins *i, uint32_t lane, const kds_call *site,
                              uint32_t *number)
{
    const kds_calls *c = &w->run->kernel->calls;
    uint64_t address, symbol;
    memcpy(&address, w->file + i->a + 8 * lane, sizeof address);
    symbol = (address - KDS_CODE_WINDOW) / 16 - 1;
    if (address < KDS_CODE_WINDOW + 16 || address % 16 != 0 || symbol >= c->symbol_count)
        return kds_fault_text(w->run, KDS_SIM_OUT_OF_BOUNDS, i, lane,
                              "calls address 0x%llx, where no function is",
                              (unsigned long long)address);
    *number = c->by_symbol[symbol];
    if (*number == KDS_BY_ADDRESS)
        return kds_fault_text(w->run, KDS_SIM_NOT_SIMULATED, i, lane,
                              "a call by address of a function that has no code here");
    const kds_function *f = &c->functions[*number];
    bool fits = f->source->return_count == site->return_count &&
                f->source->formal_count == site->formal_count;
    for (uint32_t k = 0; fits && k < site->formal_count; k++)
        fits = c->slices[f->formals + k].bytes == c->slices[site->actuals + k].bytes;
    if (!fits)
        return kds_fault_text(w->run, KDS_SIM_TRAP, i, lane,
                              "calls %.*s by its address with arguments that it does not have",
                              f->source->name.len < 80 ? (int)f->source->name.len : 80,
                              f->source->name.text);
    return KDS_STEP_ON;
}

/* Local variables of the frames that the lanes of `mask` have just entered begin undefined. */
static void forget_locals(kds_warp *w, uint32_t mask)
{
    const kds_calls *c = &w->run->kernel->calls;
    uint32_t functions[KDS_LANES];
    uint64_t bases[KDS_LANES];
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        functions[lane] = function_at(&w->stack->lanes[lane], w->stack->lanes[lane].depth);
        bases[lane] = kds_frame_base(w, KDS_FRAME_LOCAL, lane);
    }
    while (mask != 0) {
        uint32_t first = (uint32_t)__builtin_ctz(mask), group = 0;
        for (uint32_t left = mask; left != 0; left &= left - 1) {
            uint32_t lane = (uint32_t)__builtin_ctz(left);
            if (functions[lane] == functions[first] && bases[lane] == bases[first])
                group |= 1u << lane;
        }
        for (uint32_t k = 0; k < c->functions[functions[first]].local_bytes; k++)
            w->local_stored[bases[first] + k] &= ~group;
        mask &= ~group;
    }
}

/* One lane calls; `to` receives where it goes on. */
static kds_step call_lane(kds_warp *w, const kds_ins *i, uint32_t at, uint32_t lane, uint32_t *to)
{
    const kds_calls *c = &w->run->kernel->calls;
    const kds_call *site = &c->sites[i->target];
    uint32_t number = site->function;
    kds_step s = number == KDS_BY_ADDRESS ? find_function(w, i, lane, site, &number) : KDS_STEP_ON;
    if (s != KDS_STEP_ON)
        return s;
    const kds_function *f = &c->functions[number];
    const kds_ptx_name *name = &f->source->name;
    if (f->missing != NULL)
        return kds_fault_text(w->run, KDS_SIM_NOT_SIMULATED, i, lane, "a call of %.*s: %.100s",
                              name->len < 60 ? (int)name->len : 60, name->text, f->missing);
    *to = f->first;
    return enter(w, i, at, lane, number, site);
}

kds_step kds_stack_call(kds_warp *w, const kds_ins *i, uint32_t at, uint32_t mask, uint32_t *to)
{
    const kds_call *site = &w->run->kernel->calls.sites[i->target];
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        to[lane] = at + 1;
        kds_step s = site->builtin != KDS_BUILTIN_NONE ? kds_builtin_call(w, i, site, lane)
                                                       : call_lane(w, i, at, lane, &to[lane]);
        if (s != KDS_STEP_ON)
            return s;
    }
    if (site->builtin == KDS_BUILTIN_NONE)
        forget_locals(w, mask);
    return KDS_STEP_ON;
}

void kds_stack_return(kds_warp *w, uint32_t mask, uint32_t *to)
{
    const kds_kernel *k = w->run->kernel;
    const kds_calls *c = &k->calls;
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        kds_lane_stack *s = &w->stack->lanes[lane];
        const kds_frame *frame = &s->frames[--s->depth];
        const kds_function *f = &c->functions[frame->function];
        const kds_function *caller = &c->functions[function_at(s, s->depth)];
        const kds_call *site = &c->sites[k->code[frame->call].target];
        uint64_t local = kds_frame_base(w, KDS_FRAME_LOCAL, lane) - caller->local_stride;
        uint64_t old = kds_frame_base(w, KDS_FRAME_PARAMS, lane),
                 params = old - caller->param_stride;
        for (uint32_t r = 0; r < site->return_count; r++)
            copy_params(w->stack, lane, params + c->slices[site->actuals + r].offset,
                        old + c->slices[f->formals + r].offset, c->slices[f->formals + r].bytes);
        set_base(w, KDS_FRAME_LOCAL, lane, local);
        set_base(w, KDS_FRAME_PARAMS, lane, params);
        w->stack->active[frame->function * KDS_LANES + lane]--;
        if (frame->saved) {
            s->saved_bytes -= register_bytes(f);
            move_registers(w, f, lane, s->saved + s->saved_bytes, false);
            kds_taint_forget(w, f, lane);
        }
        to[lane] = frame->call + 1;
    }
}

bool kds_stack_join(kds_warp *w)
{
    bool joined = false;
    for (int s = 0; s < w->split_count; s++)
        for (int k = w->split_count - 1; k > s; k--)
            if (w->splits[k].at == w->splits[s].at) {
                w->splits[s].mask |= w->splits[k].mask;
                if (w->splits[k].depth > w->splits[s].depth)
                    w->splits[s].depth = w->splits[k].depth;
                w->splits[s].waits = false;
                w->splits[k] = w->splits[--w->split_count];
                joined = true;
            }
    return joined;
}

/* ---- Local memory ---- */

bool kds_local_holds(const kds_warp *w, uint32_t lane, uint64_t address, uint32_t bytes)
{
    const kds_calls *c = &w->run->kernel->calls;
    uint32_t depth = w->stack != NULL ? w->stack->lanes[lane].depth : 0;
    uint64_t base = kds_frame_base(w, KDS_FRAME_LOCAL, lane);
    for (;;) {
        const kds_lane_stack *s = w->stack != NULL ? &w->stack->lanes[lane] : NULL;
        uint32_t limit = c->functions[depth > 0 ? function_at(s, depth) : 0].local_bytes;
        if (address >= base)
            return address - base < limit && bytes <= limit - (address - base);
        if (depth == 0)
            return false;
        depth--;
        base -= c->functions[depth > 0 ? function_at(s, depth) : 0].local_stride;
    }
}

/* Bytes between an access and a variable; 0 if it touches it. */
static uint64_t distance(uint64_t address, uint32_t bytes, uint64_t first, uint64_t size)
{
    return address + bytes <= first  ? first - address - bytes + 1
           : address >= first + size ? address - first - size + 1
                                     : 0;
}

void kds_local_place(const kds_warp *w, uint32_t lane, uint64_t address, uint32_t bytes, char *out,
                     size_t size)
{
    const kds_calls *c = &w->run->kernel->calls;
    const kds_lane_stack *s = w->stack != NULL ? &w->stack->lanes[lane] : NULL;
    const kds_local *best = NULL;
    uint64_t base = kds_frame_base(w, KDS_FRAME_LOCAL, lane), first = 0, least = UINT64_MAX;
    for (uint32_t depth = s != NULL ? s->depth : 0, steps = 0; steps < 64; steps++) {
        uint32_t function = depth > 0 ? function_at(s, depth) : 0;
        for (uint32_t k = 0; k < c->local_count; k++) {
            const kds_local *v = &c->locals[k];
            uint64_t away = distance(address, bytes, base + v->offset, v->bytes);
            if (v->function == function && away < least) {
                least = away;
                best = v;
                first = base + v->offset;
            }
        }
        if (depth == 0)
            break;
        depth--;
        base -= c->functions[depth > 0 ? function_at(s, depth) : 0].local_stride;
    }
    if (best == NULL) {
        snprintf(out, size, "at byte %llu of local memory, where no variable is",
                 (unsigned long long)address);
        return;
    }
    int len = best->name.len < 80 ? (int)best->name.len : 80;
    long long from = (long long)(address - first);
    if (from < 0)
        snprintf(out, size, "at %lld byte%s before the start of %.*s (%u bytes of local memory)",
                 -from, from == -1 ? "" : "s", len, best->name.text, best->bytes);
    else if (from == (long long)best->bytes)
        snprintf(out, size, "at the end of %.*s (%u bytes of local memory)", len, best->name.text,
                 best->bytes);
    else if (from > (long long)best->bytes)
        snprintf(out, size, "at %lld byte%s past the end of %.*s (%u bytes of local memory)",
                 from - best->bytes, from - best->bytes == 1 ? "" : "s", len, best->name.text,
                 best->bytes);
    else
        snprintf(out, size, "at byte %lld of %.*s (%u bytes of local memory)", from, len,
                 best->name.text, best->bytes);
}
