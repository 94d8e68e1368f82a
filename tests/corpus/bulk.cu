// Hopper's copies by hand: mbarrier in inline assembly, cp.async.bulk that completes on it, bulk
// stores in groups, producer and consumer warps over a ring of stages.
#include <cuda_bf16.h>
#include <cstdint>

__device__ __forceinline__ uint32_t smem(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }
__device__ __forceinline__ void mbarrier_init(uint64_t *bar, int count) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(smem(bar)), "r"(count) : "memory"); }
__device__ __forceinline__ void mbarrier_expect(uint64_t *bar, int bytes) { asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(smem(bar)), "r"(bytes) : "memory"); }
__device__ __forceinline__ void mbarrier_arrive(uint64_t *bar) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(smem(bar)) : "memory"); }
__device__ __forceinline__ void mbarrier_wait(uint64_t *bar, int parity)
{
    asm volatile("{\n"
                 ".reg .pred P1;\n"
                 "LAB_WAIT:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 P1, [%0], %1;\n"
                 "@P1 bra DONE;\n"
                 "bra LAB_WAIT;\n"
                 "DONE:\n"
                 "}\n" :: "r"(smem(bar)), "r"(parity) : "memory");
}
__device__ __forceinline__ void bulk_load(void *to, const void *from, int bytes, uint64_t *bar)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
                 :: "r"(smem(to)), "l"(from), "r"(bytes), "r"(smem(bar)) : "memory");
}
__device__ __forceinline__ void bulk_store(void *to, const void *from, int bytes)
{
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" :: "l"(to), "r"(smem(from)), "r"(bytes) : "memory");
}

// One load, one store, the whole row.
extern "C" __global__ void bulk_row_scale(const float *x, float *y, int n, float scale)
{
    extern __shared__ __align__(128) float row[];
    __shared__ uint64_t bar;
    if (threadIdx.x == 0) {
        mbarrier_init(&bar, 1);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        mbarrier_expect(&bar, n * 4);
        bulk_load(row, x + (size_t)blockIdx.x * n, n * 4, &bar);
    }
    mbarrier_wait(&bar, 0);
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        row[i] *= scale;
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    if (threadIdx.x == 0) {
        bulk_store(y + (size_t)blockIdx.x * n, row, n * 4);
        asm volatile("cp.async.bulk.commit_group;" ::: "memory");
        asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
    }
}

// A ring of three stages, a full and an empty barrier each; warp 0 loads, warps 1 to 3 add up.
extern "C" __global__ __launch_bounds__(128) void bulk_producer_consumer(const __nv_bfloat16 *x, float *sums, int tiles)
{
    constexpr int STAGES = 3, TILE = 192;
    __shared__ __align__(128) __nv_bfloat16 ring[STAGES][TILE];
    __shared__ uint64_t full[STAGES], empty[STAGES];
    if (threadIdx.x == 0)
        for (int s = 0; s < STAGES; s++) {
            mbarrier_init(&full[s], 1);
            mbarrier_init(&empty[s], 96);
        }
    asm volatile("fence.proxy.async;" ::: "memory");
    __syncthreads();
    if (threadIdx.x < 32) {
        if (threadIdx.x == 0)
            for (int t = 0; t < tiles; t++) {
                const int s = t % STAGES;
                if (t >= STAGES)
                    mbarrier_wait(&empty[s], (t / STAGES - 1) & 1);
                mbarrier_expect(&full[s], TILE * 2);
                bulk_load(ring[s], x + ((size_t)blockIdx.x * tiles + t) * TILE, TILE * 2, &full[s]);
            }
        return;
    }
    const int i = threadIdx.x - 32;
    float a = 0, b = 0;
    for (int t = 0; t < tiles; t++) {
        const int s = t % STAGES;
        mbarrier_wait(&full[s], t / STAGES & 1);
        a += __bfloat162float(ring[s][2 * i]);
        b += __bfloat162float(ring[s][2 * i + 1]);
        mbarrier_arrive(&empty[s]);
    }
    sums[blockIdx.x * TILE + 2 * i] = a;
    sums[blockIdx.x * TILE + 2 * i + 1] = b;
}

// Two stores in flight, the buffer reused once its group has been read.
extern "C" __global__ void bulk_store_groups(int *out, int chunks)
{
    __shared__ __align__(16) int s[2][64];
    for (int c = 0; c < chunks; c++) {
        if (threadIdx.x == 0)
            asm volatile("cp.async.bulk.wait_group.read 1;" ::: "memory");
        __syncthreads();
        s[c & 1][threadIdx.x] = blockIdx.x * 100000 + c * 100 + threadIdx.x;
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        __syncthreads();
        if (threadIdx.x == 0) {
            bulk_store(out + (blockIdx.x * chunks + c) * 64, s[c & 1], 256);
            asm volatile("cp.async.bulk.commit_group;" ::: "memory");
        }
    }
    if (threadIdx.x == 0)
        asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

// The reduction that a bulk store can do on its way.
extern "C" __global__ void bulk_reduce_add(const float *x, float *total)
{
    __shared__ __align__(16) float s[64];
    s[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" :: "l"(total), "r"(smem(s)), "r"(256) : "memory");
        asm volatile("cp.async.bulk.commit_group;" ::: "memory");
        asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
    }
}

// Phases of a barrier as a token and by test_wait, arrivals of several at once, old cp.async on it.
extern "C" __global__ __launch_bounds__(64) void mbarrier_phases(const int *x, int *y, int rounds)
{
    __shared__ __align__(16) int s[64];
    __shared__ uint64_t bar, copied;
    if (threadIdx.x == 0) {
        mbarrier_init(&bar, 64);
        mbarrier_init(&copied, 64);
    }
    __syncthreads();
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(smem(s + threadIdx.x)), "l"(x + blockIdx.x * 64 + threadIdx.x) : "memory");
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" :: "r"(smem(&copied)) : "memory");
    mbarrier_wait(&copied, 0);
    int v = s[63 - threadIdx.x];
    for (int r = 0; r < rounds; r++) {
        uint64_t token;
        uint32_t done = 0;
        asm volatile("mbarrier.arrive.shared::cta.b64 %0, [%1];" : "=l"(token) : "r"(smem(&bar)) : "memory");
        while (!done)
            asm volatile("{ .reg .pred p; mbarrier.test_wait.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }" : "=r"(done) : "r"(smem(&bar)), "l"(token) : "memory");
        s[threadIdx.x] = v + r;
        asm volatile("mbarrier.arrive.shared::cta.b64 %0, [%1];" : "=l"(token) : "r"(smem(&bar)) : "memory");
        done = 0;
        while (!done)
            asm volatile("{ .reg .pred p; mbarrier.test_wait.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }" : "=r"(done) : "r"(smem(&bar)), "l"(token) : "memory");
        v = s[(threadIdx.x + 1) & 63];
    }
    y[blockIdx.x * 64 + threadIdx.x] = v;
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.inval.shared::cta.b64 [%0];" :: "r"(smem(&bar)) : "memory");
        asm volatile("mbarrier.inval.shared::cta.b64 [%0];" :: "r"(smem(&copied)) : "memory");
    }
}
