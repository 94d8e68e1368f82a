// Prefix sums, histograms and sorting: Blelloch, Kogge-Stone, warps then blocks, privatised bins,
// bitonic networks in shared memory and in a warp, a radix step, top-k, merging.
#include <cuda_fp16.h>
#include <cstdint>

extern "C" __global__ void scan_blelloch(const int *x, int *y, int n)
{
    extern __shared__ int t[];
    const int i = threadIdx.x;
    t[2 * i] = 2 * i < n ? x[2 * i] : 0;
    t[2 * i + 1] = 2 * i + 1 < n ? x[2 * i + 1] : 0;
    int offset = 1;
    for (int d = blockDim.x; d > 0; d >>= 1) {
        __syncthreads();
        if (i < d)
            t[offset * (2 * i + 2) - 1] += t[offset * (2 * i + 1) - 1];
        offset *= 2;
    }
    if (i == 0)
        t[2 * blockDim.x - 1] = 0;
    for (int d = 1; d < 2 * blockDim.x; d *= 2) {
        offset >>= 1;
        __syncthreads();
        if (i < d) {
            const int a = offset * (2 * i + 1) - 1, b = offset * (2 * i + 2) - 1, v = t[a];
            t[a] = t[b];
            t[b] += v;
        }
    }
    __syncthreads();
    if (2 * i < n)
        y[2 * i] = t[2 * i];
    if (2 * i + 1 < n)
        y[2 * i + 1] = t[2 * i + 1];
}

extern "C" __global__ void scan_kogge_stone(const double *x, double *y, int n)
{
    __shared__ double s[2][96];
    const int i = threadIdx.x, at = blockIdx.x * 96 + i;
    int in = 0;
    s[0][i] = at < n ? x[at] : 0.0;
    __syncthreads();
    for (int o = 1; o < 96; o <<= 1, in ^= 1) {
        s[in ^ 1][i] = i >= o ? s[in][i] + s[in][i - o] : s[in][i];
        __syncthreads();
    }
    if (at < n)
        y[at] = s[in][i];
}

// Four items a thread, warp scans, one warp over the warps; the form of CUB's block scan.
extern "C" __global__ __launch_bounds__(128) void scan_items(const int4 *x, int4 *y)
{
    __shared__ int sums[4];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    int4 v = x[blockIdx.x * 128 + threadIdx.x];
    v.y += v.x, v.z += v.y, v.w += v.z;
    int t = v.w;
#pragma unroll
    for (int o = 1; o < 32; o <<= 1) {
        const int u = __shfl_up_sync(~0u, t, o);
        t += lane >= o ? u : 0;
    }
    if (lane == 31)
        sums[warp] = t;
    __syncthreads();
    int before = t - v.w;
    for (int w = 0; w < warp; w++)
        before += sums[w];
    y[blockIdx.x * 128 + threadIdx.x] = make_int4(v.x + before, v.y + before, v.z + before, v.w + before);
}

// A private histogram per warp, bytes read by words.
extern "C" __global__ __launch_bounds__(128) void histogram_private(const uint32_t *x, int *bins, int words)
{
    __shared__ unsigned h[4][64];
    for (int i = threadIdx.x; i < 256; i += 128)
        (&h[0][0])[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * 128 + threadIdx.x; i < words; i += gridDim.x * 128) {
        const uint32_t v = x[i];
#pragma unroll
        for (int k = 0; k < 4; k++)
            atomicAdd(&h[threadIdx.x / 32][v >> (8 * k + 2) & 63], 1u);
    }
    __syncthreads();
    if (threadIdx.x < 64)
        atomicAdd(bins + threadIdx.x, (int)(h[0][threadIdx.x] + h[1][threadIdx.x] + h[2][threadIdx.x] + h[3][threadIdx.x]));
}

extern "C" __global__ void sort_bitonic(const float *x, float *y, int n)
{
    __shared__ float s[256];
    const int i = threadIdx.x;
    s[i] = i < n ? x[blockIdx.x * n + i] : INFINITY;
    for (int k = 2; k <= 256; k <<= 1)
        for (int j = k >> 1; j > 0; j >>= 1) {
            __syncthreads();
            const int other = i ^ j;
            if (other > i) {
                const float a = s[i], b = s[other];
                if ((i & k) == 0 ? a > b : a < b)
                    s[i] = b, s[other] = a;
            }
        }
    __syncthreads();
    if (i < n)
        y[blockIdx.x * n + i] = s[i];
}

// 32 pairs of key and value in registers of a warp.
extern "C" __global__ void sort_pairs_warp(const int *key, const float *value, int *sorted, float *carried)
{
    const int lane = threadIdx.x & 31, at = blockIdx.x * blockDim.x + threadIdx.x;
    int k = key[at];
    float v = value[at];
#pragma unroll
    for (int size = 2; size <= 32; size <<= 1)
#pragma unroll
        for (int j = size >> 1; j > 0; j >>= 1) {
            const int ok = __shfl_xor_sync(~0u, k, j);
            const float ov = __shfl_xor_sync(~0u, v, j);
            const bool low = (lane & j) == 0, up = (lane & size) == 0;
            if (low == up ? ok < k : ok > k)
                k = ok, v = ov;
        }
    sorted[at] = k;
    carried[at] = v;
}

// One digit of a radix sort in a block: counts by ballot, ranks, a stable scatter.
extern "C" __global__ __launch_bounds__(128) void radix_step(const uint32_t *x, uint32_t *y, int n, int shift)
{
    __shared__ int count[4][16], start[16];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const bool in = threadIdx.x < n;
    const uint32_t v = in ? x[threadIdx.x] : 0xffffffffu;
    const int digit = v >> shift & 15;
    unsigned peers = __ballot_sync(~0u, in);
    for (int b = 0; b < 4; b++) {
        const unsigned set = __ballot_sync(~0u, digit >> b & 1);
        peers &= digit >> b & 1 ? set : ~set;
    }
    if (threadIdx.x < 64)
        (&count[0][0])[threadIdx.x] = 0;
    __syncthreads();
    const int rank = __popc(peers & ((1u << lane) - 1));
    if (in && rank == 0)
        count[warp][digit] = __popc(peers);
    __syncthreads();
    if (threadIdx.x == 0)
        for (int d = 0, total = 0; d < 16; d++) {
            start[d] = total;
            for (int w = 0; w < 4; w++)
                total += count[w][d];
        }
    __syncthreads();
    if (in) {
        int to = start[digit] + rank;
        for (int w = 0; w < warp; w++)
            to += count[w][digit];
        y[to] = v;
    }
}

// The k largest of a row: each thread keeps its own in order, then a tree of merges.
extern "C" __global__ __launch_bounds__(64) void top_k(const __half *x, float *value, int *index, int n)
{
    constexpr int K = 4;
    __shared__ float sv[64][K];
    __shared__ int si[64][K];
    float v[K];
    int at[K];
#pragma unroll
    for (int k = 0; k < K; k++)
        v[k] = -INFINITY, at[k] = n;
    for (int i = threadIdx.x; i < n; i += 64) {
        float c = __half2float(x[blockIdx.x * n + i]);
        int ci = i;
#pragma unroll
        for (int k = 0; k < K; k++)
            if (c > v[k] || (c == v[k] && ci < at[k])) {
                const float tv = v[k];
                const int ti = at[k];
                v[k] = c, at[k] = ci;
                c = tv, ci = ti;
            }
    }
#pragma unroll
    for (int k = 0; k < K; k++)
        sv[threadIdx.x][k] = v[k], si[threadIdx.x][k] = at[k];
    for (int o = 32; o > 0; o >>= 1) {
        __syncthreads();
        float mv[K];
        int mi[K], a = 0, b = 0;
        if (threadIdx.x < o)
            for (int k = 0; k < K; k++) {
                const float p = sv[threadIdx.x][a], q = sv[threadIdx.x + o][b];
                const int pi = si[threadIdx.x][a], qi = si[threadIdx.x + o][b];
                const bool first = p > q || (p == q && pi < qi);
                mv[k] = first ? p : q, mi[k] = first ? pi : qi;
                a += first, b += !first;
            }
        __syncthreads();
        if (threadIdx.x < o)
            for (int k = 0; k < K; k++)
                sv[threadIdx.x][k] = mv[k], si[threadIdx.x][k] = mi[k];
    }
    __syncthreads();
    if (threadIdx.x < K) {
        value[blockIdx.x * K + threadIdx.x] = sv[0][threadIdx.x];
        index[blockIdx.x * K + threadIdx.x] = si[0][threadIdx.x];
    }
}

// Merge path: every thread finds its diagonal by bisection.
extern "C" __global__ void merge_path(const int *a, const int *b, int *out, int na, int nb)
{
    const int d = blockIdx.x * blockDim.x + threadIdx.x;
    if (d >= na + nb)
        return;
    int low = max(0, d - nb), high = min(d, na);
    while (low < high) {
        const int mid = (low + high) / 2;
        if (a[mid] <= b[d - 1 - mid])
            low = mid + 1;
        else
            high = mid;
    }
    const int i = low, j = d - low;
    out[d] = j >= nb || (i < na && a[i] <= b[j]) ? a[i] : b[j];
}
