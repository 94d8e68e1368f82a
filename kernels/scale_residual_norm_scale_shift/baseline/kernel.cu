// Gated residual sum, LayerNorm, scale and shift with the mapping of the upstream CuTe kernel (docs/README.md): compiled for
// the kinds of gate and modulation; one block per row, eight elements per thread in 128-bit vectors, two block reductions
// over registers. Other rows: a block that walks the row and reads its sum again.
#include <cuda_bf16.h>

#pragma kda variant row8 when(N % 8 == 0 && N <= 8192)
#pragma kda define GATE = gate_bytes
#pragma kda define AFFINE = affine
#pragma kda define MOD = mod_bytes
#pragma kda define COLUMN = mod_column
#pragma kda launch norm_row8(residual, x, gate, w, b, scale, shift, y, res_out, N, gate_stride, mod_stride, eps) \
        grid(M) block(align_up(N / 8, 32))
#pragma kda variant any
#pragma kda launch norm_any(residual, x, gate, w, b, scale, shift, y, res_out, N, gate_bytes, gate_stride, affine, \
        mod_bytes, mod_stride, mod_column, eps) grid(M) block(min(512, align_up(N, 32)))

#ifndef GATE
#define GATE 0
#define AFFINE 0
#define MOD 2
#define COLUMN 1
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

__device__ __forceinline__ void widen8(uint4 v, float *out)
{
    out[0] = low(v.x), out[1] = high(v.x), out[2] = low(v.y), out[3] = high(v.y);
    out[4] = low(v.z), out[5] = high(v.z), out[6] = low(v.w), out[7] = high(v.w);
}

// Eight elements from number i on, aligned; of a type of `bytes` bytes.
__device__ __forceinline__ void load8(const void *p, size_t i, int bytes, float *out)
{
    if (bytes == 2) {
        widen8(*reinterpret_cast<const uint4 *>(static_cast<const __nv_bfloat16 *>(p) + i), out);
    } else {
        const float4 *at = reinterpret_cast<const float4 *>(static_cast<const float *>(p) + i);
        *reinterpret_cast<float4 *>(out) = at[0];
        *reinterpret_cast<float4 *>(out + 4) = at[1];
    }
}

__device__ __forceinline__ float load1(const void *p, size_t i, int bytes)
{
    return bytes == 2 ? __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]) : static_cast<const float *>(p)[i];
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

// The eight elements from `at` on of the residual plus the gated ones of x, rounded to bf16.
__device__ __forceinline__ uint4 gated8(const __nv_bfloat16 *residual, const __nv_bfloat16 *x, const void *gate,
                                        size_t at, size_t gate_at)
{
    float r[8], f[8], g[8];
    load8(residual, at, 2, r);
    load8(x, at, 2, f);
    if (GATE)
        load8(gate, gate_at, GATE, g);
#pragma unroll
    for (int k = 0; k < 8; k++)
        r[k] = GATE ? fmaf(g[k], f[k], r[k]) : r[k] + f[k];
    return make_uint4(pack(r[0], r[1]), pack(r[2], r[3]), pack(r[4], r[5]), pack(r[6], r[7]));
}

__global__ void __launch_bounds__(1024)
    norm_row8(const __nv_bfloat16 *residual, const __nv_bfloat16 *x, const void *gate, const float *w, const float *b,
              const void *scale, const void *shift, __nv_bfloat16 *y, __nv_bfloat16 *res_out, int N, int gate_stride,
              int mod_stride, float eps)
{
    __shared__ float part[2][32];
    const size_t row = blockIdx.x;
    const int i = threadIdx.x * 8;
    const bool inside = i < N;
    float v[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    if (inside) {
        const uint4 sum = gated8(residual, x, gate, row * N + i, row * gate_stride + i);
        *reinterpret_cast<uint4 *>(res_out + row * N + i) = sum;
        widen8(sum, v);
    }
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
    if (AFFINE) {
        load8(w, i, 4, s);
        load8(b, i, 4, t);
    }
    unsigned int n[4], out[4];
#pragma unroll
    for (int k = 0; k < 4; k++)
        n[k] = AFFINE ? pack(fmaf(v[2 * k] * rstd, s[2 * k], t[2 * k]),
                             fmaf(v[2 * k + 1] * rstd, s[2 * k + 1], t[2 * k + 1]))
                      : pack(v[2 * k] * rstd, v[2 * k + 1] * rstd);
    if (COLUMN) {
        load8(scale, row * mod_stride + i, MOD, s);
        load8(shift, row * mod_stride + i, MOD, t);
    } else {
        s[0] = load1(scale, 0, MOD);
        t[0] = load1(shift, 0, MOD);
    }
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const int one = COLUMN ? 2 * k : 0, two = COLUMN ? 2 * k + 1 : 0;
        out[k] = pack(fmaf(low(n[k]), 1.0f + s[one], t[one]), fmaf(high(n[k]), 1.0f + s[two], t[two]));
    }
    *reinterpret_cast<uint4 *>(y + row * N + i) = make_uint4(out[0], out[1], out[2], out[3]);
}

__global__ void __launch_bounds__(512)
    norm_any(const __nv_bfloat16 *residual, const __nv_bfloat16 *x, const void *gate, const float *w, const float *b,
             const void *scale, const void *shift, __nv_bfloat16 *y, __nv_bfloat16 *res_out, int N, int gate_bytes,
             int gate_stride, int affine, int mod_bytes, int mod_stride, int mod_column, float eps)
{
    __shared__ float part[2][32];
    const size_t row = blockIdx.x;
    float sum = 0.0f, square = 0.0f;
    for (int i = threadIdx.x; i < N; i += blockDim.x) {
        const float g = gate_bytes ? load1(gate, row * gate_stride + i, gate_bytes) : 1.0f;
        const float r = fmaf(g, __bfloat162float(x[row * N + i]), __bfloat162float(residual[row * N + i]));
        res_out[row * N + i] = __float2bfloat16_rn(r);
        sum += __bfloat162float(res_out[row * N + i]);
    }
    const float mean = block_sum(sum, part[0]) / N;
    for (int i = threadIdx.x; i < N; i += blockDim.x) {
        const float v = __bfloat162float(res_out[row * N + i]) - mean;
        square = fmaf(v, v, square);
    }
    const float rstd = rsqrtf(block_sum(square, part[1]) / N + eps);
    for (int i = threadIdx.x; i < N; i += blockDim.x) {
        float n = (__bfloat162float(res_out[row * N + i]) - mean) * rstd;
        if (affine)
            n = fmaf(n, w[i], b[i]);
        n = __bfloat162float(__float2bfloat16_rn(n));
        const size_t at = row * mod_stride + (size_t)i * mod_column;
        y[row * N + i] = __float2bfloat16_rn(fmaf(n, 1.0f + load1(scale, at, mod_bytes), load1(shift, at, mod_bytes)));
    }
}
