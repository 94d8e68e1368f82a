/* What the record knows of prompts that went out by mail. */
#include "search/engine/mailbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS                                                                                    \
    "SELECT c.request, c.decision, c.time, c.prompt, c.reply, c.outcome, d.operator, d.parent, "   \
    "d.commit_seq, (SELECT max(request) FROM calls WHERE decision = c.decision) AS last "          \
    "FROM calls c JOIN decisions d ON d.decision = c.decision "

const char *kds_mail_state_text(kds_mail_state s)
{
    static const char *const texts[] = {"no prompt of this campaign has that id",
                                        "waits for its reply", "the prompt is answered already",
                                        "the prompt's decision is over"};
    return texts[s];
}

/* Fills an entry from a row; the state is UNKNOWN if its prompt is not one of the mailbox. */
static kds_code read_entry(kds_ledger *l, const cJSON *row, kds_mail_entry *out, kds_err *e)
{
    char *text = NULL;
    size_t len = 0;
    *out = (kds_mail_entry){.state = KDS_MAIL_UNKNOWN,
                            .request = kds_json_int(row, "request", -1),
                            .decision = kds_json_int(row, "decision", -1),
                            .time_ms = kds_json_int(row, "time", 0)};
    snprintf(out->operator_name, sizeof out->operator_name, "%s",
             kds_json_str(row, "operator", ""));
    (void)kds_json_id(row, "parent", &out->parent);
    (void)kds_json_id(row, "reply", &out->reply);
    if (!kds_json_id(row, "prompt", &out->prompt))
        return KDS_OK;
    kds_code code = kds_ledger_get(l, out->prompt, &text, &len, e);
    if (code != KDS_OK || !kds_mail_prompt_id(text, len, out->id))
        goto out;
    bool answered = kds_json_str(row, "outcome", NULL) != NULL;
    bool over = cJSON_IsNumber(kds_json_at(row, "commit_seq")) ||
                kds_json_int(row, "last", -1) != out->request;
    out->state = answered ? KDS_MAIL_ANSWERED : over ? KDS_MAIL_CLOSED : KDS_MAIL_PENDING;
out:
    free(text);
    return code;
}

static kds_code keep_row(void *user, const cJSON *row, kds_err *e)
{
    cJSON *copy = cJSON_Duplicate(row, true);
    if (!copy || !cJSON_AddItemToArray(user, copy)) {
        cJSON_Delete(copy);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    return KDS_OK;
}

kds_code kds_mail_find(kds_ledger *l, const char *id, kds_mail_entry *out, kds_err *e)
{
    kds_mail_entry entry;
    int64_t request = kds_mail_request_of(id);
    *out = (kds_mail_entry){.state = KDS_MAIL_UNKNOWN, .request = request};
    if (request < 0)
        return KDS_OK;
    cJSON *args = cJSON_CreateArray(), *rows = cJSON_CreateArray();
    cJSON_AddItemToArray(args, cJSON_CreateNumber((double)request));
    kds_code code = kds_ledger_select(l, COLUMNS "WHERE c.request = ?1", args, keep_row, rows, e);
    if (code == KDS_OK && cJSON_GetArraySize(rows) == 1)
        code = read_entry(l, rows->child, &entry, e);
    if (code == KDS_OK && cJSON_GetArraySize(rows) == 1 && strcmp(entry.id, id) == 0)
        *out = entry;
    cJSON_Delete(args);
    cJSON_Delete(rows);
    return code;
}

kds_code kds_mail_each_pending(kds_ledger *l, kds_mail_entry_fn *fn, void *user, kds_err *e)
{
    kds_mail_entry entry;
    cJSON *rows = cJSON_CreateArray();
    const cJSON *row = NULL;
    kds_code code = kds_ledger_select(l,
                                      COLUMNS "WHERE c.outcome IS NULL AND d.commit_seq IS NULL "
                                              "ORDER BY c.request",
                                      NULL, keep_row, rows, e);
    cJSON_ArrayForEach(row, rows)
    {
        if (code == KDS_OK)
            code = read_entry(l, row, &entry, e);
        if (code == KDS_OK && entry.state == KDS_MAIL_PENDING)
            code = fn(user, &entry, e);
    }
    cJSON_Delete(rows);
    return code;
}
