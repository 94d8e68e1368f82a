// Normalisations as serving frameworks have them: RMS and layer norm in one and two passes, Welford,
// group norm, a row per block, a row per warp, rows kept in registers or in shared memory.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

template <typename T> __device__ __forceinline__ T warp_add(T v)
{
    for (int o = 16; o > 0; o >>= 1)
        v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}

// A row per block, eight bf16 a thread at once, the row kept in registers between the passes.
extern "C" __global__ __launch_bounds__(128) void rms_norm_bf16(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ w, __nv_bfloat16 *__restrict__ y, int n, float eps)
{
    __shared__ float part[4];
    const uint4 *row = reinterpret_cast<const uint4 *>(x + (size_t)blockIdx.x * n);
    uint4 *out = reinterpret_cast<uint4 *>(y + (size_t)blockIdx.x * n);
    const uint4 *weight = reinterpret_cast<const uint4 *>(w);
    const bool here = threadIdx.x < n / 8;
    float v[8], s = 0;
    if (here) {
        uint4 u = row[threadIdx.x];
        const __nv_bfloat162 *h = reinterpret_cast<const __nv_bfloat162 *>(&u);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            float2 f = __bfloat1622float2(h[k]);
            v[2 * k] = f.x;
            v[2 * k + 1] = f.y;
            s += f.x * f.x + f.y * f.y;
        }
    }
    s = warp_add(s);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = s;
    __syncthreads();
    const float r = rsqrtf((part[0] + part[1] + part[2] + part[3]) / n + eps);
    if (here) {
        uint4 u = weight[threadIdx.x], o;
        const __nv_bfloat162 *h = reinterpret_cast<const __nv_bfloat162 *>(&u);
        __nv_bfloat162 *q = reinterpret_cast<__nv_bfloat162 *>(&o);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            float2 f = __bfloat1622float2(h[k]);
            q[k] = __floats2bfloat162_rn(v[2 * k] * r * f.x, v[2 * k + 1] * r * f.y);
        }
        out[threadIdx.x] = o;
    }
}

// With the residual added first, which is stored as well: the fused form of transformers.
extern "C" __global__ void fused_add_rms_norm(__half *x, __half *residual, const __half *w, int n, float eps)
{
    extern __shared__ float row[];
    __shared__ float scale;
    float s = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        const int at = blockIdx.x * n + i;
        const __half sum = __hadd(x[at], residual[at]);
        residual[at] = sum;
        row[i] = __half2float(sum);
        s += row[i] * row[i];
    }
    __shared__ float part[32];
    s = warp_add(s);
    if ((threadIdx.x & 31) == 0)
        part[threadIdx.x >> 5] = s;
    __syncthreads();
    if (threadIdx.x < 32) {
        s = warp_add(threadIdx.x < blockDim.x / 32 ? part[threadIdx.x] : 0.0f);
        if (threadIdx.x == 0)
            scale = 1.0f / sqrtf(s / (float)n + eps);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        x[blockIdx.x * n + i] = __float2half_rn(row[i] * scale * __half2float(w[i]));
}

extern "C" __global__ void layer_norm_two_pass(const float *x, const float *g, const float *b, float *y, int n, float eps)
{
    __shared__ float s[64];
    const float *row = x + (size_t)blockIdx.x * n;
    float sum = 0;
    for (int i = threadIdx.x; i < n; i += 64)
        sum += row[i];
    s[threadIdx.x] = sum;
    __syncthreads();
    for (int o = 32; o > 0; o >>= 1) {
        if (threadIdx.x < o)
            s[threadIdx.x] += s[threadIdx.x + o];
        __syncthreads();
    }
    const float mean = s[0] / n;
    __syncthreads();
    float var = 0;
    for (int i = threadIdx.x; i < n; i += 64) {
        const float d = row[i] - mean;
        var += d * d;
    }
    s[threadIdx.x] = var;
    __syncthreads();
    for (int o = 32; o > 0; o >>= 1) {
        if (threadIdx.x < o)
            s[threadIdx.x] += s[threadIdx.x + o];
        __syncthreads();
    }
    const float inv = rsqrtf(s[0] / n + eps);
    for (int i = threadIdx.x; i < n; i += 64)
        y[(size_t)blockIdx.x * n + i] = (row[i] - mean) * inv * g[i] + b[i];
}

struct Welford {
    float mean, m2, n;
};

__device__ __forceinline__ Welford combine(Welford a, Welford b)
{
    const float n = a.n + b.n;
    if (n == 0.0f)
        return a;
    const float d = b.mean - a.mean, f = b.n / n;
    return {a.mean + d * f, a.m2 + b.m2 + d * d * a.n * f, n};
}

// One pass, a row per warp, four rows a block, the last warps without a row.
extern "C" __global__ void layer_norm_welford(const __half *x, __half *y, float *stats, int rows, int n, float eps)
{
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows)
        return;
    Welford w = {0, 0, 0};
    for (int i = threadIdx.x; i < n; i += 32) {
        const float v = __half2float(x[row * n + i]);
        w.n += 1.0f;
        const float d = v - w.mean;
        w.mean += d / w.n;
        w.m2 += d * (v - w.mean);
    }
    for (int o = 1; o < 32; o <<= 1) {
        Welford other;
        other.mean = __shfl_xor_sync(~0u, w.mean, o);
        other.m2 = __shfl_xor_sync(~0u, w.m2, o);
        other.n = __shfl_xor_sync(~0u, w.n, o);
        w = combine(w, other);
    }
    const float inv = rsqrtf(w.m2 / w.n + eps);
    for (int i = threadIdx.x; i < n; i += 32)
        y[row * n + i] = __float2half((__half2float(x[row * n + i]) - w.mean) * inv);
    if (threadIdx.x == 0) {
        stats[2 * row] = w.mean;
        stats[2 * row + 1] = inv;
    }
}

// NCHW, a block per (image, group), sums of values and squares in one pass, double accumulators.
extern "C" __global__ void group_norm(const float *x, const float *g, const float *b, float *y, int channels, int groups, int area, float eps)
{
    const int per = channels / groups, n = per * area;
    const size_t base = ((size_t)blockIdx.y * channels + blockIdx.x * per) * area;
    double s = 0, q = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        const double v = x[base + i];
        s += v;
        q += v * v;
    }
    __shared__ double part[2][8];
    s = warp_add(s);
    q = warp_add(q);
    if (threadIdx.x % 32 == 0)
        part[0][threadIdx.x / 32] = s, part[1][threadIdx.x / 32] = q;
    __syncthreads();
    s = q = 0;
    for (int k = 0; k < blockDim.x / 32; k++)
        s += part[0][k], q += part[1][k];
    const double mean = s / n;
    const float inv = (float)(1.0 / sqrt(q / n - mean * mean + eps));
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        const int c = blockIdx.x * per + i / area;
        y[base + i] = (float)(x[base + i] - mean) * inv * g[c] + b[c];
    }
}

// AdaLN: y = norm(x) * (1 + scale[token's batch]) + shift; vectors of four.
extern "C" __global__ void layer_norm_scale_shift(const float4 *x, const float4 *scale, const float4 *shift, float4 *y, int n4, int tokens, float eps)
{
    const int lane = threadIdx.x, token = blockIdx.x, batch = token / tokens;
    float4 v[2];
    float s = 0, q = 0;
#pragma unroll
    for (int k = 0; k < 2; k++) {
        const int i = lane + 32 * k;
        v[k] = i < n4 ? x[token * n4 + i] : make_float4(0, 0, 0, 0);
        s += v[k].x + v[k].y + v[k].z + v[k].w;
        q += v[k].x * v[k].x + v[k].y * v[k].y + v[k].z * v[k].z + v[k].w * v[k].w;
    }
    s = warp_add(s) / (4 * n4);
    q = warp_add(q) / (4 * n4);
    const float inv = rsqrtf(q - s * s + eps);
#pragma unroll
    for (int k = 0; k < 2; k++) {
        const int i = lane + 32 * k;
        if (i < n4) {
            const float4 a = scale[batch * n4 + i], b = shift[batch * n4 + i];
            y[token * n4 + i] = make_float4((v[k].x - s) * inv * (1 + a.x) + b.x, (v[k].y - s) * inv * (1 + a.y) + b.y,
                                            (v[k].z - s) * inv * (1 + a.z) + b.z, (v[k].w - s) * inv * (1 + a.w) + b.w);
        }
    }
}
