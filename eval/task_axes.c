/* The descriptor of a task: its axes and edges, or the standard three. Descriptors say how a kernel
 * works, not how fast it is. */
#include "eval/descriptor_names.h"
#include "eval/task_internal.h"
#include <string.h>

/* The factor 1.0 keeps the quotient a double whatever the counters are stored as. */
static const struct {
    const char *name, *unit, *value;
    double edges[3];
} standard[] = {
    {"access_width",
     "sectors/request",
     "1.0 * l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum / "
     "max(1, l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum)",
     {5, 9, 13}},
    {"shared_intensity",
     "wavefronts/sector",
     "1.0 * (l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld.sum + "
     "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_st.sum) / "
     "max(1, l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum + "
     "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum)",
     {0.02, 0.25, 1}},
    {"occupancy", "% of peak", "sm__warps_active.avg.pct_of_peak_sustained_active", {25, 50, 75}},
};

static kds_code standard_axes(kds_task_loader *l)
{
    kds_task *t = l->t;
    struct kds_task_private *own = t->own;
    t->descriptor_version = 1;
    for (size_t i = 0; i < sizeof standard / sizeof *standard; i++) {
        kds_axis *a = &t->axes[t->axis_count];
        kds_code code =
            kds_expr_parse(&a->value, standard[i].value, strlen(standard[i].value), l->e);
        if (code != KDS_OK)
            return code;
        own->exprs[own->expr_count++].x = a->value;
        a->name = standard[i].name;
        a->unit = standard[i].unit;
        a->edge_count = 3;
        memcpy(a->edges, standard[i].edges, sizeof standard[i].edges);
        t->axis_count++;
    }
    return KDS_OK;
}

static kds_code read_edges(kds_task_loader *l, const cJSON *array, kds_axis *a)
{
    int n = cJSON_GetArraySize(array);
    if (n < 1 || n > KDS_EDGES_MAX)
        return kds_json_fail(l->doc, array, l->e, "must have 1 to %d edges", KDS_EDGES_MAX);
    const cJSON *node;
    cJSON_ArrayForEach(node, array)
    {
        if (!cJSON_IsNumber(node))
            return kds_json_fail(l->doc, node, l->e, "must be a number");
        if (a->edge_count > 0 && !(node->valuedouble > a->edges[a->edge_count - 1]))
            return kds_json_fail(l->doc, node, l->e, "edges must ascend");
        a->edges[a->edge_count++] = node->valuedouble;
    }
    return KDS_OK;
}

static kds_code read_axis(kds_task_loader *l, const cJSON *node)
{
    kds_task *t = l->t;
    kds_axis *a = &t->axes[t->axis_count];
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, node, l->e);
    a->name = kds_json_need_string(&r, "name");
    a->unit = kds_json_opt_string(&r, "unit", "");
    (void)kds_json_need_string(&r, "value");
    const cJSON *edges = kds_json_need_array(&r, "edges");
    kds_code code = kds_json_done(&r);
    if (code != KDS_OK)
        return code;
    if (!kds_task_is_identifier(a->name))
        return kds_json_fail(l->doc, kds_json_at(node, "name"), l->e,
                             "must be a name of letters, digits and _ (at most 63)");
    for (int i = 0; i < t->axis_count; i++) {
        if (strcmp(t->axes[i].name, a->name) == 0)
            return kds_json_fail(l->doc, kds_json_at(node, "name"), l->e,
                                 "the axis '%s' is there twice", a->name);
    }
    code = kds_task_read_expr(l, kds_json_at(node, "value"), kds_descriptor_names(), &a->value);
    if (code == KDS_OK)
        code = read_edges(l, edges, a);
    if (code == KDS_OK)
        t->axis_count++;
    return code;
}

kds_code kds_task_read_axes(kds_task_loader *l, const cJSON *object)
{
    if (!object)
        return standard_axes(l);
    kds_json_reader r;
    kds_json_reader_init(&r, l->doc, object, l->e);
    l->t->descriptor_version = (int)kds_json_need_int(&r, "version", 1, 1000000);
    const cJSON *axes = kds_json_need_array(&r, "axes");
    kds_code code = kds_json_done(&r);
    if (code != KDS_OK)
        return code;
    int n = cJSON_GetArraySize(axes);
    if (n < 1 || n > KDS_AXES_MAX)
        return kds_json_fail(l->doc, axes, l->e, "must have 1 to %d axes", KDS_AXES_MAX);
    const cJSON *node;
    cJSON_ArrayForEach(node, axes)
    {
        code = read_axis(l, node);
        if (code != KDS_OK)
            break;
    }
    return code;
}
