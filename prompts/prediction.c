/* The speed-up that a model's prediction states. It writes as people do, so that a number counts
 * only with words beside it that say what it is of; when in doubt there is none. One pass, no
 * recursion, no memory. */
#include "prompts/reply.h"
#include "search/base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LEAST 0.01
#define MOST 100.0
#define NEAR 40 /* characters around a percentage in which its words are looked for */

static bool starts_with(const char *text, const char *word)
{
    size_t n = strlen(word);
    return strncasecmp(text, word, n) == 0 && !isalpha((unsigned char)text[n]);
}

static bool starts_with_any(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (starts_with(text, *words))
            return true;
    return false;
}

/* Whether one of the words stands in the text before anything else is spoken of. */
static bool has_any(const char *text, size_t len, const char *const *words)
{
    for (size_t i = 0; i < len; i++)
        if ((i == 0 || !isalpha((unsigned char)text[i - 1])) && starts_with_any(text + i, words))
            return true;
    return false;
}

static const char *const SLOWER[] = {"slower", "longer", "more time", "more runtime", NULL};
static const char *const OTHERS[] = {
    "fewer",     "less",    "more",         "larger",       "smaller",       "wider",
    "higher",    "lower",   "bigger",       "the register", "the registers", "registers",
    "occupancy", "sectors", "loads",        "stores",       "threads",       "blocks",
    "warps",     "bytes",   "instructions", "unroll",       "unrolling",     NULL};
static const char *const FASTER[] = {"faster", "quicker",    "speedup", "speed-up",
                                     "speed",  "throughput", NULL};
static const char *const TIME[] = {"time", "runtime", "latency", "duration", NULL};
static const char *const DOWN[] = {"less",     "lower",     "reduction", "reduced", "shorter",
                                   "down",     "drop",      "drops",     "saved",   "off",
                                   "decrease", "decreases", "cut",       NULL};

/* A number before an x, a multiplication sign or "times"; 0 if it is none. `behind`: the number. */
static double of_factor(double number, const char *behind)
{
    bool word = starts_with(behind, "times");
    bool sign = strncmp(behind, "\xc3\x97", 2) == 0;
    bool x = (*behind == 'x' || *behind == 'X') && !isalnum((unsigned char)behind[1]);
    if (!word && !sign && !x)
        return 0;
    behind += word ? 5 : sign ? 2 : 1;
    behind += strspn(behind, " ");
    if (starts_with_any(behind, SLOWER))
        return 1 / number;
    if (starts_with(behind, "less time") || starts_with(behind, "lower time") ||
        !starts_with_any(behind, OTHERS))
        return number;
    return 0;
}

/* A percentage: what the words of its clause say that it is of. */
static double of_percent(double number, char sign, const char *from, const char *before,
                         const char *behind)
{
    size_t after = strcspn(behind, ",;.()"), earlier = 0;
    while (earlier < NEAR && before > from && !strchr(",;.()%", before[-1])) {
        before--;
        earlier++;
    }
    after = after > NEAR ? NEAR : after;
    double part = number / 100;
    bool slower = has_any(behind, after, SLOWER) || has_any(before, earlier, SLOWER);
    bool faster = has_any(behind, after, FASTER) || has_any(before, earlier, FASTER);
    bool time = has_any(behind, after, TIME) || has_any(before, earlier, TIME);
    bool down = has_any(behind, after, DOWN) || has_any(before, earlier, DOWN);
    if (slower)
        return 1 / (1 + part);
    if (time && (sign == '-' || down))
        return part < 1 ? 1 / (1 - part) : 0;
    if (time && sign == '+')
        return 1 / (1 + part);
    if (faster && !time)
        return sign == '-' ? (part < 1 ? 1 - part : 0) : 1 + part;
    return 0;
}

double kds_prediction_factor(const char *text)
{
    for (const char *p = text; *p;) {
        size_t n = strspn(p, "0123456789.");
        const char *behind = p + n + strspn(p + n, " ");
        bool whole = p == text || !isalnum((unsigned char)p[-1]);
        char digits[32], sign = p > text ? p[-1] : ' ';
        double number = 0, factor = 0;
        if (n > 0 && n < sizeof digits && whole) {
            (void)snprintf(digits, sizeof digits, "%.*s", (int)n, p);
            if (!kds_text_parse_double(digits, &number) || !(number > 0))
                number = 0;
        }
        if (number > 0 && *behind == '%')
            factor =
                of_percent(number, sign, text, sign == '-' || sign == '+' ? p - 1 : p, behind + 1);
        else if (number > 0)
            factor = of_factor(number, behind);
        if (factor >= LEAST && factor <= MOST)
            return factor;
        p += n > 0 ? n : 1;
    }
    return 0;
}
