/* `doctor`: what this machine offers, what is missing, and what to do about it. */
#include "search/cli/command.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "eval/compile.h"
#include "eval/sim/model.h"
#include "eval/sim/sim.h"
#include "eval/worker.h"

#include <dlfcn.h>
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

/* A library that only real devices need. */
static void check_library(doctor *d, const char *name, const char *file, const char *purpose)
{
    void *handle = dlopen(file, RTLD_LAZY | RTLD_LOCAL);
    part(d, name, handle ? "ok" : "absent", "%s: %s", file, handle ? "found" : purpose);
    if (handle)
        dlclose(handle);
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
    check_library(&d, "cuda driver", "libcuda.so.1",
                  "not found; only the simulator can be used here");
    check_library(&d, "nvml", "libnvidia-ml.so.1",
                  "not found; needed to watch clocks of a real GPU");
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
    .help = "Looks for NVRTC, headers, confinement, the simulator, driver libraries and the "
            "endpoint's settings, and\n"
            "says what to do about what is missing. Exits 20 if nothing can run here.",
    .run = run};
