// The output of Kimi Delta Attention. One block of 8 warps per SM takes chunks of heads in turn, with all 128 value columns; a
// warp has 16 tokens and 64 columns. All that a chunk needs comes by cp.async into one half of the shared memory while the chunk
// before it is worked on in the other. Queries are decayed in place; then the decayed queries times the chunk's state, and the
// lower triangle of Aqk times the corrected values, both by mma.sync into the same accumulators.
#include <cuda_bf16.h>

#pragma kda launch output(q, G, h, v_new, Aqk, cu, chunk_off, o, H, N, NT, scale) \
        grid(min(NT * H, 132)) block(256) smem(2 * 106496)

// Bytes of a half: the state, the queries, the decays, the values, the scores.
#define HALF 106496
#define QUERY 32768
#define DECAY 49152
#define VALUE 81920
#define SCORE 98304

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

__device__ __forceinline__ void mma(float c[4], const unsigned int a[4], unsigned int b0, unsigned int b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 16 bytes to shared memory, zeros if not `inside`.
__device__ __forceinline__ void copy_async(unsigned int to, const void *from, bool inside)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(inside ? 16 : 0) : "memory");
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

// 2^x; what is subnormal becomes 0.
__device__ __forceinline__ float power(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
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
    extern __shared__ __align__(256) unsigned char shared[];
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
    load(blockIdx.x, shared_address(shared));
    int turn = 0;
    for (int item = blockIdx.x; item < NT * H; item += gridDim.x, turn ^= 1) {
        unsigned char *here = shared + turn * HALF;
        const unsigned int half = shared_address(here);
        const chunk_of_head now = next;
        if (item + gridDim.x < NT * H) {
            load(item + gridDim.x, shared_address(shared + (turn ^ 1) * HALF));
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
