// Kimi Delta Attention as a recurrence in double precision: the oracle. The first launch works out the normalised queries and
// keys (not rounded) and the decays, a token of a head per block; in the second a thread carries one value column of one head
// of one sequence from token to token, its state in scratch with value columns side by side.
#include <cuda_bf16.h>

#pragma kda scratch query : f64[T * H * 128]
#pragma kda scratch key : f64[T * H * 128]
#pragma kda scratch alpha : f64[T * H * 128]
#pragma kda scratch columns : f64[N * H * 16384]
#pragma kda launch prepare(q, k, raw, A_log, dt_bias, query, key, alpha, H, mode, lower_bound) grid(T * H) block(128)
#pragma kda launch recurrence(query, key, alpha, v, beta, S0, cu, columns, o, S_T, H) grid(4, N * H) block(32)

__global__ void __launch_bounds__(128)
    prepare(const __nv_bfloat16 *q, const __nv_bfloat16 *k, const __nv_bfloat16 *raw, const float *A_log,
            const float *dt_bias, double *query, double *key, double *alpha, int H, int mode, double lower_bound)
{
    const int i = threadIdx.x, head = blockIdx.x % H;
    const size_t at = (size_t)blockIdx.x * 128;
    double qq = 0.0, kk = 0.0;
    for (int e = 0; e < 128; e++) {
        const double x = __bfloat162float(q[at + e]), y = __bfloat162float(k[at + e]);
        qq += x * x;
        kk += y * y;
    }
    query[at + i] = (double)__bfloat162float(q[at + i]) / sqrt(qq + 1e-6);
    key[at + i] = (double)__bfloat162float(k[at + i]) / sqrt(kk + 1e-6);
    const double a = exp((double)A_log[head]), x = (double)__bfloat162float(raw[at + i]) + dt_bias[head * 128 + i];
    alpha[at + i] = exp(mode == 1 ? lower_bound / (1.0 + exp(-a * x)) : -a * (x > 40.0 ? x : log1p(exp(x))));
}

__global__ void __launch_bounds__(32)
    recurrence(const double *query, const double *key, const double *alpha, const __nv_bfloat16 *v, const float *beta,
               const float *S0, const int *cu, double *columns, double *o, double *S_T, int H)
{
    const int j = blockIdx.x * 32 + threadIdx.x, n = blockIdx.y / H, head = blockIdx.y % H;
    const size_t mine = ((size_t)blockIdx.y * 128 + j) * 128;
    double *S = columns + (size_t)blockIdx.y * 16384 + j; // channel i at 128 i
    for (int i = 0; i < 128; i++)
        S[i * 128] = S0[mine + i];
    for (int t = cu[n]; t < cu[n + 1]; t++) {
        const size_t token = ((size_t)t * H + head) * 128;
        double p = 0.0, kq = 0.0, sq = 0.0; // k S', k q, q S'
#pragma unroll 16
        for (int i = 0; i < 128; i++) {
            const double s = alpha[token + i] * S[i * 128];
            S[i * 128] = s;
            p += key[token + i] * s;
            sq += query[token + i] * s;
            kq += key[token + i] * query[token + i];
        }
        const double e = beta[(size_t)t * H + head] * ((double)__bfloat162float(v[token + j]) - p);
#pragma unroll 16
        for (int i = 0; i < 128; i++)
            S[i * 128] += key[token + i] * e;
        o[token + j] = (sq + kq * e) / sqrt(128.0);
    }
    for (int i = 0; i < 128; i++)
        S_T[mine + i] = S[i * 128];
}
