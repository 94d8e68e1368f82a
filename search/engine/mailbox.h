/* The folder mailbox/ of an archive: out/ holds a file for each prompt that waits, in/ takes
 * replies, in/done/ keeps those that were taken and in/refused/ those that could not be. Nothing
 * here is the truth: prompts and replies are in the ledger, and what is lost here is made again
 * from it. */
#ifndef KDS_ENGINE_MAILBOX_H
#define KDS_ENGINE_MAILBOX_H

#include "archive/ledger.h"
#include "prompts/mail.h"

typedef struct kds_mailbox kds_mailbox;

/* Opens the mailbox of an archive; `make` makes its folders. KDS_NOT_FOUND: there is none;
 * KDS_INVALID: a part of it is no folder (a link, say). */
KDS_MUST_USE kds_code kds_mailbox_open(kds_mailbox **out, const char *archive, bool make,
                                       kds_err *e);
void kds_mailbox_close(kds_mailbox *m);
const char *kds_mailbox_path(const kds_mailbox *m); /* "night/mailbox" */

/* Puts a prompt's text (kds_mail_prompt_text) into out/, whole or not at all. */
KDS_MUST_USE kds_code kds_mailbox_post(kds_mailbox *m, const char *text, size_t len, kds_err *e);
/* Takes a prompt out of out/; nothing if it is not there. */
void kds_mailbox_unpost(kds_mailbox *m, const char *id);
/* Takes the prompts out of out/ for which `keep` is false; other files are left alone. */
typedef bool kds_mailbox_keep_fn(void *user, const char *id);
KDS_MUST_USE kds_code kds_mailbox_tidy(kds_mailbox *m, kds_mailbox_keep_fn *keep, void *user,
                                       kds_err *e);

/* A reply's file, read. Borrowed. */
typedef struct kds_mail_file {
    const char *name;     /* in in/, or the path that was given */
    char id[KDS_MAIL_ID]; /* "" if neither name nor content tells */
    const char *raw;
    size_t len;
    const kds_mail_reply *reply;
    const char *text; /* the model's answer */
    size_t text_len;
    bool fresh;        /* may still be being written: changed less than two seconds ago, and not a
                          whole JSON */
    char problem[400]; /* why it cannot be taken; "" if it can; safe to show */
    uint64_t inode, size;
    int64_t changed_ns;
} kds_mail_file;
typedef kds_code kds_mail_file_fn(void *user, const kds_mail_file *f, kds_err *e);

/* Calls fn for every file of in/, by name. Hidden files, names that end in .part, .tmp or ~, and
 * folders are passed over. Links are not followed, and nothing but plain files is opened. */
KDS_MUST_USE kds_code kds_mailbox_each(kds_mailbox *m, kds_mail_file_fn *fn, void *user,
                                       kds_err *e);
/* The same for one file anywhere. */
KDS_MUST_USE kds_code kds_mail_file_read(const char *path, kds_mail_file_fn *fn, void *user,
                                         kds_err *e);
/* Moves a file of in/ to in/done/, unless it has changed since it was read. */
KDS_MUST_USE kds_code kds_mailbox_done(kds_mailbox *m, const kds_mail_file *f, kds_err *e);
/* Moves a file of in/ to in/refused/, with the reason in a text beside it. */
KDS_MUST_USE kds_code kds_mailbox_refuse(kds_mailbox *m, const kds_mail_file *f, const char *why,
                                         kds_err *e);
/* Puts a reply into in/<id>.json, whole or not at all. */
KDS_MUST_USE kds_code kds_mailbox_put(kds_mailbox *m, const char *id, const char *model,
                                      const char *text, size_t len, kds_err *e);

/* What the record says of an id. */
typedef enum kds_mail_state {
    KDS_MAIL_UNKNOWN, /* no prompt of this campaign */
    KDS_MAIL_PENDING, /* waits for its reply */
    KDS_MAIL_ANSWERED,
    KDS_MAIL_CLOSED /* never answered, and no longer wanted */
} kds_mail_state;
typedef struct kds_mail_entry {
    kds_mail_state state;
    char id[KDS_MAIL_ID];
    int64_t request, decision, time_ms;
    char operator_name[24];
    kds_id prompt, parent;
    kds_id reply; /* answered: the recorded bytes */
} kds_mail_entry;
KDS_MUST_USE kds_code kds_mail_find(kds_ledger *l, const char *id, kds_mail_entry *out, kds_err *e);
/* Every prompt that waits, oldest first. */
typedef kds_code kds_mail_entry_fn(void *user, const kds_mail_entry *entry, kds_err *e);
KDS_MUST_USE kds_code kds_mail_each_pending(kds_ledger *l, kds_mail_entry_fn *fn, void *user,
                                            kds_err *e);
/* What to say of a state that is not pending. */
const char *kds_mail_state_text(kds_mail_state s);

#endif
