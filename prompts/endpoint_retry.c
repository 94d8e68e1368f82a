/* How long to wait before the next attempt: what the server asked for, or full jitter. Pure
 * functions of their arguments, so that a recorded delay can be derived again. */
#include "prompts/endpoint.h"
#include "search/base/text.h"

#include <curl/curl.h>
#include <math.h>
#include <string.h>
#include <strings.h>

double kds_retry_after(const char *value, int64_t now)
{
    char text[128];
    if (!value)
        return -1;
    while (*value == ' ' || *value == '\t')
        value++;
    size_t n = strnlen(value, sizeof text);
    while (n > 0 && strchr(" \t\r\n", value[n - 1]))
        n--;
    if (n == 0 || n >= sizeof text)
        return -1;
    memcpy(text, value, n);
    text[n] = '\0';
    double seconds;
    if (strspn(text, "+-.0123456789eE") == n) {
        if (text[0] == '-')
            return -1;
        if (strspn(text, "0123456789") == n && n > 18)
            return KDS_RETRY_AFTER_CAP;
        if (!kds_text_parse_double(text, &seconds))
            return -1;
    } else {
        time_t when = curl_getdate(text, NULL);
        if (when == (time_t)-1)
            return -1;
        seconds = (double)when - (double)now;
    }
    return fmin(fmax(seconds, 0), KDS_RETRY_AFTER_CAP);
}

double kds_retry_delay(int attempt, double retry_after, double unit)
{
    if (!(unit >= 0))
        unit = 0;
    if (unit >= 1)
        unit = nextafter(1, 0);
    if (retry_after >= 0)
        return fmin(retry_after + unit * KDS_RETRY_BASE, KDS_RETRY_AFTER_CAP);
    int exponent = attempt < 0 ? 0 : attempt > 30 ? 30 : attempt;
    return unit * fmin(KDS_RETRY_CAP, ldexp(KDS_RETRY_BASE, exponent));
}
