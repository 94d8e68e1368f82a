// Cross-entropy with the mapping of the fused losses (docs/README.md): one block per row, one pass with the online form
// of maximum and sum, 128-bit loads from the first 16-byte boundary of the row on, four of a thread under way. Few rows get
// larger blocks.
#include <cuda_bf16.h>

#pragma kda variant few when(V >= 16384 && M < 264)
#pragma kda launch entropy_row<1024>(x, target, loss, V) grid(M) block(1024)
#pragma kda variant any
#pragma kda launch entropy_row<256>(x, target, loss, V) grid(M) block(256)

#define LOG2E 1.44269504f

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

// Maximum and sum of exp2((v - maximum) * log2(e)) over what was added.
struct Running {
    float most, sum;

    __device__ __forceinline__ void raise(float value)
    {
        if (value > most) {
            sum *= exp2f((most - value) * LOG2E);
            most = value;
        }
    }

    __device__ __forceinline__ void add(float value)
    {
        raise(value);
        sum += exp2f((value - most) * LOG2E);
    }

    __device__ __forceinline__ void add8(uint4 v)
    {
        const unsigned int word[4] = {v.x, v.y, v.z, v.w};
        float top = fmaxf(low(word[0]), high(word[0]));
#pragma unroll
        for (int i = 1; i < 4; i++)
            top = fmaxf(top, fmaxf(low(word[i]), high(word[i])));
        raise(top);
#pragma unroll
        for (int i = 0; i < 4; i++)
            sum += exp2f((low(word[i]) - most) * LOG2E) + exp2f((high(word[i]) - most) * LOG2E);
    }

    // Over a warp, in every lane.
    __device__ __forceinline__ void join_warp()
    {
        float all = most;
        for (int offset = 16; offset > 0; offset /= 2)
            all = fmaxf(all, __shfl_xor_sync(0xffffffffu, all, offset));
        sum = most == -INFINITY ? 0.0f : sum * exp2f((most - all) * LOG2E);
        for (int offset = 16; offset > 0; offset /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        most = all;
    }
};

template <int THREADS>
__global__ void __launch_bounds__(THREADS)
    entropy_row(const __nv_bfloat16 *x, const long long *target, float *loss, int V)
{
    __shared__ float part[2][THREADS / 32];
    const long long wanted = target[blockIdx.x];
    if (wanted < 0) {
        if (threadIdx.x == 0)
            loss[blockIdx.x] = 0.0f;
        return;
    }
    const __nv_bfloat16 *row = x + (size_t)blockIdx.x * V;
    const int head = min(V, (int)(-(size_t)row % 16 / 2)); // elements before the first 16-byte boundary
    const int chunks = (V - head) / 8;
    const uint4 *in = reinterpret_cast<const uint4 *>(row + head);
    Running r = {-INFINITY, 0.0f};
    if (threadIdx.x < head)
        r.add(__bfloat162float(row[threadIdx.x]));
#pragma unroll 4
    for (int c = threadIdx.x; c < chunks; c += THREADS)
        r.add8(in[c]);
    const int tail = head + 8 * chunks;
    if (threadIdx.x < V - tail)
        r.add(__bfloat162float(row[tail + threadIdx.x]));
    r.join_warp();
    if (threadIdx.x % 32 == 0) {
        part[0][threadIdx.x / 32] = r.most;
        part[1][threadIdx.x / 32] = r.sum;
    }
    __syncthreads();
    if (threadIdx.x >= 32)
        return;
    const bool has = threadIdx.x < THREADS / 32;
    r.most = has ? part[0][threadIdx.x] : -INFINITY;
    r.sum = has ? part[1][threadIdx.x] : 0.0f;
    r.join_warp();
    if (threadIdx.x == 0)
        loss[blockIdx.x] = logf(r.sum) + (r.most - __bfloat162float(row[wanted]));
}
