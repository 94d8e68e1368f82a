/* The files of a scaffold. Each guess has a comment with the word "confirm". */
#include "search/engine/scaffold_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A JSON string. */
static void put_string(kds_buf *out, const char *text)
{
    cJSON *s = cJSON_CreateString(text);
    char *printed = s ? kds_json_print(s) : NULL;
    kds_buf_puts(out, printed ? printed : "\"\"");
    free(printed);
    cJSON_Delete(s);
}

static void put_dims(kds_buf *out, const kds_guess *g)
{
    const char *before = "";
    kds_buf_puts(out, "  \"dims\": [");
    if (g->elements[0]) {
        kds_buf_printf(out, "\"%s\"", g->elements);
        before = ", ";
    }
    for (int i = 0; i < g->s.param_count; i++) {
        if (g->s.params[i].kind == KDS_PARAM_BUFFER)
            continue;
        kds_buf_printf(out, "%s\"%s\"", before, g->s.params[i].name);
        before = ", ";
    }
    kds_buf_puts(out, "],\n");
}

static void put_shape(kds_buf *out, const kds_guess *g, const kds_param *p)
{
    int first = kds_guess_is_vector(g, p) ? g->shape_count - 1 : 0;
    kds_buf_puts(out, "\"shape\": [");
    for (int i = first; i < g->shape_count; i++)
        kds_buf_printf(out, "%s\"%s\"", i > first ? ", " : "", g->shape[i]);
    kds_buf_puts(out, "]");
}

static void put_fill(kds_buf *out, const kds_guess *g, const kds_param *p)
{
    if (p->dtype == KDS_DTYPE_U8)
        kds_buf_puts(out, ",\n      \"fill\": { \"kind\": \"uniform\", \"low\": 0, \"high\": 2 }");
    else if (p->dtype == KDS_DTYPE_I32 || p->dtype == KDS_DTYPE_I64)
        kds_buf_printf(out,
                       ",\n      // confirm: indices have the bound of what they index\n"
                       "      \"fill\": { \"kind\": \"uniform\", \"low\": 0, \"high\": \"%s\" }",
                       g->shape[0]);
    else
        kds_buf_puts(out, ",\n      \"fill\": { \"kind\": \"normal\", \"mean\": 0, \"std\": 1 }");
}

static void put_tolerance(kds_buf *out, const kds_param *p)
{
    const char *values = "\"atol\": 1e-5, \"rtol\": 1e-5";
    if (p->dtype == KDS_DTYPE_F64)
        values = "\"atol\": 1e-12, \"rtol\": 1e-12";
    else if (p->dtype == KDS_DTYPE_F16 || p->dtype == KDS_DTYPE_BF16)
        values = "\"atol\": 0.001, \"rtol\": 0.01, \"rel_rmse\": 0.004";
    else if (p->dtype != KDS_DTYPE_F32)
        values = "\"atol\": 0.25, \"rtol\": 0";
    kds_buf_printf(out,
                   ",\n      // confirm: as tight as a right kernel allows; lint shows whether "
                   "mistakes are refused\n      \"tolerance\": { %s }",
                   values);
}

static void put_buffer(kds_buf *out, const kds_guess *g, const kds_param *p, bool last)
{
    const char *confirm;
    const char *role = kds_guess_role(p, &confirm);
    if (confirm[0])
        kds_buf_printf(out, "    // confirm the role: %s\n", confirm);
    if (!p->known)
        kds_buf_printf(out, "    // confirm the dtype: the type of '%s' is not one that we know\n",
                       p->name);
    if (p->width > 1)
        kds_buf_printf(out,
                       "    // confirm the shape: the kernel takes it %d elements at a time; the "
                       "shape counts single ones\n",
                       p->width);
    kds_buf_printf(out, "    { \"name\": \"%s\", \"role\": \"%s\", \"dtype\": \"%s\", ", p->name,
                   role, kds_dtype_name(p->dtype));
    put_shape(out, g, p);
    if (strcmp(role, "out") != 0)
        put_fill(out, g, p);
    if (strcmp(role, "in") != 0)
        put_tolerance(out, p);
    kds_buf_printf(out, " }%s\n", last ? "" : ",");
}

static void put_scalars(kds_buf *out, const kds_guess *g)
{
    const char *before = "\n";
    kds_buf_puts(out, "  \"scalars\": [");
    for (int i = 0; i < g->s.param_count; i++) {
        const kds_param *p = &g->s.params[i];
        if (p->kind == KDS_PARAM_BUFFER)
            continue;
        kds_buf_printf(out, "%s    { \"name\": \"%s\", \"dtype\": \"%s\", \"value\": \"%s\" }",
                       before, p->name, kds_dtype_name(p->dtype), p->name);
        before = ",\n";
    }
    kds_buf_puts(out, before[0] == ',' ? "\n  ],\n" : "],\n");
}

static void put_bytes(kds_buf *out, const kds_guess *g)
{
    char product[300];
    const char *confirm, *before = "";
    kds_guess_product(g, product, sizeof product);
    kds_buf_puts(out, "  // confirm: what must be read and written at least; lint compares it with "
                      "what the baseline touches\n  \"bytes\": \"");
    for (int i = 0; i < g->s.param_count; i++) {
        const kds_param *p = &g->s.params[i];
        if (p->kind != KDS_PARAM_BUFFER)
            continue;
        bool both = strcmp(kds_guess_role(p, &confirm), "inout") == 0;
        kds_buf_printf(out, "%s%zu * %s", before, kds_dtype_size(p->dtype) * (both ? 2 : 1),
                       kds_guess_is_vector(g, p) ? g->shape[g->shape_count - 1] : product);
        before = " + ";
    }
    kds_buf_printf(out,
                   "\",\n  // confirm: operations on floating-point numbers; lint compares it with "
                   "what the kernels compute\n  \"flops\": \"%s\"\n}\n",
                   product);
}

void kds_scaffold_task_json(kds_buf *out, const kds_guess *g)
{
    int buffers = 0, at = 0;
    char function[1400];
    for (int i = 0; i < g->s.param_count; i++)
        buffers += g->s.params[i].kind == KDS_PARAM_BUFFER;
    kds_buf_puts(
        out, "// Made from a kernel's signature. What says \"confirm\" is a guess: put it right, "
             "then delete the word.\n"
             "// kernels/README.md of kdasearch explains every key.\n{\n  \"format\": 1,\n");
    kds_buf_printf(out, "  \"name\": \"%s\",\n  \"family\": \"%s\",\n", g->name, g->name);
    kds_buf_puts(out, "  \"summary\": \"confirm: what the function computes, in one line\",\n"
                      "  \"function\": ");
    (void)snprintf(function, sizeof function, "%s", g->s.text);
    put_string(out, function);
    kds_buf_puts(out, ",\n");
    if (g->elements[0])
        kds_buf_printf(out, "  // confirm: no parameter gives a size, so '%s' was made up\n",
                       g->elements);
    put_dims(out, g);
    kds_buf_puts(out,
                 "  // confirm every shape, in elements: all integers that look like sizes were "
                 "taken for every buffer\n  \"buffers\": [\n");
    for (int i = 0; i < g->s.param_count; i++)
        if (g->s.params[i].kind == KDS_PARAM_BUFFER)
            put_buffer(out, g, &g->s.params[i], ++at == buffers);
    kds_buf_puts(out, "  ],\n");
    put_scalars(out, g);
    kds_buf_puts(out,
                 "  // confirm: value regimes in which a kernel could be wrong, for example\n"
                 "  // { \"name\": \"large\", \"changes\": { \"x\": { \"scale\": 100, \"shift\": "
                 "0 } } }\n  \"regimes\": [],\n");
    put_bytes(out, g);
}

/* ---- bench/ ---- */

typedef struct example {
    const char *id;
    int64_t sizes[KDS_GUESS_SHAPE];
} example;

/* By the number of dims in the shape: production, production, quick, quick, quick, held-out twice.
 */
static const example examples[KDS_GUESS_SHAPE][7] = {
    {{"large", {16777216}},
     {"medium", {1048576}},
     {"quick_1000", {1000}},
     {"quick_4099", {4099}},
     {"quick_1", {1}},
     {"held_777", {777}},
     {"held_65537", {65537}}},
    {{"large", {4096, 4096}},
     {"medium", {1024, 2048}},
     {"quick_5x128", {5, 128}},
     {"quick_33x257", {33, 257}},
     {"quick_1x1", {1, 1}},
     {"held_7x100", {7, 100}},
     {"held_65x33", {65, 33}}},
    {{"large", {16, 256, 1024}},
     {"medium", {4, 128, 1024}},
     {"quick_2x5x64", {2, 5, 64}},
     {"quick_3x7x33", {3, 7, 33}},
     {"quick_1x1x1", {1, 1, 1}},
     {"held_2x3x100", {2, 3, 100}},
     {"held_5x9x17", {5, 9, 17}}},
};

static void put_example(kds_buf *out, const kds_guess *g, int number, const char *before)
{
    const example *x = &examples[g->shape_count - 1][number];
    const char *comma = "";
    kds_buf_printf(out, "%s    { \"id\": \"%s\", \"dims\": { ", before, x->id);
    if (g->elements[0]) {
        kds_buf_printf(out, "\"%s\": %" PRId64, g->elements, x->sizes[0]);
        comma = ", ";
    }
    for (int i = 0; i < g->s.param_count; i++) {
        const kds_param *p = &g->s.params[i];
        int at = kds_guess_shape_index(g, p->name);
        if (p->kind == KDS_PARAM_BUFFER)
            continue;
        kds_buf_printf(out, "%s\"%s\": ", comma, p->name);
        comma = ", ";
        if (p->kind == KDS_PARAM_REAL)
            kds_buf_puts(out, strstr(p->name, "eps") ? "1e-6" : "0.5");
        else
            kds_buf_printf(out, "%" PRId64,
                           at >= 0                          ? x->sizes[at]
                           : strstr(p->name, "stride")      ? x->sizes[g->shape_count - 1]
                           : strstr(p->name, "pitch")       ? x->sizes[g->shape_count - 1]
                           : strncmp(p->name, "ld", 2) == 0 ? x->sizes[g->shape_count - 1]
                                                            : INT64_C(1));
    }
    kds_buf_printf(out, " }, \"seed\": %d%s }", number + 1,
                   number == 0 ? ", \"profile\": true" : "");
}

static void put_examples(kds_buf *out, const kds_guess *g, int first, int count)
{
    for (int i = first; i < first + count; i++)
        put_example(out, g, i, i > first ? ",\n" : "");
}

void kds_scaffold_rows_json(kds_buf *out, const kds_guess *g, const cJSON *imported)
{
    const cJSON *row = NULL;
    const char *before = "";
    kds_buf_puts(out, "{\n  \"format\": 1,\n");
    if (imported) {
        kds_buf_puts(out, "  // taken over; confirm weights and which rows are profiled\n"
                          "  \"production\": [\n");
        cJSON_ArrayForEach(row, imported)
        {
            char *text = kds_json_print(row);
            kds_buf_printf(out, "%s    %s", before, text ? text : "");
            before = ",\n";
            free(text);
        }
    } else {
        kds_buf_puts(out,
                     "  // confirm: examples; put the sizes that your program really runs, with "
                     "their weights\n  \"production\": [\n");
        put_examples(out, g, 0, 2);
    }
    kds_buf_puts(out,
                 "\n  ],\n  // confirm: small rows for every path of the kernel: sizes that are "
                 "no multiple of anything, and 1\n  \"quick\": [\n");
    put_examples(out, g, 2, 3);
    kds_buf_puts(out,
                 "\n  ],\n  // confirm: legal rows that no search may see\n  \"held_out\": [\n");
    put_examples(out, g, 5, 2);
    kds_buf_puts(out, "\n  ]\n}\n");
}

void kds_scaffold_mutations_json(kds_buf *out)
{
    kds_buf_puts(
        out, "// Mistakes that the gate must refuse, as changes of baseline/kernel.cu; lint tries "
             "each. List at least six, for\n// example { \"what\": \"last element left out\", "
             "\"from\": \"if (i < n)\", \"to\": \"if (i < n - 1)\" }.\n"
             "{ \"format\": 1,\n  \"mutations\": [] }\n");
}

/* ---- Texts ---- */

void kds_scaffold_card(kds_buf *out, const kds_guess *g)
{
    kds_buf_printf(
        out,
        "# %s\n\n"
        "Confirm: this card is all that a model knows of the task. Say what the function "
        "computes, as a formula; what is\nread and written, in which layout; where it may "
        "round; which sizes matter; what limits it (memory, arithmetic,\nlatency).\n\n"
        "    %s\n",
        g->name, g->s.text);
}

void kds_scaffold_docs(kds_buf *out, const kds_guess *g)
{
    kds_buf_printf(
        out,
        "# %s\n\n"
        "Made by `kdasearch init` from the kernel `%s`. For people; no part of the task's "
        "hash.\n\n"
        "To do, until `kdasearch lint` has nothing to say:\n\n"
        "1. `task.json`: every \"confirm\": roles, shapes, fills, tolerances, regimes, "
        "bytes, flops.\n"
        "2. `baseline/kernel.cu`: the launch line, as your program launches it.\n"
        "3. `bench/workloads.json`: real rows and their weights.\n"
        "4. `prompt.md`: the card.\n"
        "5. `bench/mutations.json`: at least six mistakes.\n"
        "6. Optional: `reference/kernel.cu` in double precision, `seeds/*.cu`.\n\n"
        "Then say here where the kernel and the rows come from.\n",
        g->name, g->s.name);
}

static void put_launch(kds_buf *out, const kds_guess *g)
{
    char product[300];
    int threads = g->s.max_threads ? g->s.max_threads : 256;
    kds_guess_product(g, product, sizeof product);
    if (g->s.template_count)
        kds_buf_puts(out, "// Confirm the template's arguments.\n");
    kds_buf_puts(out,
                 "// Confirm the launch: grid, block and dynamic shared memory as your program "
                 "has them.\n");
    kds_buf_printf(out, "#pragma kda launch %s", g->s.name);
    for (int i = 0; i < g->s.template_count; i++)
        kds_buf_printf(out, "%s%s", i ? ", " : "<", g->s.templates[i].is_type ? "float" : "4");
    kds_buf_puts(out, g->s.template_count ? ">(" : "(");
    for (int i = 0; i < g->s.param_count; i++)
        kds_buf_printf(out, "%s%s", i ? ", " : "", g->s.params[i].name);
    kds_buf_printf(out, ") grid(ceil_div(%s, %d)) block(%d)\n\n", product, threads, threads);
}

void kds_scaffold_baseline(kds_buf *out, const kds_guess *g, const char *source, size_t len)
{
    if (!g->has_plan)
        put_launch(out, g);
    kds_buf_add(out, source, len);
}
