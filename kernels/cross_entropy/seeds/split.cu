// A row is split over SPLITS blocks, which leave maximum and sum of their share in scratch; a second launch joins them,
// a thread per row. With SPLITS 1 it is a block per row and a second launch all the same.
#include <cuda_bf16.h>

#pragma kda tune SPLITS = 4, 1, 2, 8, 16
#pragma kda tune THREADS = 256, 128, 512
#pragma kda tune UNROLL = 4, 1, 2
#pragma kda scratch part : f32[2 * M * SPLITS]
#pragma kda variant split when(M <= 65535)
#pragma kda launch entropy_part(x, target, part, V) grid(SPLITS, M) block(THREADS)
#pragma kda launch entropy_join(x, target, part, loss, M, V) grid(ceil_div(M, 64)) block(64)
#pragma kda variant many
#pragma kda launch entropy_warps(x, target, loss, M, V) grid(ceil_div(M, 4)) block(128)

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

__global__ void __launch_bounds__(THREADS)
    entropy_part(const __nv_bfloat16 *x, const long long *target, float *part, int V)
{
    __shared__ float joined[2][32];
    if (target[blockIdx.y] < 0)
        return;
    const __nv_bfloat16 *row = x + (size_t)blockIdx.y * V;
    const int head = min(V, (int)(-(size_t)row % 16 / 2)), chunks = (V - head) / 8, tail = head + 8 * chunks;
    const uint4 *in = reinterpret_cast<const uint4 *>(row + head);
    const int share = (chunks + SPLITS - 1) / SPLITS;
    const int end = min(chunks, (int)(blockIdx.x + 1) * share);
    Running r = {-INFINITY, 0.0f};
#pragma unroll UNROLL
    for (int c = blockIdx.x * share + threadIdx.x; c < end; c += THREADS)
        r.add8(in[c]);
    if (blockIdx.x == 0 && threadIdx.x < head)
        r.add(__bfloat162float(row[threadIdx.x]));
    if (blockIdx.x == 0 && threadIdx.x < V - tail)
        r.add(__bfloat162float(row[tail + threadIdx.x]));
    r.join_warp();
    if (threadIdx.x % 32 == 0) {
        joined[0][threadIdx.x / 32] = r.most;
        joined[1][threadIdx.x / 32] = r.sum;
    }
    __syncthreads();
    if (threadIdx.x >= 32)
        return;
    const bool has = threadIdx.x < THREADS / 32;
    r.most = has ? joined[0][threadIdx.x] : -INFINITY;
    r.sum = has ? joined[1][threadIdx.x] : 0.0f;
    r.join_warp();
    if (threadIdx.x == 0) {
        part[2 * (blockIdx.y * SPLITS + blockIdx.x)] = r.most;
        part[2 * (blockIdx.y * SPLITS + blockIdx.x) + 1] = r.sum;
    }
}

__global__ void entropy_join(const __nv_bfloat16 *x, const long long *target, const float *part, float *loss, int M,
                             int V)
{
    const int row = blockIdx.x * 64 + threadIdx.x;
    if (row >= M)
        return;
    const long long wanted = target[row];
    if (wanted < 0) {
        loss[row] = 0.0f;
        return;
    }
    float most = -INFINITY, sum = 0.0f;
    for (int s = 0; s < SPLITS; s++)
        most = fmaxf(most, part[2 * (row * SPLITS + s)]);
    for (int s = 0; s < SPLITS; s++)
        sum += part[2 * (row * SPLITS + s)] == -INFINITY
                   ? 0.0f
                   : part[2 * (row * SPLITS + s) + 1] * exp2f((part[2 * (row * SPLITS + s)] - most) * LOG2E);
    loss[row] = logf(sum) + (most - __bfloat162float(x[(size_t)row * V + wanted]));
}

// More rows than a grid's second axis: one warp each.
__global__ void __launch_bounds__(128)
    entropy_warps(const __nv_bfloat16 *x, const long long *target, float *loss, int M, int V)
{
    const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= M)
        return;
    const long long wanted = target[row];
    Running r = {-INFINITY, 0.0f};
    for (int i = lane; i < V && wanted >= 0; i += 32)
        r.add(__bfloat162float(x[(size_t)row * V + i]));
    r.join_warp();
    if (lane == 0)
        loss[row] = wanted < 0 ? 0.0f : logf(r.sum) + (r.most - __bfloat162float(x[(size_t)row * V + wanted]));
}
