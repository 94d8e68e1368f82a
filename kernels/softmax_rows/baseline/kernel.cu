// Softmax with PyTorch's mapping (docs/README.md): a warp per row of up to 1024 elements, a block per longer row, a cluster of
// blocks beyond 8192 elements; rows stay in registers. 128-bit accesses, in short rows from the first 16-byte boundary on.
// Rows that are neither short nor aligned, or too long for a cluster, have a block each that reads them twice.
#include <cuda_bf16.h>

#pragma kda variant warp8 when(N % 8 == 0 && N <= 1024)
#pragma kda define CHUNKS = next_pow2(ceil_div(N, 256))
#pragma kda launch softmax_warp8(x, y, M, N, scale * 1.4426950408889634) grid(ceil_div(M, 4)) block(128)
#pragma kda variant warp when(N <= 1024)
#pragma kda define CHUNKS = max(1, ceil_div(N / 8, 32))
#pragma kda launch softmax_warp(x, y, M, N, scale * 1.4426950408889634) grid(ceil_div(M, 4)) block(128)
#pragma kda variant block8 when(N % 8 == 0 && N <= 8192)
#pragma kda define CHUNKS = next_pow2(ceil_div(N, 2048))
#pragma kda launch softmax_block8(x, y, N, scale * 1.4426950408889634) grid(M) block(256)
#pragma kda variant cluster8 when(N % 8 == 0 && N <= 262144)
#pragma kda define CHUNKS = ceil_div(N, 8 * 256 * 8)
#pragma kda launch softmax_cluster8(x, y, N, scale * 1.4426950408889634) grid(8 * M) block(256) cluster(8)
#pragma kda variant any
#pragma kda define CHUNKS = 1
#pragma kda launch softmax_any(x, y, N, scale * 1.4426950408889634) grid(M) block(1024)

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

__device__ __forceinline__ unsigned int pack(float a, float b)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    return *reinterpret_cast<const unsigned int *>(&pair);
}

__device__ __forceinline__ float warp_max(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
    return value;
}

__device__ __forceinline__ float warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

// Over a block, in every thread; blockDim.x is a multiple of 32. `part` has room for 32.
__device__ __forceinline__ float block_max(float value, float *part)
{
    value = warp_max(value);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = value;
    __syncthreads();
    return warp_max(threadIdx.x % 32 < blockDim.x / 32 ? part[threadIdx.x % 32] : -INFINITY);
}

__device__ __forceinline__ float block_sum(float value, float *part)
{
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = value;
    __syncthreads();
    return warp_sum(threadIdx.x % 32 < blockDim.x / 32 ? part[threadIdx.x % 32] : 0.0f);
}

// Eight elements of a row, widened; -inf beyond its end.
__device__ __forceinline__ void widen(uint4 v, float *out)
{
    out[0] = low(v.x), out[1] = high(v.x), out[2] = low(v.y), out[3] = high(v.y);
    out[4] = low(v.z), out[5] = high(v.z), out[6] = low(v.w), out[7] = high(v.w);
}

__device__ __forceinline__ uint4 narrow(const float *v, float factor)
{
    return make_uint4(pack(v[0] * factor, v[1] * factor), pack(v[2] * factor, v[3] * factor),
                      pack(v[4] * factor, v[5] * factor), pack(v[6] * factor, v[7] * factor));
}

// Elements that lie beyond a row are -inf and vanish in exp2. `factor` is scale * log2(e).
__global__ void __launch_bounds__(128)
    softmax_warp8(const __nv_bfloat16 *x, __nv_bfloat16 *y, int M, int N, float factor)
{
    const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= M)
        return;
    const uint4 *in = reinterpret_cast<const uint4 *>(x + (size_t)row * N);
    uint4 *out = reinterpret_cast<uint4 *>(y + (size_t)row * N);
    float v[CHUNKS][8], most = -INFINITY, sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const uint4 none = make_uint4(0xff80ff80u, 0xff80ff80u, 0xff80ff80u, 0xff80ff80u);
        widen(c * 32 + lane < N / 8 ? in[c * 32 + lane] : none, v[c]);
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
#pragma unroll
        for (int i = 0; i < 8; i++)
            most = fmaxf(most, v[c][i]);
    most = warp_max(most);
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
#pragma unroll
        for (int i = 0; i < 8; i++) {
            v[c][i] = exp2f((v[c][i] - most) * factor);
            sum += v[c][i];
        }
    const float inverse = 1.0f / warp_sum(sum);
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        if (c * 32 + lane < N / 8)
            out[c * 32 + lane] = narrow(v[c], inverse);
}

// Rows that begin anywhere: elements before the first 16-byte boundary and behind the last one are a lane's `end`.
__global__ void __launch_bounds__(128)
    softmax_warp(const __nv_bfloat16 *x, __nv_bfloat16 *y, int M, int N, float factor)
{
    const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= M)
        return;
    const size_t base = (size_t)row * N;
    const int head = min(N, (int)(-base % 8)), vectors = (N - head) / 8, tail = head + 8 * vectors;
    const int at = lane < head ? lane : lane >= 8 && lane < 8 + N - tail ? tail + lane - 8 : -1;
    const uint4 *in = reinterpret_cast<const uint4 *>(x + base + head);
    uint4 *out = reinterpret_cast<uint4 *>(y + base + head);
    float v[CHUNKS][8], end = at >= 0 ? __bfloat162float(x[base + at]) : -INFINITY;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const uint4 none = make_uint4(0xff80ff80u, 0xff80ff80u, 0xff80ff80u, 0xff80ff80u);
        widen(c * 32 + lane < vectors ? in[c * 32 + lane] : none, v[c]);
    }
    float most = end;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
#pragma unroll
        for (int i = 0; i < 8; i++)
            most = fmaxf(most, v[c][i]);
    most = warp_max(most);
    end = exp2f((end - most) * factor);
    float total = end;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
#pragma unroll
        for (int i = 0; i < 8; i++) {
            v[c][i] = exp2f((v[c][i] - most) * factor);
            total += v[c][i];
        }
    const float inverse = 1.0f / warp_sum(total);
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        if (c * 32 + lane < vectors)
            out[c * 32 + lane] = narrow(v[c], inverse);
    if (at >= 0)
        y[base + at] = __float2bfloat16_rn(end * inverse);
}

__global__ void __launch_bounds__(256) softmax_block8(const __nv_bfloat16 *x, __nv_bfloat16 *y, int N, float factor)
{
    __shared__ float part[2][32];
    const uint4 *in = reinterpret_cast<const uint4 *>(x + (size_t)blockIdx.x * N);
    uint4 *out = reinterpret_cast<uint4 *>(y + (size_t)blockIdx.x * N);
    float v[CHUNKS][8], most = -INFINITY, sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const uint4 none = make_uint4(0xff80ff80u, 0xff80ff80u, 0xff80ff80u, 0xff80ff80u);
        widen(c * 256 + threadIdx.x < N / 8 ? in[c * 256 + threadIdx.x] : none, v[c]);
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
#pragma unroll
        for (int i = 0; i < 8; i++)
            most = fmaxf(most, v[c][i]);
    most = block_max(most, part[0]);
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
#pragma unroll
        for (int i = 0; i < 8; i++) {
            v[c][i] = exp2f((v[c][i] - most) * factor);
            sum += v[c][i];
        }
    const float inverse = 1.0f / block_sum(sum, part[1]);
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        if (c * 256 + threadIdx.x < N / 8)
            out[c * 256 + threadIdx.x] = narrow(v[c], inverse);
}

// Maximum and sum of one thread's share of a row, in the online form: a new maximum scales the sum down.
struct Running {
    float most, sum;
};

__device__ __forceinline__ void add(Running &r, float most, float factor)
{
    if (most > r.most) {
        r.sum *= exp2f((r.most - most) * factor);
        r.most = most;
    }
}

// The sum over a block, brought to the block's maximum, which is put into `most`.
__device__ __forceinline__ float block_total(const Running &r, float factor, float &most)
{
    __shared__ float part[2][32];
    most = block_max(r.most, part[0]);
    return block_sum(r.sum * exp2f((r.most - most) * factor), part[1]);
}

// 2^x; what would be subnormal is 0.
__device__ __forceinline__ float power(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// The larger of the lower halves, and of the upper ones.
__device__ __forceinline__ unsigned int pair_max(unsigned int a, unsigned int b)
{
    unsigned int most;
    asm("max.bf16x2 %0, %1, %2;" : "=r"(most) : "r"(a), "r"(b));
    return most;
}

// The row's vectors are dealt out to the threads of the cluster's blocks in turn. A thread subtracts the largest of its own
// elements first, so that none waits for another before it has its sum; blocks exchange maximum and sum of their share once.
__global__ void __launch_bounds__(256) softmax_cluster8(const __nv_bfloat16 *x, __nv_bfloat16 *y, int N, float factor)
{
    __shared__ Running parts[8];
    const int rank = blockIdx.x % 8, first = rank * 256 + threadIdx.x;
    const size_t base = (size_t)(blockIdx.x / 8) * N;
    const uint4 *in = reinterpret_cast<const uint4 *>(x + base);
    uint4 *out = reinterpret_cast<uint4 *>(y + base);
    uint4 held[CHUNKS];
    float v[8], most;
    __cluster_barrier_arrive();
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const uint4 none = make_uint4(0xff80ff80u, 0xff80ff80u, 0xff80ff80u, 0xff80ff80u);
        held[c] = c * 2048 + first < N / 8 ? in[c * 2048 + first] : none;
    }
    unsigned int pair = 0xff7fff7fu; // finite: a thread, even a block, may have no elements
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        pair = pair_max(pair, pair_max(pair_max(held[c].x, held[c].y), pair_max(held[c].z, held[c].w)));
    Running r = {fmaxf(low(pair), high(pair)), 0.0f};
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        widen(held[c], v);
#pragma unroll
        for (int i = 0; i < 8; i++)
            r.sum += power((v[i] - r.most) * factor);
    }
    r.sum = block_total(r, factor, most);
    r.most = most;
    __cluster_barrier_wait(); // all blocks have begun: their shared memory may be written
    if (threadIdx.x < 8)
        *static_cast<Running *>(__cluster_map_shared_rank(parts + rank, threadIdx.x)) = r;
    __cluster_barrier_arrive();
    __cluster_barrier_wait();
    for (int k = 0; k < 8; k++)
        most = fmaxf(most, parts[k].most);
    float sum = 0.0f;
    for (int k = 0; k < 8; k++)
        sum += parts[k].sum * exp2f((parts[k].most - most) * factor);
    const float inverse = 1.0f / sum;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        if (c * 2048 + first >= N / 8)
            break;
        widen(held[c], v);
#pragma unroll
        for (int i = 0; i < 8; i++)
            v[i] = power((v[i] - most) * factor);
        out[c * 2048 + first] = narrow(v, inverse);
    }
}

__global__ void __launch_bounds__(1024) softmax_any(const __nv_bfloat16 *x, __nv_bfloat16 *y, int N, float factor)
{
    const size_t base = (size_t)blockIdx.x * N;
    Running r = {-INFINITY, 0.0f};
    float most;
    for (int i = threadIdx.x; i < N; i += 1024) {
        const float v = __bfloat162float(x[base + i]);
        add(r, v, factor);
        r.sum += exp2f((v - r.most) * factor);
    }
    const float inverse = 1.0f / block_total(r, factor, most);
    for (int i = threadIdx.x; i < N; i += 1024)
        y[base + i] = __float2bfloat16_rn(exp2f((__bfloat162float(x[base + i]) - most) * factor) * inverse);
}
