// Kimi Delta Attention within a chunk, with the mapping of the upstream Triton kernels fused (docs/README.md): a block of 4
// warps has one chunk of one head, 16 rows per warp. Products of decayed rows go through mma.sync, re-based to the first row
// of their 16 (in the diagonal blocks of 8), so that no exponent is positive; the last 8 x 8 blocks are summed pair by pair.
// I + L is inverted by substitution, blocks of 16 first, and multiplied on tensor cores with the scaled keys and values.
#include <cuda_bf16.h>

#pragma kda launch intra(q, k, v, g, beta, cu, chunk_off, Aqk, w, u, kg, H, N, scale) grid(NT, H) block(128) smem(96512)

#define LD 136 // elements of a row of 128 in shared memory: eight rows of a fragment lie in different banks
#define CD 72  // of a row of 64, bf16
#define FD 68  // of a row of 64, fp32

__device__ __forceinline__ unsigned int shared_address(const void *p)
{
    return (unsigned int)__cvta_generic_to_shared(p);
}

__device__ __forceinline__ void load_fragments(unsigned int r[4], const void *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p))
                 : "memory");
}

__device__ __forceinline__ void load_transposed(unsigned int r[4], const void *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p))
                 : "memory");
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
    intra(const __nv_bfloat16 *q, const __nv_bfloat16 *k, const __nv_bfloat16 *v, const float *g, const float *beta,
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
    float sum = 0.0f;
#pragma unroll 16
    for (int r = 0; r < 64; r++) { // behind the end the sum stands still
        sum += r < rows ? g[token + r * pitch + threadIdx.x] : 0.0f;
        G[r * LD + threadIdx.x] = sum;
    }
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
