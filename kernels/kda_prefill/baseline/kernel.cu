// The forward pass of Kimi Delta Attention over whole prompts, in the launches of the upstream Triton implementation
// (docs/README.md): norms of q and k, the gate summed within chunks of 64 tokens, what stays within a chunk, the state from
// chunk to chunk, the output.
#include <cuda_bf16.h>

#pragma kda scratch qn : bf16[T * H * 128]
#pragma kda scratch kn : bf16[T * H * 128]
#pragma kda scratch G : f32[T * H * 128]
#pragma kda scratch Aqk : bf16[T * H * 64]
#pragma kda scratch w : bf16[T * H * 128]
#pragma kda scratch u : bf16[T * H * 128]
#pragma kda scratch kg : bf16[T * H * 128]
#pragma kda scratch h : bf16[NT * H * 16384]
#pragma kda scratch v_new : bf16[T * H * 128]
#pragma kda launch l2norm(q, qn, T * H) grid(ceil_div(T * H, 8)) block(256)
#pragma kda launch l2norm(k, kn, T * H) grid(ceil_div(T * H, 8)) block(256)
#pragma kda launch gate_cumsum(raw, A_log, dt_bias, cu, chunk_off, G, H, N, mode, lower_bound) grid(2 * H, NT) block(128)
#pragma kda launch intra(qn, kn, v, G, beta, cu, chunk_off, Aqk, w, u, kg, H, N, scale) grid(NT, H) block(128) smem(96512)
#pragma kda launch state_scan(kg, w, u, G, S0, cu, chunk_off, h, v_new, S_T, H) grid(4, N * H) block(128) smem(93696)
#pragma kda launch output(qn, G, h, v_new, Aqk, cu, chunk_off, o, H, N, NT, scale) \
        grid(min(NT * H, 132)) block(256) smem(2 * 106496)

#define LOG2E 1.4426950408889634f
#define LD 136 // elements of a row of 128 in shared memory: eight rows of a fragment lie in different banks
#define CD 72  // of a row of 64, bf16
#define FD 68  // of a row of 64, fp32
#define VD 40  // of a row of 32

__device__ __forceinline__ unsigned int shared_address(const void *p)
{
    return (unsigned int)__cvta_generic_to_shared(p);
}

__device__ __forceinline__ void load_fragments(unsigned int r[4], unsigned int address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void load_transposed(unsigned int r[4], unsigned int address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void load_fragments(unsigned int r[4], const void *p)
{
    load_fragments(r, shared_address(p));
}

__device__ __forceinline__ void load_transposed(unsigned int r[4], const void *p)
{
    load_transposed(r, shared_address(p));
}

__device__ __forceinline__ void mma(float c[4], const unsigned int a[4], unsigned int b0, unsigned int b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

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

// The sequence of a chunk: how many sequences behind the first begin at or before it. A whole warp takes part.
__device__ __forceinline__ int sequence_of(const int *chunk_off, int N, int chunk)
{
    int n = 0;
    for (int first = 1; first < N; first += 32) {
        const int i = first + threadIdx.x % 32;
        n += __popc(__ballot_sync(0xffffffffu, i < N && chunk_off[i] <= chunk));
    }
    return n;
}

// 16 bytes to shared memory, zeros if not `inside`.
__device__ __forceinline__ void copy_async(unsigned int to, const void *from, bool inside)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(inside ? 16 : 0) : "memory");
}

__device__ __forceinline__ void copy_async(void *to, const void *from, bool inside)
{
    copy_async(shared_address(to), from, inside);
}

// 2^x; what is subnormal becomes 0.
__device__ __forceinline__ float power(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Rows of 128, a warp each.
__global__ void __launch_bounds__(256) l2norm(const __nv_bfloat16 *x, __nv_bfloat16 *y, int count)
{
    const int row = blockIdx.x * 8 + threadIdx.x / 32;
    const size_t at = (size_t)row * 32 + threadIdx.x % 32;
    if (row >= count)
        return;
    const uint2 v = reinterpret_cast<const uint2 *>(x)[at];
    float sum = low(v.x) * low(v.x) + high(v.x) * high(v.x) + low(v.y) * low(v.y) + high(v.y) * high(v.y);
    for (int offset = 16; offset > 0; offset /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    const float r = rsqrtf(sum + 1e-6f);
    reinterpret_cast<uint2 *>(y)[at] = make_uint2(pack(low(v.x) * r, high(v.x) * r), pack(low(v.y) * r, high(v.y) * r));
}

__device__ __forceinline__ float logarithm(float x)
{
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// The decay in bits but for a factor of the head, of x = `slope` * element + `bias`: the logarithm of 1 + 2^x, which is x where
// that is large, or the reciprocal of 1 + 2^x where the decay is bounded.
__device__ __forceinline__ float activated(float x, bool bounded)
{
    const float above = 1.0f + power(x);
    return bounded ? reciprocal(above) : x > 29.0f ? x : logarithm(above);
}

// As one instruction: the compiler takes plain stores of the last rows apart into single words.
__device__ __forceinline__ void store_whole(float *p, float a, float b, float c, float d)
{
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(p), "f"(a), "f"(b), "f"(c), "f"(d) : "memory");
}

__global__ void __launch_bounds__(128)
    gate_cumsum(const __nv_bfloat16 *raw, const float *A_log, const float *dt_bias, const int *cu, const int *chunk_off,
                float *G, int H, int N, int mode, float lower_bound)
{
    __shared__ float warp_sum[4][64];
    const int chunk = blockIdx.y, head = blockIdx.x / 2;
    const int n = sequence_of(chunk_off, N, chunk);
    const int first = cu[n] + (chunk - chunk_off[n]) * 64;
    const int rows = min(64, cu[n + 1] - first);
    const int column = threadIdx.x % 8 * 4, row = threadIdx.x / 8 * 4; // and the quad of channels 32 further on
    const int channel = blockIdx.x % 2 * 64 + column;
    const int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 8;
    const size_t at = ((size_t)(first + row) * H + head) * 128 + channel;
    const size_t pitch = (size_t)H * 128;
    const float a = __expf(A_log[head]);
    const bool bounded = mode == 1;
    const float slope = bounded ? -a * LOG2E : LOG2E, factor = bounded ? lower_bound * LOG2E : -a;
    float bias[8], g[4][8], before[8];
    uint2 in[4][2];
#pragma unroll
    for (int r = 0; r < 4; r++) {
#pragma unroll
        for (int q = 0; q < 2; q++) {
            in[r][q] = make_uint2(0, 0);
            if (row + r < rows)
                in[r][q] = *reinterpret_cast<const uint2 *>(raw + at + r * pitch + q * 32);
        }
    }
#pragma unroll
    for (int q = 0; q < 2; q++)
        *reinterpret_cast<float4 *>(bias + q * 4) =
            *reinterpret_cast<const float4 *>(dt_bias + head * 128 + channel + q * 32);
#pragma unroll
    for (int i = 0; i < 8; i++)
        bias[i] *= slope;
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const unsigned int word[4] = {in[r][0].x, in[r][0].y, in[r][1].x, in[r][1].y};
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const float x = i % 2 ? high(word[i / 2]) : low(word[i / 2]);
            g[r][i] = activated(slope * x + bias[i], bounded);
        }
    }
    // Rows behind the end of the sequence come last: what they add reaches no row that is stored.
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int r = 1; r < 4; r++)
            g[r][i] += g[r - 1][i];
        float sum = g[3][i];
#pragma unroll
        for (int step = 1; step < 4; step *= 2) {
            const float other = __shfl_up_sync(0xffffffffu, sum, step * 8);
            if (group >= step)
                sum += other;
        }
        before[i] = sum - g[3][i];
        if (group == 3)
            warp_sum[warp][column + i % 4 + i / 4 * 32] = sum;
    }
    __syncthreads();
    for (int w = 0; w < warp; w++)
#pragma unroll
        for (int i = 0; i < 8; i++)
            before[i] += warp_sum[w][column + i % 4 + i / 4 * 32];
#pragma unroll
    for (int i = 0; i < 8; i++)
        before[i] *= factor;
#pragma unroll
    for (int r = 0; r < 4; r++) {
        if (row + r >= rows)
            break;
#pragma unroll
        for (int q = 0; q < 2; q++)
            store_whole(G + at + r * pitch + q * 32, factor * g[r][4 * q] + before[4 * q],
                        factor * g[r][4 * q + 1] + before[4 * q + 1],
                        factor * g[r][4 * q + 2] + before[4 * q + 2],
                        factor * g[r][4 * q + 3] + before[4 * q + 3]);
    }
}

struct Pairs {
    float2 near, far; // two neighbouring channels, and the two 8 further on, as a fragment wants them
};

__device__ __forceinline__ Pairs sums_at(const float *G, int row, int k, int lane)
{
    const float *p = G + row * LD + k + lane % 4 * 2;
    return {*reinterpret_cast<const float2 *>(p), *reinterpret_cast<const float2 *>(p + 8)};
}

// 2^(a - b) for four channels.
__device__ __forceinline__ Pairs decayed(Pairs a, Pairs b)
{
    return {make_float2(exp2f(a.near.x - b.near.x), exp2f(a.near.y - b.near.y)),
            make_float2(exp2f(a.far.x - b.far.x), exp2f(a.far.y - b.far.y))};
}

__device__ __forceinline__ void scaled(const __nv_bfloat16 *x, int row, int k, int lane, Pairs by, unsigned int &near,
                                       unsigned int &far)
{
    const __nv_bfloat16 *p = x + row * LD + k + lane % 4 * 2;
    const unsigned int a = *reinterpret_cast<const unsigned int *>(p), b = *reinterpret_cast<const unsigned int *>(p + 8);
    near = pack(low(a) * by.near.x, high(a) * by.near.y);
    far = pack(low(b) * by.far.x, high(b) * by.far.y);
}

// The products of 16 rows from row0 on with the 8 rows from column0 on, which lie before row `base`, for all channels.
// TILES such blocks side by side. Rows before `base` (none, or the first 8) count as zero.
template <int TILES>
__device__ __forceinline__ void products(float qk[][4], float kk[][4], const __nv_bfloat16 *query, const __nv_bfloat16 *key,
                                         const float *G, int row0, int column0, int tiles, int base, int lane)
{
    for (int k = 0; k < 128; k += 16) {
        const Pairs at_base = sums_at(G, base, k, lane);
        unsigned int a[4] = {}, b[4] = {};
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int row = row0 + 8 * r + lane / 4;
            if (row < base)
                continue;
            const Pairs d = decayed(sums_at(G, row, k, lane), at_base);
            scaled(query, row, k, lane, d, a[r], a[r + 2]);
            scaled(key, row, k, lane, d, b[r], b[r + 2]);
        }
#pragma unroll
        for (int t = 0; t < TILES; t++) {
            if (t >= tiles)
                break;
            const int row = column0 + 8 * t + lane / 4;
            unsigned int near, far;
            scaled(key, row, k, lane, decayed(at_base, sums_at(G, row, k, lane)), near, far);
            mma(qk[t], a, near, far);
            mma(kk[t], b, near, far);
        }
    }
}

// A block of products to its places: Aqk scaled and rounded, L with the row's beta.
__device__ __forceinline__ void keep(const float qk[4], const float kk[4], __nv_bfloat16 *scores, float *L,
                                     const float *betas, int row0, int column0, int first_row, float scale, int lane)
{
#pragma unroll
    for (int r = first_row / 8; r < 2; r++) {
        const int row = row0 + 8 * r + lane / 4, column = column0 + lane % 4 * 2;
        *reinterpret_cast<unsigned int *>(scores + row * CD + column) = pack(scale * qk[2 * r], scale * qk[2 * r + 1]);
        *reinterpret_cast<float2 *>(L + row * FD + column) =
            make_float2(betas[row] * kk[2 * r], betas[row] * kk[2 * r + 1]);
    }
}

// The two 8 x 8 blocks on the diagonal of 16 rows: each lane has a row and every other quad of channels.
__device__ __forceinline__ void diagonal(const __nv_bfloat16 *query, const __nv_bfloat16 *key, const float *G,
                                         __nv_bfloat16 *scores, float *L, const float *betas, int row0, float scale,
                                         int lane)
{
    const int block = row0 + lane / 16 * 8, row = block + lane / 2 % 8;
    float qk[8] = {}, kk[8] = {};
    for (int i = lane % 2 * 4; i < 128; i += 8) {
        const uint2 x = *reinterpret_cast<const uint2 *>(query + row * LD + i);
        const uint2 y = *reinterpret_cast<const uint2 *>(key + row * LD + i);
        const float4 mine = *reinterpret_cast<const float4 *>(G + row * LD + i);
#pragma unroll
        for (int c = 0; c < 8; c++) {
            const uint2 z = *reinterpret_cast<const uint2 *>(key + (block + c) * LD + i);
            const float4 other = *reinterpret_cast<const float4 *>(G + (block + c) * LD + i);
            // Pairs above the diagonal are not used; their exponents must not overflow either.
            const float z0 = low(z.x) * exp2f(fminf(mine.x - other.x, 0.0f)),
                        z1 = high(z.x) * exp2f(fminf(mine.y - other.y, 0.0f)),
                        z2 = low(z.y) * exp2f(fminf(mine.z - other.z, 0.0f)),
                        z3 = high(z.y) * exp2f(fminf(mine.w - other.w, 0.0f));
            qk[c] = fmaf(low(x.x), z0, fmaf(high(x.x), z1, fmaf(low(x.y), z2, fmaf(high(x.y), z3, qk[c]))));
            kk[c] = fmaf(low(y.x), z0, fmaf(high(y.x), z1, fmaf(low(y.y), z2, fmaf(high(y.y), z3, kk[c]))));
        }
    }
#pragma unroll
    for (int c = 0; c < 8; c++) {
        qk[c] += __shfl_xor_sync(0xffffffffu, qk[c], 1);
        kk[c] += __shfl_xor_sync(0xffffffffu, kk[c], 1);
        const int column = block + c;
        if (lane % 2 == 0)
            scores[row * CD + column] = __float2bfloat16_rn(column <= row ? scale * qk[c] : 0.0f);
        else
            L[row * FD + column] = column < row ? betas[row] * kk[c] : 0.0f;
    }
}

// The inverse of I + L in place of L, of which the blocks above the diagonal are not used. `part` has room for 16 x 48.
__device__ __forceinline__ void invert(float *L, float *part, int warp, int lane)
{
    // The blocks of 16 on the diagonal: lane c has column c.
    float *own = L + 16 * warp * FD + 16 * warp;
    float x[16];
    const int c = lane % 16;
#pragma unroll
    for (int r = 0; r < 16; r++) {
        x[r] = r == c ? 1.0f : 0.0f;
#pragma unroll
        for (int p = 0; p < r; p++)
            x[r] = fmaf(-own[r * FD + p], x[p], x[r]);
    }
    __syncwarp();
    if (lane < 16)
#pragma unroll
        for (int r = 0; r < 16; r++)
            own[r * FD + c] = x[r];
    __syncthreads();
    // Row of blocks after row of blocks: what lies left of the diagonal, times the rows above, times minus the diagonal.
    for (int i = 1; i < 4; i++) {
        for (int e = threadIdx.x; e < 16 * 16 * i; e += 128) {
            const int row = e / (16 * i), column = e % (16 * i);
            float sum = 0.0f;
            for (int p = column / 16 * 16; p < 16 * i; p++)
                sum = fmaf(L[(16 * i + row) * FD + p], L[p * FD + column], sum);
            part[row * 48 + column] = sum;
        }
        __syncthreads();
        for (int e = threadIdx.x; e < 16 * 16 * i; e += 128) {
            const int row = e / (16 * i), column = e % (16 * i);
            float sum = 0.0f;
#pragma unroll
            for (int p = 0; p < 16; p++)
                sum = fmaf(-L[(16 * i + row) * FD + 16 * i + p], part[p * 48 + column], sum);
            L[(16 * i + row) * FD + column] = sum;
        }
        __syncthreads();
    }
}

// 16 rows of the inverse times 64 rows of 128 elements, rounded, to the same rows of `out`.
__device__ __forceinline__ void apply(const __nv_bfloat16 *M, const __nv_bfloat16 *x, __nv_bfloat16 *out, int warp, int lane)
{
    float sum[16][4] = {};
    for (int t = 0; t <= 16 * warp; t += 16) {
        unsigned int a[4];
        load_fragments(a, M + (16 * warp + lane % 16) * CD + t + lane / 16 * 8);
#pragma unroll
        for (int j = 0; j < 16; j += 2) {
            unsigned int b[4];
            load_transposed(b, x + (t + lane / 8 % 2 * 8 + lane % 8) * LD + 8 * j + lane / 16 * 8);
            mma(sum[j], a, b[0], b[1]);
            mma(sum[j + 1], a, b[2], b[3]);
        }
    }
#pragma unroll
    for (int j = 0; j < 16; j++)
#pragma unroll
        for (int r = 0; r < 2; r++)
            *reinterpret_cast<unsigned int *>(out + (16 * warp + 8 * r + lane / 4) * LD + 8 * j + lane % 4 * 2) =
                pack(sum[j][2 * r], sum[j][2 * r + 1]);
}

__global__ void __launch_bounds__(128)
    intra(const __nv_bfloat16 *q, const __nv_bfloat16 *k, const __nv_bfloat16 *v, const float *sums, const float *beta,
          const int *cu, const int *chunk_off, __nv_bfloat16 *Aqk, __nv_bfloat16 *w, __nv_bfloat16 *u, __nv_bfloat16 *kg,
          int H, int N, float scale)
{
    extern __shared__ __align__(16) __nv_bfloat16 shared[];
    __nv_bfloat16 *query = shared, *key = query + 64 * LD;         // later: scaled keys and values
    float *G = reinterpret_cast<float *>(key + 64 * LD);           // later: w and u on their way out
    float *L = G + 64 * LD;
    __nv_bfloat16 *scores = reinterpret_cast<__nv_bfloat16 *>(L + 64 * FD); // later: the inverse in bf16
    float *betas = reinterpret_cast<float *>(scores + 64 * CD);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, chunk = blockIdx.x, head = blockIdx.y;
    const int n = sequence_of(chunk_off, N, chunk);
    const int first = cu[n] + (chunk - chunk_off[n]) * 64, rows = min(64, cu[n + 1] - first);
    const size_t pitch = (size_t)H * 128, token = ((size_t)first * H + head) * 128;
#pragma unroll 4
    for (int i = threadIdx.x; i < 64 * 16; i += 128) {
        const int row = i / 16, at = i % 16 * 8;
        uint4 x = make_uint4(0, 0, 0, 0), y = x;
        if (row < rows) {
            x = *reinterpret_cast<const uint4 *>(q + token + row * pitch + at);
            y = *reinterpret_cast<const uint4 *>(k + token + row * pitch + at);
        }
        *reinterpret_cast<uint4 *>(query + row * LD + at) = x;
        *reinterpret_cast<uint4 *>(key + row * LD + at) = y;
        *reinterpret_cast<uint4 *>(scores + row * CD + i % 8 * 8) = make_uint4(0, 0, 0, 0);
    }
    if (threadIdx.x < 64)
        betas[threadIdx.x] = threadIdx.x < rows ? beta[(size_t)(first + threadIdx.x) * H + head] : 0.0f;
#pragma unroll 4
    for (int i = threadIdx.x; i < 64 * 32; i += 128) // behind the end the sum stands still
        *reinterpret_cast<float4 *>(G + i / 32 * LD + i % 32 * 4) =
            *reinterpret_cast<const float4 *>(sums + token + min(i / 32, rows - 1) * pitch + i % 32 * 4);
    __syncthreads();
    {
        float qk[6][4] = {}, kk[6][4] = {};
        if (warp > 0)
            products<6>(qk, kk, query, key, G, 16 * warp, 0, 2 * warp, 16 * warp, lane);
#pragma unroll
        for (int t = 0; t < 6; t++)
            if (t < 2 * warp)
                keep(qk[t], kk[t], scores, L, betas, 16 * warp, 8 * t, 0, scale, lane);
    }
    {
        float qk[1][4] = {}, kk[1][4] = {};
        products<1>(qk, kk, query, key, G, 16 * warp, 16 * warp, 1, 16 * warp + 8, lane);
        keep(qk[0], kk[0], scores, L, betas, 16 * warp, 16 * warp, 8, scale, lane);
        diagonal(query, key, G, scores, L, betas, 16 * warp, scale, lane);
    }
    __syncthreads();
#pragma unroll 4
    for (int i = threadIdx.x; i < 64 * 8; i += 128)
        if (i / 8 < rows)
            *reinterpret_cast<uint4 *>(Aqk + ((size_t)(first + i / 8) * H + head) * 64 + i % 8 * 8) =
                *reinterpret_cast<const uint4 *>(scores + i / 8 * CD + i % 8 * 8);
    __syncthreads();
    invert(L, reinterpret_cast<float *>(scores), warp, lane);
    __nv_bfloat16 *M = scores;
    for (int i = threadIdx.x; i < 64 * 32; i += 128) {
        const int row = i / 32, column = i % 32 * 2;
        const float2 x = *reinterpret_cast<const float2 *>(L + row * FD + column);
        *reinterpret_cast<unsigned int *>(M + row * CD + column) =
            column / 16 <= row / 16 ? pack(x.x, column + 1 <= row ? x.y : 0.0f) : 0u;
    }
    // Scaled keys in the queries' place and scaled values in the keys'; each thread replaces only what it has read itself.
#pragma unroll 2
    for (int i = threadIdx.x; i < 64 * 16; i += 128) {
        const int row = i / 16, at = i % 16 * 8;
        const uint4 x = *reinterpret_cast<const uint4 *>(key + row * LD + at);
        uint4 y = make_uint4(0, 0, 0, 0);
        if (row < rows)
            y = *reinterpret_cast<const uint4 *>(v + token + row * pitch + at);
        const unsigned int in[4] = {x.x, x.y, x.z, x.w}, value[4] = {y.x, y.y, y.z, y.w};
        unsigned int scaled_key[4], scaled_value[4], out[4];
        const float b = betas[row];
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const float2 s = *reinterpret_cast<const float2 *>(G + row * LD + at + 2 * e);
            const float2 last = *reinterpret_cast<const float2 *>(G + 63 * LD + at + 2 * e);
            scaled_key[e] = pack(low(in[e]) * b * exp2f(s.x), high(in[e]) * b * exp2f(s.y));
            scaled_value[e] = pack(low(value[e]) * b, high(value[e]) * b);
            out[e] = pack(low(in[e]) * exp2f(last.x - s.x), high(in[e]) * exp2f(last.y - s.y));
        }
        *reinterpret_cast<uint4 *>(query + row * LD + at) =
            make_uint4(scaled_key[0], scaled_key[1], scaled_key[2], scaled_key[3]);
        *reinterpret_cast<uint4 *>(key + row * LD + at) =
            make_uint4(scaled_value[0], scaled_value[1], scaled_value[2], scaled_value[3]);
        if (row < rows)
            *reinterpret_cast<uint4 *>(kg + token + row * pitch + at) = make_uint4(out[0], out[1], out[2], out[3]);
    }
    __syncthreads();
    __nv_bfloat16 *w_out = reinterpret_cast<__nv_bfloat16 *>(G), *u_out = w_out + 64 * LD;
    apply(M, query, w_out, warp, lane);
    apply(M, key, u_out, warp, lane);
    __syncthreads();
#pragma unroll 4
    for (int i = threadIdx.x; i < 64 * 16; i += 128) {
        const int row = i / 16, at = i % 16 * 8;
        if (row >= rows)
            break;
        *reinterpret_cast<uint4 *>(w + token + row * pitch + at) = *reinterpret_cast<const uint4 *>(w_out + row * LD + at);
        *reinterpret_cast<uint4 *>(u + token + row * pitch + at) = *reinterpret_cast<const uint4 *>(u_out + row * LD + at);
    }
}

// 64 rows of COLS elements, LEN apart in shared memory; rows behind the end become zeros.
template <int COLS, int LEN>
__device__ __forceinline__ void load_rows(__nv_bfloat16 *tile, const __nv_bfloat16 *from, size_t pitch, int rows)
{
#pragma unroll
    for (int i = threadIdx.x; i < 64 * COLS / 8; i += 128) {
        const int row = i / (COLS / 8), at = i % (COLS / 8) * 8;
        copy_async(tile + row * LEN + at, from + (row < rows ? row : 0) * pitch + at, row < rows);
    }
}

__global__ void __launch_bounds__(128)
    state_scan(const __nv_bfloat16 *kg, const __nv_bfloat16 *w, const __nv_bfloat16 *u, const float *G, const float *S0,
               const int *cu, const int *chunk_off, __nv_bfloat16 *h, __nv_bfloat16 *v_new, float *S_T, int H)
{
    extern __shared__ __align__(16) __nv_bfloat16 shared[];
    __nv_bfloat16 *w_tile = shared, *kg_tile = w_tile + 2 * 64 * LD, *u_tile = kg_tile + 2 * 64 * LD; // two stages each
    __nv_bfloat16 *state = u_tile + 2 * 64 * VD, *values = state + 32 * LD;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int first = blockIdx.x * 32; // value column
    const int n = blockIdx.y / H, head = blockIdx.y % H;
    const int begin = cu[n], end = cu[n + 1], chunks = chunk_off[n + 1] - chunk_off[n];
    const size_t pitch = (size_t)H * 128;
    const size_t token0 = ((size_t)begin * H + head) * 128;
    float S[2][4][4]; // 16 value columns x 8 key channels each; channels 32 warp + 8 j + ...
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const float2 v = *reinterpret_cast<const float2 *>(
                    S0 + ((size_t)blockIdx.y * 128 + first + 16 * i + 8 * r + lane / 4) * 128 + 32 * warp + 8 * j +
                    lane % 4 * 2);
                S[i][j][2 * r] = v.x;
                S[i][j][2 * r + 1] = v.y;
            }
    load_rows<128, LD>(w_tile, w + token0, pitch, end - begin);
    load_rows<32, VD>(u_tile, u + token0 + first, pitch, end - begin);
    load_rows<128, LD>(kg_tile, kg + token0, pitch, end - begin);
    asm volatile("cp.async.commit_group;" ::: "memory");
    for (int c = 0; c < chunks; c++) {
        const int stage = c % 2, rows = min(64, end - begin - c * 64);
        const size_t token = token0 + c * 64 * pitch;
        // The decay of the whole chunk, by its last row.
        float2 g[4];
#pragma unroll
        for (int j = 0; j < 4; j++)
            g[j] = *reinterpret_cast<const float2 *>(G + token + (rows - 1) * pitch + 32 * warp + 8 * j + lane % 4 * 2);
        // The state of the chunk's start, in bf16 for the products and for h.
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int r = 0; r < 2; r++)
                    *reinterpret_cast<unsigned int *>(state + (16 * i + 8 * r + lane / 4) * LD + 32 * warp + 8 * j +
                                                      lane % 4 * 2) = pack(S[i][j][2 * r], S[i][j][2 * r + 1]);
        asm volatile("cp.async.wait_group 0;" ::: "memory");
        __syncthreads();
        if (c + 1 < chunks) {
            const size_t next = token + 64 * pitch;
            const int left = end - begin - (c + 1) * 64;
            load_rows<128, LD>(w_tile + (stage ^ 1) * 64 * LD, w + next, pitch, left);
            load_rows<32, VD>(u_tile + (stage ^ 1) * 64 * VD, u + next + first, pitch, left);
            load_rows<128, LD>(kg_tile + (stage ^ 1) * 64 * LD, kg + next, pitch, left);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
        __nv_bfloat16 *out = h + (((size_t)(chunk_off[n] + c) * H + head) * 128 + first) * 128;
#pragma unroll
        for (int i = threadIdx.x; i < 32 * 16; i += 128)
            *reinterpret_cast<uint4 *>(out + i / 16 * 128 + i % 16 * 8) =
                *reinterpret_cast<const uint4 *>(state + i / 16 * LD + i % 16 * 8);
        // v_new = u - w S: 16 tokens per warp, 32 value columns.
        float v[4][4] = {};
        const __nv_bfloat16 *w_now = w_tile + stage * 64 * LD + (16 * warp + lane % 16) * LD + lane / 16 * 8;
#pragma unroll
        for (int k = 0; k < 128; k += 16) {
            unsigned int a[4];
            load_fragments(a, w_now + k);
#pragma unroll
            for (int j = 0; j < 4; j += 2) {
                unsigned int b[4];
                load_fragments(b, state + (8 * j + lane / 16 * 8 + lane % 8) * LD + k + lane / 8 % 2 * 8);
                mma(v[j], a, b[0], b[1]);
                mma(v[j + 1], a, b[2], b[3]);
            }
        }
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const int at = (16 * warp + 8 * r + lane / 4) * VD + 8 * j + lane % 4 * 2;
                const unsigned int pair = *reinterpret_cast<const unsigned int *>(u_tile + stage * 64 * VD + at);
                // Behind the end of the sequence both are zero.
                *reinterpret_cast<unsigned int *>(values + at) = pack(__uint_as_float(pair << 16) - v[j][2 * r],
                                                                      __uint_as_float(pair & 0xffff0000u) - v[j][2 * r + 1]);
            }
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const float x = exp2f(g[j].x), y = exp2f(g[j].y);
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    S[i][j][2 * r] *= x;
                    S[i][j][2 * r + 1] *= y;
                }
        }
        __syncthreads();
#pragma unroll
        for (int i = threadIdx.x; i < 64 * 4; i += 128)
            if (i / 4 < rows)
                *reinterpret_cast<uint4 *>(v_new + token + i / 4 * pitch + first + i % 4 * 8) =
                    *reinterpret_cast<const uint4 *>(values + i / 4 * VD + i % 4 * 8);
        // S += v_new^T kg: 32 key channels per warp.
        const __nv_bfloat16 *kg_now = kg_tile + stage * 64 * LD + 32 * warp;
#pragma unroll
        for (int t = 0; t < 64; t += 16) {
            unsigned int a[2][4];
#pragma unroll
            for (int i = 0; i < 2; i++)
                load_transposed(a[i], values + (t + lane / 16 * 8 + lane % 8) * VD + 16 * i + lane / 8 % 2 * 8);
#pragma unroll
            for (int j = 0; j < 4; j += 2) {
                unsigned int b[4];
                load_transposed(b, kg_now + (t + lane / 8 % 2 * 8 + lane % 8) * LD + 8 * j + lane / 16 * 8);
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    mma(S[i][j], a[i], b[0], b[1]);
                    mma(S[i][j + 1], a[i], b[2], b[3]);
                }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int r = 0; r < 2; r++)
                *reinterpret_cast<float2 *>(S_T + ((size_t)blockIdx.y * 128 + first + 16 * i + 8 * r + lane / 4) * 128 +
                                            32 * warp + 8 * j + lane % 4 * 2) =
                    make_float2(S[i][j][2 * r], S[i][j][2 * r + 1]);
}

// Bytes of half of the output's shared memory: the state, the queries, the decays, the values, the scores.
#define HALF 106496
#define QUERY 32768
#define DECAY 49152
#define VALUE 81920
#define SCORE 98304

struct chunk_of_head {
    size_t token; // where its first row is
    int rows;
};

__device__ __forceinline__ chunk_of_head find(const int *cu, const int *chunk_off, int H, int N, int item)
{
    const int chunk = item / H, head = item % H, n = sequence_of(chunk_off, N, chunk);
    chunk_of_head c;
    const int first = cu[n] + (chunk - chunk_off[n]) * 64;
    c.rows = min(64, cu[n + 1] - first);
    c.token = (size_t)first * H + head;
    return c;
}

// The 16-byte units of a row are permuted by the row, so that no two lanes meet in a bank: unit ^ row % 8; of the decays every
// other eight units by 1.
__global__ void __launch_bounds__(256, 1)
    output(const __nv_bfloat16 *__restrict__ q, const float *__restrict__ G, const __nv_bfloat16 *__restrict__ h,
                  const __nv_bfloat16 *__restrict__ v_new, const __nv_bfloat16 *__restrict__ Aqk, const int *__restrict__ cu,
                  const int *__restrict__ chunk_off, __nv_bfloat16 *__restrict__ o, int H, int N, int NT, float scale)
{
    extern __shared__ __align__(256) unsigned char halves[];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, tokens = warp % 4 * 16, columns = warp / 4 * 64;
    const int own = 8 * warp, unit = lane % 16; // rows own .. own + 7 of queries and decays are this warp's to decay
    chunk_of_head next;
    const auto load = [&](int item, unsigned int half) {
        const int row0 = threadIdx.x / 16;
        const __nv_bfloat16 *from = h + (size_t)item * 16384 + row0 * 128 + unit * 8;
#pragma unroll
        for (int e = 0; e < 8; e++)
            copy_async(half + (row0 + 16 * e) * 256 + (unit ^ row0 % 8) * 16, from + e * 2048, true);
        next = find(cu, chunk_off, H, N, item);
#pragma unroll
        for (int e = 0; e < 8; e++) {
            const int row = own + e;
            const size_t given = next.token + (row < next.rows ? (size_t)row * H : 0);
            copy_async(half + DECAY + row * 512 + (lane ^ lane / 8 % 2) * 16, G + given * 128 + lane * 4, row < next.rows);
        }
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int row = own + 2 * e + lane / 16;
            const size_t given = next.token + (row < next.rows ? (size_t)row * H : 0);
            copy_async(half + QUERY + row * 256 + (unit ^ row % 8) * 16, q + given * 128 + unit * 8, row < next.rows);
        }
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int row = row0 + 16 * e;
            const size_t given = next.token + (row < next.rows ? (size_t)row * H : 0);
            copy_async(half + VALUE + row * 256 + (unit ^ row % 8) * 16, v_new + given * 128 + unit * 8, row < next.rows);
        }
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int row = threadIdx.x / 8 + 32 * e, at = threadIdx.x % 8;
            const bool inside = row < next.rows && at * 8 <= row; // what lies above the diagonal is not to be used
            const size_t given = next.token + (inside ? (size_t)row * H : 0);
            copy_async(half + SCORE + row * 128 + (at ^ row % 8) * 16, Aqk + given * 64 + at * 8, inside);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    };
    load(blockIdx.x, shared_address(halves));
    int turn = 0;
    for (int item = blockIdx.x; item < NT * H; item += gridDim.x, turn ^= 1) {
        unsigned char *here = halves + turn * HALF;
        const unsigned int half = shared_address(here);
        const chunk_of_head now = next;
        if (item + gridDim.x < NT * H) {
            load(item + gridDim.x, shared_address(halves + (turn ^ 1) * HALF));
            asm volatile("cp.async.wait_group 1;" ::: "memory");
        } else {
            asm volatile("cp.async.wait_group 0;" ::: "memory");
        }
        __syncwarp();
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int row = own + 2 * e + lane / 16;
            uint4 *place = reinterpret_cast<uint4 *>(here + QUERY + row * 256 + (unit ^ row % 8) * 16);
            const float4 *decay = reinterpret_cast<const float4 *>(here + DECAY + row * 512);
            const float4 g0 = decay[2 * unit ^ unit / 4 % 2], g1 = decay[2 * unit + 1 ^ unit / 4 % 2];
            const uint4 x = *place;
            *place = make_uint4(pack(low(x.x) * power(g0.x), high(x.x) * power(g0.y)),
                                pack(low(x.y) * power(g0.z), high(x.y) * power(g0.w)),
                                pack(low(x.z) * power(g1.x), high(x.z) * power(g1.y)),
                                pack(low(x.w) * power(g1.z), high(x.w) * power(g1.w)));
        }
        __syncthreads();
        float sum[8][4] = {};
        const unsigned int query = half + QUERY + (tokens + lane % 16) * 256;
        const unsigned int state = half + (columns + lane / 16 * 8 + lane % 8) * 256;
#pragma unroll
        for (int m = 0; m < 8; m++) {
            unsigned int a[4];
            load_fragments(a, query + (2 * m + lane / 16 ^ lane % 8) * 16);
            const int at = (2 * m + lane / 8 % 2 ^ lane % 8) * 16;
#pragma unroll
            for (int j = 0; j < 8; j += 2) {
                unsigned int b[4];
                load_fragments(b, state + j * 2048 + at);
                mma(sum[j], a, b[0], b[1]);
                mma(sum[j + 1], a, b[2], b[3]);
            }
        }
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int r = 0; r < 4; r++)
                sum[j][r] *= scale;
        const unsigned int score = half + SCORE + (tokens + lane % 16) * 128;
        const unsigned int value = half + VALUE + (lane / 8 % 2 * 8 + lane % 8) * 256;
#pragma unroll
        for (int m = 0; m < 4; m++) {
            if (m > warp % 4) // above the diagonal
                break;
            unsigned int a[4];
            load_fragments(a, score + (2 * m + lane / 16 ^ lane % 8) * 16);
            if (m == warp % 4) {
#pragma unroll
                for (int r = 0; r < 4; r++) {
                    const int row = lane / 4 + r % 2 * 8, column = lane % 4 * 2 + r / 2 * 8;
                    a[r] &= column + 1 <= row ? 0xffffffffu : column <= row ? 0x0000ffffu : 0u;
                }
            }
#pragma unroll
            for (int j = 0; j < 8; j += 2) {
                unsigned int b[4];
                load_transposed(b, value + m * 4096 + (columns / 8 + j + lane / 16 ^ lane % 8) * 16);
                mma(sum[j], a, b[0], b[1]);
                mma(sum[j + 1], a, b[2], b[3]);
            }
        }
        // Each warp turns its 16 tokens over in place of the decays, rows of 128 bytes.
        unsigned char *turned = here + DECAY + warp * 2048;
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int r = 0; r < 2; r++)
                *reinterpret_cast<unsigned int *>(turned + (lane / 4 + 8 * r) * 128 + (j ^ lane / 4) * 16 + lane % 4 * 4) =
                    pack(sum[j][2 * r], sum[j][2 * r + 1]);
        __syncwarp();
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int row = 4 * e + lane / 8, at = lane % 8;
            if (tokens + row < now.rows)
                *reinterpret_cast<uint4 *>(o + (now.token + (size_t)(tokens + row) * H) * 128 + columns + at * 8) =
                    *reinterpret_cast<const uint4 *>(turned + row * 128 + (at ^ row % 8) * 16);
        }
        __syncthreads(); // the next load goes here
    }
}
