// The transposed copy, widened to double: the oracle. Block b writes the outputs [256 b, 256 (b + 1)).
#include <cuda_bf16.h>

#pragma kda launch transpose_reference(x, y, B, R, C, batch_stride, row_stride) grid(ceil_div(B * R * C, 256)) block(256)

__global__ void transpose_reference(const __nv_bfloat16 *x, double *y, int B, int R, int C, long long batch_stride,
                                    long long row_stride)
{
    const long long i = blockIdx.x * 256ll + threadIdx.x; // y[b][c][r]
    if (i >= (long long)B * R * C)
        return;
    const long long r = i % R, c = i / R % C, b = i / R / C;
    y[i] = __bfloat162float(x[b * batch_stride + r * row_stride + c]);
}
