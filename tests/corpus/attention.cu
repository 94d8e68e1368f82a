// Attention and its relatives: an online-softmax head, a decode step over a paged cache, linear
// attention in chunks, the delta rule as a recurrence, a selective scan.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

// One head, 16 queries a block, 32 keys a tile; scores and values through shared memory.
template <int D> __device__ void flash(const __half *q, const __half *k, const __half *v, __half *o, float *lse, int length, float scale, bool causal)
{
    constexpr int ROWS = 16, KEYS = 32;
    __shared__ float qs[ROWS][D], ks[KEYS][D + 1], vs[KEYS][D], p[ROWS][KEYS];
    const int tx = threadIdx.x, ty = threadIdx.y, row0 = blockIdx.x * ROWS, tid = ty * 32 + tx;
    const size_t head = (size_t)blockIdx.y * length * D;
    for (int i = tid; i < ROWS * D; i += 128)
        qs[i / D][i % D] = row0 + i / D < length ? __half2float(q[head + (row0 + i / D) * D + i % D]) * scale : 0.0f;
    float m[4], l[4], acc[4][D / 32];
#pragma unroll
    for (int r = 0; r < 4; r++) {
        m[r] = -INFINITY, l[r] = 0.0f;
        for (int c = 0; c < D / 32; c++)
            acc[r][c] = 0.0f;
    }
    const int end = causal ? min(length, row0 + ROWS) : length;
    for (int k0 = 0; k0 < end; k0 += KEYS) {
        __syncthreads();
        for (int i = tid; i < KEYS * D; i += 128) {
            const bool in = k0 + i / D < length;
            ks[i / D][i % D] = in ? __half2float(k[head + (k0 + i / D) * D + i % D]) : 0.0f;
            vs[i / D][i % D] = in ? __half2float(v[head + (k0 + i / D) * D + i % D]) : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const int row = ty * 4 + r, key = k0 + tx;
            float s = 0.0f;
            for (int d = 0; d < D; d++)
                s = fmaf(qs[row][d], ks[tx][d], s);
            if (key >= length || (causal && key > row0 + row))
                s = -INFINITY;
            float most = s;
            for (int w = 16; w; w >>= 1)
                most = fmaxf(most, __shfl_xor_sync(~0u, most, w));
            const float now = fmaxf(m[r], most), keep = now == -INFINITY ? 1.0f : __expf(m[r] - now);
            const float e = s == -INFINITY ? 0.0f : __expf(s - now);
            float sum = e;
            for (int w = 16; w; w >>= 1)
                sum += __shfl_xor_sync(~0u, sum, w);
            l[r] = l[r] * keep + sum;
            m[r] = now;
            p[row][tx] = e;
            __syncwarp();
            for (int c = 0; c < D / 32; c++) {
                float a = acc[r][c] * keep;
                for (int j = 0; j < KEYS; j++)
                    a = fmaf(p[row][j], vs[j][c * 32 + tx], a);
                acc[r][c] = a;
            }
        }
    }
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const int row = row0 + ty * 4 + r;
        if (row < length) {
            for (int c = 0; c < D / 32; c++)
                o[head + row * D + c * 32 + tx] = __float2half(acc[r][c] / l[r]);
            if (tx == 0)
                lse[blockIdx.y * length + row] = m[r] + __logf(l[r]);
        }
    }
}

extern "C" __global__ __launch_bounds__(128) void flash_attention(const __half *q, const __half *k, const __half *v, __half *o, float *lse, int length, float scale) { flash<64>(q, k, v, o, lse, length, scale, false); }
extern "C" __global__ __launch_bounds__(128) void flash_attention_causal(const __half *q, const __half *k, const __half *v, __half *o, float *lse, int length, float scale) { flash<32>(q, k, v, o, lse, length, scale, true); }

// One query against a cache in pages; warps take keys in turn and merge at the end.
extern "C" __global__ __launch_bounds__(128) void decode_paged(const float *q, const __nv_bfloat16 *cache_k, const __nv_bfloat16 *cache_v, const int *table, const int *lengths, float *out, int page, int pages, float scale)
{
    __shared__ float part_m[4], part_l[4], part_o[4][64];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, seq = blockIdx.x, length = lengths[seq] + 1;
    const float2 query = reinterpret_cast<const float2 *>(q + seq * 64)[lane];
    float m = -INFINITY, l = 0.0f;
    float2 acc = make_float2(0.0f, 0.0f);
    for (int t = warp; t < length; t += 4) {
        const int at = (table[seq * pages + t / page] * page + t % page) * 32 + lane;
        const float2 kv = __bfloat1622float2(reinterpret_cast<const __nv_bfloat162 *>(cache_k)[at]);
        float s = query.x * kv.x + query.y * kv.y;
        for (int w = 16; w; w >>= 1)
            s += __shfl_xor_sync(~0u, s, w);
        s *= scale;
        const float now = fmaxf(m, s), keep = __expf(m - now), e = __expf(s - now);
        const float2 vv = __bfloat1622float2(reinterpret_cast<const __nv_bfloat162 *>(cache_v)[at]);
        acc.x = acc.x * keep + e * vv.x;
        acc.y = acc.y * keep + e * vv.y;
        l = l * keep + e;
        m = now;
    }
    if (lane == 0)
        part_m[warp] = m, part_l[warp] = l;
    reinterpret_cast<float2 *>(part_o[warp])[lane] = acc;
    __syncthreads();
    if (threadIdx.x < 64) {
        float most = -INFINITY, sum = 0.0f, o = 0.0f;
        for (int w = 0; w < 4; w++)
            most = fmaxf(most, part_m[w]);
        for (int w = 0; w < 4; w++) {
            const float f = part_l[w] > 0.0f ? __expf(part_m[w] - most) : 0.0f;
            sum += part_l[w] * f;
            o += part_o[w][threadIdx.x] * f;
        }
        out[seq * 64 + threadIdx.x] = o / sum;
    }
}

// o_t = q_t (S_{t-1} + k_t v_t^T) in chunks of 16: the state between chunks, scores within.
extern "C" __global__ __launch_bounds__(256) void linear_attention_chunks(const float *q, const float *k, const float *v, float *o, int length)
{
    __shared__ float state[16][16], qs[16][17], ks[16][17], vs[16][17], score[16][17];
    const int i = threadIdx.x / 16, j = threadIdx.x % 16;
    state[i][j] = 0.0f;
    for (int c = 0; c < length; c += 16) {
        const size_t at = ((size_t)blockIdx.x * length + c + i) * 16 + j;
        const bool in = c + i < length;
        qs[i][j] = in ? q[at] : 0.0f;
        ks[i][j] = in ? k[at] : 0.0f;
        vs[i][j] = in ? v[at] : 0.0f;
        __syncthreads();
        float s = 0.0f;
        for (int d = 0; d < 16; d++)
            s += qs[i][d] * ks[j][d];
        score[i][j] = j <= i ? s : 0.0f;
        __syncthreads();
        float r = 0.0f, up = state[i][j];
        for (int d = 0; d < 16; d++)
            r += qs[i][d] * state[d][j] + score[i][d] * vs[d][j];
        for (int t = 0; t < 16; t++)
            up += ks[t][i] * vs[t][j];
        if (in)
            o[at] = r;
        __syncthreads();
        state[i][j] = up;
        __syncthreads();
    }
}

// The gated delta rule, a warp per column of values: S = g S + k (beta (v - k S))^T, o = q S.
extern "C" __global__ void delta_rule(const float *q, const float *k, const float *v, const float *gate, const float *beta, float *o, int length, int columns)
{
    const int lane = threadIdx.x, column = blockIdx.x * blockDim.y + threadIdx.y;
    if (column >= columns)
        return;
    float s = 0.0f;
    for (int t = 0; t < length; t++) {
        const float kt = k[t * 32 + lane];
        s *= gate[t];
        float inner = kt * s;
        for (int w = 16; w; w >>= 1)
            inner += __shfl_xor_sync(~0u, inner, w);
        s += kt * beta[t] * (v[t * columns + column] - inner);
        float r = q[t * 32 + lane] * s;
        for (int w = 16; w; w >>= 1)
            r += __shfl_xor_sync(~0u, r, w);
        if (lane == 0)
            o[t * columns + column] = r;
    }
}

// h_t = exp(dt a) h_{t-1} + dt b_t x_t as a scan over pairs within a block.
extern "C" __global__ __launch_bounds__(128) void selective_scan(const float *x, const float *dt, const float *b, const float *a, float *h, int length)
{
    __shared__ float2 s[128];
    float2 carry = make_float2(1.0f, 0.0f);
    const float rate = a[blockIdx.x];
    for (int base = 0; base < length; base += 128) {
        const int t = base + threadIdx.x, at = blockIdx.x * length + t;
        float2 v = make_float2(1.0f, 0.0f);
        if (t < length) {
            const float d = dt[at];
            v = make_float2(__expf(d * rate), d * b[t] * x[at]);
        }
        s[threadIdx.x] = v;
        __syncthreads();
        for (int w = 1; w < 128; w <<= 1) {
            float2 p = make_float2(1.0f, 0.0f);
            if (threadIdx.x >= w)
                p = s[threadIdx.x - w];
            __syncthreads();
            v.y = v.x * p.y + v.y;
            v.x *= p.x;
            s[threadIdx.x] = v;
            __syncthreads();
        }
        if (t < length)
            h[at] = v.x * carry.y + v.y;
        const float2 last = s[127];
        carry.y = last.x * carry.y + last.y;
        __syncthreads();
    }
}
