// A group that fits waits in a block's shared memory between the sums and the application, so that it is read once; larger
// ones go by two launches with chunks of 16384, and every block of the second adds up its group's partial sums by itself.
#include <cuda_fp16.h>

#pragma kda tune THREADS = 1024, 512
#pragma kda tune HINT = 0, 1
#pragma kda variant staged when(S % 8 == 0 && C / G * S <= 98304)
#pragma kda launch staged_norm(x, w, b, y, C / G, S, G, eps) grid(B * G) block(THREADS) smem(2 * (C / G) * S)
#pragma kda variant chunks when(S % 8 == 0 && B * G <= 65535)
#pragma kda scratch part : f32[2 * B * G * ceil_div(C / G * S, 16384)]
#pragma kda launch chunk_sums(x, part, C / G * S) grid(ceil_div(C / G * S, 16384), B * G) block(THREADS)
#pragma kda launch chunk_apply(x, w, b, part, y, C / G, S, G, eps) grid(ceil_div(C / G * S, 16384), B * G) block(THREADS)
#pragma kda variant any
#pragma kda launch group_norm_any(x, w, b, y, C / G, S, G, eps) grid(B * G) block(256)

__device__ __forceinline__ void widen8(uint4 v, float *out)
{
    const __half2 *pair = reinterpret_cast<const __half2 *>(&v);
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const float2 f = __half22float2(pair[k]);
        out[2 * k] = f.x;
        out[2 * k + 1] = f.y;
    }
}

__device__ __forceinline__ void add8(uint4 v, float &sum, float &square)
{
    float f[8];
    widen8(v, f);
#pragma unroll
    for (int k = 0; k < 8; k++) {
        sum += f[k];
        square = fmaf(f[k], f[k], square);
    }
}

__device__ __forceinline__ float silu(float z)
{
    return z / (1.0f + __expf(-z));
}

// silu(f * factor + addend) of eight elements of one channel.
__device__ __forceinline__ uint4 applied8(uint4 v, float factor, float addend)
{
    float f[8];
    uint4 out;
    __half2 *pair = reinterpret_cast<__half2 *>(&out);
    widen8(v, f);
#pragma unroll
    for (int k = 0; k < 4; k++)
        pair[k] =
            __floats2half2_rn(silu(fmaf(f[2 * k], factor, addend)), silu(fmaf(f[2 * k + 1], factor, addend)));
    return out;
}

__device__ __forceinline__ void warp_sums(float &a, float &b)
{
    for (int offset = 16; offset > 0; offset /= 2) {
        a += __shfl_xor_sync(0xffffffffu, a, offset);
        b += __shfl_xor_sync(0xffffffffu, b, offset);
    }
}

// The sums of both over a block, in every thread; called once.
__device__ __forceinline__ void block_sums(float &a, float &b)
{
    __shared__ float2 part[32];
    warp_sums(a, b);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = make_float2(a, b);
    __syncthreads();
    const float2 p = threadIdx.x % 32 < blockDim.x / 32 ? part[threadIdx.x % 32] : make_float2(0.0f, 0.0f);
    a = p.x;
    b = p.y;
    warp_sums(a, b);
}

__device__ __forceinline__ uint4 load(const __half *p)
{
    return *reinterpret_cast<const uint4 *>(p);
}

__device__ __forceinline__ void store(__half *p, uint4 v)
{
    if (HINT)
        __stcs(reinterpret_cast<uint4 *>(p), v);
    else
        *reinterpret_cast<uint4 *>(p) = v;
}

__global__ void __launch_bounds__(THREADS)
    staged_norm(const __half *__restrict__ x, const __half *__restrict__ w, const __half *__restrict__ b,
                __half *__restrict__ y, int channels, int S, int G, float eps)
{
    extern __shared__ uint4 kept[]; // each thread reads what it stored
    const int L = channels * S;
    const size_t base = (size_t)blockIdx.x * L;
    float sum = 0.0f, square = 0.0f;
#pragma unroll 4
    for (int at = threadIdx.x * 8; at < L; at += THREADS * 8) {
        const uint4 v = load(x + base + at);
        kept[at / 8] = v;
        add8(v, sum, square);
    }
    block_sums(sum, square);
    const float mean = sum / L, rstd = rsqrtf(square / L - mean * mean + eps);
#pragma unroll 4
    for (int at = threadIdx.x * 8; at < L; at += THREADS * 8) {
        const int channel = blockIdx.x % G * channels + at / S;
        const float factor = rstd * __half2float(w[channel]);
        const float addend = fmaf(-mean, factor, __half2float(b[channel]));
        store(y + base + at, applied8(kept[at / 8], factor, addend));
    }
}

__global__ void __launch_bounds__(THREADS) chunk_sums(const __half *__restrict__ x, float *__restrict__ part, int L)
{
    const int first = blockIdx.x * 16384, end = min(L, first + 16384);
    float sum = 0.0f, square = 0.0f;
#pragma unroll
    for (int i = threadIdx.x * 8; i < 16384; i += THREADS * 8) {
        if (first + i < end)
            add8(load(x + (size_t)blockIdx.y * L + first + i), sum, square);
    }
    block_sums(sum, square);
    if (threadIdx.x == 0)
        reinterpret_cast<float2 *>(part)[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = make_float2(sum, square);
}

__global__ void __launch_bounds__(THREADS)
    chunk_apply(const __half *__restrict__ x, const __half *__restrict__ w, const __half *__restrict__ b,
                const float *__restrict__ part, __half *__restrict__ y, int channels, int S, int G, float eps)
{
    const int L = channels * S;
    float sum = 0.0f, square = 0.0f;
    for (int i = threadIdx.x; i < gridDim.x; i += THREADS) {
        const float2 p = reinterpret_cast<const float2 *>(part)[(size_t)blockIdx.y * gridDim.x + i];
        sum += p.x;
        square += p.y;
    }
    block_sums(sum, square);
    const float mean = sum / L, rstd = rsqrtf(square / L - mean * mean + eps);
    const int first = blockIdx.x * 16384, end = min(L, first + 16384);
    const size_t base = (size_t)blockIdx.y * L;
#pragma unroll
    for (int i = threadIdx.x * 8; i < 16384; i += THREADS * 8) {
        if (first + i >= end)
            continue;
        const int channel = blockIdx.y % G * channels + (first + i) / S;
        const float factor = rstd * __half2float(w[channel]);
        const float addend = fmaf(-mean, factor, __half2float(b[channel]));
        store(y + base + first + i, applied8(load(x + base + first + i), factor, addend));
    }
}

// One block per group of any size.
__global__ void __launch_bounds__(256)
    group_norm_any(const __half *x, const __half *w, const __half *b, __half *y, int channels, int S, int G, float eps)
{
    const long long L = (long long)channels * S;
    const size_t base = (size_t)blockIdx.x * L;
    float sum = 0.0f, square = 0.0f;
    for (long long at = threadIdx.x; at < L; at += 256) {
        const float v = __half2float(x[base + at]);
        sum += v;
        square = fmaf(v, v, square);
    }
    block_sums(sum, square);
    const float mean = sum / L, rstd = rsqrtf(square / L - mean * mean + eps);
    for (long long at = threadIdx.x; at < L; at += 256) {
        const int channel = blockIdx.x % G * channels + (int)(at / S);
        const float z = (__half2float(x[base + at]) - mean) * rstd;
        y[base + at] = __float2half_rn(silu(fmaf(z, __half2float(w[channel]), __half2float(b[channel]))));
    }
}
