/* What went wrong, in words: kernel, block, thread, instruction, and the address as a place
 * relative to the nearest buffer. Also the names of statuses and counters. */
#include "eval/sim/stack.h"
#include "search/base/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *kds_sim_status_name(kds_sim_status s)
{
    static const char *const names[] = {
        "ok",          "not_simulated", "out_of_bounds", "misaligned", "uninitialised",
        "wrote_input", "barrier",       "trap",          "budget",     "bad_launch",
        "deadlock",    "race",          "async"};
    return (size_t)s < sizeof names / sizeof names[0] ? names[s] : "unknown";
}

const char *kds_sim_counter_name(kds_sim_counter c)
{
    static const char *const names[] = {
#define KDS_X(name, text) text,
        KDS_SIM_COUNTERS(KDS_X)
#undef KDS_X
    };
    return (size_t)c < sizeof names / sizeof names[0] ? names[c] : "unknown";
}

kds_step kds_fault_at(kds_run *r, kds_sim_status s, const kds_ins *i, uint32_t lane,
                      kds_ptx_space space, uint64_t address, uint32_t bytes, bool store)
{
    r->fault = (kds_fault){.status = s,
                           .ins = i,
                           .lane = lane,
                           .address = address,
                           .bytes = bytes,
                           .space = space,
                           .store = store};
    return KDS_STEP_FAULT;
}

kds_step kds_fault_text(kds_run *r, kds_sim_status s, const kds_ins *i, uint32_t lane,
                        const char *fmt, ...)
{
    r->fault = (kds_fault){.status = s, .ins = i, .lane = lane};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->fault.text, sizeof r->fault.text, fmt, ap);
    va_end(ap);
    return KDS_STEP_FAULT;
}

/* "at 4 bytes past the end of x (1024 bytes)" */
static void place_global(const kds_sim_memory *m, uint64_t address, uint32_t bytes, char *out,
                         size_t size)
{
    const kds_region *r = kds_memory_nearest(m, address);
    unsigned long long n;
    if (address < (uint64_t)KDS_FIRST_GRANULE << 32) {
        snprintf(out, size,
                 address < 4096 ? "at address 0x%llx, a null pointer"
                                : "at address 0x%llx, which is no global address",
                 (unsigned long long)address);
        return;
    }
    if (r == NULL) {
        snprintf(out, size, "at address 0x%llx; there are no buffers", (unsigned long long)address);
        return;
    }
    unsigned long long all = r->bytes;
    if (address < r->address) {
        n = r->address - address;
        snprintf(out, size, "at %llu byte%s before the start of %s (%llu bytes)", n,
                 n == 1 ? "" : "s", r->name, all);
    } else if (address >= r->address + r->bytes) {
        n = address - r->address - r->bytes;
        if (n == 0)
            snprintf(out, size, "at the end of %s (%llu bytes)", r->name, all);
        else
            snprintf(out, size, "at %llu byte%s past the end of %s (%llu bytes)", n,
                     n == 1 ? "" : "s", r->name, all);
    } else {
        n = address - r->address;
        if (n + bytes > r->bytes)
            snprintf(out, size, "at byte %llu of %s (%llu bytes), %llu past its end", n, r->name,
                     all, n + bytes - r->bytes);
        else
            snprintf(out, size, "at byte %llu of %s (%llu bytes)", n, r->name, all);
    }
}

static void place(const kds_run *r, const kds_warp *w, const kds_fault *f, char *out, size_t size)
{
    unsigned long long at = f->address;
    long long near = (long long)(int32_t)(uint32_t)f->address;
    bool before = near < 0 && (at <= UINT32_MAX || at == (unsigned long long)near);
    switch (f->space) {
    case KDS_SPACE_SHARED:
        if (before)
            snprintf(out, size, "at %lld bytes before the start of shared memory (%u bytes)", -near,
                     r->shared_bytes);
        else if (at >= KDS_CLUSTER_STEP && at / KDS_CLUSTER_STEP <= r->cluster_size)
            snprintf(out, size,
                     "at byte %llu of the shared memory (%u bytes) of the cluster's "
                     "block %llu",
                     at % KDS_CLUSTER_STEP, r->shared_bytes, at / KDS_CLUSTER_STEP - 1);
        else
            snprintf(out, size, "at byte %llu of shared memory (%u bytes)", at, r->shared_bytes);
        return;
    case KDS_SPACE_LOCAL:
        kds_local_place(w, f->lane, f->address, f->bytes, out, size);
        return;
    case KDS_SPACE_PARAM:
        snprintf(out, size, "at byte %llu of the parameters (%u bytes)", at,
                 r->kernel->param_bytes);
        return;
    default:
        place_global(r->memory, f->address, f->bytes, out, size);
        return;
    }
}

void kds_fault_place(const kds_run *r, kds_ptx_space space, uint64_t address, uint32_t bytes,
                     char *out, size_t size)
{
    kds_fault f = {.space = space, .address = address, .bytes = bytes};
    place(r, r->warp, &f, out, size);
}

static const char *what(kds_sim_status s)
{
    switch (s) {
    case KDS_SIM_OUT_OF_BOUNDS:
        return "out of bounds";
    case KDS_SIM_MISALIGNED:
        return "misaligned";
    case KDS_SIM_UNINITIALISED:
        return "read of memory that was never written";
    case KDS_SIM_WROTE_INPUT:
        return "store to a read-only input";
    case KDS_SIM_BARRIER:
        return "barrier";
    case KDS_SIM_TRAP:
        return "trap";
    case KDS_SIM_BUDGET:
        return "budget";
    case KDS_SIM_DEADLOCK:
        return "deadlock";
    case KDS_SIM_RACE:
        return "race";
    case KDS_SIM_ASYNC:
        return "missing wait for an asynchronous copy";
    default:
        return kds_sim_status_name(s);
    }
}

/* ", in function f" where the instruction is not the kernel's own. */
static void name_function(const kds_kernel *k, const kds_ins *i, char *out, size_t size)
{
    uint32_t at = (uint32_t)(i - k->code);
    out[0] = '\0';
    for (uint32_t n = 1; n < k->calls.function_count; n++) {
        const kds_function *f = &k->calls.functions[n];
        if (at >= f->first && at < f->end)
            snprintf(out, size, ", in function %.*s",
                     f->source->name.len < 100 ? (int)f->source->name.len : 100,
                     f->source->name.text);
    }
}

void kds_report(const kds_run *r, const kds_warp *w, kds_sim_result *out)
{
    const kds_fault *f = &r->fault;
    char text[1900], where[1000];
    uint32_t t = w->index * KDS_LANES + f->lane;
    uint32_t x = t % r->block[0], y = t / r->block[0] % r->block[1],
             z = t / r->block[0] / r->block[1];
    if (f->text[0] != '\0') {
        snprintf(where, sizeof where, "%s", f->text);
    } else {
        place(r, w, f, text, sizeof text);
        snprintf(where, sizeof where, "%s %u byte%s %.400s", f->store ? "writes" : "reads",
                 f->bytes, f->bytes == 1 ? "" : "s", text);
        if (f->status == KDS_SIM_MISALIGNED) {
            size_t len = strlen(where);
            snprintf(where + len, sizeof where - len, ": not a multiple of %u", f->bytes);
        }
    }
    char inside[130];
    name_function(r->kernel, f->ins, inside, sizeof inside);
    int len = f->ins->opcode.len < 100 ? (int)f->ins->opcode.len : 100;
    snprintf(
        text, sizeof text,
        "%s: kernel %.300s%s, block (%u, %u, %u), thread (%u, %u, %u): %.*s at PTX line %u: %s",
        what(f->status), r->kernel->name, inside, w->block->at[0], w->block->at[1], w->block->at[2],
        x, y, z, len, f->ins->opcode.text, f->ins->line, where);
    out->status = f->status;
    out->source_line = (int)f->ins->source_line;
    kds_text_escape_into(out->report, sizeof out->report, text, strlen(text), false);
}
