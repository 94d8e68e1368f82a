/* The two clocks. Neither ever takes part in a decision: decisions are replayed. */
#include "search/base/clock.h"
#include <stdio.h>
#include <time.h>

double kds_clock_monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t kds_clock_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void kds_clock_format(int64_t wall_ms, char *out, size_t size)
{
    /* Rounds down also before 1970. */
    time_t seconds = (time_t)(wall_ms / 1000 - (wall_ms % 1000 < 0));
    struct tm t;
    if (gmtime_r(&seconds, &t) == NULL)
        snprintf(out, size, "?");
    else
        snprintf(out, size, "%04ld-%02d-%02dT%02d:%02d:%02dZ", t.tm_year + 1900L, t.tm_mon + 1,
                 t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
}
