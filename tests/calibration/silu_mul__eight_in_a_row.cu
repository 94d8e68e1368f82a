// A thread takes eight neighbours one by one: lanes are 16 bytes apart in every 2-byte access.
#include <cuda_bf16.h>

#pragma kda launch silu_eight(x, y, N) grid(M) block(256)

__global__ void __launch_bounds__(256) silu_eight(const __nv_bfloat16 *x, __nv_bfloat16 *y, int N)
{
    const __nv_bfloat16 *row = x + (size_t)blockIdx.x * 2 * N;
    for (int i = threadIdx.x * 8; i < N; i += 2048)
        for (int k = i; k < min(N, i + 8); k++) {
            const float gate = __bfloat162float(row[k]), up = __bfloat162float(row[N + k]);
            y[(size_t)blockIdx.x * N + k] = __float2bfloat16_rn(__fdividef(gate, 1.0f + __expf(-gate)) * up);
        }
}
