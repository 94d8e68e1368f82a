// The scan on tensor cores with everything to choose: BV value columns per block, WV warps along them and 4 along tokens or
// key channels, STAGES chunks of w, kg and u in shared memory.
#include <cuda_bf16.h>

#pragma kda tune BV = 16, 32, 64
#pragma kda tune WV = 1, 2
#pragma kda tune STAGES = 2, 1, 3
#pragma kda launch scan_tiles(kg, w, u, G, S0, cu, chunk_off, h, v_new, S_T, H) grid(128 / BV, N * H) \
        block(128 * min(WV, BV / 16)) smem(STAGES * 128 * (272 + BV + 8) + BV * 272 + 128 * (BV + 8))

#define LD 136      // elements of a row of 128 in shared memory
#define VD (BV + 8) // of a row of BV
#define ALONG_V (WV < BV / 16 ? WV : BV / 16)
#define THREADS (128 * ALONG_V)
#define MINE (BV / ALONG_V) // value columns of a warp
#define STAGE (128 * LD + 64 * VD)

__device__ __forceinline__ unsigned int shared_address(const void *p)
{
    return (unsigned int)__cvta_generic_to_shared(p);
}

__device__ __forceinline__ void copy_async(void *to, const void *from, bool inside)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(inside ? 16 : 0)
                 : "memory");
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

__device__ __forceinline__ unsigned int pack(float a, float b)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    return *reinterpret_cast<const unsigned int *>(&pair);
}

// 64 rows of COLS elements, LEN apart in shared memory; rows behind the end become zeros.
template <int COLS, int LEN>
__device__ __forceinline__ void load_rows(__nv_bfloat16 *tile, const __nv_bfloat16 *from, size_t pitch, int rows)
{
    for (int i = threadIdx.x; i < 64 * COLS / 8; i += THREADS) {
        const int row = i / (COLS / 8), at = i % (COLS / 8) * 8;
        copy_async(tile + row * LEN + at, from + (row < rows ? row : 0) * pitch + at, row < rows);
    }
}

__global__ void __launch_bounds__(THREADS)
    scan_tiles(const __nv_bfloat16 *__restrict__ kg, const __nv_bfloat16 *__restrict__ w,
               const __nv_bfloat16 *__restrict__ u, const float *__restrict__ G, const float *__restrict__ S0,
               const int *__restrict__ cu, const int *__restrict__ chunk_off, __nv_bfloat16 *__restrict__ h,
               __nv_bfloat16 *__restrict__ v_new, float *__restrict__ S_T, int H)
{
    extern __shared__ __align__(16) __nv_bfloat16 shared[];
    __nv_bfloat16 *state = shared + STAGES * STAGE, *values = state + BV * LD;
    const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32, mine = threadIdx.x / 128 * MINE;
    const int first = blockIdx.x * BV;
    const int n = blockIdx.y / H, head = blockIdx.y % H;
    const int begin = cu[n], end = cu[n + 1], chunk0 = chunk_off[n], chunks = chunk_off[n + 1] - chunk0;
    const size_t pitch = (size_t)H * 128, token0 = ((size_t)begin * H + head) * 128;
    const size_t corner = ((size_t)blockIdx.y * 128 + first + mine + lane / 4) * 128 + 32 * warp + lane % 4 * 2;
    float S[MINE / 16][4][4];
#pragma unroll
    for (int i = 0; i < MINE / 16; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int r = 0; r < 2; r++)
                *reinterpret_cast<float2 *>(&S[i][j][2 * r]) =
                    *reinterpret_cast<const float2 *>(S0 + corner + (16 * i + 8 * r) * 128 + 8 * j);
    auto fetch = [&](int c) {
        __nv_bfloat16 *stage = shared + c % STAGES * STAGE;
        const size_t token = token0 + c * 64 * pitch;
        const int rows = end - begin - c * 64;
        if (c < chunks) {
            load_rows<128, LD>(stage, w + token, pitch, rows);
            load_rows<BV, VD>(stage + 128 * LD, u + token + first, pitch, rows);
            load_rows<128, LD>(stage + 64 * LD, kg + token, pitch, rows);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    };
    for (int c = 0; c < STAGES - 1; c++)
        fetch(c);
    for (int c = 0; c < chunks; c++) {
        const __nv_bfloat16 *stage = shared + c % STAGES * STAGE;
        const int rows = min(64, end - begin - c * 64);
        const size_t token = token0 + c * 64 * pitch;
        float2 g[4];
#pragma unroll
        for (int j = 0; j < 4; j++)
            g[j] = *reinterpret_cast<const float2 *>(G + token + (rows - 1) * pitch + 32 * warp + 8 * j + lane % 4 * 2);
#pragma unroll
        for (int i = 0; i < MINE / 16; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int r = 0; r < 2; r++)
                    *reinterpret_cast<unsigned int *>(state + (mine + 16 * i + 8 * r + lane / 4) * LD + 32 * warp + 8 * j +
                                                      lane % 4 * 2) = pack(S[i][j][2 * r], S[i][j][2 * r + 1]);
        if (STAGES == 1)
            fetch(c);
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES > 1 ? STAGES - 2 : 0) : "memory");
        __syncthreads();
        if (STAGES > 1)
            fetch(c + STAGES - 1);
        __nv_bfloat16 *out = h + (((size_t)(chunk0 + c) * H + head) * 128 + first) * 128;
        for (int i = threadIdx.x; i < BV * 16; i += THREADS)
            *reinterpret_cast<uint4 *>(out + i / 16 * 128 + i % 16 * 8) =
                *reinterpret_cast<const uint4 *>(state + i / 16 * LD + i % 16 * 8);
        float v[MINE / 8][4] = {};
        const __nv_bfloat16 *w_now = stage + (16 * warp + lane % 16) * LD + lane / 16 * 8;
#pragma unroll
        for (int k = 0; k < 128; k += 16) {
            unsigned int a[4];
            load_fragments(a, w_now + k);
#pragma unroll
            for (int j = 0; j < MINE / 8; j += 2) {
                unsigned int b[4];
                load_fragments(b, state + (mine + 8 * j + lane / 16 * 8 + lane % 8) * LD + k + lane / 8 % 2 * 8);
                mma(v[j], a, b[0], b[1]);
                mma(v[j + 1], a, b[2], b[3]);
            }
        }
#pragma unroll
        for (int j = 0; j < MINE / 8; j++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const int row = 16 * warp + 8 * r + lane / 4, column = mine + 8 * j + lane % 4 * 2;
                const unsigned int pair =
                    *reinterpret_cast<const unsigned int *>(stage + 128 * LD + row * VD + column); // zeros behind the end
                *reinterpret_cast<unsigned int *>(values + row * VD + column) =
                    pack(__uint_as_float(pair << 16) - v[j][2 * r], __uint_as_float(pair & 0xffff0000u) - v[j][2 * r + 1]);
            }
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const float x = exp2f(g[j].x), y = exp2f(g[j].y);
#pragma unroll
            for (int i = 0; i < MINE / 16; i++)
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    S[i][j][2 * r] *= x;
                    S[i][j][2 * r + 1] *= y;
                }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < rows * BV / 8; i += THREADS)
            *reinterpret_cast<uint4 *>(v_new + token + i / (BV / 8) * pitch + first + i % (BV / 8) * 8) =
                *reinterpret_cast<const uint4 *>(values + i / (BV / 8) * VD + i % (BV / 8) * 8);
        const __nv_bfloat16 *kg_now = stage + 64 * LD + 32 * warp;
#pragma unroll
        for (int t = 0; t < 64; t += 16) {
            unsigned int a[MINE / 16][4];
#pragma unroll
            for (int i = 0; i < MINE / 16; i++)
                load_transposed(a[i], values + (t + lane / 16 * 8 + lane % 8) * VD + mine + 16 * i + lane / 8 % 2 * 8);
#pragma unroll
            for (int j = 0; j < 4; j += 2) {
                unsigned int b[4];
                load_transposed(b, kg_now + (t + lane / 8 % 2 * 8 + lane % 8) * LD + 8 * j + lane / 16 * 8);
#pragma unroll
                for (int i = 0; i < MINE / 16; i++) {
                    mma(S[i][j], a[i], b[0], b[1]);
                    mma(S[i][j + 1], a[i], b[2], b[3]);
                }
            }
        }
        if (STAGES == 1) // the only stage is filled again
            __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < MINE / 16; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int r = 0; r < 2; r++)
                *reinterpret_cast<float2 *>(S_T + corner + (16 * i + 8 * r) * 128 + 8 * j) =
                    *reinterpret_cast<const float2 *>(&S[i][j][2 * r]);
}
