// Clusters and the shared memory of other blocks.
#include <cooperative_groups.h>
namespace cg = cooperative_groups;

// The neighbour's shared memory is read before the neighbour has written it.
extern "C" __global__ void remote_before_sync(const float *x, float *y)
{
    __shared__ float s[32];
    cg::cluster_group cluster = cg::this_cluster();
    int t = threadIdx.x, i = blockIdx.x * 32 + t;
    s[t] = x[i]; // BUG
#ifdef FIXED
    cluster.sync();
#else
    __syncthreads();
#endif
    const float *other = cluster.map_shared_rank(s, cluster.block_rank() ^ 1);
    y[i] = other[31 - t]; // BUG
    cluster.sync();
}

// The second block leaves while the first one still needs its memory.
extern "C" __global__ void remote_after_exit(const float *x, float *y, int rounds)
{
    __shared__ float s[32];
    cg::cluster_group cluster = cg::this_cluster();
    int t = threadIdx.x, i = blockIdx.x * 32 + t;
    s[t] = x[i];
    cluster.sync();
    if (cluster.block_rank() == 0) {
        const float *other = cluster.map_shared_rank(s, 1);
        float sum = 0;
        for (int k = 0; k < rounds; k++)
            sum += *(volatile const float *)&other[t]; // BUG
        y[i] = sum / rounds;
    } else {
        y[i] = x[i];
    }
#ifdef FIXED
    cluster.sync();
#endif
}

// A rank that the cluster does not have.
extern "C" __global__ void rank_too_high(const float *x, float *y)
{
    __shared__ float s[32];
    cg::cluster_group cluster = cg::this_cluster();
    int t = threadIdx.x, i = blockIdx.x * 32 + t;
    s[t] = x[i];
    cluster.sync();
#ifdef FIXED
    unsigned next = (cluster.block_rank() + 1) % cluster.num_blocks();
#else
    unsigned next = cluster.block_rank() + 1;
#endif
    const float *other = cluster.map_shared_rank(s, next); // BUG
    y[i] = other[t]; // BUG
    cluster.sync();
}

// Behind the end of the neighbour's array.
extern "C" __global__ void remote_past_end(const float *x, float *y)
{
    __shared__ float s[32];
    cg::cluster_group cluster = cg::this_cluster();
    int t = threadIdx.x, i = blockIdx.x * 32 + t;
    s[t] = x[i];
    cluster.sync();
    const float *other = cluster.map_shared_rank(s, cluster.block_rank() ^ 1);
#ifdef FIXED
    y[i] = other[31 - t];
#else
    y[i] = other[32 - t]; // BUG
#endif
    cluster.sync();
}

// The counter of the first block is cleared behind a barrier of that block only.
extern "C" __global__ void counter_cleared_late(int *y)
{
    __shared__ int count;
    cg::cluster_group cluster = cg::this_cluster();
    int t = threadIdx.x;
    if (t == 0)
        count = 0; // BUG
#ifdef FIXED
    cluster.sync();
#else
    __syncthreads();
#endif
    int *first = cluster.map_shared_rank(&count, 0);
    atomicAdd(first, 1); // BUG
    cluster.sync();
    y[blockIdx.x * 32 + t] = *first;
    cluster.sync();
}

// Waiting at the cluster's barrier without having arrived.
extern "C" __global__ void cluster_wait_only(float *y)
{
#ifdef FIXED
    asm volatile("barrier.cluster.arrive.aligned;" ::: "memory");
#endif
    asm volatile("barrier.cluster.wait.aligned;" ::: "memory"); // BUG
    y[blockIdx.x * 32 + threadIdx.x] = 1;
}

// What is sent to the neighbour is read there behind a barrier of the block.
extern "C" __global__ void remote_store_local_barrier(const float *x, float *y)
{
    __shared__ float s[32];
    cg::cluster_group cluster = cg::this_cluster();
    int t = threadIdx.x, i = blockIdx.x * 32 + t;
    s[t] = 0; // BUG
    cluster.sync();
    float *other = cluster.map_shared_rank(s, cluster.block_rank() ^ 1);
    other[t] = x[i]; // BUG
#ifdef FIXED
    cluster.sync();
#else
    __syncthreads();
#endif
    y[i] = s[31 - t]; // BUG
    cluster.sync();
}
