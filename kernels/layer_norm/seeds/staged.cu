// The row waits in shared memory and not in registers, so that more rows are under way per SM. Sum and squared distance to
// the row's first element come from one pass (the shifted form), with one reduction and one barrier instead of two.
#include <cuda_runtime.h>

#pragma kda tune THREADS = 256, 128, 512
#pragma kda tune HINT = 0, 1
#pragma kda variant row4 when(N % 4 == 0 && N <= 12032)
#pragma kda launch norm_staged(x, w, b, y, N, eps) grid(M) block(THREADS) smem(4 * N)
#pragma kda variant any
#pragma kda launch norm_any(x, w, b, y, M, N, eps) grid(ceil_div(M, THREADS / 32)) block(THREADS)

__device__ __forceinline__ float warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ __forceinline__ void add(float v, float &sum, float &square)
{
    sum += v;
    square = fmaf(v, v, square);
}

__device__ __forceinline__ float affine(float v, float mean, float rstd, float w, float b)
{
    return fmaf((v - mean) * rstd, w, b);
}

__global__ void __launch_bounds__(THREADS)
    norm_staged(const float *__restrict__ x, const float *__restrict__ w, const float *__restrict__ b,
                float *__restrict__ y, int N, float eps)
{
    extern __shared__ float4 row[];
    __shared__ float sums[32], squares[32];
    const float *start = x + (size_t)blockIdx.x * N;
    const float4 *in = reinterpret_cast<const float4 *>(start);
    float4 *out = reinterpret_cast<float4 *>(y + (size_t)blockIdx.x * N);
    const float origin = start[0];
    float sum = 0.0f, square = 0.0f;
#pragma unroll 4
    for (int i = threadIdx.x; i < N / 4; i += THREADS) {
        const float4 v = HINT ? __ldcs(in + i) : in[i];
        row[i] = v;
        add(v.x - origin, sum, square);
        add(v.y - origin, sum, square);
        add(v.z - origin, sum, square);
        add(v.w - origin, sum, square);
    }
    sum = warp_sum(sum);
    square = warp_sum(square);
    if (threadIdx.x % 32 == 0) {
        sums[threadIdx.x / 32] = sum;
        squares[threadIdx.x / 32] = square;
    }
    __syncthreads();
    sum = warp_sum(threadIdx.x % 32 < THREADS / 32 ? sums[threadIdx.x % 32] : 0.0f) / N;
    square = warp_sum(threadIdx.x % 32 < THREADS / 32 ? squares[threadIdx.x % 32] : 0.0f) / N;
    const float rstd = rsqrtf(fmaxf(square - sum * sum, 0.0f) + eps), mean = origin + sum;
#pragma unroll 4
    for (int i = threadIdx.x; i < N / 4; i += THREADS) { // each thread reads what it stored
        const float4 v = row[i], g = reinterpret_cast<const float4 *>(w)[i], s = reinterpret_cast<const float4 *>(b)[i];
        const float4 r = make_float4(affine(v.x, mean, rstd, g.x, s.x), affine(v.y, mean, rstd, g.y, s.y),
                                     affine(v.z, mean, rstd, g.z, s.z), affine(v.w, mean, rstd, g.w, s.w));
        if (HINT)
            __stcs(out + i, r);
        else
            out[i] = r;
    }
}

// One warp per row of any length, read three times.
__global__ void __launch_bounds__(THREADS)
    norm_any(const float *__restrict__ x, const float *__restrict__ w, const float *__restrict__ b,
             float *__restrict__ y, int M, int N, float eps)
{
    const size_t row = (size_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
    if (row >= M)
        return;
    float sum = 0.0f;
    for (int i = threadIdx.x % 32; i < N; i += 32)
        sum += x[row * N + i];
    const float mean = warp_sum(sum) / N;
    sum = 0.0f;
    for (int i = threadIdx.x % 32; i < N; i += 32)
        sum = fmaf(x[row * N + i] - mean, x[row * N + i] - mean, sum);
    const float rstd = rsqrtf(warp_sum(sum) / N + eps);
    for (int i = threadIdx.x % 32; i < N; i += 32)
        y[row * N + i] = affine(x[row * N + i], mean, rstd, w[i], b[i]);
}
