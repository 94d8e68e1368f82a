// The rows of a chunk are cut into SPLIT shares, each a thread's own for 4 channels; what the shares before it add up to
// comes through shared memory. COLS channels per block, across heads.
#include <cuda_bf16.h>

#pragma kda tune SPLIT = 8, 4, 16
#pragma kda tune COLS = 128, 64, 256
#pragma kda tune HINT = 0, 1
#pragma kda launch gate_split(raw, A_log, dt_bias, cu, chunk_off, G, H, N, mode, lower_bound) \
        grid(ceil_div(H * 128, COLS), NT) block(COLS / 4 * SPLIT)

#define LOG2E 1.4426950408889634f

__device__ __forceinline__ int sequence_of(const int *chunk_off, int N, int chunk)
{
    int n = 0;
    for (int first = 1; first < N; first += 32) {
        const int i = first + threadIdx.x % 32;
        n += __popc(__ballot_sync(0xffffffffu, i < N && chunk_off[i] <= chunk));
    }
    return n;
}

__device__ __forceinline__ float activated(float x, int mode, float a, float lower_bound)
{
    if (mode == 1)
        return lower_bound / (1.0f + __expf(-a * x));
    return -a * (x > 20.0f ? x : __logf(1.0f + __expf(x)));
}

__device__ __forceinline__ void store(float4 *p, float4 v)
{
#if HINT
    __stcs(p, v); // G is larger than the L2 may keep
#else
    *p = v;
#endif
}

__global__ void __launch_bounds__(COLS / 4 * SPLIT)
    gate_split(const __nv_bfloat16 *__restrict__ raw, const float *__restrict__ A_log, const float *__restrict__ dt_bias,
               const int *__restrict__ cu, const int *__restrict__ chunk_off, float *__restrict__ G, int H, int N, int mode,
               float lower_bound)
{
    constexpr int ROWS = 64 / SPLIT;
    __shared__ float4 share_sum[SPLIT][COLS / 4];
    const int n = sequence_of(chunk_off, N, blockIdx.y);
    const int first = cu[n] + (blockIdx.y - chunk_off[n]) * 64;
    const int quad = threadIdx.x % (COLS / 4), share = threadIdx.x / (COLS / 4);
    const int rows = min(64, cu[n + 1] - first) - share * ROWS; // of this share; may be more than ROWS or none
    const int channel = min(blockIdx.x * COLS + quad * 4, H * 128 - 4);
    const size_t pitch = (size_t)H * 32, at = (size_t)(first + share * ROWS) * pitch + channel / 4;
    const float a = __expf(A_log[channel / 128]);
    const float4 bias = *reinterpret_cast<const float4 *>(dt_bias + channel);
    float4 g[ROWS];
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        uint2 v = make_uint2(0, 0);
        if (r < rows)
            v = reinterpret_cast<const uint2 *>(raw)[at + r * pitch];
        sum.x += activated(__uint_as_float(v.x << 16) + bias.x, mode, a, lower_bound) * LOG2E;
        sum.y += activated(__uint_as_float(v.x & 0xffff0000u) + bias.y, mode, a, lower_bound) * LOG2E;
        sum.z += activated(__uint_as_float(v.y << 16) + bias.z, mode, a, lower_bound) * LOG2E;
        sum.w += activated(__uint_as_float(v.y & 0xffff0000u) + bias.w, mode, a, lower_bound) * LOG2E;
        g[r] = sum;
    }
    share_sum[share][quad] = sum;
    __syncthreads();
    float4 before = make_float4(0, 0, 0, 0);
    for (int s = 0; s < share; s++) {
        const float4 v = share_sum[s][quad];
        before = make_float4(before.x + v.x, before.y + v.y, before.z + v.z, before.w + v.w);
    }
    if (blockIdx.x * COLS + quad * 4 >= H * 128)
        return;
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < rows)
            store(reinterpret_cast<float4 *>(G) + at + r * pitch, make_float4(g[r].x + before.x, g[r].y + before.y,
                                                                               g[r].z + before.z, g[r].w + before.w));
}
