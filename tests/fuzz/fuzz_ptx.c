/* Fuzzing the simulator: any bytes are loaded as PTX; if they load, the kernels of the module run
 * with two blocks of 64 threads, a tiny budget and two small buffers: plain and traced, with race
 * detection, as a cluster, as a cooperative launch, on two cores, in both instruction sets. Nothing
 * may crash, hang, leak or read outside its own memory. clang -fsanitize=fuzzer,address,undefined
 * tests/fuzz/fuzz_ptx.c eval/sim/... */
#include "eval/sim/module.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_kernel(const kds_sim_module *m, const kds_kernel *k, kds_sim_options o)
{
    static const uint32_t grid[3] = {2, 1, 1}, block[3] = {64, 1, 1};
    kds_sim_memory *memory = kds_sim_memory_create();
    if (memory == NULL)
        return;
    kds_sim_buffer x = {.name = "x", .bytes = 4096, .read_only = true, .content = KDS_SIM_DEFINED};
    kds_sim_buffer y = {.name = "y", .bytes = 4096, .content = KDS_SIM_UNDEFINED, .poison = 0xcd};
    uint64_t params[64] = {kds_sim_memory_add(memory, &x), kds_sim_memory_add(memory, &y), 32, 1};
    kds_sim_result r;
    o.budget = 3000;
    o.check_uninitialised = true;
    size_t len = k->param_bytes < sizeof params ? k->param_bytes : sizeof params;
    for (int dynamic = 0; dynamic < 2; dynamic++)
        if (kds_sim_launch(m, k->name, grid, block, dynamic != 0 ? 1024 : 0, params, len, memory,
                           &o, &r, NULL) != KDS_OK)
            break;
    kds_sim_memory_free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const kds_sim_latency latency = {.alu = 4, .global_dram = 500, .barrier = 20};
    static const kds_sim_options ways[] = {
        {.latency = &latency}, {.isa = "baseline"},
        {.check_races = true}, {.check_races = true, .cluster = {2, 1, 1}, .isa = "baseline"},
        {.cooperative = true}, {.threads = 2},
    };
    kds_sim_module *m = NULL;
    kds_err e;
    if (kds_sim_module_load(&m, (const char *)data, size, &e) != KDS_OK)
        return 0;
    for (uint32_t i = 0; i < m->kernel_count && i < 2; i++)
        for (size_t w = 0; m->kernels[i].missing == NULL && w < sizeof ways / sizeof *ways; w++)
            run_kernel(m, &m->kernels[i], ways[w]);
    kds_sim_module_free(m);
    return 0;
}
