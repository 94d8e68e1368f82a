// Flat over all vectors of y: UNROLL of them per thread, a block's width apart, row and column by an integer division.
// IEEE 0: fast division.
#include <cuda_bf16.h>

#pragma kda tune VEC = 8, 4, 2
#pragma kda tune THREADS = 256, 128, 512
#pragma kda tune UNROLL = 1, 2, 4
#pragma kda tune IEEE = 0, 1
#pragma kda tune HINT = 0, 1
#pragma kda variant vectors when(N % VEC == 0 && M * (N / VEC) < (1 << 31))
#pragma kda launch silu_flat(x, y, M * (N / VEC), N / VEC) grid(ceil_div(M * (N / VEC), THREADS * UNROLL)) block(THREADS)
#pragma kda variant any
#pragma kda launch silu_any(x, y, N) grid(M) block(THREADS)

#if VEC == 8
typedef uint4 Vector;
#elif VEC == 4
typedef uint2 Vector;
#else
typedef unsigned int Vector;
#endif

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
    return IEEE ? gate / (1.0f + expf(-gate)) * up : __fdividef(gate, 1.0f + __expf(-gate)) * up;
}

__global__ void __launch_bounds__(THREADS)
    silu_flat(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, unsigned int total, unsigned int width)
{
    const unsigned int first = blockIdx.x * (THREADS * UNROLL) + threadIdx.x;
    Vector g[UNROLL], u[UNROLL];
#pragma unroll
    for (int k = 0; k < UNROLL; k++) {
        const unsigned int i = first + k * THREADS;
        if (i < total) {
            const unsigned int row = i / width;
            const Vector *at = reinterpret_cast<const Vector *>(x) + (size_t)row * width + i;
            g[k] = HINT ? __ldcs(at) : at[0];
            u[k] = HINT ? __ldcs(at + width) : at[width];
        }
    }
#pragma unroll
    for (int k = 0; k < UNROLL; k++) {
        const unsigned int i = first + k * THREADS;
        unsigned int *a = reinterpret_cast<unsigned int *>(&g[k]);
        const unsigned int *b = reinterpret_cast<const unsigned int *>(&u[k]);
        if (i >= total)
            continue;
#pragma unroll
        for (int w = 0; w < VEC / 2; w++)
            a[w] = pack(gated(low(a[w]), low(b[w])), gated(high(a[w]), high(b[w])));
        if (HINT)
            __stcs(reinterpret_cast<Vector *>(y) + i, g[k]);
        else
            reinterpret_cast<Vector *>(y)[i] = g[k];
    }
}

__global__ void __launch_bounds__(THREADS)
    silu_any(const __nv_bfloat16 *__restrict__ x, __nv_bfloat16 *__restrict__ y, int N)
{
    const __nv_bfloat16 *gate = x + (size_t)blockIdx.x * 2 * N;
    for (int i = threadIdx.x; i < N; i += THREADS)
        y[(size_t)blockIdx.x * N + i] =
            __float2bfloat16_rn(gated(__bfloat162float(gate[i]), __bfloat162float(gate[N + i])));
}
