// Global memory, constants and variables of the module: reads and writes outside.
#include <cuda_bf16.h>

// The last block has no guard.
extern "C" __global__ void scale_no_guard(const float *x, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
#ifdef FIXED
    if (i >= n)
        return;
#endif
    float v = x[i]; // BUG
    y[i] = 2 * v;
}

// The guard lets one element too many through.
extern "C" __global__ void scale_guard_le(const float *x, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
#ifdef FIXED
    if (i < n)
#else
    if (i <= n)
#endif
        y[i] = 2 * x[i]; // BUG
}

// The same off-by-one where nothing is read.
extern "C" __global__ void fill_le(float *y, int n)
{
    int stride = gridDim.x * blockDim.x;
#ifdef FIXED
    n--;
#endif
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i <= n; i += stride)
        y[i] = i; // BUG
}

// The number of vectors is rounded up: the last one reaches over the end.
extern "C" __global__ void copy_vec_tail(const float *x, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
#ifdef FIXED
    int vectors = n / 4;
    if (i < n % 4)
        y[vectors * 4 + i] = 2 * x[vectors * 4 + i];
#else
    int vectors = (n + 3) / 4;
#endif
    if (i < vectors) {
        float4 v = reinterpret_cast<const float4 *>(x)[i]; // BUG
        reinterpret_cast<float4 *>(y)[i] = make_float4(2 * v.x, 2 * v.y, 2 * v.z, 2 * v.w);
    }
}

// Odd n: the last pair stores two bytes past the end.
extern "C" __global__ void pair_store_tail(__nv_bfloat16 *y, int n)
{
    int i = 2 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n)
        return;
#ifdef FIXED
    if (i + 1 == n) {
        y[i] = __float2bfloat16(3.0f);
        return;
    }
#endif
    *reinterpret_cast<__nv_bfloat162 *>(y + i) = __floats2bfloat162_rn(3.0f, 3.0f); // BUG
}

// The first thread reads before the row.
extern "C" __global__ void stencil_left(const float *x, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
#ifdef FIXED
    float left = i > 0 ? x[i - 1] : 0;
#else
    float left = x[i - 1]; // BUG
#endif
    y[i] = left + x[i];
}

// The last thread reads its right neighbour.
extern "C" __global__ void stencil_right(const float *x, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
#ifdef FIXED
    float right = i + 1 < n ? x[i + 1] : 0;
#else
    float right = x[i + 1]; // BUG
#endif
    y[i] = x[i] + right;
}

// The stride of x is used for y, whose rows have no padding.
extern "C" __global__ void pitch_of_other(const float *x, float *y, int cols, int pitch)
{
    int row = blockIdx.x;
    for (int c = threadIdx.x; c < cols; c += blockDim.x) {
        float v = x[row * pitch + c];
#ifdef FIXED
        y[row * cols + c] = v;
#else
        y[row * pitch + c] = v; // BUG
#endif
    }
}

// Written with the row length of the input: right for square matrices only.
extern "C" __global__ void transpose_not_square(const float *x, float *y, int rows, int cols)
{
    int c = blockIdx.x * blockDim.x + threadIdx.x, r = blockIdx.y;
    if (c >= cols)
        return;
#ifdef FIXED
    y[c * rows + r] = x[r * cols + c];
#else
    y[c * cols + r] = x[r * cols + c]; // BUG
#endif
}

// Each block takes 64 elements without looking, and there is one block too many.
extern "C" __global__ void one_block_too_many(const float *x, float *y, int n)
{
    const float *from = x + blockIdx.x * 64;
#ifdef FIXED
    if (blockIdx.x * 64 >= n)
        return;
#endif
    y[blockIdx.x * 64 + threadIdx.x] = from[threadIdx.x] + 1; // BUG
}

// Row times length overflows 32 bits and becomes negative.
extern "C" __global__ void index_overflow(const unsigned char *x, float *y, int row, int length)
{
#ifdef FIXED
    size_t at = (size_t)row * length + threadIdx.x;
#else
    int at = row * length + threadIdx.x;
#endif
    y[threadIdx.x] = x[at]; // BUG
}

// The index -1 that stands for padding is used.
extern "C" __global__ void gather_padding(const float *x, const int *index, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    int from = index[i];
#ifdef FIXED
    y[i] = from >= 0 ? x[from] : 0;
#else
    y[i] = x[from]; // BUG
#endif
}

// The range check lets a value equal to the number of bins through.
extern "C" __global__ void bins_off_by_one(const int *x, int *bins, int n, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
#ifdef FIXED
    if (x[i] < count)
#else
    if (x[i] <= count)
#endif
        atomicAdd(&bins[x[i]], 1); // BUG
}

// A count of bytes where one of elements is meant.
extern "C" __global__ void clear_bytes(float *y, int bytes)
{
#ifdef FIXED
    bytes /= 4;
#endif
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < bytes; i += gridDim.x * blockDim.x)
        y[i] = 0; // BUG
}

// An optional argument is used although it is not there.
extern "C" __global__ void null_bias(const float *x, const float *bias, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
#ifdef FIXED
    float b = bias != nullptr ? bias[i] : 0;
#else
    float b = bias[i]; // BUG
#endif
    y[i] = x[i] + b;
}

// The second row of blocks starts at a whole tile, of which only a part is left.
extern "C" __global__ void tile_rows(const float *x, float *y, int rows, int cols)
{
    int c = threadIdx.x, first = blockIdx.x * 8;
#ifdef FIXED
    int last = min(first + 8, rows);
#else
    int last = first + 8;
#endif
    for (int r = first; r < last; r++)
        y[r * cols + c] = x[r * cols + c] + 1; // BUG
}

// Unrolled by four, checked only for the first of the four.
extern "C" __global__ void unrolled_tail(const float *x, float *y, int n)
{
    int first = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (first >= n)
        return;
#pragma unroll
    for (int k = 0; k < 4; k++)
#ifdef FIXED
        if (first + k < n)
#endif
            y[first + k] = x[first + k] * 3; // BUG
}

__constant__ float table[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// A table of 16 entries is read at 16.
extern "C" __global__ void constant_table(const int *x, float *y, int n)
{
    int i = threadIdx.x;
    if (i >= n)
        return;
#ifdef FIXED
    int k = min(x[i], 15);
#else
    int k = x[i];
#endif
    y[i] = table[k]; // BUG
}

__device__ int slots[32];

// One slot per thread, made for one warp.
extern "C" __global__ void device_slots(int *y)
{
#ifdef FIXED
    int k = threadIdx.x % 32;
#else
    int k = threadIdx.x;
#endif
    atomicExch(&slots[k], 7); // BUG
    y[threadIdx.x] = atomicAdd(&slots[k], 0);
}

struct sizes {
    int count[4];
};

// A field of the parameters is read past its end.
extern "C" __global__ void parameter_array(const int *x, int *y, sizes s)
{
    int i = threadIdx.x;
#ifdef FIXED
    y[i] = s.count[x[i] & 3];
#else
    y[i] = s.count[x[i]]; // BUG
#endif
}

// The copy of the last, partial tile reads behind the input.
extern "C" __global__ void async_copy_tail(const float *x, float *y, int n)
{
    __shared__ __align__(16) float s[256];
    int first = blockIdx.x * 256 + threadIdx.x * 4;
    unsigned to = (unsigned)__cvta_generic_to_shared(&s[threadIdx.x * 4]);
#ifdef FIXED
    int bytes = min(max(n - first, 0) * 4, 16);
    const float *from = bytes > 0 ? x + first : x;
#else
    int bytes = 16;
    const float *from = x + first;
#endif
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 ::"r"(to), "l"(from), "r"(bytes) : "memory"); // BUG
    asm volatile("cp.async.commit_group;\ncp.async.wait_group 0;" ::: "memory");
    for (int k = 0; k < 4 && first + k < n; k++)
        y[first + k] = s[threadIdx.x * 4 + k];
}
