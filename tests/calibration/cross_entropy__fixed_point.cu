// Two passes by many blocks per row that meet in global atomics: the maximum of a row as an ordered integer, then the sum
// in 64-bit fixed point, which is the same in any order.
#include <cuda_bf16.h>

#pragma kda scratch zero most : i32[M]
#pragma kda scratch zero sum : i64[M]
#pragma kda launch entropy_most(x, most, V, ceil_div(V, 4096)) grid(M * ceil_div(V, 4096)) block(256)
#pragma kda launch entropy_sum(x, most, sum, V, ceil_div(V, 4096)) grid(M * ceil_div(V, 4096)) block(256)
#pragma kda launch entropy_loss(x, target, most, sum, loss, M, V) grid(ceil_div(M, 128)) block(128)

// Numbers in their order, above 0.
__device__ __forceinline__ unsigned int ordered(float v)
{
    const unsigned int bits = __float_as_uint(v);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float plain(unsigned int o)
{
    return __uint_as_float(o & 0x80000000u ? o & 0x7fffffffu : ~o);
}

__global__ void __launch_bounds__(256) entropy_most(const __nv_bfloat16 *x, unsigned int *most, int V, int parts)
{
    const int row = blockIdx.x / parts, begin = blockIdx.x % parts * 4096;
    float top = -INFINITY;
    for (int i = begin + threadIdx.x; i < min(V, begin + 4096); i += 256)
        top = fmaxf(top, __bfloat162float(x[(size_t)row * V + i]));
    for (int offset = 16; offset > 0; offset /= 2)
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, offset));
    if (threadIdx.x % 32 == 0)
        atomicMax(most + row, ordered(top));
}

__global__ void __launch_bounds__(256)
    entropy_sum(const __nv_bfloat16 *x, const unsigned int *most, unsigned long long *sum, int V, int parts)
{
    const int row = blockIdx.x / parts, begin = blockIdx.x % parts * 4096;
    const float top = plain(most[row]);
    float all = 0.0f;
    for (int i = begin + threadIdx.x; i < min(V, begin + 4096); i += 256)
        all += __expf(__bfloat162float(x[(size_t)row * V + i]) - top);
    for (int offset = 16; offset > 0; offset /= 2)
        all += __shfl_xor_sync(0xffffffffu, all, offset);
    if (threadIdx.x % 32 == 0)
        atomicAdd(sum + row, (unsigned long long)((double)all * 1099511627776.0));
}

__global__ void __launch_bounds__(128)
    entropy_loss(const __nv_bfloat16 *x, const long long *target, const unsigned int *most,
                 const unsigned long long *sum, float *loss, int M, int V)
{
    const int row = blockIdx.x * 128 + threadIdx.x;
    if (row >= M)
        return;
    const long long wanted = target[row];
    const float all = (float)((double)sum[row] / 1099511627776.0);
    loss[row] = wanted < 0 ? 0.0f : logf(all) + (plain(most[row]) - __bfloat162float(x[(size_t)row * V + wanted]));
}
