/* The functions of the device's run time that have no code in a module: vprintf prints nothing and
 * returns what it would, __assertfail ends the launch with the assertion's own words. */
#include "eval/sim/stack.h"
#include <string.h>

/* A string in global or constant memory, cut to `size`. False: there is none. */
static bool read_string(const kds_warp *w, uint64_t address, char *out, size_t size)
{
    for (size_t n = 0; n + 1 < size; n++) {
        if (kds_memory_region(w->run->memory, address + n) == NULL ||
            !kds_sim_memory_read(w->run->memory, address + n, 1, out + n, NULL))
            return false;
        if (out[n] == '\0')
            return true;
    }
    out[size - 1] = '\0';
    return true;
}

/* Argument k of the call; results come before. */
static uint64_t argument(const kds_warp *w, const kds_call *site, uint32_t lane, uint32_t k)
{
    const kds_slice *s = &w->run->kernel->calls.slices[site->actuals + site->return_count + k];
    uint64_t at = kds_frame_base(w, KDS_FRAME_PARAMS, lane) + s->offset, value = 0;
    uint8_t bytes[8] = {0};
    for (uint32_t b = 0; b < s->bytes && b < 8; b++)
        bytes[b] = w->stack->params[kds_lane_byte(at + b, lane)];
    memcpy(&value, bytes, sizeof value);
    return value;
}

static void set_result(kds_warp *w, const kds_call *site, uint32_t lane, uint32_t value)
{
    uint64_t at = kds_frame_base(w, KDS_FRAME_PARAMS, lane) +
                  w->run->kernel->calls.slices[site->actuals].offset;
    for (uint32_t b = 0; b < 4; b++)
        w->stack->params[kds_lane_byte(at + b, lane)] = (uint8_t)(value >> 8 * b);
}

/* How many arguments a format takes: one for each conversion and for each '*'. */
static uint32_t conversions(const char *format)
{
    uint32_t n = 0;
    for (const char *c = strchr(format, '%'); c != NULL; c = strchr(c, '%')) {
        c++;
        size_t modifiers = strspn(c, "-+ #0123456789.*hlLjzt");
        for (size_t k = 0; k < modifiers; k++)
            n += c[k] == '*';
        c += modifiers;
        if (*c == '\0')
            break;
        n += *c != '%';
        c++;
    }
    return n;
}

static kds_step print(kds_warp *w, const kds_ins *i, const kds_call *site, uint32_t lane)
{
    char format[4096];
    uint64_t address = argument(w, site, lane, 0);
    if (address == 0) {
        set_result(w, site, lane, UINT32_MAX); /* as documented of a format that is NULL */
        return KDS_STEP_ON;
    }
    if (!read_string(w, address, format, sizeof format))
        return kds_fault_at(w->run, KDS_SIM_OUT_OF_BOUNDS, i, lane, KDS_SPACE_GLOBAL, address, 1,
                            false);
    set_result(w, site, lane, conversions(format));
    return KDS_STEP_ON;
}

static kds_step assertion(kds_warp *w, const kds_ins *i, const kds_call *site, uint32_t lane)
{
    char text[3][81];
    static const uint32_t which[3] = {0, 1, 3}; /* message, file, function */
    for (int k = 0; k < 3; k++)
        if (!read_string(w, argument(w, site, lane, which[k]), text[k], sizeof text[k]))
            text[k][0] = '?', text[k][1] = '\0';
    return kds_fault_text(w->run, KDS_SIM_TRAP, i, lane,
                          "assertion failed: %.80s, %.50s line %u, in %.40s", text[0], text[1],
                          (uint32_t)argument(w, site, lane, 2), text[2]);
}

kds_step kds_builtin_call(kds_warp *w, const kds_ins *i, const kds_call *site, uint32_t lane)
{
    return site->builtin == KDS_BUILTIN_PRINT ? print(w, i, site, lane)
                                              : assertion(w, i, site, lane);
}
