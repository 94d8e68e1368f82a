/* `mailbox`: the prompts that wait, and replies to them checked and put in. */
#include "search/cli/command.h"
#include "search/cli/shell.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "prompts/reply.h"
#include "search/base/file.h"
#include "search/base/text.h"
#include "search/engine/mailbox.h"

#include <stdlib.h>
#include <string.h>

/* One run of the command. */
typedef struct mailbox {
    kds_ledger *ledger;
    kds_mailbox *box;
    const char *archive, *model; /* model: what --model says */
    bool force;
    kds_table *table;
    cJSON *array; /* NULL: as text */
    int pending, good, bad;
    kds_code code; /* of the first file that was not taken */
} mailbox;

/* What a reply's file is worth. */
typedef struct checked {
    kds_mail_entry entry;
    bool takable;   /* the campaign would take it */
    bool usable;    /* and it gives a child */
    char what[700]; /* in words, safe to show */
    char hypothesis[400];
} checked;

/* Parses the answer against the parent that the prompt showed. */
static kds_code check_answer(kds_ledger *l, const kds_mail_file *f, checked *out, kds_err *e)
{
    char *parent = NULL;
    size_t len = 0;
    kds_reply reply;
    kds_buf source;
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_code code = kds_ledger_get(l, out->entry.parent, &parent, &len, e);
    if (code == KDS_OK)
        code = kds_reply_parse(f->text, f->text_len, parent, len, &source, &reply, e);
    if (code == KDS_OK) {
        out->usable = reply.problem == KDS_REPLY_OK;
        snprintf(out->hypothesis, sizeof out->hypothesis, "%s", reply.hypothesis);
        if (!out->usable)
            snprintf(out->what, sizeof out->what, "unusable: %s", reply.message);
        else if (reply.edits)
            snprintf(out->what, sizeof out->what, "good: %d edits", reply.edits);
        else
            snprintf(out->what, sizeof out->what, "good: a source of %zu bytes", source.len);
    }
    kds_buf_free(&source);
    free(parent);
    return code;
}

static kds_code check_file(kds_ledger *l, const kds_mail_file *f, checked *out, kds_err *e)
{
    kds_code code = KDS_OK;
    memset(out, 0, sizeof *out);
    if (f->problem[0]) {
        snprintf(out->what, sizeof out->what, "refused: %s", f->problem);
        return KDS_OK;
    }
    if ((code = kds_mail_find(l, f->id, &out->entry, e)) != KDS_OK)
        return code;
    if (out->entry.state != KDS_MAIL_PENDING) {
        snprintf(out->what, sizeof out->what, "refused: %s", kds_mail_state_text(out->entry.state));
        return KDS_OK;
    }
    out->takable = true;
    return check_answer(l, f, out, e);
}

/* Adds a file's row to the table or the array. */
static kds_code show_file(mailbox *m, const kds_mail_file *f, const checked *c, bool imported,
                          kds_err *e)
{
    char name[120];
    kds_text_escape_into(name, sizeof name, f->name, strlen(f->name), false);
    if (!m->array) {
        printf("  %s: %s%s\n", name, c->what, imported ? " (put in)" : f->fresh ? " (new)" : "");
        return KDS_OK;
    }
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_str(o, "file", name) &&
              kds_json_add_str(o, "id", f->id[0] ? f->id : NULL) &&
              kds_json_add_bool(o, "takable", c->takable) &&
              kds_json_add_bool(o, "usable", c->usable) &&
              kds_json_add_bool(o, "put_in", imported) && kds_json_add_str(o, "what", c->what) &&
              kds_json_add_str(o, "hypothesis", c->hypothesis) && cJSON_AddItemToArray(m->array, o);
    if (ok)
        return KDS_OK;
    cJSON_Delete(o);
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

static kds_code show_incoming(void *user, const kds_mail_file *f, kds_err *e)
{
    mailbox *m = user;
    checked c;
    kds_code code = check_file(m->ledger, f, &c, e);
    if (code == KDS_OK && m->good + m->bad == 0 && !m->array)
        printf("\nreplies in %s/in, which `resume` takes:\n", kds_mailbox_path(m->box));
    m->good += c.usable;
    m->bad += !c.usable;
    return code == KDS_OK ? show_file(m, f, &c, false, e) : code;
}

/* Checks one file and puts it in if the campaign would take it. */
static kds_code import_file(void *user, const kds_mail_file *f, kds_err *e)
{
    mailbox *m = user;
    checked c;
    kds_code code = check_file(m->ledger, f, &c, e);
    bool put = code == KDS_OK && c.takable && (c.usable || m->force);
    if (put)
        code = kds_mailbox_put(m->box, f->id, f->reply->model[0] ? f->reply->model : m->model,
                               f->text, f->text_len, e);
    m->good += put;
    m->bad += !put;
    return code == KDS_OK ? show_file(m, f, &c, put, e) : code;
}

/* A folder's files one by one, or a file. */
static kds_code import_path(mailbox *m, const char *path, kds_err *e);

typedef struct folder_import {
    mailbox *mailbox;
    const char *folder;
} folder_import;

static kds_code import_below(void *user, const char *relative, kds_err *e)
{
    folder_import *f = user;
    char *path = kds_path_join(f->folder, relative);
    kds_code code = path ? kds_mail_file_read(path, import_file, f->mailbox, e)
                         : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    free(path);
    return code;
}

static kds_code import_path(mailbox *m, const char *path, kds_err *e)
{
    folder_import f = {m, path};
    if (!kds_path_exists(path))
        return kds_fail(e, KDS_NOT_FOUND, "there is no file '%s'", path);
    return kds_path_is_dir(path) ? kds_dir_walk(path, import_below, &f, e)
                                 : kds_mail_file_read(path, import_file, m, e);
}

static kds_code show_pending(void *user, const kds_mail_entry *entry, kds_err *e)
{
    mailbox *m = user;
    m->pending++;
    if (!m->array) {
        kds_table_cell(m->table, "%s", entry->id);
        kds_table_cell(m->table, "#%lld", (long long)entry->decision);
        kds_table_cell(m->table, "%s", entry->operator_name);
        return KDS_OK;
    }
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_str(o, "id", entry->id) &&
              kds_json_add_int(o, "request", entry->request) &&
              kds_json_add_int(o, "decision", entry->decision) &&
              kds_json_add_str(o, "operator", entry->operator_name) &&
              kds_json_add_id(o, "prompt", entry->prompt) &&
              kds_json_add_int(o, "time_ms", entry->time_ms) && cJSON_AddItemToArray(m->array, o);
    if (ok)
        return KDS_OK;
    cJSON_Delete(o);
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* Prompts and incoming replies. */
static kds_code list(mailbox *m, bool json, kds_err *e)
{
    const char *columns[] = {"prompt", "decision", "operator", NULL};
    cJSON *o = json ? cJSON_CreateObject() : NULL;
    m->array = o ? cJSON_AddArrayToObject(o, "pending") : NULL;
    m->table = json ? NULL : kds_table_create(columns);
    if (json ? !m->array : !m->table) {
        cJSON_Delete(o);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    kds_code code = kds_mail_each_pending(m->ledger, show_pending, m, e);
    if (code == KDS_OK && !json) {
        printf("%d prompt%s in %s/out\n", m->pending, m->pending == 1 ? " waits" : "s wait",
               kds_mailbox_path(m->box));
        if (m->pending)
            kds_table_print(m->table, stdout);
    }
    if (o)
        m->array = cJSON_AddArrayToObject(o, "incoming");
    if (code == KDS_OK)
        code = kds_mailbox_each(m->box, show_incoming, m, e);
    if (code == KDS_OK && json)
        code = kds_view_json(o, e);
    kds_table_free(m->table);
    m->array = NULL;
    cJSON_Delete(o);
    return code;
}

static kds_code import(mailbox *m, const kds_args *args, kds_err *e)
{
    char word[1200];
    kds_code code = KDS_OK;
    m->array = args->json ? cJSON_CreateArray() : NULL;
    for (int i = 1; i < args->operand_count && code == KDS_OK; i++)
        code = import_path(m, args->operands[i], e);
    if (code == KDS_OK && args->json)
        code = kds_view_json(m->array, e);
    else if (code == KDS_OK && m->good)
        printf("%d put in; `%s resume %s` takes them\n", m->good, kds_shell_program(),
               kds_shell_word(word, sizeof word, m->archive));
    cJSON_Delete(m->array);
    m->array = NULL;
    if (code == KDS_OK && m->bad)
        code = kds_fail(e, KDS_INVALID, "%d of %d files were not put in, for the reasons above%s",
                        m->bad, m->good + m->bad,
                        m->force ? "" : " (--force puts in what is merely unusable)");
    return code;
}

/* A prompt as a person would paste it. */
static kds_code show_prompt(mailbox *m, const char *id, kds_err *e)
{
    kds_mail_entry entry;
    char *text = NULL;
    size_t len = 0;
    kds_code code = kds_mail_find(m->ledger, id, &entry, e);
    if (code == KDS_OK && entry.state == KDS_MAIL_UNKNOWN)
        code = kds_fail(e, KDS_NOT_FOUND, "no prompt of this campaign has the id '%.40s'", id);
    if (code == KDS_OK)
        code = kds_ledger_get(m->ledger, entry.prompt, &text, &len, e);
    if (code == KDS_OK) {
        cJSON *o = kds_json_parse_record(text, len);
        printf("%s\n\n%s\n", kds_json_str(o, "system", ""), kds_json_str(o, "user", ""));
        cJSON_Delete(o);
    }
    free(text);
    return code;
}

static kds_code run(const kds_args *args, kds_err *e)
{
    mailbox m = {.archive = args->operands[0],
                 .model = kds_args_flag(args, "model"),
                 .force = kds_args_flag(args, "force") != NULL};
    const char *prompt = kds_args_flag(args, "prompt");
    kds_code code = kds_ledger_open(&m.ledger, m.archive, KDS_LEDGER_READ, e);
    if (code == KDS_OK && prompt)
        code = show_prompt(&m, prompt, e);
    else if (code == KDS_OK) {
        code = kds_mailbox_open(&m.box, m.archive, false, e);
        if (code == KDS_NOT_FOUND)
            code = kds_fail(e, KDS_USAGE,
                            "%s has no mailbox; `kdasearch run TASK --proposer mailbox` makes one",
                            m.archive);
        else if (code == KDS_OK)
            code = args->operand_count > 1 ? import(&m, args, e) : list(&m, args->json, e);
    }
    kds_mailbox_close(m.box);
    kds_ledger_close(m.ledger);
    return code;
}

const kds_command kds_command_mailbox = {
    .name = "mailbox",
    .operands = "ARCHIVE [FILE|FOLDER...]",
    .min_operands = 1,
    .max_operands = KDS_OPERANDS_MAX,
    .summary = "prompts that wait for replies by mail; check replies and put them in",
    .help =
        "Lists the prompts of a campaign with --proposer mailbox that wait for a reply, and "
        "what lies in its\n"
        "mailbox/in. With files or folders, checks each reply and puts it in: plain text named "
        "<id>.md, or JSON\n"
        "{\"id\": ..., \"model\": ..., \"reply\": ...}. Works beside a running campaign, and on "
        "any machine that has a\n"
        "copy of the archive.",
    .flags = {{"prompt", 0, "ID", "print a prompt's text and nothing else"},
              {"model", 0, "NAME", "which model wrote the replies that do not say so"},
              {"force", 0, NULL,
               "put in replies that give no child too: they count as the model's failures"}},
    .run = run};
