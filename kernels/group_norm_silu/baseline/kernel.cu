// GroupNorm and SiLU with the mapping of the upstream Triton kernels (docs/README.md): groups of 2^18 elements and more take
// three launches (sums of chunks of 8192, their sum, application); smaller ones one program each, which reads its group
// twice. 128-bit accesses where a vector cannot straddle channels. The variance is mean(x^2) - mean^2.
#include <cuda_fp16.h>

#pragma kda variant chunked when(C / G * S >= (1 << 18) && S % 8 == 0 && B * G <= 65535)
#pragma kda scratch part : f32[2 * B * G * ceil_div(C / G * S, 8192)]
#pragma kda scratch stats : f32[2 * B * G]
#pragma kda launch chunk_sums(x, part, C / G * S) grid(ceil_div(C / G * S, 8192), B * G) block(256)
#pragma kda launch group_stats(part, stats, ceil_div(C / G * S, 8192), C / G * S, eps) grid(B * G) block(256)
#pragma kda launch chunk_apply(x, w, b, stats, y, C / G, S, G) grid(ceil_div(C / G * S, 8192), B * G) block(256)
#pragma kda variant group8 when(S % 8 == 0)
#pragma kda launch group_norm8(x, w, b, y, C / G, S, G, eps) grid(B * G) block(256)
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

// The sums of both over a block, in every thread; 256 threads, called once.
__device__ __forceinline__ void block_sums(float &a, float &b)
{
    __shared__ float part[2][8];
    for (int offset = 16; offset > 0; offset /= 2) {
        a += __shfl_xor_sync(0xffffffffu, a, offset);
        b += __shfl_xor_sync(0xffffffffu, b, offset);
    }
    if (threadIdx.x % 32 == 0) {
        part[0][threadIdx.x / 32] = a;
        part[1][threadIdx.x / 32] = b;
    }
    __syncthreads();
    a = b = 0.0f;
    for (int i = 0; i < 8; i++) {
        a += part[0][i];
        b += part[1][i];
    }
}

__global__ void __launch_bounds__(256) chunk_sums(const __half *x, float *part, int L)
{
    const int first = blockIdx.x * 8192 + threadIdx.x * 8;
    float sum = 0.0f, square = 0.0f;
#pragma unroll
    for (int i = 0; i < 8192; i += 2048) {
        if (first + i < L)
            add8(*reinterpret_cast<const uint4 *>(x + (size_t)blockIdx.y * L + first + i), sum, square);
    }
    block_sums(sum, square);
    if (threadIdx.x == 0)
        reinterpret_cast<float2 *>(part)[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = make_float2(sum, square);
}

__global__ void __launch_bounds__(256) group_stats(const float *part, float *stats, int chunks, int L, float eps)
{
    float sum = 0.0f, square = 0.0f;
    for (int i = threadIdx.x; i < chunks; i += 256) {
        const float2 p = reinterpret_cast<const float2 *>(part)[(size_t)blockIdx.x * chunks + i];
        sum += p.x;
        square += p.y;
    }
    block_sums(sum, square);
    const float mean = sum / L;
    if (threadIdx.x == 0)
        reinterpret_cast<float2 *>(stats)[blockIdx.x] = make_float2(mean, rsqrtf(square / L - mean * mean + eps));
}

__global__ void __launch_bounds__(256)
    chunk_apply(const __half *x, const __half *w, const __half *b, const float *stats, __half *y, int channels, int S,
                int G)
{
    const int L = channels * S, first = blockIdx.x * 8192 + threadIdx.x * 8;
    const float2 s = reinterpret_cast<const float2 *>(stats)[blockIdx.y];
    const size_t base = (size_t)blockIdx.y * L;
#pragma unroll
    for (int i = 0; i < 8192; i += 2048) {
        const int at = first + i;
        if (at >= L)
            continue;
        const int channel = blockIdx.y % G * channels + at / S;
        const float factor = s.y * __half2float(w[channel]);
        const float addend = fmaf(-s.x, factor, __half2float(b[channel]));
        *reinterpret_cast<uint4 *>(y + base + at) =
            applied8(*reinterpret_cast<const uint4 *>(x + base + at), factor, addend);
    }
}

__global__ void __launch_bounds__(256)
    group_norm8(const __half *x, const __half *w, const __half *b, __half *y, int channels, int S, int G, float eps)
{
    const int L = channels * S;
    const size_t base = (size_t)blockIdx.x * L;
    float sum = 0.0f, square = 0.0f;
#pragma unroll 4
    for (int at = threadIdx.x * 8; at < L; at += 2048)
        add8(*reinterpret_cast<const uint4 *>(x + base + at), sum, square);
    block_sums(sum, square);
    const float mean = sum / L, rstd = rsqrtf(square / L - mean * mean + eps);
#pragma unroll 4
    for (int at = threadIdx.x * 8; at < L; at += 2048) {
        const int channel = blockIdx.x % G * channels + at / S;
        const float factor = rstd * __half2float(w[channel]);
        const float addend = fmaf(-mean, factor, __half2float(b[channel]));
        *reinterpret_cast<uint4 *>(y + base + at) =
            applied8(*reinterpret_cast<const uint4 *>(x + base + at), factor, addend);
    }
}

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
