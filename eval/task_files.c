/* The texts of a task folder (card, baseline, reference, seeds) and the hash over its files. The
 * hash covers relative path and content of everything but docs/, solution/ and the mutations of the
 * lint, in byte order of the paths, so that two folders with one hash judge candidates alike. */
#include "eval/task_internal.h"
#include "eval/task_mutations.h"
#include "search/base/file.h"
#include "search/base/text.h"
#include <stdlib.h>
#include <string.h>

#define FILE_CAP (16u << 20) /* of any file that is hashed */

/* Reads a UTF-8 text of at most KDS_SOURCE_CAP bytes; the result is owned by the caller. */
static kds_code read_text(const kds_task *t, const char *name, char **out, kds_err *e)
{
    kds_buf b;
    kds_buf_init(&b, KDS_SOURCE_CAP);
    char *path = kds_path_join(t->dir, name);
    kds_code code;
    if (!path)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    else if (!kds_path_exists(path))
        code =
            kds_fail(e, KDS_INVALID,
                     "%s: no such file; a task folder must have it (see kernels/README.md)", path);
    else
        code = kds_file_read(path, &b, e);
    if (code == KDS_TOO_LARGE)
        code = kds_fail(e, KDS_INVALID, "%s: larger than 256 KiB", path);
    if (code == KDS_OK && (strlen(b.data) != b.len || !kds_text_is_utf8(b.data, b.len)))
        code = kds_fail(e, KDS_INVALID, "%s: not UTF-8 text", path);
    if (code == KDS_OK) {
        char *text = kds_buf_take(&b);
        if (text)
            *out = text;
        else
            code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    kds_buf_free(&b);
    free(path);
    return code;
}

static kds_code add_seed(void *user, const char *relative, kds_err *e)
{
    kds_task *t = user;
    if (!kds_text_ends_with(relative, ".cu") || strchr(relative, '/'))
        return KDS_OK;
    if (t->seed_count == (int)(sizeof t->seeds / sizeof *t->seeds))
        return kds_fail(e, KDS_INVALID, "%s/seeds: more than %d sources", t->dir, t->seed_count);
    char *name = strndup(relative, strlen(relative) - 3);
    char *path = kds_path_join("seeds", relative);
    char *source = NULL;
    kds_code code =
        name && path ? read_text(t, path, &source, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    free(path);
    if (code != KDS_OK) {
        free(name);
        return code;
    }
    t->seeds[t->seed_count].name = name;
    t->seeds[t->seed_count++].source = source;
    return KDS_OK;
}

typedef struct hashing {
    const char *dir;
    kds_hasher *hasher;
    kds_buf content;
} hashing;

static kds_code hash_file(void *user, const char *relative, kds_err *e)
{
    hashing *h = user;
    if (kds_text_starts_with(relative, "docs/") || kds_text_starts_with(relative, "solution/") ||
        strcmp(relative, KDS_MUTATIONS_FILE) == 0)
        return KDS_OK;
    char *path = kds_path_join(h->dir, relative);
    if (!path)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_buf_reset(&h->content);
    kds_code code = kds_file_read(path, &h->content, e);
    if (code == KDS_TOO_LARGE)
        code = kds_fail(e, KDS_INVALID,
                        "%s: larger than 16 MiB; what is only for people belongs in docs/", path);
    free(path);
    if (code != KDS_OK)
        return code;
    uint64_t sizes[2] = {strlen(relative), h->content.len};
    kds_hasher_add(h->hasher, sizes, sizeof sizes);
    kds_hasher_add(h->hasher, relative, sizes[0]);
    kds_hasher_add(h->hasher, h->content.data, h->content.len);
    return KDS_OK;
}

static kds_code hash_folder(kds_task *t, kds_err *e)
{
    hashing h = {.dir = t->dir, .hasher = kds_hasher_create()};
    if (!h.hasher)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_buf_init(&h.content, FILE_CAP);
    kds_code code = kds_dir_walk(t->dir, hash_file, &h, e);
    if (code == KDS_OK)
        t->hash = kds_hasher_id(h.hasher);
    kds_buf_free(&h.content);
    kds_hasher_free(h.hasher);
    return code;
}

static bool has(const kds_task *t, const char *name)
{
    char *path = kds_path_join(t->dir, name);
    bool there = path && kds_path_exists(path);
    free(path);
    return there;
}

kds_code kds_task_read_files(kds_task *t, kds_err *e)
{
    kds_code code = read_text(t, "prompt.md", &t->card, e);
    if (code == KDS_OK)
        code = read_text(t, "baseline/kernel.cu", &t->baseline, e);
    if (code == KDS_OK && has(t, "reference/kernel.cu"))
        code = read_text(t, "reference/kernel.cu", &t->reference, e);
    if (code == KDS_OK && has(t, "seeds")) {
        char *path = kds_path_join(t->dir, "seeds");
        code =
            path ? kds_dir_walk(path, add_seed, t, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
        free(path);
    }
    return code == KDS_OK ? hash_folder(t, e) : code;
}
