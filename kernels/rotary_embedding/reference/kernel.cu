// Rotary embedding in double precision: the oracle. Block b writes the outputs [512 b, 512 (b + 1)), unrounded.
#include <cuda_bf16.h>

#pragma kda launch rope_reference(x, cos, sin, y, T, H, D) grid(ceil_div(T * H * D, 512)) block(256)

__global__ void rope_reference(const __nv_bfloat16 *x, const float *cos, const float *sin, double *y, int T, int H,
                               int D)
{
    const size_t pair = (size_t)blockIdx.x * 256 + threadIdx.x; // over all heads of all tokens
    const size_t half = D / 2;
    if (pair >= (size_t)T * H * half)
        return;
    const size_t at = pair / (H * half) * half + pair % half;
    const double c = cos[at], s = sin[at];
    const double a = __bfloat162float(x[2 * pair]), b = __bfloat162float(x[2 * pair + 1]);
    y[2 * pair] = a * c - b * s;
    y[2 * pair + 1] = b * c + a * s;
}
