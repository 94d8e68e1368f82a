// One element per thread in flat order, with 64-bit divisions, expf and an IEEE division.
#include <cuda_bf16.h>

#pragma kda launch silu_single(x, y, M * N, N) grid(ceil_div(M * N, 256)) block(256)

__global__ void __launch_bounds__(256) silu_single(const __nv_bfloat16 *x, __nv_bfloat16 *y, long long total, long long N)
{
    const long long i = blockIdx.x * 256ll + threadIdx.x;
    if (i >= total)
        return;
    const long long row = i / N, n = i % N;
    const float gate = __bfloat162float(x[2 * row * N + n]), up = __bfloat162float(x[2 * row * N + N + n]);
    y[i] = __float2bfloat16_rn(gate / (1.0f + expf(-gate)) * up);
}
