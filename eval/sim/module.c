/* Loading a module and giving its variables a place in a memory. A variable lives as long as the
 * memory, so that it keeps its value from launch to launch, as on a device. */
#include "eval/sim/module.h"
#include "eval/sim/decode.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Initial data may name other variables; such chains end well before this. */
#define DEPTH_CAP 16
#define CODE_CAP (2u << 20) /* instructions of all kernels, with the functions of each */

/* Functions are decoded once for each kernel that may reach them, so the whole is limited. */
static kds_code decode_kernels(kds_sim_module *m, kds_err *e)
{
    kds_code code = KDS_OK;
    uint64_t held = 0;
    for (uint32_t i = 0; code == KDS_OK && i < m->ptx->function_count; i++) {
        const kds_ptx_function *f = &m->ptx->functions[i];
        if (!f->is_entry || !f->has_body)
            continue;
        kds_kernel *k = &m->kernels[m->kernel_count++];
        if (held <= CODE_CAP) {
            code = kds_decode(k, m->ptx, f, e);
            held += k->code_count;
            continue;
        }
        k->name = strndup(f->name.text, f->name.len);
        k->missing = strdup("more code in the kernels of the module than is held");
        if (k->name == NULL || k->missing == NULL)
            code = kds_fail(e, KDS_NO_MEMORY, "out of memory while loading PTX");
    }
    return code;
}

kds_code kds_sim_module_load(kds_sim_module **out, const char *ptx, size_t len, kds_err *e)
{
    kds_sim_module *m = calloc(1, sizeof *m);
    kds_code code = KDS_NO_MEMORY;
    if (m == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory while loading PTX");
    if (len > KDS_PTX_TEXT_CAP) {
        code = kds_fail(e, KDS_TOO_LARGE, "PTX of %zu bytes is above the cap of %u", len,
                        KDS_PTX_TEXT_CAP);
        goto out;
    }
    m->text = malloc(len + 1);
    if (m->text == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory while loading PTX");
        goto out;
    }
    memcpy(m->text, ptx, len);
    m->text[len] = '\0';
    while (len > 0 && m->text[len - 1] == '\0')
        len--; /* NVRTC counts the terminator */
    m->serial = XXH3_64bits(m->text, len);
    code = kds_ptx_parse(&m->ptx, m->text, len, e);
    if (code != KDS_OK)
        goto out;
    m->kernels = calloc(m->ptx->function_count + 1, sizeof *m->kernels);
    if (m->kernels == NULL)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory while loading PTX");
    if (code == KDS_OK)
        code = decode_kernels(m, e);
out:
    if (code == KDS_OK)
        *out = m;
    else
        kds_sim_module_free(m);
    return code;
}

void kds_sim_module_free(kds_sim_module *m)
{
    if (m == NULL)
        return;
    for (uint32_t i = 0; i < m->kernel_count; i++)
        kds_kernel_free(&m->kernels[i]);
    free(m->kernels);
    kds_ptx_free(m->ptx);
    free(m->text);
    free(m);
}

const kds_kernel *kds_module_find(const kds_sim_module *m, const char *name)
{
    for (uint32_t i = 0; i < m->kernel_count; i++)
        if (strcmp(m->kernels[i].name, name) == 0)
            return &m->kernels[i];
    return NULL;
}

const char *kds_sim_module_missing(const kds_sim_module *m, const char *kernel)
{
    const kds_kernel *k = kds_module_find(m, kernel);
    return k != NULL ? k->missing : "no such kernel";
}

void kds_sim_module_cluster(const kds_sim_module *m, const char *kernel, uint32_t cluster[3])
{
    const kds_kernel *k = kds_module_find(m, kernel);
    for (int d = 0; d < 3; d++)
        cluster[d] = k != NULL && k->cluster[d] != 0 ? k->cluster[d] : 1;
}

static kds_module_image *image_of(const kds_sim_module *m, kds_sim_memory *memory)
{
    for (kds_module_image *i = memory->images; i != NULL; i = i->next)
        if (i->module_serial == m->serial)
            return i;
    kds_module_image *i = calloc(1, sizeof *i);
    if (i == NULL)
        return NULL;
    i->addresses = calloc(m->ptx->symbol_count + 1, sizeof *i->addresses);
    if (i->addresses == NULL) {
        free(i);
        return NULL;
    }
    i->module_serial = m->serial;
    i->next = memory->images;
    memory->images = i;
    return i;
}

static void fill_initial(void *user, uint64_t first, uint64_t len, void *out)
{
    memcpy(out, (const uint8_t *)user + first, len);
}

static uint64_t variable(const kds_sim_module *m, kds_sim_memory *memory, uint32_t index, int depth,
                         char *why, size_t size);

/* Puts the addresses that the initial data names into a copy of it. */
static bool relocate(const kds_sim_module *m, kds_sim_memory *memory, const kds_ptx_symbol *s,
                     uint8_t *data, int depth, char *why, size_t size)
{
    for (uint32_t r = 0; r < s->reloc_count; r++) {
        const kds_ptx_reloc *reloc = &s->relocs[r];
        uint64_t address = 0;
        for (uint32_t k = 0; k < m->ptx->symbol_count && address == 0; k++)
            if (m->ptx->symbols[k].name.len == reloc->symbol.len &&
                memcmp(m->ptx->symbols[k].name.text, reloc->symbol.text, reloc->symbol.len) == 0)
                address = variable(m, memory, k, depth + 1, why, size);
        if (address == 0) {
            if (why[0] == '\0')
                snprintf(why, size, "initial data that names '%.*s'",
                         reloc->symbol.len < 80 ? (int)reloc->symbol.len : 80, reloc->symbol.text);
            return false;
        }
        address += (uint64_t)reloc->add;
        memcpy(data + reloc->offset, &address, reloc->bytes < 8 ? reloc->bytes : 8);
    }
    return true;
}

static uint64_t variable(const kds_sim_module *m, kds_sim_memory *memory, uint32_t index, int depth,
                         char *why, size_t size)
{
    const kds_ptx_symbol *s = &m->ptx->symbols[index];
    kds_module_image *image = image_of(m, memory);
    if (image == NULL)
        return 0;
    if (s->is_function)
        return kds_function_address(index);
    if (image->addresses[index] != 0)
        return image->addresses[index];
    if ((s->space != KDS_SPACE_GLOBAL && s->space != KDS_SPACE_CONST) || s->bytes == 0 ||
        s->bytes > KDS_PTX_DATA_CAP || depth > DEPTH_CAP) {
        snprintf(why, size, "a variable '%.*s' that has no address here",
                 s->name.len < 80 ? (int)s->name.len : 80, s->name.text);
        return 0;
    }
    uint8_t *data = NULL;
    char name[80];
    snprintf(name, sizeof name, "%.*s", s->name.len < 70 ? (int)s->name.len : 70, s->name.text);
    if (s->has_data) {
        data = malloc(s->bytes + 1);
        if (data == NULL)
            return 0;
        memcpy(data, s->data, s->bytes);
        if (!relocate(m, memory, s, data, depth, why, size)) {
            free(data);
            return 0;
        }
    }
    kds_sim_buffer b = {.name = name,
                        .bytes = s->bytes,
                        .read_only = s->space == KDS_SPACE_CONST,
                        .content = KDS_SIM_DEFINED,
                        .fill = data != NULL ? fill_initial : NULL,
                        .user = data};
    uint64_t address = kds_memory_add_region(memory, &b, true);
    if (address == 0)
        free(data);
    image->addresses[index] = address;
    return address;
}

uint64_t kds_module_variable(const kds_sim_module *m, kds_sim_memory *memory, uint32_t symbol,
                             char *why, size_t size)
{
    why[0] = '\0';
    return variable(m, memory, symbol, 0, why, size);
}
