// LayerNorm, scale and shift with the mapping of the upstream CuTe kernel (docs/README.md): one block per row, eight elements
// per thread in 128-bit vectors, mean and variance by two block reductions over registers. Other rows: a block that walks
// the row.
#include <cuda_bf16.h>

#pragma kda variant bf16_row8 when(mod_bytes == 2 && N % 8 == 0 && N <= 8192)
#pragma kda launch norm_row8<__nv_bfloat16>(x, scale, shift, y, N, mod_stride, eps) grid(M) block(align_up(N / 8, 32))
#pragma kda variant f32_row8 when(N % 8 == 0 && N <= 8192)
#pragma kda launch norm_row8<float>(x, scale, shift, y, N, mod_stride, eps) grid(M) block(align_up(N / 8, 32))
#pragma kda variant bf16_any when(mod_bytes == 2)
#pragma kda launch norm_any<__nv_bfloat16>(x, scale, shift, y, N, mod_stride, eps) grid(M) block(min(512, align_up(N, 32)))
#pragma kda variant f32_any
#pragma kda launch norm_any<float>(x, scale, shift, y, N, mod_stride, eps) grid(M) block(min(512, align_up(N, 32)))

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

__device__ __forceinline__ float widen(__nv_bfloat16 v)
{
    return __bfloat162float(v);
}

__device__ __forceinline__ float widen(float v)
{
    return v;
}

// Eight elements, aligned, widened.
__device__ __forceinline__ void load8(const __nv_bfloat16 *p, float *out)
{
    const uint4 v = *reinterpret_cast<const uint4 *>(p);
    out[0] = low(v.x), out[1] = high(v.x), out[2] = low(v.y), out[3] = high(v.y);
    out[4] = low(v.z), out[5] = high(v.z), out[6] = low(v.w), out[7] = high(v.w);
}

__device__ __forceinline__ void load8(const float *p, float *out)
{
    *reinterpret_cast<float4 *>(out) = reinterpret_cast<const float4 *>(p)[0];
    *reinterpret_cast<float4 *>(out + 4) = reinterpret_cast<const float4 *>(p)[1];
}

// The sum over a block, in every thread. `part` has room for 32; one barrier, so that two calls need two parts.
__device__ __forceinline__ float block_sum(float value, float *part)
{
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

// Two neighbours: the norm is rounded to bf16, then scaled and shifted.
__device__ __forceinline__ unsigned int modulated(float a, float b, const float *scale, const float *shift)
{
    const unsigned int n = pack(a, b);
    return pack(fmaf(low(n), 1.0f + scale[0], shift[0]), fmaf(high(n), 1.0f + scale[1], shift[1]));
}

template <typename Mod>
__global__ void __launch_bounds__(1024)
    norm_row8(const __nv_bfloat16 *x, const void *scale, const void *shift, __nv_bfloat16 *y, int N, int mod_stride,
              float eps)
{
    __shared__ float part[2][32];
    const size_t row = blockIdx.x;
    const int i = threadIdx.x * 8;
    const bool inside = i < N;
    float v[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    if (inside)
        load8(x + row * N + i, v);
    const float total = ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
    const float mean = block_sum(total, part[0]) / N;
    float square = 0.0f;
#pragma unroll
    for (int k = 0; k < 8; k++) {
        v[k] -= mean;
        square = fmaf(v[k], v[k], square);
    }
    const float rstd = rsqrtf(block_sum(inside ? square : 0.0f, part[1]) / N + eps);
    if (!inside)
        return;
    float s[8], t[8];
    load8(static_cast<const Mod *>(scale) + row * mod_stride + i, s);
    load8(static_cast<const Mod *>(shift) + row * mod_stride + i, t);
    *reinterpret_cast<uint4 *>(y + row * N + i) =
        make_uint4(modulated(v[0] * rstd, v[1] * rstd, s, t), modulated(v[2] * rstd, v[3] * rstd, s + 2, t + 2),
                   modulated(v[4] * rstd, v[5] * rstd, s + 4, t + 4), modulated(v[6] * rstd, v[7] * rstd, s + 6, t + 6));
}

template <typename Mod>
__global__ void __launch_bounds__(512)
    norm_any(const __nv_bfloat16 *x, const void *scale, const void *shift, __nv_bfloat16 *y, int N, int mod_stride,
             float eps)
{
    __shared__ float part[2][32];
    const size_t row = blockIdx.x;
    float sum = 0.0f, square = 0.0f;
    for (int i = threadIdx.x; i < N; i += blockDim.x)
        sum += __bfloat162float(x[row * N + i]);
    const float mean = block_sum(sum, part[0]) / N;
    for (int i = threadIdx.x; i < N; i += blockDim.x) {
        const float v = __bfloat162float(x[row * N + i]) - mean;
        square = fmaf(v, v, square);
    }
    const float rstd = rsqrtf(block_sum(square, part[1]) / N + eps);
    for (int i = threadIdx.x; i < N; i += blockDim.x) {
        const float n = __bfloat162float(__float2bfloat16_rn((__bfloat162float(x[row * N + i]) - mean) * rstd));
        const float s = widen(static_cast<const Mod *>(scale)[row * mod_stride + i]);
        const float t = widen(static_cast<const Mod *>(shift)[row * mod_stride + i]);
        y[row * N + i] = __float2bfloat16_rn(fmaf(n, 1.0f + s, t));
    }
}
