/* What the files of the scaffold share; nobody else includes this. */
#ifndef KDS_ENGINE_SCAFFOLD_INTERNAL_H
#define KDS_ENGINE_SCAFFOLD_INTERNAL_H

#include "search/engine/kernel_signature.h"
#include "search/engine/scaffold.h"

#define KDS_GUESS_SHAPE 3

/* A task as far as it can be guessed. */
typedef struct kds_guess {
    kds_signature s;
    char name[64];     /* of the task */
    char elements[64]; /* a dim that no parameter has; "" if none is needed */
    int shape_count;
    const char *shape[KDS_GUESS_SHAPE]; /* dims whose product is taken for every buffer's size */
    bool has_plan;                      /* the source brings its own launches */
} kds_guess;

/* scaffold_guess.c */
KDS_MUST_USE kds_code kds_guess_make(kds_guess *g, const char *dir, const char *source, size_t len,
                                     const char *kernel, kds_err *e);
/* "in", "out" or "inout", and what should be confirmed about it. */
const char *kds_guess_role(const kds_param *p, const char **confirm);
/* Is the buffer taken for one vector along the last dim? */
bool kds_guess_is_vector(const kds_guess *g, const kds_param *p);
/* The place of a name among the dims of the shape; -1 if it is none of them. */
int kds_guess_shape_index(const kds_guess *g, const char *name);
/* "M * N" */
void kds_guess_product(const kds_guess *g, char *out, size_t size);

/* scaffold_text.c: the files. */
void kds_scaffold_task_json(kds_buf *out, const kds_guess *g);
void kds_scaffold_rows_json(kds_buf *out, const kds_guess *g, const cJSON *imported);
void kds_scaffold_mutations_json(kds_buf *out);
void kds_scaffold_card(kds_buf *out, const kds_guess *g);
void kds_scaffold_docs(kds_buf *out, const kds_guess *g);
void kds_scaffold_baseline(kds_buf *out, const kds_guess *g, const char *source, size_t len);

#endif
