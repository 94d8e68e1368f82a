// Barriers that not all reach, or not the same one.
#include <cooperative_groups.h>
namespace cg = cooperative_groups;

// A barrier for the first half of a warp only; the others wait at the next one.
extern "C" __global__ void barrier_in_branch(const float *x, float *y)
{
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = x[t];
#ifdef FIXED
    __syncthreads();
    if (t < 48)
        y[t] = s[47 - t];
#else
    if (t < 48) {
        __syncthreads(); // BUG
        y[t] = s[47 - t];
    }
#endif
    __syncthreads(); // BUG
    if (t >= 48)
        y[t] = s[t - 48];
}

// Both branches have a barrier, but it is not the same one.
extern "C" __global__ void two_barriers(const float *x, float *y)
{
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = x[t];
#ifdef FIXED
    __syncthreads();
    float v = t % 2 == 0 ? s[63 - t] + 1 : s[63 - t] * 2;
#else
    float v;
    if (t % 2 == 0) {
        __syncthreads(); // BUG
        v = s[63 - t] + 1;
    } else {
        __syncthreads(); // BUG
        v = s[63 - t] * 2;
    }
#endif
    y[t] = v;
}

// A barrier in a loop that the threads of the last warp leave at different times.
extern "C" __global__ void barrier_in_loop(const float *x, float *y, int n)
{
    __shared__ float s[64];
    int t = threadIdx.x;
    float sum = 0;
#ifdef FIXED
    for (int first = 0; first < n; first += 64) {
        int i = first + t;
#else
    for (int i = t; i < n; i += 64) {
#endif
        s[t] = i < n ? x[i] : 0;
        __syncthreads(); // BUG
        sum += s[t];
        __syncthreads(); // BUG
    }
    s[t] = sum;
    __syncthreads(); // BUG
    y[t] = s[63 - t];
}

// Named barrier for 128 threads, of which a warp has already gone.
extern "C" __global__ void count_with_the_gone(const float *x, float *y, int n)
{
    __shared__ float s[128];
    int t = threadIdx.x;
    s[t] = t < n ? x[t] : 0;
    __syncthreads();
#ifndef FIXED
    if (t >= n)
        return;
#endif
    asm volatile("bar.sync 1, 128;" ::: "memory"); // BUG
    if (t < n)
        y[t] = s[n - 1 - t];
}

// One side expects 64 threads, the other one 96.
extern "C" __global__ void counts_differ(float *y)
{
    if (threadIdx.x < 32) {
#ifdef FIXED
        asm volatile("bar.sync 1, 96;" ::: "memory");
#else
        asm volatile("bar.sync 1, 64;" ::: "memory"); // BUG
#endif
    } else {
        asm volatile("bar.sync 1, 96;" ::: "memory"); // BUG
    }
    y[threadIdx.x] = 1;
}

// The producer arrives at barrier 1, the consumer waits at barrier 2.
extern "C" __global__ void wrong_number(const float *x, float *y)
{
    __shared__ float s[32];
    int t = threadIdx.x;
    if (t < 32) {
        s[t] = x[t];
        __threadfence_block();
        asm volatile("bar.arrive 1, 64;" ::: "memory");
    } else {
#ifdef FIXED
        asm volatile("bar.sync 1, 64;" ::: "memory");
#else
        asm volatile("bar.sync 2, 64;" ::: "memory"); // BUG
#endif
        y[t - 32] = s[63 - t];
    }
}

// Full-mask shuffle in a branch of half a warp; the other half waits at a barrier.
extern "C" __global__ void shuffle_in_branch(const float *x, float *y)
{
    int t = threadIdx.x;
    float v = x[t];
#ifdef FIXED
    float w = __shfl_xor_sync(~0u, v, 1);
    if (t < 16)
        v += w;
#else
    if (t < 16)
        v += __shfl_xor_sync(~0u, v, 1); // BUG
#endif
    __syncthreads(); // BUG
    y[t] = v;
}

// A warp barrier for all lanes where only the even ones come; the odd ones wait for the block.
extern "C" __global__ void warp_barrier_in_branch(const float *x, float *y)
{
    __shared__ float s[32];
    int t = threadIdx.x;
    s[t] = x[t];
#ifdef FIXED
    __syncwarp();
    if (t % 2 == 0)
        y[t] = s[t + 1];
#else
    if (t % 2 == 0) {
        __syncwarp(); // BUG
        y[t] = s[t + 1];
    }
#endif
    __syncthreads(); // BUG
    if (t % 2 == 1)
        y[t] = s[t - 1];
}

// The producer goes round once more than the consumer.
extern "C" __global__ void one_round_more(const float *x, float *y, int tiles)
{
    __shared__ float s[32];
    int t = threadIdx.x;
    float sum = 0;
    if (t < 32) {
#ifdef FIXED
        int rounds = tiles;
#else
        int rounds = tiles + 1;
#endif
        for (int k = 0; k < rounds; k++) {
            s[t] = k < tiles ? x[32 * k + t] : 0;
            asm volatile("bar.sync 1, 64;" ::: "memory"); // BUG
            asm volatile("bar.sync 2, 64;" ::: "memory"); // BUG
        }
    } else {
        for (int k = 0; k < tiles; k++) {
            asm volatile("bar.sync 1, 64;" ::: "memory");
            sum += s[63 - t];
            asm volatile("bar.sync 2, 64;" ::: "memory");
        }
        y[t - 32] = sum;
    }
}

// A vote of the block that only the first warps' first half takes part in.
extern "C" __global__ void vote_in_branch(const float *x, int *y)
{
    int t = threadIdx.x, n = 0;
#ifdef FIXED
    n = __syncthreads_count(t < 40 && x[t] > 0);
#else
    if (t < 40)
        n = __syncthreads_count(x[t] > 0); // BUG
#endif
    __syncthreads(); // BUG
    y[t] = t < 40 ? n : -1;
}

// A group of one warp is reduced by its first half only.
extern "C" __global__ void tile_in_branch(const float *x, float *y)
{
    cg::thread_block block = cg::this_thread_block();
    auto warp = cg::tiled_partition<32>(block);
    int t = threadIdx.x;
    float v = x[t];
#ifdef FIXED
    float sum = 0;
    sum = v + warp.shfl_xor(v, 16);
#else
    float sum = 0;
    if (warp.thread_rank() < 16)
        sum = v + warp.shfl_xor(v, 16); // BUG
#endif
    block.sync(); // BUG
    y[t] = warp.thread_rank() < 16 ? sum : 0;
}

// Two arrivals at the cluster's barrier for one wait.
extern "C" __global__ void cluster_arrives_twice(float *y)
{
    cg::cluster_group cluster = cg::this_cluster();
    cluster.barrier_arrive();
#ifndef FIXED
    cluster.barrier_arrive(); // BUG
#endif
    cluster.barrier_wait();
    y[blockIdx.x * blockDim.x + threadIdx.x] = 1;
}
