/* A kds_compiled on the wire: its code as blobs of a frame, everything else as an object in the
 * header. Unpacking trusts nothing: the worker that packed it has compiled hostile text. */
#include "eval/compile.h"
#include "eval/compile_parts.h"
#include "eval/judge.h"
#include <stdlib.h>
#include <string.h>

void kds_module_free(kds_module *m)
{
    for (int i = 0; i < m->kernel_count; i++) {
        free(m->kernels[i].name);
        free(m->kernels[i].lowered);
    }
    free(m->ptx);
    free(m->cubin);
    memset(m, 0, sizeof *m);
}

void kds_compiled_free(kds_compiled *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->module_count; i++)
        kds_module_free(&c->modules[i]);
    free(c->log);
    free(c);
}

const kds_kernel_facts *kds_module_kernel(const kds_module *m, const char *name)
{
    for (int i = 0; i < m->kernel_count; i++) {
        if (strcmp(m->kernels[i].name, name) == 0)
            return &m->kernels[i];
    }
    return NULL;
}

kds_code kds_compiled_identify(kds_compiled *c, kds_err *e)
{
    kds_hasher *h = kds_hasher_create();
    if (!h)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    for (int i = 0; i < c->module_count; i++) {
        uint64_t len = c->modules[i].cubin_len;
        kds_hasher_add(h, &len, sizeof len);
        kds_hasher_add(h, c->modules[i].cubin, c->modules[i].cubin_len);
    }
    c->cubin_id = kds_hasher_id(h);
    kds_hasher_free(h);
    return KDS_OK;
}

/* The integer facts of a kernel, by their keys. */
static const struct {
    const char *key;
    size_t offset;
} facts[] = {
    {"registers", offsetof(kds_kernel_facts, registers)},
    {"spill_store", offsetof(kds_kernel_facts, spill_store_bytes)},
    {"spill_load", offsetof(kds_kernel_facts, spill_load_bytes)},
    {"stack", offsetof(kds_kernel_facts, stack_bytes)},
    {"static_shared", offsetof(kds_kernel_facts, static_shared_bytes)},
    {"barriers", offsetof(kds_kernel_facts, barriers)},
    {"max_threads", offsetof(kds_kernel_facts, max_threads)},
};
#define FACTS (sizeof facts / sizeof facts[0])

static bool pack_kernel(cJSON *list, const kds_kernel_facts *k)
{
    cJSON *o = cJSON_CreateObject(), *params;
    if (!o || !cJSON_AddItemToArray(list, o))
        return false;
    bool good = kds_json_add_str(o, "name", k->name) && kds_json_add_str(o, "lowered", k->lowered);
    for (size_t i = 0; good && i < FACTS; i++) {
        int value;
        memcpy(&value, (const char *)k + facts[i].offset, sizeof value);
        good = kds_json_add_int(o, facts[i].key, value);
    }
    if (!good || !(params = cJSON_AddArrayToObject(o, "params")))
        return false;
    for (int i = 0; i < k->param_count; i++) {
        cJSON *p = cJSON_CreateObject();
        if (!p || !cJSON_AddItemToArray(params, p) ||
            !kds_json_add_str(p, "type", k->params[i].type) ||
            !kds_json_add_int(p, "size", k->params[i].size) ||
            !kds_json_add_int(p, "offset", k->params[i].offset))
            return false;
    }
    return true;
}

static kds_code pack_module(kds_frame *f, cJSON *list, const kds_module *m, kds_err *e)
{
    cJSON *o = cJSON_CreateObject(), *kernels;
    if (!o || !cJSON_AddItemToArray(list, o))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    int ptx = kds_frame_add(f, m->ptx, m->ptx_len);
    int cubin = kds_frame_add(f, m->cubin, m->cubin_len);
    if (ptx < 0 || cubin < 0)
        return kds_fail(e, KDS_TOO_LARGE,
                        "compiled code of %zu + %zu bytes does not fit in one message", m->ptx_len,
                        m->cubin_len);
    bool good = kds_json_add_int(o, "ptx", ptx) && kds_json_add_int(o, "cubin", cubin) &&
                (kernels = cJSON_AddArrayToObject(o, "kernels"));
    for (int i = 0; good && i < m->kernel_count; i++)
        good = pack_kernel(kernels, &m->kernels[i]);
    return good ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

kds_code kds_compiled_pack(kds_frame *f, const char *key, const kds_compiled *c, kds_err *e)
{
    cJSON *o, *modules;
    if (!f->header && !(f->header = cJSON_CreateObject()))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (!(o = cJSON_AddObjectToObject(f->header, key)) ||
        !kds_json_add_id(o, "cubin_id", c->cubin_id) ||
        !kds_json_add_num(o, "seconds", c->seconds) ||
        !kds_json_add_str(o, "log", c->log ? c->log : "") ||
        !(modules = cJSON_AddArrayToObject(o, "modules")))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_code bad = KDS_OK;
    for (int i = 0; bad == KDS_OK && i < c->module_count; i++)
        bad = pack_module(f, modules, &c->modules[i], e);
    return bad;
}

static bool copy_text(char **out, const cJSON *o, const char *key)
{
    const char *text = kds_json_str(o, key, NULL);
    return text && (*out = strdup(text));
}

/* Copies a blob by its number in the header; NULL if there is no such blob. */
static char *copy_blob(const kds_frame *f, const cJSON *o, const char *key, size_t *len)
{
    int64_t i = kds_json_int(o, key, -1);
    if (i < 0 || i >= f->blob_count)
        return NULL;
    char *data = malloc(f->blobs[i].len + 1);
    if (data) {
        memcpy(data, f->blobs[i].data, f->blobs[i].len);
        data[f->blobs[i].len] = '\0';
        *len = f->blobs[i].len;
    }
    return data;
}

static bool unpack_param(const cJSON *o, kds_kernel_param *out)
{
    const char *type = kds_json_str(o, "type", NULL);
    int64_t size = kds_json_int(o, "size", -1), offset = kds_json_int(o, "offset", -1);
    if (!type || strlen(type) >= sizeof out->type || size < 1 || size > 65536 || offset < 0 ||
        offset > 65536)
        return false;
    strncpy(out->type, type, sizeof out->type - 1);
    out->size = (int)size;
    out->offset = (int)offset;
    return true;
}

static bool unpack_kernel(const cJSON *o, kds_kernel_facts *k)
{
    if (!copy_text(&k->name, o, "name") || !copy_text(&k->lowered, o, "lowered"))
        return false;
    for (size_t i = 0; i < FACTS; i++) {
        int64_t value = kds_json_int(o, facts[i].key, -1);
        int narrow = (int)value;
        if (value < 0 || value > 1 << 30)
            return false;
        memcpy((char *)k + facts[i].offset, &narrow, sizeof narrow);
    }
    const cJSON *params = kds_json_at(o, "params"), *p;
    if (!cJSON_IsArray(params) || cJSON_GetArraySize(params) > KDS_PLAN_ARGS)
        return false;
    cJSON_ArrayForEach(p, params)
    {
        if (!unpack_param(p, &k->params[k->param_count++]))
            return false;
    }
    return true;
}

static bool unpack_module(const kds_frame *f, const cJSON *o, kds_module *m)
{
    const cJSON *kernels = kds_json_at(o, "kernels"), *k;
    m->ptx = copy_blob(f, o, "ptx", &m->ptx_len);
    m->cubin = copy_blob(f, o, "cubin", &m->cubin_len);
    if (!m->ptx || !m->cubin || !cJSON_IsArray(kernels) ||
        cJSON_GetArraySize(kernels) > KDS_PLAN_LAUNCHES)
        return false;
    cJSON_ArrayForEach(k, kernels)
    {
        if (!unpack_kernel(k, &m->kernels[m->kernel_count++]))
            return false;
    }
    return true;
}

kds_code kds_compiled_unpack(const kds_frame *f, const char *key, kds_compiled **out, kds_err *e)
{
    const cJSON *o = kds_json_at(f->header, key), *modules = kds_json_at(o, "modules"), *m;
    if (!cJSON_IsArray(modules) || cJSON_GetArraySize(modules) > KDS_PLAN_GROUPS)
        return kds_fail(e, KDS_PROTOCOL, "the message has no compiled code under '%s'", key);
    kds_compiled *c = calloc(1, sizeof *c);
    if (!c)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    bool good = kds_json_id(o, "cubin_id", &c->cubin_id) && copy_text(&c->log, o, "log");
    c->seconds = kds_json_num(o, "seconds", 0);
    cJSON_ArrayForEach(m, modules)
    {
        good = good && unpack_module(f, m, &c->modules[c->module_count++]);
    }
    if (!good) {
        kds_compiled_free(c);
        return kds_fail(e, KDS_PROTOCOL, "the compiled code under '%s' of the message is malformed",
                        key);
    }
    *out = c;
    return KDS_OK;
}
