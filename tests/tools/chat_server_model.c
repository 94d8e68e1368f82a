/* A model that is not one: from the source in a prompt it makes a child with the rewrites of the
 * built-in proposer and with tunables of its own, and now and then it does what models do as well:
 * it says nothing of use, slips, repeats itself. Equal prompts get equal texts. */
#include "prompts/builtin.h"
#include "search/base/lex.h"
#include "tests/tools/chat_server.h"

#include <string.h>

#define SLIP "__device__ int slip = no_such_name;\n"
#define RIGHT "threadIdx.x;"
#define WRONG "threadIdx.x + 1;"
#define EDITED_LINES 6

/* Appends `text` with the first `from` as `to`; false if it is not there. */
static bool add_replaced(kds_buf *out, const kds_buf *text, const char *from, const char *to)
{
    const char *at = strstr(text->data, from);
    if (!at)
        return false;
    kds_buf_add(out, text->data, (size_t)(at - text->data));
    kds_buf_puts(out, to);
    kds_buf_puts(out, at + strlen(from));
    return true;
}

static void copy(kds_buf *out, const kds_buf *from)
{
    kds_buf_reset(out);
    kds_buf_add(out, from->data, from->len);
}

/* Puts another value in force for each tunable: of a block's size, a switch, or a count. */
static void set_tunables(kds_buf *child, kds_random *r)
{
    kds_tunable tunables[KDS_TUNABLES];
    int count = 0;
    kds_buf out;
    kds_buf_init(&out, KDS_SOURCE_CAP);
    if (kds_tunables_find(tunables, &count, child->data, child->len, NULL) != KDS_OK)
        count = 0;
    for (int i = 0; i < count; i++) {
        kds_tunable *t = &tunables[i];
        int64_t most = 0;
        for (int k = 0; k < t->count; k++)
            most = t->values[k] > most ? t->values[k] : most;
        int64_t value = most >= 32  ? 32 * (1 + (int64_t)kds_random_below(r, 32))
                        : most <= 1 ? (int64_t)kds_random_below(r, 2)
                                    : 1 + (int64_t)kds_random_below(r, 16);
        int64_t other = t->values[0];
        t->count = value == other ? 1 : 2;
        t->values[0] = value;
        t->values[1] = other;
    }
    if (count > 0 &&
        kds_tunables_write(&out, child->data, child->len, tunables, count, NULL) == KDS_OK)
        copy(child, &out);
    kds_buf_free(&out);
}

static void rewrite(kds_buf *child, kds_random *r)
{
    kds_buf out, words;
    bool made = false;
    kds_buf_init(&out, KDS_SOURCE_CAP);
    kds_buf_init(&words, 4096);
    const kds_ask ask = {.operator_name = "rewrite",
                         .parent = {.source = child->data, .source_len = child->len}};
    if (kds_builtin_propose(&ask, r, NULL, NULL, &(kds_proposal){&out, &words, NULL}, &made,
                            NULL) == KDS_OK &&
        made)
        copy(child, &out);
    kds_buf_free(&out);
    kds_buf_free(&words);
}

/* Takes back what went wrong before; false if nothing did. */
static bool mend(kds_buf *child)
{
    kds_buf out;
    kds_buf_init(&out, KDS_SOURCE_CAP);
    bool mended = add_replaced(&out, child, SLIP, "") || add_replaced(&out, child, WRONG, RIGHT);
    if (mended)
        copy(child, &out);
    kds_buf_free(&out);
    return mended;
}

/* The next line of a text, with its newline. */
static size_t line_length(const char *at)
{
    const char *end = strchr(at, '\n');
    return end ? (size_t)(end - at) + 1 : strlen(at);
}

/* Edits line by line, where the child has as many lines as the parent and few of them differ. */
static bool add_edits(kds_buf *out, const char *parent, const char *child)
{
    size_t start = out->len;
    int edits = 0;
    while (*parent && *child) {
        size_t old_len = line_length(parent), new_len = line_length(child);
        if (old_len != new_len || memcmp(parent, child, old_len) != 0) {
            edits++;
            kds_buf_printf(out, "<<<<<<< SEARCH\n%.*s=======\n%.*s>>>>>>> REPLACE\n\n",
                           (int)old_len, parent, (int)new_len, child);
        }
        parent += old_len;
        child += new_len;
    }
    if (!*parent && !*child && edits > 0 && edits <= EDITED_LINES)
        return true;
    out->len = start;
    out->data[start] = '\0';
    return false;
}

static void add_source(kds_buf *out, const kds_buf *child)
{
    kds_buf_puts(out, "```cuda\n");
    kds_buf_add(out, child->data, child->len);
    kds_buf_puts(out, "```\n");
}

/* What is of no use; false if it is to be a real edit after all. */
static bool add_useless(kds_buf *out, const kds_buf *parent, double draw, uint64_t hash)
{
    kds_buf child;
    bool done = true;
    kds_buf_init(&child, KDS_SOURCE_CAP);
    if (draw < 0.03) {
        kds_buf_puts(out, "The kernel is bound by memory; nothing can be done about that.\n");
    } else if (draw < 0.06) {
        kds_buf_printf(out, "<<<<<<< SEARCH\nint not_there_%016llx;\n=======\n>>>>>>> REPLACE\n",
                       (unsigned long long)hash);
    } else if (draw < 0.08) {
        add_source(out, parent);
    } else if (draw < 0.10) { /* a duplicate */
        kds_buf_printf(&child, "// as before, %016llx\n%s", (unsigned long long)hash, parent->data);
        add_source(out, &child);
    } else if (draw < 0.13) { /* does not compile */
        kds_buf_printf(&child, "%s%s", parent->data, SLIP);
        add_source(out, &child);
    } else if (draw < 0.16 && add_replaced(&child, parent, RIGHT, WRONG)) {
        add_source(out, &child);
    } else {
        done = false;
    }
    kds_buf_free(&child);
    return done;
}

void chat_model_text(kds_buf *out, const char *source, size_t len, uint64_t seed, uint64_t hash)
{
    kds_random r = kds_random_stream(seed, hash, "model");
    kds_buf parent, child;
    kds_buf_init(&parent, KDS_SOURCE_CAP);
    kds_buf_init(&child, KDS_SOURCE_CAP);
    kds_buf_add(&parent, source, len);
    kds_buf_add(&child, source, len);
    kds_buf_printf(out,
                   "Hypothesis: more loads in flight hide more of the latency (%08llx).\n"
                   "Prediction: fewer stalls, 1.05x\n\n",
                   (unsigned long long)(hash >> 32));
    double draw = kds_random_unit(&r);
    bool mended = mend(&child);
    if (mended || !add_useless(out, &parent, draw, hash)) {
        if (!mended && kds_random_below(&r, 5) > 0)
            set_tunables(&child, &r);
        for (uint64_t n = mended ? 0 : kds_random_below(&r, 3); n > 0; n--)
            rewrite(&child, &r);
        if (!add_edits(out, parent.data, child.data))
            add_source(out, &child);
    }
    kds_buf_free(&parent);
    kds_buf_free(&child);
}
