// No shared memory: a thread reads a pair of neighbours and writes two elements a column apart.
#include <cuda_bf16.h>

#pragma kda variant pairs when(C % 2 == 0 && batch_stride % 2 == 0 && row_stride % 2 == 0)
#pragma kda launch transpose_pairs(x, y, B * R * (C / 2), R, C / 2, batch_stride / 2, row_stride / 2) grid(ceil_div(B * R * (C / 2), 256)) block(256)
#pragma kda variant any
#pragma kda launch transpose_single(x, y, B * R * C, R, C, batch_stride, row_stride) grid(ceil_div(B * R * C, 256)) block(256)

__global__ void __launch_bounds__(256)
    transpose_pairs(const unsigned int *x, unsigned short *y, long long total, int R, int pairs, long long batch_stride,
                    long long row_stride)
{
    const long long i = blockIdx.x * 256ll + threadIdx.x;
    if (i >= total)
        return;
    const unsigned int row = (unsigned int)(i / pairs), c = (unsigned int)(i % pairs), b = row / R, r = row % R;
    const unsigned int v = x[b * batch_stride + r * row_stride + c];
    unsigned short *out = y + ((size_t)b * pairs + c) * 2 * R + r;
    out[0] = v & 0xffff;
    out[R] = v >> 16;
}

__global__ void __launch_bounds__(256)
    transpose_single(const unsigned short *x, unsigned short *y, long long total, int R, int C, long long batch_stride,
                     long long row_stride)
{
    const long long i = blockIdx.x * 256ll + threadIdx.x;
    if (i >= total)
        return;
    const long long c = i % C, r = i / C % R, b = i / C / R;
    y[(b * C + c) * R + r] = x[b * batch_stride + r * row_stride + c];
}
