// One block per row, THREADS * ITEMS vectors of eight. What does not depend on the norm is stored before the reductions
// (EARLY 1) or with y. Sum and squared distance to the row's first element come from one pass (the shifted form) and
// are reduced together: one barrier.
#include <cuda_bf16.h>

#pragma kda tune THREADS = 384, 192, 128, 256
#pragma kda tune EARLY = 1, 0
#pragma kda tune HINT = 0, 1
#pragma kda variant row8 when(C % 8 == 0 && mod_stride % 8 == 0 && C <= 8192)
#pragma kda define ITEMS = ceil_div(C / 8, THREADS)
#pragma kda launch norm_block(x, scale0, shift0, gate0, scale1, shift1, gate1, index, y, gate_out, L, C, mod_stride, \
        eps) grid(B * L) block(THREADS)
#pragma kda variant any
#pragma kda define ITEMS = 1
#pragma kda launch norm_any(x, scale0, shift0, gate0, scale1, shift1, gate1, index, y, gate_out, B * L, L, C, \
        mod_stride, eps) grid(ceil_div(B * L, 4)) block(128)

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

__device__ __forceinline__ void widen8(uint4 v, float *out)
{
    out[0] = low(v.x), out[1] = high(v.x), out[2] = low(v.y), out[3] = high(v.y);
    out[4] = low(v.z), out[5] = high(v.z), out[6] = low(v.w), out[7] = high(v.w);
}

__device__ __forceinline__ float warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

// The modulation of a row.
struct Chosen {
    const __nv_bfloat16 *scale, *shift, *gate;
};

__device__ __forceinline__ Chosen choose(const __nv_bfloat16 *scale0, const __nv_bfloat16 *shift0,
                                         const __nv_bfloat16 *gate0, const __nv_bfloat16 *scale1,
                                         const __nv_bfloat16 *shift1, const __nv_bfloat16 *gate1, const int *index,
                                         size_t row, int L, int mod_stride)
{
    const size_t at = row / L * mod_stride;
    if (index[row] == 0)
        return {scale0 + at, shift0 + at, gate0 + at};
    return {scale1 + at, shift1 + at, gate1 + at};
}

// Eight elements, scaled and shifted, rounded once.
__device__ __forceinline__ uint4 modulated8(const float *v, float mean, float rstd, uint4 scale, uint4 shift)
{
    float s[8], t[8];
    unsigned int out[4];
    widen8(scale, s);
    widen8(shift, t);
#pragma unroll
    for (int k = 0; k < 4; k++)
        out[k] = pack(fmaf((v[2 * k] - mean) * rstd, 1.0f + s[2 * k], t[2 * k]),
                      fmaf((v[2 * k + 1] - mean) * rstd, 1.0f + s[2 * k + 1], t[2 * k + 1]));
    return make_uint4(out[0], out[1], out[2], out[3]);
}

__device__ __forceinline__ void load_row8(const __nv_bfloat16 *x, size_t at, float *out)
{
    widen8(*reinterpret_cast<const uint4 *>(x + at), out);
}

__device__ __forceinline__ float load_row1(const __nv_bfloat16 *x, size_t at)
{
    return __bfloat162float(x[at]);
}

__device__ __forceinline__ void store(__nv_bfloat16 *p, uint4 v)
{
    if (HINT)
        __stcs(reinterpret_cast<uint4 *>(p), v);
    else
        *reinterpret_cast<uint4 *>(p) = v;
}

__global__ void __launch_bounds__(THREADS)
    norm_block(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ scale0,
               const __nv_bfloat16 *__restrict__ shift0, const __nv_bfloat16 *__restrict__ gate0,
               const __nv_bfloat16 *__restrict__ scale1, const __nv_bfloat16 *__restrict__ shift1,
               const __nv_bfloat16 *__restrict__ gate1, const int *__restrict__ index, __nv_bfloat16 *__restrict__ y,
               __nv_bfloat16 *__restrict__ gate_out, int L, int C, int mod_stride, float eps)
{
    __shared__ float2 part[32];
    const size_t row = blockIdx.x;
    const Chosen m = choose(scale0, shift0, gate0, scale1, shift1, gate1, index, row, L, mod_stride);
    const float origin = load_row1(x, row * C);
    float v[ITEMS][8], sum = 0.0f, square = 0.0f;
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = 8 * (c * THREADS + threadIdx.x);
        if (i < C)
            load_row8(x, row * C + i, v[c]);
    }
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = 8 * (c * THREADS + threadIdx.x);
        if (i >= C)
            continue;
        if (EARLY) {
            store(gate_out + row * C + i, *reinterpret_cast<const uint4 *>(m.gate + i));
        }
#pragma unroll
        for (int k = 0; k < 8; k++) {
            sum += v[c][k] - origin;
            square = fmaf(v[c][k] - origin, v[c][k] - origin, square);
        }
    }
    sum = warp_sum(sum);
    square = warp_sum(square);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = make_float2(sum, square);
    __syncthreads();
    const float2 got = threadIdx.x % 32 < THREADS / 32 ? part[threadIdx.x % 32] : make_float2(0.0f, 0.0f);
    const float about = warp_sum(got.x) / C;
    const float mean = origin + about, rstd = rsqrtf(fmaxf(warp_sum(got.y) / C - about * about, 0.0f) + eps);
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = 8 * (c * THREADS + threadIdx.x);
        if (i >= C)
            continue;
        if (!EARLY) {
            store(gate_out + row * C + i, *reinterpret_cast<const uint4 *>(m.gate + i));
        }
        store(y + row * C + i, modulated8(v[c], mean, rstd, *reinterpret_cast<const uint4 *>(m.scale + i),
                                          *reinterpret_cast<const uint4 *>(m.shift + i)));
    }
}

// One warp per row of any length.
__global__ void __launch_bounds__(128)
    norm_any(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ scale0,
             const __nv_bfloat16 *__restrict__ shift0, const __nv_bfloat16 *__restrict__ gate0,
             const __nv_bfloat16 *__restrict__ scale1, const __nv_bfloat16 *__restrict__ shift1,
             const __nv_bfloat16 *__restrict__ gate1, const int *__restrict__ index, __nv_bfloat16 *__restrict__ y,
             __nv_bfloat16 *__restrict__ gate_out, int rows, int L, int C, int mod_stride, float eps)
{
    const size_t row = (size_t)blockIdx.x * 4 + threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    if (row >= rows)
        return;
    const Chosen m = choose(scale0, shift0, gate0, scale1, shift1, gate1, index, row, L, mod_stride);
    float sum = 0.0f, square = 0.0f;
    for (int i = lane; i < C; i += 32) {
        const float v = load_row1(x, row * C + i);
        gate_out[row * C + i] = m.gate[i];
        sum += v;
    }
    const float mean = warp_sum(sum) / C;
    for (int i = lane; i < C; i += 32) {
        const float v = load_row1(x, row * C + i) - mean;
        square = fmaf(v, v, square);
    }
    const float rstd = rsqrtf(warp_sum(square) / C + eps);
    for (int i = lane; i < C; i += 32) {
        const float n = (load_row1(x, row * C + i) - mean) * rstd;
        y[row * C + i] =
            __float2bfloat16_rn(fmaf(n, 1.0f + __bfloat162float(m.scale[i]), __bfloat162float(m.shift[i])));
    }
}
