/* The kernels of a benchmark: files, and the points in the space of their tunables. A point is
 * written into the source, so that the text alone says what was measured. */
#include "search/engine/gpu_bench.h"

#include "search/base/file.h"
#include "search/base/lex.h"
#include "search/base/random.h"

#include <stdlib.h>
#include <string.h>

#define DRAWS 64 /* of one point, before it is given up as already there */

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* "VEC=8 WARPS=4" and the same as an object. */
static bool describe(kds_gpu_kernel *k, const kds_tunable *tunables, int count)
{
    kds_buf text;
    kds_buf_init(&text, 4096);
    bool good = (k->tune_json = cJSON_CreateObject()) != NULL;
    for (int i = 0; good && i < count; i++) {
        kds_buf_printf(&text, "%s%s=%lld", i > 0 ? " " : "", tunables[i].name,
                       (long long)tunables[i].values[0]);
        good = kds_json_add_int(k->tune_json, tunables[i].name, tunables[i].values[0]);
    }
    good = good && text.bad == KDS_OK && (k->tune = strdup(text.data)) != NULL;
    kds_buf_free(&text);
    return good;
}

static void kernel_free(kds_gpu_kernel *k)
{
    free(k->tune);
    free(k->source);
    cJSON_Delete(k->tune_json);
}

/* Appends a source unless the list has its like (from `first` on) already; *added tells. */
static kds_code append(kds_gpu_kernels *list, int first, const char *file, const kds_buf *source,
                       const kds_tunable *tunables, int count, bool *added, kds_err *e)
{
    *added = false;
    for (int i = first; i < list->count; i++)
        if (list->items[i].len == source->len &&
            memcmp(list->items[i].source, source->data, source->len) == 0)
            return KDS_OK;
    if (list->count == list->room) {
        int room = list->room > 0 ? 2 * list->room : 64;
        kds_gpu_kernel *items = realloc(list->items, (size_t)room * sizeof *items);
        if (items == NULL)
            return no_memory(e);
        list->items = items;
        list->room = room;
    }
    kds_gpu_kernel k = {.file = file, .source = malloc(source->len + 1), .len = source->len};
    if (k.source == NULL || !describe(&k, tunables, count)) {
        kernel_free(&k);
        return no_memory(e);
    }
    memcpy(k.source, source->data, source->len + 1);
    list->items[list->count++] = k;
    *added = true;
    return KDS_OK;
}

/* The source with value number point[i] of each list in force. */
static kds_code append_point(kds_gpu_kernels *list, int first, const char *file,
                             const kds_buf *source, const kds_tunable *tunables, int count,
                             const int *point, bool *added, kds_err *e)
{
    kds_tunable chosen[KDS_TUNABLES];
    kds_buf text;
    bool standing = true; /* the point that the file is at already */
    kds_buf_init(&text, KDS_SOURCE_CAP);
    for (int i = 0; i < count; i++) {
        chosen[i] = tunables[i];
        kds_tunable_choose(&chosen[i], tunables[i].values[point[i]]);
        standing = standing && point[i] == 0;
    }
    *added = false;
    kds_code code = KDS_OK;
    if (!standing)
        code = kds_tunables_write(&text, source->data, source->len, chosen, count, e);
    if (code == KDS_OK && !standing)
        code = append(list, first, file, &text, chosen, count, added, e);
    kds_buf_free(&text);
    return code;
}

static kds_code append_variants(kds_gpu_kernels *list, int first, const char *file,
                                const kds_buf *source, const kds_tunable *tunables, int count,
                                int sweep, uint64_t seed, kds_err *e)
{
    double size = 1;
    int point[KDS_TUNABLES];
    bool added = false;
    kds_code code = KDS_OK;
    kds_random random = kds_random_stream(seed, kds_hash64(file, strlen(file), 0), "sweep");
    for (int i = 0; i < count; i++)
        size *= tunables[i].count;
    bool all = size <= sweep;
    for (int n = 1; code == KDS_OK && all && n < (int)size; n++) {
        int rest = n;
        for (int i = 0; i < count; i++) {
            point[i] = rest % tunables[i].count;
            rest /= tunables[i].count;
        }
        code = append_point(list, first, file, source, tunables, count, point, &added, e);
    }
    for (int n = 0; code == KDS_OK && !all && n < DRAWS * sweep && list->count - first < sweep;
         n++) {
        for (int i = 0; i < count; i++)
            point[i] = (int)kds_random_below(&random, (uint64_t)tunables[i].count);
        code = append_point(list, first, file, source, tunables, count, point, &added, e);
    }
    return code;
}

kds_code kds_gpu_kernels_add(kds_gpu_kernels *list, const char *file, int sweep, uint64_t seed,
                             kds_err *e)
{
    kds_tunable tunables[KDS_TUNABLES];
    int count = 0, first = list->count;
    bool added = false;
    kds_buf source;
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_code code = kds_file_read(file, &source, e);
    if (code == KDS_OK)
        code = kds_tunables_find(tunables, &count, source.data, source.len, e);
    if (code != KDS_OK)
        code = kds_err_prefix(e, code, "%s", file);
    if (code == KDS_OK)
        code = append(list, first, file, &source, tunables, count, &added, e);
    if (code == KDS_OK && sweep > 1 && count > 0)
        code = append_variants(list, first, file, &source, tunables, count, sweep, seed, e);
    kds_buf_free(&source);
    return code;
}

void kds_gpu_kernels_free(kds_gpu_kernels *list)
{
    for (int i = 0; i < list->count; i++)
        kernel_free(&list->items[i]);
    free(list->items);
    *list = (kds_gpu_kernels){0};
}
