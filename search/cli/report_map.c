/* The grid of the search: for each cell its elite's speed-up. Two axes make a panel, a third one
 * makes several; of more axes the cells are listed. */
#include "search/cli/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CELL 44.0 /* four panels of four by four fit side by side */
#define MARGIN_LEFT 72.0
#define MARGIN_TOP 26.0
#define AXES_MOST 8
#define BINS_MOST 16

typedef struct map {
    kds_report *r;
    const cJSON *axes;
    int axis_count, bins[AXES_MOST];
    const cJSON *cells; /* {bins, fitness, visits, elite} */
    double low, high;
} map;

static kds_code keep_cell(void *user, const cJSON *row, kds_err *e)
{
    cJSON *copy = cJSON_Duplicate(row, true);
    const char *text = kds_json_str(row, "bins", "");
    cJSON *bins = kds_json_parse_record(text, strlen(text));
    if (copy && bins && cJSON_ReplaceItemInObject(copy, "bins", bins) &&
        cJSON_AddItemToArray(user, copy))
        return KDS_OK;
    cJSON_Delete(copy);
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

static int bin_of(const cJSON *cell, int axis)
{
    const cJSON *bin = cJSON_GetArrayItem(kds_json_at(cell, "bins"), axis);
    return cJSON_IsNumber(bin) ? bin->valueint : -1;
}

static const cJSON *find(const map *m, int x, int y, int z)
{
    const cJSON *cell = NULL;
    cJSON_ArrayForEach(cell, m->cells)
    {
        if (bin_of(cell, 0) == x && (m->axis_count < 2 || bin_of(cell, 1) == y) &&
            (m->axis_count < 3 || bin_of(cell, 2) == z))
            return cell;
    }
    return NULL;
}

/* "< 5", "5–9", "≥ 13" */
static void range_text(const map *m, int axis, int bin, char *out, size_t size)
{
    const cJSON *edges = kds_json_at(cJSON_GetArrayItem(m->axes, axis), "edges");
    const cJSON *from = bin > 0 ? cJSON_GetArrayItem(edges, bin - 1) : NULL,
                *to = cJSON_GetArrayItem(edges, bin);
    if (from && to)
        (void)snprintf(out, size, "%g–%g", from->valuedouble, to->valuedouble);
    else if (to)
        (void)snprintf(out, size, "< %g", to->valuedouble);
    else
        (void)snprintf(out, size, "≥ %g", from ? from->valuedouble : 0);
}

static const char *axis_name(const map *m, int axis)
{
    return kds_json_str(cJSON_GetArrayItem(m->axes, axis), "name", "");
}

static void draw_cell(const map *m, const cJSON *cell, double x, double y)
{
    kds_buf *b = &m->r->b;
    double fitness = kds_json_num(cell, "fitness", NAN);
    if (!cell || !isfinite(fitness)) {
        kds_buf_printf(b, "<rect class=empty x=%.1f y=%.1f width=%.1f height=%.1f />\n", x + 1,
                       y + 1, CELL - 2, CELL - 2);
        return;
    }
    double share = m->high > m->low ? (fitness - m->low) / (m->high - m->low) : 1;
    kds_buf_puts(b, "<g><title>");
    kds_html_printf(b, "%.8s: %.4fx, %lld visits", kds_json_str(cell, "elite", ""), fitness,
                    (long long)kds_json_int(cell, "visits", 0));
    kds_buf_printf(b,
                   "</title><rect class=\"cell lo\" x=%.1f y=%.1f width=%.1f height=%.1f /><rect "
                   "class=hi x=%.1f y=%.1f width=%.1f height=%.1f fill-opacity=%.3f />",
                   x + 1, y + 1, CELL - 2, CELL - 2, x + 1, y + 1, CELL - 2, CELL - 2,
                   0.08 + 0.92 * share);
    kds_buf_printf(b, "<text class=%s x=%.1f y=%.1f text-anchor=middle>%.3f</text></g>\n",
                   share > 0.55 ? "onhi" : "on", x + CELL / 2, y + CELL / 2 + 4, fitness);
}

static void draw_panel(const map *m, int z)
{
    kds_buf *b = &m->r->b;
    char text[60];
    int columns = m->bins[0], rows = m->axis_count > 1 ? m->bins[1] : 1;
    double width = MARGIN_LEFT + CELL * columns + 4, height = MARGIN_TOP + CELL * rows + 42;
    kds_buf_printf(b, "<svg viewBox=\"0 0 %.0f %.0f\" width=%.0f height=%.0f role=img>\n", width,
                   height, width, height);
    if (m->axis_count > 2) {
        range_text(m, 2, z, text, sizeof text);
        kds_buf_printf(b, "<text class=on x=%.1f y=14>", MARGIN_LEFT);
        kds_html_printf(b, "%s %s", axis_name(m, 2), text);
        kds_buf_puts(b, "</text>\n");
    }
    for (int y = 0; y < rows; y++) {
        double top = MARGIN_TOP + CELL * (rows - 1 - y);
        if (m->axis_count > 1) {
            range_text(m, 1, y, text, sizeof text);
            kds_buf_printf(b, "<text x=%.1f y=%.1f text-anchor=end>", MARGIN_LEFT - 6,
                           top + CELL / 2 + 4);
            kds_html_text(b, text);
            kds_buf_puts(b, "</text>\n");
        }
        for (int x = 0; x < columns; x++)
            draw_cell(m, find(m, x, y, z), MARGIN_LEFT + CELL * x, top);
    }
    for (int x = 0; x < columns; x++) {
        range_text(m, 0, x, text, sizeof text);
        kds_buf_printf(b, "<text x=%.1f y=%.1f text-anchor=middle>", MARGIN_LEFT + CELL * (x + 0.5),
                       MARGIN_TOP + CELL * rows + 16);
        kds_html_text(b, text);
        kds_buf_puts(b, "</text>\n");
    }
    kds_buf_puts(b, "</svg>\n");
}

static void list_cells(const map *m)
{
    const char *columns[] = {"cell", ">elite", ">visits", ">improvements", NULL};
    const cJSON *cell = NULL;
    kds_html_table t;
    kds_html_table_begin(&t, &m->r->b, columns);
    cJSON_ArrayForEach(cell, m->cells)
    {
        char *bins = cJSON_PrintUnformatted(kds_json_at(cell, "bins"));
        kds_html_cell(&t, "%s", bins ? bins : "");
        cJSON_free(bins);
        kds_html_cell(&t, "%.4fx", kds_json_num(cell, "fitness", NAN));
        kds_html_cell(&t, "%lld", (long long)kds_json_int(cell, "visits", 0));
        kds_html_cell(&t, "%lld", (long long)kds_json_int(cell, "improvements", 0));
    }
    kds_html_table_end(&t);
}

/* How often the grid was visited, and what its axes are. */
static void caption(const map *m)
{
    kds_buf *b = &m->r->b;
    kds_buf_puts(b, "<p class=dim>");
    kds_html_printf(b,
                    "Speed-up (%s) of each cell's fastest kernel. Cells say how a kernel works: ",
                    m->r->origin);
    for (int i = 0; i < m->axis_count; i++) {
        const cJSON *axis = cJSON_GetArrayItem(m->axes, i);
        kds_html_printf(b, "%s%s%s", i ? "; " : "", axis_name(m, i),
                        i == 0   ? " from left to right"
                        : i == 1 ? " upwards"
                        : i == 2 ? " by panel"
                                 : "");
        if (*kds_json_str(axis, "unit", ""))
            kds_html_printf(b, " (%s)", kds_json_str(axis, "unit", ""));
    }
    kds_buf_puts(b, ".</p>\n");
}

void kds_report_map(kds_report *r)
{
    cJSON *cells = cJSON_CreateArray();
    const cJSON *cell = NULL;
    map m = {.r = r,
             .axes = kds_json_at(kds_json_at(r->s.campaign, "descriptors"), "axes"),
             .cells = cells,
             .low = INFINITY,
             .high = -INFINITY};
    bool drawn = true;
    m.axis_count = cJSON_GetArraySize(m.axes);
    kds_report_select(r,
                      "SELECT bins, elite, fitness, visits, improvements FROM cells WHERE elite IS "
                      "NOT NULL ORDER BY fitness DESC",
                      keep_cell, cells);
    cJSON_ArrayForEach(cell, cells)
    {
        m.low = fmin(m.low, kds_json_num(cell, "fitness", INFINITY));
        m.high = fmax(m.high, kds_json_num(cell, "fitness", -INFINITY));
    }
    for (int i = 0; i < m.axis_count && i < AXES_MOST; i++) {
        m.bins[i] = cJSON_GetArraySize(kds_json_at(cJSON_GetArrayItem(m.axes, i), "edges")) + 1;
        drawn = drawn && m.bins[i] <= BINS_MOST;
    }
    caption(&m);
    if (m.axis_count < 1 || m.axis_count > 3 || !drawn)
        list_cells(&m);
    else {
        kds_buf_puts(&r->b, "<div class=maps>\n");
        for (int z = 0; z < (m.axis_count > 2 ? m.bins[2] : 1); z++)
            draw_panel(&m, z);
        kds_buf_puts(&r->b, "</div>\n");
    }
    cJSON_Delete(cells);
}
