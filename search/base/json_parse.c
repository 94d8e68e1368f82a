/* Documents: the text is scanned strictly, parsed by cJSON, and the two are walked together, value
 * by value in the order of the text, so that every node knows its line and its path. */
#include "search/base/file.h"
#include "search/base/json_doc.h"
#include "search/base/text.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_node(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const kds_json_entry *)a)->node;
    uintptr_t y = (uintptr_t)((const kds_json_entry *)b)->node;
    return x < y ? -1 : x > y;
}

/* By key, and among equal keys by their place in the text. */
static int by_key(const void *a, const void *b)
{
    const kds_json_entry *x = a, *y = b;
    int c = strcmp(x->node->string, y->node->string);
    return c != 0 ? c : x->order < y->order ? -1 : 1;
}

/* Gives every node of the tree its entry; `next` counts them in the order of the text. */
static void attach(kds_json_doc *doc, const kds_json_scan *scan, const cJSON *node,
                   const cJSON *parent, int index, size_t *next)
{
    size_t order = (*next)++;
    if (order < doc->count)
        doc->entries[order] = (kds_json_entry){.node = node,
                                               .parent = parent,
                                               .line = scan->places[order].line,
                                               .key_line = scan->places[order].key_line,
                                               .index = index,
                                               .order = order};
    int i = 0;
    for (const cJSON *child = node->child; child != NULL; child = child->next)
        attach(doc, scan, child, node, i++, next);
}

/* Refuses the first key of `object` that is there twice. `work` has room for every entry. */
static kds_code check_object(const kds_json_doc *doc, const cJSON *object, kds_json_entry *work,
                             kds_err *e)
{
    size_t n = 0;
    const kds_json_entry *first = NULL, *again = NULL;
    for (const cJSON *child = object->child; child != NULL; child = child->next)
        work[n++] = *kds_json_find(doc, child);
    if (n < 2)
        return KDS_OK;
    qsort(work, n, sizeof *work, by_key);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(work[i - 1].node->string, work[i].node->string) == 0 &&
            (again == NULL || work[i].order < again->order)) {
            first = &work[i - 1];
            again = &work[i];
        }
    }
    if (again == NULL)
        return KDS_OK;
    return kds_json_fail(doc, again->node, e, "given twice, first on line %d", first->key_line);
}

static kds_code check_duplicates(const kds_json_doc *doc, kds_err *e)
{
    kds_json_entry *work = malloc(doc->count * sizeof *work);
    const kds_json_entry *found = NULL;
    kds_code code = KDS_OK;
    if (work == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "reading %s: out of memory", doc->name);
    /* Entries are sorted by address; the first object in the text that has a repetition counts. */
    for (size_t i = 0; i < doc->count; i++) {
        const kds_json_entry *x = &doc->entries[i];
        if (cJSON_IsObject(x->node) && (found == NULL || x->order < found->order) &&
            check_object(doc, x->node, work, NULL) != KDS_OK)
            found = x;
    }
    if (found != NULL)
        code = check_object(doc, found->node, work, e);
    free(work);
    return code;
}

/* Parses the scanned text and fills in the entries. */
static kds_code build(kds_json_doc *doc, const kds_json_scan *scan, kds_err *e)
{
    size_t next = 0;
    doc->count = scan->count;
    doc->entries = malloc(scan->count * sizeof *doc->entries);
    doc->root = cJSON_ParseWithLength(scan->text, scan->len);
    if (doc->entries == NULL || doc->root == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "reading %s: out of memory", doc->name);
    attach(doc, scan, doc->root, NULL, 0, &next);
    if (next != doc->count)
        return kds_fail(e, KDS_FAILED, "%s: two readings of the text differ", doc->name);
    qsort(doc->entries, doc->count, sizeof *doc->entries, by_node);
    return check_duplicates(doc, e);
}

kds_code kds_json_parse(kds_json_doc **out, const char *name, const char *text, size_t len,
                        bool comments, kds_err *e)
{
    kds_json_scan scan = {.name = name, .len = len, .comments = comments};
    kds_json_doc *doc = calloc(1, sizeof *doc);
    kds_code code;
    scan.text = malloc(len + 1);
    if (doc != NULL)
        doc->name = strdup(name);
    if (doc == NULL || doc->name == NULL || scan.text == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "reading %s: out of memory", name);
        goto out;
    }
    if (len > 0)
        memcpy(scan.text, text, len);
    scan.text[len] = '\0';
    code = kds_json_scan_text(&scan, e);
    if (code == KDS_OK)
        code = build(doc, &scan, e);
    if (code == KDS_OK) {
        *out = doc;
        doc = NULL;
    }
out:
    kds_json_free(doc);
    free(scan.places);
    free(scan.text);
    return code;
}

kds_code kds_json_load(kds_json_doc **out, const char *path, size_t cap, kds_err *e)
{
    kds_buf text;
    kds_buf_init(&text, cap);
    kds_code code = kds_file_read(path, &text, e);
    if (code == KDS_OK)
        code = kds_json_parse(out, path, text.data, text.len, true, e);
    kds_buf_free(&text);
    return code;
}

void kds_json_free(kds_json_doc *doc)
{
    if (doc == NULL)
        return;
    cJSON_Delete(doc->root);
    free(doc->entries);
    free(doc->name);
    free(doc);
}

const cJSON *kds_json_root(const kds_json_doc *doc)
{
    return doc->root;
}

const kds_json_entry *kds_json_find(const kds_json_doc *doc, const cJSON *node)
{
    if (doc == NULL || node == NULL)
        return NULL;
    kds_json_entry key = {.node = node};
    return bsearch(&key, doc->entries, doc->count, sizeof key, by_node);
}

int kds_json_line(const kds_json_doc *doc, const cJSON *node)
{
    const kds_json_entry *x = kds_json_find(doc, node);
    return x == NULL ? 0 : x->line;
}

/* Appends the path of a value: "rows[3].dims.M"; nothing for the root. */
static void add_path(kds_buf *out, const kds_json_doc *doc, const kds_json_entry *x)
{
    const kds_json_entry *chain[KDS_JSON_DEPTH + 2];
    int n = 0;
    for (; x != NULL && x->parent != NULL; x = kds_json_find(doc, x->parent))
        chain[n++] = x;
    while (n-- > 0) {
        if (cJSON_IsArray(chain[n]->parent)) {
            kds_buf_printf(out, "[%d]", chain[n]->index);
        } else {
            char key[80];
            kds_text_escape_into(key, sizeof key, chain[n]->node->string,
                                 strlen(chain[n]->node->string), false);
            kds_buf_printf(out, "%s%s", out->len > 0 ? "." : "", key);
        }
    }
}

kds_code kds_json_fail(const kds_json_doc *doc, const cJSON *node, kds_err *e, const char *fmt, ...)
{
    const kds_json_entry *x = kds_json_find(doc, node);
    const char *name = doc != NULL ? doc->name : "JSON";
    char text[sizeof e->message];
    kds_buf path;
    va_list ap;
    if (e == NULL)
        return KDS_INVALID;
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    kds_buf_init(&path, 600); /* a longer path is cut */
    if (x == NULL) {
        kds_fail(e, KDS_INVALID, "%s: %s", name, text);
    } else {
        add_path(&path, doc, x);
        if (path.len == 0)
            kds_fail(e, KDS_INVALID, "%s:%d: %s", name, x->line, text);
        else
            kds_fail(e, KDS_INVALID, "%s:%d: key '%s': %s", name, x->key_line, path.data, text);
    }
    kds_buf_free(&path);
    return KDS_INVALID;
}
