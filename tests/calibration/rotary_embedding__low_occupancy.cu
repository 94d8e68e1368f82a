// Vectors of eight elements in flat order, but each block takes 110 KiB of shared memory that it does not need: two
// blocks of 128 threads per SM.
#include <cuda_bf16.h>

#pragma kda variant vectors when(D % 8 == 0)
#pragma kda launch rope_vectors(x, cos, sin, y, T * H * (D / 8), H, D / 8) grid(ceil_div(T * H * (D / 8), 128)) block(128) smem(112640)
#pragma kda variant any
#pragma kda launch rope_pairs(x, cos, sin, y, T * H * (D / 2), H, D / 2) grid(ceil_div(T * H * (D / 2), 128)) block(128)

__global__ void __launch_bounds__(128)
    rope_vectors(const uint4 *x, const float4 *cos, const float4 *sin, uint4 *y, long long total, int H, int chunks)
{
    const long long i = blockIdx.x * 128ll + threadIdx.x;
    if (i >= total)
        return;
    const unsigned int row = (unsigned int)(i / chunks);
    const long long at = (long long)(row / H) * chunks + i % chunks;
    const float4 c = cos[at], s = sin[at];
    uint4 v = x[i];
    const float cs[4] = {c.x, c.y, c.z, c.w}, sn[4] = {s.x, s.y, s.z, s.w};
    unsigned int *word = reinterpret_cast<unsigned int *>(&v);
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const float a = __uint_as_float(word[k] << 16), b = __uint_as_float(word[k] & 0xffff0000u);
        const __nv_bfloat162 r = __floats2bfloat162_rn(fmaf(-b, sn[k], a * cs[k]), fmaf(a, sn[k], b * cs[k]));
        word[k] = *reinterpret_cast<const unsigned int *>(&r);
    }
    y[i] = v;
}

__global__ void __launch_bounds__(128)
    rope_pairs(const __nv_bfloat162 *x, const float *cos, const float *sin, __nv_bfloat162 *y, long long total, int H,
               int half)
{
    const long long i = blockIdx.x * 128ll + threadIdx.x;
    if (i >= total)
        return;
    const long long at = i / half / H * half + i % half;
    const float2 v = __bfloat1622float2(x[i]);
    y[i] = __floats2bfloat162_rn(fmaf(-v.y, sin[at], v.x * cos[at]), fmaf(v.x, sin[at], v.y * cos[at]));
}
