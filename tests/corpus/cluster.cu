// Clusters of blocks with distributed shared memory: through cooperative groups and by hand, sizes
// fixed in the source and given at launch, barriers in one and in two halves.
#include <cooperative_groups.h>
#include <cstdint>
namespace cg = cooperative_groups;

// A histogram whose bins are spread over the blocks of a cluster.
extern "C" __global__ void __cluster_dims__(4, 1, 1) cluster_histogram(const unsigned char *x, int *bins, int n)
{
    __shared__ int part[64];
    cg::cluster_group cluster = cg::this_cluster();
    for (int i = threadIdx.x; i < 64; i += blockDim.x)
        part[i] = 0;
    cluster.sync();
    const int per = n / (gridDim.x / 4), first = blockIdx.x / 4 * per;
    for (int i = first + cluster.thread_rank(); i < first + per; i += cluster.num_threads()) {
        const int bin = x[i];
        int *there = cluster.map_shared_rank(part, bin / 64);
        atomicAdd(there + bin % 64, 1);
    }
    cluster.sync();
    for (int i = threadIdx.x; i < 64; i += blockDim.x)
        atomicAdd(bins + cluster.block_rank() * 64 + i, part[i]);
}

// A row per cluster: the blocks' sums meet in everybody's shared memory, by hand.
extern "C" __global__ void __cluster_dims__(2, 1, 1) cluster_rms_norm(const float *x, float *y, int n, float eps)
{
    __shared__ float part[4], sums[2];
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    const int row = blockIdx.x / 2, half = n / 2;
    const float *mine = x + (size_t)row * n + rank * half;
    float s = 0;
    for (int i = threadIdx.x; i < half; i += blockDim.x)
        s += mine[i] * mine[i];
    for (int o = 16; o; o >>= 1)
        s += __shfl_xor_sync(~0u, s, o);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = s;
    __syncthreads();
    if (threadIdx.x < 2) {
        s = 0;
        for (int w = 0; w < blockDim.x / 32; w++)
            s += part[w];
        uint32_t here = (uint32_t)__cvta_generic_to_shared(&sums[rank]), there;
        asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(threadIdx.x));
        asm volatile("st.shared::cluster.f32 [%0], %1;" :: "r"(there), "f"(s) : "memory");
    }
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
    const float inv = rsqrtf((sums[0] + sums[1]) / n + eps);
    for (int i = threadIdx.x; i < half; i += blockDim.x)
        y[(size_t)row * n + rank * half + i] = mine[i] * inv;
}

// The size comes with the launch. A ring: each block reads its neighbour's tile.
extern "C" __global__ void cluster_ring(const int *x, int *y)
{
    __shared__ int tile[64];
    cg::cluster_group cluster = cg::this_cluster();
    const unsigned rank = cluster.block_rank(), blocks = cluster.num_blocks();
    tile[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
    auto token = cluster.barrier_arrive();
    int own = tile[threadIdx.x] * 2;
    cluster.barrier_wait(std::move(token));
    const int *next = cluster.map_shared_rank(tile, (rank + 1) % blocks);
    own += next[63 - threadIdx.x];
    cluster.sync();
    y[blockIdx.x * 64 + threadIdx.x] = own + 1000000 * (int)blocks;
}

// Two-dimensional clusters; loads from a remote window, special registers by hand.
extern "C" __global__ void __cluster_dims__(2, 2, 1) cluster_exchange(const double *x, double *y, int *where)
{
    __shared__ double s[32];
    uint32_t cx, cy, rank, count;
    asm volatile("mov.u32 %0, %%cluster_ctaid.x;" : "=r"(cx));
    asm volatile("mov.u32 %0, %%cluster_ctaid.y;" : "=r"(cy));
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(count));
    const int block = blockIdx.y * gridDim.x + blockIdx.x;
    s[threadIdx.x] = x[block * 32 + threadIdx.x];
    asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
    uint32_t there;
    double v;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"((uint32_t)__cvta_generic_to_shared(s + threadIdx.x)), "r"(count - 1 - rank));
    asm volatile("ld.shared::cluster.f64 %0, [%1];" : "=d"(v) : "r"(there) : "memory");
    asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
    y[block * 32 + threadIdx.x] = v;
    if (threadIdx.x == 0)
        where[block] = cx + 10 * cy + 100 * rank + 1000 * count;
}

// A block signals another's mbarrier after it has written there.
extern "C" __global__ void __cluster_dims__(2, 1, 1) cluster_mbarrier(const float *x, float *y)
{
    __shared__ float inbox[64];
    __shared__ uint64_t bar;
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    const uint32_t mine = (uint32_t)__cvta_generic_to_shared(&bar);
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 64;" :: "r"(mine) : "memory");
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    cg::this_cluster().sync();
    uint32_t box, remote;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(box) : "r"((uint32_t)__cvta_generic_to_shared(inbox + threadIdx.x)), "r"(rank ^ 1));
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(mine), "r"(rank ^ 1));
    asm volatile("st.shared::cluster.f32 [%0], %1;" :: "r"(box), "f"(x[blockIdx.x * 64 + threadIdx.x] + 1.0f) : "memory");
    asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" :: "r"(remote) : "memory");
    asm volatile("{\n.reg .pred p;\nAGAIN:\nmbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%0], 0;\n@!p bra AGAIN;\n}" :: "r"(mine) : "memory");
    y[blockIdx.x * 64 + threadIdx.x] = inbox[63 - threadIdx.x];
    cg::this_cluster().sync();
}
