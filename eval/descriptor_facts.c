/* Facts as a descriptor. The PTX is read line by line, as text: a vector load of four 32-bit
 * registers is one access of 16 bytes, whatever the machine makes of it. */
#include "eval/descriptor_facts.h"

#include <stdlib.h>
#include <string.h>

#define BULK_BYTES 32

typedef struct axis_text {
    const char *name, *unit, *value;
    int edge_count;
    double edges[KDS_EDGES_MAX];
} axis_text;

static const axis_text axes[] = {
    {"registers", "a thread", "registers", 3, {33, 65, 129}},
    {"shared memory", "bytes a block", "static_shared + dynamic_shared", 3, {1, 16385, 65537}},
    {"access width", "bytes", "access_bytes", 3, {5, 9, 17}}};
#define AXES (sizeof axes / sizeof axes[0])

static bool has(const char *text, size_t len, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= len; i++)
        if (memcmp(text + i, word, n) == 0)
            return true;
    return false;
}

/* Bytes of the type that an opcode ends with: ".b32" is 4. */
static int type_bytes(const char *opcode, size_t len)
{
    size_t dot = len;
    while (dot > 0 && opcode[dot - 1] != '.')
        dot--;
    if (dot == 0 || dot >= len || strchr("bfsu", opcode[dot]) == NULL)
        return 0;
    return (int)strtol(opcode + dot + 1, NULL, 10) / 8;
}

static int opcode_bytes(const char *opcode, size_t len)
{
    bool moves = len > 3 && (memcmp(opcode, "ld.", 3) == 0 || memcmp(opcode, "st.", 3) == 0);
    if (has(opcode, len, "cp.async.bulk"))
        return BULK_BYTES;
    if (has(opcode, len, "cp.async.") && has(opcode, len, ".global"))
        return 16;
    if (!moves || !has(opcode, len, ".global"))
        return 0;
    int lanes = has(opcode, len, ".v8")   ? 8
                : has(opcode, len, ".v4") ? 4
                : has(opcode, len, ".v2") ? 2
                                          : 1;
    return lanes * type_bytes(opcode, len);
}

int kds_ptx_access_bytes(const char *ptx)
{
    int widest = 0;
    for (const char *line = ptx; *line != '\0';) {
        const char *at = line + strspn(line, " \t");
        if (*at == '@') { /* a predicate before the opcode */
            at += strcspn(at, " \t\n");
            at += strspn(at, " \t");
        }
        int bytes = opcode_bytes(at, strcspn(at, " \t;\n"));
        widest = bytes > widest ? bytes : widest;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return widest;
}

cJSON *kds_descriptor_facts_axes(void)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; list != NULL && i < AXES; i++) {
        cJSON *o = cJSON_CreateObject(), *edges = NULL;
        bool good = o != NULL && cJSON_AddItemToArray(list, o) &&
                    kds_json_add_str(o, "name", axes[i].name) &&
                    kds_json_add_str(o, "unit", axes[i].unit) &&
                    kds_json_add_str(o, "value", axes[i].value) &&
                    (edges = cJSON_AddArrayToObject(o, "edges")) != NULL;
        for (int k = 0; good && k < axes[i].edge_count; k++)
            good = cJSON_AddItemToArray(edges, cJSON_CreateNumber(axes[i].edges[k]));
        if (!good) {
            cJSON_Delete(list);
            return NULL;
        }
    }
    return list;
}

kds_code kds_descriptor_facts_json(const kds_measures *facts, const kds_compiled *c, cJSON **out,
                                   bool *undefined, kds_err *e)
{
    kds_axis parsed[AXES] = {{0}};
    const kds_measures none = {.count = 0};
    kds_measures all = *facts;
    kds_code code = KDS_OK;
    int widest = 0;
    for (int i = 0; i < c->module_count; i++) {
        int bytes = kds_ptx_access_bytes(c->modules[i].ptx);
        widest = bytes > widest ? bytes : widest;
    }
    if (!kds_measures_set(&all, "access_bytes", widest))
        return kds_fail(e, KDS_TOO_LARGE, "more facts than a descriptor can have");
    for (size_t i = 0; code == KDS_OK && i < AXES; i++) {
        parsed[i].name = axes[i].name;
        parsed[i].unit = axes[i].unit;
        parsed[i].edge_count = axes[i].edge_count;
        memcpy(parsed[i].edges, axes[i].edges, sizeof parsed[i].edges);
        code = kds_expr_parse(&parsed[i].value, axes[i].value, strlen(axes[i].value), e);
    }
    if (code == KDS_OK)
        code = kds_descriptor_axes_json(KDS_FACTS_DESCRIPTOR_VERSION, parsed, (int)AXES, &none,
                                        &all, out, undefined, e);
    for (size_t i = 0; i < AXES; i++)
        kds_expr_free(parsed[i].value);
    return code;
}
