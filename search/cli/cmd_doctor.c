/* `doctor`: what this machine offers, what is missing, and what to do about it. */
#include "search/cli/command.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "eval/compile.h"
#include "eval/cuda/card.h"
#include "eval/cuda/cupti.h"
#include "eval/cuda/nvml.h"
#include "eval/sim/model.h"
#include "eval/sim/sim.h"
#include "eval/worker.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct doctor {
    cJSON *parts;
    kds_table *table;
    bool broken; /* something without which nothing runs */
} doctor;

static void part(doctor *d, const char *name, const char *state, const char *fmt, ...)
    KDS_PRINTF(4, 5);

/* One finding. state: ok, missing (needed), absent (optional). */
static void part(doctor *d, const char *name, const char *state, const char *fmt, ...)
{
    char text[700];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->broken |= strcmp(state, "missing") == 0;
    kds_table_cell(d->table, "%s", name);
    kds_table_cell(d->table, "%s", state);
    kds_table_cell(d->table, "%.390s", text);
    cJSON *o = cJSON_AddObjectToObject(d->parts, name);
    (void)kds_json_add_str(o, "state", state);
    (void)kds_json_add_str(o, "text", text);
}

static void check_nvrtc(doctor *d)
{
    kds_nvrtc *n = NULL;
    kds_err err = {0};
    int major = 0, minor = 0;
    if (kds_nvrtc_open(&n, &err) != KDS_OK) {
        part(d, "nvrtc", "missing", "%s", err.message);
        return;
    }
    kds_nvrtc_version(n, &major, &minor);
    part(d, "nvrtc", major > 12 || (major == 12 && minor >= 8) ? "ok" : "missing",
         "version %d.%d at %s%s", major, minor, kds_nvrtc_path(n),
         major > 12 || (major == 12 && minor >= 8) ? "" : "; CUDA Toolkit 12.8 or newer is needed");
    const char *include = kds_nvrtc_include_dir(n);
    part(d, "cuda headers", include ? "ok" : "missing", "%s",
         include ? include
                 : "cuda_bf16.h was not found beside NVRTC; install the CUDA Toolkit's headers");
    kds_nvrtc_close(n);
}

/* One GPU: what it is, and what NVML says of its state. */
static void check_gpu(doctor *d, const kds_cuda *cuda, const kds_nvml *nvml, int ordinal)
{
    kds_cuda_info g;
    kds_nvml_state s;
    kds_err err = {0};
    char name[32], state[200] = "", throttled[120];
    (void)snprintf(name, sizeof name, "cuda:%d", ordinal);
    if (kds_cuda_look(cuda, ordinal, &g, &err) != KDS_OK) {
        part(d, name, "absent", "%s", err.message);
        return;
    }
    kds_nvml_look(nvml, g.pci, &s);
    kds_nvml_throttle_text(s.throttle, throttled, sizeof throttled);
    if (nvml != NULL)
        (void)snprintf(state, sizeof state,
                       "; clocks now %d and %d MHz%s%s; persistence %s; %d processes use it",
                       s.sm_mhz, s.memory_mhz, *throttled ? ", held by: " : "", throttled,
                       s.persistence == 1 ? "on" : "off", s.processes);
    bool old = g.capability < KDS_CUDA_OLDEST;
    part(d, name, old ? "absent" : "ok",
         "%s, compute capability %d.%d%s, %.1f GiB, %d SMs, %d MHz, L2 %.0f MiB%s", g.name,
         g.capability / 10, g.capability % 10, old ? " (7.5 or newer is needed)" : "",
         (double)g.memory_bytes / (1 << 30), g.sms, g.clock_mhz, (double)g.l2_bytes / (1 << 20),
         state);
}

/* What profiling needs. Nothing is initialised: that takes half a second and a GPU to itself;
 * `bench profile --self-test` tries the counters. */
static void check_counters(doctor *d)
{
    kds_nvrtc *n = NULL;
    kds_cupti *c = NULL;
    kds_err err = {0};
    if (kds_nvrtc_open(&n, NULL) != KDS_OK)
        n = NULL;
    kds_code code = kds_cupti_open(&c, n != NULL ? kds_nvrtc_path(n) : NULL, &err);
    if (code == KDS_OK)
        part(d, "cupti", "ok", "API version %u at %s", (unsigned)c->version, c->path);
    else
        part(d, "cupti", "absent", "%s", err.message);
    int permitted = kds_counters_permitted(KDS_COUNTERS_PARAMS);
    bool root = geteuid() == 0;
    part(d, "counters", permitted == 1 || (permitted == 0 && root) ? "ok" : "absent", "%s",
         permitted == 1  ? "permitted to every user"
         : permitted < 0 ? "no NVIDIA driver tells whether they are permitted (" KDS_COUNTERS_PARAMS
                           ")"
         : root ? "permitted to root, which this is"
                : "forbidden here: " KDS_COUNTERS_ADVICE);
    kds_cupti_close(c);
    kds_nvrtc_close(n);
}

/* What only real devices need. */
static void check_cuda(doctor *d)
{
    kds_cuda *cuda = NULL;
    kds_nvml *nvml = NULL;
    kds_err err = {0};
    int count = 0;
    kds_code code = kds_nvml_open(&nvml, &err);
    part(d, "nvml", code == KDS_OK ? "ok" : "absent", "%s%s%s",
         code == KDS_OK ? "driver " : err.message, kds_nvml_driver(nvml),
         code == KDS_OK ? "" : "; needed to watch clocks of a real GPU");
    code = kds_cuda_open(&cuda, &err);
    if (code == KDS_OK)
        code = kds_cuda_count(cuda, &count, &err);
    if (code == KDS_OK)
        part(d, "cuda driver", "ok", "supports CUDA %d.%d; %d GPU%s", cuda->version / 1000,
             cuda->version % 1000 / 10, count, count == 1 ? "" : "s");
    else
        part(d, "cuda driver", "absent", "%s; only the simulator can be used here", err.message);
    for (int i = 0; code == KDS_OK && i < count; i++)
        check_gpu(d, cuda, nvml, i);
    kds_cuda_close(cuda);
    kds_nvml_close(nvml);
}

static void check_endpoint(doctor *d, const kds_settings *s)
{
    const char *url = kds_settings_text(s, "url"), *key = kds_settings_text(s, "key-env");
    if (!*url) {
        part(d, "endpoint", "absent", "no --url is set; the built-in proposer works without one");
        return;
    }
    const char *value = *key ? getenv(key) : "none needed";
    part(d, "endpoint", value && *value ? "ok" : "absent", "model %s; key %s%s",
         *kds_settings_text(s, "model") ? kds_settings_text(s, "model") : "not set",
         *key ? "in $" : "", *key ? (value && *value ? key : "... is not set") : "none");
}

static kds_code run(const kds_args *args, kds_err *e)
{
    const char *columns[] = {"part", "state", "what", NULL};
    char text[400] = "", gpus[200] = "";
    doctor d = {.parts = cJSON_CreateObject(), .table = kds_table_create(columns)};
    part(&d, "kdasearch", "ok", "version %s", kds_version());
    part(&d, "cores", "ok", "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    check_nvrtc(&d);
    kds_worker_confinement(text, sizeof text);
    part(&d, "confinement", "ok", "%s", text);
    for (const char *const *name = kds_gpu_names(); *name; name++) {
        size_t used = strlen(gpus);
        snprintf(gpus + used, sizeof gpus - used, "%ssim:%s", used ? ", " : "", *name);
    }
    part(&d, "simulator", "ok", "%s, instruction set %s; times are modelled", gpus, kds_sim_isa());
    check_cuda(&d);
    check_counters(&d);
    check_endpoint(&d, args->settings);
    kds_code code = KDS_OK;
    if (args->json)
        code = kds_view_json(d.parts, e);
    else
        kds_table_print(d.table, stdout);
    if (code == KDS_OK && d.broken)
        code = kds_fail(e, KDS_NO_DEVICE, "something that every run needs is missing (see above)");
    kds_table_free(d.table);
    cJSON_Delete(d.parts);
    return code;
}

const kds_command kds_command_doctor = {
    .name = "doctor",
    .operands = "",
    .options = KDS_FOR_RUN,
    .only_shows = true,
    .summary = "what this machine offers and what is missing",
    .help = "Looks for NVRTC, headers, confinement, the simulator, GPUs with their driver and the "
            "endpoint's settings, and\n"
            "says what to do about what is missing. Exits 20 if nothing can run here.",
    .run = run};
