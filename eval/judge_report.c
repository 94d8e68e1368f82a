/* The report of one candidate as JSON, from what the gate saw. Nothing in it depends on the clock,
 * on addresses or on what was judged before, so that equal inputs give equal bytes. */
#include "eval/descriptor_facts.h"
#include "eval/judge_internal.h"
#include "search/base/lex.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Faster than the roofline allows by more than this is not believed. */
#define ROOFLINE_SLACK 0.98
#define SPEEDUP_BELIEVED 10.0

typedef struct builder {
    const kds_judge *j;
    const kds_judgement *x;
    cJSON *json;
    bool failed; /* out of memory */
} builder;

static bool passed(const builder *b)
{
    return b->x->finding.verdict == KDS_VERDICT_OK;
}

static void need(builder *b, bool added)
{
    if (!added)
        b->failed = true;
}

static cJSON *add_array(builder *b, cJSON *object, const char *key)
{
    cJSON *array = cJSON_AddArrayToObject(object, key);
    need(b, array != NULL);
    return array;
}

static void add_flag(builder *b, const char *flag)
{
    need(b, kds_report_flag(b->json, flag));
}

/* Dims and scalars of a row, as the task's formulas see them. */
typedef struct formula_scope {
    const kds_task *task;
    const kds_row *row;
} formula_scope;

static bool lookup(void *user, const char *name, kds_value *out)
{
    formula_scope *s = user;
    kds_scope dims = s->row->scope;
    if (kds_scope_lookup(&dims, name, out))
        return true;
    int scalar = kds_task_scalar(s->task, name);
    return scalar >= 0 && kds_task_scalar_value(s->task, s->row, scalar, out, NULL) == KDS_OK;
}

/* The time below which no kernel can be, in microseconds; 0 if the task has no formulas. */
static double bound_us(const kds_judge *j, const kds_row *row)
{
    formula_scope scope = {j->task, row};
    const struct {
        const kds_expr *formula;
        double rate;
    } work[] = {{j->task->bytes, j->main.device->bytes_per_second},
                {j->task->flops, j->main.device->flops_per_second},
                {j->task->tensor_flops, j->main.device->tensor_flops_per_second}};
    double most = 0;
    for (size_t i = 0; i < sizeof work / sizeof work[0]; i++) {
        double amount = 0;
        if (work[i].formula == NULL || !(work[i].rate > 0) ||
            kds_expr_eval_double(work[i].formula, lookup, &scope, &amount, NULL) != KDS_OK)
            continue;
        most = amount / work[i].rate > most ? amount / work[i].rate : most;
    }
    return 1e6 * most;
}

static double baseline_us(const builder *b, int row)
{
    double known =
        b->x->rows[row].baseline_us > 0 ? b->x->rows[row].baseline_us : b->j->baseline_us[row];
    return known > 0 ? known : b->x->rows[row].us; /* the baseline itself */
}

/* Six digits of an error: the verdict has been reached with all of them. */
static bool add_error(cJSON *item, const char *key, double error)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", error);
    return kds_json_add_num(item, key, strtod(text, NULL));
}

static void add_errors(builder *b, cJSON *json, const kds_gate_row *r)
{
    cJSON *errors = add_array(b, json, "errors");
    for (int i = 0; i < r->error_count; i++) {
        cJSON *item = cJSON_CreateObject();
        need(b, item != NULL && cJSON_AddItemToArray(errors, item));
        need(b, kds_json_add_str(item, "buffer", b->j->task->buffers[r->errors[i].buffer].name));
        need(b, add_error(item, "max_abs", r->errors[i].max_abs));
        need(b, add_error(item, "rel_rmse", r->errors[i].rel_rmse));
        need(b, add_error(item, "baseline_max_abs", r->errors[i].baseline_max_abs));
    }
}

static void add_times(builder *b, cJSON *json, int row)
{
    const kds_gate_row *r = &b->x->rows[row];
    const kds_row *spec = &b->j->task->rows[row];
    double bound = bound_us(b->j, spec);
    need(b, kds_json_add_num(json, "weight", spec->weight));
    need(b, kds_json_add_num(json, "time_us", r->us));
    need(b, kds_json_add_num(json, "baseline_us", baseline_us(b, row)));
    need(b, kds_json_add_num(json, "bound_us", bound));
    need(b, kds_json_add_bool(json, "modelled", b->j->main.device->modelled));
    need(b, kds_json_add_str(json, "limiter", r->limiter != NULL ? r->limiter : ""));
    if (r->us < ROOFLINE_SLACK * bound)
        add_flag(b, "beyond_roofline");
    if (baseline_us(b, row) > SPEEDUP_BELIEVED * r->us)
        add_flag(b, "above_10x");
}

static void add_row(builder *b, cJSON *rows, int row)
{
    const kds_gate_row *r = &b->x->rows[row];
    const kds_row *spec = &b->j->task->rows[row];
    cJSON *json = cJSON_CreateObject();
    need(b, json != NULL && cJSON_AddItemToArray(rows, json));
    need(b, kds_json_add_str(json, "row", spec->id));
    need(b, kds_json_add_str(json, "set", kds_row_set_name(spec->set)));
    need(b, kds_json_add_str(json, "verdict", kds_verdict_name(r->verdict)));
    if (r->sampled)
        add_flag(b, "sampled");
    if (spec->set == KDS_ROWS_HELD_OUT)
        return;
    need(b, kds_json_add_str(json, "variant", r->variant != NULL ? r->variant : ""));
    need(b, kds_json_add_int(json, "launches", r->launches));
    need(b, kds_json_add_bool(json, "sampled", r->sampled));
    add_errors(b, json, r);
    if (spec->set != KDS_ROWS_PRODUCTION || r->verdict != KDS_VERDICT_OK)
        return;
    if (r->unchecked)
        add_flag(b, "production_unchecked");
    add_times(b, json, row);
}

static double fitness(const builder *b)
{
    double sum = 0, weights = 0;
    for (int row = 0; row < b->j->task->row_count; row++) {
        const kds_row *spec = &b->j->task->rows[row];
        if (spec->set != KDS_ROWS_PRODUCTION || !(b->x->rows[row].us > 0))
            continue;
        sum += spec->weight * log(baseline_us(b, row) / b->x->rows[row].us);
        weights += spec->weight;
    }
    return weights > 0 ? exp(sum / weights) : 1;
}

/* Of the rows as the device counted them. */
static void sum_counters(const builder *b, kds_measures *out)
{
    const kds_task *t = b->j->task;
    const kds_measures *rows[KDS_ROWS_MAX];
    double us[KDS_ROWS_MAX];
    for (int row = 0; row < t->row_count; row++) {
        rows[row] = &b->x->rows[row].counters;
        us[row] = b->x->rows[row].us;
    }
    kds_counters_sum(t, us, rows, out);
}

static void largest(kds_measures *m, const char *name, double value)
{
    double known = kds_measures_get(m, name, 0);
    (void)kds_measures_set(m, name, value > known ? value : known);
}

static void launch_facts(kds_measures *m, const kds_module *module, const kds_launch *l)
{
    const kds_kernel_facts *k = kds_module_kernel(module, l->kernel);
    if (k == NULL)
        return;
    largest(m, "registers", k->registers);
    largest(m, "spill_bytes", k->spill_store_bytes + k->spill_load_bytes);
    largest(m, "static_shared", k->static_shared_bytes);
    largest(m, "dynamic_shared", (double)l->shared_bytes);
    largest(m, "threads", (double)(l->block[0] * l->block[1] * l->block[2]));
}

static double count_tokens(const char *source, size_t len)
{
    kds_lexer lexer;
    double count = 0;
    kds_lexer_init(&lexer, source, len);
    for (kds_token t = kds_lexer_next(&lexer); t.kind != KDS_TOKEN_END; t = kds_lexer_next(&lexer))
        count += t.kind != KDS_TOKEN_COMMENT;
    return count;
}

/* Facts of source, plan and compilation: known whatever the verdict. */
static kds_code collect_facts(const builder *b, kds_measures *m, kds_err *e)
{
    static const char *const names[] = {"registers",      "spill_bytes", "static_shared",
                                        "dynamic_shared", "launches",    "threads"};
    const kds_judgement *x = b->x;
    m->count = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        largest(m, names[i], 0);
    kds_binding *binding = calloc(1, sizeof *binding);
    if (binding == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot collect facts: out of memory");
    kds_code code = KDS_OK;
    for (int row = 0; row < b->j->task->row_count && code == KDS_OK; row++) {
        kds_finding ignored;
        kds_finding_clear(&ignored);
        if (!kds_row_is_profiled(b->j->task, row))
            continue;
        code = kds_plan_bind(x->plan, row, binding, &ignored, e);
        if (code != KDS_OK || ignored.verdict != KDS_VERDICT_OK)
            continue;
        largest(m, "launches", binding->launch_count);
        for (int i = 0; i < binding->launch_count; i++)
            launch_facts(m, &x->compiled->modules[binding->group], &binding->launches[i]);
    }
    free(binding);
    largest(m, "variants", kds_plan_variant_count(x->plan));
    largest(m, "source_bytes", (double)x->len);
    largest(m, "tokens", count_tokens(x->source, x->len));
    for (int i = 0; i < kds_plan_tunable_count(x->plan); i++) {
        const kds_tunable *t = kds_plan_tunable(x->plan, i);
        char name[80];
        (void)snprintf(name, sizeof name, "tunable.%s", t->name);
        (void)kds_measures_set(m, name, (double)t->values[0]);
    }
    return code;
}

static kds_code add_merit(builder *b, const kds_measures *facts, kds_err *e)
{
    kds_measures counters;
    cJSON *descriptor = NULL;
    bool undefined = false;
    double value = fitness(b);
    sum_counters(b, &counters);
    need(b, kds_json_add_num(b->json, "fitness", value));
    need(b, cJSON_AddItemToObject(b->json, "counters", kds_measures_json(&counters)));
    kds_code code =
        counters.count > 0
            ? kds_descriptor_json(b->j->task, &counters, facts, &descriptor, &undefined, e)
            : kds_descriptor_facts_json(facts, b->x->compiled, &descriptor, &undefined, e);
    if (code != KDS_OK)
        return code;
    need(b, cJSON_AddItemToObject(b->json, "descriptor", descriptor));
    if (undefined)
        add_flag(b, "descriptor_undefined");
    if (counters.count == 0)
        add_flag(b, "no_counters");
    if (value > SPEEDUP_BELIEVED)
        add_flag(b, "above_10x");
    return KDS_OK;
}

static void add_head(builder *b)
{
    const kds_finding *f = &b->x->finding;
    need(b, kds_json_add_str(b->json, "verdict", kds_verdict_name(f->verdict)));
    need(b, kds_json_add_str(b->json, "stage", f->stage != NULL ? f->stage : ""));
    need(b, kds_json_add_str(b->json, "message", f->text));
    need(b, kds_json_add_int(b->json, "line", f->line));
    need(b, kds_json_add_str(b->json, "device", b->j->main.device->name));
    if (b->j->main.device->model[0] != '\0')
        need(b, kds_json_add_str(b->json, "model", b->j->main.device->model));
    need(b, kds_json_add_str(b->json, "fingerprint", b->j->main.device->fingerprint));
    (void)add_array(b, b->json, "flags");
    if (b->j->main.device->modelled)
        add_flag(b, "modelled");
    if (b->j->only_safety)
        add_flag(b, "safety_only");
}

kds_code kds_judge_report(const kds_judge *j, const kds_judgement *x, cJSON **out, kds_err *e)
{
    builder b = {.j = j, .x = x};
    kds_measures facts;
    kds_code code = KDS_OK;
    b.json = cJSON_CreateObject();
    if (b.json == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot build a report: out of memory");
    add_head(&b);
    cJSON *rows = add_array(&b, b.json, "rows");
    for (int i = 0; i < x->order_count; i++)
        add_row(&b, rows, x->order[i]);
    code = collect_facts(&b, &facts, e);
    if (code == KDS_OK)
        need(&b, cJSON_AddItemToObject(b.json, "facts", kds_measures_json(&facts)));
    if (code == KDS_OK && passed(&b) && !j->only_safety)
        code = add_merit(&b, &facts, e);
    if (code == KDS_OK && b.failed)
        code = kds_fail(e, KDS_NO_MEMORY, "cannot build a report: out of memory");
    if (code == KDS_OK)
        *out = b.json;
    else
        cJSON_Delete(b.json);
    return code;
}
