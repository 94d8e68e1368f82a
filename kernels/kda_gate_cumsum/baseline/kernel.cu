// KDA's gate and its cumulative sum within chunks, with the mapping of the upstream Triton kernel (docs/README.md): a block
// takes 64 channels of one chunk of one head. 16 lanes hold a quad of channels each, 8 groups of them 8 rows each; sums go
// down a thread's rows, then over the two groups of a warp by a shuffle, then over the warps through shared memory.
#include <cuda_bf16.h>

#pragma kda launch gate_cumsum(raw, A_log, dt_bias, cu, chunk_off, G, H, N, mode, lower_bound) grid(2, NT, H) block(128)

#define LOG2E 1.4426950408889634f

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

__device__ __forceinline__ float4 operator+(float4 a, float4 b)
{
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

// The four values of a lane of the warp.
__device__ __forceinline__ float4 shuffled(float4 v, int lane)
{
    return make_float4(__shfl_sync(0xffffffffu, v.x, lane), __shfl_sync(0xffffffffu, v.y, lane),
                       __shfl_sync(0xffffffffu, v.z, lane), __shfl_sync(0xffffffffu, v.w, lane));
}

// The sequence of a chunk: how many sequences behind the first begin at or before it. A whole warp takes part.
__device__ __forceinline__ int sequence_of(const int *chunk_off, int N, int chunk)
{
    int n = 0;
    for (int first = 1; first < N; first += 32) {
        const int i = first + threadIdx.x % 32;
        n += __popc(__ballot_sync(0xffffffffu, i < N && chunk_off[i] <= chunk));
    }
    return n;
}

// Minus the decay in nats without the head's factor, or the decay itself where it is bounded.
__device__ __forceinline__ float activated(float x, int mode, float a, float lower_bound)
{
    if (mode == 1)
        return lower_bound / (1.0f + __expf(-a * x));
    return -a * (x > 20.0f ? x : __logf(1.0f + __expf(x)));
}

__global__ void __launch_bounds__(128)
    gate_cumsum(const __nv_bfloat16 *raw, const float *A_log, const float *dt_bias, const int *cu, const int *chunk_off,
                float *G, int H, int N, int mode, float lower_bound)
{
    __shared__ float4 warp_sum[4][16];
    const int chunk = blockIdx.y, head = blockIdx.z;
    const int n = sequence_of(chunk_off, N, chunk);
    const int first = cu[n] + (chunk - chunk_off[n]) * 64;
    const int rows = min(64, cu[n + 1] - first);
    const int quad = threadIdx.x % 16, row = threadIdx.x / 16 * 8;
    const int channel = blockIdx.x * 64 + quad * 4;
    const int warp = threadIdx.x / 32;
    const size_t at = ((size_t)(first + row) * H + head) * 128 + channel;
    const size_t pitch = (size_t)H * 128;
    uint2 in[8];
#pragma unroll
    for (int r = 0; r < 8; r++) {
        in[r] = make_uint2(0, 0);
        if (row + r < rows)
            in[r] = *reinterpret_cast<const uint2 *>(raw + at + r * pitch);
    }
    const float a = __expf(A_log[head]);
    const float4 bias = *reinterpret_cast<const float4 *>(dt_bias + head * 128 + channel);
    float4 g[8];
#pragma unroll
    for (int r = 0; r < 8; r++) {
        g[r].x = activated(low(in[r].x) + bias.x, mode, a, lower_bound) * LOG2E;
        g[r].y = activated(high(in[r].x) + bias.y, mode, a, lower_bound) * LOG2E;
        g[r].z = activated(low(in[r].y) + bias.z, mode, a, lower_bound) * LOG2E;
        g[r].w = activated(high(in[r].y) + bias.w, mode, a, lower_bound) * LOG2E;
        if (r > 0)
            g[r] = g[r] + g[r - 1];
    }
    // Rows behind the end of the sequence come last: what they add reaches no row that is stored.
    const float4 upper = shuffled(g[7], quad); // of the first group of rows, in both
    float4 before = make_float4(0, 0, 0, 0);
    if (threadIdx.x % 32 >= 16) {
        before = upper;
        warp_sum[warp][quad] = g[7] + upper;
    }
    __syncthreads();
    for (int w = 0; w < warp; w++)
        before = before + warp_sum[w][quad];
    // NVRTC takes a conditional plain store of a float4 apart into four.
#pragma unroll
    for (int r = 0; r < 8; r++)
        if (row + r < rows)
            __stwb(reinterpret_cast<float4 *>(G + at + r * pitch), g[r] + before);
}
