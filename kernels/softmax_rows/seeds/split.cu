// Long rows are split over blocks of CHUNK elements: one launch leaves maximum and sum of each part in scratch, the next
// joins a row's parts and writes. Rows of up to 4096 elements (or
// too many rows for the grid's second axis): one warp per row, which reads it three times.
#include <cuda_bf16.h>

#pragma kda tune CHUNK = 8192, 4096, 16384, 32768
#pragma kda tune THREADS = 256, 128, 512
#pragma kda tune WARPS = 4, 2, 8
#pragma kda scratch part : f32[2 * M * ceil_div(N, CHUNK)]
#pragma kda variant warp when(N <= 4096 || M > 65535)
#pragma kda launch split_warp(x, y, M, N, scale * 1.4426950408889634) grid(ceil_div(M, WARPS)) block(32 * WARPS)
#pragma kda variant parts
#pragma kda launch split_measure(x, part, N, scale * 1.4426950408889634) \
        grid(ceil_div(N, CHUNK), M) block(THREADS)
#pragma kda launch split_write(x, part, y, N, scale * 1.4426950408889634) \
        grid(ceil_div(N, CHUNK), M) block(THREADS)

__device__ __forceinline__ float warp_max(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
    return value;
}

__device__ __forceinline__ float warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ __forceinline__ void raise(float &most, float &sum, float value, float factor)
{
    if (value > most) {
        sum *= exp2f((most - value) * factor);
        most = value;
    }
}

// Reads of two neighbours where a row starts on 4 bytes, else of one.
template <typename Body>
__device__ __forceinline__ void each_pair(const __nv_bfloat16 *row, int begin, int end, int first, int step, Body body)
{
    if (((size_t)row & 3) == 0) {
        for (int i = begin + 2 * first; i < end; i += 2 * step) {
            const unsigned int pair = i + 1 < end ? *reinterpret_cast<const unsigned int *>(row + i)
                                                  : (unsigned int)__bfloat16_as_ushort(row[i]) | 0xff800000u;
            body(i, __uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u), i + 1 < end);
        }
    } else {
        for (int i = begin + first; i < end; i += step)
            body(i, __bfloat162float(row[i]), -INFINITY, false);
    }
}

__device__ __forceinline__ void write(__nv_bfloat16 *row, int i, float a, float b, bool both)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    if (both)
        *reinterpret_cast<__nv_bfloat162 *>(row + i) = pair;
    else
        row[i] = pair.x;
}

__global__ void __launch_bounds__(32 * WARPS)
    split_warp(const __nv_bfloat16 *x, __nv_bfloat16 *y, int M, int N, float factor)
{
    const int row = blockIdx.x * WARPS + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= M)
        return;
    const __nv_bfloat16 *in = x + (size_t)row * N;
    __nv_bfloat16 *out = y + (size_t)row * N;
    float most = -INFINITY, sum = 0.0f;
    each_pair(in, 0, N, lane, 32, [&](int, float a, float b, bool) { most = fmaxf(most, fmaxf(a, b)); });
    most = warp_max(most);
    each_pair(in, 0, N, lane, 32, [&](int, float a, float b, bool) {
        sum += exp2f((a - most) * factor) + exp2f((b - most) * factor);
    });
    const float inverse = 1.0f / warp_sum(sum);
    each_pair(in, 0, N, lane, 32, [&](int i, float a, float b, bool both) {
        write(out, i, exp2f((a - most) * factor) * inverse, exp2f((b - most) * factor) * inverse, both);
    });
}

__global__ void __launch_bounds__(THREADS) split_measure(const __nv_bfloat16 *x, float *part, int N, float factor)
{
    __shared__ float joined[2][32];
    const int begin = blockIdx.x * CHUNK, end = min(N, begin + CHUNK), lane = threadIdx.x % 32;
    const __nv_bfloat16 *in = x + (size_t)blockIdx.y * N;
    float most = -INFINITY, sum = 0.0f;
    each_pair(in, begin, end, threadIdx.x, THREADS, [&](int, float a, float b, bool) {
        raise(most, sum, fmaxf(a, b), factor);
        sum += exp2f((a - most) * factor) + exp2f((b - most) * factor);
    });
    const float all = warp_max(most);
    sum = warp_sum(sum * exp2f((most - all) * factor));
    // A warp without elements has -inf and, from -inf minus -inf, no number.
    if (lane == 0) {
        joined[0][threadIdx.x / 32] = all;
        joined[1][threadIdx.x / 32] = all == -INFINITY ? 0.0f : sum;
    }
    __syncthreads();
    if (threadIdx.x >= 32)
        return;
    most = lane < THREADS / 32 ? joined[0][lane] : -INFINITY;
    sum = lane < THREADS / 32 ? joined[1][lane] : 0.0f;
    const float top = warp_max(most);
    sum = warp_sum(sum * exp2f((most - top) * factor));
    if (lane == 0) {
        part[2 * (blockIdx.y * gridDim.x + blockIdx.x)] = top;
        part[2 * (blockIdx.y * gridDim.x + blockIdx.x) + 1] = sum;
    }
}

__global__ void __launch_bounds__(THREADS)
    split_write(const __nv_bfloat16 *x, const float *part, __nv_bfloat16 *y, int N, float factor)
{
    const int begin = blockIdx.x * CHUNK, end = min(N, begin + CHUNK);
    const __nv_bfloat16 *in = x + (size_t)blockIdx.y * N;
    __nv_bfloat16 *out = y + (size_t)blockIdx.y * N;
    float most = -INFINITY, sum = 0.0f;
    for (int p = 0; p < gridDim.x; p++)
        most = fmaxf(most, part[2 * (blockIdx.y * gridDim.x + p)]);
    for (int p = 0; p < gridDim.x; p++)
        sum += part[2 * (blockIdx.y * gridDim.x + p) + 1] *
               exp2f((part[2 * (blockIdx.y * gridDim.x + p)] - most) * factor);
    const float inverse = 1.0f / sum;
    each_pair(in, begin, end, threadIdx.x, THREADS, [&](int i, float a, float b, bool both) {
        write(out, i, exp2f((a - most) * factor) * inverse, exp2f((b - most) * factor) * inverse, both);
    });
}
