/* `export`: what a campaign found and what it paid for, as plain files for other tools. All is read
 * at one moment; kernels.json is written last, so that a folder that has it is whole. */
#include "search/cli/command.h"
#include "search/cli/status.h"

#include "search/base/file.h"
#include "search/base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct exporting {
    kds_ledger *ledger;
    const char *folder;
    bool all;      /* the sources of all candidates */
    FILE *out;     /* the file of lines that is being written */
    cJSON *listed; /* kernels.json's list */
    int64_t candidates, calls;
} exporting;

static kds_code out_of_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* ---- Kernels ---- */

/* "kernels/00016-b8facd3d.cu" */
static void name_of(const kds_candidate_row *row, char *out, size_t size)
{
    (void)snprintf(out, size, "kernels/%05lld-%.8s.cu", (long long)row->decision, row->id);
}

static kds_code write_source(exporting *x, const kds_candidate_row *row, kds_err *e)
{
    char name[80], *source = NULL, *path = NULL;
    size_t len = 0;
    kds_id id;
    name_of(row, name, sizeof name);
    kds_code code = kds_id_parse(row->id, &id)
                        ? kds_ledger_get(x->ledger, id, &source, &len, e)
                        : kds_fail(e, KDS_DAMAGED, "a candidate's id is none: %.40s", row->id);
    if (code == KDS_OK && !(path = kds_path_join(x->folder, name)))
        code = out_of_memory(e);
    if (code == KDS_OK)
        code = kds_file_write_unsynced(path, source, len, e);
    free(path);
    free(source);
    return code;
}

/* The elite of a cell: its source, and a line in kernels.json. */
static kds_code export_cell(void *user, const kds_cell_row *cell, kds_err *e)
{
    exporting *x = user;
    kds_candidate_row row;
    char name[80];
    if (!cell->elite[0])
        return KDS_OK;
    kds_code code = kds_ledger_find(x->ledger, cell->elite, &row, e);
    if (code == KDS_OK && !x->all)
        code = write_source(x, &row, e);
    if (code != KDS_OK)
        return code;
    name_of(&row, name, sizeof name);
    cJSON *o = kds_view_candidate_json(&row),
          *bins = kds_json_parse_record(cell->bins, strlen(cell->bins));
    if (!bins) {
        cJSON_Delete(o);
        return kds_fail(e, KDS_DAMAGED, "the bins of cell %s are none", cell->key);
    }
    bool ok = o && kds_json_add_str(o, "file", name) &&
              cJSON_ReplaceItemInObject(o, "cell", cJSON_CreateString(cell->key)) &&
              cJSON_AddItemToObject(o, "bins", bins);
    if (!ok)
        cJSON_Delete(bins);
    if (ok && cJSON_AddItemToArray(x->listed, o))
        return KDS_OK;
    cJSON_Delete(o);
    return out_of_memory(e);
}

/* ---- Lines ---- */

static kds_code open_lines(exporting *x, const char *name, kds_err *e)
{
    char *path = kds_path_join(x->folder, name);
    x->out = path ? fopen(path, "we") : NULL;
    kds_code code = !path    ? out_of_memory(e)
                    : x->out ? KDS_OK
                             : kds_fail_errno(e, KDS_IO, "%s: cannot write it", path);
    free(path);
    return code;
}

/* Closes it whatever came before. */
static kds_code close_lines(exporting *x, const char *name, kds_code code, kds_err *e)
{
    if (!x->out)
        return code;
    bool bad = ferror(x->out) != 0;
    bad = fclose(x->out) != 0 || bad;
    x->out = NULL;
    if (code == KDS_OK && bad)
        code = kds_fail_errno(e, KDS_IO, "%s/%s: cannot write it", x->folder, name);
    return code;
}

/* Takes the object. */
static kds_code put_line(exporting *x, cJSON *o, bool ok, kds_err *e)
{
    char *text = ok ? kds_json_print(o) : NULL;
    cJSON_Delete(o);
    if (!text)
        return out_of_memory(e);
    (void)fputs(text, x->out);
    (void)fputc('\n', x->out);
    free(text);
    return ferror(x->out) ? kds_fail_errno(e, KDS_IO, "%s: cannot write", x->folder) : KDS_OK;
}

static kds_code export_candidate(void *user, const kds_candidate_row *row, kds_err *e)
{
    exporting *x = user;
    char name[80];
    kds_code code = x->all ? write_source(x, row, e) : KDS_OK;
    if (code != KDS_OK)
        return code;
    name_of(row, name, sizeof name);
    x->candidates++;
    cJSON *o = kds_view_candidate_json(row);
    return put_line(x, o, o && (!x->all || kds_json_add_str(o, "file", name)), e);
}

/* As text: bytes that are no UTF-8, and NUL, become U+FFFD. */
static size_t clean_text(kds_buf *out, const char *data, size_t len)
{
    size_t replaced = 0;
    for (size_t at = 0; at <= len;) {
        const char *nul = memchr(data + at, '\0', len - at);
        size_t part = nul ? (size_t)(nul - data) - at : len - at;
        replaced += kds_text_sanitize_utf8(out, data + at, part);
        at += part + 1;
        if (nul) {
            kds_buf_puts(out, "\xef\xbf\xbd");
            replaced++;
        }
    }
    return replaced;
}

/* The object that a column names; "<column>_bytes_replaced" says how much of it was no text. */
static kds_code add_object(exporting *x, cJSON *to, const cJSON *row, const char *column,
                           kds_err *e)
{
    char flag[40], *data = NULL;
    size_t len = 0;
    kds_id id;
    kds_buf clean;
    (void)snprintf(flag, sizeof flag, "%s_bytes_replaced", column);
    if (!kds_json_id(row, column, &id))
        return kds_json_add_str(to, column, NULL) ? KDS_OK : out_of_memory(e);
    kds_code code = kds_ledger_get(x->ledger, id, &data, &len, e);
    if (code != KDS_OK)
        return code;
    kds_buf_init(&clean, 4 * len + 16);
    size_t replaced = clean_text(&clean, data, len);
    code = kds_buf_check(&clean, column, e);
    if (code == KDS_OK && !(kds_json_add_str(to, column, clean.data) &&
                            (!replaced || kds_json_add_int(to, flag, (int64_t)replaced))))
        code = out_of_memory(e);
    kds_buf_free(&clean);
    free(data);
    return code;
}

/* A call to a model, with what was said and what became of the child. */
static kds_code export_call(void *user, const cJSON *row, kds_err *e)
{
    exporting *x = user;
    cJSON *o = cJSON_Duplicate(row, true);
    cJSON_DeleteItemFromObject(o, "prompt");
    cJSON_DeleteItemFromObject(o, "reply");
    kds_code code = o ? add_object(x, o, row, "prompt", e) : out_of_memory(e);
    if (code == KDS_OK)
        code = add_object(x, o, row, "reply", e);
    if (code != KDS_OK) {
        cJSON_Delete(o);
        return code;
    }
    x->calls++;
    return put_line(x, o, true, e);
}

/* The child is that of a decision's last call; those before it came to nothing. Who answered by
 * mail stands in the response. */
static const char calls_query[] =
    "SELECT l.request, l.decision, l.attempt, o.operator, coalesce(r.model, l.model) AS model,"
    " l.prompt, l.reply, l.outcome, l.prompt_tokens, l.completion_tokens, l.cost_usd, l.seconds,"
    " d.candidate, d.verdict, d.fitness, d.accepted, d.why"
    " FROM calls l JOIN decisions o ON o.decision = l.decision"
    " LEFT JOIN decisions d ON d.decision = l.decision AND l.request ="
    " (SELECT max(request) FROM calls WHERE decision = l.decision)"
    " LEFT JOIN (SELECT json_extract(body, '$.request') AS request,"
    " json_extract(body, '$.model') AS model FROM events WHERE kind = 'RESPONSE'"
    " AND coalesce(json_extract(body, '$.model'), '') != '') r"
    " ON r.request = l.request ORDER BY l.request";

static kds_code export_lines(exporting *x, bool calls, kds_err *e)
{
    kds_code code = open_lines(x, "candidates.jsonl", e);
    if (code == KDS_OK)
        code =
            kds_ledger_each_candidate(x->ledger, "decision", NULL, NULL, 0, export_candidate, x, e);
    code = close_lines(x, "candidates.jsonl", code, e);
    if (code != KDS_OK || !calls)
        return code;
    code = open_lines(x, "calls.jsonl", e);
    if (code == KDS_OK)
        code = kds_ledger_select(x->ledger, calls_query, NULL, export_call, x, e);
    return close_lines(x, "calls.jsonl", code, e);
}

/* ---- The folder ---- */

static kds_code make_folder(const char *folder, kds_err *e)
{
    bool empty = true;
    kds_code code = kds_path_exists(folder) ? kds_dir_is_empty(folder, &empty, e) : KDS_OK;
    if (code == KDS_OK && !empty)
        return kds_fail(e, KDS_USAGE,
                        "%s holds other files and is left alone; name a new folder "
                        "with -o",
                        folder);
    if (code == KDS_OK)
        code = kds_dir_make(folder, e);
    char *kernels = kds_path_join(folder, "kernels");
    if (code == KDS_OK)
        code = kernels ? kds_dir_make(kernels, e) : out_of_memory(e);
    free(kernels);
    return code;
}

static kds_code write_list(exporting *x, const kds_status *s, const char *dir, kds_err *e)
{
    char name[80] = "";
    cJSON *o = cJSON_CreateObject(), *status = kds_status_json(s, dir);
    if (s->has_best)
        name_of(&s->best, name, sizeof name);
    bool ok = o && status && kds_json_add_str(o, "best", s->has_best ? name : NULL) &&
              cJSON_AddItemReferenceToObject(o, "status", status) &&
              cJSON_AddItemReferenceToObject(o, "elites", x->listed);
    char *text = ok ? kds_json_print_pretty(o) : NULL;
    char *path = kds_path_join(x->folder, "kernels.json");
    kds_code code =
        text && path ? kds_file_write_atomic(path, text, strlen(text), e) : out_of_memory(e);
    free(path);
    free(text);
    cJSON_Delete(o);
    cJSON_Delete(status);
    return code;
}

/* All that was written so far, before kernels.json says that it is whole. */
static kds_code sync_folder(const char *folder, kds_err *e)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    kds_code code = fd >= 0 && syncfs(fd) == 0 ? KDS_OK : kds_fail_errno(e, KDS_IO, "%s", folder);
    if (fd >= 0)
        close(fd);
    return code;
}

static kds_code export_all(exporting *x, const kds_status *s, const char *dir, kds_err *e)
{
    kds_code code = make_folder(x->folder, e);
    if (code != KDS_OK)
        return code;
    code = kds_ledger_each_cell(x->ledger, export_cell, x, e);
    if (code == KDS_OK && s->has_best && !x->all) /* it may hold no cell any more */
        code = write_source(x, &s->best, e);
    if (code == KDS_OK)
        code = export_lines(x, s->totals.requests > 0, e);
    if (code == KDS_OK)
        code = sync_folder(x->folder, e);
    if (code == KDS_OK)
        code = write_list(x, s, dir, e);
    if (code != KDS_OK)
        return kds_err_prefix(e, code, "%s is not complete, remove it", x->folder);
    return KDS_OK;
}

static kds_code export(const kds_args *args, kds_err *e)
{
    const char *folder = kds_args_flag(args, "output");
    kds_status s = {0};
    exporting x = {.folder = folder ? folder : "export",
                   .all = kds_args_flag(args, "all") != NULL,
                   .listed = cJSON_CreateArray()};
    kds_code code = x.listed ? kds_status_load(&s, args->operands[0], e) : out_of_memory(e);
    x.ledger = s.ledger;
    if (code == KDS_OK)
        code = export_all(&x, &s, args->operands[0], e);
    if (code == KDS_OK && args->json) {
        cJSON *o = cJSON_CreateObject();
        bool ok = o && kds_json_add_str(o, "folder", x.folder) &&
                  kds_json_add_int(o, "elites", cJSON_GetArraySize(x.listed)) &&
                  kds_json_add_int(o, "candidates", x.candidates) &&
                  kds_json_add_int(o, "calls", x.calls);
        code = ok ? kds_view_json(o, e) : out_of_memory(e);
        cJSON_Delete(o);
    } else if (code == KDS_OK)
        printf("written: %s (%d elites, %lld candidates, %lld model calls)\n", x.folder,
               cJSON_GetArraySize(x.listed), (long long)x.candidates, (long long)x.calls);
    cJSON_Delete(x.listed);
    kds_status_free(&s);
    return code;
}

const kds_command kds_command_export = {
    .name = "export",
    .operands = "ARCHIVE",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "kernels, candidates and model calls as plain files",
    .help = "Writes a folder for other tools: kernels/*.cu (the best and the elite of every cell), "
            "kernels.json (what\n"
            "each is), candidates.jsonl (every candidate with verdict, speed-up, hypothesis and "
            "why), and calls.jsonl\n"
            "where models were asked (prompt, raw reply, tokens, cost, and what became of the "
            "child). kernels.json is\n"
            "written last: a folder that has it is whole. Works while the campaign runs.",
    .flags = {{"output", 'o', "FOLDER", "a new or empty folder [export]"},
              {"all", 0, NULL, "the sources of all candidates, not only of elites"}},
    .run = export};
