/* What the scripted chat endpoint says: the bytes of an answer, and what it charges for them. */
#include "search/base/json.h"
#include "tests/tools/chat_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HUGE_TEXT (10 << 20)

/* Usage is a function of lengths, so that two accounts can be compared. */
static int64_t tokens_of(size_t len)
{
    return (int64_t)(len / 4 + 1);
}

static const char *finish_reason(const chat_step *step)
{
    return step->answer == CHAT_LENGTH           ? "length"
           : step->answer == CHAT_CONTENT_FILTER ? "content_filter"
                                                 : "stop";
}

/* Every body of JSON begins with the number of its request, so that no two are equal. */
static cJSON *make_root(uint64_t number)
{
    char id[32];
    cJSON *root = cJSON_CreateObject();
    snprintf(id, sizeof id, "chat-%llu", (unsigned long long)number);
    kds_json_add_str(root, "id", id);
    return root;
}

/* The message of the only choice. */
static cJSON *make_message(const chat_step *step, const char *text)
{
    cJSON *m = cJSON_CreateObject();
    bool none = step->answer == CHAT_NO_CONTENT || step->answer == CHAT_REFUSAL;
    kds_json_add_str(m, "role", "assistant");
    kds_json_add_str(m, "content", none ? NULL : text);
    if (step->answer == CHAT_REFUSAL)
        kds_json_add_str(m, "refusal", "I cannot help with that.");
    return m;
}

/* The same in the form of the messages API. */
static char *message_json(const chat_request *x, const chat_step *step, const char *text,
                          int64_t prompt_tokens, int64_t completion_tokens, const char *echo)
{
    cJSON *root = make_root(x->number), *block = cJSON_CreateObject();
    cJSON *content = cJSON_AddArrayToObject(root, "content");
    cJSON *usage = cJSON_AddObjectToObject(root, "usage");
    bool none = step->answer == CHAT_NO_CHOICES || step->answer == CHAT_NO_CONTENT ||
                step->answer == CHAT_REFUSAL;
    kds_json_add_str(root, "type", "message");
    kds_json_add_str(root, "role", "assistant");
    kds_json_add_str(block, "type", "text");
    kds_json_add_str(block, "text", text);
    if (none)
        cJSON_Delete(block);
    else
        cJSON_AddItemToArray(content, block);
    kds_json_add_str(root, "stop_reason",
                     step->answer == CHAT_LENGTH ? "max_tokens"
                     : step->answer == CHAT_REFUSAL || step->answer == CHAT_CONTENT_FILTER
                         ? "refusal"
                         : "end_turn");
    kds_json_add_int(usage, "input_tokens", prompt_tokens - 1);
    kds_json_add_int(usage, "cache_read_input_tokens", 1);
    kds_json_add_int(usage, "output_tokens", completion_tokens);
    if (echo)
        kds_json_add_str(root, "seen", echo);
    char *json = kds_json_print(root);
    cJSON_Delete(root);
    return json;
}

static char *completion_json(const chat_request *x, const chat_step *step, const char *text,
                             int64_t prompt_tokens, int64_t completion_tokens, const char *echo)
{
    cJSON *root = make_root(x->number), *choice = cJSON_CreateObject();
    cJSON *choices = cJSON_AddArrayToObject(root, "choices");
    cJSON *usage = step->answer == CHAT_NO_USAGE ? NULL : cJSON_AddObjectToObject(root, "usage");
    kds_json_add_str(root, "object", "chat.completion");
    if (step->answer == CHAT_NO_CHOICES) {
        cJSON_Delete(choice);
    } else {
        kds_json_add_int(choice, "index", 0);
        cJSON_AddItemToObject(choice, "message", make_message(step, text));
        kds_json_add_str(choice, "finish_reason", finish_reason(step));
        cJSON_AddItemToArray(choices, choice);
    }
    if (usage) {
        kds_json_add_int(usage, "prompt_tokens", prompt_tokens);
        kds_json_add_int(usage, "completion_tokens", completion_tokens);
        kds_json_add_int(usage, "total_tokens", prompt_tokens + completion_tokens);
    }
    if (echo)
        kds_json_add_str(root, "seen", echo);
    char *json = kds_json_print(root);
    cJSON_Delete(root);
    return json;
}

/* Appends `s` with every byte as a JSON escape, which a plain search does not find. */
static void add_escaped(kds_buf *b, const char *s)
{
    for (; *s; s++)
        kds_buf_printf(b, "\\u%04x", (unsigned)(unsigned char)*s);
}

static void add_text(kds_buf *out, const chat_request *x, const chat_step *step)
{
    chat_text(out, step, x->body, x->len, x->seed);
    if (step->answer == CHAT_LENGTH) {
        out->len /= 2;
        out->data[out->len] = '\0';
    } else if (step->answer == CHAT_BAD_UTF8) {
        kds_buf_puts(out, "\xff\xfe broken \xc3( bytes\n");
    } else if (step->answer == CHAT_ECHO_KEY) {
        kds_buf_printf(out, "\nYou sent: %s\n", x->authorization ? x->authorization : "nothing");
    } else if (step->answer == CHAT_HUGE) {
        int64_t bytes = step->bytes > 0 ? step->bytes : HUGE_TEXT;
        while ((int64_t)out->len < bytes)
            kds_buf_puts(out, "all work and no play makes a slow kernel, and that is that\n");
    }
}

/* The body that a model's answer has on the wire. */
static void make_body(kds_buf *out, const chat_request *x, const chat_step *step, int64_t *prompt,
                      int64_t *completion)
{
    kds_buf text;
    kds_buf_init(&text, 80u << 20);
    add_text(&text, x, step);
    *prompt = tokens_of(x->len);
    *completion = tokens_of(text.len);
    char *(*form)(const chat_request *, const chat_step *, const char *, int64_t, int64_t,
                  const char *) = x->messages ? message_json : completion_json;
    char *json = form(x, step, text.data, *prompt, *completion,
                      step->answer == CHAT_ECHO_KEY ? x->authorization : NULL);
    if (json)
        kds_buf_puts(out, json);
    if (step->answer == CHAT_MALFORMED)
        out->len = out->len * 2 / 3;
    if (step->answer == CHAT_ECHO_KEY && out->len > 0 && x->authorization) {
        out->len--;
        kds_buf_puts(out, ",\"hidden\":\"");
        add_escaped(out, x->authorization);
        kds_buf_puts(out, "\"}");
    }
    free(json);
    kds_buf_free(&text);
}

void chat_error_body(kds_buf *out, uint64_t number, int status, const char *message)
{
    cJSON *root = make_root(number), *error = cJSON_AddObjectToObject(root, "error");
    kds_json_add_str(error, "message", message);
    kds_json_add_str(error, "type", "scripted");
    kds_json_add_int(error, "code", status);
    char *json = kds_json_print(root);
    kds_buf_puts(out, json ? json : "{}");
    free(json);
    cJSON_Delete(root);
}

/* Answers that are an HTTP status other than 200; 0 if the step is none. */
static int status_body(kds_buf *out, const chat_request *x, const chat_step *step)
{
    char words[512];
    if (step->answer == CHAT_ECHO_KEY && step->status > 0) {
        snprintf(words, sizeof words, "Incorrect API key provided: %s",
                 x->authorization ? x->authorization : "none");
        chat_error_body(out, x->number, step->status, words);
        return step->status;
    }
    if (step->answer == CHAT_REDIRECT)
        return step->status > 0 ? step->status : 302;
    if (step->answer != CHAT_STATUS)
        return 0;
    if (step->text)
        kds_buf_puts(out, step->text);
    else
        chat_error_body(out, x->number, step->status, "as the script says");
    return step->status;
}

int chat_body(kds_buf *out, const chat_request *x, const chat_step *step, int64_t *prompt,
              int64_t *completion)
{
    if (step->answer == CHAT_CLOSE_BEFORE)
        return 0;
    if (step->answer == CHAT_HTML) {
        kds_buf_printf(out,
                       "<!DOCTYPE html>\n<html><head><title>Welcome</title></head>"
                       "<body>\x1b[31mIt works!<!-- %llu --></body></html>\n",
                       (unsigned long long)x->number);
        return 200;
    }
    int status = status_body(out, x, step);
    if (status > 0)
        return status;
    make_body(out, x, step, prompt, completion);
    return 200;
}
