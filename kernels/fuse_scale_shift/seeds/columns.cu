// A thread keeps eight columns and walks ROWS rows, UNROLL at a time; a scale or a shift that is the same for all rows is
// loaded once and stays in registers.
#include <cuda_bf16.h>

#pragma kda tune THREADS = 128, 64, 256, 384
#pragma kda tune ROWS = 8, 4, 2, 16
#pragma kda tune UNROLL = 2, 1, 4
#pragma kda tune HINT = 0, 1
#pragma kda variant bf16_columns when(scale_bytes == 2 && N % 8 == 0 && scale_stride % 8 == 0 && shift_stride % 8 == 0 && \
        M <= 65535)
#pragma kda launch scale_columns<__nv_bfloat16>(x, scale, shift, y, M, N, scale_stride, shift_stride, constant) \
        grid(ceil_div(N / 8, THREADS), ceil_div(M, ROWS)) block(THREADS)
#pragma kda variant f32_columns when(scale_bytes == 4 && N % 8 == 0 && scale_stride % 8 == 0 && shift_stride % 8 == 0 && \
        M <= 65535)
#pragma kda launch scale_columns<float>(x, scale, shift, y, M, N, scale_stride, shift_stride, constant) \
        grid(ceil_div(N / 8, THREADS), ceil_div(M, ROWS)) block(THREADS)
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

__device__ __forceinline__ void widen8(uint4 v, float *out)
{
    out[0] = low(v.x), out[1] = high(v.x), out[2] = low(v.y), out[3] = high(v.y);
    out[4] = low(v.z), out[5] = high(v.z), out[6] = low(v.w), out[7] = high(v.w);
}

// Eight elements, aligned, widened.
__device__ __forceinline__ void load8(const __nv_bfloat16 *p, float *out)
{
    widen8(*reinterpret_cast<const uint4 *>(p), out);
}

__device__ __forceinline__ void load8(const float *p, float *out)
{
    *reinterpret_cast<float4 *>(out) = reinterpret_cast<const float4 *>(p)[0];
    *reinterpret_cast<float4 *>(out + 4) = reinterpret_cast<const float4 *>(p)[1];
}

__device__ __forceinline__ float scaled(float x, float constant, float scale, float shift)
{
    return fmaf(x, constant + scale, shift);
}

__device__ __forceinline__ uint4 scaled8(const float *v, float constant, const float *s, const float *t)
{
    unsigned int out[4];
#pragma unroll
    for (int k = 0; k < 4; k++)
        out[k] = pack(scaled(v[2 * k], constant, s[2 * k], t[2 * k]),
                      scaled(v[2 * k + 1], constant, s[2 * k + 1], t[2 * k + 1]));
    return make_uint4(out[0], out[1], out[2], out[3]);
}

__device__ __forceinline__ uint4 load(const __nv_bfloat16 *p)
{
    const uint4 *at = reinterpret_cast<const uint4 *>(p);
    return HINT ? __ldcs(at) : *at;
}

__device__ __forceinline__ void store(__nv_bfloat16 *p, uint4 v)
{
    if (HINT)
        __stcs(reinterpret_cast<uint4 *>(p), v);
    else
        *reinterpret_cast<uint4 *>(p) = v;
}

template <typename Scale>
__global__ void __launch_bounds__(THREADS)
    scale_columns(const __nv_bfloat16 *__restrict__ x, const void *__restrict__ scale,
                  const __nv_bfloat16 *__restrict__ shift, __nv_bfloat16 *__restrict__ y, int M, int N,
                  int scale_stride, int shift_stride, float constant)
{
    const int column = 8 * (blockIdx.x * THREADS + threadIdx.x);
    const int first = blockIdx.y * ROWS, end = min(M, first + ROWS);
    if (column >= N)
        return;
    const Scale *scales = static_cast<const Scale *>(scale) + column;
    float s[8], t[8];
    load8(scales + (size_t)first * scale_stride, s);
    load8(shift + (size_t)first * shift_stride + column, t);
#pragma unroll UNROLL
    for (int row = first; row < end; row++) {
        float v[8];
        if (scale_stride != 0 && row > first)
            load8(scales + (size_t)row * scale_stride, s);
        if (shift_stride != 0 && row > first)
            widen8(load(shift + (size_t)row * shift_stride + column), t);
        widen8(load(x + (size_t)row * N + column), v);
        store(y + (size_t)row * N + column, scaled8(v, constant, s, t));
    }
}

template <typename Scale>
__global__ void __launch_bounds__(256)
    scale_any(const __nv_bfloat16 *__restrict__ x, const void *__restrict__ scale,
              const __nv_bfloat16 *__restrict__ shift, __nv_bfloat16 *__restrict__ y, int M, int N, int scale_stride,
              int shift_stride, float constant)
{
    const size_t i = (size_t)blockIdx.x * 256 + threadIdx.x;
    if (i >= (size_t)M * N)
        return;
    const size_t row = i / N, column = i - row * N;
    const float s = widen(static_cast<const Scale *>(scale)[row * scale_stride + column]);
    y[i] = __float2bfloat16_rn(scaled(widen(x[i]), constant, s, widen(shift[row * shift_stride + column])));
}
