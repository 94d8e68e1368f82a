/* The simulated device: programs, benches and memories. Inputs are generated when a page of them is
 * first touched and kept for the next candidate, so that a row of 300 MB of which a sample of
 * blocks reads 1 MB costs 1 MB. Everything is a pure function of task, seeds and program; what is
 * kept only saves time. */
#include "eval/sim/device_sim.h"
#include "search/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void sim_close(kds_device *d)
{
    free(d);
}

static void sim_unload(kds_program *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < KDS_PLAN_GROUPS; i++)
        kds_sim_module_free(p->modules[i]);
    if (p->bindings != NULL)
        for (int i = 0; i < p->device->base.task->row_count; i++)
            free(p->bindings[i]);
    free(p->bindings);
    free(p);
}

/* Every kernel must be one that the simulator can run: found out before anything runs. */
static bool is_simulated(const kds_program *p, kds_finding *f)
{
    for (int m = 0; m < p->compiled->module_count; m++) {
        const kds_module *module = &p->compiled->modules[m];
        for (int k = 0; k < module->kernel_count; k++) {
            const char *missing = kds_sim_module_missing(p->modules[m], module->kernels[k].lowered);
            if (missing == NULL)
                continue;
            kds_finding_set(f, KDS_VERDICT_NOT_SIMULATED, "safety", 0,
                            "kernel %s uses what the simulator does not have: %s",
                            module->kernels[k].name, missing);
            return false;
        }
    }
    return true;
}

/* What tells time and place is the same in every run of the simulator, so that what depends on it
 * would not show. */
static bool reads_no_clock(const kds_compiled *c, kds_finding *f)
{
    static const char *const varying[] = {"%clock",  "%globaltimer", "%smid",         "%warpid",
                                          "%gridid", "%pm",          "%current_graph"};
    for (int m = 0; m < c->module_count; m++) {
        for (size_t i = 0; i < sizeof varying / sizeof varying[0]; i++) {
            if (strstr(c->modules[m].ptx, varying[i]) == NULL)
                continue;
            kds_finding_set(f, KDS_VERDICT_NONDETERMINISTIC, "safety", 0,
                            "the compiled code reads %s: what a kernel computes must not depend "
                            "on when or where it runs",
                            i < 2 ? (i == 0 ? "a clock (%clock)" : "a clock (%globaltimer)")
                                  : varying[i]);
            return false;
        }
    }
    return true;
}

static kds_code sim_load(kds_device *d, const kds_plan *plan, const kds_compiled *c, bool oracle,
                         kds_program **out, kds_finding *f, kds_err *e)
{
    kds_code code = KDS_OK;
    *out = NULL;
    if (c->module_count != kds_plan_group_count(plan))
        return kds_fail(e, KDS_PROTOCOL, "%d compilations for a plan that has %d", c->module_count,
                        kds_plan_group_count(plan));
    kds_program *p = calloc(1, sizeof *p);
    if (p == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot load a program: out of memory");
    p->device = (sim_device *)d;
    p->plan = plan;
    p->compiled = c;
    p->oracle = oracle;
    p->bindings = calloc((size_t)d->task->row_count + 1, sizeof(kds_binding *));
    if (p->bindings == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "cannot load a program: out of memory");
        goto out;
    }
    for (int i = 0; i < c->module_count; i++) {
        kds_err inner;
        code =
            kds_sim_module_load(&p->modules[i], c->modules[i].ptx, c->modules[i].ptx_len, &inner);
        if (code == KDS_INVALID) {
            kds_finding_set(f, KDS_VERDICT_NOT_SIMULATED, "safety", 0,
                            "the simulator cannot read the compiled code: %s", inner.message);
            code = KDS_OK;
            goto out;
        }
        if (code != KDS_OK) {
            if (e != NULL)
                *e = inner;
            goto out;
        }
    }
    if (!reads_no_clock(c, f) || !is_simulated(p, f))
        goto out;
    *out = p;
    p = NULL;
out:
    sim_unload(p);
    return code;
}

kds_code sim_program_binding(kds_program *p, int row, kds_binding **out, kds_finding *f, kds_err *e)
{
    *out = p->bindings[row];
    if (*out != NULL)
        return KDS_OK;
    kds_binding *b = calloc(1, sizeof *b);
    if (b == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot bind a plan: out of memory");
    kds_code code = kds_plan_bind(p->plan, row, b, f, e);
    if (code != KDS_OK || f->verdict != KDS_VERDICT_OK) {
        free(b);
        return code;
    }
    p->bindings[row] = *out = b;
    return KDS_OK;
}

bool sim_is_output(const kds_task *t, int buffer)
{
    return t->buffers[buffer].role != KDS_ROLE_IN;
}

kds_dtype sim_output_type(const sim_bench *b, const kds_program *p, int buffer)
{
    return p->oracle ? KDS_DTYPE_F64 : b->base.extents[buffer].dtype;
}

/* The chunk with its input, generated if need be; NULL if it may not be kept. */
static unsigned char *input_chunk(sim_input *in, size_t chunk)
{
    if (in->chunks[chunk] != NULL)
        return in->chunks[chunk];
    if (in->device->cached + SIM_CHUNK > SIM_INPUT_CACHE)
        return NULL;
    unsigned char *data = malloc(SIM_CHUNK);
    if (data == NULL)
        return NULL;
    size_t size = kds_dtype_size(in->filler.dtype);
    uint64_t first = (uint64_t)chunk * SIM_CHUNK;
    uint64_t len = in->bytes - first < SIM_CHUNK ? in->bytes - first : SIM_CHUNK;
    kds_filler_write(&in->filler, (int64_t)(first / size), (int64_t)(len / size), data);
    in->device->cached += SIM_CHUNK;
    in->chunks[chunk] = data;
    return data;
}

/* kds_sim_fill of an input. */
static void fill_input(void *user, uint64_t first, uint64_t len, void *out)
{
    sim_input *in = user;
    size_t size = kds_dtype_size(in->filler.dtype);
    unsigned char *to = out;
    while (len > 0) {
        uint64_t within = first % SIM_CHUNK;
        uint64_t part = SIM_CHUNK - within < len ? SIM_CHUNK - within : len;
        const unsigned char *data = input_chunk(in, (size_t)(first / SIM_CHUNK));
        if (data != NULL)
            memcpy(to, data + within, part);
        else
            kds_filler_write(&in->filler, (int64_t)(first / size), (int64_t)(part / size), to);
        to += part;
        first += part;
        len -= part;
    }
}

/* The same as doubles, for a reference that writes the buffer too. */
static void fill_wide_input(void *user, uint64_t first, uint64_t len, void *out)
{
    kds_filler f = ((const sim_input *)user)->filler;
    f.wide = true;
    kds_filler_write(&f, (int64_t)(first / sizeof(double)), (int64_t)(len / sizeof(double)), out);
}

static void sim_teardown(kds_bench *base)
{
    sim_bench *b = (sim_bench *)base;
    if (b == NULL)
        return;
    for (int i = 0; i < SIM_COVERS; i++)
        sim_cover_drop(&b->covers[i]);
    for (int i = 0; i < KDS_BUFFERS_MAX; i++) {
        sim_input *in = &b->inputs[i];
        for (size_t c = 0; in->chunks != NULL && c < in->chunk_count; c++) {
            if (in->chunks[c] != NULL)
                in->device->cached -= SIM_CHUNK;
            free(in->chunks[c]);
        }
        free(in->chunks);
    }
    free(b);
}

static kds_code sim_setup(kds_device *d, int row, uint64_t secret, int regime, kds_bench **out,
                          kds_err *e)
{
    const kds_task *t = d->task;
    kds_code code = KDS_OK;
    uint64_t total = 0;
    sim_bench *b = calloc(1, sizeof *b);
    if (b == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot set up a row: out of memory");
    b->base.device = d;
    b->base.row = &t->rows[row];
    b->base.row_index = row;
    b->secret = secret;
    b->regime = regime;
    for (int i = 0; i < t->buffer_count; i++) {
        kds_extent *x = &b->base.extents[i];
        code = kds_task_extent(t, b->base.row, i, x, e);
        if (code != KDS_OK)
            goto out;
        uint64_t bytes = (uint64_t)x->span * kds_dtype_size(x->dtype);
        total += bytes;
        if (t->buffers[i].role == KDS_ROLE_OUT)
            continue;
        sim_input *in = &b->inputs[i];
        in->device = (sim_device *)d;
        in->filler = kds_task_filler(t, b->base.row, i, x, secret, regime);
        in->bytes = bytes;
        in->chunk_count = (size_t)((bytes + SIM_CHUNK - 1) / SIM_CHUNK);
        in->chunks = calloc(in->chunk_count, sizeof(unsigned char *));
        if (in->chunks == NULL) {
            code = kds_fail(e, KDS_NO_MEMORY, "cannot set up a row: out of memory");
            goto out;
        }
    }
    b->base.sampled = total > SIM_WHOLE_BYTES;
    *out = &b->base;
    b = NULL;
out:
    sim_teardown((kds_bench *)b);
    return code;
}

static kds_code no_room(kds_err *e, const char *name)
{
    return kds_fail(e, KDS_NO_MEMORY, "cannot place buffer %s in the simulator: out of memory",
                    name);
}

kds_code sim_memory_fill(sim_memory *m, sim_bench *b, const kds_binding *binding, bool oracle,
                         uint8_t poison, kds_err *e)
{
    const kds_task *t = b->base.device->task;
    if (m->memory == NULL)
        m->memory = kds_sim_memory_create();
    if (m->memory == NULL)
        return no_room(e, "table");
    for (int i = 0; i < t->buffer_count; i++) {
        const kds_extent *x = &b->base.extents[i];
        bool output = t->buffers[i].role == KDS_ROLE_OUT;
        bool wide = oracle && t->buffers[i].role == KDS_ROLE_INOUT;
        kds_dtype type = oracle && sim_is_output(t, i) ? KDS_DTYPE_F64 : x->dtype;
        char name[160], shape[128];
        kds_extent_name(x, "", x->numel - 1, shape, sizeof shape);
        (void)snprintf(name, sizeof name, "%s (%s, %lld elements, last %s%s)", t->buffers[i].name,
                       kds_dtype_name(type), (long long)x->numel, t->buffers[i].name, shape);
        kds_sim_buffer buffer = {.name = name,
                                 .bytes = (uint64_t)x->span * kds_dtype_size(type),
                                 .read_only = t->buffers[i].role == KDS_ROLE_IN,
                                 .content = output ? KDS_SIM_UNDEFINED : KDS_SIM_DEFINED,
                                 .fill = output ? NULL
                                         : wide ? fill_wide_input
                                                : fill_input,
                                 .user = output ? NULL : &b->inputs[i],
                                 .poison = poison};
        m->buffers[i] = kds_sim_memory_add(m->memory, &buffer);
        if (m->buffers[i] == 0)
            return no_room(e, t->buffers[i].name);
    }
    for (int i = 0; i < binding->scratch_count; i++) {
        const kds_scratch *s = &binding->scratch[i];
        char name[160];
        (void)snprintf(name, sizeof name, "%s (scratch, %s, %lld elements)", s->name,
                       kds_dtype_name(s->dtype), (long long)s->numel);
        kds_sim_buffer buffer = {.name = name,
                                 .bytes = (uint64_t)s->numel * kds_dtype_size(s->dtype),
                                 .content = s->zero ? KDS_SIM_DEFINED : KDS_SIM_UNDEFINED,
                                 .poison = poison};
        m->scratch[i] = kds_sim_memory_add(m->memory, &buffer);
        if (m->scratch[i] == 0)
            return no_room(e, s->name);
    }
    return KDS_OK;
}

void sim_memory_drop(sim_memory *m)
{
    kds_sim_memory_free(m->memory);
    m->memory = NULL;
}

/* Every access is checked as it is made. */
static kds_code sim_intact(const kds_bench *b, kds_finding *f, kds_err *e)
{
    (void)b, (void)f, (void)e;
    return KDS_OK;
}

void kds_device_sim_observe(kds_device *d, kds_sim_observed *o)
{
    ((sim_device *)d)->observed = o;
}

static const kds_device_ops sim_ops = {
    .close = sim_close,
    .load = sim_load,
    .unload = sim_unload,
    .setup = sim_setup,
    .teardown = sim_teardown,
    .run = sim_bench_run,
    .cover = sim_bench_cover,
    .outputs_free = sim_outputs_free,
    .outputs_bytes = sim_outputs_bytes,
    .compare = sim_outputs_compare,
    .complete = sim_outputs_complete,
    .same = sim_outputs_same,
    .intact = sim_intact,
};

/* Everything that results depend on but the task and the candidate, as text. */
static void describe(kds_buf *out, const kds_gpu *g, const char *toolchain)
{
    const kds_sim_latency *l = &g->latency;
    const double rates[] = {g->clock_hz,
                            g->dram_bytes_per_second,
                            g->l2_bytes,
                            g->l2_bytes_per_second,
                            g->l2_write_bytes_per_second,
                            g->l2_write_sectors_per_second,
                            g->issue_per_cycle,
                            g->fp32_per_cycle,
                            g->alu_per_cycle,
                            g->fp16_per_cycle,
                            g->fp64_per_cycle,
                            g->xu_per_cycle,
                            g->lsu_per_cycle,
                            g->tensor_per_cycle,
                            g->l1_lines_per_cycle,
                            g->shared_wavefronts_per_cycle,
                            g->launch_us,
                            g->first_launch_us,
                            g->block_launch_cycles,
                            g->store_drain_cycles,
                            g->blocks_per_cycle,
                            g->soft_max,
                            g->soft_latency,
                            g->l2_write_lines_per_second,
                            g->one_wave_share,
                            l->alu,
                            l->fp32,
                            l->fp64,
                            l->xu,
                            l->shared,
                            l->global_l1,
                            l->global_l2,
                            l->global_dram,
                            l->barrier,
                            l->atomic,
                            l->shuffle,
                            l->tensor};
    const int sizes[] = {g->sms,
                         g->max_threads_per_sm,
                         g->max_blocks_per_sm,
                         g->max_warps_per_sm,
                         g->registers_per_sm,
                         g->l1_bytes,
                         g->shared_per_sm,
                         g->shared_per_block_reserved,
                         g->register_granularity,
                         g->shared_granularity};
    kds_buf_printf(out, "sim %d %s %s %s\n", KDS_MEASURE_VERSION, g->name, g->arch, toolchain);
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        kds_buf_printf(out, "%.17g ", rates[i]);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        kds_buf_printf(out, "%d ", sizes[i]);
}

kds_code kds_device_sim_open(kds_device **out, const char *gpu, const kds_task *t, uint64_t seed,
                             const char *toolchain, kds_err *e)
{
    const kds_gpu *g = kds_gpu_find(gpu);
    if (g == NULL) {
        const char *meant = kds_text_suggest(gpu, kds_gpu_names());
        return kds_fail(e, KDS_USAGE,
                        "the simulator knows no GPU '%s'; it knows h200, h100 and a100%s%s", gpu,
                        meant != NULL ? "; did you mean sim:" : "", meant != NULL ? meant : "");
    }
    kds_buf text;
    kds_buf_init(&text, 64u << 10);
    describe(&text, g, toolchain);
    kds_code code = kds_buf_check(&text, "fingerprint", e);
    sim_device *d = code == KDS_OK ? calloc(1, sizeof *d) : NULL;
    if (code == KDS_OK && d == NULL)
        code = kds_fail(e, KDS_NO_MEMORY, "cannot open the simulator: out of memory");
    if (code == KDS_OK) {
        d->base.ops = &sim_ops;
        d->base.task = t;
        d->base.modelled = true;
        d->base.bytes_per_second = g->dram_bytes_per_second;
        d->base.flops_per_second = kds_gpu_flops(g);
        d->base.tensor_flops_per_second = kds_gpu_tensor_flops(g);
        (void)snprintf(d->base.name, sizeof d->base.name, "sim:%s", g->name);
        {
            kds_id_format(kds_id_of(text.data, text.len), d->base.fingerprint);
            memcpy(d->base.kind, d->base.fingerprint, sizeof d->base.kind);
        }
        d->gpu = g;
        d->seed = seed;
        *out = &d->base;
    }
    kds_buf_free(&text);
    return code;
}
