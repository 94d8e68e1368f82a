// One block per row, which is read once into shared memory and worked on there; rows beyond 96 KiB are read again from
// the L2 instead. With VALUES the exponentials are kept as floats (twice the memory), else computed twice.
#include <cuda_bf16.h>

#pragma kda tune THREADS = 256, 128, 512, 1024
#pragma kda tune VALUES = 0, 1
#pragma kda variant staged when(N <= 24576)
#pragma kda launch staged_row<1>(x, y, N, scale * 1.4426950408889634) grid(M) block(THREADS) smem(N * (VALUES ? 4 : 2))
#pragma kda variant any
#pragma kda launch staged_row<0>(x, y, N, scale * 1.4426950408889634) grid(M) block(THREADS)

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

__device__ __forceinline__ float block_max(float value, float *part)
{
    const int lane = threadIdx.x % 32;
    value = warp_max(value);
    if (lane == 0)
        part[threadIdx.x / 32] = value;
    __syncthreads();
    return warp_max(lane < THREADS / 32 ? part[lane] : -INFINITY);
}

__device__ __forceinline__ float block_sum(float value, float *part)
{
    const int lane = threadIdx.x % 32;
    value = warp_sum(value);
    if (lane == 0)
        part[threadIdx.x / 32] = value;
    __syncthreads();
    return warp_sum(lane < THREADS / 32 ? part[lane] : 0.0f);
}

template <int STAGED>
__global__ void __launch_bounds__(THREADS) staged_row(const __nv_bfloat16 *x, __nv_bfloat16 *y, int N, float factor)
{
    extern __shared__ float4 memory[];
    __shared__ float part[2][32];
    float *value = reinterpret_cast<float *>(memory);
    __nv_bfloat16 *kept = reinterpret_cast<__nv_bfloat16 *>(memory);
    const __nv_bfloat16 *in = x + (size_t)blockIdx.x * N;
    __nv_bfloat16 *out = y + (size_t)blockIdx.x * N;
    float most = -INFINITY, sum = 0.0f;
#pragma unroll 4
    for (int i = threadIdx.x; i < N; i += THREADS) {
        const __nv_bfloat16 v = in[i];
        most = fmaxf(most, __bfloat162float(v));
        if (STAGED && VALUES)
            value[i] = __bfloat162float(v);
        else if (STAGED)
            kept[i] = v;
    }
    most = block_max(most, part[0]);
    for (int i = threadIdx.x; i < N; i += THREADS) { // each thread meets its own elements again
        const float v = STAGED && VALUES ? value[i] : __bfloat162float(STAGED ? kept[i] : in[i]);
        const float e = exp2f((v - most) * factor);
        sum += e;
        if (STAGED && VALUES)
            value[i] = e;
    }
    const float inverse = 1.0f / block_sum(sum, part[1]);
    for (int i = threadIdx.x; i < N; i += THREADS) {
        const float e = STAGED && VALUES
                            ? value[i]
                            : exp2f((__bfloat162float(STAGED ? kept[i] : in[i]) - most) * factor);
        out[i] = __float2bfloat16_rn(e * inverse);
    }
}
