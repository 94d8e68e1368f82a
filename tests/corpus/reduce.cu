// Reductions, scans within a warp and votes, written by hand: shuffles, shared-memory trees,
// a last block that adds up, atomics of every kind, redux, match, ballot compaction.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

__device__ __forceinline__ float warp_sum(float v)
{
#pragma unroll
    for (int o = 16; o > 0; o >>= 1)
        v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}

template <int THREADS> __device__ __forceinline__ float block_sum(float v)
{
    __shared__ float part[THREADS / 32];
    v = warp_sum(v);
    if ((threadIdx.x & 31) == 0)
        part[threadIdx.x >> 5] = v;
    __syncthreads();
    v = threadIdx.x < THREADS / 32 ? part[threadIdx.x] : 0.0f;
    if (threadIdx.x < 32)
        v = warp_sum(v);
    return v;
}

extern "C" __global__ void sum_rows_shuffle(const float *x, float *y, int n)
{
    float s = 0.0f;
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        s += x[(size_t)blockIdx.x * n + i];
    s = block_sum<192>(s);
    if (threadIdx.x == 0)
        y[blockIdx.x] = s;
}

extern "C" __global__ void tree_max_min(const int *x, int *most, int *least, int n)
{
    extern __shared__ int tree[];
    int *high = tree, *low = tree + blockDim.x;
    int h = INT_MIN, l = INT_MAX;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        h = max(h, x[i]);
        l = min(l, x[i]);
    }
    high[threadIdx.x] = h;
    low[threadIdx.x] = l;
    __syncthreads();
    for (unsigned s = blockDim.x / 2; s > 32; s >>= 1) {
        if (threadIdx.x < s) {
            high[threadIdx.x] = max(high[threadIdx.x], high[threadIdx.x + s]);
            low[threadIdx.x] = min(low[threadIdx.x], low[threadIdx.x + s]);
        }
        __syncthreads();
    }
    if (threadIdx.x < 32) {
        volatile int *vh = high, *vl = low;
        for (int s = 32; s > 0; s >>= 1) {
            int a = max(vh[threadIdx.x], vh[threadIdx.x + s]), b = min(vl[threadIdx.x], vl[threadIdx.x + s]);
            __syncwarp();
            vh[threadIdx.x] = a;
            vl[threadIdx.x] = b;
            __syncwarp();
        }
    }
    if (threadIdx.x == 0) {
        atomicMax(most, high[0]);
        atomicMin(least, low[0]);
    }
}

__device__ unsigned int finished_blocks = 0;

extern "C" __global__ void dot_last_block(const double *a, const double *b, double *part, double *out, int n)
{
    __shared__ double s[128];
    __shared__ bool last;
    double v = 0;
    for (int i = blockIdx.x * 128 + threadIdx.x; i < n; i += gridDim.x * 128)
        v = fma(a[i], b[i], v);
    s[threadIdx.x] = v;
    __syncthreads();
    for (int o = 64; o > 0; o >>= 1) {
        if (threadIdx.x < o)
            s[threadIdx.x] += s[threadIdx.x + o];
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        part[blockIdx.x] = s[0];
        __threadfence();
        last = atomicInc(&finished_blocks, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x < 32) {
        double t = 0;
        for (int i = threadIdx.x; i < gridDim.x; i += 32)
            t += *(volatile double *)(part + i);
        for (int o = 16; o > 0; o >>= 1)
            t += __shfl_down_sync(0xffffffff, t, o);
        if (threadIdx.x == 0)
            *out = t;
    }
}

extern "C" __global__ void atomic_sums(const float *x, const int *key, float *f, double *d, int *count, unsigned long long *wide, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const int k = key[i];
    atomicAdd(f + k, x[i]);
    atomicAdd(d + k, (double)x[i]);
    atomicSub(count + k, -1);
    atomicAdd(wide + k, 3000000000ull);
}

extern "C" __global__ void atomic_packed(const __half2 *x, const __nv_bfloat162 *y, __half2 *sx, __nv_bfloat162 *sy, __half *single, int pairs, int bins)
{
    for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
        atomicAdd(sx + i % bins, x[i]);
        atomicAdd(sy + i % bins, y[i]);
        atomicAdd(single + i % bins, __low2half(x[i]));
    }
}

// A float maximum through compare-and-swap, and through the order of the bits.
extern "C" __global__ void atomic_float_max(const float *x, float *by_cas, int *by_order, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    int *address = (int *)by_cas, old = *address, assumed;
    do {
        assumed = old;
        if (__int_as_float(assumed) >= x[i])
            break;
        old = atomicCAS(address, assumed, __float_as_int(x[i]));
    } while (assumed != old);
    const int bits = __float_as_int(x[i]);
    atomicMax(by_order, bits >= 0 ? bits : bits ^ 0x7fffffff);
}

extern "C" __global__ void warp_scan_up(const int *x, int *inclusive, int *exclusive, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % warpSize;
    const int v = i < n ? x[i] : 0;
    int s = v;
#pragma unroll
    for (int o = 1; o < 32; o *= 2) {
        const int t = __shfl_up_sync(~0u, s, o);
        if (lane >= o)
            s += t;
    }
    if (i < n) {
        inclusive[i] = s;
        exclusive[i] = s - v;
    }
}

// Sums of runs with equal heads: the segmented scan of a warp, eight lanes at a time for the width form.
extern "C" __global__ void segmented_sums(const float *x, const unsigned char *head, float *y, float *octets)
{
    const int lane = threadIdx.x, i = blockIdx.x * 32 + lane;
    const unsigned heads = __ballot_sync(~0u, head[i] != 0) | 1u;
    const int start = 31 - __clz(heads & (0xffffffffu >> (31 - lane)));
    float s = x[i];
    for (int o = 1; o < 32; o <<= 1) {
        float t = __shfl_up_sync(~0u, s, o);
        if (lane - o >= start)
            s += t;
    }
    y[i] = s;
    float q = x[i];
    for (int o = 4; o > 0; o /= 2)
        q += __shfl_down_sync(~0u, q, o, 8);
    q = __shfl_sync(~0u, q, 0, 8);
    octets[i] = q;
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void redux_words(const int *x, int *out)
{
    const int v = x[blockIdx.x * 32 + threadIdx.x];
    int *o = out + blockIdx.x * 6;
    const int sum = __reduce_add_sync(~0u, v), least = __reduce_min_sync(~0u, v), most = __reduce_max_sync(~0u, v);
    const unsigned all = __reduce_and_sync(~0u, (unsigned)v), any = __reduce_or_sync(~0u, (unsigned)v), odd = __reduce_xor_sync(~0u, (unsigned)v);
    if (threadIdx.x == 0) {
        o[0] = sum, o[1] = least, o[2] = most;
        o[3] = all, o[4] = any, o[5] = odd;
    }
}
#endif

// One atomic for all lanes with one key: the leader adds for its peers.
extern "C" __global__ void match_aggregated(const int *key, int *count, int *rank, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned active = __ballot_sync(0xffffffffu, i < n);
    if (i >= n)
        return;
    const int k = key[i];
    const unsigned peers = __match_any_sync(active, k);
    const unsigned lane = threadIdx.x & 31;
    const int leader = __ffs(peers) - 1;
    int base = 0;
    if (lane == leader)
        base = atomicAdd(count + k, __popc(peers));
    base = __shfl_sync(peers, base, leader);
    rank[i] = base + __popc(peers & ((1u << lane) - 1));
}

// Keeps the positive ones in order, a block at a time: ballots, counts of warps, one atomic.
extern "C" __global__ __launch_bounds__(128) void compact_ballot(const float *x, float *out, int *kept, int n)
{
    __shared__ int warp_count[4], base;
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const int i = blockIdx.x * 128 + threadIdx.x;
    const float v = i < n ? x[i] : -1.0f;
    const unsigned mask = __ballot_sync(~0u, v > 0.0f);
    if (lane == 0)
        warp_count[warp] = __popc(mask);
    __syncthreads();
    if (threadIdx.x == 0) {
        int total = 0;
        for (int w = 0; w < 4; w++) {
            int c = warp_count[w];
            warp_count[w] = total;
            total += c;
        }
        base = atomicAdd(kept, total);
    }
    __syncthreads();
    unsigned before;
    asm("mov.u32 %0, %%lanemask_lt;" : "=r"(before));
    if (v > 0.0f)
        out[base + warp_count[warp] + __popc(mask & before)] = v;
}

extern "C" __global__ void votes_of_blocks(const int *x, int *out)
{
    const int v = x[blockIdx.x * blockDim.x + threadIdx.x];
    const int n = __syncthreads_count(v > 10);
    const int all = __syncthreads_and(v > 0), any = __syncthreads_or(v > 95);
    const bool same = __all_sync(~0u, v >= 0), some = __any_sync(~0u, v == 7);
    int whole;
    __match_all_sync(~0u, v / 1000, &whole);
    if (threadIdx.x == 0) {
        int *o = out + blockIdx.x * 6;
        o[0] = n, o[1] = all != 0, o[2] = any != 0, o[3] = same, o[4] = some, o[5] = whole;
    }
}

extern "C" __global__ void argmax_rows(const __half *x, int *at, float *value, int n)
{
    float best = -INFINITY;
    int where = 0;
    for (int i = threadIdx.x; i < n; i += 32) {
        const float v = __half2float(x[blockIdx.x * n + i]);
        if (v > best)
            best = v, where = i;
    }
#pragma unroll
    for (int o = 16; o; o >>= 1) {
        const float v = __shfl_xor_sync(~0u, best, o);
        const int w = __shfl_xor_sync(~0u, where, o);
        if (v > best || (v == best && w < where))
            best = v, where = w;
    }
    if (threadIdx.x == 0)
        at[blockIdx.x] = where, value[blockIdx.x] = best;
}
