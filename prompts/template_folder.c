/* Templates of a user's own: files that take the place of those embedded. */
#include "prompts/prompt_internal.h"
#include "search/base/file.h"
#include "search/base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FILE_CAP ((size_t)64 << 10)

typedef struct reading {
    const char *dir;
    kds_template *set;
    int count, room;
} reading;

/* A prompt without these asks nothing, or about nothing. */
static kds_code check_needed(const char *path, const char *name, const char *text, kds_err *e)
{
    static const char *const needed[][2] = {{"user.md", "{{instruction}}"},
                                            {"user.md", "{{parent_source}}"},
                                            {"user.md", "{{card}}"},
                                            {"guide.md", "{{card}}"},
                                            {"guide.md", "{{guidance}}"}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (strcmp(name, needed[i][0]) == 0 && !strstr(text, needed[i][1]))
            return kds_fail(e, KDS_INVALID, "%s: there is no %s, which a model cannot do without",
                            path, needed[i][1]);
    return KDS_OK;
}

static kds_code check(const char *path, const char *name, const kds_buf *text, kds_err *e)
{
    if (text->len == 0 || memchr(text->data, '\0', text->len) ||
        !kds_text_is_utf8(text->data, text->len))
        return kds_fail(e, KDS_INVALID, "%s: %s", path,
                        text->len == 0 ? "the template is empty" : "this is not UTF-8 text");
    kds_code code = kds_prompt_check_template(path, text->data, text->len, e);
    return code == KDS_OK ? check_needed(path, name, text->data, e) : code;
}

static kds_code read_one(void *user, const char *name, kds_err *e)
{
    reading *r = user;
    const kds_template *known = kds_template_find(NULL, name);
    char *path = kds_path_join(r->dir, name);
    kds_buf text;
    kds_buf_init(&text, FILE_CAP);
    kds_code code = KDS_OK;
    if (!path)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    else if (!known || r->count == r->room)
        code = kds_fail(e, KDS_INVALID,
                        "%s is no prompt template; there are crossover.md, explore.md, guide.md, "
                        "guide_system.md, mutate.md, repair.md, simplify.md, system.md, user.md",
                        path);
    else if ((code = kds_file_read(path, &text, e)) == KDS_OK)
        code = check(path, known->name, &text, e);
    free(path);
    if (code != KDS_OK) {
        kds_buf_free(&text);
        return code;
    }
    r->set[r->count].name = known->name;
    r->set[r->count].len = text.len;
    r->set[r->count++].text = (unsigned char *)kds_buf_take(&text);
    return KDS_OK;
}

kds_code kds_template_set_load(kds_template **out, const char *dir, kds_err *e)
{
    reading r = {.dir = dir};
    if (!kds_path_is_dir(dir))
        return kds_fail(e, KDS_INVALID, "there is no folder of prompt templates '%s'", dir);
    while (kds_templates[r.room].name)
        r.room++;
    r.set = calloc((size_t)r.room + 1, sizeof *r.set);
    if (!r.set)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_code code = kds_dir_walk(dir, read_one, &r, e);
    if (code == KDS_OK && r.count == 0)
        code = kds_fail(e, KDS_INVALID, "%s holds no prompt template", dir);
    if (code != KDS_OK) {
        kds_template_set_free(r.set);
        return code;
    }
    *out = r.set;
    return KDS_OK;
}

kds_id kds_template_set_hash(const kds_template *set)
{
    kds_id id = {0, 0};
    kds_hasher *h = kds_hasher_create();
    for (const kds_template *t = set; h && t->name; t++) {
        kds_hasher_add(h, t->name, strlen(t->name) + 1);
        kds_hasher_add(h, t->text, t->len);
        kds_hasher_add(h, "", 1);
    }
    if (h)
        id = kds_hasher_id(h);
    kds_hasher_free(h);
    return id;
}

void kds_template_set_free(kds_template *set)
{
    for (kds_template *t = set; t && t->name; t++)
        free((void *)(uintptr_t)t->text); /* of its own, unlike those embedded */
    free(set);
}
