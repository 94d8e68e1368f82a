/* The lint: what a source may contain, judged token by token. It keeps honest mistakes from costing
 * a compilation, says them in words that a model can act on, and keeps a source from naming files
 * of this machine. It is the first of two walls: the compile worker that follows cannot read
 * anything but the toolkit's headers (eval/confine.c), so a trick that slips past the tokens still
 * finds nothing. */
#include "eval/lint.h"
#include "search/base/lex.h"
#include "search/base/text.h"
#include <ctype.h>
#include <string.h>

typedef struct linter {
    const char *source;
    size_t len;
    kds_finding *f;
    bool entry; /* a __global__ was seen */
} linter;

#define reject(l, line, ...)                                                                       \
    (kds_finding_set((l)->f, KDS_VERDICT_SOURCE_REJECTED, "lint", (line), __VA_ARGS__), false)

typedef struct banned_word {
    const char *word, *reason;
} banned_word;

#define ASKS_FILES "it asks which files this machine has; only the allowed headers exist"
#define NOT_REPLAYABLE                                                                             \
    "it differs from build to build, so the result could not be replayed; remove it"
#define HOST_API                                                                                   \
    "it is host code, and a candidate is device code only; memory is declared by '#pragma kda "    \
    "scratch' and launches by '#pragma kda launch'"

static const banned_word banned_words[] = {
    {"__has_include", ASKS_FILES},
    {"__has_include_next", ASKS_FILES},
    {"__has_embed", ASKS_FILES},
    {"__DATE__", NOT_REPLAYABLE},
    {"__TIME__", NOT_REPLAYABLE},
    {"__TIMESTAMP__", NOT_REPLAYABLE},
    {"__FILE__", NOT_REPLAYABLE},
    {"__BASE_FILE__", NOT_REPLAYABLE},
    {"cudaMalloc", HOST_API},
    {"cudaMallocAsync", HOST_API},
    {"cudaFree", HOST_API},
    {"cudaMemcpy", HOST_API},
    {"cudaMemcpyAsync", HOST_API},
    {"cudaMemset", HOST_API},
    {"cudaMemsetAsync", HOST_API},
    {"cudaLaunchKernel", HOST_API},
    {"cudaLaunchKernelEx", HOST_API},
    {"cudaLaunchCooperativeKernel", HOST_API},
    {"cudaDeviceSynchronize", HOST_API},
    {"cudaStreamSynchronize", HOST_API},
    {"cudaStreamCreate", HOST_API},
    {"cudaFuncSetAttribute", HOST_API},
    {"cudaGetLastError", HOST_API},
    {NULL, NULL},
};

static bool check_word(linter *l, const kds_lexer *x, kds_token t, int line)
{
    if (kds_token_is(x, t, "__global__"))
        l->entry = true;
    char first = x->text[t.offset]; /* a backslash: of a backslash-newline */
    for (const banned_word *b = banned_words; b->word; b++) {
        if ((first == b->word[0] || first == '\\') && kds_token_is(x, t, b->word))
            return reject(l, line, "'%s' is not allowed: %s", b->word, b->reason);
    }
    return true;
}

static bool contains(const char *text, size_t len, const char *what)
{
    return memmem(text, len, what, strlen(what)) != NULL;
}

/* String literals become PTX inside asm(), and PTX has an .include of its own. A raw string with a
 * line that starts with '#' could be a directive to a compiler that does not see the string. */
static bool check_string(linter *l, const char *text, size_t len, int line)
{
    if (contains(text, len, ".include"))
        return reject(l, line,
                      "a string contains '.include': inline PTX may not read files; write the "
                      "instructions themselves");
    const char *quote = memchr(text, '"', len);
    if (!quote || quote == text || quote[-1] != 'R')
        return true;
    for (const char *p = quote, *end = text + len; (p = memchr(p, '\n', (size_t)(end - p)));) {
        for (p++; p < end && isspace((unsigned char)*p);)
            p++;
        if (p < end && *p == '#')
            return reject(l, line,
                          "a raw string has a line that starts with '#'; put the text on one line "
                          "or in an ordinary string");
    }
    return true;
}

/* Copies a directive's text with backslash-newlines taken out and comments replaced by a blank. */
static void flatten(kds_buf *out, const char *text, size_t len)
{
    kds_buf flat;
    kds_buf_init(&flat, KDS_SOURCE_CAP);
    for (size_t i = 0; i < len; i++) {
        size_t end = i + 1;
        while (text[i] == '\\' && end < len && strchr(" \t\r", text[end]))
            end++;
        if (text[i] == '\\' && end < len && text[end] == '\n')
            i = end;
        else
            kds_buf_putc(&flat, text[i]);
    }
    bool closed = true; /* false once no comment end is left, so that the scan stays linear */
    for (size_t i = 0; i < flat.len; i++) {
        const char *p = flat.data + i;
        const char *end = NULL;
        if (closed && p[0] == '/' && p[1] == '*')
            closed = (end = strstr(p + 2, "*/")) != NULL;
        if (p[0] == '/' && p[1] == '/')
            break;
        if (end)
            i = (size_t)(end - flat.data) + 1;
        kds_buf_putc(out, end ? ' ' : *p);
    }
    kds_buf_free(&flat);
}

static const char *skip_blanks(const char *p)
{
    while (*p && isspace((unsigned char)*p))
        p++;
    return p;
}

static bool allowed_header(const char *name)
{
    for (const char *const *h = kds_lint_headers(); *h; h++) {
        if (strcmp(*h, name) == 0)
            return true;
    }
    return false;
}

/* `p` is what follows the word include in the flattened text. */
static bool check_include(linter *l, const char *p, int line)
{
    char name[128];
    p = skip_blanks(p);
    char close = *p == '<' ? '>' : *p == '"' ? '"' : '\0';
    if (!close)
        return reject(
            l, line,
            "#include needs the header's name in <...> or \"...\"; a macro is not allowed "
            "there");
    const char *end = strchr(p + 1, close);
    size_t len = end ? (size_t)(end - p - 1) : 0;
    if (!end || len == 0 || len >= sizeof name)
        return reject(l, line, "#include has no readable header name");
    memcpy(name, p + 1, len);
    name[len] = '\0';
    if (*skip_blanks(end + 1) != '\0')
        return reject(l, line, "text after #include <%s>", name);
    if (allowed_header(name))
        return true;
    if (name[0] == '/' || name[0] == '\\' || strstr(name, "..") || strchr(name, ':'))
        return reject(
            l, line, "#include \"%s\" is a path; only the allowed headers may be included, by name",
            name);
    const char *near = kds_text_suggest(name, kds_lint_headers());
    return reject(l, line,
                  "header '%s' is not allowed%s%s%s; a candidate is one file of device code, with "
                  "headers such as cuda_bf16.h, cuda_fp16.h, cooperative_groups.h, mma.h, "
                  "cuda_pipeline.h, cuda/barrier, cuda/std/..., cstdint",
                  name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool check_directive_name(linter *l, const char *word, size_t len, const char *rest,
                                 int line)
{
    static const char *const allowed[] = {"define", "undef", "if",    "ifdef",  "ifndef",  "elif",
                                          "else",   "endif", "error", "pragma", "warning", NULL};
    static const banned_word banned[] = {
        {"include_next", "only #include <header> with an allowed header"},
        {"import", "only #include <header> with an allowed header"},
        {"embed", "a candidate may not read files"},
        {"line", "it would move the line numbers of error messages"},
        {NULL, NULL},
    };
    char name[32];
    if (len == 0 && *rest == '\0')
        return true; /* the null directive */
    if (len == 0 || len >= sizeof name)
        return reject(l, line, "unknown preprocessor directive");
    memcpy(name, word, len);
    name[len] = '\0';
    if (strcmp(name, "include") == 0)
        return check_include(l, rest, line);
    for (const banned_word *b = banned; b->word; b++) {
        if (strcmp(name, b->word) == 0)
            return reject(l, line, "#%s is not allowed: %s", name, b->reason);
    }
    for (const char *const *a = allowed; *a; a++) {
        if (strcmp(name, *a) == 0)
            return true;
    }
    const char *near = kds_text_suggest(name, allowed);
    return reject(l, line, "unknown directive '#%s'%s%s%s", name, near ? "; did you mean '#" : "",
                  near ? near : "", near ? "'?" : "");
}

/* Words and strings inside a directive obey the rules of the rest of the text. */
static bool check_directive_tokens(linter *l, const char *text, size_t len, int line)
{
    kds_lexer x;
    kds_lexer_init(&x, text, len);
    x.line_start = false;
    for (kds_token t = kds_lexer_next(&x); t.kind != KDS_TOKEN_END; t = kds_lexer_next(&x)) {
        int at = line + t.line - 1;
        if (t.kind == KDS_TOKEN_IDENTIFIER && !check_word(l, &x, t, at))
            return false;
        if (t.kind == KDS_TOKEN_STRING && !check_string(l, text + t.offset, t.len, at))
            return false;
    }
    return true;
}

static bool check_directive(linter *l, kds_token t, kds_err *e, kds_code *bad)
{
    const char *text = l->source + t.offset;
    kds_buf flat;
    kds_buf_init(&flat, KDS_SOURCE_CAP);
    flatten(&flat, text, t.len);
    bool good = false;
    if ((*bad = kds_buf_check(&flat, "a preprocessor line", e)) != KDS_OK)
        goto out;
    if (flat.data[0] != '#') {
        good = reject(l, t.line, "the digraph '%%:' is not allowed; write '#'");
        goto out;
    }
    const char *word = skip_blanks(flat.data + 1), *rest = word;
    while (isalnum((unsigned char)*rest) || *rest == '_')
        rest++;
    good = check_directive_name(l, word, (size_t)(rest - word), skip_blanks(rest), t.line) &&
           check_directive_tokens(l, text, t.len, t.line);
out:
    kds_buf_free(&flat);
    return good;
}

static bool check_punct(linter *l, const kds_lexer *x, kds_token t)
{
    const char *p = l->source + t.offset;
    size_t left = l->len - t.offset;
    if (left >= 3 && memcmp(p, "<<<", 3) == 0)
        return reject(l, t.line,
                      "'<<<' is not allowed: kernels are launched by '#pragma kda launch "
                      "name(arguments) grid(...) block(...)', not by host code");
    if (left >= 2 && memcmp(p, "%:", 2) == 0)
        return reject(l, t.line, "the digraph '%%:' is not allowed; write '#'");
    if (kds_token_is(x, t, "#"))
        return reject(l, t.line, "a stray '#'; a directive stands on a line of its own");
    return true;
}

static bool check_tokens(linter *l, kds_err *e, kds_code *bad)
{
    kds_lexer x;
    kds_lexer_init(&x, l->source, l->len);
    int main_line = 0; /* of a word `main`, if that was the last token */
    for (kds_token t = kds_lexer_next(&x); t.kind != KDS_TOKEN_END; t = kds_lexer_next(&x)) {
        bool good = true;
        if (x.unterminated && x.at >= l->len)
            return reject(
                l, t.line,
                "a comment or string that starts here never ends; is the source cut off?");
        x.unterminated = false; /* an apostrophe in skipped text ends with its line */
        if (t.kind == KDS_TOKEN_COMMENT)
            continue;
        if (main_line && kds_token_is(&x, t, "("))
            return reject(
                l, main_line,
                "a function 'main' is host code; a candidate is device code only, launched "
                "by '#pragma kda launch'");
        main_line = t.kind == KDS_TOKEN_IDENTIFIER && kds_token_is(&x, t, "main") ? t.line : 0;
        if (t.kind == KDS_TOKEN_DIRECTIVE)
            good = check_directive(l, t, e, bad);
        else if (t.kind == KDS_TOKEN_IDENTIFIER)
            good = check_word(l, &x, t, t.line);
        else if (t.kind == KDS_TOKEN_STRING)
            good = check_string(l, l->source + t.offset, t.len, t.line);
        else if (t.kind == KDS_TOKEN_PUNCT)
            good = check_punct(l, &x, t);
        if (!good)
            return false;
    }
    if (!l->entry)
        return reject(l, 0, "the source has no __global__ function: there is nothing to launch");
    return true;
}

static int line_of(const linter *l, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset; i++)
        line += l->source[i] == '\n';
    return line;
}

/* Bytes that make a text read differently to people, to this lint and to the compiler. */
static bool check_bytes(linter *l)
{
    for (size_t i = 0; i < l->len; i++) {
        unsigned char c = (unsigned char)l->source[i];
        const char *p = l->source + i;
        size_t left = l->len - i, end = 1;
        if (c >= 0x20 && c < 0x7f && c != '?' && c != '\\')
            continue;
        if ((c < 0x20 && !strchr("\t\n\r\f", c)) || c == 0x7f || c == 0)
            return reject(l, line_of(l, i), "the source contains the control character 0x%02X", c);
        if (left >= 3 && (memcmp(p, "\?\?=", 3) == 0 || memcmp(p, "\?\?/", 3) == 0))
            return reject(l, line_of(l, i), "the trigraph '?\?%c' is not allowed", p[2]);
        if (left >= 3 && c == 0xE2 &&
            ((p[1] == '\x80' && p[2] >= '\xAA' && p[2] <= '\xAE') ||
             (p[1] == '\x81' && p[2] >= '\xA6' && p[2] <= '\xA9')))
            return reject(l, line_of(l, i),
                          "the source contains a bidirectional control character, which hides what "
                          "the code says");
        while (c == '\\' && end < left && strchr(" \t", p[end]))
            end++;
        if (end > 1 && end < left && (p[end] == '\n' || p[end] == '\r'))
            return reject(l, line_of(l, i),
                          "white space after a backslash at the end of a line: remove it");
    }
    return true;
}

kds_code kds_lint_source(const char *source, size_t len, kds_finding *f, kds_err *e)
{
    linter l = {.source = source, .len = len, .f = f};
    kds_code bad = KDS_OK;
    kds_finding_clear(f);
    bool good;
    if (len == 0)
        good = reject(&l, 0, "the source is empty");
    else if (len > KDS_SOURCE_CAP)
        good =
            reject(&l, 0, "the source has %zu bytes; at most %u are allowed", len, KDS_SOURCE_CAP);
    else if (!kds_text_is_utf8(source, len))
        good = reject(&l, 0, "the source is not valid UTF-8");
    else
        good = check_bytes(&l) && check_tokens(&l, e, &bad);
    return good ? KDS_OK : bad;
}

kds_id kds_lint_norm_id(const char *source, size_t len)
{
    kds_buf text;
    kds_buf_init(&text, (size_t)KDS_SOURCE_CAP * 4 + len);
    kds_lex_normalize(&text, source, len);
    kds_id id = kds_id_of(text.data, text.len);
    kds_buf_free(&text);
    return id;
}
