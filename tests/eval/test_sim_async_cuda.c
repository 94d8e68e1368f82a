/* Asynchronous copies as CUDA C++ writes them, through NVRTC for three architectures: the pipeline
 * primitives, cuda::pipeline, cuda::barrier, cooperative groups, bulk copies in inline PTX. */
#include "tests/eval/sim_nvrtc.h"

#define THREADS 128
#define TILES 6

static const char source[] =
    "#include <cuda/barrier>\n"
    "#include <cuda/pipeline>\n"
    "#include <cooperative_groups.h>\n"
    "#include <cooperative_groups/memcpy_async.h>\n"
    "#include <cuda_pipeline.h>\n"
    "namespace cg = cooperative_groups;\n"
    "using block_barrier = cuda::barrier<cuda::thread_scope_block>;\n"
    "#define T threadIdx.x\n"
    /* Three stages by the primitives; STAGES_LEFT is what a wait leaves pending. */
    "template<int LEFT> __device__ void staged(const float4 *in, float *out, int tiles) {\n"
    "  __shared__ float4 s[3][128];\n"
    "  for (int k = 0; k < 2; k++) {\n"
    "    __pipeline_memcpy_async(&s[k][T], in + 128 * k + T, 16); __pipeline_commit(); }\n"
    "  float sum = 0;\n"
    "  for (int k = 0; k < tiles; k++) {\n"
    "    __pipeline_wait_prior(LEFT); __syncthreads();\n"
    "    if (k + 2 < tiles)\n"
    "      __pipeline_memcpy_async(&s[(k + 2) % 3][T], in + 128 * (k + 2) + T, 16);\n"
    "    __pipeline_commit();\n"
    "    sum += s[k % 3][127 - T].x;\n"
    "  }\n"
    "  out[T] = sum;\n}\n"
    "extern \"C\" __global__ void primitives(const float4 *in, float *out, int tiles) {\n"
    "  staged<1>(in, out, tiles); }\n"
    "extern \"C\" __global__ void primitives_wrong(const float4 *in, float *out, int tiles) {\n"
    "  staged<2>(in, out, tiles); }\n"
    "template<int N, class P> __device__ float drain(P &p, const float4 *in, int tiles,\n"
    "                                                float4 (*s)[128], cg::thread_block b) {\n"
    "  float sum = 0;\n"
    "  for (int k = 0, next = 0; k < tiles; k++) {\n"
    "    for (; next < tiles && next < k + N; next++) {\n"
    "      p.producer_acquire();\n"
    "      cuda::memcpy_async(b, s[next % N], in + 128 * next, sizeof s[0], p);\n"
    "      p.producer_commit(); }\n"
    "    p.consumer_wait();\n"
    "    sum += s[k % N][127 - T].x;\n"
    "    p.consumer_release();\n"
    "  }\n"
    "  return sum;\n}\n"
    "extern \"C\" __global__ void shared_pipeline(const float4 *in, float *out, int tiles) {\n"
    "  __shared__ float4 s[2][128];\n"
    "  __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;\n"
    "  auto b = cg::this_thread_block();\n"
    "  auto p = cuda::make_pipeline(b, &state);\n"
    "  out[T] = drain<2>(p, in, tiles, s, b);\n}\n"
    "extern \"C\" __global__ void groups(const float4 *in, float *out, int tiles) {\n"
    "  __shared__ float4 s[2][128];\n"
    "  auto b = cg::this_thread_block();\n"
    "  float sum = 0;\n"
    "  cg::memcpy_async(b, s[0], in, sizeof s[0]);\n"
    "  for (int k = 0; k < tiles; k++) {\n"
    "    if (k + 1 < tiles) {\n"
    "      cg::memcpy_async(b, s[(k + 1) % 2], in + 128 * (k + 1), sizeof s[0]);\n"
    "      cg::wait_prior<1>(b); }\n"
    "    else cg::wait(b);\n"
    "    sum += s[k % 2][127 - T].x;\n"
    "    b.sync();\n"
    "  }\n"
    "  out[T] = sum;\n}\n"
    "extern \"C\" __global__ void each_thread(const float4 *in, float *out, int tiles) {\n"
    "  __shared__ float4 s[128];\n"
    "  __shared__ block_barrier bar;\n"
    "  if (T == 0) init(&bar, blockDim.x);\n"
    "  __syncthreads();\n"
    "  float sum = 0;\n"
    "  for (int k = 0; k < tiles; k++) {\n"
    "    cuda::memcpy_async(s + T, in + 128 * k + T, cuda::aligned_size_t<16>(16), bar);\n"
    "    bar.arrive_and_wait();\n"
    "    sum += s[127 - T].x;\n"
    "    bar.arrive_and_wait();\n"
    "  }\n"
    "  out[T] = sum;\n}\n"
    "extern \"C\" __global__ void one_thread(const float4 *in, float *out, int tiles) {\n"
    "  __shared__ alignas(128) float4 s[128];\n"
    "  __shared__ block_barrier bar;\n"
    "  if (T == 0) init(&bar, blockDim.x);\n"
    "  __syncthreads();\n"
    "  float sum = 0;\n"
    "  for (int k = 0; k < tiles; k++) {\n"
    "    if (T == 0) cuda::memcpy_async(s, in + 128 * k, cuda::aligned_size_t<16>(sizeof s), "
    "bar);\n"
    "    bar.wait(bar.arrive());\n"
    "    sum += s[127 - T].x;\n"
    "    __syncthreads();\n"
    "  }\n"
    "  out[T] = sum;\n}\n"
    "";

static const char bulk_source[] =
    "#define T threadIdx.x\n"
    "__device__ unsigned shared_address(const void *p) { return __cvta_generic_to_shared(p); }\n"
    "__device__ void await(unsigned bar, unsigned parity) {\n"
    "  asm volatile(\"{ .reg .pred p; W: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], "
    "%1;\\n\"\n"
    "               \"@p bra D; bra W; D: }\" :: \"r\"(bar), \"r\"(parity) : \"memory\"); }\n"
    "extern \"C\" __global__ void specialised(const float4 *in, float *out, int tiles) {\n"
    "  __shared__ alignas(128) float4 s[2][128];\n"
    "  __shared__ alignas(16) float sums[128];\n"
    "  __shared__ alignas(8) unsigned long long full[2], empty[2];\n"
    "  if (T == 0) {\n"
    "    for (int k = 0; k < 2; k++) {\n"
    "      asm volatile(\"mbarrier.init.shared::cta.b64 [%0], 1;\" :: \"r\"(shared_address(full + "
    "k)));\n"
    "      asm volatile(\"mbarrier.init.shared::cta.b64 [%0], 3;\" :: \"r\"(shared_address(empty + "
    "k)));\n"
    "    }\n"
    "    asm volatile(\"fence.mbarrier_init.release.cluster;\" ::: \"memory\");\n"
    "  }\n"
    "  __syncthreads();\n"
    "  if (T < 32) {\n"
    "    if (T == 0) for (int k = 0; k < tiles; k++) {\n"
    "      unsigned f = shared_address(full + k % 2);\n"
    "      await(shared_address(empty + k % 2), k / 2 % 2 ^ 1);\n"
    "      asm volatile(\"mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\"\n"
    "                   :: \"r\"(f), \"r\"(2048) : \"memory\");\n"
    "      asm volatile(\"cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes\"\n"
    "                   \" [%0], [%1], %2, [%3];\" :: \"r\"(shared_address(s[k % 2])),\n"
    "                   \"l\"(in + 128 * k), \"r\"(2048), \"r\"(f) : \"memory\");\n"
    "    }\n"
    "  } else {\n"
    "    float first = 0, second = 0;\n"
    "    for (int k = 0; k < tiles; k++) {\n"
    "      await(shared_address(full + k % 2), k / 2 % 2);\n"
    "      first += s[k % 2][127 - T].x; second += s[k % 2][159 - T].x;\n"
    "      __syncwarp();\n"
    "      if (T % 32 == 0) asm volatile(\"mbarrier.arrive.shared::cta.b64 _, [%0];\"\n"
    "          :: \"r\"(shared_address(empty + k % 2)) : \"memory\");\n"
    "    }\n"
    "    sums[T] = first; if (T < 64) sums[T - 32] = second;\n"
    "#ifndef NO_FENCE\n"
    "    asm volatile(\"fence.proxy.async.shared::cta;\" ::: \"memory\");\n"
    "#endif\n"
    "  }\n"
    "  __syncthreads();\n"
    "  if (T == 0) asm volatile(\n"
    "    \"cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], 512; "
    "cp.async.bulk.commit_group;\"\n"
    "    \"cp.async.bulk.wait_group.read 0;\" :: \"l\"(out), \"r\"(shared_address(sums)) : "
    "\"memory\");\n"
    "}\n"
    "";

static kds_sim_result run(const kds_sim_module *m, const char *kernel, const char *isa, float *out)
{
    static float in[TILES * THREADS * 4];
    kds_sim_memory *memory = kds_sim_memory_create();
    struct {
        uint64_t in, out;
        int32_t tiles;
    } p = {add_buffer(memory, "in", sizeof in, KDS_SIM_DEFINED, true),
           add_buffer(memory, "out", THREADS * 4, KDS_SIM_UNDEFINED, false), TILES};
    const kds_sim_options o = {.check_uninitialised = true, .budget = 10000000, .isa = isa};
    const char *missing = kds_sim_module_missing(m, kernel);
    if (missing != NULL)
        fail_msg("%s: %s", kernel, missing);
    for (int k = 0; k < TILES * THREADS * 4; k++)
        in[k] = (float)(k * 37 % 1024);
    assert_true(kds_sim_memory_write(memory, p.in, sizeof in, in));
    kds_sim_result r = launch(m, kernel, 1, THREADS, 0, &p, 20, memory, &o);
    assert_true(kds_sim_memory_read(memory, p.out, THREADS * 4, out, NULL));
    kds_sim_memory_free(memory);
    return r;
}

static void check_sums(const kds_sim_module *m, const char *kernel, const char *arch)
{
    float out[THREADS];
    for (int isa = 0; isa < 2; isa++) {
        kds_sim_result r = run(m, kernel, instruction_sets()[isa], out);
        if (r.status != KDS_SIM_OK)
            fail_msg("%s for %s: %s", kernel, arch, r.report);
        for (int t = 0; t < THREADS; t++) {
            float want = 0;
            for (int tile = 0; tile < TILES; tile++)
                want += (float)((tile * THREADS + 127 - t) * 4 * 37 % 1024);
            assert_true(out[t] == want);
        }
    }
}

static void libraries_give_right_sums(void **state)
{
    static const char *const kernels[] = {"primitives", "shared_pipeline", "groups", "each_thread",
                                          "one_thread"};
    for (size_t a = 0; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(*state, source, archs[a]);
        for (size_t k = 0; k < COUNT(kernels); k++)
            check_sums(m, kernels[k], archs[a]);
        kds_sim_module_free(m);
    }
}

static void warps_take_turns_with_bulk_copies(void **state)
{
    static const char *const all[] = {"compute_90", "compute_90a", "compute_100"};
    for (size_t a = 0; a < COUNT(all); a++) {
        kds_sim_module *m = compile(*state, bulk_source, all[a]);
        check_sums(m, "specialised", all[a]);
        kds_sim_module_free(m);
    }
}

static void a_wait_too_few_is_found(void **state)
{
    float out[THREADS];
    for (size_t a = 0; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(*state, source, archs[a]);
        kds_sim_result r = run(m, "primitives_wrong", NULL, out);
        assert_int_equal(r.status, KDS_SIM_ASYNC);
        assert_non_null(strstr(r.report, "may still write"));
        kds_sim_module_free(m);
    }
}

/* What warps sum up and one thread copies out without the fence that the copy needs. */
static void a_missing_proxy_fence_is_found(void **state)
{
    static char text[sizeof bulk_source + 32];
    float out[THREADS];
    snprintf(text, sizeof text, "#define NO_FENCE\n%s", bulk_source);
    for (size_t a = 1; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(*state, text, archs[a]);
        kds_sim_result r = run(m, "specialised", NULL, out);
        assert_int_equal(r.status, KDS_SIM_ASYNC);
        assert_non_null(strstr(r.report, "no fence.proxy.async since"));
        kds_sim_module_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libraries_give_right_sums),
        cmocka_unit_test(warps_take_turns_with_bulk_copies),
        cmocka_unit_test(a_wait_too_few_is_found),
        cmocka_unit_test(a_missing_proxy_fence_is_found),
    };
    return cmocka_run_group_tests(tests, open_compiler, NULL);
}
