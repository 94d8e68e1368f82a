// Gated residual sum, LayerNorm and chosen modulation with the mapping of the upstream Triton kernel (docs/README.md):
// one program of 256 threads per row, which stays in registers as fp32 over the two reductions; 128-bit accesses. Other
// rows: a block that walks the row.
#include <cuda_bf16.h>

#pragma kda variant row8 when(C % 8 == 0 && mod_stride % 8 == 0 && C <= 8192)
#pragma kda define CHUNKS = ceil_div(C, 2048)
#pragma kda launch norm_row8(residual, x, residual_gate, scale0, shift0, gate0, scale1, shift1, gate1, index, y, \
        residual_out, gate_out, L, C, mod_stride, eps) grid(B * L) block(256)
#pragma kda variant any
#pragma kda define CHUNKS = 1
#pragma kda launch norm_any(residual, x, residual_gate, scale0, shift0, gate0, scale1, shift1, gate1, index, y, \
        residual_out, gate_out, L, C, mod_stride, eps) grid(B * L) block(512)

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

// The sum over a block, in every thread. `part` has room for 32; one barrier, so that two calls need two parts.
__device__ __forceinline__ float block_sum(float value, float *part)
{
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = value;
    __syncthreads();
    return warp_sum(threadIdx.x % 32 < blockDim.x / 32 ? part[threadIdx.x % 32] : 0.0f);
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

// Eight elements of the sum, not rounded.
__device__ __forceinline__ void load_row8(const __nv_bfloat16 *residual, const __nv_bfloat16 *x,
                                          const __nv_bfloat16 *residual_gate, size_t at, float *out)
{
    float f[8], g[8];
    widen8(*reinterpret_cast<const uint4 *>(residual + at), out);
    widen8(*reinterpret_cast<const uint4 *>(x + at), f);
    widen8(*reinterpret_cast<const uint4 *>(residual_gate + at), g);
#pragma unroll
    for (int k = 0; k < 8; k++)
        out[k] = fmaf(g[k], f[k], out[k]);
}

__device__ __forceinline__ float load_row1(const __nv_bfloat16 *residual, const __nv_bfloat16 *x,
                                           const __nv_bfloat16 *residual_gate, size_t at)
{
    return fmaf(__bfloat162float(residual_gate[at]), __bfloat162float(x[at]), __bfloat162float(residual[at]));
}

__device__ __forceinline__ uint4 pack8(const float *v)
{
    return make_uint4(pack(v[0], v[1]), pack(v[2], v[3]), pack(v[4], v[5]), pack(v[6], v[7]));
}

__global__ void __launch_bounds__(256)
    norm_row8(const __nv_bfloat16 *residual, const __nv_bfloat16 *x, const __nv_bfloat16 *residual_gate,
              const __nv_bfloat16 *scale0, const __nv_bfloat16 *shift0, const __nv_bfloat16 *gate0,
              const __nv_bfloat16 *scale1, const __nv_bfloat16 *shift1, const __nv_bfloat16 *gate1, const int *index,
              __nv_bfloat16 *y, __nv_bfloat16 *residual_out, __nv_bfloat16 *gate_out, int L, int C, int mod_stride,
              float eps)
{
    __shared__ float part[2][32];
    const size_t row = blockIdx.x;
    const Chosen m = choose(scale0, shift0, gate0, scale1, shift1, gate1, index, row, L, mod_stride);
    float v[CHUNKS][8], sum = 0.0f, square = 0.0f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int i = 8 * (c * 256 + threadIdx.x);
#pragma unroll
        for (int k = 0; k < 8; k++)
            v[c][k] = 0.0f;
        if (i < C)
            load_row8(residual, x, residual_gate, row * C + i, v[c]);
#pragma unroll
        for (int k = 0; k < 8; k++)
            sum += v[c][k];
    }
    const float mean = block_sum(sum, part[0]) / C;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const bool inside = 8 * (c * 256 + threadIdx.x) < C;
#pragma unroll
        for (int k = 0; k < 8; k++)
            square = inside ? fmaf(v[c][k] - mean, v[c][k] - mean, square) : square;
    }
    const float rstd = rsqrtf(block_sum(square, part[1]) / C + eps);
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int i = 8 * (c * 256 + threadIdx.x);
        if (i >= C)
            continue;
        *reinterpret_cast<uint4 *>(residual_out + row * C + i) = pack8(v[c]);
        *reinterpret_cast<uint4 *>(y + row * C + i) =
            modulated8(v[c], mean, rstd, *reinterpret_cast<const uint4 *>(m.scale + i),
                       *reinterpret_cast<const uint4 *>(m.shift + i));
        *reinterpret_cast<uint4 *>(gate_out + row * C + i) = *reinterpret_cast<const uint4 *>(m.gate + i);
    }
}

__global__ void __launch_bounds__(512)
    norm_any(const __nv_bfloat16 *residual, const __nv_bfloat16 *x, const __nv_bfloat16 *residual_gate,
             const __nv_bfloat16 *scale0, const __nv_bfloat16 *shift0, const __nv_bfloat16 *gate0,
             const __nv_bfloat16 *scale1, const __nv_bfloat16 *shift1, const __nv_bfloat16 *gate1, const int *index,
             __nv_bfloat16 *y, __nv_bfloat16 *residual_out, __nv_bfloat16 *gate_out, int L, int C, int mod_stride,
             float eps)
{
    __shared__ float part[2][32];
    const size_t row = blockIdx.x;
    const Chosen m = choose(scale0, shift0, gate0, scale1, shift1, gate1, index, row, L, mod_stride);
    float sum = 0.0f, square = 0.0f;
    for (int i = threadIdx.x; i < C; i += 512) {
        const float v = load_row1(residual, x, residual_gate, row * C + i);
        residual_out[row * C + i] = __float2bfloat16_rn(v);
        sum += v;
    }
    const float mean = block_sum(sum, part[0]) / C;
    for (int i = threadIdx.x; i < C; i += 512) {
        const float v = load_row1(residual, x, residual_gate, row * C + i) - mean;
        square = fmaf(v, v, square);
    }
    const float rstd = rsqrtf(block_sum(square, part[1]) / C + eps);
    for (int i = threadIdx.x; i < C; i += 512) {
        const float n = (load_row1(residual, x, residual_gate, row * C + i) - mean) * rstd;
        y[row * C + i] =
            __float2bfloat16_rn(fmaf(n, 1.0f + __bfloat162float(m.scale[i]), __bfloat162float(m.shift[i])));
        gate_out[row * C + i] = m.gate[i];
    }
}
