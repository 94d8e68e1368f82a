// Gated activation, one block per row: eight elements per access where N is a multiple of 8, pairs where it is even. A thread
// has the loads of two accesses of eight elements under way, or of eight pairs.
#include <cuda_bf16.h>

#pragma kda variant row8 when(N % 8 == 0)
#pragma kda launch silu_row8(x, y, N / 8) grid(M) block(min(1024, align_up(ceil_div(N, 16), 32)))
#pragma kda variant row2 when(N % 2 == 0)
#pragma kda launch silu_row2(x, y, N / 2) grid(M) block(min(1024, align_up(ceil_div(N, 8), 32)))
#pragma kda variant any
#pragma kda launch silu_row(x, y, N) grid(M) block(min(1024, align_up(N, 32)))

#define PAIRS 4 // of a thread under way where rows are aligned to pairs only

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
    return gate / (1.0f + __expf(-gate)) * up;
}

__device__ __forceinline__ unsigned int gated2(unsigned int gate, unsigned int up)
{
    return pack(gated(low(gate), low(up)), gated(high(gate), high(up)));
}

__global__ void __launch_bounds__(1024)
    silu_row8(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, int width)
{
    const uint4 *gate = reinterpret_cast<const uint4 *>(x) + (size_t)blockIdx.x * 2 * width, *up = gate + width;
    uint4 *out = reinterpret_cast<uint4 *>(y) + (size_t)blockIdx.x * width;
#pragma unroll 2
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        const uint4 g = gate[i], u = up[i];
        out[i] = make_uint4(gated2(g.x, u.x), gated2(g.y, u.y), gated2(g.z, u.z), gated2(g.w, u.w));
    }
}

__global__ void __launch_bounds__(1024)
    silu_row2(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, int width)
{
    const unsigned int *gate = reinterpret_cast<const unsigned int *>(x) + (size_t)blockIdx.x * 2 * width;
    const unsigned int *up = gate + width;
    unsigned int *out = reinterpret_cast<unsigned int *>(y) + (size_t)blockIdx.x * width;
    for (int first = threadIdx.x; first < width; first += PAIRS * blockDim.x) {
        unsigned int g[PAIRS], u[PAIRS];
#pragma unroll
        for (int k = 0; k < PAIRS; k++) {
            const int i = first + k * blockDim.x;
            if (i < width) {
                g[k] = gate[i];
                u[k] = up[i];
            }
        }
#pragma unroll
        for (int k = 0; k < PAIRS; k++) {
            const int i = first + k * blockDim.x;
            if (i < width)
                out[i] = gated2(g[k], u[k]);
        }
    }
}

__global__ void __launch_bounds__(1024)
    silu_row(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, int N)
{
    const __nv_bfloat16 *gate = x + (size_t)blockIdx.x * 2 * N;
    for (int i = threadIdx.x; i < N; i += blockDim.x)
        y[(size_t)blockIdx.x * N + i] =
            __float2bfloat16_rn(gated(__bfloat162float(gate[i]), __bfloat162float(gate[N + i])));
}
