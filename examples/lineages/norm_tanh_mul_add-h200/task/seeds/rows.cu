// A block takes ROWS rows, one after the other: weight and tanh of the scale stay in registers as fp32 where the scale is
// the same for all rows. THREADS * ITEMS vectors of eight cover a row. EARLY: the shift is loaded before the reduction.
#include <cuda_bf16.h>

#pragma kda tune ROWS = 2, 4, 8, 1
#pragma kda tune THREADS = 512, 256
#pragma kda tune EARLY = 0, 1
#pragma kda tune HINT = 0, 1
#pragma kda variant rows when(N % 8 == 0 && N <= 8192 && scale_stride == 0)
#pragma kda define ITEMS = ceil_div(N / 8, THREADS)
#pragma kda launch gate_rows(x, w, scale, shift, y, M, N, shift_stride, eps) grid(ceil_div(M, ROWS)) block(THREADS)
#pragma kda variant any
#pragma kda launch gate_any(x, w, scale, shift, y, M, N, scale_stride, shift_stride, eps) \
        grid(ceil_div(M, 4)) block(128)

#ifndef ITEMS
#define ITEMS 1
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

__device__ __forceinline__ uint4 load(const uint4 *p)
{
    return HINT ? __ldcs(p) : *p;
}

__device__ __forceinline__ float warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ __forceinline__ float squares(unsigned int v, float sum)
{
    return fmaf(low(v), low(v), fmaf(high(v), high(v), sum));
}

// Two elements; `w` is the pair of weights, `gate` has their two tanh.
__device__ __forceinline__ unsigned int gated(unsigned int v, float rstd, unsigned int w, const float *gate,
                                              unsigned int shift)
{
    const unsigned int n = pack(low(v) * rstd * low(w), high(v) * rstd * high(w));
    return pack(fmaf(low(n), gate[0], low(shift)), fmaf(high(n), gate[1], high(shift)));
}

__global__ void __launch_bounds__(THREADS)
    gate_rows(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ w,
              const __nv_bfloat16 *__restrict__ scale, const __nv_bfloat16 *__restrict__ shift,
              __nv_bfloat16 *__restrict__ y, int M, int N, int shift_stride, float eps)
{
    __shared__ float part[2][THREADS / 32];
    const int vectors = N / 8, first = blockIdx.x * ROWS;
    uint4 g[ITEMS];
    float gate[ITEMS][8];
#pragma unroll
    for (int c = 0; c < ITEMS; c++) {
        const int i = c * THREADS + threadIdx.x;
        uint4 s = g[c] = make_uint4(0, 0, 0, 0);
        if (i < vectors) {
            g[c] = reinterpret_cast<const uint4 *>(w)[i];
            s = reinterpret_cast<const uint4 *>(scale)[i];
        }
        const unsigned int word[4] = {s.x, s.y, s.z, s.w};
#pragma unroll
        for (int k = 0; k < 4; k++) {
            gate[c][2 * k] = tanhf(low(word[k]));
            gate[c][2 * k + 1] = tanhf(high(word[k]));
        }
    }
    for (int r = 0; r < ROWS && first + r < M; r++) {
        const size_t row = first + r;
        const uint4 *in = reinterpret_cast<const uint4 *>(x + row * N);
        const uint4 *more = reinterpret_cast<const uint4 *>(shift + row * shift_stride);
        uint4 v[ITEMS], t[ITEMS];
        float sum = 0.0f;
#pragma unroll
        for (int c = 0; c < ITEMS; c++) {
            const int i = c * THREADS + threadIdx.x;
            v[c] = t[c] = make_uint4(0, 0, 0, 0);
            if (i < vectors) {
                v[c] = load(in + i);
                if (EARLY)
                    t[c] = load(more + i);
            }
        }
#pragma unroll
        for (int c = 0; c < ITEMS; c++)
            sum = squares(v[c].x, squares(v[c].y, squares(v[c].z, squares(v[c].w, sum))));
        sum = warp_sum(sum);
        if (threadIdx.x % 32 == 0)
            part[r % 2][threadIdx.x / 32] = sum;
        __syncthreads(); // two parts in turn: no second barrier
        sum = warp_sum(threadIdx.x % 32 < THREADS / 32 ? part[r % 2][threadIdx.x % 32] : 0.0f);
        const float rstd = rsqrtf(sum / N + eps);
#pragma unroll
        for (int c = 0; c < ITEMS; c++) {
            const int i = c * THREADS + threadIdx.x;
            if (i >= vectors)
                continue;
            if (!EARLY)
                t[c] = load(more + i);
            const uint4 o = make_uint4(
                gated(v[c].x, rstd, g[c].x, gate[c], t[c].x), gated(v[c].y, rstd, g[c].y, gate[c] + 2, t[c].y),
                gated(v[c].z, rstd, g[c].z, gate[c] + 4, t[c].z), gated(v[c].w, rstd, g[c].w, gate[c] + 6, t[c].w));
            uint4 *out = reinterpret_cast<uint4 *>(y + row * N) + i;
            if (HINT)
                __stcs(out, o);
            else
                *out = o;
        }
    }
}

// One warp per row of any length and layout.
__global__ void __launch_bounds__(128)
    gate_any(const __nv_bfloat16 *__restrict__ x, const __nv_bfloat16 *__restrict__ w,
             const __nv_bfloat16 *__restrict__ scale, const __nv_bfloat16 *__restrict__ shift,
             __nv_bfloat16 *__restrict__ y, int M, int N, int scale_stride, int shift_stride, float eps)
{
    const size_t row = (size_t)blockIdx.x * 4 + threadIdx.x / 32;
    if (row >= M)
        return;
    float sum = 0.0f;
    for (int i = threadIdx.x % 32; i < N; i += 32) {
        const float v = __bfloat162float(x[row * N + i]);
        sum = fmaf(v, v, sum);
    }
    const float rstd = rsqrtf(warp_sum(sum) / N + eps);
    for (int i = threadIdx.x % 32; i < N; i += 32) {
        const __nv_bfloat16 n =
            __float2bfloat16_rn(__bfloat162float(x[row * N + i]) * rstd * __bfloat162float(w[i]));
        const float gate = tanhf(__bfloat162float(scale[row * scale_stride + i]));
        y[row * N + i] = __float2bfloat16_rn(
            fmaf(__bfloat162float(n), gate, __bfloat162float(shift[row * shift_stride + i])));
    }
}
