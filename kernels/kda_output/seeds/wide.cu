// COLS value columns of a chunk per block, 4 warps along tokens and COLS / WIDE along the columns. State, scores and values
// come by cp.async all at once into shared memory of their own; the queries are decayed while they are on their way. ORDER 1
// puts the blocks that share a chunk's queries far apart.
#include <cuda_bf16.h>

#pragma kda tune COLS = 128, 64, 32
#pragma kda tune WIDE = 64, 32
#pragma kda tune ORDER = 0, 1
#pragma kda launch output_wide(q, G, h, v_new, Aqk, cu, chunk_off, o, H, N, scale) \
        grid(ORDER ? NT : 128 / COLS, ORDER ? 128 / COLS : NT, H) block(128 * (COLS / min(WIDE, COLS))) \
        smem(64 * 272 + COLS * 272 + 64 * 144 + 128 * (COLS + 8))

#define LD 136 // elements of a row of 128 in shared memory: eight rows of a fragment lie in different banks
#define CD 72  // of a row of 64
#define VD (COLS + 8)
#define MINE (WIDE < COLS ? WIDE : COLS) // columns of a warp
#define THREADS (128 * (COLS / MINE))

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

// 16 bytes to shared memory, zeros if not `inside`.
__device__ __forceinline__ void copy_async(void *to, const void *from, bool inside)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(inside ? 16 : 0)
                 : "memory");
}

__global__ void __launch_bounds__(THREADS)
    output_wide(const __nv_bfloat16 *__restrict__ q, const float *__restrict__ G, const __nv_bfloat16 *__restrict__ h,
                const __nv_bfloat16 *__restrict__ v_new, const __nv_bfloat16 *__restrict__ Aqk,
                const int *__restrict__ cu, const int *__restrict__ chunk_off, __nv_bfloat16 *__restrict__ o, int H, int N,
                float scale)
{
    extern __shared__ __align__(16) __nv_bfloat16 shared[];
    __nv_bfloat16 *query = shared, *state = query + 64 * LD, *scores = state + COLS * LD, *values = scores + 64 * CD;
    const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32, mine = threadIdx.x / 128 * MINE;
    const int chunk = ORDER ? blockIdx.x : blockIdx.y, head = blockIdx.z;
    const int column0 = (ORDER ? blockIdx.y : blockIdx.x) * COLS;
    const int n = sequence_of(chunk_off, N, chunk);
    const int first = cu[n] + (chunk - chunk_off[n]) * 64;
    const int rows = min(64, cu[n + 1] - first);
    const size_t pitch = (size_t)H * 128, token = ((size_t)first * H + head) * 128;
    const __nv_bfloat16 *from = h + (((size_t)chunk * H + head) * 128 + column0) * 128;
#pragma unroll 4
    for (int i = threadIdx.x; i < COLS * 16; i += THREADS)
        copy_async(state + i / 16 * LD + i % 16 * 8, from + i / 16 * 128 + i % 16 * 8, true);
    asm volatile("cp.async.commit_group;" ::: "memory");
#pragma unroll 4
    for (int i = threadIdx.x; i < 64 * 8; i += THREADS) {
        const int row = i / 8, at = i % 8 * 8, given = row < rows ? row : 0;
        copy_async(scores + row * CD + at, Aqk + ((size_t)(first + given) * H + head) * 64 + at, row < rows);
    }
#pragma unroll 4
    for (int i = threadIdx.x; i < 8 * COLS; i += THREADS) {
        const int row = i / (COLS / 8), at = i % (COLS / 8) * 8, given = row < rows ? row : 0;
        copy_async(values + row * VD + at, v_new + token + given * pitch + column0 + at, row < rows);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
#pragma unroll 4
    for (int i = threadIdx.x; i < 64 * 16; i += THREADS) {
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
    }
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    float sum[MINE / 8][4] = {};
#pragma unroll
    for (int k = 0; k < 128; k += 16) {
        unsigned int a[4];
        load_fragments(a, query + (16 * warp + lane % 16) * LD + k + lane / 16 * 8);
#pragma unroll
        for (int j = 0; j < MINE / 8; j += 2) {
            unsigned int b[4];
            load_fragments(b, state + (mine + 8 * j + lane / 16 * 8 + lane % 8) * LD + k + lane / 8 % 2 * 8);
            mma(sum[j], a, b[0], b[1]);
            mma(sum[j + 1], a, b[2], b[3]);
        }
    }
#pragma unroll
    for (int j = 0; j < MINE / 8; j++)
#pragma unroll
        for (int r = 0; r < 4; r++)
            sum[j][r] *= scale;
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
    for (int t = 0; t <= 16 * warp; t += 16) {
        unsigned int a[4];
        load_fragments(a, scores + (16 * warp + lane % 16) * CD + t + lane / 16 * 8);
        if (t == 16 * warp) { // what lies above the diagonal is not to be used
#pragma unroll
            for (int r = 0; r < 4; r++) {
                const int row = lane / 4 + r % 2 * 8, column = lane % 4 * 2 + r / 2 * 8;
                a[r] &= column + 1 <= row ? 0xffffffffu : column <= row ? 0x0000ffffu : 0u;
            }
        }
#pragma unroll
        for (int j = 0; j < MINE / 8; j += 2) {
            unsigned int b[4];
            load_transposed(b, values + (t + lane / 8 % 2 * 8 + lane % 8) * VD + mine + 8 * j + lane / 16 * 8);
            mma(sum[j], a, b[0], b[1]);
            mma(sum[j + 1], a, b[2], b[3]);
        }
    }
    // Turned over in the queries' place, which no warp reads any more.
#pragma unroll
    for (int j = 0; j < MINE / 8; j++)
#pragma unroll
        for (int r = 0; r < 2; r++)
            *reinterpret_cast<unsigned int *>(query + (16 * warp + 8 * r + lane / 4) * LD + mine + 8 * j + lane % 4 * 2) =
                pack(sum[j][2 * r], sum[j][2 * r + 1]);
    __syncthreads();
#pragma unroll 4
    for (int i = threadIdx.x; i < 8 * COLS; i += THREADS) {
        const int row = i / (COLS / 8), at = i % (COLS / 8) * 8;
        if (row < rows)
            *reinterpret_cast<uint4 *>(o + token + row * pitch + column0 + at) =
                *reinterpret_cast<const uint4 *>(query + row * LD + at);
    }
}
