// The state of Kimi Delta Attention carried from chunk to chunk in double precision: the oracle, from the given bf16 w, u and
// kg. A thread keeps one value column of one head of one sequence; its state lies in scratch, value columns side by side.
#include <cuda_bf16.h>

#pragma kda scratch columns : f64[N * H * 16384]
#pragma kda launch scan_reference(kg, w, u, G, S0, cu, chunk_off, columns, h, v_new, S_T, H) grid(4, N * H) block(32)

__global__ void __launch_bounds__(32)
    scan_reference(const __nv_bfloat16 *kg, const __nv_bfloat16 *w, const __nv_bfloat16 *u, const float *G,
                   const float *S0, const int *cu, const int *chunk_off, double *columns, double *h, double *v_new,
                   double *S_T, int H)
{
    const int j = blockIdx.x * 32 + threadIdx.x, n = blockIdx.y / H, head = blockIdx.y % H;
    const size_t mine = ((size_t)blockIdx.y * 128 + j) * 128;
    double *S = columns + (size_t)blockIdx.y * 16384 + j; // channel i at 128 i
    double next[128];
    for (int i = 0; i < 128; i++)
        S[i * 128] = S0[mine + i];
    for (int c = chunk_off[n]; c < chunk_off[n + 1]; c++) {
        const int first = cu[n] + (c - chunk_off[n]) * 64, rows = min(64, cu[n + 1] - first);
        const float *last = G + ((size_t)(first + rows - 1) * H + head) * 128;
#pragma unroll
        for (int i = 0; i < 128; i++) {
            const double s = S[i * 128];
            h[(((size_t)c * H + head) * 128 + j) * 128 + i] = s;
            next[i] = exp2((double)last[i]) * s;
        }
        for (int t = first; t < first + rows; t++) {
            const size_t token = ((size_t)t * H + head) * 128;
            double value = __bfloat162float(u[token + j]);
#pragma unroll 16
            for (int i = 0; i < 128; i++)
                value -= (double)__bfloat162float(w[token + i]) * S[i * 128];
            v_new[token + j] = value;
#pragma unroll
            for (int i = 0; i < 128; i++)
                next[i] += (double)__bfloat162float(kg[token + i]) * value;
        }
#pragma unroll
        for (int i = 0; i < 128; i++)
            S[i * 128] = next[i];
    }
    for (int i = 0; i < 128; i++)
        S_T[mine + i] = S[i * 128];
}
