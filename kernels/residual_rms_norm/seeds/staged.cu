// One block per row; the new stream is kept in shared memory between the sum of squares and the product. VEC elements
// per access; a grid of GRID blocks per SM walks the rows (0: a block per row).
#include <cuda_bf16.h>

#pragma kda tune VEC = 2, 1, 4
#pragma kda tune THREADS = 256, 128, 512, 1024
#pragma kda tune GRID = 0, 2, 4
#pragma kda variant staged when(N % VEC == 0 && N <= 24576)
#pragma kda launch add_norm_staged<VEC>(x, h, w, y, M, N, eps) grid(GRID ? min(M, 132 * GRID) : M) block(THREADS) smem(2 * N)
#pragma kda variant one when(N <= 24576)
#pragma kda launch add_norm_staged<1>(x, h, w, y, M, N, eps) grid(GRID ? min(M, 132 * GRID) : M) block(THREADS) smem(2 * N)
#pragma kda variant any
#pragma kda launch add_norm_any(x, h, w, y, N, eps) grid(M) block(THREADS)

template <int COUNT> struct __align__(2 * COUNT) Pack {
    __nv_bfloat16 v[COUNT];
};

__device__ __forceinline__ float block_sum(float value, float *part)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    __syncthreads(); // the part may still be read for the row before
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0.0f;
    for (int i = 0; i < THREADS / 32; i++)
        value += part[i];
    return value;
}

template <int COUNT>
__global__ void __launch_bounds__(THREADS)
    add_norm_staged(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ h,
                    const __nv_bfloat16 *__restrict__ w, __nv_bfloat16 *__restrict__ y, int M, int N, float eps)
{
    extern __shared__ uint4 memory[];
    __shared__ float part[32];
    typedef Pack<COUNT> Item;
    Item *kept = reinterpret_cast<Item *>(memory);
    for (int row = blockIdx.x; row < M; row += gridDim.x) {
        const Item *in = reinterpret_cast<const Item *>(x + (size_t)row * N);
        Item *stream = reinterpret_cast<Item *>(h + (size_t)row * N), *out = reinterpret_cast<Item *>(y + (size_t)row * N);
        float sum = 0.0f;
        for (int i = threadIdx.x; i < N / COUNT; i += THREADS) {
            const Item a = in[i];
            Item b = stream[i];
#pragma unroll
            for (int k = 0; k < COUNT; k++) {
                b.v[k] = __float2bfloat16_rn(__bfloat162float(a.v[k]) + __bfloat162float(b.v[k]));
                sum = fmaf(__bfloat162float(b.v[k]), __bfloat162float(b.v[k]), sum);
            }
            stream[i] = b;
            kept[i] = b;
        }
        const float scale = rsqrtf(block_sum(sum, part) / N + eps);
        for (int i = threadIdx.x; i < N / COUNT; i += THREADS) { // a thread's own items
            Item b = kept[i];
            const Item g = reinterpret_cast<const Item *>(w)[i];
#pragma unroll
            for (int k = 0; k < COUNT; k++)
                b.v[k] = __float2bfloat16_rn(__bfloat162float(b.v[k]) * scale * __bfloat162float(g.v[k]));
            out[i] = b;
        }
    }
}

__global__ void __launch_bounds__(THREADS)
    add_norm_any(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *h, const __nv_bfloat16 *__restrict__ w,
                 __nv_bfloat16 *__restrict__ y, int N, float eps)
{
    __shared__ float part[32];
    const size_t base = (size_t)blockIdx.x * N;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += THREADS) {
        const __nv_bfloat16 v =
            __float2bfloat16_rn(__bfloat162float(h[base + i]) + __bfloat162float(x[base + i]));
        h[base + i] = v;
        sum = fmaf(__bfloat162float(v), __bfloat162float(v), sum);
    }
    const float scale = rsqrtf(block_sum(sum, part) / N + eps);
    for (int i = threadIdx.x; i < N; i += THREADS)
        y[base + i] = __float2bfloat16_rn(__bfloat162float(h[base + i]) * scale * __bfloat162float(w[i]));
}
