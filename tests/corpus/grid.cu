// Blocks that depend on each other: cooperative grid barriers, barriers in software, look-back
// scans, persistent blocks with a queue, locks, tickets.
#include <cooperative_groups.h>
namespace cg = cooperative_groups;

extern "C" __global__ void grid_sync_jacobi(float *a, float *b, int n, int steps)
{
    cg::grid_group grid = cg::this_grid();
    for (int s = 0; s < steps; s++) {
        const float *from = s % 2 ? b : a;
        float *to = s % 2 ? a : b;
        for (int i = grid.thread_rank(); i < n; i += grid.size())
            to[i] = i == 0 || i == n - 1 ? from[i] : 0.5f * from[i] + 0.25f * (from[i - 1] + from[i + 1]);
        grid.sync();
    }
}

extern "C" __global__ void grid_sync_norm(const float *x, float *part, float *y, int n)
{
    cg::grid_group grid = cg::this_grid();
    __shared__ float s[64];
    float v = 0;
    for (int i = grid.thread_rank(); i < n; i += grid.num_threads())
        v += x[i] * x[i];
    s[threadIdx.x] = v;
    __syncthreads();
    for (int o = 32; o; o >>= 1) {
        if (threadIdx.x < o)
            s[threadIdx.x] += s[threadIdx.x + o];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        part[blockIdx.x] = s[0];
    grid.sync();
    float total = 0;
    for (int b = 0; b < gridDim.x; b++)
        total += part[b];
    const float inv = rsqrtf(total);
    for (int i = grid.thread_rank(); i < n; i += grid.num_threads())
        y[i] = x[i] * inv;
}

// A barrier of one's own: a counter and a generation in global memory.
__device__ void barrier_of_grid(volatile unsigned *count, volatile unsigned *generation)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        const unsigned g = *generation;
        __threadfence();
        if (atomicAdd((unsigned *)count, 1) == gridDim.x - 1) {
            *count = 0;
            __threadfence();
            *generation = g + 1;
        } else {
            while (*generation == g)
                __nanosleep(20);
        }
        __threadfence();
    }
    __syncthreads();
}

extern "C" __global__ void software_barrier(int *a, int *b, unsigned *state, int rounds)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x, n = gridDim.x * blockDim.x;
    for (int r = 0; r < rounds; r++) {
        b[i] = __ldcg(a + (i + 33) % n) + r;
        barrier_of_grid(state, state + 1);
        a[i] = __ldcg(b + (n - 1 - i)) * 2 % 1000003;
        barrier_of_grid(state, state + 1);
    }
}

// A prefix sum in one pass: a block publishes its sum, then its prefix, and looks back.
extern "C" __global__ __launch_bounds__(128) void decoupled_look_back(const int *x, int *y, unsigned long long *state, int *ticket, int n)
{
    __shared__ int s[128], block, before;
    if (threadIdx.x == 0)
        block = atomicAdd(ticket, 1);
    __syncthreads();
    const int i = block * 128 + threadIdx.x;
    int v = i < n ? x[i] : 0;
    s[threadIdx.x] = v;
    __syncthreads();
    for (int o = 1; o < 128; o <<= 1) {
        const int t = threadIdx.x >= o ? s[threadIdx.x - o] : 0;
        __syncthreads();
        s[threadIdx.x] += t;
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        const int total = s[127];
        int prefix = 0;
        if (block > 0) {
            atomicExch(state + block, 1ull << 32 | (unsigned)total);
            for (int b = block - 1; b >= 0;) {
                const unsigned long long seen = *(volatile unsigned long long *)(state + b);
                if (seen >> 32 == 0)
                    continue;
                prefix += (int)(unsigned)seen;
                if (seen >> 32 == 2)
                    break;
                b--;
            }
        }
        __threadfence();
        atomicExch(state + block, 2ull << 32 | (unsigned)(prefix + total));
        before = prefix;
    }
    __syncthreads();
    if (i < n)
        y[i] = s[threadIdx.x] + before;
}

// The look-back in the other direction: a block waits for those that start after it.
extern "C" __global__ void waits_for_successor(const int *x, volatile int *flag, int *y)
{
    const int b = blockIdx.x;
    if (threadIdx.x == 0 && b + 1 < gridDim.x)
        while (flag[b + 1] == 0)
            ;
    __syncthreads();
    y[b * 32 + threadIdx.x] = x[b * 32 + threadIdx.x] + (b + 1 < gridDim.x ? flag[b + 1] : 0);
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        flag[b] = b + 1;
}

// Persistent blocks draw tiles from a counter; a tile's cost depends on its number.
extern "C" __global__ void work_queue(const int *x, int *steps, int *next, int tiles)
{
    __shared__ int tile;
    for (;;) {
        if (threadIdx.x == 0)
            tile = atomicAdd(next, 1);
        __syncthreads();
        const int t = tile;
        __syncthreads();
        if (t >= tiles)
            break;
        unsigned v = x[t * 64 + threadIdx.x];
        int n = 0;
        while (v > 1) {
            v = v & 1 ? 3 * v + 1 : v >> 1;
            n++;
        }
        steps[t * 64 + threadIdx.x] = n;
    }
}

// A lock around a record of three words; lanes of a warp compete.
extern "C" __global__ void spin_lock(const int *x, int *lock, volatile int *record, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    bool done = false;
    while (!done) {
        if (atomicCAS(lock, 0, 1) == 0) {
            __threadfence();
            record[0] = record[0] + 1;
            record[1] = record[1] + x[i];
            record[2] = max(record[2], x[i]);
            __threadfence();
            atomicExch(lock, 0);
            done = true;
        }
    }
}

// Blocks take turns in the order of their tickets: a sum whose rounding does not depend on luck.
extern "C" __global__ void ordered_sum(const float *x, float *sum, int *turn)
{
    float v = x[blockIdx.x * 32 + threadIdx.x];
    for (int o = 16; o; o >>= 1)
        v += __shfl_down_sync(~0u, v, o);
    if (threadIdx.x == 0) {
        int now;
        do {
            asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(now) : "l"(turn) : "memory");
        } while (now != (int)blockIdx.x);
        *sum += v;
        asm volatile("red.release.gpu.global.add.s32 [%0], 1;" :: "l"(turn) : "memory");
    }
}
