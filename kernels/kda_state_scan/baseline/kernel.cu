// The state of Kimi Delta Attention carried from chunk to chunk, with the mapping of the upstream Triton kernel
// (docs/README.md): a block of 4 warps takes 32 value columns of one head of one sequence and walks over its chunks of 64
// tokens. The transposed state [32 value, 128 key] stays in fp32 accumulators of mma.sync, 32 key channels per warp; w, kg and
// u of the next chunk come by cp.async while this one is worked on.
#include <cuda_bf16.h>

#pragma kda launch state_scan(kg, w, u, G, S0, cu, chunk_off, h, v_new, S_T, H) grid(4, N * H) block(128) smem(93696)

#define LD 136 // elements of a row of 128 in shared memory: eight rows of a fragment lie in different banks
#define VD 40  // of a row of 32

__device__ __forceinline__ unsigned int shared_address(const void *p)
{
    return (unsigned int)__cvta_generic_to_shared(p);
}

// 16 bytes to shared memory, zeros if not `inside`.
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
