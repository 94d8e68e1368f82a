/* Building and printing records. The printer is ours, since cJSON's takes doubles for equal that
 * differ in the last bit: here a number is printed with the fewest of 15, 16 or 17 digits that read
 * back as the same double, and the output is UTF-8 whatever the strings hold. */
#include "search/base/json_doc.h"
#include "search/base/text.h"
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool kds_json_add_str(cJSON *object, const char *key, const char *value)
{
    return (value != NULL ? cJSON_AddStringToObject(object, key, value)
                          : cJSON_AddNullToObject(object, key)) != NULL;
}

bool kds_json_add_num(cJSON *object, const char *key, double value)
{
    return (isfinite(value) ? cJSON_AddNumberToObject(object, key, value)
                            : cJSON_AddNullToObject(object, key)) != NULL;
}

bool kds_json_add_int(cJSON *object, const char *key, int64_t value)
{
    char text[24];
    if (value >= -KDS_JSON_SAFE && value <= KDS_JSON_SAFE)
        return cJSON_AddNumberToObject(object, key, (double)value) != NULL;
    snprintf(text, sizeof text, "%" PRId64, value);
    return kds_json_add_str(object, key, text);
}

bool kds_json_add_bool(cJSON *object, const char *key, bool value)
{
    return cJSON_AddBoolToObject(object, key, value) != NULL;
}

bool kds_json_add_id(cJSON *object, const char *key, kds_id value)
{
    char hex[KDS_ID_HEX];
    kds_id_format(value, hex);
    return kds_json_add_str(object, key, hex);
}

/* `whole` / 10^places, with the sign of `v` and no zero at the end: of a whole number as "%.0f"
 * does it, minus zero included. */
static void print_digits(kds_buf *out, double v, uint64_t whole, int places)
{
    char digits[48];
    size_t at = sizeof digits;
    for (int i = 0; i < places; i++, whole /= 10)
        digits[--at] = (char)('0' + whole % 10);
    if (places > 0)
        digits[--at] = '.';
    do
        digits[--at] = (char)('0' + whole % 10);
    while (whole /= 10);
    if (signbit(v))
        digits[--at] = '-';
    kds_buf_add(out, digits + at, sizeof digits - at);
}

/* Most numbers are whole or have few places. Both n < 2^53 and 10^k are exact, so that n / 10^k is
 * the double nearest to that decimal, which is then the one that "%.15g" prints. False if it is not
 * such a number, or one that "%g" prints with an exponent. */
static bool print_decimal(kds_buf *out, double v)
{
    static const double POWERS[] = {1,   1e1, 1e2, 1e3,  1e4,  1e5, 1e6,
                                    1e7, 1e8, 1e9, 1e10, 1e11, 1e12};
    double magnitude = fabs(v);
    if (v == floor(v) && magnitude <= (double)KDS_JSON_SAFE) {
        print_digits(out, v, (uint64_t)magnitude, 0);
        return true;
    }
    if (!(magnitude >= 1e-4))
        return false;
    for (int places = 1; places < (int)(sizeof POWERS / sizeof *POWERS); places++) {
        double whole = nearbyint(magnitude * POWERS[places]);
        if (whole >= 1e15)
            return false;
        if (whole / POWERS[places] == magnitude) {
            print_digits(out, v, (uint64_t)whole, places);
            return true;
        }
    }
    return false;
}

static void print_number(kds_buf *out, double v)
{
    char text[40];
    if (!isfinite(v)) {
        kds_buf_puts(out, "null");
        return;
    }
    if (print_decimal(out, v))
        return;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    kds_buf_puts(out, text);
}

/* How many bytes from the beginning are printed as they are: ASCII that needs no escape. */
static size_t plain_prefix(const char *s)
{
    size_t n = 0;
    while ((unsigned char)(s[n] - 0x20) < 0x60 && s[n] != '"' && s[n] != '\\')
        n++;
    return n;
}

static void print_string(kds_buf *out, const char *s)
{
    static const char SHORT[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    size_t plain = plain_prefix(s);
    kds_buf_putc(out, '"');
    kds_buf_add(out, s, plain);
    s += plain;
    size_t len = strlen(s), start = 0, i;
    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        kds_text_sanitize_utf8(out, s + start, i - start);
        start = i + 1;
        size_t k = 0;
        while (SHORT[k] != '\0' && SHORT[k] != s[i])
            k += 2;
        if (SHORT[k] != '\0')
            kds_buf_add(out, (const char[2]){'\\', SHORT[k + 1]}, 2);
        else
            kds_buf_printf(out, "\\u%04x", c);
    }
    kds_text_sanitize_utf8(out, s + start, i - start);
    kds_buf_putc(out, '"');
}

/* A new line for the child of a value at `depth`; nothing in the compact form (depth < 0). */
static void new_line(kds_buf *out, int depth)
{
    if (depth < 0)
        return;
    kds_buf_putc(out, '\n');
    for (int i = 0; i < depth; i++)
        kds_buf_puts(out, "  ");
}

/* Prints a value that stands at `depth`; -1 for the compact form. */
static void print_value(kds_buf *out, const cJSON *value, int depth)
{
    if (cJSON_IsString(value)) {
        print_string(out, value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        print_number(out, value->valuedouble);
    } else if (cJSON_IsBool(value)) {
        kds_buf_puts(out, cJSON_IsTrue(value) ? "true" : "false");
    } else if (cJSON_IsObject(value) || cJSON_IsArray(value)) {
        bool object = cJSON_IsObject(value);
        int inner = depth < 0 ? -1 : depth + 1;
        kds_buf_putc(out, object ? '{' : '[');
        for (const cJSON *child = value->child; child != NULL; child = child->next) {
            new_line(out, inner);
            if (object) {
                print_string(out, child->string);
                kds_buf_puts(out, depth < 0 ? ":" : ": ");
            }
            print_value(out, child, inner);
            if (child->next != NULL)
                kds_buf_putc(out, ',');
        }
        if (value->child != NULL)
            new_line(out, depth);
        kds_buf_putc(out, object ? '}' : ']');
    } else {
        kds_buf_puts(out, "null");
    }
}

/* Numbers are printed in the C locale, whatever the program has set for this thread. */
static char *print(const cJSON *value, int depth)
{
    kds_buf out;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0)
        return NULL;
    locale_t before = uselocale(c);
    kds_buf_init(&out, SIZE_MAX);
    print_value(&out, value, depth);
    uselocale(before);
    freelocale(c);
    return kds_buf_take(&out);
}

char *kds_json_print(const cJSON *value)
{
    return print(value, -1);
}

char *kds_json_print_pretty(const cJSON *value)
{
    return print(value, 0);
}

cJSON *kds_json_parse_record(const char *text, size_t len)
{
    const char *end = NULL;
    cJSON *value = cJSON_ParseWithLengthOpts(text, len, &end, false);
    if (value == NULL)
        return NULL;
    while (end < text + len && (*end == ' ' || *end == '\t' || *end == '\r' || *end == '\n'))
        end++;
    if (end < text + len) {
        cJSON_Delete(value);
        return NULL;
    }
    return value;
}
