// A thread walks down the rows of a chunk with VEC channels in registers, ROWS rows of loads in flight; threads lie along
// the channels of all heads. No exchange between threads.
#include <cuda_bf16.h>

#pragma kda tune VEC = 2, 4
#pragma kda tune THREADS = 128, 64, 256
#pragma kda tune ROWS = 8, 4, 16
#pragma kda launch gate_columns(raw, A_log, dt_bias, cu, chunk_off, G, H, N, mode, lower_bound) \
        grid(ceil_div(H * 128, VEC * THREADS), NT) block(THREADS)

#define LOG2E 1.4426950408889634f

#if VEC == 4
typedef uint2 Raw;
typedef float4 Sum;
#else
typedef unsigned int Raw;
typedef float2 Sum;
#endif

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

__global__ void __launch_bounds__(THREADS)
    gate_columns(const __nv_bfloat16 *__restrict__ raw, const float *__restrict__ A_log, const float *__restrict__ dt_bias,
                 const int *__restrict__ cu, const int *__restrict__ chunk_off, float *__restrict__ G, int H, int N,
                 int mode, float lower_bound)
{
    const int n = sequence_of(chunk_off, N, blockIdx.y);
    const int first = cu[n] + (blockIdx.y - chunk_off[n]) * 64;
    const int rows = min(64, cu[n + 1] - first);
    const int channel = (blockIdx.x * THREADS + threadIdx.x) * VEC;
    const size_t pitch = (size_t)H * 128 / VEC;
    if (channel >= H * 128)
        return;
    const Raw *in = reinterpret_cast<const Raw *>(raw) + first * pitch + channel / VEC;
    Sum *out = reinterpret_cast<Sum *>(G) + first * pitch + channel / VEC;
    const float a = __expf(A_log[channel / 128]);
    float bias[VEC], sum[VEC] = {};
    *reinterpret_cast<Sum *>(bias) = *reinterpret_cast<const Sum *>(dt_bias + channel);
    for (int row = 0; row < rows; row += ROWS) {
        Raw v[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            v[r] = row + r < rows ? in[(row + r) * pitch] : Raw();
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            if (row + r >= rows)
                break;
            const unsigned int *word = reinterpret_cast<const unsigned int *>(&v[r]);
#pragma unroll
            for (int i = 0; i < VEC; i++) {
                const float x = __uint_as_float(i % 2 ? word[i / 2] & 0xffff0000u : word[i / 2] << 16) + bias[i];
                sum[i] += activated(x, mode, a, lower_bound) * LOG2E;
            }
            out[(row + r) * pitch] = *reinterpret_cast<const Sum *>(sum);
        }
    }
}
