/* NVRTC's log: facts read from ptxas -v lines, and words made fit for a model. A log may quote the
 * source and name files of this machine; what leaves here names only kernel.cu and <toolkit>. */
#include "eval/compile_parts.h"
#include "search/base/text.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number before `unit` in a line, such as "12" in "Used 12 registers"; -1 if it is not there.
 */
static int number_before(const char *line, size_t len, const char *unit)
{
    const char *at = memmem(line, len, unit, strlen(unit));
    if (!at || at == line)
        return -1;
    const char *p = at;
    while (p > line && isdigit((unsigned char)p[-1]))
        p--;
    char digits[16];
    if (p == at || at - p >= (ptrdiff_t)sizeof digits)
        return -1;
    memcpy(digits, p, (size_t)(at - p));
    digits[at - p] = '\0';
    int64_t value = -1;
    return kds_text_parse_i64(digits, &value) && value <= 1 << 30 ? (int)value : -1;
}

static void take(int *out, const char *line, size_t len, const char *unit)
{
    int value = number_before(line, len, unit);
    if (value >= 0)
        *out = value;
}

/* True if the line has `before` and then `name` between quotes or at its end. */
static bool names(const char *line, size_t len, const char *before, const char *name)
{
    size_t n = strlen(name), b = strlen(before);
    const char *at = memmem(line, len, before, b), *end = line + len;
    if (!at)
        return false;
    at += b;
    if (at < end && *at == '\'')
        at++;
    return (size_t)(end - at) >= n && memcmp(at, name, n) == 0 &&
           (at + n == end || at[n] == '\'' || isspace((unsigned char)at[n]));
}

void kds_ptxas_facts(const char *log, const char *lowered, kds_kernel_facts *out)
{
    bool entry = false, properties = false;
    for (const char *line = log, *end; *line; line = *end ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        size_t len = (size_t)(end - line);
        if (memmem(line, len, "Compiling entry function", 24))
            entry = names(line, len, "Compiling entry function ", lowered);
        else if (memmem(line, len, "Function properties for", 23))
            properties = names(line, len, "Function properties for ", lowered);
        else if (properties && memmem(line, len, "stack frame", 11)) {
            take(&out->stack_bytes, line, len, " bytes stack frame");
            take(&out->spill_store_bytes, line, len, " bytes spill stores");
            take(&out->spill_load_bytes, line, len, " bytes spill loads");
        } else if (entry && memmem(line, len, "Used ", 5)) {
            take(&out->registers, line, len, " registers");
            take(&out->barriers, line, len, " barriers");
            take(&out->static_shared_bytes, line, len, " bytes smem");
            take(&out->stack_bytes, line, len, " bytes cumulative stack size");
        }
    }
}

/* Replaces folder + "/" by `with` wherever it stands. */
static void replace_folder(kds_buf *text, const char *folder, const char *with)
{
    size_t n = folder ? strlen(folder) : 0;
    kds_buf out;
    kds_buf_init(&out, text->cap);
    const char *p = text->data, *at;
    while (n > 1 && (at = strstr(p, folder))) {
        bool whole = at[n] == '/';
        kds_buf_add(&out, p, (size_t)(at - p));
        kds_buf_puts(&out, whole ? with : folder);
        p = at + n + whole;
    }
    if (p != text->data) {
        kds_buf_puts(&out, p);
        kds_buf_reset(text);
        kds_buf_add(text, out.data, out.len);
    }
    kds_buf_free(&out);
}

/* Takes out what differs from run to run, empty lines in a row and NUL bytes. */
static void drop_noise(kds_buf *text)
{
    kds_buf out;
    kds_buf_init(&out, text->cap);
    const char *stop = text->data + text->len;
    for (char *p = text->data; p < stop; p++) {
        if (*p == '\0' || *p == '\r')
            *p = '\n';
    }
    for (const char *line = text->data, *end; line < stop; line = end + 1) {
        end = memchr(line, '\n', (size_t)(stop - line));
        end = end ? end : stop;
        size_t len = (size_t)(end - line);
        bool timing = memmem(line, len, "Compile time = ", 15) && memmem(line, len, "ptxas", 5);
        bool blank = len == 0 || (len == 1 && *line == ' ');
        bool again = out.len == 0 || (out.len > 1 && out.data[out.len - 2] == '\n');
        if (timing || (blank && again))
            continue;
        kds_buf_add(&out, line, blank ? 0 : len);
        kds_buf_putc(&out, '\n');
    }
    kds_buf_reset(text);
    kds_buf_add(text, out.data, out.len);
    kds_buf_free(&out);
}

kds_code kds_log_clean(const kds_nvrtc *n, const char *raw, size_t len, kds_buf *out, kds_err *e)
{
    kds_buf text;
    char here[4096];
    size_t keep = KDS_LOG_CAP - 100, raw_len = len;
    if (len > 16 * KDS_LOG_CAP)
        len = 16 * KDS_LOG_CAP;
    kds_buf_init(&text, 64 * KDS_LOG_CAP);
    kds_text_sanitize_utf8(&text, raw, len);
    drop_noise(&text);
    for (int i = n->include_count - 1; i >= 0; i--)
        replace_folder(&text, n->includes[i], "<toolkit>/");
    char *folder = strdup(n->path), *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash) {
        *slash = '\0';
        replace_folder(&text, folder, "<toolkit>/");
    }
    free(folder);
    if (getcwd(here, sizeof here))
        replace_folder(&text, here, "");
    kds_code bad = kds_buf_check(&text, "the compiler's log", e);
    if (bad == KDS_OK && text.len <= keep && len == raw_len) {
        kds_buf_add(out, text.data, text.len);
    } else if (bad == KDS_OK) {
        keep = keep < text.len ? keep : text.len;
        while (keep > 0 && ((unsigned char)text.data[keep] & 0xC0) == 0x80)
            keep--;
        kds_buf_add(out, text.data, keep);
        kds_buf_printf(out, "\n[log cut here: %zu bytes in all]\n", raw_len);
    }
    kds_buf_free(&text);
    return bad;
}

static bool over_limits(const char *log)
{
    static const char *const words[] = {"uses too much shared data",
                                        "uses too much local data",
                                        "uses too much parameter space",
                                        "uses too much global constant data",
                                        "uses too much constant data",
                                        "too many registers",
                                        "too many resources",
                                        "Formal parameter space overflowed",
                                        NULL};
    for (const char *const *w = words; *w; w++) {
        if (strstr(log, *w))
            return true;
    }
    return false;
}

/* What a model needs beside the compiler's words. */
static const char *hint(const char *log)
{
    if (strstr(log, "uses too much shared data"))
        return "Static shared memory is limited to 48 KiB (49152 bytes) a block. Use less, or "
               "'extern "
               "__shared__' with smem(bytes) in the launch, up to 227 KiB.\n";
    if (strstr(log, "__nv_name_map"))
        return "A kernel named by a '#pragma kda launch' line could not be found in the source as "
               "it "
               "is written there (name, template arguments).\n";
    if (over_limits(log))
        return "";
    if (strstr(log, "unknown register") || strstr(log, "ptxas"))
        return "The source compiled, but the assembler refused the PTX; look at inline asm "
               "first.\n";
    return "";
}

static int first_error_line(const char *log)
{
    int line = 0;
    for (const char *p = log; (p = strstr(p, "kernel.cu(")); p++) {
        const char *end = p + strcspn(p, "\n"), *error = strstr(p, "error");
        if (error && error < end && sscanf(p, "kernel.cu(%d)", &line) == 1)
            return line;
    }
    return 0;
}

/* Copies the paragraphs that hold an error, without ptxas' facts; everything if none says "error".
 */
static void copy_errors(kds_buf *out, const char *log)
{
    for (const char *p = log, *stop; *p; p = stop + strspn(stop, "\n")) {
        const char *gap = strstr(p, "\n\n");
        stop = gap ? gap : p + strlen(p);
        size_t len = (size_t)(stop - p);
        if (!memmem(p, len, "error", 5) && !memmem(p, len, "fatal", 5))
            continue;
        for (const char *line = p, *end; line < stop; line = end + (end < stop)) {
            end = memchr(line, '\n', (size_t)(stop - line));
            end = end ? end : stop;
            if (strncmp(line, "ptxas info", 10) == 0 || strncmp(line, "ptxas   ", 8) == 0)
                continue;
            kds_buf_add(out, line, (size_t)(end - line));
            kds_buf_putc(out, '\n');
        }
    }
    if (out->len == 0)
        kds_buf_puts(out, log);
}

void kds_log_finding(const char *log, const char *with, kds_finding *f)
{
    kds_buf errors;
    kds_buf_init(&errors, 2 * KDS_LOG_CAP + 1000);
    copy_errors(&errors, log);
    kds_finding_set(f, over_limits(log) ? KDS_VERDICT_LIMITS_EXCEEDED : KDS_VERDICT_COMPILE_FAILED,
                    "compile", first_error_line(log), "%s%s%s%s%.5000s", *with ? "With " : "", with,
                    *with ? ":\n" : "", hint(log), errors.data);
    kds_buf_free(&errors);
}
