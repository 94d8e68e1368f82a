// A small block per token and head, a pair of elements per thread and 4-byte accesses: very many blocks.
#include <cuda_bf16.h>

#pragma kda launch rope_head(x, cos, sin, y, H, D) grid(T * H) block(min(128, align_up(D / 2, 32)))

__global__ void rope_head(const __nv_bfloat162 *x, const float *cos, const float *sin, __nv_bfloat162 *y, int H, int D)
{
    const size_t token = blockIdx.x / H;
    const int half = D / 2;
    for (int i = threadIdx.x; i < half; i += blockDim.x) {
        const float c = cos[token * half + i], s = sin[token * half + i];
        const float2 v = __bfloat1622float2(x[(size_t)blockIdx.x * half + i]);
        y[(size_t)blockIdx.x * half + i] = __floats2bfloat162_rn(fmaf(-v.y, s, v.x * c), fmaf(v.x, s, v.y * c));
    }
}
