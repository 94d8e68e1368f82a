// A block per token: cos and sin are staged in shared memory, interleaved, and read for every head again.
#include <cuda_bf16.h>

#pragma kda launch rope_staged(x, cos, sin, y, H, D) grid(T) block(256) smem(4 * D)

__global__ void __launch_bounds__(256)
    rope_staged(const __nv_bfloat162 *x, const float *cos, const float *sin, __nv_bfloat162 *y, int H, int D)
{
    extern __shared__ float2 factor[];
    const int half = D / 2;
    for (int i = threadIdx.x; i < half; i += 256)
        factor[i] = make_float2(cos[(size_t)blockIdx.x * half + i], sin[(size_t)blockIdx.x * half + i]);
    __syncthreads();
    const size_t base = (size_t)blockIdx.x * H * half;
#pragma unroll 4
    for (int i = threadIdx.x; i < H * half; i += 256) {
        const float2 f = factor[i % half], v = __bfloat1622float2(x[base + i]);
        y[base + i] = __floats2bfloat162_rn(fmaf(-v.y, f.y, v.x * f.x), fmaf(v.x, f.y, v.y * f.x));
    }
}
