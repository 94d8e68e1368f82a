/* Proving one row: the baseline on plain inputs, then once more for each input that is drawn anew
 * and each scalar that is changed, until some output differs by more than its tolerance. What has
 * no effect on plain inputs is tried in the other value regimes. On the simulator a change that
 * leads out of a buffer is a finding, so anything may be changed, and such a finding is an effect
 * too. */
#include "eval/plan.h"
#include "eval/sim/prove.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROVE_SEED 0x6b646170726f7665u /* of the row's inputs: any will do */
#define BUDGET 300000000u /* warp instructions of a launch: some seconds, of matrices a minute */
#define DRAWN 4096        /* elements by which it is told whether an input is random */

typedef struct effect {
    const char *name, *kind;
    int buffer, scalar; /* -1: not one */
    bool shown;
    char change[80], seen[160];
} effect;

typedef struct proving {
    const kds_task *task;
    kds_task *spare;
    const kds_prove_options *o;
    const kds_compiled *compiled;
    kds_nvrtc *nvrtc;
    kds_device *device;
    kds_plan *plan;
    kds_program *program;
    effect effects[KDS_BUFFERS_MAX + KDS_SCALARS_MAX];
    int effect_count;
} proving;

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "cannot prove a row: out of memory");
}

static const char *source_of(const proving *p)
{
    return p->o->kernel == 0 ? p->task->baseline : p->task->seeds[p->o->kernel - 1].source;
}

/* One run of all launches; *out stays NULL where it ends in a finding. */
static kds_code run_once(sim_bench *b, kds_program *p, sim_touched *touched, kds_outputs **out,
                         kds_finding *f, kds_err *e)
{
    kds_binding *binding = NULL;
    sim_memory at = {0};
    kds_finding_clear(f);
    kds_code code = sim_program_binding(p, b->base.row_index, &binding, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK)
        return code;
    code = sim_memory_fill(&at, b, binding, false, 0xff, e);
    for (int i = 0; i < binding->launch_count && code == KDS_OK && f->verdict == KDS_VERDICT_OK;
         i++) {
        kds_sim_result r;
        sim_launch l = {.bench = b,
                        .program = p,
                        .binding = binding,
                        .launch = &binding->launches[i],
                        .at = &at,
                        .check_uninitialised = true};
        code = sim_launch_prepare(&l, f);
        if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
            code = sim_launch_blocks(&l, NULL, 0, BUDGET, false, &r, f, e);
        if (code != KDS_OK || f->verdict != KDS_VERDICT_OK || touched == NULL)
            continue;
        touched->flops += r.flops;
        touched->matrix_flops += r.matrix_flops;
        code = sim_touched_add(touched, b, &at, e);
    }
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK)
        code = sim_outputs_take(out, b, p, &at, e);
    sim_memory_drop(&at);
    return code;
}

/* Where do two runs differ beyond tolerance? `seen` stays empty if they do not. */
static kds_code differ(const proving *p, const kds_bench *b, const kds_outputs *got,
                       const kds_outputs *want, char *seen, size_t size, kds_err *e)
{
    kds_finding missing;
    kds_finding_clear(&missing);
    kds_code done = sim_outputs_complete(b, got, &missing, e);
    if (done != KDS_OK)
        return done;
    if (missing.verdict != KDS_VERDICT_OK)
        (void)snprintf(seen, size, "an output is not written whole");
    for (int i = 0; i < p->task->buffer_count && !seen[0]; i++) {
        kds_errors errors;
        kds_finding f;
        if (!sim_is_output(p->task, i))
            continue;
        const kds_tolerance *t = &p->task->buffers[i].tolerance;
        kds_code code = sim_outputs_compare(b, i, got, want, t, p->task->bitwise, &errors, e);
        if (code != KDS_OK)
            return code;
        kds_finding_clear(&f);
        if (!kds_errors_judge(&errors, NULL, t, &b->extents[i], p->task->buffers[i].name, "before",
                              true, p->task->bitwise, &f))
            (void)snprintf(seen, size, "%s", p->task->buffers[i].name);
    }
    return KDS_OK;
}

/* Does another seed give other values? Told from the first ones. */
static bool is_drawn(const kds_filler *f, const kds_filler *again)
{
    unsigned char a[DRAWN * 8], b[DRAWN * 8];
    int64_t count = f->span < DRAWN ? f->span : DRAWN;
    kds_filler_write(f, 0, count, a);
    kds_filler_write(again, 0, count, b);
    return memcmp(a, b, (size_t)count * kds_dtype_size(f->dtype)) != 0;
}

/* Gives one input other values that its meaning allows where they can be drawn anew; where its fill
 * has only one value for each element, other ones. */
static void change_input(sim_input *in, effect *x)
{
    kds_filler *f = &in->filler, again = *f;
    bool integer =
        f->dtype == KDS_DTYPE_I32 || f->dtype == KDS_DTYPE_I64 || f->dtype == KDS_DTYPE_U8;
    again.seed = kds_hash64(&f->seed, sizeof f->seed, PROVE_SEED);
    if (is_drawn(f, &again)) {
        *f = again;
        (void)snprintf(x->change, sizeof x->change, "other values of its fill");
    } else if (integer) {
        f->shift += 1;
        (void)snprintf(x->change, sizeof x->change, "every element one more");
    } else {
        f->scale *= 1.5;
        f->shift = 1.5 * f->shift + 0.25;
        (void)snprintf(x->change, sizeof x->change, "every element 1.5 times and 0.25 more");
    }
}

/* The run with the change is over: what does it show? */
static kds_code judge_change(const proving *p, effect *x, const kds_bench *b, int regime,
                             const kds_outputs *got, const kds_outputs *want, const kds_finding *f,
                             kds_err *e)
{
    char where[100] = "";
    kds_code code = KDS_OK;
    if (f->verdict != KDS_VERDICT_OK)
        (void)snprintf(where, sizeof where, "the run ends: %s", kds_verdict_name(f->verdict));
    else
        code = differ(p, b, got, want, where, sizeof where, e);
    x->shown = where[0] != '\0';
    if (x->shown)
        (void)snprintf(x->seen, sizeof x->seen, "%s%s%.40s", where, regime > 0 ? ", inputs " : "",
                       regime > 0 ? p->task->regimes[regime].name : "");
    return code;
}

static kds_code try_buffer(proving *p, effect *x, int regime, const kds_outputs *want, kds_err *e)
{
    kds_bench *b = NULL;
    kds_outputs *got = NULL;
    kds_finding f;
    kds_code code = p->device->ops->setup(p->device, p->o->row, PROVE_SEED, regime, &b, e);
    if (code != KDS_OK)
        return code;
    change_input(&((sim_bench *)b)->inputs[x->buffer], x);
    code = run_once((sim_bench *)b, p->program, NULL, &got, &f, e);
    if (code == KDS_OK)
        code = judge_change(p, x, b, regime, got, want, &f, e);
    sim_outputs_free(got);
    p->device->ops->teardown(b);
    return code;
}

/* The entry of the row's names that stands for a scalar. */
static kds_scope_entry *entry_of(kds_row *row, const char *name)
{
    for (int i = 0; i < row->scope.count; i++)
        if (strcmp(row->dims[i].name, name) == 0)
            return &row->dims[i];
    return NULL;
}

#define SCALAR_CHANGES 2

/* The value of a scalar changed in one of SCALAR_CHANGES ways; false if there is no such way. */
static bool changed_value(const kds_scalar_spec *s, kds_value v, int way, kds_value *now,
                          char *text, size_t size)
{
    bool real = s->dtype == KDS_DTYPE_F32 || s->dtype == KDS_DTYPE_F64 ||
                s->dtype == KDS_DTYPE_F16 || s->dtype == KDS_DTYPE_BF16;
    double was = v.is_double ? v.d : (double)v.i;
    if (way > 0 && (real || (s->dtype == KDS_DTYPE_U8 && was < 1)))
        return false;
    *now = real ? kds_value_double(was != 0 ? 1.5 * was : 0.5)
                : kds_value_int((int64_t)was + (way == 0 ? 1 : -1));
    (void)snprintf(text, size, "%.9g instead of %.9g", now->is_double ? now->d : (double)now->i,
                   was);
    return true;
}

static bool has_text(const char *const *all, int count, const char *text)
{
    for (int i = 0; i < count; i++)
        if (strcmp(all[i], text) == 0)
            return true;
    return false;
}

/* The compilation of the task's plan that serves this one too; -1: there is none. */
static int find_group(const kds_plan *plan, const kds_compile_group *wanted)
{
    for (int i = 0; i < kds_plan_group_count(plan); i++) {
        const kds_compile_group *g = kds_plan_group(plan, i);
        bool same = g->define_count == wanted->define_count;
        for (int k = 0; k < wanted->define_count && same; k++)
            same = strcmp(g->defines[k], wanted->defines[k]) == 0;
        for (int k = 0; k < wanted->name_count && same; k++)
            same = has_text(g->names, g->name_count, wanted->names[k]);
        if (same)
            return i;
    }
    return -1;
}

static kds_code compile_again(const proving *p, const kds_plan *plan, kds_compiled **out,
                              kds_finding *f, kds_err *e)
{
    kds_frame job, reply;
    const char *source = source_of(p);
    if (p->nvrtc == NULL)
        return kds_fail(e, KDS_FAILED, "a scalar is compiled in, and there is no compiler");
    kds_frame_init(&job);
    kds_frame_init(&reply);
    kds_code code = kds_compile_job(&job, source, strlen(source), p->o->arch, plan, e);
    if (code == KDS_OK)
        code = kds_compile_run(p->nvrtc, &job, &reply, e);
    if (code == KDS_OK)
        code = kds_compile_reply(out, &reply, f, e);
    kds_frame_free(&job);
    kds_frame_free(&reply);
    return code;
}

/* What the spare task's plan needs, which is of one row: taken from the kernel's compilations, or
 * compiled where a scalar is compiled in. *own is to be freed, *taken to be given to free(). */
static kds_code find_code(const proving *p, const kds_plan *plan, kds_compiled **taken,
                          kds_compiled **own, kds_finding *f, kds_err *e)
{
    int group = kds_plan_group_count(plan) == 1 ? find_group(p->plan, kds_plan_group(plan, 0)) : -1;
    if (group < 0)
        return compile_again(p, plan, own, f, e);
    kds_compiled *c = calloc(1, sizeof *c);
    if (c == NULL)
        return no_memory(e);
    c->module_count = 1;
    c->modules[0] = p->compiled->modules[group]; /* lent */
    *taken = c;
    return KDS_OK;
}

/* Runs the baseline of the spare task, whose only row has a scalar of another value. */
static kds_code run_spare(proving *p, effect *x, int regime, const kds_outputs *want, kds_err *e)
{
    kds_device *device = NULL;
    kds_plan *plan = NULL;
    kds_compiled *own = NULL, *taken = NULL;
    kds_program *program = NULL;
    kds_bench *b = NULL;
    kds_outputs *got = NULL;
    kds_finding f;
    const char *source = source_of(p);
    kds_finding_clear(&f);
    kds_code code = kds_device_open(&device, p->o->device, p->spare, 1, "", e);
    if (code == KDS_OK)
        code = kds_plan_parse(&plan, p->spare, source, strlen(source), NULL, &f, e);
    if (code == KDS_OK && plan != NULL)
        code = find_code(p, plan, &taken, &own, &f, e);
    if (code == KDS_OK && plan != NULL && f.verdict == KDS_VERDICT_OK)
        code = device->ops->load(device, plan, own != NULL ? own : taken, false, &program, &f, e);
    if (code == KDS_OK && program != NULL)
        code = device->ops->setup(device, 0, PROVE_SEED, regime, &b, e);
    if (code == KDS_OK && b != NULL)
        code = run_once((sim_bench *)b, program, NULL, &got, &f, e);
    if (code == KDS_OK)
        code = judge_change(p, x, b, regime, got, want, &f, e);
    sim_outputs_free(got);
    if (device != NULL) {
        device->ops->teardown(b);
        device->ops->unload(program);
    }
    kds_compiled_free(own);
    free(taken);
    kds_plan_free(plan);
    kds_device_close(device);
    return code;
}

static kds_code try_change(proving *p, effect *x, int regime, int way, const kds_outputs *want,
                           kds_err *e)
{
    kds_scalar_spec *s = &p->spare->scalars[x->scalar];
    kds_scope_entry *entry = entry_of(&p->spare->rows[p->o->row], x->name);
    kds_value was;
    char number[64];
    kds_code code = kds_task_scalar_value(p->spare, &p->spare->rows[p->o->row], x->scalar, &was, e);
    if (code != KDS_OK)
        return code;
    kds_value now;
    if (!changed_value(s, was, way, &now, x->change, sizeof x->change))
        return KDS_OK;
    (void)snprintf(number, sizeof number, now.is_double ? "%.17g" : "%.0f",
                   now.is_double ? now.d : (double)now.i);
    kds_expr *changed = NULL, *original = s->value;
    if ((code = kds_expr_parse(&changed, number, strlen(number), e)) != KDS_OK)
        return code;
    const kds_value entry_was = entry != NULL ? entry->value : was;
    kds_row *rows = p->spare->rows;
    int row_count = p->spare->row_count;
    s->value = changed;
    if (entry != NULL)
        entry->value = now;
    p->spare->rows = &rows[p->o->row]; /* what the change does to other rows proves nothing */
    p->spare->row_count = 1;
    code = run_spare(p, x, regime, want, e);
    p->spare->rows = rows;
    p->spare->row_count = row_count;
    s->value = original;
    if (entry != NULL)
        entry->value = entry_was;
    kds_expr_free(changed);
    return code;
}

static kds_code try_scalar(proving *p, effect *x, int regime, const kds_outputs *want, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int way = 0; way < SCALAR_CHANGES && code == KDS_OK && !x->shown; way++)
        code = try_change(p, x, regime, way, want, e);
    return code;
}

static bool uses(const kds_expr *x, const char *name)
{
    for (int i = 0; x != NULL && i < kds_expr_name_count(x); i++)
        if (strcmp(kds_expr_name(x, i), name) == 0)
            return true;
    return false;
}

static bool shapes_buffers(const kds_task *t, const char *name)
{
    for (int i = 0; i < t->buffer_count; i++)
        for (int d = 0; d < t->buffers[i].rank; d++)
            if (uses(t->buffers[i].shape[d], name) || uses(t->buffers[i].strides[d], name))
                return true;
    return false;
}

/* An integer that shapes the buffers, or follows from what does. */
static bool is_size(const kds_task *t, const kds_scalar_spec *s)
{
    if (s->dtype != KDS_DTYPE_I32 && s->dtype != KDS_DTYPE_I64 && s->dtype != KDS_DTYPE_U8)
        return false;
    bool size = shapes_buffers(t, s->name);
    for (int i = 0; i < kds_expr_name_count(s->value); i++)
        size = size || shapes_buffers(t, kds_expr_name(s->value, i));
    return size;
}

/* Is a name in the list of what to change? */
static bool is_asked(const char *list, const char *name)
{
    size_t len = strlen(name);
    if (strcmp(list, KDS_PROVE_ALL) == 0)
        return true;
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    }
    return false;
}

static void list_effects(proving *p)
{
    const kds_task *t = p->task;
    for (int i = 0; i < t->buffer_count; i++)
        if (t->buffers[i].role != KDS_ROLE_OUT && is_asked(p->o->inputs, t->buffers[i].name))
            p->effects[p->effect_count++] =
                (effect){.name = t->buffers[i].name, .kind = "buffer", .buffer = i, .scalar = -1};
    for (int i = 0; i < t->scalar_count; i++) {
        if (!is_asked(p->o->inputs, t->scalars[i].name))
            continue;
        p->effects[p->effect_count++] =
            (effect){.name = t->scalars[i].name,
                     .kind = is_size(t, &t->scalars[i]) ? "size" : "scalar",
                     .buffer = -1,
                     .scalar = i};
    }
}

/* Everything that has not shown an effect yet, in one regime. */
static kds_code try_regime(proving *p, int regime, kds_finding *f, kds_err *e)
{
    kds_bench *b = NULL;
    kds_outputs *want = NULL;
    kds_code code = p->device->ops->setup(p->device, p->o->row, PROVE_SEED, regime, &b, e);
    if (code == KDS_OK)
        code = run_once((sim_bench *)b, p->program, NULL, &want, f, e);
    for (int i = 0; i < p->effect_count && code == KDS_OK && want != NULL; i++) {
        effect *x = &p->effects[i];
        if (x->shown || strcmp(x->kind, "size") == 0)
            continue;
        code =
            x->buffer >= 0 ? try_buffer(p, x, regime, want, e) : try_scalar(p, x, regime, want, e);
    }
    sim_outputs_free(want);
    p->device->ops->teardown(b);
    return code;
}

static bool all_shown(const proving *p)
{
    for (int i = 0; i < p->effect_count; i++)
        if (!p->effects[i].shown && strcmp(p->effects[i].kind, "size") != 0)
            return false;
    return true;
}

static kds_code prove_effects(proving *p, cJSON *json, kds_finding *f, kds_err *e)
{
    kds_code code = KDS_OK;
    list_effects(p);
    for (int r = 0; r < p->task->regime_count && code == KDS_OK && !all_shown(p) &&
                    f->verdict == KDS_VERDICT_OK;
         r++)
        code = try_regime(p, r, f, e);
    cJSON *list = code == KDS_OK ? cJSON_AddArrayToObject(json, "effects") : NULL;
    if (code == KDS_OK && list == NULL)
        code = no_memory(e);
    for (int i = 0; i < p->effect_count && code == KDS_OK; i++) {
        const effect *x = &p->effects[i];
        cJSON *o = cJSON_CreateObject();
        bool ok = o != NULL && cJSON_AddItemToArray(list, o) &&
                  kds_json_add_str(o, "name", x->name) && kds_json_add_str(o, "kind", x->kind) &&
                  kds_json_add_str(o, "change", x->change) && kds_json_add_str(o, "seen", x->seen);
        ok = ok && (strcmp(x->kind, "size") == 0 ? cJSON_AddNullToObject(o, "effect") != NULL
                                                 : kds_json_add_bool(o, "effect", x->shown));
        code = ok ? KDS_OK : no_memory(e);
    }
    return code;
}

/* The kernel on plain inputs of one secret; the baseline is looked at in full on the first one. */
static kds_code prove_secret(proving *p, cJSON *json, bool first, kds_finding *f, kds_err *e)
{
    kds_bench *b = NULL;
    kds_outputs *got = NULL;
    sim_touched touched;
    uint64_t secret = first ? PROVE_SEED : PROVE_SEED + 1;
    memset(&touched, 0, sizeof touched);
    kds_code code = p->device->ops->setup(p->device, p->o->row, secret, 0, &b, e);
    if (code == KDS_OK)
        code = run_once((sim_bench *)b, p->program, &touched, &got, f, e);
    bool ran = got != NULL, baseline = p->o->kernel == 0;
    if (code == KDS_OK && ran && first && baseline)
        code = sim_prove_outputs(json, (sim_bench *)b, got, e);
    if (code == KDS_OK && ran && first && baseline)
        code = sim_prove_traffic(json, (sim_bench *)b, &touched, e);
    if (code == KDS_OK && ran && first)
        code = sim_prove_work(json, (sim_bench *)b, &touched, e);
    if (code == KDS_OK && ran && !first)
        code = sim_prove_again(json, (sim_bench *)b, &touched, e);
    sim_touched_drop(&touched);
    sim_outputs_free(got);
    p->device->ops->teardown(b);
    return code;
}

/* Outputs, traffic and work; on rows that nobody times, whether chance decides what is touched. Of
 * a seed only the work. */
static kds_code prove_plain(proving *p, cJSON *json, kds_finding *f, kds_err *e)
{
    kds_code code = prove_secret(p, json, true, f, e);
    bool production = p->task->rows[p->o->row].set == KDS_ROWS_PRODUCTION;
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK && !production && p->o->kernel == 0)
        code = prove_secret(p, json, false, f, e);
    return code;
}

static kds_code open_proving(proving *p, kds_finding *f, kds_err *e)
{
    const char *source = source_of(p);
    kds_code code = kds_device_open(&p->device, p->o->device, p->task, 1, "", e);
    if (code == KDS_OK)
        code = kds_plan_parse(&p->plan, p->task, source, strlen(source), NULL, f, e);
    if (code == KDS_OK && p->plan != NULL)
        code = p->device->ops->load(p->device, p->plan, p->compiled, false, &p->program, f, e);
    return code;
}

kds_code kds_prove_row(const kds_task *t, kds_task *spare, const kds_prove_options *o,
                       const kds_compiled *compiled, kds_nvrtc *n, cJSON **out, kds_err *e)
{
    proving *p = calloc(1, sizeof *p);
    cJSON *json = cJSON_CreateObject();
    kds_finding f;
    if (p == NULL || json == NULL) {
        free(p);
        cJSON_Delete(json);
        return no_memory(e);
    }
    *p = (proving){.task = t, .spare = spare, .o = o, .compiled = compiled, .nvrtc = n};
    kds_finding_clear(&f);
    kds_code code = open_proving(p, &f, e);
    if (code == KDS_OK && p->program != NULL)
        code = o->inputs != NULL ? prove_effects(p, json, &f, e) : prove_plain(p, json, &f, e);
    if (code == KDS_OK && (!kds_json_add_str(json, "row", t->rows[o->row].id) ||
                           !kds_json_add_str(json, "set", kds_row_set_name(t->rows[o->row].set)) ||
                           !kds_json_add_str(json, "verdict", kds_verdict_name(f.verdict)) ||
                           !kds_json_add_str(json, "message", f.text)))
        code = no_memory(e);
    if (p->device != NULL)
        p->device->ops->unload(p->program);
    kds_plan_free(p->plan);
    kds_device_close(p->device);
    free(p);
    if (code == KDS_OK)
        *out = json;
    else
        cJSON_Delete(json);
    return code;
}

kds_code kds_prove_bytes(const kds_task *t, int row, uint64_t *bytes, kds_err *e)
{
    uint64_t total = 0;
    for (int i = 0; i < t->buffer_count; i++) {
        kds_extent x;
        kds_code code = kds_task_extent(t, &t->rows[row], i, &x, e);
        if (code != KDS_OK)
            return code;
        total += (uint64_t)x.span * kds_dtype_size(x.dtype);
    }
    *bytes = total;
    return KDS_OK;
}
