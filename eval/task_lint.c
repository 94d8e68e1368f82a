/* Static checks of a task: that its gate can fail a wrong kernel, that its rows measure something,
 * and that held-out rows are held out. Nothing is compiled or run here. */
#include "eval/task_lint.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUICK_BYTES                                                                                \
    (INT64_C(16) << 20) /* more than this makes a quick row slow on the simulator                  \
                         */

typedef struct lint {
    const kds_task *t;
    cJSON *out;
    bool no_memory;
} lint;

static void add(lint *l, const char *level, const char *where, const char *fmt, ...)
    KDS_PRINTF(4, 5);

static void add(lint *l, const char *level, const char *where, const char *fmt, ...)
{
    char text[500];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cJSON *o = cJSON_CreateObject();
    if (!o || !kds_json_add_str(o, "level", level) || !kds_json_add_str(o, "where", where) ||
        !kds_json_add_str(o, "text", text) || !cJSON_AddItemToArray(l->out, o)) {
        cJSON_Delete(o);
        l->no_memory = true;
    }
}

static bool is_blank(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return !*s;
}

static void check_texts(lint *l)
{
    const kds_task *t = l->t;
    if (is_blank(t->card))
        add(l, "error", "prompt.md",
            "the task card is empty; it is all that a model knows of the task");
    if (is_blank(t->baseline))
        add(l, "error", "baseline/kernel.cu", "the baseline is empty");
    if (!t->reference && !t->bitwise)
        add(l, "warning", "reference/kernel.cu",
            "there is no reference: errors are only known relative to the baseline");
    else if (t->reference && is_blank(t->reference))
        add(l, "error", "reference/kernel.cu", "the reference is empty");
    if (t->seed_count == 0)
        add(l, "warning", "seeds", "there are no starting points besides the baseline");
}

static void check_tolerances(lint *l)
{
    for (int i = 0; i < l->t->buffer_count; i++) {
        const kds_buffer_spec *b = &l->t->buffers[i];
        if (b->role != KDS_ROLE_IN && !l->t->bitwise && b->tolerance.atol == 0 &&
            b->tolerance.rtol == 0)
            add(l, "error", "task.json",
                "atol and rtol of '%s' are both 0: a kernel that is right passes only by luck; use "
                "\"bitwise\": true for equality",
                b->name);
        if (b->has_beside_baseline && !l->t->reference)
            add(l, "error", "task.json",
                "'%s' has a tolerance beside_baseline, but there is no reference: its tolerance is "
                "beside the baseline already",
                b->name);
        if (b->role != KDS_ROLE_OUT && b->fill.kind == KDS_FILL_CONSTANT)
            add(l, "warning", "task.json",
                "input '%s' is constant: a kernel that does not read it would pass", b->name);
    }
    for (int i = 1; i < l->t->regime_count; i++) {
        if (l->t->regimes[i].count == 0)
            add(l, "warning", "task.json", "regime '%s' changes nothing", l->t->regimes[i].name);
    }
    if (l->t->axis_count < 2)
        add(l, "error", "task.json", "the descriptor has %d axis; a map needs at least 2",
            l->t->axis_count);
}

static bool same_rows(const kds_row *a, const kds_row *b)
{
    for (int i = 0; i < a->dim_count; i++) {
        kds_value x = a->dims[i].value, y = b->dims[i].value;
        if ((x.is_double ? x.d : (double)x.i) != (y.is_double ? y.d : (double)y.i))
            return false;
    }
    for (int i = 0; i < a->dtype_count; i++) {
        if (a->dtypes[i].dtype != b->dtypes[i].dtype)
            return false;
    }
    for (int i = 0; i < KDS_BUFFERS_MAX; i++) {
        for (int k = 0; k < a->lists[i].count && k < b->lists[i].count; k++) {
            if (a->lists[i].values[k] != b->lists[i].values[k])
                return false;
        }
    }
    return true;
}

static void check_sets(lint *l)
{
    const kds_task *t = l->t;
    static const char *const file = "bench/workloads.json";
    int count[3] = {0}, profiled = 0;
    double weight = 0;
    for (int i = 0; i < t->row_count; i++) {
        const kds_row *row = &t->rows[i];
        count[row->set]++;
        if (row->set == KDS_ROWS_PRODUCTION) {
            weight += row->weight;
            profiled += row->profile;
        } else if (row->profile) {
            add(l, "warning", row->id,
                "only production rows are profiled; \"profile\" has no effect");
        }
        for (int k = 0; k < i; k++) {
            if (!same_rows(row, &t->rows[k]))
                continue;
            bool leaked = row->set == KDS_ROWS_HELD_OUT && t->rows[k].set != KDS_ROWS_HELD_OUT;
            add(l, leaked ? "error" : "warning", row->id, "has the same dims as row '%s' (%s)%s",
                t->rows[k].id, kds_row_set_name(t->rows[k].set),
                leaked ? ": it is not held out" : "");
            break;
        }
    }
    for (int i = 0; i < 3; i++) {
        if (count[i] == 0)
            add(l, "error", file, "there is no %s row", kds_row_set_name((kds_row_set)i));
    }
    if (!(weight > 0))
        add(l, "error", file, "the weights of the production rows sum to 0");
    if (profiled == 0)
        add(l, "error", file, "no production row has \"profile\": true, so there is no descriptor");
}

kds_code kds_task_moved(const kds_task *t, int row, const kds_moved *shares, double *moved,
                        kds_err *e)
{
    *moved = 0;
    for (int i = 0; i < t->buffer_count; i++) {
        kds_extent x;
        kds_code code = kds_task_extent(t, &t->rows[row], i, &x, e);
        if (code != KDS_OK)
            return code;
        double bytes = (double)kds_extent_distinct(&x) * (double)kds_dtype_size(x.dtype);
        if (t->buffers[i].role != KDS_ROLE_OUT)
            *moved += bytes * (shares != NULL ? shares->read[i] : 1);
        if (t->buffers[i].role != KDS_ROLE_IN)
            *moved += bytes;
    }
    return KDS_OK;
}

/* Quick rows must be small. */
static kds_code check_quick(lint *l, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int r = 0; r < l->t->row_count && code == KDS_OK; r++) {
        double held = 0;
        if (l->t->rows[r].set != KDS_ROWS_QUICK)
            continue;
        code = kds_task_moved(l->t, r, NULL, &held, e);
        if (code == KDS_OK && held > (double)QUICK_BYTES)
            add(l, "warning", l->t->rows[r].id,
                "a quick row of %.0f MiB: the safety check will be slow", held / 1048576);
    }
    return code;
}

kds_code kds_task_lint(const kds_task *t, cJSON **findings, kds_err *e)
{
    lint l = {.t = t, .out = cJSON_CreateArray()};
    if (!l.out)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    check_texts(&l);
    check_tolerances(&l);
    check_sets(&l);
    kds_code code = check_quick(&l, e);
    if (code == KDS_OK && l.no_memory)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        *findings = l.out;
    else
        cJSON_Delete(l.out);
    return code;
}
