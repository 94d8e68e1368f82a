/* At the edge of a bin a measured counter is now on this side and now on that: a child whose value
 * is within the noise of an edge stays in its parent's bin. Pure: it looks at two recorded reports.
 */
#include "search/engine/commit_internal.h"

#include "eval/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOISE 0.02 /* of an edge's value */

/* The first parent's report; *out stays NULL if there is none. */
static kds_code parent_report(kds_ledger *ledger, const kds_flight *f, cJSON **out, kds_err *e)
{
    char hex[KDS_ID_HEX];
    kds_candidate_row row;
    kds_id id;
    if (f->parent_count == 0)
        return KDS_OK;
    kds_id_format(f->parents[0], hex);
    kds_code code = kds_ledger_find(ledger, hex, &row, e);
    if (code == KDS_OK && kds_id_parse(row.report, &id))
        code = kds_ledger_get_json(ledger, id, out, e);
    return code;
}

/* How near a value must be to an edge to be taken for noise. */
static double noise(double edge)
{
    return NOISE * fabs(edge);
}

/* The parent's bin if only noise separates the two; else the child's. */
static int settle(const kds_axis *a, double value, double parent)
{
    int mine = kds_axis_bin(a, value), theirs = kds_axis_bin(a, parent);
    if (abs(mine - theirs) != 1)
        return mine;
    double edge = a->edges[mine < theirs ? mine : theirs];
    return fabs(value - edge) <= noise(edge) ? theirs : mine;
}

static bool item(const cJSON *list, int i, double *out)
{
    const cJSON *x = cJSON_GetArrayItem(list, i);
    *out = cJSON_IsNumber(x) ? x->valuedouble : NAN;
    return isfinite(*out);
}

/* False if no value of the child is near an edge, wherever its parent is. */
static bool is_near_an_edge(const kds_task *t, const cJSON *descriptor)
{
    const cJSON *values = kds_json_at(descriptor, "values");
    for (int i = 0; i < t->axis_count; i++) {
        double value;
        for (int k = 0; k < t->axes[i].edge_count && item(values, i, &value); k++)
            if (fabs(value - t->axes[i].edges[k]) <= noise(t->axes[i].edges[k]))
                return true;
    }
    return false;
}

/* Bins of the child beside its parent; false if the two cannot be compared. */
static bool settle_all(const kds_task *t, const cJSON *mine, const cJSON *theirs, int *bins)
{
    const cJSON *a = kds_json_at(mine, "values"), *b = kds_json_at(theirs, "values");
    bool same = kds_json_int(mine, "version", -1) == t->descriptor_version &&
                kds_json_int(theirs, "version", -2) == t->descriptor_version;
    for (int i = 0; same && i < t->axis_count; i++) {
        double value, parent;
        same = item(a, i, &value) && item(b, i, &parent);
        bins[i] = same ? settle(&t->axes[i], value, parent) : 0;
    }
    return same;
}

kds_code kds_commit_settle(const kds_selector *s, const kds_state *state, const kds_flight *f,
                           cJSON *report, kds_err *e)
{
    cJSON *parent = NULL, *descriptor = cJSON_GetObjectItemCaseSensitive(report, "descriptor");
    int bins[KDS_STATE_BINS];
    char cell[17];
    if (!state->measured || !descriptor || s->task->axis_count > KDS_STATE_BINS ||
        !is_near_an_edge(s->task, descriptor))
        return KDS_OK;
    kds_code code = parent_report(s->ledger, f, &parent, e);
    if (code == KDS_OK && parent &&
        settle_all(s->task, descriptor, kds_json_at(parent, "descriptor"), bins)) {
        cJSON *list = cJSON_CreateIntArray(bins, s->task->axis_count);
        kds_cell_format(kds_cell_key(s->task->descriptor_version, bins, s->task->axis_count), cell);
        cJSON_DeleteItemFromObject(descriptor, "bins");
        cJSON_DeleteItemFromObject(descriptor, "cell");
        if (!list || !cJSON_AddItemToObject(descriptor, "bins", list) ||
            !kds_json_add_str(descriptor, "cell", cell))
            code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    cJSON_Delete(parent);
    return code;
}
