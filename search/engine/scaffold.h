/* A task folder made from a kernel: what the signature says is taken over, what it cannot say is
 * guessed, and every guess stands beside a comment that asks for it to be confirmed. */
#ifndef KDS_ENGINE_SCAFFOLD_H
#define KDS_ENGINE_SCAFFOLD_H

#include "search/base/json.h"

typedef struct kds_scaffold_options {
    const char *dir;       /* to be made; it must not exist, or be empty */
    const char *source;    /* path of the kernel's file */
    const char *kernel;    /* its name; NULL: the first one */
    const char *rows_path; /* rows to take over (import_rows.h); NULL: examples */
} kds_scaffold_options;

/* Writes the folder and loads it as a task, so that what is left behind is one; on failure what was
 * written is removed again. *report, owned by the caller: dir, kernel, line, files[], params[]
 * {name, type, taken_as, confirm}, notes[], and with rows `rows` and `skipped` (import_rows.h).
 * KDS_USAGE: the folder holds something; KDS_INVALID: no task can be made of the kernel or rows. */
KDS_MUST_USE kds_code kds_scaffold_write(const kds_scaffold_options *o, cJSON **report, kds_err *e);

#endif
