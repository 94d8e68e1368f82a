// A grid of GRID blocks per SM walks the rows; with SCALAR single elements, else pairs where N is even.
#include <cuda_bf16.h>

#pragma kda tune GRID = 8, 2, 4, 16
#pragma kda tune THREADS = 256, 128, 512
#pragma kda tune SCALAR = 0, 1
#pragma kda variant pairs when(N % 2 == 0 && !SCALAR)
#pragma kda launch silu_pairs(x, y, M, N / 2) grid(min(M, 132 * GRID)) block(THREADS)
#pragma kda variant any
#pragma kda launch silu_single(x, y, M, N) grid(min(M, 132 * GRID)) block(THREADS)

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

__device__ __forceinline__ unsigned int pack(float a, float b)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    return *reinterpret_cast<const unsigned int *>(&pair);
}

__device__ __forceinline__ float gated(float gate, float up)
{
    return __fdividef(gate, 1.0f + __expf(-gate)) * up;
}

__global__ void __launch_bounds__(THREADS)
    silu_pairs(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, int M, int width)
{
    for (int row = blockIdx.x; row < M; row += gridDim.x) {
        const unsigned int *gate = reinterpret_cast<const unsigned int *>(x) + (size_t)row * 2 * width;
        unsigned int *out = reinterpret_cast<unsigned int *>(y) + (size_t)row * width;
#pragma unroll 4
        for (int i = threadIdx.x; i < width; i += THREADS) {
            const unsigned int g = gate[i], u = gate[width + i];
            out[i] = pack(gated(low(g), low(u)), gated(high(g), high(u)));
        }
    }
}

__global__ void __launch_bounds__(THREADS)
    silu_single(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, int M, int N)
{
    for (int row = blockIdx.x; row < M; row += gridDim.x) {
        const __nv_bfloat16 *gate = x + (size_t)row * 2 * N;
#pragma unroll 4
        for (int i = threadIdx.x; i < N; i += THREADS)
            y[(size_t)row * N + i] =
                __float2bfloat16_rn(gated(__bfloat162float(gate[i]), __bfloat162float(gate[N + i])));
    }
}
