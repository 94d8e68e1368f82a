// Scale and shift in double precision, nothing rounded: what the roundings of the function cost is measured against it. Block b
// writes the outputs [256 b, 256 (b + 1)).
#include <cuda_bf16.h>

#pragma kda launch scale_reference(x, scale, shift, y, M, N, scale_bytes, scale_stride, shift_stride, constant) \
        grid(ceil_div(M * N, 256)) block(256)

__global__ void scale_reference(const __nv_bfloat16 *x, const void *scale, const __nv_bfloat16 *shift, double *y, int M,
                                int N, int scale_bytes, int scale_stride, int shift_stride, float constant)
{
    const size_t i = (size_t)blockIdx.x * 256 + threadIdx.x;
    if (i >= (size_t)M * N)
        return;
    const size_t row = i / N, column = i - row * N, at = row * scale_stride + column;
    const double s = scale_bytes == 2 ? __bfloat162float(static_cast<const __nv_bfloat16 *>(scale)[at])
                                      : static_cast<const float *>(scale)[at];
    y[i] = (double)__bfloat162float(x[i]) * ((double)constant + s) +
           (double)__bfloat162float(shift[row * shift_stride + column]);
}
