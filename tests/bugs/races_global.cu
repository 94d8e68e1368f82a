// Global memory: blocks that use the same places with no order between them.

// A stencil in place: neighbours of another block are old or new.
extern "C" __global__ void stencil_in_place(float *x, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float left = i > 0 ? x[i - 1] : 0; // BUG
    float right = i + 1 < n ? x[i + 1] : 0; // BUG
    __syncthreads();
#ifdef FIXED
    y[i] = left + right;
#else
    x[i] = left + right; // BUG
    y[i] = 0;
#endif
}

// The last block sums what the others stored without a fence before their tickets.
extern "C" __global__ void last_block_no_fence(const float *x, float *part, unsigned *ticket,
                                               float *y)
{
    __shared__ bool last;
    float v = x[blockIdx.x * 32 + threadIdx.x];
    for (int o = 16; o > 0; o >>= 1)
        v += __shfl_xor_sync(~0u, v, o);
    if (threadIdx.x == 0) {
        part[blockIdx.x] = v; // BUG
#ifdef FIXED
        __threadfence();
#endif
        last = atomicAdd(ticket, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last)
        return;
#ifdef FIXED
    __threadfence();
#endif
    if (threadIdx.x == 0) {
        float sum = 0;
        for (int b = 0; b < gridDim.x; b++)
            sum += ((volatile float *)part)[b]; // BUG
        y[0] = sum;
    }
}

// Blocks draw their number from a counter without atomics.
extern "C" __global__ void counter_not_atomic(int *counter, int *y)
{
    if (threadIdx.x == 0) {
#ifdef FIXED
        int mine = atomicAdd(counter, 1);
#else
        int mine = (*counter)++; // BUG
#endif
        y[mine & 3] = 1;
    }
}

// Every block adds its part to one sum.
extern "C" __global__ void sum_not_atomic(const float *x, float *y)
{
    float v = x[blockIdx.x * 32 + threadIdx.x];
    for (int o = 16; o > 0; o >>= 1)
        v += __shfl_xor_sync(~0u, v, o);
    if (threadIdx.x == 0)
#ifdef FIXED
        atomicAdd(y, v);
#else
        y[0] += v; // BUG
#endif
}

// Tiles overlap by one column, into which both write something else.
extern "C" __global__ void overlapping_tiles(float *y)
{
#ifdef FIXED
    int i = blockIdx.x * 32 + threadIdx.x;
#else
    int i = blockIdx.x * 31 + threadIdx.x;
#endif
    y[i] = blockIdx.x * 32 + threadIdx.x; // BUG
}

// The first block clears the sum that the others already add to.
extern "C" __global__ void cleared_by_one(const float *x, float *y)
{
#ifndef FIXED
    if (blockIdx.x == 0 && threadIdx.x == 0)
        y[0] = 0; // BUG
#endif
    __syncthreads();
    float v = x[blockIdx.x * 32 + threadIdx.x];
    for (int o = 16; o > 0; o >>= 1)
        v += __shfl_xor_sync(~0u, v, o);
    if (threadIdx.x == 0)
        atomicAdd(y, v); // BUG
}

// The value is published by a flag with no fence between the two.
extern "C" __global__ void flag_no_fence(const float *x, float *value, volatile int *flag, float *y)
{
    if (threadIdx.x != 0)
        return;
    int b = blockIdx.x;
    float before = 0;
    if (b > 0) {
        while (flag[b - 1] == 0)
            ;
#ifdef FIXED
        __threadfence();
#endif
        before = *(volatile float *)&value[b - 1]; // BUG
    }
    value[b] = before + x[b]; // BUG
#ifdef FIXED
    __threadfence();
#endif
    flag[b] = 1;
    y[b] = before + x[b];
}

// The second block reads what the first one writes, as if blocks ran in order.
extern "C" __global__ void blocks_in_order(const float *x, float *part, float *y)
{
    int b = blockIdx.x, t = threadIdx.x;
#ifdef FIXED
    y[b * 32 + t] = b > 0 ? x[(b - 1) * 32 + t] : 0;
    part[b * 32 + t] = x[b * 32 + t];
#else
    part[b * 32 + t] = x[b * 32 + t]; // BUG
    y[b * 32 + t] = b > 0 ? part[(b - 1) * 32 + t] : 0; // BUG
#endif
}

// The last tile is moved back to be whole, so some elements are doubled twice. In the mended one,
// both blocks store the same.
extern "C" __global__ void moved_back_in_place(float *x, float *y, int n)
{
    int i = min(blockIdx.x * 64, n - 64) + threadIdx.x;
#ifdef FIXED
    y[i] = 2 * x[i]; // the overlap gets equal values
#else
    x[i] = 2 * x[i]; // BUG
    y[threadIdx.x] = 0;
#endif
}

// A barrier over the grid without fences: what was written before it may not be seen behind it.
extern "C" __global__ void grid_barrier_no_fence(float *part, unsigned *arrived, float *y)
{
    int b = blockIdx.x, n = gridDim.x;
    if (threadIdx.x == 0)
        part[b] = b + 1; // BUG
    __syncthreads();
    if (threadIdx.x == 0) {
#ifdef FIXED
        __threadfence();
#endif
        atomicAdd(arrived, 1u);
        while (*(volatile unsigned *)arrived < n)
            ;
#ifdef FIXED
        __threadfence();
#endif
    }
    __syncthreads();
    y[b * 32 + threadIdx.x] = ((volatile float *)part)[(b + 1) % n]; // BUG
}

// Bins in global memory, counted by all blocks without atomics.
extern "C" __global__ void global_bins(const int *x, int *bins)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
#ifdef FIXED
    atomicAdd(&bins[x[i]], 1);
#else
    bins[x[i]] += 1; // BUG
#endif
}
