/* Guessing what a signature does not say. Integers that do not look like strides or counts of
 * something else are the dims, their product is the size of every buffer but of those that are
 * called like weights. All of it is wrong for some kernels, and said to be a guess in each file. */
#include "search/base/lex.h"
#include "search/engine/scaffold_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool contains(const char *name, const char *const *words)
{
    char lower[64];
    size_t n = 0;
    for (; name[n] && n + 1 < sizeof lower; n++)
        lower[n] = (char)tolower((unsigned char)name[n]);
    lower[n] = '\0';
    for (; *words; words++)
        if (strstr(lower, *words))
            return true;
    return false;
}

static bool is_size(const kds_param *p)
{
    static const char *const others[] = {"stride", "pitch", "offset", "groups", "start",  "begin",
                                         "step",   "flag",  "causal", "seed",   "window", NULL};
    return p->kind == KDS_PARAM_INTEGER && p->dtype != KDS_DTYPE_U8 && !contains(p->name, others) &&
           strncmp(p->name, "ld", 2) != 0;
}

bool kds_guess_is_vector(const kds_guess *g, const kds_param *p)
{
    static const char *const weights[] = {"weight", "bias", "gamma", "beta", NULL};
    return g->shape_count > 1 && p->is_const &&
           (contains(p->name, weights) || strcmp(p->name, "w") == 0 || strcmp(p->name, "b") == 0);
}

int kds_guess_shape_index(const kds_guess *g, const char *name)
{
    for (int i = 0; i < g->shape_count; i++)
        if (strcmp(g->shape[i], name) == 0)
            return i;
    return -1;
}

void kds_guess_product(const kds_guess *g, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < g->shape_count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? " * " : "", g->shape[i]);
}

const char *kds_guess_role(const kds_param *p, const char **confirm)
{
    *confirm = "";
    if (p->is_const)
        return "in";
    if (p->escapes)
        *confirm =
            "not every use could be followed: \"inout\" if the kernel also reads it, \"in\" if "
            "it only reads it";
    else if (!p->read && !p->written)
        *confirm = "the body does not use it by this name";
    if (p->read && p->written) {
        *confirm = "read and written: \"out\" if it only reads what it wrote itself";
        return "inout";
    }
    if (p->read && !p->escapes) {
        *confirm = "not const, but only read as far as the text tells";
        return "in";
    }
    return "out";
}

/* The folder's name as tasks are called. */
static void task_name(const char *dir, char *out, size_t size)
{
    size_t end = strlen(dir), n = 0;
    while (end > 0 && dir[end - 1] == '/')
        end--;
    size_t from = end;
    while (from > 0 && dir[from - 1] != '/')
        from--;
    if (from == end || !isalpha((unsigned char)dir[from]))
        n = (size_t)snprintf(out, size, "t_");
    for (size_t i = from; i < end && n + 1 < size; i++)
        out[n++] = isalnum((unsigned char)dir[i]) ? (char)tolower((unsigned char)dir[i]) : '_';
    out[n] = '\0';
}

static kds_code find_plan(kds_guess *g, const char *source, size_t len, kds_err *e)
{
    kds_pragmas pragmas;
    kds_code code = kds_pragmas_find(&pragmas, source, len, e);
    for (int i = 0; code == KDS_OK && i < pragmas.count; i++)
        g->has_plan |= pragmas.items[i].keyword_len == strlen("launch") &&
                       memcmp(pragmas.items[i].keyword, "launch", strlen("launch")) == 0;
    if (code == KDS_OK)
        kds_pragmas_free(&pragmas);
    return code;
}

kds_code kds_guess_make(kds_guess *g, const char *dir, const char *source, size_t len,
                        const char *kernel, kds_err *e)
{
    int buffers = 0, outputs = 0;
    const char *confirm;
    memset(g, 0, sizeof *g);
    kds_code code = kds_signature_read(&g->s, source, len, kernel, e);
    if (code == KDS_OK)
        code = find_plan(g, source, len, e);
    if (code != KDS_OK)
        return code;
    task_name(dir, g->name, sizeof g->name);
    for (int i = 0; i < g->s.param_count; i++) {
        const kds_param *p = &g->s.params[i];
        buffers += p->kind == KDS_PARAM_BUFFER;
        outputs += p->kind == KDS_PARAM_BUFFER && strcmp(kds_guess_role(p, &confirm), "in") != 0;
        if (is_size(p) && g->shape_count < KDS_GUESS_SHAPE)
            g->shape[g->shape_count++] = p->name;
    }
    if (outputs == 0)
        return kds_fail(
            e, KDS_INVALID,
            "line %d: the kernel '%s' writes none of its %d buffer%s, as far as its text "
            "tells; a task needs an output",
            g->s.line, g->s.name, buffers, buffers == 1 ? "" : "s");
    if (g->shape_count == 0) {
        bool taken = false;
        for (int i = 0; i < g->s.param_count; i++)
            taken |= strcmp(g->s.params[i].name, "n") == 0;
        (void)snprintf(g->elements, sizeof g->elements, "%s", taken ? "element_count" : "n");
        g->shape[g->shape_count++] = g->elements;
    }
    return KDS_OK;
}
