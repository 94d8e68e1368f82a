// A warp per row of any length, single elements, read three times; eight rows per block.
#include <cuda_bf16.h>

#pragma kda launch softmax_warps(x, y, M, N, scale * 1.4426950408889634) grid(ceil_div(M, 8)) block(256)

__device__ __forceinline__ float warp_max(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
    return value;
}

__device__ __forceinline__ float warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__global__ void __launch_bounds__(256)
    softmax_warps(const __nv_bfloat16 *x, __nv_bfloat16 *y, int M, int N, float factor)
{
    const size_t row = blockIdx.x * 8ull + threadIdx.x / 32;
    if (row >= M)
        return;
    float most = -INFINITY, sum = 0.0f;
#pragma unroll 4
    for (int i = threadIdx.x % 32; i < N; i += 32)
        most = fmaxf(most, __bfloat162float(x[row * N + i]));
    most = warp_max(most);
#pragma unroll 4
    for (int i = threadIdx.x % 32; i < N; i += 32)
        sum += exp2f((__bfloat162float(x[row * N + i]) - most) * factor);
    const float inverse = 1.0f / warp_sum(sum);
#pragma unroll 4
    for (int i = threadIdx.x % 32; i < N; i += 32)
        y[row * N + i] = __float2bfloat16_rn(exp2f((__bfloat162float(x[row * N + i]) - most) * factor) * inverse);
}
