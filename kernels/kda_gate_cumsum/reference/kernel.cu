// KDA's gate and its cumulative sum within chunks in double precision: the oracle. Block b writes the 128 channels of token
// b / H, head b % H.
#include <cuda_bf16.h>

#pragma kda launch gate_reference(raw, A_log, dt_bias, cu, G, H, N, mode, lower_bound) grid(T * H) block(128)

__global__ void gate_reference(const __nv_bfloat16 *raw, const float *A_log, const float *dt_bias, const int *cu, double *G,
                               int H, int N, int mode, double lower_bound)
{
    const int token = blockIdx.x / H, head = blockIdx.x % H, channel = threadIdx.x;
    int n = 0;
    while (n + 1 < N && cu[n + 1] <= token)
        n++;
    const double a = exp((double)A_log[head]), bias = dt_bias[head * 128 + channel];
    double sum = 0.0;
    for (int t = cu[n] + (token - cu[n]) / 64 * 64; t <= token; t++) {
        const double x = (double)__bfloat162float(raw[((size_t)t * H + head) * 128 + channel]) + bias;
        if (mode == 1)
            sum += lower_bound / (1.0 + exp(-a * x));
        else
            sum -= a * (x > 40.0 ? x : log1p(exp(x)));
    }
    G[(size_t)blockIdx.x * 128 + channel] = sum * 1.4426950408889634;
}
