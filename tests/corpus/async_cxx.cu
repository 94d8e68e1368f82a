// Asynchronous copies through libcu++ and cooperative groups: cuda::pipeline, cuda::memcpy_async,
// cuda::barrier, a producer and a consumer half of a block.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cuda/barrier>
#include <cuda/pipeline>
namespace cg = cooperative_groups;

extern "C" __global__ void groups_memcpy_async(const int *x, int *y, int n)
{
    extern __shared__ int tile[];
    auto block = cg::this_thread_block();
    const int width = 2 * block.size();
    for (int first = blockIdx.x * width; first < n; first += gridDim.x * width) {
        const int count = min(width, n - first);
        cg::memcpy_async(block, tile, x + first, sizeof(int) * count);
        cg::wait(block);
        for (int i = threadIdx.x; i < count; i += block.size())
            y[first + i] = tile[count - 1 - i] * 3;
        block.sync();
    }
}

extern "C" __global__ void barrier_memcpy_async(const float *x, float *y)
{
    using barrier = cuda::barrier<cuda::thread_scope_block>;
    __shared__ __align__(16) float s[128];
#pragma nv_diag_suppress static_var_with_dynamic_init
    __shared__ barrier bar;
    auto block = cg::this_thread_block();
    if (block.thread_rank() == 0)
        init(&bar, block.size());
    block.sync();
    cuda::memcpy_async(block, s, x + blockIdx.x * 128, cuda::aligned_size_t<16>(sizeof s), bar);
    bar.arrive_and_wait();
    y[blockIdx.x * 128 + threadIdx.x] = s[threadIdx.x] - s[(threadIdx.x + 1) % 128];
}

template <int STAGES> __device__ void pipelined(const float *x, float *y, int batches, cuda::pipeline_shared_state<cuda::thread_scope_block, STAGES> *state)
{
    __shared__ __align__(16) float s[STAGES][64];
    auto block = cg::this_thread_block();
    auto pipe = cuda::make_pipeline(block, state);
    float sum = 0;
    for (int compute = 0, fetch = 0; compute < batches; compute++) {
        for (; fetch < batches && fetch < compute + STAGES; fetch++) {
            pipe.producer_acquire();
            cuda::memcpy_async(block, s[fetch % STAGES], x + (blockIdx.x * batches + fetch) * 64, cuda::aligned_size_t<16>(sizeof(float) * 64), pipe);
            pipe.producer_commit();
        }
        pipe.consumer_wait();
        sum += s[compute % STAGES][threadIdx.x] * (compute + 1);
        pipe.consumer_release();
    }
    y[blockIdx.x * 64 + threadIdx.x] = sum;
}

extern "C" __global__ void pipeline_shared_state(const float *x, float *y, int batches)
{
    __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
    pipelined<2>(x, y, batches, &state);
}

extern "C" __global__ void pipeline_of_a_thread(const float *x, float *y, int n)
{
    __shared__ float s[3][96];
    auto pipe = cuda::make_pipeline();
    const float *row = x + blockIdx.x * n;
    float best = -INFINITY;
    int fetched = 0;
    const int rounds = (n + 95) / 96;
    for (int r = 0; r < rounds; r++) {
        for (; fetched < rounds && fetched < r + 3; fetched++) {
            pipe.producer_acquire();
            const int i = fetched * 96 + threadIdx.x;
            if (i < n)
                cuda::memcpy_async(&s[fetched % 3][threadIdx.x], row + i, sizeof(float), pipe);
            pipe.producer_commit();
        }
        pipe.consumer_wait();
        if (r * 96 + threadIdx.x < n)
            best = fmaxf(best, s[r % 3][threadIdx.x]);
        pipe.consumer_release();
    }
    for (int o = 16; o; o >>= 1)
        best = fmaxf(best, __shfl_xor_sync(~0u, best, o));
    if (threadIdx.x % 32 == 0)
        y[blockIdx.x * 3 + threadIdx.x / 32] = best;
}

// Arrival and waiting apart: work that needs nobody in between.
extern "C" __global__ void barrier_split_arrival(const int *x, int *y, int rounds)
{
    using barrier = cuda::barrier<cuda::thread_scope_block>;
    __shared__ int s[64];
    __shared__ barrier bar;
    if (threadIdx.x == 0)
        init(&bar, blockDim.x);
    __syncthreads();
    int v = x[threadIdx.x], own = 0;
    for (int r = 0; r < rounds; r++) {
        s[threadIdx.x] = v;
        barrier::arrival_token token = bar.arrive();
        own += v % 7;
        bar.wait(std::move(token));
        v = s[(threadIdx.x + 1) % 64] + 1;
        bar.arrive_and_wait();
    }
    y[threadIdx.x] = v * 1000 + own;
}
