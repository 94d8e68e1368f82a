/* Reading bench/mutations.json as strictly as the rest of a task: a change that does not apply, or
 * applies in two places, proves something else than what it says. */
#include "eval/task_mutations.h"
#include "search/base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_CAP (1u << 20)

/* How often `from` stands in `text`, overlapping places included, at most 2. */
static int places_of(const char *text, const char *from)
{
    const char *at = strstr(text, from);
    return at == NULL ? 0 : strstr(at + 1, from) == NULL ? 1 : 2;
}

static kds_code check_mutation(const kds_mutations *all, const kds_task *t, const cJSON *node,
                               kds_err *e)
{
    const kds_mutation *m = &all->items[all->count];
    const cJSON *from = kds_json_at(node, "from");
    if (m->what[0] == '\0')
        return kds_json_fail(all->doc, kds_json_at(node, "what"), e,
                             "must say what the mistake is");
    if (m->from[0] == '\0')
        return kds_json_fail(all->doc, from, e, "must not be empty");
    if (strcmp(m->from, m->to) == 0)
        return kds_json_fail(all->doc, kds_json_at(node, "to"), e, "is the same as \"from\"");
    int places = places_of(t->baseline, m->from);
    if (places == 0)
        return kds_json_fail(all->doc, from, e, "does not stand in baseline/kernel.cu");
    if (places > 1)
        return kds_json_fail(all->doc, from, e,
                             "stands in baseline/kernel.cu more than once; take more of the text "
                             "around it");
    for (int i = 0; i < all->count; i++)
        if (strcmp(all->items[i].from, m->from) == 0 && strcmp(all->items[i].to, m->to) == 0)
            return kds_json_fail(all->doc, node, e, "is the same change as number %d", i + 1);
    return KDS_OK;
}

static kds_code read_mutations(kds_mutations *m, const kds_task *t, kds_err *e)
{
    kds_json_reader r;
    kds_json_reader_init(&r, m->doc, kds_json_root(m->doc), e);
    (void)kds_json_need_int(&r, "format", 1, 1);
    const cJSON *list = kds_json_need_array(&r, "mutations"), *node = NULL;
    kds_code code = kds_json_done(&r);
    if (code == KDS_OK && cJSON_GetArraySize(list) > KDS_MUTATIONS_MAX)
        code = kds_json_fail(m->doc, list, e, "has more than %d entries", KDS_MUTATIONS_MAX);
    if (code != KDS_OK)
        return code;
    cJSON_ArrayForEach(node, list)
    {
        if (!cJSON_IsObject(node))
            return kds_json_fail(m->doc, node, e, "must be an object with what, from and to");
        kds_json_reader_init(&r, m->doc, node, e);
        kds_mutation *at = &m->items[m->count];
        at->what = kds_json_need_string(&r, "what");
        at->from = kds_json_need_string(&r, "from");
        at->to = kds_json_need_string(&r, "to");
        code = kds_json_done(&r);
        if (code == KDS_OK)
            code = check_mutation(m, t, node, e);
        if (code != KDS_OK)
            return code;
        m->count++;
    }
    return KDS_OK;
}

kds_code kds_mutations_load(kds_mutations **out, const kds_task *t, kds_err *e)
{
    kds_mutations *m = calloc(1, sizeof *m);
    char *path = kds_path_join(t->dir, KDS_MUTATIONS_FILE);
    kds_code code =
        m != NULL && path != NULL ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK && kds_path_exists(path)) {
        code = kds_json_load(&m->doc, path, FILE_CAP, e);
        if (code == KDS_TOO_LARGE)
            code = kds_fail(e, KDS_INVALID, "%s: larger than 1 MiB", path);
        if (code == KDS_OK)
            code = read_mutations(m, t, e);
    }
    free(path);
    if (code == KDS_OK)
        *out = m;
    else
        kds_mutations_free(m);
    return code;
}

void kds_mutations_free(kds_mutations *m)
{
    if (m == NULL)
        return;
    kds_json_free(m->doc);
    free(m);
}

char *kds_mutation_apply(const kds_task *t, const kds_mutation *m)
{
    const char *at = strstr(t->baseline, m->from);
    size_t head = (size_t)(at - t->baseline), size = strlen(t->baseline) + strlen(m->to) + 1;
    char *out = malloc(size);
    if (out != NULL)
        (void)snprintf(out, size, "%.*s%s%s", (int)head, t->baseline, m->to, at + strlen(m->from));
    return out;
}
