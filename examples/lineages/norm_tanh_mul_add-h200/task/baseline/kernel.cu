// RMSNorm, tanh gate and shift with the mapping of the upstream CuTe kernel (docs/README.md): one block per row, eight
// elements per thread in 128-bit vectors, tanh evaluated for every element. Other rows: a block that walks the row.
#include <cuda_bf16.h>

#pragma kda variant row8 when(N % 8 == 0 && N <= 8192)
#pragma kda launch gate_row8(x, w, scale, shift, y, N, scale_stride, shift_stride, eps) \
        grid(M) block(align_up(N / 8, 32))
#pragma kda variant any
#pragma kda launch gate_any(x, w, scale, shift, y, N, scale_stride, shift_stride, eps) \
        grid(M) block(min(512, align_up(N, 32)))

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
    value = threadIdx.x % 32 < blockDim.x / 32 ? part[threadIdx.x % 32] : 0.0f;
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

// Two elements: the norm is rounded to bf16, then gated and shifted.
__device__ __forceinline__ unsigned int gated(unsigned int v, float rstd, unsigned int w, unsigned int scale,
                                              unsigned int shift)
{
    const unsigned int n = pack(low(v) * rstd * low(w), high(v) * rstd * high(w));
    return pack(fmaf(low(n), tanhf(low(scale)), low(shift)), fmaf(high(n), tanhf(high(scale)), high(shift)));
}

__global__ void __launch_bounds__(1024)
    gate_row8(const __nv_bfloat16 *x, const __nv_bfloat16 *w, const __nv_bfloat16 *scale, const __nv_bfloat16 *shift,
              __nv_bfloat16 *y, int N, int scale_stride, int shift_stride, float eps)
{
    const size_t row = blockIdx.x;
    const int i = threadIdx.x;
    const bool inside = i < N / 8;
    uint4 v = make_uint4(0, 0, 0, 0);
    if (inside)
        v = reinterpret_cast<const uint4 *>(x + row * N)[i];
    const unsigned int word[4] = {v.x, v.y, v.z, v.w};
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < 4; k++)
        sum = fmaf(low(word[k]), low(word[k]), fmaf(high(word[k]), high(word[k]), sum));
    const float rstd = rsqrtf(block_sum(sum) / N + eps);
    if (!inside)
        return;
    const uint4 g = reinterpret_cast<const uint4 *>(w)[i];
    const uint4 s = reinterpret_cast<const uint4 *>(scale + row * scale_stride)[i];
    const uint4 t = reinterpret_cast<const uint4 *>(shift + row * shift_stride)[i];
    reinterpret_cast<uint4 *>(y + row * N)[i] =
        make_uint4(gated(v.x, rstd, g.x, s.x, t.x), gated(v.y, rstd, g.y, s.y, t.y),
                   gated(v.z, rstd, g.z, s.z, t.z), gated(v.w, rstd, g.w, s.w, t.w));
}

__global__ void __launch_bounds__(512)
    gate_any(const __nv_bfloat16 *x, const __nv_bfloat16 *w, const __nv_bfloat16 *scale, const __nv_bfloat16 *shift,
             __nv_bfloat16 *y, int N, int scale_stride, int shift_stride, float eps)
{
    const size_t row = blockIdx.x;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += blockDim.x) {
        const float v = __bfloat162float(x[row * N + i]);
        sum = fmaf(v, v, sum);
    }
    const float rstd = rsqrtf(block_sum(sum) / N + eps);
    for (int i = threadIdx.x; i < N; i += blockDim.x) {
        const __nv_bfloat16 n =
            __float2bfloat16_rn(__bfloat162float(x[row * N + i]) * rstd * __bfloat162float(w[i]));
        const float gate = tanhf(__bfloat162float(scale[row * scale_stride + i]));
        y[row * N + i] = __float2bfloat16_rn(
            fmaf(__bfloat162float(n), gate, __bfloat162float(shift[row * shift_stride + i])));
    }
}
