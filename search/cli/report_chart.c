/* The course of a campaign: every candidate by its decision and speed-up, the best so far as a
 * line, and below them what failed. */
#include "search/cli/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 1080.0
#define HEIGHT 320.0
#define LEFT 52.0
#define RIGHT 12.0
#define TOP 10.0
#define PLOT 262.0 /* height of the plot; the strip of failures is below it */
#define STRIP 272.0
#define LABELS_MOST 3000 /* points that tell what they are */

typedef struct point {
    int64_t decision;
    double fitness; /* NAN: it failed */
    bool accepted, best;
    char operator_name[24];
    char verdict[24];
} point;

typedef struct chart {
    kds_report *r;
    point *points;
    int count, room;
    int64_t last;
    double low, high; /* of the axis */
} chart;

static kds_code keep_point(void *user, const cJSON *row, kds_err *e)
{
    chart *c = user;
    if (c->count == c->room) {
        int room = c->room ? 2 * c->room : 256;
        point *more = realloc(c->points, (size_t)room * sizeof *more);
        if (!more)
            return kds_fail(e, KDS_NO_MEMORY, "out of memory");
        c->points = more;
        c->room = room;
    }
    point *p = &c->points[c->count++];
    *p = (point){.decision = kds_json_int(row, "decision", 0),
                 .fitness = kds_json_num(row, "fitness", NAN),
                 .accepted = kds_json_int(row, "accepted", 0) != 0,
                 .best = kds_json_int(row, "best", 0) != 0};
    (void)snprintf(p->operator_name, sizeof p->operator_name, "%s",
                   kds_json_str(row, "operator", ""));
    (void)snprintf(p->verdict, sizeof p->verdict, "%s", kds_json_str(row, "verdict", ""));
    c->last = p->decision > c->last ? p->decision : c->last;
    return KDS_OK;
}

/* The axis holds the baseline, all that was accepted and what comes near it; the far slower ones
 * lie on its lower edge. */
static void choose_axis(chart *c)
{
    double most = 1, least = 1;
    for (int i = 0; i < c->count; i++) {
        const point *p = &c->points[i];
        if (!isfinite(p->fitness))
            continue;
        most = fmax(most, p->fitness);
        if (p->accepted)
            least = fmin(least, p->fitness);
    }
    c->low = fmax(0, fmin(least, 1 - 0.6 * (most - 1)));
    double room = fmax(0.04 * (most - c->low), 0.005);
    c->low = fmax(0, c->low - room);
    c->high = most + room;
}

static double x_of(const chart *c, int64_t decision)
{
    double most = c->last > 0 ? (double)c->last : 1;
    return LEFT + 4 + (WIDTH - LEFT - RIGHT - 8) * (double)decision / most;
}

static double y_of(const chart *c, double fitness)
{
    double share = (fitness - c->low) / (c->high - c->low);
    return TOP + (PLOT - TOP) * (1 - fmin(fmax(share, 0), 1));
}

/* 1, 2 or 5 times a power of ten, so that an axis has about `wanted` of them. */
static double step_of(double range, int wanted)
{
    double raw = range / wanted, power = pow(10, floor(log10(raw)));
    double n = raw / power;
    return power * (n < 1.5 ? 1 : n < 3.5 ? 2 : n < 7.5 ? 5 : 10);
}

static void draw_axes(chart *c)
{
    kds_buf *b = &c->r->b;
    double step = step_of(c->high - c->low, 6);
    int digits = step < 0.001 ? 4 : step < 0.01 ? 3 : step < 0.1 ? 2 : step < 1 ? 1 : 0;
    for (double v = ceil(c->low / step) * step; v <= c->high; v += step)
        kds_buf_printf(b,
                       "<line class=grid x1=%.1f x2=%.1f y1=%.1f y2=%.1f /><text x=%.1f y=%.1f "
                       "text-anchor=end>%.*fx</text>\n",
                       LEFT, WIDTH - RIGHT, y_of(c, v), y_of(c, v), LEFT - 6, y_of(c, v) + 4,
                       digits, v);
    kds_buf_printf(b, "<line class=one x1=%.1f x2=%.1f y1=%.1f y2=%.1f />\n", LEFT, WIDTH - RIGHT,
                   y_of(c, 1), y_of(c, 1));
    double every = fmax(step_of((double)(c->last > 0 ? c->last : 1), 8), 1);
    for (double d = 0; d <= (double)c->last; d += every)
        kds_buf_printf(b, "<text x=%.1f y=%.1f text-anchor=middle>%.0f</text>\n",
                       x_of(c, (int64_t)d), HEIGHT - 18, d);
    kds_buf_printf(b, "<text x=%.1f y=%.1f text-anchor=end>decision</text>\n", WIDTH - RIGHT,
                   HEIGHT - 3);
}

/* What was not accepted, as dots, and what failed, as ticks. */
static void draw_others(const chart *c)
{
    kds_buf *b = &c->r->b;
    kds_buf_puts(b, "<path class=no d=\"");
    for (int i = 0; i < c->count; i++)
        if (isfinite(c->points[i].fitness) && !c->points[i].accepted)
            kds_buf_printf(b, "M%.1f %.1fh0", x_of(c, c->points[i].decision),
                           y_of(c, c->points[i].fitness));
    kds_buf_puts(b, "\"/>\n<path class=fail d=\"");
    for (int i = 0; i < c->count; i++)
        if (!isfinite(c->points[i].fitness))
            kds_buf_printf(b, "M%.1f %.1fv10", x_of(c, c->points[i].decision), STRIP);
    kds_buf_puts(b, "\"/>\n");
}

static void draw_best(const chart *c)
{
    kds_buf *b = &c->r->b;
    double y = NAN;
    kds_buf_puts(b, "<path class=bestline d=\"");
    for (int i = 0; i < c->count; i++) {
        const point *p = &c->points[i];
        if (!p->best || !isfinite(p->fitness) || p->fitness < y)
            continue;
        if (isfinite(y))
            kds_buf_printf(b, "H%.1fV%.1f", x_of(c, p->decision), y_of(c, p->fitness));
        else
            kds_buf_printf(b, "M%.1f %.1f", x_of(c, p->decision), y_of(c, p->fitness));
        y = p->fitness;
    }
    if (isfinite(y))
        kds_buf_printf(b, "H%.1f", WIDTH - RIGHT);
    kds_buf_puts(b, "\"/>\n");
}

static void draw_accepted(const chart *c)
{
    kds_buf *b = &c->r->b;
    for (int i = 0, told = 0; i < c->count; i++) {
        const point *p = &c->points[i];
        if (!p->accepted || !isfinite(p->fitness))
            continue;
        kds_buf_printf(b, "<circle class=yes cx=%.1f cy=%.1f r=3>", x_of(c, p->decision),
                       y_of(c, p->fitness));
        if (told++ < LABELS_MOST) {
            kds_buf_puts(b, "<title>");
            kds_html_printf(b, "#%lld %s: %.4fx%s", (long long)p->decision, p->operator_name,
                            p->fitness, p->best ? ", the best so far" : ", best of its cell");
            kds_buf_puts(b, "</title>");
        }
        kds_buf_puts(b, "</circle>\n");
    }
}

void kds_report_progress(kds_report *r)
{
    chart c = {.r = r};
    /* Promotions that reviews took back are not part of the line. */
    kds_report_select(
        r,
        "SELECT c.decision, c.operator, c.verdict, c.fitness, c.accepted, coalesce(h.best, "
        "0) AND c.id NOT IN (SELECT json_extract(body, '$.candidate') FROM events "
        "WHERE kind = 'RETIRE' AND json_extract(body, '$.cell') IS NULL AND "
        "json_extract(body, '$.candidate') IS NOT NULL) AS best FROM candidates c LEFT "
        "JOIN (SELECT candidate, max(best) AS best FROM cell_history GROUP BY "
        "candidate) h ON h.candidate = c.id WHERE c.verdict NOT IN ('', 'duplicate', "
        "'set_aside', 'no_child') ORDER BY c.decision",
        keep_point, &c);
    choose_axis(&c);
    kds_buf_printf(&r->b,
                   "<figure><svg viewBox=\"0 0 %.0f %.0f\" width=%.0f height=%.0f role=img "
                   "aria-label=\"speed-up of every candidate by decision\">\n",
                   WIDTH, HEIGHT, WIDTH, HEIGHT);
    draw_axes(&c);
    draw_others(&c);
    draw_best(&c);
    draw_accepted(&c);
    kds_buf_puts(&r->b, "</svg><figcaption>Speed-up over the baseline (");
    kds_html_text(&r->b, r->origin);
    kds_buf_puts(&r->b, ") of every candidate. Blue: accepted; grey: correct, not accepted (far "
                        "slower ones on the lower edge); red ticks: failed a check; line: the best "
                        "so far; dashed: the baseline.</figcaption></figure>\n");
    free(c.points);
}
