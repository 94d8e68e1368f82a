// One block per row, read twice: the maximum first, then the sum of the exponentials. No dependence from element to
// element but the addition; the second read comes from the L2.
#include <cuda_bf16.h>

#pragma kda tune THREADS = 512, 256, 128, 1024
#pragma kda tune VEC = 8, 4, 2
#pragma kda tune UNROLL = 4, 1, 2
#pragma kda variant vectors when(V % VEC == 0)
#pragma kda launch entropy_vectors(x, target, loss, V) grid(M) block(THREADS)
#pragma kda variant any
#pragma kda launch entropy_any(x, target, loss, V) grid(M) block(THREADS)

#define LOG2E 1.44269504f

#if VEC == 8
typedef uint4 Vector;
#elif VEC == 4
typedef uint2 Vector;
#else
typedef unsigned int Vector;
#endif

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

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

__device__ __forceinline__ void finish(float most, float sum, float *part, float chosen, float *loss)
{
    const int lane = threadIdx.x % 32;
    sum = warp_sum(sum);
    if (lane == 0)
        part[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = warp_sum(lane < THREADS / 32 ? part[lane] : 0.0f);
    if (threadIdx.x == 0)
        *loss = logf(sum) + (most - chosen);
}

__global__ void __launch_bounds__(THREADS)
    entropy_vectors(const __nv_bfloat16 *__restrict__ x, const long long *__restrict__ target,
                    float *__restrict__ loss, int V)
{
    __shared__ float part[2][32];
    const long long wanted = target[blockIdx.x];
    const __nv_bfloat16 *row = x + (size_t)blockIdx.x * V;
    const Vector *in = reinterpret_cast<const Vector *>(row);
    float most = -INFINITY, sum = 0.0f;
    if (wanted < 0) {
        if (threadIdx.x == 0)
            loss[blockIdx.x] = 0.0f;
        return;
    }
#pragma unroll UNROLL
    for (int c = threadIdx.x; c < V / VEC; c += THREADS) {
        const Vector v = in[c];
        const unsigned int *word = reinterpret_cast<const unsigned int *>(&v);
#pragma unroll
        for (int i = 0; i < VEC / 2; i++)
            most = fmaxf(most, fmaxf(low(word[i]), high(word[i])));
    }
    most = block_max(most, part[0]);
#pragma unroll UNROLL
    for (int c = threadIdx.x; c < V / VEC; c += THREADS) {
        const Vector v = in[c];
        const unsigned int *word = reinterpret_cast<const unsigned int *>(&v);
#pragma unroll
        for (int i = 0; i < VEC / 2; i++)
            sum += exp2f((low(word[i]) - most) * LOG2E) + exp2f((high(word[i]) - most) * LOG2E);
    }
    finish(most, sum, part[1], __bfloat162float(row[wanted]), loss + blockIdx.x);
}

__global__ void __launch_bounds__(THREADS)
    entropy_any(const __nv_bfloat16 *__restrict__ x, const long long *__restrict__ target, float *__restrict__ loss,
                int V)
{
    __shared__ float part[2][32];
    const long long wanted = target[blockIdx.x];
    const __nv_bfloat16 *row = x + (size_t)blockIdx.x * V;
    float most = -INFINITY, sum = 0.0f;
    if (wanted < 0) {
        if (threadIdx.x == 0)
            loss[blockIdx.x] = 0.0f;
        return;
    }
#pragma unroll UNROLL
    for (int i = threadIdx.x; i < V; i += THREADS)
        most = fmaxf(most, __bfloat162float(row[i]));
    most = block_max(most, part[0]);
#pragma unroll UNROLL
    for (int i = threadIdx.x; i < V; i += THREADS)
        sum += exp2f((__bfloat162float(row[i]) - most) * LOG2E);
    finish(most, sum, part[1], __bfloat162float(row[wanted]), loss + blockIdx.x);
}
