// Scale and shift, rounded after every operation (docs/README.md): a program of 128 threads takes a tile of
// 128 rows x 128 columns, 16 lanes of eight columns on eight rows at a time, and loads scale and shift for every row, also
// where they are the same. Other sizes: one thread per element.
#include <cuda_bf16.h>

#pragma kda variant bf16_tile when(scale_bytes == 2 && N % 8 == 0 && scale_stride % 8 == 0 && shift_stride % 8 == 0 && \
        M <= 65535 * 128)
#pragma kda launch scale_tile<__nv_bfloat16>(x, scale, shift, y, M, N, scale_stride, shift_stride, constant) \
        grid(ceil_div(N, 128), ceil_div(M, 128)) block(128)
#pragma kda variant f32_tile when(scale_bytes == 4 && N % 8 == 0 && scale_stride % 8 == 0 && shift_stride % 8 == 0 && \
        M <= 65535 * 128)
#pragma kda launch scale_tile<float>(x, scale, shift, y, M, N, scale_stride, shift_stride, constant) \
        grid(ceil_div(N, 128), ceil_div(M, 128)) block(128)
#pragma kda variant bf16_any when(scale_bytes == 2)
#pragma kda launch scale_any<__nv_bfloat16>(x, scale, shift, y, M, N, scale_stride, shift_stride, constant) \
        grid(ceil_div(M * N, 256)) block(256)
#pragma kda variant f32_any
#pragma kda launch scale_any<float>(x, scale, shift, y, M, N, scale_stride, shift_stride, constant) \
        grid(ceil_div(M * N, 256)) block(256)

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

__device__ __forceinline__ float rounded(float v)
{
    return __bfloat162float(__float2bfloat16_rn(v));
}

// One operation after the other, as types are promoted: with a bf16 scale every result is a bf16 number, with an fp32
// scale an fp32 number. Nothing is contracted to a fused multiply-add.
template <typename Scale>
__device__ __forceinline__ float scaled(float x, float constant, float scale, float shift)
{
    const float factor = __fadd_rn(constant, scale);
    if (sizeof(Scale) == 4)
        return __fadd_rn(__fmul_rn(x, factor), shift);
    return __fadd_rn(rounded(__fmul_rn(x, rounded(factor))), shift);
}

template <typename Scale>
__global__ void __launch_bounds__(128)
    scale_tile(const __nv_bfloat16 *__restrict__ x, const void *__restrict__ scale,
               const __nv_bfloat16 *__restrict__ shift, __nv_bfloat16 *__restrict__ y, int M, int N, int scale_stride,
               int shift_stride, float constant)
{
    const int column = blockIdx.x * 128 + threadIdx.x % 16 * 8;
    const int first = blockIdx.y * 128 + threadIdx.x / 16, end = min(M, (int)blockIdx.y * 128 + 128);
    if (column >= N)
        return;
#pragma unroll 4
    for (int row = first; row < end; row += 8) {
        float v[8], s[8], t[8];
        load8(x + (size_t)row * N + column, v);
        load8(static_cast<const Scale *>(scale) + (size_t)row * scale_stride + column, s);
        load8(shift + (size_t)row * shift_stride + column, t);
        unsigned int out[4];
#pragma unroll
        for (int k = 0; k < 4; k++)
            out[k] = pack(scaled<Scale>(v[2 * k], constant, s[2 * k], t[2 * k]),
                          scaled<Scale>(v[2 * k + 1], constant, s[2 * k + 1], t[2 * k + 1]));
        *reinterpret_cast<uint4 *>(y + (size_t)row * N + column) = make_uint4(out[0], out[1], out[2], out[3]);
    }
}

template <typename Scale>
__global__ void __launch_bounds__(256)
    scale_any(const __nv_bfloat16 *x, const void *scale, const __nv_bfloat16 *shift, __nv_bfloat16 *y, int M, int N,
              int scale_stride, int shift_stride, float constant)
{
    const size_t i = (size_t)blockIdx.x * 256 + threadIdx.x;
    if (i >= (size_t)M * N)
        return;
    const size_t row = i / N, column = i - row * N;
    const float s = widen(static_cast<const Scale *>(scale)[row * scale_stride + column]);
    y[i] = __float2bfloat16_rn(scaled<Scale>(widen(x[i]), constant, s, widen(shift[row * shift_stride + column])));
}
