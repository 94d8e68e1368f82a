// Matrix products on the ordinary pipes: naive, tiled, register-blocked, double-buffered, split-K,
// batched with epilogues, quantised, matrix times vector.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cstdint>

extern "C" __global__ void gemm_naive(const float *a, const float *b, float *c, int m, int n, int k, float alpha, float beta)
{
    const int row = blockIdx.y * blockDim.y + threadIdx.y, col = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= m || col >= n)
        return;
    float s = 0.0f;
    for (int i = 0; i < k; i++)
        s += a[row * k + i] * b[i * n + col];
    c[row * n + col] = alpha * s + beta * c[row * n + col];
}

extern "C" __global__ void gemm_tiled(const double *a, const double *b, double *c, int m, int n, int k)
{
    __shared__ double as[8][8], bs[8][9];
    const int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * 8 + ty, col = blockIdx.x * 8 + tx;
    double s = 0;
    for (int t = 0; t < (k + 7) / 8; t++) {
        as[ty][tx] = row < m && t * 8 + tx < k ? a[row * k + t * 8 + tx] : 0.0;
        bs[ty][tx] = col < n && t * 8 + ty < k ? b[(t * 8 + ty) * n + col] : 0.0;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 8; i++)
            s += as[ty][i] * bs[i][tx];
        __syncthreads();
    }
    if (row < m && col < n)
        c[row * n + col] = s;
}

// 32 x 32 of the result by 64 threads, 4 x 4 each, wide loads, A transposed in shared memory.
extern "C" __global__ __launch_bounds__(64) void gemm_register_blocked(const float *a, const float *b, float *c, int n, int k)
{
    __shared__ __align__(16) float as[8][32], bs[8][32];
    const int tid = threadIdx.x, tx = tid % 8, ty = tid / 8;
    const float *ablock = a + blockIdx.y * 32 * k, *bblock = b + blockIdx.x * 32;
    float acc[4][4] = {};
    for (int k0 = 0; k0 < k; k0 += 8) {
        const float4 va = *reinterpret_cast<const float4 *>(ablock + (tid / 2) * k + k0 + tid % 2 * 4);
        const float4 vb = *reinterpret_cast<const float4 *>(bblock + (k0 + tid / 8) * n + tid % 8 * 4);
        as[tid % 2 * 4 + 0][tid / 2] = va.x;
        as[tid % 2 * 4 + 1][tid / 2] = va.y;
        as[tid % 2 * 4 + 2][tid / 2] = va.z;
        as[tid % 2 * 4 + 3][tid / 2] = va.w;
        *reinterpret_cast<float4 *>(&bs[tid / 8][tid % 8 * 4]) = vb;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const float4 x = *reinterpret_cast<const float4 *>(&as[i][ty * 4]), y = *reinterpret_cast<const float4 *>(&bs[i][tx * 4]);
            const float ax[4] = {x.x, x.y, x.z, x.w}, by[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
            for (int p = 0; p < 4; p++)
#pragma unroll
                for (int q = 0; q < 4; q++)
                    acc[p][q] = fmaf(ax[p], by[q], acc[p][q]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int p = 0; p < 4; p++)
        *reinterpret_cast<float4 *>(c + (blockIdx.y * 32 + ty * 4 + p) * n + blockIdx.x * 32 + tx * 4) = make_float4(acc[p][0], acc[p][1], acc[p][2], acc[p][3]);
}

// Two buffers: the next tiles travel to registers while the present ones are multiplied.
extern "C" __global__ __launch_bounds__(256) void gemm_double_buffered(const __half *a, const __half *b, __half *c, int m, int n, int k)
{
    __shared__ float as[2][16][17], bs[2][16][16];
    const int tx = threadIdx.x & 15, ty = threadIdx.x >> 4, row = blockIdx.y * 16 + ty, col = blockIdx.x * 16 + tx;
    auto load_a = [&](int t) { return row < m && t * 16 + tx < k ? __half2float(a[row * k + t * 16 + tx]) : 0.0f; };
    auto load_b = [&](int t) { return col < n && t * 16 + ty < k ? __half2float(b[(t * 16 + ty) * n + col]) : 0.0f; };
    const int tiles = (k + 15) / 16;
    as[0][ty][tx] = load_a(0);
    bs[0][ty][tx] = load_b(0);
    __syncthreads();
    float s = 0;
    for (int t = 0; t < tiles; t++) {
        float na = 0, nb = 0;
        if (t + 1 < tiles) {
            na = load_a(t + 1);
            nb = load_b(t + 1);
        }
#pragma unroll
        for (int i = 0; i < 16; i++)
            s += as[t & 1][ty][i] * bs[t & 1][i][tx];
        if (t + 1 < tiles) {
            as[(t + 1) & 1][ty][tx] = na;
            bs[(t + 1) & 1][ty][tx] = nb;
        }
        __syncthreads();
    }
    if (row < m && col < n)
        c[row * n + col] = __float2half(fmaxf(s, 0.0f));
}

extern "C" __global__ void gemm_split_k(const float *a, const float *b, float *c, int m, int n, int k)
{
    const int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y;
    const int chunk = (k + gridDim.z - 1) / gridDim.z, first = blockIdx.z * chunk, end = min(first + chunk, k);
    if (col >= n)
        return;
    float s = 0;
    for (int i = first; i < end; i++)
        s = fmaf(__ldg(a + row * k + i), __ldg(b + i * n + col), s);
    atomicAdd(c + row * n + col, s);
}

enum { NONE, BIAS, BIAS_SILU };
template <int EPILOGUE> __device__ float finish(float v, const float *bias, int col)
{
    if constexpr (EPILOGUE >= BIAS)
        v += bias[col];
    if constexpr (EPILOGUE == BIAS_SILU)
        v = v / (1.0f + expf(-v));
    return v;
}

// The weights lie as [N, K] (a linear layer); batches in z, one epilogue per batch.
extern "C" __global__ void linear_batched(const __nv_bfloat16 *x, const __nv_bfloat16 *w, const float *bias, float *y, int m, int n, int k)
{
    const int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y, batch = blockIdx.z;
    if (col >= n)
        return;
    const __nv_bfloat162 *xr = reinterpret_cast<const __nv_bfloat162 *>(x + (batch * m + row) * k);
    const __nv_bfloat162 *wr = reinterpret_cast<const __nv_bfloat162 *>(w + (batch * n + col) * k);
    float s = 0;
    for (int i = 0; i < k / 2; i++) {
        const float2 p = __bfloat1622float2(xr[i]), q = __bfloat1622float2(wr[i]);
        s += p.x * q.x + p.y * q.y;
    }
    float *out = y + (batch * m + row) * n + col;
    switch (batch) {
    case 0: *out = finish<NONE>(s, bias, col); break;
    case 1: *out = finish<BIAS>(s, bias, col); break;
    default: *out = finish<BIAS_SILU>(s, bias, col); break;
    }
}

// int8 times int8 by fours, a scale per row and column.
extern "C" __global__ void gemm_int8(const int *a, const int *b, const float *sa, const float *sb, float *c, int n, int k4)
{
    const int row = blockIdx.y * blockDim.y + threadIdx.y, col = blockIdx.x * blockDim.x + threadIdx.x;
    int s = 0;
#pragma unroll 4
    for (int i = 0; i < k4; i++)
        s = __dp4a(a[row * k4 + i], b[col * k4 + i], s);
    c[row * n + col] = s * (sa[row] * sb[col]);
}

// Weights of four bits with a scale per group of 32, a warp per output.
extern "C" __global__ void gemv_int4(const uint32_t *w, const __half *scale, const __half *x, float *y, int n, int k)
{
    const int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= n)
        return;
    float s = 0;
    for (int i = lane; i < k / 8; i += 32) {
        const uint32_t q = w[row * (k / 8) + i];
        const float f = __half2float(scale[row * (k / 32) + i / 4]);
        float t = 0;
#pragma unroll
        for (int j = 0; j < 8; j++)
            t += (float)((int)(q >> (4 * j) & 15) - 8) * __half2float(x[8 * i + j]);
        s += t * f;
    }
    for (int o = 16; o; o >>= 1)
        s += __shfl_down_sync(~0u, s, o);
    if (lane == 0)
        y[row] = s;
}

// A block per row, float4 loads, the vector in shared memory once.
extern "C" __global__ void gemv_block(const float4 *a, const float4 *x, float *y, int k4)
{
    extern __shared__ float4 xs[];
    __shared__ float part[4];
    for (int i = threadIdx.x; i < k4; i += blockDim.x)
        xs[i] = x[i];
    __syncthreads();
    for (int row = blockIdx.x; row < 10; row += gridDim.x) {
        float s = 0;
        for (int i = threadIdx.x; i < k4; i += blockDim.x) {
            const float4 u = __ldcs(a + row * k4 + i), v = xs[i];
            s += u.x * v.x + u.y * v.y + u.z * v.z + u.w * v.w;
        }
        for (int o = 16; o; o >>= 1)
            s += __shfl_xor_sync(~0u, s, o);
        if (threadIdx.x % 32 == 0)
            part[threadIdx.x / 32] = s;
        __syncthreads();
        if (threadIdx.x == 0)
            y[row] = part[0] + part[1] + part[2] + part[3];
        __syncthreads();
    }
}

// Half precision throughout: packed multiply-adds, columns by twos.
extern "C" __global__ void gemm_half2(const __half *a, const __half2 *b, __half2 *c, int n2, int k)
{
    const int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y;
    if (col >= n2)
        return;
    __half2 s = __float2half2_rn(0.0f);
    for (int i = 0; i < k; i++)
        s = __hfma2(__half2half2(a[row * k + i]), b[i * n2 + col], s);
    c[row * n2 + col] = s;
}
