/* The report of a benchmark on a GPU: what was measured on what, kernel by kernel, row by row. */
#include "search/engine/gpu_bench_internal.h"

#include "eval/cuda/nvml.h"
#include "search/base/clock.h"
#include "search/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

int gpu_report_registers(const kds_compiled *c)
{
    int most = 0;
    for (int m = 0; c != NULL && m < c->module_count; m++)
        for (int k = 0; k < c->modules[m].kernel_count; k++)
            if (c->modules[m].kernels[k].registers > most)
                most = c->modules[m].kernels[k].registers;
    return most;
}

bool gpu_report_finding(cJSON *o, const kds_finding *f)
{
    return kds_json_add_str(o, "verdict", kds_verdict_name(f->verdict)) &&
           (f->verdict == KDS_VERDICT_OK ||
            (kds_json_add_str(o, "stage", f->stage) && kds_json_add_int(o, "line", f->line) &&
             kds_json_add_str(o, "message", f->text)));
}

static bool add_device(cJSON *report, const kds_cuda_info *g, int version)
{
    kds_nvml *n = NULL;
    char cuda[32];
    cJSON *o = cJSON_AddObjectToObject(report, "device");
    if (kds_nvml_open(&n, NULL) != KDS_OK)
        n = NULL;
    (void)snprintf(cuda, sizeof cuda, "%d.%d", version / 1000, version % 1000 / 10);
    bool good = o != NULL && kds_json_add_str(o, "name", g->name) &&
                kds_json_add_str(o, "arch", g->arch) && kds_json_add_str(o, "uuid", g->uuid) &&
                kds_json_add_str(o, "driver", kds_nvml_driver(n)) &&
                kds_json_add_str(o, "cuda", cuda) && kds_json_add_int(o, "sms", g->sms) &&
                kds_json_add_int(o, "memory_bytes", g->memory_bytes) &&
                kds_json_add_int(o, "l2_bytes", g->l2_bytes) &&
                kds_json_add_int(o, "clock_mhz", g->clock_mhz) &&
                kds_json_add_int(o, "memory_clock_mhz", g->memory_clock_mhz);
    kds_nvml_close(n);
    return good;
}

bool gpu_report_head(gpu_bench *b, const char *kind, int driver_version)
{
    char date[40];
    kds_clock_format(kds_clock_wall_ms(), date, sizeof date);
    cJSON *r = b->report = cJSON_CreateObject();
    return r != NULL && kds_json_add_int(r, "format", 1) && kds_json_add_str(r, "kind", kind) &&
           kds_json_add_str(r, "task", b->task->name) &&
           kds_json_add_str(r, "task_dir", b->o->task_dir) &&
           kds_json_add_id(r, "task_hash", b->task->hash) && kds_json_add_str(r, "date", date) &&
           add_device(r, &b->info, driver_version);
}

kds_code gpu_report_begin(gpu_bench *b, int driver_version, kds_err *e)
{
    bool good = gpu_report_head(b, "measured", driver_version) &&
                kds_json_add_str(b->report, "method",
                                 "median over visits; a visit is a graph of launches behind a "
                                 "delay kernel, rotating over sets of buffers") &&
                kds_json_add_int(b->report, "seed", (int64_t)b->o->seed) &&
                (b->skipped = cJSON_AddArrayToObject(b->report, "rows_skipped")) != NULL &&
                (b->list = cJSON_AddArrayToObject(b->report, "kernels")) != NULL;
    return good ? KDS_OK : no_memory(e);
}

kds_code gpu_report_kernels(gpu_bench *b, kds_err *e)
{
    for (int i = 0; i < b->kernels.count; i++) {
        const kds_gpu_kernel *k = &b->kernels.items[i];
        gpu_entry *x = &b->entries[i];
        cJSON *tune = cJSON_Duplicate(k->tune_json, true);
        x->json = cJSON_CreateObject();
        if (x->json == NULL || !cJSON_AddItemToArray(b->list, x->json) || tune == NULL ||
            !cJSON_AddItemToObject(x->json, "tune", tune) ||
            !kds_json_add_str(x->json, "file", k->file) ||
            !kds_json_add_id(x->json, "id", kds_id_of(k->source, k->len)) ||
            !kds_json_add_str(x->json, "source", k->source) ||
            !gpu_report_finding(x->json, &x->f) ||
            !kds_json_add_int(x->json, "registers", gpu_report_registers(x->compiled)) ||
            (x->rows = cJSON_AddArrayToObject(x->json, "rows")) == NULL)
            return no_memory(e);
    }
    return KDS_OK;
}

kds_code gpu_report_write(const gpu_bench *b, kds_err *e)
{
    if (b->o->out == NULL)
        return KDS_OK;
    char *text = kds_json_print_pretty(b->report);
    kds_code code =
        text != NULL ? kds_file_write_atomic(b->o->out, text, strlen(text), e) : no_memory(e);
    free(text);
    return code;
}

void gpu_report_tell(gpu_bench *b, int i, const char *row, const cJSON *o)
{
    const kds_gpu_kernel *k = &b->kernels.items[i];
    kds_gpu_bench_note n = {.done = b->done,
                            .total = b->total,
                            .row = row,
                            .file = k->file,
                            .tune = k->tune,
                            .message = kds_json_str(o, "message", ""),
                            .us = kds_json_num(o, "us", 0),
                            .spread = kds_json_num(o, "spread", 0)};
    if (!kds_verdict_parse(kds_json_str(o, "verdict", ""), &n.verdict))
        n.verdict = KDS_VERDICT_DEVICE_FAULT;
    if (b->o->note != NULL)
        b->o->note(b->o->user, &n);
}
