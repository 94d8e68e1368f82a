/* Rewrites of how a kernel is launched: block size and launch bounds. The launch is read from its
 * pragma; a literal that stands in the pragma and in the launch bounds is changed in both. */
#include "prompts/rewrite.h"
#include <stdio.h>
#include <string.h>

/* A `#pragma kda launch` line: its tokens, and where the block's expressions stand among them. */
typedef struct launch_site {
    kds_token tokens[KDS_REWRITE_DIRECTIVE];
    int count;
    int kernel;           /* token of the kernel's name */
    int block, block_end; /* parentheses of block(...) */
    int grid, grid_end;
} launch_site;

static bool is(const kds_rewriter *r, const launch_site *l, int i, const char *s)
{
    return i < l->count && kds_token_is(&r->lexer, l->tokens[i], s);
}

/* Finds `keyword ( ... )`; false if there is none. */
static bool find_group(const kds_rewriter *r, const launch_site *l, const char *keyword, int *open,
                       int *end)
{
    for (int i = 5; i + 1 < l->count; i++) {
        int depth = 0;
        if (!is(r, l, i, keyword) || !is(r, l, i + 1, "("))
            continue;
        for (int k = i + 1; k < l->count; k++) {
            depth += is(r, l, k, "(");
            depth -= is(r, l, k, ")");
            if (depth == 0) {
                *open = i + 1;
                *end = k;
                return true;
            }
        }
    }
    return false;
}

/* Reads the launch pragma at token `i`, if that is one. */
static bool read_launch(const kds_rewriter *r, int i, launch_site *l)
{
    static const char *const words[] = {"pragma", "kda", "launch", NULL};
    if (r->tokens[i].kind != KDS_TOKEN_DIRECTIVE)
        return false;
    l->count = kds_rewriter_directive(r, r->tokens[i], l->tokens);
    if (!kds_rewriter_starts(r, l->tokens, l->count, words) || l->count < 6)
        return false;
    l->kernel = 4;
    return l->tokens[4].kind == KDS_TOKEN_IDENTIFIER &&
           find_group(r, l, "block", &l->block, &l->block_end) &&
           find_group(r, l, "grid", &l->grid, &l->grid_end);
}

static bool same_text(const kds_rewriter *r, kds_token a, kds_token b)
{
    const char *text = r->lexer.text;
    return a.len == b.len && memcmp(text + a.offset, text + b.offset, a.len) == 0;
}

static const kds_kernel_site *kernel_of(const kds_rewriter *r, const launch_site *l,
                                        const kds_kernel_site *kernels, int count)
{
    for (int i = 0; i < count; i++) {
        if (same_text(r, r->tokens[kernels[i].name], l->tokens[l->kernel]))
            return &kernels[i];
    }
    return NULL;
}

static bool uses(const kds_rewriter *r, int from, int to, const char *name)
{
    for (int i = from; i < to; i++) {
        if (kds_rewriter_is(r, i, name))
            return true;
    }
    return false;
}

/* The launch whose block is a single literal that can be changed: its size, or 0. */
static int64_t literal_block(const kds_rewriter *r, const launch_site *l, const kds_kernel_site *k)
{
    if (!k || l->block_end != l->block + 2 || !uses(r, k->body, k->body_end, "blockDim"))
        return 0;
    int64_t size = kds_rewriter_integer(r, l->tokens[l->block + 1]);
    return size >= 32 && size <= 1024 ? size : 0;
}

static void resize_block(kds_rewriter *r, const launch_site *l, const kds_kernel_site *k,
                         int64_t from, int64_t to)
{
    kds_token size = l->tokens[l->block + 1];
    kds_rewriter_edit(r, size.offset, size.len, "%lld", (long long)to);
    for (int i = l->grid + 1; i < l->grid_end; i++) {
        kds_token t = l->tokens[i];
        if (kds_rewriter_integer(r, t) == from)
            kds_rewriter_edit(r, t.offset, t.len, "%lld", (long long)to);
    }
    if (k->bounds >= 0) {
        kds_token t = r->tokens[k->bounds_open + 1];
        int64_t bound = kds_rewriter_integer(r, t);
        if (bound == from || (bound > 0 && bound < to))
            kds_rewriter_edit(r, t.offset, t.len, "%lld", (long long)to);
    }
    kds_buf_printf(r->hypothesis, "block of %.*s from %lld to %lld threads: %s",
                   (int)l->tokens[l->kernel].len, r->lexer.text + l->tokens[l->kernel].offset,
                   (long long)from, (long long)to,
                   to > from ? "more warps to hide latency with, fewer blocks"
                             : "smaller blocks, less waiting at barriers and at the tail");
}

bool kds_rewrite_block_size(kds_rewriter *r)
{
    kds_kernel_site kernels[KDS_REWRITE_KERNELS];
    launch_site l;
    int count = kds_rewriter_kernels(r, kernels), sites[KDS_REWRITE_SITES], n = 0;
    for (int i = 0; i < r->count && n < KDS_REWRITE_SITES; i++) {
        if (read_launch(r, i, &l) && literal_block(r, &l, kernel_of(r, &l, kernels, count)))
            sites[n++] = i;
    }
    if (n == 0 || !read_launch(r, sites[kds_rewriter_pick(r, n)], &l))
        return false;
    const kds_kernel_site *k = kernel_of(r, &l, kernels, count);
    int64_t size = literal_block(r, &l, k);
    bool up = size <= 32 || (size <= 512 && kds_rewriter_pick(r, 2) == 0);
    if (!up && size % 2 != 0)
        return false;
    resize_block(r, &l, k, size, up ? size * 2 : size / 2);
    return true;
}

static bool is_macro(const kds_tunable *tunables, int count, const char *text, kds_token t)
{
    for (int i = 0; i < count; i++) {
        if (strlen(tunables[i].name) == t.len &&
            memcmp(tunables[i].name, text + t.offset, t.len) == 0)
            return true;
    }
    return false;
}

/* The block of a launch as a constant expression over tunables, as text; false if it is not one. */
static bool constant_block(const kds_rewriter *r, const launch_site *l, const kds_tunable *tunables,
                           int count, size_t *start, size_t *end)
{
    static const char *const operators[] = {"+", "-", "*", "/", "(", ")", NULL};
    *start = l->tokens[l->block + 1].offset;
    *end = kds_token_end(l->tokens[l->block_end - 1]);
    for (int i = l->block + 1; i < l->block_end; i++) {
        kds_token t = l->tokens[i];
        bool fits = t.kind == KDS_TOKEN_NUMBER ||
                    (t.kind == KDS_TOKEN_IDENTIFIER && is_macro(tunables, count, r->lexer.text, t));
        for (int k = 0; operators[k]; k++)
            fits = fits || kds_token_is(&r->lexer, t, operators[k]);
        if (!fits)
            return false;
    }
    return l->block_end > l->block + 1 && *end - *start < 80 &&
           !memchr(r->lexer.text + *start, '\n', *end - *start);
}

/* The comma between the two arguments of the launch bounds; the closing parenthesis if there is one
 * argument, -1 if there are more than two. */
static int bounds_comma(const kds_rewriter *r, const kds_kernel_site *k)
{
    int depth = 0, comma = k->bounds_end;
    for (int i = k->bounds_open; i < k->bounds_end; i++) {
        depth += kds_rewriter_is(r, i, "(");
        depth -= kds_rewriter_is(r, i, ")");
        if (depth == 1 && kds_rewriter_is(r, i, ",")) {
            if (comma != k->bounds_end)
                return -1;
            comma = i;
        }
    }
    return comma;
}

/* Draws the least number of blocks per SM: 0 for none, another than `now`. */
static int draw_blocks(kds_rewriter *r, int64_t now)
{
    static const int choices[] = {0, 1, 2, 4, 8};
    int rest[5], n = 0;
    for (int i = 0; i < 5; i++) {
        if (choices[i] != now)
            rest[n++] = choices[i];
    }
    return rest[kds_rewriter_pick(r, n)];
}

static bool change_bounds(kds_rewriter *r, const kds_kernel_site *k)
{
    int comma = bounds_comma(r, k);
    if (comma < 0)
        return false;
    bool two = comma != k->bounds_end;
    int64_t now = two ? kds_rewriter_integer(r, r->tokens[comma + 1]) : 0;
    int blocks = draw_blocks(r, now);
    size_t start = r->tokens[comma].offset, end = r->tokens[k->bounds_end].offset;
    if (blocks)
        kds_rewriter_edit(r, start, end - start, ", %d", blocks);
    else
        kds_rewriter_edit(r, start, end - start, "%s", "");
    kds_token name = r->tokens[k->name];
    kds_buf_printf(r->hypothesis, "launch bounds of %.*s ask for ", (int)name.len,
                   r->lexer.text + name.offset);
    if (blocks)
        kds_buf_printf(r->hypothesis, "%d blocks per SM: registers traded for occupancy", blocks);
    else
        kds_buf_puts(r->hypothesis, "no number of blocks per SM: registers as the compiler likes");
    return true;
}

static bool add_bounds(kds_rewriter *r, const kds_kernel_site *k)
{
    kds_tunable tunables[KDS_TUNABLES];
    int count = 0;
    launch_site l;
    size_t start = 0, end = 0;
    bool found = false;
    if (kds_tunables_find(tunables, &count, r->lexer.text, r->lexer.len, NULL))
        return false;
    for (int i = 0; i < r->count; i++) {
        if (!read_launch(r, i, &l) || !same_text(r, r->tokens[k->name], l.tokens[l.kernel]))
            continue;
        /* launched in two ways: no one bound is right */
        if (found || !constant_block(r, &l, tunables, count, &start, &end))
            return false;
        found = true;
    }
    if (!found)
        return false;
    int blocks = draw_blocks(r, -1);
    char least[16] = "";
    if (blocks)
        snprintf(least, sizeof least, ", %d", blocks);
    kds_rewriter_edit(r, kds_token_end(r->tokens[k->global]), 0, " __launch_bounds__(%.*s%s)",
                      (int)(end - start), r->lexer.text + start, least);
    kds_token name = r->tokens[k->name];
    kds_buf_printf(r->hypothesis,
                   "launch bounds for %.*s: the compiler may plan registers for the real block",
                   (int)name.len, r->lexer.text + name.offset);
    return true;
}

bool kds_rewrite_launch_bounds(kds_rewriter *r)
{
    kds_kernel_site kernels[KDS_REWRITE_KERNELS];
    int count = kds_rewriter_kernels(r, kernels);
    if (count == 0)
        return false;
    const kds_kernel_site *k = &kernels[kds_rewriter_pick(r, count)];
    return k->bounds >= 0 ? change_bounds(r, k) : add_bounds(r, k);
}
