// Cooperative groups as libraries use them: tiles of several widths, reduce, scans, labelled and
// coalesced groups, partition by the value of a lane.
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
namespace cg = cooperative_groups;

extern "C" __global__ void tile_reduce(const float *x, float *y, int n)
{
    cg::thread_block block = cg::this_thread_block();
    cg::thread_block_tile<32> warp = cg::tiled_partition<32>(block);
    __shared__ float part[8];
    float s = 0;
    for (int i = block.thread_rank(); i < n; i += block.size())
        s += x[blockIdx.x * n + i];
    s = cg::reduce(warp, s, cg::plus<float>());
    if (warp.thread_rank() == 0)
        part[warp.meta_group_rank()] = s;
    cg::sync(block);
    if (warp.meta_group_rank() == 0) {
        s = warp.thread_rank() < warp.meta_group_size() ? part[warp.thread_rank()] : 0.0f;
        s = cg::reduce(warp, s, cg::plus<float>());
        if (warp.thread_rank() == 0)
            y[blockIdx.x] = s;
    }
}

extern "C" __global__ void tile_scan(const int *x, int *inclusive, int *exclusive, int *most)
{
    auto tile = cg::tiled_partition<16>(cg::this_thread_block());
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    inclusive[i] = cg::inclusive_scan(tile, x[i]);
    exclusive[i] = cg::exclusive_scan(tile, x[i]);
    most[i] = cg::reduce(tile, x[i], cg::greater<int>());
}

extern "C" __global__ void small_tiles(const int *x, int *y)
{
    auto four = cg::tiled_partition<4>(cg::this_thread_block());
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    int v = x[i];
    v += four.shfl_xor(v, 1);
    v += four.shfl_xor(v, 2);
    const unsigned odd = four.ballot(x[i] & 1);
    y[i] = v * 16 + odd + (four.any(x[i] > 90) ? 1000000 : 0) + (four.all(x[i] > 20) ? 2000000 : 0);
}

// The atomic that the compiler's coalesced group makes one per warp.
extern "C" __global__ void coalesced_filter(const int *x, int *out, int *count, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && x[i] % 3 == 0) {
        cg::coalesced_group g = cg::coalesced_threads();
        int at = 0;
        if (g.thread_rank() == 0)
            at = atomicAdd(count, g.size());
        out[g.shfl(at, 0) + g.thread_rank()] = x[i];
    }
}

extern "C" __global__ void labelled_groups(const int *x, int *sum, int *size)
{
    auto warp = cg::tiled_partition<32>(cg::this_thread_block());
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    auto peers = cg::labeled_partition(warp, x[i] % 5);
    sum[i] = cg::reduce(peers, x[i], cg::plus<int>());
    auto half = cg::binary_partition(warp, x[i] > 50);
    size[i] = half.size();
}

extern "C" __global__ void three_d_block(const float *x, float *y)
{
    cg::thread_block b = cg::this_thread_block();
    cg::grid_group g = cg::this_grid();
    const dim3 t = b.thread_index(), d = b.group_dim();
    const unsigned linear = (t.z * d.y + t.y) * d.x + t.x;
    y[g.thread_rank()] = x[g.block_rank() * b.num_threads() + linear] + b.thread_rank();
}
