/* Prompts and replies of the mailbox as bytes. A prompt's file is recorded before it is written and
 * never made again, so it holds nothing but what the record knows. A reply is hostile: its size is
 * capped before it is parsed, nothing in it names a file, and what is shown of it is escaped. */
#include "prompts/mail.h"
#include "search/base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define COUNT_MAX 1e12

static const char HOW[] =
    "Give the text of \"system\" (as the system message) and of \"user\" to a language model, in a "
    "new conversation. Save its whole answer, unchanged, in the archive's folder mailbox/in/, "
    "either as plain text in a file named <id>.md, or as JSON "
    "{\"id\": \"<id>\", \"model\": \"which model\", \"reply\": \"its answer\"} in any file that "
    "ends "
    "in .json. `kdasearch mailbox ARCHIVE FILE...` checks answers and puts them there. Prompts may "
    "be answered in any order, and not all have to be. `kdasearch resume ARCHIVE` takes the "
    "answers.";

static void make_id(char id[KDS_MAIL_ID], const kds_mail_prompt *p)
{
    char hex[KDS_ID_HEX];
    kds_id hash = {0, 0};
    kds_hasher *h = kds_hasher_create();
    if (h) {
        kds_hasher_add(h, p->system, strlen(p->system) + 1);
        kds_hasher_add(h, p->user, strlen(p->user) + 1);
        hash = kds_hasher_id(h);
        kds_hasher_free(h);
    }
    kds_id_format(hash, hex);
    snprintf(id, KDS_MAIL_ID, "r%06lld-%.8s", (long long)p->request, hex);
}

/* `text` made valid UTF-8 under `key`. */
static bool add_text(cJSON *o, const char *key, const char *text)
{
    kds_buf clean;
    size_t len = strlen(text);
    kds_buf_init(&clean, 3 * len + 1);
    kds_text_sanitize_utf8(&clean, text, len);
    bool ok = clean.bad == KDS_OK && kds_json_add_str(o, key, clean.data);
    kds_buf_free(&clean);
    return ok;
}

char *kds_mail_prompt_text(const kds_mail_prompt *p)
{
    char id[KDS_MAIL_ID];
    char *text = NULL;
    cJSON *o = cJSON_CreateObject();
    make_id(id, p);
    bool ok = o && kds_json_add_int(o, "kdasearch_prompt", FORMAT) &&
              kds_json_add_str(o, "id", id) && kds_json_add_str(o, "how_to_answer", HOW) &&
              kds_json_add_int(o, "decision", p->decision) &&
              kds_json_add_str(o, "operator", p->operator_name) &&
              kds_json_add_str(o, "task", p->task) && add_text(o, "device", p->device) &&
              kds_json_add_str(o, "model_hint", p->model && *p->model ? p->model : NULL) &&
              kds_json_add_int(o, "longest_answer_tokens", p->max_tokens) &&
              add_text(o, "system", p->system) && add_text(o, "user", p->user);
    if (ok)
        text = kds_json_print_pretty(o);
    cJSON_Delete(o);
    return text;
}

int64_t kds_mail_request_of(const char *id)
{
    char digits[20];
    int64_t request = -1;
    size_t n = id[0] == 'r' ? strspn(id + 1, "0123456789") : 0;
    if (n < 6 || n >= sizeof digits || id[n + 1] != '-' ||
        strspn(id + n + 2, "0123456789abcdef") != 8 || id[n + 10])
        return -1;
    memcpy(digits, id + 1, n);
    digits[n] = '\0';
    return kds_text_parse_i64(digits, &request) ? request : -1;
}

bool kds_mail_prompt_id(const char *text, size_t len, char id[KDS_MAIL_ID])
{
    cJSON *o = kds_json_parse_record(text, len);
    const char *said = kds_json_str(o, "id", "");
    bool ok = kds_json_int(o, "kdasearch_prompt", 0) == FORMAT && strlen(said) < KDS_MAIL_ID &&
              kds_mail_request_of(said) >= 0;
    if (ok)
        snprintf(id, KDS_MAIL_ID, "%s", said);
    cJSON_Delete(o);
    return ok;
}

static void KDS_PRINTF(2, 3) refuse(kds_mail_reply *out, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    kds_text_escape_into(out->problem, sizeof out->problem, text, strlen(text), false);
}

static bool is_blank(const char *s)
{
    return s[strspn(s, " \t\r\n\v\f")] == '\0';
}

static int64_t count_of(const cJSON *o, const char *key)
{
    double n = kds_json_num(o, key, -1);
    return n >= 0 && n <= COUNT_MAX ? (int64_t)n : -1;
}

/* The fields of a reply in JSON; false if the object is not of the form. */
static bool take_object(const cJSON *o, kds_buf *text, kds_mail_reply *out)
{
    const char *reply = kds_json_str(o, "reply", NULL), *model = kds_json_str(o, "model", "");
    const char *id = kds_json_str(o, "id", "");
    double cost = kds_json_num(o, "cost_usd", 0);
    if (!cJSON_IsObject(o) || !reply)
        return false;
    out->json = true;
    snprintf(out->id, sizeof out->id, "%s", strlen(id) < sizeof out->id ? id : "?");
    kds_text_escape_into(out->model, sizeof out->model, model, strlen(model), false);
    out->prompt_tokens = count_of(o, "prompt_tokens");
    out->completion_tokens = count_of(o, "completion_tokens");
    out->cost_usd = cost > 0 && cost <= 1e6 ? cost : 0;
    kds_buf_puts(text, reply);
    return true;
}

/* Whether the bytes may be read as text at all. */
static bool check_bytes(const char *raw, size_t len, kds_mail_reply *out)
{
    const char *nul = memchr(raw, '\0', len);
    if (len > KDS_MAIL_FILE_CAP)
        refuse(out, "%zu bytes; at most %u are read", len, KDS_MAIL_FILE_CAP);
    else if (nul)
        refuse(out, "a NUL byte at position %td: not a text", nul - raw + 1);
    else if (!kds_text_is_utf8(raw, len))
        refuse(out, "not UTF-8 from byte %zu on", kds_text_utf8_prefix(raw, len) + 1);
    return !out->problem[0];
}

kds_code kds_mail_read(const char *raw, size_t len, bool must_be_json, kds_buf *text,
                       kds_mail_reply *out, kds_err *e)
{
    kds_json_doc *doc = NULL;
    kds_err why = {0};
    memset(out, 0, sizeof *out);
    out->prompt_tokens = out->completion_tokens = -1;
    kds_buf_reset(text);
    if (!check_bytes(raw, len, out))
        return KDS_OK;
    size_t bom = len >= 3 && memcmp(raw, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    size_t first = bom + strspn(raw + bom, " \t\r\n");
    bool object = false;
    if (must_be_json || raw[first] == '{') {
        kds_code code = kds_json_parse(&doc, "the reply", raw + bom, len - bom, false, &why);
        object = code == KDS_OK && take_object(kds_json_root(doc), text, out);
        kds_json_free(doc);
        if (code == KDS_NO_MEMORY)
            return kds_fail(e, KDS_NO_MEMORY, "out of memory");
        if (must_be_json && code != KDS_OK)
            refuse(out, "not JSON: %s", why.message);
        else if (must_be_json && !object)
            refuse(out, "JSON without a text \"reply\"");
    }
    if (!object && !must_be_json)
        kds_buf_add(text, raw + bom, len - bom);
    if (text->bad == KDS_TOO_LARGE)
        refuse(out, "the answer is longer than %u bytes", KDS_REPLY_CAP);
    else if (text->bad != KDS_OK)
        return kds_buf_check(text, "a reply", e);
    else if (!out->problem[0] && is_blank(text->data))
        refuse(out, "the answer is empty");
    return KDS_OK;
}
