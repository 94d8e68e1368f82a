// Kernels that never end, and kernels that end themselves.
#include <cooperative_groups.h>
namespace cg = cooperative_groups;

// Each block waits for a flag that it would set afterwards.
extern "C" __global__ void waits_for_itself(volatile int *flags, float *y)
{
    if (threadIdx.x == 0) {
#ifdef FIXED
        flags[blockIdx.x] = 1;
#endif
        while (flags[blockIdx.x] == 0) // BUG
            ;
        flags[blockIdx.x] = 1;
    }
    __syncthreads();
    y[blockIdx.x * blockDim.x + threadIdx.x] = 1;
}

// One thread polls for what its own block stores behind the barrier that it keeps shut.
extern "C" __global__ void polls_before_barrier(volatile int *ready, float *y)
{
    if (threadIdx.x == 32)
#ifdef FIXED
        *ready = 1;
#endif
    if (threadIdx.x == 32)
        __threadfence();
    if (threadIdx.x == 0)
        while (*ready == 0) // BUG
            ;
    __syncthreads();
    if (threadIdx.x == 32)
        *ready = 1;
    y[threadIdx.x] = 1;
}

// The second phase waits for twice the arrivals, but nobody arrives again.
extern "C" __global__ void second_phase(int *arrived, float *y)
{
    for (int phase = 1; phase <= 2; phase++) {
        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
#ifdef FIXED
            atomicAdd(arrived, 1);
#else
            if (phase == 1)
                atomicAdd(arrived, 1);
#endif
            while (atomicAdd(arrived, 0) < phase * (int)gridDim.x) // BUG
                ;
        }
        __syncthreads();
    }
    y[blockIdx.x * blockDim.x + threadIdx.x] = 1;
}

// A barrier over the grid made of a counter, with more blocks than fit.
extern "C" __global__ void grid_barrier(unsigned *arrived, float *y, int n)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        atomicAdd(arrived, 1u);
        while (atomicAdd(arrived, 0u) < gridDim.x) // BUG
            ;
    }
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = 1;
}

// A look-back that waits for the next block instead of the one before.
extern "C" __global__ void looks_forward(volatile int *flags, int *y)
{
    if (threadIdx.x == 0) {
        int b = blockIdx.x, before = 0;
#ifdef FIXED
        if (b > 0)
            while ((before = flags[b - 1]) == 0) // BUG
                ;
#else
        while ((before = flags[b + 1]) == 0) // BUG
            ;
#endif
        __threadfence();
        flags[b] = before + 1;
        y[b] = before + 1;
    }
}

// A lock that the first holder never gives back.
extern "C" __global__ void lock_kept(int *lock, int *y)
{
    if (threadIdx.x % 32 == 0) {
        while (atomicCAS(lock, 0, 1) != 0) // BUG
            ;
        __threadfence();
        *(volatile int *)y = *(volatile int *)y + 1;
        __threadfence();
#ifdef FIXED
        atomicExch(lock, 0);
#endif
    }
}

// Two warps take two locks in opposite order.
extern "C" __global__ void locks_crossed(int *locks, int *y)
{
    int w = threadIdx.x / 32;
    __shared__ int held;
    if (threadIdx.x == 0)
        held = 0;
    __syncthreads();
    if (threadIdx.x % 32 == 0) {
#ifdef FIXED
        int first = 0;
#else
        int first = w;
#endif
        while (atomicCAS(&locks[first], 0, 1) != 0)
            ;
#ifndef FIXED
        atomicAdd(&held, 1);
        while (atomicAdd(&held, 0) < 2)
            ;
#endif
        while (atomicCAS(&locks[1 - first], 0, 1) != 0) // BUG
            ;
        __threadfence();
        atomicAdd(y, 1);
        __threadfence();
        atomicExch(&locks[1 - first], 0);
        atomicExch(&locks[first], 0);
    }
}

// Blocks without work leave before the barrier of the grid.
extern "C" __global__ void leaves_grid(float *y, int n)
{
    cg::grid_group grid = cg::this_grid();
    int i = blockIdx.x * blockDim.x + threadIdx.x;
#ifndef FIXED
    if (blockIdx.x * blockDim.x >= n)
        return;
#endif
    if (i < n)
        y[i] = 1;
    grid.sync();
}

// Rank 0 waits for the whole cluster, but the others wait at a barrier that rank 0 must reach.
extern "C" __global__ void cluster_half(float *y)
{
    cg::cluster_group cluster = cg::this_cluster();
#ifdef FIXED
    cluster.sync();
#else
    if (cluster.block_rank() == 0)
        cluster.sync();
    else
        asm volatile("bar.sync 1, 96;" ::: "memory");
#endif
    y[blockIdx.x * blockDim.x + threadIdx.x] = 1;
}

// Counting down with an unsigned number: never below zero.
extern "C" __global__ void unsigned_countdown(const float *x, float *y, unsigned n)
{
    float sum = 0;
#ifdef FIXED
    for (unsigned i = n; i-- > 0;)
#else
    for (unsigned i = n - 1; i >= 0; i--) // BUG
#endif
        sum += x[i % 64]; // BUG
    y[threadIdx.x] = sum;
}

// A step that becomes zero for small blocks.
extern "C" __global__ void step_zero(const float *x, float *y, int n)
{
    float sum = 0;
#ifdef FIXED
    int step = (blockDim.x + 63) / 64;
#else
    int step = blockDim.x / 64;
#endif
    for (int i = 0; i < n; i += step) // BUG
        sum += *(volatile const float *)(x + i); // BUG
    y[threadIdx.x] = sum;
}

// Work is taken until the counter equals n: threads that overshoot never end.
extern "C" __global__ void overshoot(int *head, int *y, int n)
{
    int i;
#ifdef FIXED
    while ((i = atomicAdd(head, 1)) < n)
#else
    while ((i = atomicAdd(head, 1)) != n) // BUG
#endif
        if (i < n)
            y[i] = i;
}

// The halving of a reduction goes on at zero.
extern "C" __global__ void halves_zero(const float *x, float *y)
{
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();
#ifdef FIXED
    for (int o = blockDim.x / 2; o > 0; o >>= 1) {
#else
    for (int o = blockDim.x / 2; o >= 0; o >>= 1) { // BUG
#endif
        if (t < o)
            s[t] += s[t + o]; // BUG
        __syncthreads(); // BUG
    }
    if (t == 0)
        y[0] = s[0];
}

// A binary search that stands still when two places are left.
extern "C" __global__ void search_stands_still(const int *x, int *y, int n)
{
    int low = 0, high = n;
    while (low < high) { // BUG
        int middle = (low + high) / 2; // BUG
        if (x[middle] <= (int)threadIdx.x) // BUG
#ifdef FIXED
            low = middle + 1;
#else
            low = middle; // BUG
#endif
        else
            high = middle;
    }
    y[threadIdx.x] = low;
}

// A capacity that is checked, and exceeded.
extern "C" __global__ void over_capacity(const float *x, int *y, int capacity)
{
    __shared__ int count;
    if (threadIdx.x == 0)
        count = 0;
    __syncthreads();
    if (x[threadIdx.x] > 0) {
        int at = atomicAdd(&count, 1);
#ifdef FIXED
        if (at >= 2 * capacity)
#else
        if (at >= capacity)
#endif
            __trap(); // BUG
    }
    y[threadIdx.x] = 1;
}

// Launched with a block size that the kernel refuses.
extern "C" __global__ void refuses_block(float *y)
{
#ifdef FIXED
    if (blockDim.x % 16 != 0)
#else
    if (blockDim.x % 32 != 0)
#endif
        asm volatile("trap;"); // BUG
    y[threadIdx.x] = 1;
}

extern "C" __device__ void __assertfail(const char *, const char *, unsigned, const char *, size_t);
#define CHECK(condition)                                                                           \
    if (!(condition))                                                                              \
    __assertfail(#condition, "stuck.cu", __LINE__, "", 1)

// An assertion that does not hold for the last element.
extern "C" __global__ void asserts(const int *x, int *y)
{
    int v = x[threadIdx.x];
#ifdef FIXED
    CHECK(v < 32);
#else
    CHECK(v < 31); // BUG
#endif
    y[threadIdx.x] = v;
}
