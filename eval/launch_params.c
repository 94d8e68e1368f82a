/* The parameter block of a launch: each argument converted to what the kernel's parameter is as the
 * compiler declared it. A value is never bent to fit: an integer is no float, and what is out of a
 * parameter's range is a finding that names the argument. */
#include "eval/launch_params.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_type(const kds_kernel_param *p, char kind)
{
    return p->type[0] == kind;
}

static bool misfit(const kds_launch *l, int i, const char *what, const kds_kernel_param *p,
                   kds_finding *f)
{
    kds_finding_set(f, KDS_VERDICT_PLAN_INVALID, "plan", l->line,
                    "argument %d of the launch of %s is %s, but the kernel's parameter %d is %s "
                    "of %d bytes",
                    i + 1, l->kernel, what, i + 1, p->type, p->size);
    return false;
}

/* Integers go into integer parameters whose range holds them. An unsigned parameter of the C source
 * is declared like a signed one, so that both ranges are accepted. */
static bool put_int(unsigned char *at, const kds_launch *l, int i, const kds_kernel_param *p,
                    kds_finding *f)
{
    int64_t value = l->args[i].value.i;
    char what[64];
    (void)snprintf(what, sizeof what, "the integer %" PRId64, value);
    bool structure = strcmp(p->type, "b8") == 0 && p->size > 1;
    if (is_type(p, 'f') || structure ||
        (p->size != 1 && p->size != 2 && p->size != 4 && p->size != 8))
        return misfit(l, i, what, p, f);
    if (p->size < 8) {
        int64_t limit = (int64_t)1 << (8 * p->size);
        if (value < -(limit / 2) || value >= limit)
            return misfit(l, i, what, p, f);
    }
    uint64_t bits = (uint64_t)value;
    for (int b = 0; b < p->size; b++)
        at[b] = (unsigned char)(bits >> (8 * b));
    return true;
}

static bool put_double(unsigned char *at, const kds_launch *l, int i, const kds_kernel_param *p,
                       kds_finding *f)
{
    double value = l->args[i].value.d;
    float narrow = (float)value;
    if (is_type(p, 'f') && p->size == 4) {
        memcpy(at, &narrow, sizeof narrow);
        return true;
    }
    if (is_type(p, 'f') && p->size == 8) {
        memcpy(at, &value, sizeof value);
        return true;
    }
    char what[64];
    (void)snprintf(what, sizeof what, "the number %.9g", value);
    return misfit(l, i, what, p, f);
}

static bool put_pointer(unsigned char *at, const kds_launch *l, int i, const kds_kernel_param *p,
                        uint64_t address, kds_finding *f)
{
    if (is_type(p, 'f') || p->size != 8)
        return misfit(l, i, "a buffer", p, f);
    memcpy(at, &address, sizeof address);
    return true;
}

static bool wrong_count(const kds_launch *l, const kds_kernel_facts *k, kds_finding *f)
{
    char list[KDS_PLAN_ARGS * 12];
    size_t used = 0;
    list[0] = '\0';
    for (int i = 0; i < k->param_count && used < sizeof list; i++) {
        int n = snprintf(list + used, sizeof list - used, i > 0 ? ", %s" : "%s", k->params[i].type);
        used += n > 0 ? (size_t)n : 0;
    }
    kds_finding_set(f, KDS_VERDICT_PLAN_INVALID, "plan", l->line,
                    "the launch of %s gives %d arguments, but the kernel has %d parameters: (%s)",
                    l->kernel, l->arg_count, k->param_count, list);
    return false;
}

bool kds_launch_params_build(kds_launch_params *out, const kds_launch *l, const kds_kernel_facts *k,
                             const uint64_t *buffers, const uint64_t *scratch, kds_finding *f)
{
    memset(out, 0, sizeof *out);
    if (l->arg_count != k->param_count)
        return wrong_count(l, k, f);
    for (int i = 0; i < l->arg_count; i++) {
        const kds_kernel_param *p = &k->params[i];
        const kds_arg *a = &l->args[i];
        if (p->offset < 0 || p->size < 1 || p->offset > KDS_LAUNCH_PARAMS_MAX - p->size)
            return misfit(l, i, "in a block that is too large", p, f);
        unsigned char *at = out->bytes + p->offset;
        bool fits;
        if (a->kind == KDS_ARG_VALUE)
            fits = a->value.is_double ? put_double(at, l, i, p, f) : put_int(at, l, i, p, f);
        else if (a->kind == KDS_ARG_BUFFER)
            fits = put_pointer(at, l, i, p, buffers[a->index], f);
        else
            fits = put_pointer(at, l, i, p, scratch[a->index], f);
        if (!fits)
            return false;
        size_t end = (size_t)p->offset + (size_t)p->size;
        out->len = end > out->len ? end : out->len;
    }
    return true;
}
