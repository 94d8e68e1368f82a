/* The catalogue and what its rewrites share: the token array of a source, brackets, kernels,
 * directives, and the assembly of a child from edits. Rewrites only ever see tokens, so comments
 * and literals are never touched. */
#include "prompts/rewrite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const kds_rewrite kds_rewrites[] = {
    {"block_size", "double or halve a literal block size of a kernel that asks blockDim",
     kds_rewrite_block_size},
    {"launch_bounds", "add or change __launch_bounds__: another balance of registers and occupancy",
     kds_rewrite_launch_bounds},
    {"unroll", "add, change or remove the unroll pragma of a loop", kds_rewrite_unroll},
    {"restrict", "promise that the pointers of a kernel do not alias", kds_rewrite_restrict},
    {"load_hint", "read a global element through __ldg, __ldcs or __ldcg", kds_rewrite_load_hint},
    {"store_hint", "write a global element through __stcs or __stcg", kds_rewrite_store_hint},
    {"cache_hint", "change or drop the cache hint of a load or store", kds_rewrite_cache_hint},
    {"extend_tunable", "try a neighbouring power of two that a tunable does not list yet",
     kds_rewrite_extend_tunable},
    {"intrinsic", "exchange a library function and its fast intrinsic", kds_rewrite_intrinsic},
    {"rsqrt", "exchange 1 / sqrtf(x) and rsqrtf(x)", kds_rewrite_rsqrt},
    {"inline", "exchange __forceinline__ and __noinline__", kds_rewrite_inline},
    {"constant", "double or halve a constant that sizes an array", kds_rewrite_constant},
    {NULL, NULL, NULL},
};

size_t kds_token_end(kds_token t)
{
    return t.offset + t.len;
}

kds_code kds_rewriter_init(kds_rewriter *r, const char *text, size_t len, kds_err *e)
{
    kds_lexer x;
    kds_token t;
    int room = 0;
    *r = (kds_rewriter){0};
    kds_lexer_init(&r->lexer, text, len);
    kds_lexer_init(&x, text, len);
    do {
        t = kds_lexer_next(&x);
        if (t.kind == KDS_TOKEN_COMMENT)
            continue;
        if (r->count == room) {
            room = room ? room * 2 : 1024;
            kds_token *moved = realloc(r->tokens, (size_t)room * sizeof *moved);
            if (!moved) {
                kds_rewriter_free(r);
                return kds_fail(e, KDS_NO_MEMORY, "out of memory");
            }
            r->tokens = moved;
        }
        r->tokens[r->count++] = t;
    } while (t.kind != KDS_TOKEN_END);
    r->count--;
    return KDS_OK;
}

void kds_rewriter_free(kds_rewriter *r)
{
    free(r->tokens);
    r->tokens = NULL;
    r->count = 0;
}

static int by_offset(const void *a, const void *b)
{
    const kds_edit *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

kds_code kds_rewriter_apply(kds_rewriter *r, const kds_rewrite *rewrite, kds_random *random,
                            kds_buf *out, kds_buf *hypothesis, bool *made, kds_err *e)
{
    size_t at = 0;
    r->random = random;
    r->hypothesis = hypothesis;
    r->edit_count = 0;
    r->bad = false;
    *made = rewrite->apply(r) && r->edit_count > 0 && !r->bad;
    if (!*made)
        return KDS_OK;
    qsort(r->edits, (size_t)r->edit_count, sizeof *r->edits, by_offset);
    for (int i = 0; i < r->edit_count; i++) {
        const kds_edit *edit = &r->edits[i];
        if (edit->offset < at) { /* overlapping edits would be our mistake; make nothing of them */
            *made = false;
            return KDS_OK;
        }
        kds_buf_add(out, r->lexer.text + at, edit->offset - at);
        kds_buf_puts(out, edit->text);
        at = edit->offset + edit->len;
    }
    kds_buf_add(out, r->lexer.text + at, r->lexer.len - at);
    if (out->bad == KDS_TOO_LARGE) {
        *made = false;
        return KDS_OK;
    }
    return kds_buf_check(out, "source", e);
}

bool kds_rewriter_is(const kds_rewriter *r, int i, const char *s)
{
    return i >= 0 && i < r->count && kds_token_is(&r->lexer, r->tokens[i], s);
}

bool kds_rewriter_in(const kds_rewriter *r, int i, const char *const *names)
{
    for (; *names; names++) {
        if (kds_rewriter_is(r, i, *names))
            return true;
    }
    return false;
}

int kds_rewriter_close(const kds_rewriter *r, int i)
{
    static const char *const openers[] = {"(", "[", "{", NULL};
    static const char *const closers[] = {")", "]", "}", NULL};
    int depth = 0;
    for (; i < r->count; i++) {
        if (r->tokens[i].kind != KDS_TOKEN_PUNCT)
            continue;
        if (kds_rewriter_in(r, i, openers))
            depth++;
        else if (kds_rewriter_in(r, i, closers) && --depth == 0)
            return i;
    }
    return -1;
}

void kds_rewriter_edit(kds_rewriter *r, size_t offset, size_t len, const char *fmt, ...)
{
    va_list ap;
    if (r->edit_count == KDS_REWRITE_EDITS) {
        r->bad = true;
        return;
    }
    kds_edit *edit = &r->edits[r->edit_count++];
    edit->offset = offset;
    edit->len = len;
    va_start(ap, fmt);
    int n = vsnprintf(edit->text, sizeof edit->text, fmt, ap);
    va_end(ap);
    r->bad = r->bad || n < 0 || (size_t)n >= sizeof edit->text;
}

int kds_rewriter_pick(kds_rewriter *r, int n)
{
    return (int)kds_random_below(r->random, (uint64_t)n);
}

int64_t kds_rewriter_integer(const kds_rewriter *r, kds_token t)
{
    const char *s = r->lexer.text + t.offset;
    int64_t value = 0;
    size_t i = 0;
    if (t.kind != KDS_TOKEN_NUMBER || (s[0] == '0' && t.len > 1))
        return -1;
    for (; i < t.len && s[i] >= '0' && s[i] <= '9'; i++) {
        value = value * 10 + (s[i] - '0');
        if (value > INT32_MAX)
            return -1;
    }
    if (i < t.len && (s[i] == 'u' || s[i] == 'U'))
        i++;
    return i == t.len ? value : -1;
}

int kds_rewriter_directive(const kds_rewriter *r, kds_token directive,
                           kds_token out[KDS_REWRITE_DIRECTIVE])
{
    kds_lexer x = r->lexer;
    int count = 0;
    x.at = directive.offset;
    x.len = kds_token_end(directive);
    x.line = directive.line;
    x.line_start = false;
    while (count < KDS_REWRITE_DIRECTIVE) {
        kds_token t = kds_lexer_next(&x);
        x.line_start = false; /* a comment may have reached the next line */
        if (t.kind == KDS_TOKEN_END)
            break;
        if (t.kind != KDS_TOKEN_COMMENT)
            out[count++] = t;
    }
    return count;
}

bool kds_rewriter_starts(const kds_rewriter *r, const kds_token *tokens, int count,
                         const char *const *words)
{
    if (count == 0 || !kds_token_is(&r->lexer, tokens[0], "#"))
        return false;
    for (int i = 1; *words; words++, i++) {
        if (i >= count || !kds_token_is(&r->lexer, tokens[i], *words))
            return false;
    }
    return true;
}

/* Reads the function that the __global__ at `i` starts. False if it is only declared. */
static bool read_kernel(const kds_rewriter *r, int i, kds_kernel_site *k)
{
    static const char *const attributes[] = {
        "__launch_bounds__", "__cluster_dims__", "__maxnreg__", "__block_size__",
        "__attribute__",     "__declspec",       "alignas",     NULL};
    *k = (kds_kernel_site){.global = i, .bounds = -1};
    for (i++; i < r->count; i++) {
        if (kds_rewriter_is(r, i, ";") || kds_rewriter_is(r, i, "{"))
            return false;
        if (kds_rewriter_in(r, i, attributes) && kds_rewriter_is(r, i + 1, "(")) {
            int end = kds_rewriter_close(r, i + 1);
            if (end < 0)
                return false;
            if (kds_rewriter_is(r, i, "__launch_bounds__")) {
                k->bounds = i;
                k->bounds_open = i + 1;
                k->bounds_end = end;
            }
            i = end;
        } else if (kds_rewriter_is(r, i, "(")) {
            break;
        }
    }
    k->name = i - 1;
    k->open = i;
    k->close = kds_rewriter_close(r, i);
    k->body = k->close + 1;
    if (k->close < 0 || !kds_rewriter_is(r, k->body, "{") ||
        r->tokens[k->name].kind != KDS_TOKEN_IDENTIFIER)
        return false;
    k->body_end = kds_rewriter_close(r, k->body);
    return k->body_end > 0;
}

int kds_rewriter_kernels(const kds_rewriter *r, kds_kernel_site out[KDS_REWRITE_KERNELS])
{
    int count = 0;
    for (int i = 0; i < r->count && count < KDS_REWRITE_KERNELS; i++) {
        if (!kds_rewriter_is(r, i, "__global__") || !read_kernel(r, i, &out[count]))
            continue;
        i = out[count].body_end;
        count++;
    }
    return count;
}
