// Gated residual sum, LayerNorm, scale and shift in double precision: the oracle. The norm is of the sum rounded to bf16, as
// the function demands; nothing else is rounded. Block b writes row b of both outputs.
#include <cuda_bf16.h>

#pragma kda launch norm_reference(residual, x, gate, w, b, scale, shift, y, res_out, N, gate_bytes, gate_stride, affine, \
        mod_bytes, mod_stride, mod_column, eps) grid(M) block(128)

__device__ double load1(const void *p, size_t i, int bytes)
{
    return bytes == 2 ? __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]) : static_cast<const float *>(p)[i];
}

// To bf16, to nearest even, and back. Through fp32 with round to odd, so that nothing is rounded twice.
__device__ double rounded(double v)
{
    const float down = __double2float_rz(v);
    const unsigned int odd = __float_as_uint(down) | ((double)down != v ? 1u : 0u);
    return __bfloat162float(__float2bfloat16_rn(__uint_as_float(odd)));
}

__device__ double block_sum(double value)
{
    __shared__ double part[128];
    __syncthreads();
    part[threadIdx.x] = value;
    __syncthreads();
    for (int half = 64; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    return part[0];
}

__global__ void norm_reference(const __nv_bfloat16 *residual, const __nv_bfloat16 *x, const void *gate, const float *w,
                               const float *b, const void *scale, const void *shift, double *y, double *res_out, int N,
                               int gate_bytes, int gate_stride, int affine, int mod_bytes, int mod_stride,
                               int mod_column, float eps)
{
    const size_t row = blockIdx.x;
    double sum = 0.0, square = 0.0;
    for (int i = threadIdx.x; i < N; i += 128) {
        const double g = gate_bytes ? load1(gate, row * gate_stride + i, gate_bytes) : 1.0;
        const double r = load1(residual, row * N + i, 2) + g * load1(x, row * N + i, 2);
        res_out[row * N + i] = r;
        sum += rounded(r);
    }
    const double mean = block_sum(sum) / N;
    for (int i = threadIdx.x; i < N; i += 128) {
        const double v = rounded(res_out[row * N + i]) - mean;
        square += v * v;
    }
    const double rstd = 1.0 / sqrt(block_sum(square) / N + (double)eps);
    for (int i = threadIdx.x; i < N; i += 128) {
        double n = (rounded(res_out[row * N + i]) - mean) * rstd;
        if (affine)
            n = n * w[i] + b[i];
        const size_t at = row * mod_stride + (size_t)i * mod_column;
        y[row * N + i] = n * (1.0 + load1(scale, at, mod_bytes)) + load1(shift, at, mod_bytes);
    }
}
