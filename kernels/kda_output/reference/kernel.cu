// The output of Kimi Delta Attention in double precision: the oracle, from the given bf16 and fp32 inputs. Block b writes the
// 128 value columns of token b / H, head b % H.
#include <cuda_bf16.h>

#pragma kda launch output_reference(q, G, h, v_new, Aqk, cu, chunk_off, o, H, N) grid(T * H) block(128)

__global__ void __launch_bounds__(128)
    output_reference(const __nv_bfloat16 *q, const float *G, const __nv_bfloat16 *h, const __nv_bfloat16 *v_new,
                     const __nv_bfloat16 *Aqk, const int *cu, const int *chunk_off, double *o, int H, int N)
{
    __shared__ double query[128];
    const int token = blockIdx.x / H, head = blockIdx.x % H, j = threadIdx.x;
    const size_t at = (size_t)blockIdx.x * 128;
    int n = 0;
    while (n + 1 < N && cu[n + 1] <= token)
        n++;
    const int within = token - cu[n], chunk = chunk_off[n] + within / 64, first = token - within % 64;
    query[j] = (double)__bfloat162float(q[at + j]) * exp2((double)G[at + j]);
    __syncthreads();
    const __nv_bfloat16 *state = h + (((size_t)chunk * H + head) * 128 + j) * 128;
    double sum = 0.0;
    for (int i = 0; i < 128; i++)
        sum += query[i] * (double)__bfloat162float(state[i]);
    sum /= sqrt(128.0);
    for (int c = 0; c <= token - first; c++)
        sum += (double)__bfloat162float(Aqk[(size_t)blockIdx.x * 64 + c]) *
               (double)__bfloat162float(v_new[((size_t)(first + c) * H + head) * 128 + j]);
    o[at + j] = sum;
}
