// One block per row of any length, read twice: maximum and sum in the online form, then the quotients. The second read
// of a row comes from the L2, or from the L1 if the row is short.
#include <cuda_bf16.h>

#pragma kda tune VEC = 8, 4, 2
#pragma kda tune THREADS = 256, 128, 512, 1024
#pragma kda tune HINT = 0, 1
#pragma kda variant vectors when(N % VEC == 0)
#pragma kda launch online_vectors(x, y, N / VEC, scale * 1.4426950408889634) grid(M) block(THREADS)
#pragma kda variant any
#pragma kda launch online_any(x, y, N, scale * 1.4426950408889634) grid(M) block(THREADS)

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

__device__ __forceinline__ unsigned int pack(float a, float b)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    return *reinterpret_cast<const unsigned int *>(&pair);
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

// Maximum and sum of exp2((v - maximum) * factor) over what was added.
struct Running {
    float most, sum;

    __device__ __forceinline__ void raise(float value, float factor)
    {
        if (value > most) {
            sum *= exp2f((most - value) * factor);
            most = value;
        }
    }

    // Over the block, in every thread.
    __device__ __forceinline__ void join(float factor)
    {
        __shared__ float part[2][32];
        const int lane = threadIdx.x % 32;
        float all = warp_max(most);
        if (lane == 0)
            part[0][threadIdx.x / 32] = all;
        __syncthreads();
        all = warp_max(lane < THREADS / 32 ? part[0][lane] : -INFINITY);
        sum = warp_sum(sum * exp2f((most - all) * factor));
        most = all;
        if (lane == 0)
            part[1][threadIdx.x / 32] = sum;
        __syncthreads();
        sum = warp_sum(lane < THREADS / 32 ? part[1][lane] : 0.0f);
    }
};

__global__ void __launch_bounds__(THREADS)
    online_vectors(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, int chunks, float factor)
{
    const Vector *in = reinterpret_cast<const Vector *>(x) + (size_t)blockIdx.x * chunks;
    Vector *out = reinterpret_cast<Vector *>(y) + (size_t)blockIdx.x * chunks;
    Running r = {-INFINITY, 0.0f};
#pragma unroll 2
    for (int c = threadIdx.x; c < chunks; c += THREADS) {
        const Vector v = in[c];
        const unsigned int *word = reinterpret_cast<const unsigned int *>(&v);
        float most = fmaxf(low(word[0]), high(word[0]));
#pragma unroll
        for (int i = 1; i < VEC / 2; i++)
            most = fmaxf(most, fmaxf(low(word[i]), high(word[i])));
        r.raise(most, factor);
#pragma unroll
        for (int i = 0; i < VEC / 2; i++)
            r.sum += exp2f((low(word[i]) - r.most) * factor) + exp2f((high(word[i]) - r.most) * factor);
    }
    r.join(factor);
    const float inverse = 1.0f / r.sum;
#pragma unroll 2
    for (int c = threadIdx.x; c < chunks; c += THREADS) {
        Vector v = in[c];
        unsigned int *word = reinterpret_cast<unsigned int *>(&v);
#pragma unroll
        for (int i = 0; i < VEC / 2; i++)
            word[i] = pack(exp2f((low(word[i]) - r.most) * factor) * inverse,
                           exp2f((high(word[i]) - r.most) * factor) * inverse);
        if (HINT)
            __stcs(out + c, v);
        else
            out[c] = v;
    }
}

__global__ void __launch_bounds__(THREADS)
    online_any(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, int N, float factor)
{
    const size_t base = (size_t)blockIdx.x * N;
    Running r = {-INFINITY, 0.0f};
    for (int i = threadIdx.x; i < N; i += THREADS) {
        const float v = __bfloat162float(x[base + i]);
        r.raise(v, factor);
        r.sum += exp2f((v - r.most) * factor);
    }
    r.join(factor);
    const float inverse = 1.0f / r.sum;
    for (int i = threadIdx.x; i < N; i += THREADS)
        y[base + i] = __float2bfloat16_rn(exp2f((__bfloat162float(x[base + i]) - r.most) * factor) * inverse);
}
