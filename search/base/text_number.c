/* Numbers and durations as text. Parsing takes the whole string or nothing, and does not depend on
 * the locale of the program that the library is part of. */
#include "search/base/text.h"
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool kds_text_parse_u64(const char *s, uint64_t *out)
{
    uint64_t v = 0;
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++) {
        if (!is_digit(*s))
            return false;
        uint64_t d = (uint64_t)(*s - '0');
        if (v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *out = v;
    return true;
}

bool kds_text_parse_i64(const char *s, int64_t *out)
{
    bool negative = *s == '-';
    uint64_t v;
    if (!kds_text_parse_u64(s + negative, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + negative)
        return false;
    *out = !negative ? (int64_t)v : v == 0 ? 0 : -(int64_t)(v - 1) - 1;
    return true;
}

/* Length of a decimal number without blanks, "inf", "nan" or hexadecimal; 0 if there is none. */
static size_t number_length(const char *s)
{
    size_t i = s[0] == '-', digits = 0;
    for (; is_digit(s[i]); i++)
        digits++;
    if (s[i] == '.') {
        for (i++; is_digit(s[i]); i++)
            digits++;
    }
    if (digits == 0)
        return 0;
    if (s[i] == 'e' || s[i] == 'E') {
        i += s[i + 1] == '-' || s[i + 1] == '+' ? 2 : 1;
        if (!is_digit(s[i]))
            return 0;
        while (is_digit(s[i]))
            i++;
    }
    return i;
}

bool kds_text_parse_double(const char *s, double *out)
{
    size_t n = number_length(s);
    if (n == 0 || s[n] != '\0')
        return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0)
        return false;
    double v = strtod_l(s, NULL, c);
    freelocale(c);
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}

bool kds_text_parse_duration(const char *s, double *seconds)
{
    static const struct {
        const char *unit;
        double seconds;
    } UNITS[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char number[64];
    double v;
    size_t n = number_length(s);
    if (n == 0 || n >= sizeof number)
        return false;
    memcpy(number, s, n);
    number[n] = '\0';
    if (!kds_text_parse_double(number, &v) || signbit(v))
        return false;
    for (size_t i = 0; i < sizeof UNITS / sizeof *UNITS; i++) {
        if (strcmp(s + n, UNITS[i].unit) == 0 && isfinite(v * UNITS[i].seconds)) {
            *seconds = v * UNITS[i].seconds;
            return true;
        }
    }
    return false;
}

void kds_text_format_duration(char *out, size_t size, double seconds)
{
    if (!(fabs(seconds) < 1e15)) {
        snprintf(out, size, "?");
        return;
    }
    const char *sign = seconds < 0 ? "-" : "";
    seconds = fabs(seconds);
    long long ms = (long long)(seconds * 1000 + 0.5), s = (long long)(seconds + 0.5);
    if (ms == 0)
        snprintf(out, size, "0s");
    else if (ms < 1000)
        snprintf(out, size, "%s%lldms", sign, ms);
    else if (s < 60)
        snprintf(out, size, "%s%llds", sign, s);
    else if (s < 3600)
        snprintf(out, size, "%s%lldm %02llds", sign, s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, size, "%s%lldh %02lldm", sign, s / 3600, s % 3600 / 60);
    else
        snprintf(out, size, "%s%lldd %02lldh", sign, s / 86400, s % 86400 / 3600);
}
