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

/* The integer facts of a kernel in the order in which they travel. */
static const size_t facts[] = {
    offsetof(kds_kernel_facts, registers),           offsetof(kds_kernel_facts, spill_store_bytes),
    offsetof(kds_kernel_facts, spill_load_bytes),    offsetof(kds_kernel_facts, stack_bytes),
    offsetof(kds_kernel_facts, static_shared_bytes), offsetof(kds_kernel_facts, barriers),
    offsetof(kds_kernel_facts, max_threads),
};
#define FACTS (sizeof facts / sizeof facts[0])

static bool add_text(cJSON *list, const char *text)
{
    return cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

static bool add_int(cJSON *list, int value)
{
    return cJSON_AddItemToArray(list, cJSON_CreateNumber(value));
}

/* A kernel is one list without keys, since it goes with every job: its names, its facts, and of
 * each parameter type, size and offset. */
static bool pack_kernel(cJSON *list, const kds_kernel_facts *k)
{
    cJSON *o = cJSON_CreateArray();
    bool good =
        o && cJSON_AddItemToArray(list, o) && add_text(o, k->name) && add_text(o, k->lowered);
    for (size_t i = 0; good && i < FACTS; i++) {
        int value;
        memcpy(&value, (const char *)k + facts[i], sizeof value);
        good = add_int(o, value);
    }
    for (int i = 0; good && i < k->param_count; i++)
        good = add_text(o, k->params[i].type) && add_int(o, k->params[i].size) &&
               add_int(o, k->params[i].offset);
    return good;
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

/* The item at *at, which moves on; false if it is none of its kind. */
static bool take_text(const cJSON **at, const char **out)
{
    if (!cJSON_IsString(*at))
        return false;
    *out = (*at)->valuestring;
    *at = (*at)->next;
    return true;
}

static bool take_int(const cJSON **at, int least, int most, int *out)
{
    if (!cJSON_IsNumber(*at) || !((*at)->valuedouble >= least && (*at)->valuedouble <= most))
        return false;
    *out = (int)(*at)->valuedouble;
    *at = (*at)->next;
    return true;
}

static bool unpack_kernel(const cJSON *list, kds_kernel_facts *k)
{
    const cJSON *at = cJSON_IsArray(list) ? list->child : NULL;
    const char *name, *lowered, *type;
    if (!take_text(&at, &name) || !take_text(&at, &lowered) || !(k->name = strdup(name)) ||
        !(k->lowered = strdup(lowered)))
        return false;
    for (size_t i = 0; i < FACTS; i++) {
        int value;
        if (!take_int(&at, 0, 1 << 30, &value))
            return false;
        memcpy((char *)k + facts[i], &value, sizeof value);
    }
    while (at && k->param_count < KDS_PLAN_ARGS) {
        kds_kernel_param *p = &k->params[k->param_count++];
        if (!take_text(&at, &type) || strlen(type) >= sizeof p->type ||
            !take_int(&at, 1, 65536, &p->size) || !take_int(&at, 0, 65536, &p->offset))
            return false;
        strncpy(p->type, type, sizeof p->type - 1);
    }
    return !at;
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
