// One decode step of Kimi Delta Attention in double precision: the oracle. Block b is pair b of sequence and head: it writes
// 128 outputs and the 128 x 128 state. Thread j has value column j.
#include <cuda_bf16.h>

#pragma kda launch decode_reference(q, k, v, raw, beta, A_log, dt_bias, S_in, o, S_out, H, mode, lower_bound) \
        grid(N * H) block(128)

__global__ void __launch_bounds__(128)
    decode_reference(const __nv_bfloat16 *q, const __nv_bfloat16 *k, const __nv_bfloat16 *v, const __nv_bfloat16 *raw,
                     const float *beta, const float *A_log, const float *dt_bias, const float *S_in, double *o,
                     double *S_out, int H, int mode, double lower_bound)
{
    __shared__ double query[128], key[128], alpha[128];
    const int j = threadIdx.x, head = blockIdx.x % H;
    const size_t at = (size_t)blockIdx.x * 128, state = (at + j) * 128;
    double qq = 0.0, kk = 0.0;
    for (int i = 0; i < 128; i++) {
        const double x = __bfloat162float(q[at + i]), y = __bfloat162float(k[at + i]);
        qq += x * x;
        kk += y * y;
    }
    query[j] = (double)__bfloat162float(q[at + j]) / sqrt(qq + 1e-6);
    key[j] = (double)__bfloat162float(k[at + j]) / sqrt(kk + 1e-6);
    const double a = exp((double)A_log[head]), x = (double)__bfloat162float(raw[at + j]) + dt_bias[head * 128 + j];
    alpha[j] = exp(mode == 1 ? lower_bound / (1.0 + exp(-a * x)) : -a * (x > 40.0 ? x : log1p(exp(x))));
    __syncthreads();
    double p = 0.0, sum = 0.0;
    for (int i = 0; i < 128; i++)
        p += key[i] * alpha[i] * S_in[state + i];
    const double e = beta[blockIdx.x] * ((double)__bfloat162float(v[at + j]) - p);
    for (int i = 0; i < 128; i++) {
        const double s = alpha[i] * S_in[state + i] + key[i] * e;
        sum += query[i] * s;
        S_out[state + i] = s;
    }
    o[at + j] = sum / sqrt(128.0);
}
