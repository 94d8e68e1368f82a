// Matrix products on the tensor pipes by mma.sync in inline assembly: ldmatrix in all its forms,
// f16 with f16 and f32 accumulators, bf16, tf32, int8, and a block with an epilogue.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cstdint>

__device__ __forceinline__ uint32_t shared_address(const void *p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

__device__ __forceinline__ void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// One warp, 16 x 8 x 16, fragments loaded by hand as the documentation draws them.
extern "C" __global__ void mma_by_hand(const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *c)
{
    const int lane = threadIdx.x, group = lane >> 2, pair = (lane & 3) * 2;
    uint32_t fa[4], fb[2];
    fa[0] = *reinterpret_cast<const uint32_t *>(a + group * 16 + pair);
    fa[1] = *reinterpret_cast<const uint32_t *>(a + (group + 8) * 16 + pair);
    fa[2] = *reinterpret_cast<const uint32_t *>(a + group * 16 + pair + 8);
    fa[3] = *reinterpret_cast<const uint32_t *>(a + (group + 8) * 16 + pair + 8);
    fb[0] = *reinterpret_cast<const uint32_t *>(b + group * 16 + pair);
    fb[1] = *reinterpret_cast<const uint32_t *>(b + group * 16 + pair + 8);
    float d[4] = {0, 0, 0, 0};
    mma_bf16(d, fa, fb);
    c[group * 8 + pair] = d[0];
    c[group * 8 + pair + 1] = d[1];
    c[(group + 8) * 8 + pair] = d[2];
    c[(group + 8) * 8 + pair + 1] = d[3];
}

// 32 x 32 of the result by four warps; A by ldmatrix, B (as [K, N]) by ldmatrix.trans; swizzled rows.
extern "C" __global__ __launch_bounds__(128) void mma_ldmatrix_f16(const __half *a, const __half *b, const __half *bias, __half *c, int n, int k)
{
    __shared__ __align__(128) __half as[32 * 32], bs[32 * 32];
    const int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, wr = warp / 2 * 16, wc = warp % 2 * 16;
    float acc[2][4] = {};
    for (int k0 = 0; k0 < k; k0 += 32) {
        const int r = tid / 4, q = tid % 4;
        *reinterpret_cast<uint4 *>(&as[r * 32 + ((q ^ (r >> 1 & 3)) * 8)]) = *reinterpret_cast<const uint4 *>(a + (blockIdx.y * 32 + r) * k + k0 + q * 8);
        *reinterpret_cast<uint4 *>(&bs[r * 32 + ((q ^ (r >> 1 & 3)) * 8)]) = *reinterpret_cast<const uint4 *>(b + (k0 + r) * n + blockIdx.x * 32 + q * 8);
        __syncthreads();
#pragma unroll
        for (int kk = 0; kk < 32; kk += 16) {
            uint32_t fa[4], fb[4];
            const int ar = wr + (lane & 15), aq = kk / 8 + (lane >> 4);
            asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                         : "=r"(fa[0]), "=r"(fa[1]), "=r"(fa[2]), "=r"(fa[3]) : "r"(shared_address(&as[ar * 32 + ((aq ^ (ar >> 1 & 3)) * 8)])));
            const int br = kk + (lane & 15), bq = wc / 8 + (lane >> 4);
            asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                         : "=r"(fb[0]), "=r"(fb[1]), "=r"(fb[2]), "=r"(fb[3]) : "r"(shared_address(&bs[br * 32 + ((bq ^ (br >> 1 & 3)) * 8)])));
#pragma unroll
            for (int j = 0; j < 2; j++)
                asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                             : "+f"(acc[j][0]), "+f"(acc[j][1]), "+f"(acc[j][2]), "+f"(acc[j][3])
                             : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[2 * j]), "r"(fb[2 * j + 1]));
        }
        __syncthreads();
    }
#pragma unroll
    for (int j = 0; j < 2; j++) {
        const int col = blockIdx.x * 32 + wc + j * 8 + (lane & 3) * 2, row = blockIdx.y * 32 + wr + lane / 4;
        const float2 add = __half22float2(*reinterpret_cast<const __half2 *>(bias + col));
        *reinterpret_cast<__half2 *>(c + row * n + col) = __floats2half2_rn(acc[j][0] + add.x, acc[j][1] + add.y);
        *reinterpret_cast<__half2 *>(c + (row + 8) * n + col) = __floats2half2_rn(acc[j][2] + add.x, acc[j][3] + add.y);
    }
}

extern "C" __global__ void mma_tf32(const float *a, const float *b, float *c, int k)
{
    const int lane = threadIdx.x, group = lane / 4, in = lane % 4;
    float d[4] = {1, 1, 1, 1};
    for (int k0 = 0; k0 < k; k0 += 8) {
        uint32_t fa[4], fb[2];
        const float va[4] = {a[group * k + k0 + in], a[(group + 8) * k + k0 + in], a[group * k + k0 + in + 4], a[(group + 8) * k + k0 + in + 4]};
        const float vb[2] = {b[(k0 + in) * 8 + group], b[(k0 + in + 4) * 8 + group]};
        for (int i = 0; i < 4; i++)
            asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(fa[i]) : "f"(va[i]));
        for (int i = 0; i < 2; i++)
            asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(fb[i]) : "f"(vb[i]));
        asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
    }
    c[group * 8 + in * 2] = d[0], c[group * 8 + in * 2 + 1] = d[1];
    c[(group + 8) * 8 + in * 2] = d[2], c[(group + 8) * 8 + in * 2 + 1] = d[3];
}

extern "C" __global__ void mma_f16_accumulators(const __half *a, const __half *b, __half *c)
{
    const int lane = threadIdx.x, group = lane / 4, in = lane % 4;
    const uint32_t *pa = reinterpret_cast<const uint32_t *>(a), *pb = reinterpret_cast<const uint32_t *>(b);
    uint32_t d[2] = {0, 0};
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3}, {%4}, {%0,%1};"
                 : "+r"(d[0]), "+r"(d[1]) : "r"(pa[group * 4 + in]), "r"(pa[(group + 8) * 4 + in]), "r"(pb[group * 4 + in]));
    reinterpret_cast<uint32_t *>(c)[group * 4 + in] = d[0];
    reinterpret_cast<uint32_t *>(c)[(group + 8) * 4 + in] = d[1];
}

extern "C" __global__ void mma_int8(const uint32_t *a, const uint32_t *b, int *c)
{
    const int lane = threadIdx.x, group = lane / 4, in = lane % 4;
    int d[4] = {0, 0, 0, 0};
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a[group * 8 + in]), "r"(a[(group + 8) * 8 + in]), "r"(a[group * 8 + in + 4]), "r"(a[(group + 8) * 8 + in + 4]),
                   "r"(b[group * 8 + in]), "r"(b[group * 8 + in + 4]));
    c[group * 8 + in * 2] = d[0], c[group * 8 + in * 2 + 1] = d[1];
    c[(group + 8) * 8 + in * 2] = d[2], c[(group + 8) * 8 + in * 2 + 1] = d[3];
}

// Transposes 8 x 8 matrices: ldmatrix straight, stmatrix where it exists, else by .trans.
extern "C" __global__ void matrices_transposed(const __half *x, __half *y)
{
    __shared__ __align__(16) __half s[4 * 64], t[4 * 64];
    const int lane = threadIdx.x;
    reinterpret_cast<uint4 *>(s)[lane] = reinterpret_cast<const uint4 *>(x)[lane];
    __syncwarp();
    uint32_t r[4];
#if __CUDA_ARCH__ >= 900
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(s + lane * 8)));
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" :: "r"(shared_address(t + lane * 8)), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]) : "memory");
#else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(s + lane * 8)));
    for (int i = 0; i < 4; i++)
        reinterpret_cast<uint32_t *>(t)[i * 32 + lane] = r[i];
#endif
    __syncwarp();
    reinterpret_cast<uint4 *>(y)[lane] = reinterpret_cast<uint4 *>(t)[lane];
}
