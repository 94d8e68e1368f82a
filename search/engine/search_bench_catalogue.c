/* A catalogue on disk: catalogue.json names a task, choices with their options, and flaws;
 * kernel.template is the kernel, in which {{#choice_option}} ... {{/choice_option}} stands for an
 * option that is taken and {{#flaw_name}} ... {{/flaw_name}} for a mistake. Its tune lines are the
 * tunables. The points are all combinations of options and values, and all combinations of options
 * with each flaw. */
#include "search/engine/search_bench_internal.h"

#include "eval/lint.h"
#include "prompts/template.h"
#include "search/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATE_CAP (64u << 10)
#define FIELD_NAME 72

void kds_catalogue_free(kds_catalogue *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->point_count; i++) {
        free(c->points[i].source);
        free(c->points[i].message);
        cJSON_Delete(c->points[i].report);
    }
    free(c->points);
    cJSON_Delete(c->baseline);
    free(c->template_text);
    kds_task_free(c->task);
    kds_json_free(c->doc);
    free(c);
}

/* Reads an array of names; each must be a word of letters, digits and underscores. */
static kds_code read_names(const kds_json_doc *doc, const cJSON *list, const char **out, int room,
                           int *count, kds_err *e)
{
    const cJSON *item = NULL;
    *count = 0;
    cJSON_ArrayForEach(item, list)
    {
        const char *s = cJSON_IsString(item) ? item->valuestring : "";
        size_t len = strlen(s);
        if (!len || len > 24 || strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") != len)
            return kds_json_fail(doc, item, e,
                                 "a name of 1 to 24 small letters, digits or underscores");
        if (*count == room)
            return kds_json_fail(doc, item, e, "at most %d are possible", room);
        out[(*count)++] = s;
    }
    return KDS_OK;
}

static kds_code read_choices(kds_catalogue *c, const cJSON *list, kds_err *e)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, list)
    {
        kds_json_reader r;
        if (c->choice_count == KDS_CHOICES_MAX)
            return kds_json_fail(c->doc, item, e, "at most %d choices are possible",
                                 KDS_CHOICES_MAX);
        kds_choice_axis *a = &c->choices[c->choice_count++];
        kds_json_reader_init(&r, c->doc, item, e);
        a->name = kds_json_need_string(&r, "name");
        const cJSON *options = kds_json_need_array(&r, "options");
        kds_code code = kds_json_done(&r);
        if (code == KDS_OK)
            code = read_names(c->doc, options, a->options, KDS_CHOICE_OPTIONS, &a->count, e);
        if (code != KDS_OK)
            return code;
        if (a->count < 2 || strlen(a->name) > 24)
            return kds_json_fail(c->doc, item, e,
                                 "a choice has a name of at most 24 letters and two options");
    }
    return c->choice_count ? KDS_OK
                           : kds_json_fail(c->doc, list, e, "at least one choice is needed");
}

static kds_code read_description(kds_catalogue *c, const char *dir, kds_err *e)
{
    kds_json_reader r;
    char *path = kds_path_join(dir, "catalogue.json"), *task = NULL;
    kds_code code = path ? kds_json_load(&c->doc, path, TEMPLATE_CAP, e)
                         : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    free(path);
    if (code != KDS_OK)
        return code;
    kds_json_reader_init(&r, c->doc, kds_json_root(c->doc), e);
    (void)kds_json_need_int(&r, "format", 1, 1);
    const char *relative = kds_json_need_string(&r, "task");
    const cJSON *choices = kds_json_need_array(&r, "choices");
    const cJSON *flaws = kds_json_need_array(&r, "flaws");
    code = kds_json_done(&r);
    if (code == KDS_OK)
        code = read_choices(c, choices, e);
    if (code == KDS_OK)
        code = read_names(c->doc, flaws, c->flaws, KDS_FLAWS_MAX, &c->flaw_count, e);
    if (code == KDS_OK && !(task = kds_path_join(dir, relative)))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = kds_task_load(&c->task, task, e);
    if (code == KDS_OK)
        c->seedless = *c->task;
    c->seedless.seed_count = 0;
    free(task);
    return code;
}

/* Fills the template in: one field per option and flaw. */
static kds_code render(const kds_catalogue *c, const kds_point *p, kds_buf *out, kds_err *e)
{
    char names[KDS_CHOICES_MAX * KDS_CHOICE_OPTIONS + KDS_FLAWS_MAX][FIELD_NAME];
    kds_field fields[KDS_CHOICES_MAX * KDS_CHOICE_OPTIONS + KDS_FLAWS_MAX];
    int n = 0;
    for (int i = 0; i < c->choice_count; i++)
        for (int k = 0; k < c->choices[i].count; k++, n++) {
            snprintf(names[n], FIELD_NAME, "%s_%s", c->choices[i].name, c->choices[i].options[k]);
            fields[n] = (kds_field){names[n], p->option[i] == k ? "1" : NULL, p->option[i] == k};
        }
    for (int i = 0; i < c->flaw_count; i++, n++) {
        snprintf(names[n], FIELD_NAME, "flaw_%s", c->flaws[i]);
        fields[n] = (kds_field){names[n], p->flaw == i + 1 ? "1" : NULL, p->flaw == i + 1};
    }
    return kds_template_render(out, "kernel.template", c->template_text, c->template_len, fields, n,
                               e);
}

/* The source of a point, its tune lines in the order in which the engine writes them. */
static kds_code write_point(const kds_catalogue *c, kds_point *p, kds_err *e)
{
    kds_buf text, source;
    kds_tunable tunables[KDS_TUNABLES];
    kds_buf_init(&text, KDS_SOURCE_CAP);
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_code code = render(c, p, &text, e);
    memcpy(tunables, c->tunables, sizeof tunables);
    for (int i = 0; i < c->tunable_count; i++)
        kds_tunable_choose(&tunables[i], c->tunables[i].values[p->value[i]]);
    if (code == KDS_OK)
        code = kds_tunables_write(&source, text.data, text.len, tunables, c->tunable_count, e);
    if (code == KDS_OK) {
        p->len = source.len;
        p->id = kds_id_of(source.data, source.len);
        p->norm = kds_lint_norm_id(source.data, source.len);
        if (!(p->source = kds_buf_take(&source)))
            code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    kds_buf_free(&text);
    kds_buf_free(&source);
    return code;
}

/* Points are numbered with the last coordinate changing fastest: options, then values; the flawed
 * ones come after all others. */
int kds_catalogue_index(const kds_catalogue *c, const kds_point *like)
{
    int at = 0, structures = 1, values = 1;
    for (int i = 0; i < c->choice_count; i++) {
        at = at * c->choices[i].count + like->option[i];
        structures *= c->choices[i].count;
    }
    for (int i = 0; i < c->tunable_count; i++)
        values *= c->tunables[i].count;
    if (like->flaw)
        return structures * values + at * c->flaw_count + like->flaw - 1;
    for (int i = 0; i < c->tunable_count; i++)
        at = at * c->tunables[i].count + like->value[i];
    return at;
}

int kds_catalogue_find(const kds_catalogue *c, kds_id id)
{
    for (int i = 0; i < c->point_count; i++)
        if (kds_id_equal(c->points[i].id, id))
            return i;
    return -1;
}

/* The coordinates of point `at`: the inverse of kds_catalogue_index. */
static void decode(const kds_catalogue *c, int at, int sound, kds_point *p)
{
    bool flawed = at >= sound;
    *p = (kds_point){.flaw = 0};
    if (flawed) {
        p->flaw = (at - sound) % c->flaw_count + 1;
        at = (at - sound) / c->flaw_count;
    }
    for (int i = c->tunable_count - 1; i >= 0 && !flawed; i--) {
        p->value[i] = at % c->tunables[i].count;
        at /= c->tunables[i].count;
    }
    for (int i = c->choice_count - 1; i >= 0; i--) {
        p->option[i] = at % c->choices[i].count;
        at /= c->choices[i].count;
    }
}

/* The tunables are those of the first structure; write_point fails if another one has others. */
static kds_code find_tunables(kds_catalogue *c, kds_err *e)
{
    kds_buf text;
    const kds_point first = {.flaw = 0};
    kds_buf_init(&text, KDS_SOURCE_CAP);
    kds_code code = render(c, &first, &text, e);
    if (code == KDS_OK)
        code = kds_tunables_find(c->tunables, &c->tunable_count, text.data, text.len, e);
    kds_buf_free(&text);
    return code;
}

static kds_code write_points(kds_catalogue *c, kds_err *e)
{
    int64_t structures = 1, sound = 1;
    for (int i = 0; i < c->choice_count; i++)
        structures *= c->choices[i].count;
    sound = structures;
    for (int i = 0; i < c->tunable_count && sound <= KDS_POINTS_MAX; i++)
        sound *= c->tunables[i].count;
    int64_t count = sound + structures * c->flaw_count;
    if (count > KDS_POINTS_MAX)
        return kds_fail(e, KDS_INVALID, "the catalogue has more than %d points", KDS_POINTS_MAX);
    if (!(c->points = calloc((size_t)count, sizeof *c->points)))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    for (; c->point_count < count; c->point_count++) {
        kds_point *p = &c->points[c->point_count];
        decode(c, c->point_count, (int)sound, p);
        kds_code code = write_point(c, p, e);
        if (code != KDS_OK)
            return code;
    }
    return KDS_OK;
}

kds_code kds_catalogue_load(kds_catalogue **out, const char *dir, kds_err *e)
{
    kds_catalogue *c = calloc(1, sizeof *c);
    char *path = kds_path_join(dir, "kernel.template");
    kds_buf text;
    kds_buf_init(&text, TEMPLATE_CAP);
    kds_code code =
        c && path ? read_description(c, dir, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = kds_file_read(path, &text, e);
    if (code == KDS_OK) {
        c->template_len = text.len;
        if (!(c->template_text = kds_buf_take(&text)))
            code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    if (code == KDS_OK)
        code = find_tunables(c, e);
    if (code == KDS_OK)
        code = write_points(c, e);
    kds_buf_free(&text);
    free(path);
    if (code == KDS_OK)
        *out = c;
    else {
        kds_catalogue_free(c);
        (void)kds_err_prefix(e, code, "%s", dir);
    }
    return code;
}

void kds_catalogue_describe(const kds_catalogue *c, int point, char *out, size_t size)
{
    const kds_point *p = &c->points[point];
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < c->choice_count && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s=%s", i ? " " : "", c->choices[i].name,
                               c->choices[i].options[p->option[i]]);
    for (int i = 0; i < c->tunable_count && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, " %s=%lld", c->tunables[i].name,
                               (long long)c->tunables[i].values[p->value[i]]);
    if (p->flaw && at < size)
        (void)snprintf(out + at, size - at, " flaw=%s", c->flaws[p->flaw - 1]);
}
