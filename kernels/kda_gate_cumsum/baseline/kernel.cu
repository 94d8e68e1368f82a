// KDA's gate and its cumulative sum within chunks, with the mapping of the upstream Triton kernel (docs/README.md): a block
// takes 64 channels of one chunk of one head. 8 lanes hold two quads of channels each, 16 groups of them 4 rows each; sums
// go down a thread's rows, then over the groups of a warp by shuffles, then over the warps through shared memory.
#include <cuda_bf16.h>

#pragma kda launch gate_cumsum(raw, A_log, dt_bias, cu, chunk_off, G, H, N, mode, lower_bound) grid(2 * H, NT) block(128)

#define LOG2E 1.4426950408889634f

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
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

__device__ __forceinline__ float power(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float logarithm(float x)
{
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// The decay in bits but for a factor of the head, of x = `slope` * element + `bias`: the logarithm of 1 + 2^x, which is x where
// that is large, or the reciprocal of 1 + 2^x where the decay is bounded.
__device__ __forceinline__ float activated(float x, bool bounded)
{
    const float above = 1.0f + power(x);
    return bounded ? reciprocal(above) : x > 29.0f ? x : logarithm(above);
}

// As one instruction: the compiler takes plain stores of the last rows apart into single words.
__device__ __forceinline__ void store_whole(float *p, float a, float b, float c, float d)
{
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(p), "f"(a), "f"(b), "f"(c), "f"(d) : "memory");
}

__global__ void __launch_bounds__(128)
    gate_cumsum(const __nv_bfloat16 *raw, const float *A_log, const float *dt_bias, const int *cu, const int *chunk_off,
                float *G, int H, int N, int mode, float lower_bound)
{
    __shared__ float warp_sum[4][64];
    const int chunk = blockIdx.y, head = blockIdx.x / 2;
    const int n = sequence_of(chunk_off, N, chunk);
    const int first = cu[n] + (chunk - chunk_off[n]) * 64;
    const int rows = min(64, cu[n + 1] - first);
    const int column = threadIdx.x % 8 * 4, row = threadIdx.x / 8 * 4; // and the quad of channels 32 further on
    const int channel = blockIdx.x % 2 * 64 + column;
    const int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 8;
    const size_t at = ((size_t)(first + row) * H + head) * 128 + channel;
    const size_t pitch = (size_t)H * 128;
    const float a = __expf(A_log[head]);
    const bool bounded = mode == 1;
    const float slope = bounded ? -a * LOG2E : LOG2E, factor = bounded ? lower_bound * LOG2E : -a;
    float bias[8], g[4][8], before[8];
    uint2 in[4][2];
#pragma unroll
    for (int r = 0; r < 4; r++) {
#pragma unroll
        for (int q = 0; q < 2; q++) {
            in[r][q] = make_uint2(0, 0);
            if (row + r < rows)
                in[r][q] = *reinterpret_cast<const uint2 *>(raw + at + r * pitch + q * 32);
        }
    }
#pragma unroll
    for (int q = 0; q < 2; q++)
        *reinterpret_cast<float4 *>(bias + q * 4) =
            *reinterpret_cast<const float4 *>(dt_bias + head * 128 + channel + q * 32);
#pragma unroll
    for (int i = 0; i < 8; i++)
        bias[i] *= slope;
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const unsigned int word[4] = {in[r][0].x, in[r][0].y, in[r][1].x, in[r][1].y};
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const float x = i % 2 ? high(word[i / 2]) : low(word[i / 2]);
            g[r][i] = activated(slope * x + bias[i], bounded);
        }
    }
    // Rows behind the end of the sequence come last: what they add reaches no row that is stored.
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int r = 1; r < 4; r++)
            g[r][i] += g[r - 1][i];
        float sum = g[3][i];
#pragma unroll
        for (int step = 1; step < 4; step *= 2) {
            const float other = __shfl_up_sync(0xffffffffu, sum, step * 8);
            if (group >= step)
                sum += other;
        }
        before[i] = sum - g[3][i];
        if (group == 3)
            warp_sum[warp][column + i % 4 + i / 4 * 32] = sum;
    }
    __syncthreads();
    for (int w = 0; w < warp; w++)
#pragma unroll
        for (int i = 0; i < 8; i++)
            before[i] += warp_sum[w][column + i % 4 + i / 4 * 32];
#pragma unroll
    for (int i = 0; i < 8; i++)
        before[i] *= factor;
#pragma unroll
    for (int r = 0; r < 4; r++) {
        if (row + r >= rows)
            break;
#pragma unroll
        for (int q = 0; q < 2; q++)
            store_whole(G + at + r * pitch + q * 32, factor * g[r][4 * q] + before[4 * q],
                        factor * g[r][4 * q + 1] + before[4 * q + 1],
                        factor * g[r][4 * q + 2] + before[4 * q + 2],
                        factor * g[r][4 * q + 3] + before[4 * q + 3]);
    }
}
