// The output of Kimi Delta Attention, with the mapping of the upstream Triton kernel (docs/README.md): a block of 4 warps has
// 64 value columns of one chunk of one head, 16 tokens per warp. First the decayed queries times the chunk's state, then the
// lower triangle of Aqk times the corrected values, both by mma.sync into the same accumulators.
#include <cuda_bf16.h>

#pragma kda launch output(q, G, h, v_new, Aqk, cu, chunk_off, o, H, N, scale) grid(2, NT, H) block(128)

#define LD 136 // elements of a row of 128 in shared memory: eight rows of a fragment lie in different banks
#define CD 72  // of a row of 64

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

__global__ void __launch_bounds__(128)
    output(const __nv_bfloat16 *q, const float *G, const __nv_bfloat16 *h, const __nv_bfloat16 *v_new,
           const __nv_bfloat16 *Aqk, const int *cu, const int *chunk_off, __nv_bfloat16 *o, int H, int N, float scale)
{
    __shared__ __align__(16) __nv_bfloat16 shared[2 * 64 * LD];
    __nv_bfloat16 *query = shared, *state = shared + 64 * LD;   // first product
    __nv_bfloat16 *scores = shared, *values = shared + 64 * CD; // second product, in their place
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int chunk = blockIdx.y, head = blockIdx.z, column0 = blockIdx.x * 64;
    const int n = sequence_of(chunk_off, N, chunk);
    const int first = cu[n] + (chunk - chunk_off[n]) * 64;
    const int rows = min(64, cu[n + 1] - first);
    const size_t pitch = (size_t)H * 128, token = ((size_t)first * H + head) * 128;
    uint4 early_scores[4], early_values[4]; // of the second product: on their way during the first
#pragma unroll
    for (int e = 0; e < 4; e++) {
        const int row = threadIdx.x / 8 + 16 * e, at = threadIdx.x % 8 * 8;
        early_scores[e] = early_values[e] = make_uint4(0, 0, 0, 0);
        if (row < rows) {
            early_scores[e] = *reinterpret_cast<const uint4 *>(Aqk + ((size_t)(first + row) * H + head) * 64 + at);
            early_values[e] = *reinterpret_cast<const uint4 *>(v_new + token + row * pitch + column0 + at);
        }
    }
#pragma unroll 4
    for (int i = threadIdx.x; i < 64 * 16; i += 128) {
        const int row = i / 16, at = i % 16 * 8;
        uint4 v = make_uint4(0, 0, 0, 0);
        if (row < rows) {
            const uint4 x = *reinterpret_cast<const uint4 *>(q + token + row * pitch + at);
            const float4 *g = reinterpret_cast<const float4 *>(G + token + row * pitch + at);
            v.x = pack(low(x.x) * exp2f(g[0].x), high(x.x) * exp2f(g[0].y));
            v.y = pack(low(x.y) * exp2f(g[0].z), high(x.y) * exp2f(g[0].w));
            v.z = pack(low(x.z) * exp2f(g[1].x), high(x.z) * exp2f(g[1].y));
            v.w = pack(low(x.w) * exp2f(g[1].z), high(x.w) * exp2f(g[1].w));
        }
        *reinterpret_cast<uint4 *>(query + row * LD + at) = v;
        *reinterpret_cast<uint4 *>(state + row * LD + at) = *reinterpret_cast<const uint4 *>(
            h + (((size_t)chunk * H + head) * 128 + column0 + row) * 128 + at);
    }
    __syncthreads();
    float sum[8][4] = {};
#pragma unroll
    for (int k = 0; k < 128; k += 16) {
        unsigned int a[4];
        load_fragments(a, query + (16 * warp + lane % 16) * LD + k + lane / 16 * 8);
#pragma unroll
        for (int j = 0; j < 8; j += 2) {
            unsigned int b[4];
            load_fragments(b, state + (8 * j + lane / 16 * 8 + lane % 8) * LD + k + lane / 8 % 2 * 8);
            mma(sum[j], a, b[0], b[1]);
            mma(sum[j + 1], a, b[2], b[3]);
        }
    }
#pragma unroll
    for (int j = 0; j < 8; j++)
#pragma unroll
        for (int r = 0; r < 4; r++)
            sum[j][r] *= scale;
    __syncthreads();
#pragma unroll
    for (int e = 0; e < 4; e++) {
        const int row = threadIdx.x / 8 + 16 * e, at = threadIdx.x % 8 * 8;
        unsigned int word[4] = {early_scores[e].x, early_scores[e].y, early_scores[e].z, early_scores[e].w};
#pragma unroll
        for (int i = 0; i < 4; i++) // columns at + 2 i and at + 2 i + 1, of which the row keeps those up to its own
            word[i] &= at + 2 * i + 1 <= row ? 0xffffffffu : at + 2 * i <= row ? 0x0000ffffu : 0u;
        *reinterpret_cast<uint4 *>(scores + row * CD + at) = make_uint4(word[0], word[1], word[2], word[3]);
        *reinterpret_cast<uint4 *>(values + row * CD + at) = early_values[e];
    }
    __syncthreads();
#pragma unroll
    for (int t = 0; t < 64; t += 16) {
        if (t > 16 * warp) // above the diagonal
            break;
        unsigned int a[4];
        load_fragments(a, scores + (16 * warp + lane % 16) * CD + t + lane / 16 * 8);
#pragma unroll
        for (int j = 0; j < 8; j += 2) {
            unsigned int b[4];
            load_transposed(b, values + (t + lane / 8 % 2 * 8 + lane % 8) * CD + 8 * j + lane / 16 * 8);
            mma(sum[j], a, b[0], b[1]);
            mma(sum[j + 1], a, b[2], b[3]);
        }
    }
    // Each warp turns its 16 tokens over in its own rows of the scores, which it alone has read.
    __syncwarp();
#pragma unroll
    for (int j = 0; j < 8; j++)
#pragma unroll
        for (int r = 0; r < 2; r++)
            *reinterpret_cast<unsigned int *>(scores + (16 * warp + 8 * r + lane / 4) * CD + 8 * j + lane % 4 * 2) =
                pack(sum[j][2 * r], sum[j][2 * r + 1]);
    __syncwarp();
#pragma unroll
    for (int e = 0; e < 4; e++) {
        const int row = 16 * warp + lane / 8 + 4 * e, at = lane % 8 * 8;
        if (row < rows)
            *reinterpret_cast<uint4 *>(o + token + row * pitch + column0 + at) =
                *reinterpret_cast<const uint4 *>(scores + row * CD + at);
    }
}
