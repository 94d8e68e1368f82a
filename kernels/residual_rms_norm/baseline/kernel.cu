// Residual add and RMSNorm, one block per row. Rows of up to 8192 elements stay in registers, CHUNKS vectors of eight
// per thread; longer or unaligned ones are stored and read again by the thread that wrote them.
#include <cuda_bf16.h>

#pragma kda variant row8 when(N % 8 == 0 && N <= 8192)
#pragma kda define CHUNKS = ceil_div(N, 2048)
#pragma kda launch add_norm_row8(x, h, w, y, N, eps) grid(M) block(align_up(ceil_div(N / 8, CHUNKS), 32))
#pragma kda variant any
#pragma kda launch add_norm_any(x, h, w, y, N, eps) grid(M) block(min(512, align_up(N, 32)))

#ifndef CHUNKS
#define CHUNKS 1
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

// The sum over a block, in every thread; blockDim.x is a multiple of 32.
__device__ __forceinline__ float block_sum(float value)
{
    __shared__ float part[32];
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0.0f;
    for (int i = 0; i < (int)blockDim.x / 32; i++)
        value += part[i];
    return value;
}

__device__ __forceinline__ unsigned int add(unsigned int a, unsigned int b)
{
    return pack(low(a) + low(b), high(a) + high(b));
}

__device__ __forceinline__ float squares(unsigned int v, float sum)
{
    return fmaf(low(v), low(v), fmaf(high(v), high(v), sum));
}

__device__ __forceinline__ unsigned int scaled(unsigned int v, float scale, unsigned int w)
{
    return pack(low(v) * scale * low(w), high(v) * scale * high(w));
}

__global__ void __launch_bounds__(256)
    add_norm_row8(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ h,
                  const __nv_bfloat16 *__restrict__ w, __nv_bfloat16 *__restrict__ y, int N, float eps)
{
    const size_t base = (size_t)blockIdx.x * (N / 8);
    const uint4 *in = reinterpret_cast<const uint4 *>(x) + base, *weight = reinterpret_cast<const uint4 *>(w);
    uint4 *stream = reinterpret_cast<uint4 *>(h) + base, *out = reinterpret_cast<uint4 *>(y) + base;
    uint4 a[CHUNKS], v[CHUNKS];
    float sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int i = threadIdx.x + c * blockDim.x;
        a[c] = v[c] = make_uint4(0, 0, 0, 0);
        if (i < N / 8) {
            a[c] = in[i];
            v[c] = stream[i];
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int i = threadIdx.x + c * blockDim.x;
        v[c] = make_uint4(add(v[c].x, a[c].x), add(v[c].y, a[c].y), add(v[c].z, a[c].z), add(v[c].w, a[c].w));
        sum = squares(v[c].x, squares(v[c].y, squares(v[c].z, squares(v[c].w, sum))));
        if (i < N / 8)
            stream[i] = v[c];
    }
    const float scale = rsqrtf(block_sum(sum) / N + eps);
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int i = threadIdx.x + c * blockDim.x;
        if (i >= N / 8)
            continue;
        const uint4 g = weight[i];
        out[i] = make_uint4(scaled(v[c].x, scale, g.x), scaled(v[c].y, scale, g.y), scaled(v[c].z, scale, g.z),
                            scaled(v[c].w, scale, g.w));
    }
}

__global__ void __launch_bounds__(512)
    add_norm_any(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *h, const __nv_bfloat16 *__restrict__ w,
                 __nv_bfloat16 *__restrict__ y, int N, float eps)
{
    const size_t base = (size_t)blockIdx.x * N;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += blockDim.x) {
        const __nv_bfloat16 v =
            __float2bfloat16_rn(__bfloat162float(h[base + i]) + __bfloat162float(x[base + i]));
        h[base + i] = v;
        sum = fmaf(__bfloat162float(v), __bfloat162float(v), sum);
    }
    const float scale = rsqrtf(block_sum(sum) / N + eps);
    for (int i = threadIdx.x; i < N; i += blockDim.x)
        y[base + i] = __float2bfloat16_rn(__bfloat162float(h[base + i]) * scale * __bfloat162float(w[i]));
}
