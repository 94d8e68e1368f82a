// Asynchronous copies of the Ampere kind: the pipeline primitives, cp.async in inline assembly with
// groups of several stages, zero fill at the tail, cache operators.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline.h>
#include <cstdint>

// Two stages by the primitives of cuda_pipeline.h.
extern "C" __global__ __launch_bounds__(64) void pipeline_two_stages(const float4 *x, float4 *y, int tiles)
{
    __shared__ float4 s[2][64];
    const int t0 = blockIdx.x, step = gridDim.x;
    int stage = 0;
    if (t0 < tiles)
        __pipeline_memcpy_async(&s[0][threadIdx.x], x + t0 * 64 + threadIdx.x, 16);
    __pipeline_commit();
    for (int t = t0; t < tiles; t += step) {
        if (t + step < tiles)
            __pipeline_memcpy_async(&s[stage ^ 1][threadIdx.x], x + (t + step) * 64 + threadIdx.x, 16);
        __pipeline_commit();
        __pipeline_wait_prior(1);
        __syncthreads();
        const float4 a = s[stage][threadIdx.x], b = s[stage][63 - threadIdx.x];
        y[t * 64 + threadIdx.x] = make_float4(a.x + b.w, a.y + b.z, a.z + b.y, a.w + b.x);
        __syncthreads();
        stage ^= 1;
    }
}

// Bytes beyond the end are zeroed by the copy itself.
extern "C" __global__ void pipeline_zero_fill(const float *x, float *sums, int n)
{
    __shared__ __align__(16) float s[128 * 4];
    const int first = (blockIdx.x * 128 + threadIdx.x) * 4, here = max(0, min(4, n - first));
    __pipeline_memcpy_async(s + threadIdx.x * 4, here > 0 ? x + first : x, 16, 16 - here * 4);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    if (threadIdx.x < 32) {
        float t = 0;
        for (int i = threadIdx.x; i < 512; i += 32)
            t += s[i];
        for (int o = 16; o; o >>= 1)
            t += __shfl_xor_sync(~0u, t, o);
        if (threadIdx.x == 0)
            sums[blockIdx.x] = t;
    }
}

__device__ __forceinline__ uint32_t smem(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }
#define CP_ASYNC_CG(to, from, size) asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(size) : "memory")
#define CP_ASYNC_CA4(to, from) asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(to), "l"(from) : "memory")
#define CP_COMMIT() asm volatile("cp.async.commit_group;" ::: "memory")
#define CP_WAIT(n) asm volatile("cp.async.wait_group %0;" :: "n"(n) : "memory")

// A GEMM with three stages in flight: 16 x 32 of the result by 128 threads.
template <int STAGES> __device__ void gemm_stages(const __half *a, const __half *b, float *c, int m, int n, int k)
{
    __shared__ __align__(16) __half as[STAGES][16][32], bs[STAGES][32][32];
    const int tid = threadIdx.x, tiles = (k + 31) / 32;
    auto fetch = [&](int t) {
        if (t < tiles) {
            const int stage = t % STAGES;
            if (tid < 64) {
                const int r = tid / 4, q = tid % 4 * 8, row = blockIdx.y * 16 + r, col = t * 32 + q;
                const bool in = row < m && col < k;
                CP_ASYNC_CG(smem(&as[stage][r][q]), in ? a + row * k + col : a, in ? 16 : 0);
            }
            const int r = tid / 4, q = tid % 4 * 8, row = t * 32 + r, col = blockIdx.x * 32 + q;
            const bool in = row < k && col < n;
            CP_ASYNC_CG(smem(&bs[stage][r][q]), in ? b + row * n + col : b, in ? 16 : 0);
        }
        CP_COMMIT();
    };
    for (int t = 0; t < STAGES - 1; t++)
        fetch(t);
    float acc[4] = {};
    const int col = tid % 32, row0 = tid / 32 * 4;
    for (int t = 0; t < tiles; t++) {
        CP_WAIT(STAGES - 2);
        __syncthreads();
        fetch(t + STAGES - 1);
        const int stage = t % STAGES;
#pragma unroll 8
        for (int i = 0; i < 32; i++) {
            const float v = __half2float(bs[stage][i][col]);
#pragma unroll
            for (int p = 0; p < 4; p++)
                acc[p] = fmaf(__half2float(as[stage][row0 + p][i]), v, acc[p]);
        }
    }
    CP_WAIT(0);
    for (int p = 0; p < 4; p++)
        if (blockIdx.y * 16 + row0 + p < m && blockIdx.x * 32 + col < n)
            c[(blockIdx.y * 16 + row0 + p) * n + blockIdx.x * 32 + col] = acc[p];
}

extern "C" __global__ __launch_bounds__(128) void gemm_cp_async(const __half *a, const __half *b, float *c, int m, int n, int k) { gemm_stages<3>(a, b, c, m, n, k); }

// A transposing gather, four bytes a copy, waited for with wait_all.
extern "C" __global__ void gather_cp_async(const uint32_t *x, const int *index, uint32_t *y, int n)
{
    extern __shared__ uint32_t s[];
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        CP_ASYNC_CA4(smem(s + threadIdx.x), x + index[i]);
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    const int other = blockDim.x - 1 - threadIdx.x, j = blockIdx.x * blockDim.x + other;
    if (j < n)
        y[j] = s[other] + 1;
}

// A moving average over a row: four stages, each with its own group, a halo carried along.
extern "C" __global__ __launch_bounds__(32) void stream_window(const double *x, double *y, int n)
{
    __shared__ __align__(16) double s[4][64];
    const int chunks = n / 64;
    const double *row = x + (size_t)blockIdx.x * n;
    for (int c = 0; c < 3; c++) {
        if (c < chunks)
            CP_ASYNC_CG(smem(&s[c][threadIdx.x * 2]), row + c * 64 + threadIdx.x * 2, 16);
        CP_COMMIT();
    }
    double before = 0.0;
    for (int c = 0; c < chunks; c++) {
        if (c + 3 < chunks)
            CP_ASYNC_CG(smem(&s[(c + 3) & 3][threadIdx.x * 2]), row + (c + 3) * 64 + threadIdx.x * 2, 16);
        CP_COMMIT();
        CP_WAIT(3);
        __syncwarp();
        const double *t = s[c & 3];
        for (int i = threadIdx.x; i < 64; i += 32)
            y[(size_t)blockIdx.x * n + c * 64 + i] = 0.5 * (t[i] + (i > 0 ? t[i - 1] : before));
        before = t[63];
        __syncwarp();
    }
}
