// A block of 128 threads per row, single elements, the online form element by element: every new maximum diverges.
#include <cuda_bf16.h>

#pragma kda launch entropy_single(x, target, loss, V) grid(M) block(128)

__global__ void __launch_bounds__(128)
    entropy_single(const __nv_bfloat16 *x, const long long *target, float *loss, int V)
{
    __shared__ float most[128], sum[128];
    const __nv_bfloat16 *row = x + (size_t)blockIdx.x * V;
    float m = -INFINITY, s = 0.0f;
    for (int i = threadIdx.x; i < V; i += 128) {
        const float v = __bfloat162float(row[i]);
        if (v > m) {
            s = s * __expf(m - v) + 1.0f;
            m = v;
        } else {
            s += __expf(v - m);
        }
    }
    most[threadIdx.x] = m;
    sum[threadIdx.x] = s;
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    for (int i = 1; i < 128; i++) // by one thread
        m = fmaxf(m, most[i]);
    s = 0.0f;
    for (int i = 0; i < 128; i++)
        s += sum[i] == 0.0f ? 0.0f : sum[i] * __expf(most[i] - m);
    const long long wanted = target[blockIdx.x];
    loss[blockIdx.x] = wanted < 0 ? 0.0f : logf(s) + (m - __bfloat162float(row[wanted]));
}
