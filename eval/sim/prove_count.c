/* Counting what a run touched and what it left. Bytes are counted as shares: a buffer whose sectors
 * were all read counts as all of its elements (once, where a stride of 0 repeats them), so that
 * rows which do not fill their sectors count what they have and not what surrounds them. */
#include "eval/sim/memory.h"
#include "eval/sim/prove.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "cannot prove a row: out of memory");
}

static uint64_t bytes_of(const kds_extent *x)
{
    return (uint64_t)x->span * kds_dtype_size(x->dtype);
}

static size_t words_of(const kds_extent *x)
{
    return (size_t)((bytes_of(x) + SIM_SECTOR - 1) / SIM_SECTOR / 64 + KDS_PAGE_SECTORS / 64);
}

static void count_written(void *user, uint64_t first, uint64_t len)
{
    (void)first;
    *(double *)user += (double)len;
}

/* The sectors of the launch that has just ended. */
static void add_loaded(uint64_t *set, const kds_region *r, uint64_t epoch)
{
    for (uint64_t page = 0; page < r->page_count; page++) {
        const kds_page *p = r->pages[page];
        if (p == NULL || p->epoch != epoch)
            continue;
        for (size_t w = 0; w < KDS_PAGE_SECTORS / 64; w++)
            set[page * (KDS_PAGE_SECTORS / 64) + w] |= p->loaded[w];
    }
}

kds_code sim_touched_add(sim_touched *t, const sim_bench *b, const sim_memory *at, kds_err *e)
{
    const kds_task *task = b->base.device->task;
    for (int i = 0; i < task->buffer_count; i++) {
        const kds_region *r = kds_memory_region(at->memory, at->buffers[i]);
        if (r == NULL)
            continue;
        if (t->loaded[i] == NULL)
            t->loaded[i] = calloc(words_of(&b->base.extents[i]) + 1, sizeof(uint64_t));
        if (t->loaded[i] == NULL)
            return no_memory(e);
        add_loaded(t->loaded[i], r, at->memory->epoch);
        t->written[i] = 0;
        kds_sim_memory_each_written(at->memory, at->buffers[i], count_written, &t->written[i]);
    }
    return KDS_OK;
}

void sim_touched_drop(sim_touched *t)
{
    for (int i = 0; i < KDS_BUFFERS_MAX; i++)
        free(t->loaded[i]);
    memset(t, 0, sizeof *t);
}

/* The share of the sectors with elements of the buffer that are in the set. */
static kds_code share_of(const kds_extent *x, const uint64_t *set, double *out, kds_err *e)
{
    size_t words = words_of(x) + 1;
    uint64_t size = kds_dtype_size(x->dtype), held = 0, seen = 0;
    uint64_t *own = calloc(words, sizeof *own);
    if (own == NULL)
        return no_memory(e);
    for (int64_t i = 0; i < x->numel; i++) {
        uint64_t sector = (uint64_t)kds_extent_offset(x, i) * size / SIM_SECTOR;
        own[sector / 64] |= UINT64_C(1) << (sector % 64);
    }
    for (size_t w = 0; w < words; w++) {
        held += (uint64_t)__builtin_popcountll(own[w]);
        seen += (uint64_t)__builtin_popcountll(own[w] & set[w]);
    }
    free(own);
    *out = (double)seen / (double)held;
    return KDS_OK;
}

/* Bytes of the inputs read and the outputs written; `buffers` (may be NULL) gets the shares. */
static kds_code count_bytes(const sim_bench *b, const sim_touched *t, cJSON *buffers,
                            double *counted, kds_err *e)
{
    const kds_task *task = b->base.device->task;
    kds_code code = KDS_OK;
    *counted = 0;
    for (int i = 0; i < task->buffer_count && code == KDS_OK; i++) {
        const kds_extent *x = &b->base.extents[i];
        double whole = (double)kds_extent_distinct(x) * (double)kds_dtype_size(x->dtype), read = 0;
        bool input = task->buffers[i].role != KDS_ROLE_OUT, output = sim_is_output(task, i);
        if (input && t->loaded[i] != NULL)
            code = share_of(x, t->loaded[i], &read, e);
        double written = output ? t->written[i] / whole : 0;
        *counted += whole * (read + written);
        if (buffers == NULL)
            continue;
        cJSON *one = cJSON_CreateObject();
        if (one == NULL || !cJSON_AddItemToArray(buffers, one) ||
            !kds_json_add_str(one, "name", task->buffers[i].name) ||
            !kds_json_add_num(one, "read", read) || !kds_json_add_num(one, "written", written))
            return no_memory(e);
    }
    return code;
}

kds_code sim_prove_traffic(cJSON *json, const sim_bench *b, const sim_touched *t, kds_err *e)
{
    kds_scope scope = b->base.row->scope;
    double formula = 0, counted = 0;
    cJSON *traffic = cJSON_AddObjectToObject(json, "traffic");
    cJSON *buffers = traffic != NULL ? cJSON_AddArrayToObject(traffic, "buffers") : NULL;
    if (buffers == NULL)
        return no_memory(e);
    const kds_task *task = b->base.device->task;
    kds_code code = kds_expr_eval_double(task->bytes, kds_scope_lookup, &scope, &formula, e);
    if (code == KDS_OK)
        code = count_bytes(b, t, buffers, &counted, e);
    if (code == KDS_OK && (!kds_json_add_num(traffic, "formula", formula) ||
                           !kds_json_add_num(traffic, "counted", counted)))
        code = no_memory(e);
    return code;
}

kds_code sim_prove_again(cJSON *json, const sim_bench *b, const sim_touched *t, kds_err *e)
{
    cJSON *traffic = cJSON_GetObjectItemCaseSensitive(json, "traffic");
    double again = 0, before = kds_json_num(traffic, "counted", 0);
    kds_code code = count_bytes(b, t, NULL, &again, e);
    if (code == KDS_OK && !kds_json_add_bool(traffic, "varies", again != before))
        code = no_memory(e);
    return code;
}

static kds_code value_of(const kds_expr *x, const sim_bench *b, double *out, kds_err *e)
{
    kds_scope scope = b->base.row->scope;
    *out = 0;
    return x != NULL ? kds_expr_eval_double(x, kds_scope_lookup, &scope, out, e) : KDS_OK;
}

kds_code sim_prove_work(cJSON *json, const sim_bench *b, const sim_touched *t, kds_err *e)
{
    const kds_task *task = b->base.device->task;
    double formula = 0, tensor = 0;
    cJSON *work = cJSON_AddObjectToObject(json, "work");
    if (work == NULL)
        return no_memory(e);
    kds_code code = value_of(task->flops, b, &formula, e);
    if (code == KDS_OK)
        code = value_of(task->tensor_flops, b, &tensor, e);
    if (code == KDS_OK && (!kds_json_add_num(work, "formula", formula) ||
                           !kds_json_add_num(work, "counted", t->flops) ||
                           !kds_json_add_num(work, "tensor_formula", tensor) ||
                           !kds_json_add_num(work, "tensor_counted", t->matrix_flops)))
        code = no_memory(e);
    return code;
}

/* Statistics of one output: two passes, because `apart` needs the mean. */
static kds_code add_output(cJSON *list, const sim_part *p, const char *name,
                           const kds_tolerance *tolerance, kds_err *e)
{
    size_t size = kds_dtype_size(p->dtype), count = p->len / size;
    double least = INFINITY, most = -INFINITY, sum = 0, squares = 0;
    size_t finite = 0, apart = 0;
    for (size_t i = 0; i < count; i++) {
        double v = kds_dtype_load(p->dtype, p->data + i * size);
        if (!isfinite(v))
            continue;
        finite++;
        sum += v;
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    double mean = finite > 0 ? sum / (double)finite : 0;
    for (size_t i = 0; i < count; i++) {
        double v = kds_dtype_load(p->dtype, p->data + i * size);
        if (!isfinite(v))
            continue;
        squares += (v - mean) * (v - mean);
        apart += fabs(mean - v) > tolerance->atol + tolerance->rtol * fabs(v);
    }
    cJSON *o = cJSON_CreateObject();
    double n = finite > 0 ? (double)finite : 1;
    if (o == NULL || !cJSON_AddItemToArray(list, o) || !kds_json_add_str(o, "name", name) ||
        !kds_json_add_int(o, "elements", (int64_t)count) ||
        !kds_json_add_int(o, "finite", (int64_t)finite) || !kds_json_add_num(o, "min", least) ||
        !kds_json_add_num(o, "max", most) || !kds_json_add_num(o, "mean", mean) ||
        !kds_json_add_num(o, "std", sqrt(squares / n)) ||
        !kds_json_add_num(o, "apart", count > 0 ? (double)apart / (double)count : 0))
        return no_memory(e);
    return KDS_OK;
}

kds_code sim_prove_outputs(cJSON *json, const sim_bench *b, const kds_outputs *got, kds_err *e)
{
    const kds_task *task = b->base.device->task;
    cJSON *list = cJSON_AddArrayToObject(json, "outputs");
    kds_code code = list != NULL ? KDS_OK : no_memory(e);
    for (int i = 0; i < task->buffer_count && code == KDS_OK; i++)
        if (sim_is_output(task, i) && got->parts[i].buffer >= 0)
            code = add_output(list, &got->parts[i], task->buffers[i].name,
                              &task->buffers[i].tolerance, e);
    return code;
}
