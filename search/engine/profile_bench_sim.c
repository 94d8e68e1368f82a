/* The simulator's counters of a kernel on a row, to be laid beside the hardware's: of the same
 * inputs. */
#include "search/engine/profile_bench_internal.h"

#include "eval/cuda/gpu_row.h"

#include <unistd.h>

#define SIM_SEED 1 /* draws the blocks of rows that are too large to be run whole */

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

static kds_code run(profile_bench *x, int kernel, int row, cJSON *entry, kds_finding *f, kds_err *e)
{
    const kds_device_ops *ops = x->sim->ops;
    kds_program *p = NULL;
    kds_bench *bench = NULL;
    kds_run_result result = {.launches = 0};
    kds_run_options o = {.poison = 0xff, .timed = true};
    const gpu_entry *k = &x->b.entries[kernel];
    kds_code code = ops->load(x->sim, k->plan, k->compiled, false, &p, f, e);
    if (code == KDS_OK && p != NULL)
        code = ops->setup(x->sim, row, KDS_GPU_INPUT_SEED, 0, &bench, e);
    if (code == KDS_OK && p != NULL)
        code = ops->run(bench, p, &o, &result, NULL, f, e);
    if (code == KDS_OK && f->verdict == KDS_VERDICT_OK &&
        !(cJSON_AddItemToObject(entry, "sim", kds_measures_json(&result.counters)) &&
          kds_json_add_bool(entry, "sampled", bench->sampled)))
        code = no_memory(e);
    if (bench != NULL)
        ops->teardown(bench);
    if (p != NULL)
        ops->unload(p);
    return code;
}

kds_code profile_simulate(profile_bench *x, int kernel, int row, cJSON *entry, kds_err *e)
{
    kds_finding f;
    kds_code code = KDS_OK;
    kds_finding_clear(&f);
    if (!x->o->compare_sim)
        return KDS_OK;
    if (x->sim == NULL) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        code = kds_device_open(&x->sim, "sim", x->b.task, SIM_SEED, "", e);
        if (code == KDS_OK)
            x->sim->threads = cores < 1 ? 1 : cores > 64 ? 64 : (int)cores;
    }
    if (code == KDS_OK)
        code = run(x, kernel, row, entry, &f, e);
    if (code == KDS_OK && f.verdict != KDS_VERDICT_OK &&
        !kds_json_add_str(entry, "sim_message", f.text))
        code = no_memory(e);
    return code;
}
