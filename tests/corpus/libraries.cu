// Kernels on top of the toolkit's libraries: cuda::atomic_ref with orders and waiting, CUB's block
// reduction, scan and radix sort, complex numbers, floats of four and six bits.
#include <cub/block/block_load.cuh>
#include <cub/block/block_radix_sort.cuh>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>
#include <cub/warp/warp_reduce.cuh>
#include <cuda/atomic>
#include <cuda/std/array>
#include <cuda/std/bit>
#include <cuda/std/complex>
#include <cuda_fp16.h>
#include <cuda_fp4.h>
#include <cuda_fp6.h>

extern "C" __global__ void atomic_references(const int *x, int *total, unsigned long long *seen, float *sum, int *flag, int *out)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    cuda::atomic_ref<int, cuda::thread_scope_device> add(total[0]), most(total[1]);
    add.fetch_add(x[i], cuda::memory_order_relaxed);
    most.fetch_max(x[i]);
    cuda::atomic_ref<unsigned long long, cuda::thread_scope_system>(*seen).fetch_or(1ull << (x[i] & 63));
    cuda::atomic_ref<float, cuda::thread_scope_device>(*sum).fetch_add(0.25f);
    cuda::atomic_ref<int, cuda::thread_scope_device> signal(flag[blockIdx.x]);
    if (threadIdx.x == 40) {
        out[i] = 17;
        signal.store(1, cuda::memory_order_release);
        signal.notify_all();
    } else if (threadIdx.x < 32) {
        signal.wait(0, cuda::memory_order_acquire);
        out[i] = cuda::atomic_ref<int, cuda::thread_scope_device>(out[blockIdx.x * blockDim.x + 40]).load(cuda::memory_order_acquire) + threadIdx.x;
    } else {
        int expected = -5;
        out[i] = signal.compare_exchange_strong(expected, 9) ? -1 : 100;
    }
}

extern "C" __global__ __launch_bounds__(96) void cub_reduce_scan(const int *x, int *sums, int *prefix, int *warps)
{
    using Reduce = cub::BlockReduce<int, 96>;
    using Scan = cub::BlockScan<int, 96>;
    using Warp = cub::WarpReduce<int>;
    __shared__ union {
        typename Reduce::TempStorage reduce;
        typename Scan::TempStorage scan;
        typename Warp::TempStorage warp[3];
    } s;
    const int i = blockIdx.x * 96 + threadIdx.x, v = x[i];
    const int sum = Reduce(s.reduce).Sum(v);
    __syncthreads();
    int before, total;
    Scan(s.scan).ExclusiveSum(v, before, total);
    __syncthreads();
    const int low = Warp(s.warp[threadIdx.x / 32]).Reduce(v, [](int a, int b) { return a < b ? a : b; });
    prefix[i] = before + total;
    if (threadIdx.x == 0)
        sums[blockIdx.x] = sum;
    if (threadIdx.x % 32 == 0)
        warps[i / 32] = low;
}

extern "C" __global__ __launch_bounds__(64) void cub_radix_sort(const unsigned *x, unsigned *y)
{
    using Load = cub::BlockLoad<unsigned, 64, 4, cub::BLOCK_LOAD_TRANSPOSE>;
    using Sort = cub::BlockRadixSort<unsigned, 64, 4>;
    __shared__ union {
        typename Load::TempStorage load;
        typename Sort::TempStorage sort;
    } s;
    unsigned keys[4];
    Load(s.load).Load(x + blockIdx.x * 256, keys);
    __syncthreads();
    Sort(s.sort).Sort(keys);
    for (int k = 0; k < 4; k++)
        y[blockIdx.x * 256 + threadIdx.x * 4 + k] = keys[k];
}

extern "C" __global__ void complex_powers(const float2 *x, float2 *y, int *bits, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const cuda::std::complex<float> z(x[i].x, x[i].y), one(1.0f, 0.0f);
    const cuda::std::array<int, 3> a{1, 20, 300};
    const cuda::std::complex<float> w = z * z * z - one / (z + cuda::std::complex<float>(3.0f, 0.0f));
    y[i] = make_float2(w.real(), w.imag());
    bits[i] = cuda::std::popcount(cuda::std::bit_cast<unsigned>(x[i].x)) + a[i % 3];
}

// Every code of four and of six bits as a number; numbers to codes of four bits.
extern "C" __global__ void small_floats(const float2 *x, unsigned char *pairs, __half *four, __half *six, int n)
{
    const int i = threadIdx.x;
    if (i < n)
        pairs[i] = __nv_cvt_float2_to_fp4x2(x[i], __NV_E2M1, cudaRoundNearest);
    if (i < 16)
        four[i] = __half(__nv_cvt_fp4_to_halfraw(i, __NV_E2M1));
    if (i < 64)
        six[i] = __half(__nv_cvt_fp6_to_halfraw(i, __NV_E2M3));
}
