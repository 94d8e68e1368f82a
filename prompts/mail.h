/* The mailbox's two kinds of texts: a prompt as a self-contained file that can be carried to
 * wherever a model is, and the reply that comes back, as JSON or as plain Markdown. Pure functions
 * of bytes; folders are search/engine/mailbox.h. */
#ifndef KDS_PROMPTS_MAIL_H
#define KDS_PROMPTS_MAIL_H

#include "search/base/json.h"

#define KDS_MAIL_ID 40               /* room for "r000012-3fa2b1c9" and its NUL */
#define KDS_MAIL_FILE_CAP (4u << 20) /* a reply as a file: 1 MiB of text, escaped as JSON */

/* What a prompt's file says. Borrowed. */
typedef struct kds_mail_prompt {
    int64_t request, decision;
    const char *operator_name, *task, *device;
    const char *model; /* a hint; may be NULL */
    int64_t max_tokens;
    const char *system, *user;
} kds_mail_prompt;

/* The file's text, owned by the caller; NULL if out of memory. Its "id" names the request and the
 * texts, so that a reply of another campaign, or to another prompt, is not mistaken for one of this
 * one: "r<request>-<8 digits of the texts' hash>". */
char *kds_mail_prompt_text(const kds_mail_prompt *p);
/* The id of a prompt's text (kds_mail_prompt_text); false if it is not one. */
bool kds_mail_prompt_id(const char *text, size_t len, char id[KDS_MAIL_ID]);
/* The request that an id names; -1 if it has not the form of an id. */
int64_t kds_mail_request_of(const char *id);

/* A reply as read. */
typedef struct kds_mail_reply {
    bool json;            /* an object with "reply"; else the bytes are the reply */
    char id[KDS_MAIL_ID]; /* JSON: as it says; "" if it does not */
    char model[64];       /* JSON: as it says, escaped; "" if it does not */
    int64_t prompt_tokens, completion_tokens; /* -1: not said */
    double cost_usd;                          /* 0: not said */
    char problem[300];                        /* "": usable; else one line for people, escaped */
} kds_mail_reply;

/* Reads a reply's bytes (NUL-terminated beyond `len`); `text` (initialised by the caller, emptied
 * first) gets the model's answer. `must_be_json`: the file's name says so. The answer is in
 * problem: too large, a NUL byte, not UTF-8, not the JSON expected, empty. Without `must_be_json`
 * an object that is not of the form is a plain reply. The same bytes always read the same, so that
 * a record can be replayed. KDS_OK whatever the bytes are; errors are ours only. */
KDS_MUST_USE kds_code kds_mail_read(const char *raw, size_t len, bool must_be_json, kds_buf *text,
                                    kds_mail_reply *out, kds_err *e);

#endif
