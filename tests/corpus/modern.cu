// What newer code brings: vector atomics, structs as parameters, generic pointers, local arrays,
// printf and assert, clocks, packed single precision and 32-byte loads where they exist.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cstdint>
#include <cassert>
#include <cstdio>

extern "C" __global__ void vector_atomics(const float4 *x, float4 *sums, float2 *pairs, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const float4 v = x[i];
#if __CUDA_ARCH__ >= 900
    atomicAdd(sums + i % 3, v);
    atomicAdd(pairs + i % 5, make_float2(v.x, v.w));
#else
    float *s = reinterpret_cast<float *>(sums + i % 3), *p = reinterpret_cast<float *>(pairs + i % 5);
    atomicAdd(s, v.x), atomicAdd(s + 1, v.y), atomicAdd(s + 2, v.z), atomicAdd(s + 3, v.w);
    atomicAdd(p, v.x), atomicAdd(p + 1, v.w);
#endif
}

struct Shape {
    int rows, cols;
    float scale;
    int stride[2];
};
extern "C" __global__ void struct_parameter(const float *x, float *y, const __grid_constant__ Shape s)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < s.rows * s.cols; i += gridDim.x * blockDim.x) {
        const int r = i / s.cols, c = i % s.cols;
        y[r * s.stride[1] + c] = x[r * s.stride[0] + c] * s.scale;
    }
}

__constant__ int weights[2][4] = {{1, -2, 3, -4}, {5, 6, 7, 8}};
__device__ int counters[4] = {10, 20, 30, 40};

// One pointer for four kinds of memory.
extern "C" __global__ void generic_pointers(const int *x, int *y)
{
    __shared__ int shared[4];
    int local[4];
    if (threadIdx.x < 4)
        shared[threadIdx.x] = threadIdx.x * 100;
    for (int k = 0; k < 4; k++)
        local[(k + threadIdx.x) & 3] = k * 1000 + threadIdx.x;
    __syncthreads();
    const int *p;
    switch (x[threadIdx.x] & 3) {
    case 0: p = shared; break;
    case 1: p = local; break;
    case 2: p = weights[threadIdx.x & 1]; break;
    default: p = counters; break;
    }
    int s = 0;
    for (int k = 0; k < 4; k++)
        s = s * 3 + p[k];
    y[threadIdx.x] = s + __isShared(p) * 7;
}

extern "C" __global__ void local_arrays(const int *x, int *y, int n)
{
    int stack[32], top = 0;
    short small[16] = {};
    const int *expression = x + threadIdx.x * n;
    for (int i = 0; i < n; i++) {
        const int e = expression[i];
        if (e % 4 == 3 && top >= 2) {
            const int b = stack[--top], a = stack[--top];
            stack[top++] = e & 8 ? a - b : a + 2 * b;
        } else if (top < 32) {
            stack[top++] = e;
        }
        small[e & 15] += e & 7;
    }
    int s = 0;
    for (int k = 0; k < top; k++)
        s = s * 7 + stack[k];
    for (int k = 0; k < 16; k++)
        s ^= small[k] << k;
    y[threadIdx.x] = s;
}

extern "C" __global__ void prints_and_asserts(const float *x, float *y, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    assert(n > 0);
    if (i < n) {
        if (x[i] > 0.95f)
            printf("element %d is %f of block %d\n", i, x[i], blockIdx.x);
        y[i] = x[i] * 2.0f;
    }
}

extern "C" __global__ void timers(const int *x, int *y)
{
    const long long t0 = clock64();
    const unsigned c0 = clock();
    unsigned long long g0, g1;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(g0));
    int v = x[threadIdx.x];
    for (int i = 0; i < 20; i++)
        v = v * 1103515245 + 12345;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(g1));
    unsigned sm, sms, lane, warp;
    asm volatile("mov.u32 %0, %%smid;" : "=r"(sm));
    asm volatile("mov.u32 %0, %%nsmid;" : "=r"(sms));
    asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
    asm volatile("mov.u32 %0, %%warpid;" : "=r"(warp));
    y[2 * threadIdx.x] = v;
    y[2 * threadIdx.x + 1] = (clock64() > t0) + 2 * (clock() - c0 > 0) + 4 * (g1 >= g0) + 8 * (sm < sms) + 16 * (lane == threadIdx.x % 32) + 32 * (warp == threadIdx.x / 32);
}

// Two single-precision operations in one instruction on Blackwell, written out elsewhere.
__device__ __forceinline__ float2 fma2(float2 a, float2 b, float2 c)
{
#if __CUDA_ARCH__ >= 1000
    unsigned long long r;
    asm("fma.rn.f32x2 %0, %1, %2, %3;" : "=l"(r) : "l"(*(unsigned long long *)&a), "l"(*(unsigned long long *)&b), "l"(*(unsigned long long *)&c));
    return *(float2 *)&r;
#else
    return make_float2(fmaf(a.x, b.x, c.x), fmaf(a.y, b.y, c.y));
#endif
}
extern "C" __global__ void packed_single(const float2 *x, const float2 *w, float2 *y, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float2 s = make_float2(0.5f, -0.5f);
    for (int k = 0; k < 8; k++)
        s = fma2(x[i * 8 + k], w[k], s);
    y[i] = s;
}

// 32 bytes a load where the machine has it.
extern "C" __global__ void loads_of_32_bytes(const float *x, float *y, int n8)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n8)
        return;
    float v[8];
#if __CUDA_ARCH__ >= 1000
    asm volatile("ld.global.v8.f32 {%0,%1,%2,%3,%4,%5,%6,%7}, [%8];"
                 : "=f"(v[0]), "=f"(v[1]), "=f"(v[2]), "=f"(v[3]), "=f"(v[4]), "=f"(v[5]), "=f"(v[6]), "=f"(v[7]) : "l"(x + 8 * i));
#else
    *(float4 *)v = *(const float4 *)(x + 8 * i);
    *(float4 *)(v + 4) = *(const float4 *)(x + 8 * i + 4);
#endif
    for (int k = 0; k < 8; k++)
        y[8 * i + 7 - k] = v[k] + k;
}

// Atomics that are rarer: 16-bit compare-and-swap, inc with a bound, scopes, 64-bit maxima, and/or/xor.
extern "C" __global__ void rare_atomics(const int *x, unsigned short *cell, unsigned *ring, unsigned long long *most, int *bits, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    unsigned short old = *cell, seen;
    do {
        seen = old;
        old = atomicCAS(cell, seen, (unsigned short)(seen + (x[i] & 3)));
    } while (old != seen);
    atomicInc(ring, 9);
    atomicDec(ring + 1, 12);
    atomicMax(most, (unsigned long long)x[i] << 20);
    atomicMin((long long *)most + 1, -(long long)x[i]);
    atomicAnd(bits, ~(1 << (x[i] & 31)));
    atomicOr(bits + 1, 1 << (x[i] & 31));
    atomicXor_system(bits + 2, x[i]);
    atomicAdd_system(bits + 3, 1);
    asm volatile("red.relaxed.gpu.global.add.s32 [%0], %1;" :: "l"(bits + 4), "r"(x[i] & 7) : "memory");
}

// A pair of halves moved by the value of a vote: uniform branches on warp-wide facts.
extern "C" __global__ void uniform_branches(const __nv_bfloat16 *x, __nv_bfloat16 *y, int *taken, int n)
{
    for (int row = blockIdx.x; row < n; row += gridDim.x) {
        const float v = __bfloat162float(x[row * 64 + threadIdx.x]);
        if (__syncthreads_or(v > 0.96f)) {
            y[row * 64 + threadIdx.x] = __float2bfloat16(0.0f);
            if (threadIdx.x == 0)
                taken[row] = 1;
            continue;
        }
        y[row * 64 + threadIdx.x] = __float2bfloat16(-v);
        if (threadIdx.x == 63)
            taken[row] = 0;
    }
}
