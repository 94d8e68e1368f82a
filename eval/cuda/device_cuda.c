/* A GPU as a device: opening it for one process alone, what results on it depend on, programs and
 * benches. A bench costs nothing here: its inputs are made in the arena when a run needs them. */
#include "eval/cuda/device_cuda.h"
#include "eval/cuda/card_lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAP_BYTES (8u << 20) /* of malloc in kernels: no more than the driver's own default */
#define KEPT_SHARE 0.25       /* of free memory, for kept outputs */
#define LOCK_SECONDS 10.0     /* a worker before us may still be ending */

uint64_t cuda_draw(cuda_device *d)
{
    unsigned char bytes[16];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(d->seed >> (8 * i));
        bytes[8 + i] = (unsigned char)(d->draws >> (8 * i));
    }
    d->draws++;
    return kds_hash64(bytes, sizeof bytes, 0);
}

bool cuda_is_output(const kds_task *t, int buffer)
{
    return t->buffers[buffer].role != KDS_ROLE_IN;
}

kds_code cuda_settle(cuda_device *d, const char *what, kds_err *e)
{
    bool late = false;
    kds_code code = kds_card_wait(d->card, 30, &late, e);
    if (code == KDS_OK && late)
        code = kds_fail(e, KDS_DEVICE_LOST, "%s did not end within 30 s", what);
    return code;
}

static void cuda_close(kds_device *base)
{
    cuda_device *d = (cuda_device *)base;
    if (!base->spoilt) {
        if (d->card != NULL)
            cuda_stage_drop(d);
        (void)cuda_duels_drop(d);
        if (d->card != NULL)
            cuda_outputs_drop_spares(d);
        kds_helpers_close(d->helpers);
        kds_card_close(d->card);
    }
    kds_nvml_close(d->nvml);
    kds_cuda_close(d->cuda);
    kds_nvrtc_close(d->nvrtc);
    if (d->lock >= 0)
        close(d->lock);
    free(d);
}

static void cuda_unload(kds_program *p)
{
    if (p == NULL)
        return;
    if (p->row >= 0 && !p->device->base.spoilt)
        kds_gpu_code_unload(&p->code);
    free(p);
}

static kds_code cuda_load(kds_device *base, const kds_plan *plan, const kds_compiled *c,
                          bool oracle, kds_program **out, kds_finding *f, kds_err *e)
{
    (void)f;
    *out = NULL;
    if (c->module_count != kds_plan_group_count(plan))
        return kds_fail(e, KDS_PROTOCOL, "%d compilations for a plan that has %d", c->module_count,
                        kds_plan_group_count(plan));
    kds_program *p = calloc(1, sizeof *p);
    if (p == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot load a program: out of memory");
    p->device = (cuda_device *)base;
    p->plan = plan;
    p->compiled = c;
    p->oracle = oracle;
    p->row = -1;
    *out = p;
    return KDS_OK;
}

static void cuda_teardown(kds_bench *base)
{
    cuda_bench *b = (cuda_bench *)base;
    if (b == NULL)
        return;
    cuda_device *d = (cuda_device *)base->device;
    if (d->stage.bench == b)
        d->stage.bench = NULL;
    free(b);
}

static kds_code cuda_setup(kds_device *base, int row, uint64_t secret, int regime, kds_bench **out,
                           kds_err *e)
{
    const kds_task *t = base->task;
    cuda_bench *b = calloc(1, sizeof *b);
    if (b == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot set up a row: out of memory");
    b->base.device = base;
    b->base.row = &t->rows[row];
    b->base.row_index = row;
    b->secret = secret;
    b->regime = regime;
    for (int i = 0; i < t->buffer_count; i++) {
        kds_extent *x = &b->base.extents[i];
        kds_code code = kds_task_extent(t, b->base.row, i, x, e);
        if (code != KDS_OK) {
            free(b);
            return code;
        }
        if (t->buffers[i].role != KDS_ROLE_OUT)
            b->fillers[i] = kds_task_filler(t, b->base.row, i, x, secret, regime);
    }
    *out = &b->base;
    return KDS_OK;
}

static const kds_device_ops cuda_ops = {
    .close = cuda_close,
    .load = cuda_load,
    .unload = cuda_unload,
    .setup = cuda_setup,
    .teardown = cuda_teardown,
    .run = cuda_run,
    .cover = cuda_cover,
    .outputs_free = cuda_outputs_free,
    .outputs_bytes = cuda_outputs_bytes,
    .compare = cuda_outputs_compare,
    .complete = cuda_outputs_complete,
    .same = cuda_outputs_same,
    .intact = cuda_stage_intact,
    .time = cuda_time,
    .duel = cuda_duel,
};

/* What one multiprocessor does in a cycle, by compute capability; tensor work on 16-bit numbers
 * with sums in 32 bits. The most that any GPU of that capability does, because it is a bound. */
static void rates_of(int capability, double *flops, double *tensor)
{
    static const struct {
        int from;
        double flops, tensor;
    } rates[] = {
        {100, 256, 8192}, {90, 256, 4096}, {86, 256, 2048}, {80, 128, 2048}, {0, 128, 1024}};
    size_t i = 0;
    while (capability < rates[i].from)
        i++;
    *flops = rates[i].flops;
    *tensor = rates[i].tensor;
}

static kds_code set_roofline(cuda_device *d, kds_err *e)
{
    const kds_cuda_info *info = &d->card->info;
    double flops, tensor, per_second = 1e6 * info->clock_mhz * info->sms;
    int bits = 0;
    kds_code code = kds_cuda_check(
        d->cuda, d->cuda->device_attribute(&bits, KDS_CUDA_DEVICE_MEMORY_BUS_BITS, info->device), e,
        "asking for the width of a GPU's memory");
    rates_of(info->capability, &flops, &tensor);
    d->base.bytes_per_second = 2e6 * info->memory_clock_mhz * bits / 8;
    d->base.flops_per_second = flops * per_second;
    d->base.tensor_flops_per_second = tensor * per_second;
    return code;
}

/* Everything that results depend on but the task and the candidate; the card itself comes last. */
static kds_code set_fingerprint(cuda_device *d, const char *toolchain, kds_err *e)
{
    const kds_cuda_info *info = &d->card->info;
    kds_nvml_state state;
    kds_buf text;
    kds_nvml_look(d->nvml, info->pci, &state);
    kds_buf_init(&text, 64u << 10);
    kds_buf_printf(&text, "cuda %d %s cuda %d driver %s %s\n", KDS_MEASURE_VERSION, info->name,
                   d->cuda->version, d->nvml != NULL ? kds_nvml_driver(d->nvml) : "", toolchain);
    kds_buf_printf(&text, "clocks %d %d of %d %d\n", info->clock_mhz, info->memory_clock_mhz,
                   state.sm_max_mhz, state.memory_max_mhz);
    size_t shared = text.len;
    kds_buf_puts(&text, info->uuid);
    kds_code code = kds_buf_check(&text, "fingerprint", e);
    if (code == KDS_OK) {
        kds_id_format(kds_id_of(text.data, shared), d->base.kind);
        kds_id_format(kds_id_of(text.data, text.len), d->base.fingerprint);
    }
    kds_buf_free(&text);
    return code;
}

static kds_code open_card(cuda_device *d, int ordinal, kds_err *e)
{
    kds_cuda_info info;
    size_t free_bytes = 0, total = 0;
    kds_code code = kds_nvrtc_open(&d->nvrtc, e);
    if (code == KDS_OK)
        code = kds_cuda_open(&d->cuda, e);
    if (code == KDS_OK)
        code = kds_cuda_look(d->cuda, ordinal, &info, e);
    if (code == KDS_OK)
        code = kds_card_lock(&info, LOCK_SECONDS, &d->lock, e);
    if (code == KDS_OK)
        code = kds_card_open(&d->card, d->cuda, ordinal, e);
    if (code == KDS_OK)
        code =
            kds_cuda_check(d->cuda, d->cuda->context_limit(KDS_CUDA_LIMIT_MALLOC_HEAP, HEAP_BYTES),
                           e, "limiting the heap of kernels");
    if (code == KDS_OK)
        code = kds_helpers_open(&d->helpers, d->card, d->nvrtc, e);
    if (code == KDS_OK)
        code = kds_cuda_check(d->cuda, d->cuda->memory_info(&free_bytes, &total), e,
                              "asking for free memory");
    if (code == KDS_OK && kds_nvml_open(&d->nvml, NULL) != KDS_OK)
        d->nvml = NULL; /* optional */
    d->base.kept_bytes = (size_t)(KEPT_SHARE * (double)free_bytes);
    return code;
}

kds_code kds_device_cuda_open(kds_device **out, const char *spec, const kds_task *t, uint64_t seed,
                              const char *toolchain, kds_err *e)
{
    int ordinal = 0;
    kds_code code = kds_cuda_ordinal(spec, &ordinal, e);
    if (code != KDS_OK)
        return code;
    cuda_device *d = calloc(1, sizeof *d);
    if (d == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot open a GPU: out of memory");
    d->base.ops = &cuda_ops;
    d->base.task = t;
    d->lock = -1;
    d->seed = seed;
    (void)snprintf(d->base.name, sizeof d->base.name, "cuda:%d", ordinal);
    code = open_card(d, ordinal, e);
    if (code == KDS_OK) {
        (void)snprintf(d->base.model, sizeof d->base.model, "%s", d->card->info.name);
        code = set_roofline(d, e);
    }
    if (code == KDS_OK)
        code = set_fingerprint(d, toolchain, e);
    if (code == KDS_OK)
        *out = &d->base;
    else
        cuda_close(&d->base);
    return code;
}

kds_code kds_device_cuda_arch(const char *spec, char *out, size_t size, kds_err *e)
{
    kds_cuda *cuda = NULL;
    kds_cuda_info info;
    int ordinal = 0;
    kds_code code = kds_cuda_ordinal(spec, &ordinal, e);
    if (code == KDS_OK)
        code = kds_cuda_open(&cuda, e);
    if (code == KDS_OK)
        code = kds_cuda_look(cuda, ordinal, &info, e);
    if (code == KDS_OK && info.capability < KDS_CUDA_OLDEST)
        code = kds_fail(e, KDS_NO_DEVICE,
                        "%s is a %s of compute capability %d.%d; 7.5 or newer is needed", spec,
                        info.name, info.capability / 10, info.capability % 10);
    if (code == KDS_OK) /* from 9.0 on, what is new is in the architecture's own variant alone */
        (void)snprintf(out, size, "%s%s", info.arch, info.capability >= 90 ? "a" : "");
    kds_cuda_close(cuda);
    return code;
}
