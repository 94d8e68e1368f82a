// Shared memory: accesses of threads that nothing orders.

// The neighbour's value is read without waiting for it.
extern "C" __global__ void no_barrier_before_read(const float *x, float *y)
{
    __shared__ float s[128];
    int t = threadIdx.x;
    s[t] = x[t]; // BUG
#ifdef FIXED
    __syncthreads();
#endif
    y[t] = s[127 - t]; // BUG
}

// The next tile is loaded while others still read this one.
extern "C" __global__ void no_barrier_at_loop_end(const float *x, float *y, int tiles)
{
    __shared__ float s[64];
    int t = threadIdx.x;
    float sum = 0;
    for (int k = 0; k < tiles; k++) {
        s[t] = x[64 * k + t]; // BUG
        __syncthreads();
        sum += s[63 - t]; // BUG
#ifdef FIXED
        __syncthreads();
#endif
    }
    y[t] = sum;
}

// Lanes of a warp exchange through memory as if they ran in step.
extern "C" __global__ void no_warp_barrier(const float *x, float *y)
{
    __shared__ float s[4][32];
    int lane = threadIdx.x % 32, w = threadIdx.x / 32;
    s[w][lane] = x[threadIdx.x]; // BUG
#ifdef FIXED
    __syncwarp();
#endif
    y[threadIdx.x] = s[w][lane ^ 1]; // BUG
}

// A warp barrier is enough for a block of one warp only.
extern "C" __global__ void warp_barrier_for_block(const float *x, float *y)
{
    __shared__ float s[128];
    int t = threadIdx.x;
    s[t] = x[t]; // BUG
#ifdef FIXED
    __syncthreads();
#else
    __syncwarp();
#endif
    y[t] = s[blockDim.x - 1 - t]; // BUG
}

// A quarter of the block is one warp if the block has 128 threads; with 104, quarters straddle warps.
extern "C" __global__ void quarters_of_block(const float *x, float *y)
{
    __shared__ float s[128];
    int t = threadIdx.x, quarter = blockDim.x / 4, first = t / quarter * quarter;
    s[t] = x[t]; // BUG
#ifdef FIXED
    __syncthreads();
#else
    __syncwarp();
#endif
    y[t] = s[first + quarter - 1 - (t - first)]; // BUG
}

// The barrier is left out in the last round, whose values are read all the same.
extern "C" __global__ void no_barrier_in_tail(const float *x, float *y, int n)
{
    __shared__ float s[64];
    int t = threadIdx.x;
    float sum = 0;
    for (int first = 0; first < n; first += 64) {
        s[t] = first + t < n ? x[first + t] : 0; // BUG
#ifdef FIXED
        __syncthreads();
#else
        if (first + 64 <= n)
            __syncthreads();
#endif
        sum += s[63 - t]; // BUG
        __syncthreads();
    }
    y[t] = sum;
}

// Two buffers, but the load of the next tile goes into the one that was read last, with no barrier
// between.
extern "C" __global__ void double_buffer(const float *x, float *y, int tiles)
{
    __shared__ float s[2][64];
    int t = threadIdx.x;
    float sum = 0;
    s[0][t] = x[t];
    __syncthreads();
    for (int k = 0; k < tiles; k++) {
#ifdef FIXED
        if (k + 1 < tiles)
            s[(k + 1) & 1][t] = x[64 * (k + 1) + t];
        sum += s[k & 1][63 - t];
        __syncthreads();
#else
        if (k + 1 < tiles)
            s[(k + 1) & 1][t] = x[64 * (k + 1) + t]; // BUG
        __syncthreads();
        sum += s[k & 1][63 - t]; // BUG
#endif
    }
    y[t] = sum;
}

// The last steps of a reduction run within one warp without barriers.
extern "C" __global__ void last_steps(const float *x, float *y)
{
    __shared__ float s[128];
    int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();
    for (int o = 64; o > 32; o >>= 1) {
        if (t < o)
            s[t] += s[t + o];
        __syncthreads();
    }
    if (t < 32) {
        for (int o = 32; o > 0; o >>= 1) {
            float v = s[t + o]; // BUG
#ifdef FIXED
            __syncwarp();
#endif
            s[t] += v; // BUG
#ifdef FIXED
            __syncwarp();
#endif
        }
    }
    if (t == 0)
        y[0] = s[0];
}

// A tile is transposed where it lies.
extern "C" __global__ void transposed_in_place(const float *x, float *y)
{
    __shared__ float s[8][9];
    int c = threadIdx.x, r = threadIdx.y;
    s[r][c] = x[r * 8 + c];
    __syncthreads();
    float v = s[c][r]; // BUG
#ifdef FIXED
    __syncthreads();
#endif
    s[r][c] = v; // BUG
    __syncthreads();
    y[r * 8 + c] = s[r][c];
}

__device__ float block_sum(float v, float *s)
{
    int t = threadIdx.x;
    for (int o = 16; o > 0; o >>= 1)
        v += __shfl_xor_sync(~0u, v, o);
    if (t % 32 == 0)
        s[t / 32] = v; // BUG
    __syncthreads();
    v = 0;
    for (int w = 0; w < blockDim.x / 32; w++)
        v += s[w]; // BUG
    return v;
}

// Two reductions use the same places; some are still reading the first result.
extern "C" __global__ void reduced_twice(const float *x, float *y)
{
    __shared__ float s[32];
    float v = x[threadIdx.x];
    float sum = block_sum(v, s);
#ifdef FIXED
    __syncthreads();
#endif
    float more = block_sum(v + 1, s);
    y[threadIdx.x] = more - sum;
}

// Bins are counted without atomics.
extern "C" __global__ void bins_not_atomic(const int *x, int *y, int n)
{
    __shared__ int bins[16];
    int t = threadIdx.x;
    if (t < 16)
        bins[t] = 0;
    __syncthreads();
    for (int i = t; i < n; i += blockDim.x)
#ifdef FIXED
        atomicAdd(&bins[x[i] & 15], 1);
#else
        bins[x[i] & 15]++; // BUG
#endif
    __syncthreads();
    if (t < 16)
        y[t] = bins[t];
}

// A scan in one array: reads and writes of a step are not kept apart.
extern "C" __global__ void scan_one_barrier(const float *x, float *y)
{
    __shared__ float s[128];
    int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();
    for (int o = 1; o < 128; o <<= 1) {
        float v = t >= o ? s[t - o] : 0; // BUG
#ifdef FIXED
        __syncthreads();
#endif
        s[t] += v; // BUG
        __syncthreads();
    }
    y[t] = s[t];
}

// One thread decides, the others look before it has.
extern "C" __global__ void decision_not_awaited(const float *x, float *y)
{
    __shared__ int chosen;
    if (threadIdx.x == 0)
        chosen = x[0] < 0 ? 1 : 2; // BUG
#ifdef FIXED
    __syncthreads();
#endif
    if (threadIdx.x >= 32)
        y[threadIdx.x - 32] = chosen; // BUG
#ifdef FIXED
    else
        y[threadIdx.x + 32] = chosen;
#endif
}

// Every thread stores its own value in one place. The mended one stores the same value.
extern "C" __global__ void found_flag(const float *x, int *y)
{
    __shared__ int found;
    int t = threadIdx.x;
    if (t == 0)
        found = -1;
    __syncthreads();
    if (x[t] > 0)
#ifdef FIXED
        found = 1; // all store the same
#else
        found = t; // BUG
#endif
    __syncthreads();
    y[t] = found;
}

// The consumer warp starts before the producer has arrived at their barrier.
extern "C" __global__ void consumer_does_not_wait(const float *x, float *y)
{
    __shared__ float s[32];
    int t = threadIdx.x;
    if (t < 32) {
        s[t] = x[t]; // BUG
        asm volatile("bar.arrive 1, 64;" ::: "memory");
    } else {
#ifdef FIXED
        asm volatile("bar.sync 1, 64;" ::: "memory");
        y[t - 32] = s[63 - t];
#else
        y[t - 32] = s[63 - t]; // BUG
        asm volatile("bar.sync 1, 64;" ::: "memory");
#endif
    }
}

// The halo of the tile is stored by other threads than those that read it.
extern "C" __global__ void halo_behind_barrier(const float *x, float *y, int n)
{
    __shared__ float s[66];
    int t = threadIdx.x;
    s[t + 1] = x[t];
#ifndef FIXED
    __syncthreads();
#endif
    if (t == 63) {
        s[0] = 0; // BUG
        s[65] = 0;
    }
#ifdef FIXED
    __syncthreads();
#endif
    y[t] = s[t] + s[t + 2]; // BUG
}

// Two bytes of one word by two threads are no race; the same byte is.
extern "C" __global__ void bytes_of_a_word(const unsigned char *x, unsigned char *y)
{
    __shared__ unsigned char s[128];
    int t = threadIdx.x;
#ifdef FIXED
    s[t] = x[t];
#else
    s[t ^ (t >> 5 & 1)] = x[t]; // BUG
    s[t] = x[t]; // BUG
#endif
    __syncthreads();
    y[t] = s[127 - t];
}
