/* The proposer without a model. Whatever an operator draws is checked against what was proposed
 * before by its normal form, so that a campaign never pays twice for one text. Everything is a
 * function of the ask, the random stream and the answers of `known`. */
#include "prompts/builtin.h"
#include "prompts/builtin_tune.h"
#include "prompts/rewrite.h"
#include <string.h>

#define ATTEMPTS 64
#define HYPOTHESIS_CAP 4096

bool kds_child_is_new(const kds_child *c, const char *norm, size_t len)
{
    return !c->known || !c->known(c->user, kds_id_of(norm, len));
}

/* True if this very text has been tried before; what was not new then is not new now. */
static bool tried(kds_child *c)
{
    kds_id id = kds_id_of(c->candidate.data, c->candidate.len);
    for (int i = 0; i < c->tried_count; i++)
        if (kds_id_equal(c->tried[i], id))
            return true;
    if (c->tried_count < KDS_CHILD_TRIED)
        c->tried[c->tried_count++] = id;
    return false;
}

kds_code kds_child_try(kds_child *c, kds_err *e)
{
    kds_code code = KDS_OK;
    bool fits = c->candidate.bad == KDS_OK && c->words.bad == KDS_OK;
    bool same = fits && c->candidate.len == c->parent_len &&
                memcmp(c->candidate.data, c->parent, c->parent_len) == 0;
    if (c->candidate.bad == KDS_NO_MEMORY || c->words.bad == KDS_NO_MEMORY)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (fits && !same && !tried(c)) {
        kds_buf_reset(&c->norm);
        kds_lex_normalize(&c->norm, c->candidate.data, c->candidate.len);
        code = kds_buf_check(&c->norm, "normal form", e);
        if (code)
            return code;
        if (kds_child_is_new(c, c->norm.data, c->norm.len)) {
            kds_buf_add(c->out->source, c->candidate.data, c->candidate.len);
            kds_buf_add(c->out->hypothesis, c->words.data, c->words.len);
            if (c->out->normal)
                kds_buf_add(c->out->normal, c->norm.data, c->norm.len);
            code = kds_buf_check(c->out->source, "source", e);
            if (!code)
                code = kds_buf_check(c->out->hypothesis, "hypothesis", e);
            if (!code && c->out->normal)
                code = kds_buf_check(c->out->normal, "normal form", e);
            c->made = code == KDS_OK;
        }
    }
    kds_buf_reset(&c->candidate);
    kds_buf_reset(&c->words);
    return code;
}

static int rewrite_count(void)
{
    int n = 0;
    while (kds_rewrites[n].name)
        n++;
    return n;
}

const char *kds_builtin_rewrite_name(int i)
{
    return i >= 0 && i < rewrite_count() ? kds_rewrites[i].name : NULL;
}

const char *kds_builtin_rewrite_text(int i)
{
    return i >= 0 && i < rewrite_count() ? kds_rewrites[i].text : NULL;
}

/* Goes round the catalogue in a drawn order; a rewrite that finds no place drops out. */
static kds_code propose_rewrite(kds_random *random, kds_child *c, kds_err *e)
{
    enum { MOST = 64 };
    kds_rewriter r;
    int order[MOST], n = rewrite_count();
    kds_code code = kds_rewriter_init(&r, c->parent, c->parent_len, e);
    if (code)
        return code;
    for (int i = 0; i < n; i++) {
        int k = (int)kds_random_below(random, (uint64_t)i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (int attempt = 0, at = 0; attempt < ATTEMPTS && n > 0 && !c->made && !code; attempt++) {
        const kds_rewrite *w = &kds_rewrites[order[at % n]];
        bool applied = false;
        kds_buf_printf(&c->words, "%s: ", w->name);
        code = kds_rewriter_apply(&r, w, random, &c->candidate, &c->words, &applied, e);
        if (!code && applied) {
            code = kds_child_try(c, e);
            at++;
            continue;
        }
        kds_buf_reset(&c->candidate);
        kds_buf_reset(&c->words);
        memmove(&order[at % n], &order[at % n + 1], (size_t)(n - 1 - at % n) * sizeof *order);
        at = --n > 0 ? at % n : 0;
    }
    kds_rewriter_free(&r);
    return code;
}

/* Opens a child of the ask's parent. */
static kds_code start_child(kds_child *c, const kds_ask *ask, kds_builtin_known *known, void *user,
                            const kds_proposal *out, kds_err *e)
{
    *c = (kds_child){.parent = ask->parent.source,
                     .parent_len = ask->parent.source_len,
                     .known = known,
                     .user = user,
                     .out = out};
    kds_buf_init(&c->candidate, KDS_SOURCE_CAP);
    kds_buf_init(&c->words, HYPOTHESIS_CAP);
    kds_buf_init(&c->norm, 2 * KDS_SOURCE_CAP + 64);
    if (!ask->parent.source || ask->parent.source_len > KDS_SOURCE_CAP)
        return kds_fail(e, KDS_TOO_LARGE, "the parent has no source of at most %u bytes",
                        KDS_SOURCE_CAP);
    return KDS_OK;
}

static void end_child(kds_child *c)
{
    kds_buf_free(&c->candidate);
    kds_buf_free(&c->words);
    kds_buf_free(&c->norm);
}

kds_code kds_builtin_propose(const kds_ask *ask, kds_random *random, kds_builtin_known *known,
                             void *user, const kds_proposal *out, bool *made, kds_err *e)
{
    kds_child c;
    kds_code code = start_child(&c, ask, known, user, out, e);
    if (code)
        ;
    else if (strcmp(ask->operator_name, "tune") == 0)
        code = kds_builtin_tune(ask, random, &c, e);
    else if (strcmp(ask->operator_name, "crossover") == 0)
        code = kds_builtin_crossover(ask, random, &c, e);
    else if (strcmp(ask->operator_name, "rewrite") == 0)
        code = propose_rewrite(random, &c, e);
    else
        code = kds_fail(e, KDS_USAGE,
                        "the built-in proposer has no operator '%s'; there are tune, crossover and "
                        "rewrite",
                        ask->operator_name);
    if (!code)
        *made = c.made;
    end_child(&c);
    return code;
}

kds_code kds_builtin_sweep(const kds_ask *ask, int spread, kds_random *random,
                           kds_builtin_known *known, void *user, const kds_proposal *out,
                           bool *made, kds_err *e)
{
    kds_child c;
    kds_code code = start_child(&c, ask, known, user, out, e);
    if (!code)
        code = spread ? kds_builtin_spread(ask, spread, random, &c, e)
                      : kds_builtin_neighbour(ask, random, &c, e);
    if (!code)
        *made = c.made;
    end_child(&c);
    return code;
}
