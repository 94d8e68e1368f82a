// One row per block and grid line, UNROLL vectors of eight per thread with all their loads under way.
#include <cuda_bf16.h>

#pragma kda tune THREADS = 128, 192, 256, 384
#pragma kda tune UNROLL = 1, 2, 3
#pragma kda tune HINT = 0, 1
#pragma kda variant bf16_row when(scale_bytes == 2 && N % 8 == 0 && scale_stride % 8 == 0 && shift_stride % 8 == 0)
#pragma kda launch scale_row<__nv_bfloat16>(x, scale, shift, y, M, N, scale_stride, shift_stride, constant) \
        grid(M, ceil_div(N / 8, THREADS * UNROLL)) block(THREADS)
#pragma kda variant f32_row when(scale_bytes == 4 && N % 8 == 0 && scale_stride % 8 == 0 && shift_stride % 8 == 0)
#pragma kda launch scale_row<float>(x, scale, shift, y, M, N, scale_stride, shift_stride, constant) \
        grid(M, ceil_div(N / 8, THREADS * UNROLL)) block(THREADS)
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
__device__ __forceinline__ uint4 scaled8(const float *v, float constant, const float *s, const float *t)
{
    unsigned int out[4];
#pragma unroll
    for (int k = 0; k < 4; k++)
        out[k] = pack(scaled<Scale>(v[2 * k], constant, s[2 * k], t[2 * k]),
                      scaled<Scale>(v[2 * k + 1], constant, s[2 * k + 1], t[2 * k + 1]));
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
    scale_row(const __nv_bfloat16 *__restrict__ x, const void *__restrict__ scale,
              const __nv_bfloat16 *__restrict__ shift, __nv_bfloat16 *__restrict__ y, int M, int N, int scale_stride,
              int shift_stride, float constant)
{
    const size_t row = blockIdx.x;
    const int first = 8 * (blockIdx.y * THREADS * UNROLL + threadIdx.x);
    const Scale *scales = static_cast<const Scale *>(scale) + row * scale_stride;
    uint4 v[UNROLL], t[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
        const int column = first + u * 8 * THREADS;
        if (column < N) {
            v[u] = load(x + row * N + column);
            t[u] = load(shift + row * shift_stride + column);
        }
    }
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
        const int column = first + u * 8 * THREADS;
        if (column >= N)
            continue;
        float a[8], b[8], c[8];
        widen8(v[u], a);
        load8(scales + column, b);
        widen8(t[u], c);
        store(y + row * N + column, scaled8<Scale>(a, constant, b, c));
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
    y[i] = __float2bfloat16_rn(scaled<Scale>(widen(x[i]), constant, s, widen(shift[row * shift_stride + column])));
}
