// Rows of up to 256 elements: four lanes each, which walk along it with 16-byte loads a row apart from lane group to lane
// group. Longer ones: a block of 512 with two passes.
#include <cuda_bf16.h>

#pragma kda variant short8 when(N % 8 == 0 && N <= 256)
#pragma kda launch softmax_lanes(x, y, M, N / 8, scale * 1.4426950408889634) grid(ceil_div(M, 32)) block(128)
#pragma kda variant any
#pragma kda launch softmax_block(x, y, N, scale * 1.4426950408889634) grid(M) block(512)

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

__global__ void __launch_bounds__(128)
    softmax_lanes(const uint4 *x, uint4 *y, int M, int width, float factor)
{
    const int row = blockIdx.x * 32 + threadIdx.x / 4, lane = threadIdx.x % 4;
    float most = -INFINITY, sum = 0.0f;
    const uint4 *in = x + (size_t)min(row, M - 1) * width; // the last group may repeat the last row
    for (int c = lane; c < width; c += 4) {
        const uint4 v = in[c];
        const unsigned int word[4] = {v.x, v.y, v.z, v.w};
        for (int i = 0; i < 4; i++)
            most = fmaxf(most, fmaxf(low(word[i]), high(word[i])));
    }
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
    for (int c = lane; c < width; c += 4) {
        const uint4 v = in[c];
        const unsigned int word[4] = {v.x, v.y, v.z, v.w};
        for (int i = 0; i < 4; i++)
            sum += exp2f((low(word[i]) - most) * factor) + exp2f((high(word[i]) - most) * factor);
    }
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    const float inverse = 1.0f / sum;
    for (int c = lane; c < width && row < M; c += 4) {
        const uint4 v = in[c];
        unsigned int word[4] = {v.x, v.y, v.z, v.w};
        for (int i = 0; i < 4; i++)
            word[i] = pack(exp2f((low(word[i]) - most) * factor) * inverse,
                           exp2f((high(word[i]) - most) * factor) * inverse);
        y[(size_t)row * width + c] = make_uint4(word[0], word[1], word[2], word[3]);
    }
}

__global__ void __launch_bounds__(512)
    softmax_block(const __nv_bfloat16 *x, __nv_bfloat16 *y, int N, float factor)
{
    __shared__ float part[2][16];
    const size_t base = (size_t)blockIdx.x * N;
    const int lane = threadIdx.x % 32;
    float most = -INFINITY, sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += 512)
        most = fmaxf(most, __bfloat162float(x[base + i]));
    most = warp_max(most);
    if (lane == 0)
        part[0][threadIdx.x / 32] = most;
    __syncthreads();
    most = warp_max(part[0][lane % 16]);
    for (int i = threadIdx.x; i < N; i += 512)
        sum += exp2f((__bfloat162float(x[base + i]) - most) * factor);
    sum = warp_sum(sum);
    if (lane == 0)
        part[1][threadIdx.x / 32] = sum;
    __syncthreads();
    const float inverse = 1.0f / warp_sum(lane < 16 ? part[1][lane] : 0.0f);
    for (int i = threadIdx.x; i < N; i += 512)
        y[base + i] = __float2bfloat16_rn(exp2f((__bfloat162float(x[base + i]) - most) * factor) * inverse);
}
