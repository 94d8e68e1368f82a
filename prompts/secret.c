/* Keys. The bytes live in one allocation that is wiped before it is freed, no function returns them
 * but the one that makes the header, and whatever may have met them is scrubbed with a matcher that
 * also knows the escaped spellings of each character. */
#include "prompts/secret.h"

#include <stdlib.h>
#include <string.h>

struct kds_secret {
    size_t len;
    char bytes[KDS_SECRET_CAP + 1];
};

/* Letters, digits and underscores, not starting with a digit. */
static bool is_variable_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 256 && !(name[0] >= '0' && name[0] <= '9') &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

/* A name with lower-case letters and digits that is not set may be a key given by mistake. */
static bool may_be_shown(const char *name)
{
    return strlen(name) <= 64 &&
           (!strpbrk(name, "abcdefghijklmnopqrstuvwxyz") || !strpbrk(name, "0123456789"));
}

kds_code kds_secret_from_env(kds_secret **out, const char *name, kds_err *e)
{
    if (!is_variable_name(name))
        return kds_fail(e, KDS_INVALID,
                        "key-env takes the name of an environment variable (such as "
                        "OPENAI_API_KEY), not the key itself");
    const char *value = getenv(name);
    if ((!value || !*value) && !may_be_shown(name))
        return kds_fail(e, KDS_INVALID,
                        "the environment variable named by key-env is not set (its name is not "
                        "shown, it looks like a key); give the name of a variable");
    if (!value || !*value)
        return kds_fail(e, KDS_INVALID,
                        "the environment variable %s, which should hold the endpoint's key, is %s; "
                        "export it, or leave key-env empty for a server without keys",
                        name, value ? "empty" : "not set");
    size_t len = strnlen(value, KDS_SECRET_CAP + 1);
    if (len > KDS_SECRET_CAP)
        return kds_fail(e, KDS_INVALID, "the key in %s is longer than %d bytes", name,
                        KDS_SECRET_CAP);
    for (size_t i = 0; i < len; i++)
        if (value[i] <= ' ' || value[i] > '~')
            return kds_fail(e, KDS_INVALID,
                            "the key in %s has a blank, a line break or a character that is not "
                            "ASCII at position %zu; export it again without",
                            name, i + 1);
    kds_secret *s = calloc(1, sizeof *s);
    if (!s)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    s->len = len;
    memcpy(s->bytes, value, len);
    *out = s;
    return KDS_OK;
}

void kds_secret_free(kds_secret *s)
{
    if (!s)
        return;
    explicit_bzero(s, sizeof *s);
    free(s);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that two hexadecimal digits stand for, or -1. */
static int hex_pair(const char *s)
{
    int high = hex_digit(s[0]), low = hex_digit(s[1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Bytes of `s` that spell the character `c`: itself, \c, \u00XX or %XX; 0 if they do not. */
static size_t spells(const char *s, size_t len, char c)
{
    if (len >= 1 && s[0] == c && !(c == '\\' && len >= 2 && s[1] == '\\'))
        return 1;
    if (len >= 2 && s[0] == '\\' && s[1] == c)
        return 2;
    if (len >= 6 && memcmp(s, "\\u00", 4) == 0 && hex_pair(s + 4) == c)
        return 6;
    if (len >= 3 && s[0] == '%' && hex_pair(s + 1) == c)
        return 3;
    return 0;
}

/* Length of the spelling of the whole secret at `s`, 0 if it is not there. */
static size_t match(const kds_secret *k, const char *s, size_t len)
{
    size_t at = 0;
    for (size_t i = 0; i < k->len; i++) {
        size_t n = spells(s + at, len - at, k->bytes[i]);
        if (n == 0)
            return 0;
        at += n;
    }
    return at;
}

size_t kds_secret_scrub(const kds_secret *s, kds_buf *text)
{
    static const char MARK[] = "[key]";
    if (!s || s->len < KDS_SECRET_LEAST || text->len < s->len)
        return 0;
    size_t found = 0, to = 0;
    for (size_t at = 0; at < text->len;) {
        size_t n = match(s, text->data + at, text->len - at);
        if (n > 0) {
            memcpy(text->data + to, MARK, sizeof MARK - 1);
            to += sizeof MARK - 1;
            at += n;
            found++;
        } else {
            text->data[to++] = text->data[at++];
        }
    }
    if (to < text->len)
        explicit_bzero(text->data + to, text->len - to);
    text->len = to;
    return found;
}

char *kds_secret_header(const kds_secret *s, const char *prefix)
{
    size_t n = strlen(prefix);
    char *line = malloc(n + s->len + 1);
    if (!line)
        return NULL;
    memcpy(line, prefix, n);
    memcpy(line + n, s->bytes, s->len + 1);
    return line;
}

void kds_secret_wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
}
