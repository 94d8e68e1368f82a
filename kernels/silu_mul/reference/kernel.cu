// The gated activation in double precision: the oracle. Block b writes the outputs [256 b, 256 (b + 1)), unrounded.
#include <cuda_bf16.h>

#pragma kda launch silu_reference(x, y, M, N) grid(ceil_div(M * N, 256)) block(256)

__global__ void silu_reference(const __nv_bfloat16 *x, double *y, int M, int N)
{
    const long long at = blockIdx.x * 256ll + threadIdx.x;
    if (at >= (long long)M * N)
        return;
    const long long row = at / N, n = at % N;
    const double gate = __bfloat162float(x[row * 2 * N + n]), up = __bfloat162float(x[row * 2 * N + N + n]);
    y[at] = gate / (1.0 + exp(-gate)) * up;
}
