// Tiles of 32 rows of 128 come into shared memory by cp.async, four of them in turn; 8 lanes per row.
#include <cuda_bf16.h>

#pragma kda variant rows128 when(N == 128)
#pragma kda launch rms_async(x, w, y, M, eps) grid(ceil_div(M, 128)) block(256)
#pragma kda variant any
#pragma kda launch rms_warp(x, w, y, M, N, eps) grid(ceil_div(M, 8)) block(256)

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

__device__ __forceinline__ unsigned int pack(float a, float b)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    return *reinterpret_cast<const unsigned int *>(&pair);
}

__global__ void __launch_bounds__(256)
    rms_async(const __nv_bfloat16 *x, const __nv_bfloat16 *w, __nv_bfloat16 *y, int M, float eps)
{
    __shared__ uint4 tile[4][32][16];
    const int first = blockIdx.x * 128;
#pragma unroll
    for (int t = 0; t < 4; t++) {
#pragma unroll
        for (int i = threadIdx.x; i < 512; i += 256) {
            const int row = first + t * 32 + i / 16;
            if (row < M)
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                                 (unsigned int)__cvta_generic_to_shared(&tile[t][i / 16][i % 16])),
                             "l"(x + (size_t)row * 128 + i % 16 * 8)
                             : "memory");
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    const int lane = threadIdx.x % 8, line = threadIdx.x / 8;
#pragma unroll
    for (int t = 0; t < 4; t++) {
        if (t == 0)
            asm volatile("cp.async.wait_group 3;" ::: "memory");
        else if (t == 1)
            asm volatile("cp.async.wait_group 2;" ::: "memory");
        else if (t == 2)
            asm volatile("cp.async.wait_group 1;" ::: "memory");
        else
            asm volatile("cp.async.wait_group 0;" ::: "memory");
        __syncthreads();
        const int row = first + t * 32 + line;
        uint4 v[2] = {};
        float sum = 0.0f;
        if (row < M) {
            v[0] = tile[t][line][lane];
            v[1] = tile[t][line][lane + 8];
        }
        const unsigned int *word = reinterpret_cast<const unsigned int *>(v);
#pragma unroll
        for (int i = 0; i < 8; i++)
            sum = fmaf(low(word[i]), low(word[i]), fmaf(high(word[i]), high(word[i]), sum));
        for (int offset = 4; offset > 0; offset /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        const float scale = rsqrtf(sum * (1.0f / 128) + eps);
        if (row >= M)
            continue;
#pragma unroll
        for (int k = 0; k < 2; k++) {
            const uint4 g = reinterpret_cast<const uint4 *>(w)[lane + 8 * k];
            const unsigned int weight[4] = {g.x, g.y, g.z, g.w};
            unsigned int out[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
                out[i] = pack(low(word[4 * k + i]) * scale * low(weight[i]),
                              high(word[4 * k + i]) * scale * high(weight[i]));
            reinterpret_cast<uint4 *>(y + (size_t)row * 128)[lane + 8 * k] =
                make_uint4(out[0], out[1], out[2], out[3]);
        }
    }
}

__global__ void __launch_bounds__(256)
    rms_warp(const __nv_bfloat16 *x, const __nv_bfloat16 *w, __nv_bfloat16 *y, int M, int N, float eps)
{
    const size_t row = blockIdx.x * 8ull + threadIdx.x / 32;
    if (row >= M)
        return;
    float sum = 0.0f;
    for (int i = threadIdx.x % 32; i < N; i += 32) {
        const float v = __bfloat162float(x[row * N + i]);
        sum = fmaf(v, v, sum);
    }
    for (int offset = 16; offset > 0; offset /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    const float scale = rsqrtf(sum / N + eps);
    for (int i = threadIdx.x % 32; i < N; i += 32)
        y[row * N + i] = __float2bfloat16_rn(__bfloat162float(x[row * N + i]) * scale * __bfloat162float(w[i]));
}
