// Vector accesses at addresses that are no multiple of their size.
#include <cuda_bf16.h>

// Rows of 33: only every fourth begins at a multiple of 16 bytes.
extern "C" __global__ void odd_rows(const float *x, float *y, int cols)
{
    const float *row = x + blockIdx.x * cols;
    int c = threadIdx.x * 4;
#ifdef FIXED
    float4 v = make_float4(row[c], row[c + 1], row[c + 2], row[c + 3]);
#else
    float4 v = *reinterpret_cast<const float4 *>(row + c); // BUG
#endif
    y[blockIdx.x * blockDim.x + threadIdx.x] = v.x + v.y + v.z + v.w;
}

// A pair that begins at an odd element.
extern "C" __global__ void pair_at_odd(const __nv_bfloat16 *x, float *y, int shift)
{
    int i = 2 * threadIdx.x + shift;
#ifdef FIXED
    y[threadIdx.x] = __bfloat162float(x[i]) + __bfloat162float(x[i + 1]);
#else
    __nv_bfloat162 v = *reinterpret_cast<const __nv_bfloat162 *>(x + i); // BUG
    y[threadIdx.x] = __low2float(v) + __high2float(v);
#endif
}

// Eight halves at a time in rows of twelve.
extern "C" __global__ void rows_of_twelve(const __nv_bfloat16 *x, __nv_bfloat16 *y)
{
    int row = threadIdx.x;
#ifdef FIXED
    for (int k = 0; k < 3; k++)
        *reinterpret_cast<uint2 *>(y + row * 12 + 4 * k) =
            *reinterpret_cast<const uint2 *>(x + row * 12 + 4 * k);
#else
    *reinterpret_cast<uint4 *>(y + row * 12) = *reinterpret_cast<const uint4 *>(x + row * 12); // BUG
    *reinterpret_cast<uint2 *>(y + row * 12 + 8) =
        *reinterpret_cast<const uint2 *>(x + row * 12 + 8);
#endif
}

// A store of two floats at an odd column.
extern "C" __global__ void store_at_odd(float *y)
{
    int i = 2 * threadIdx.x;
#ifdef FIXED
    y[i] = y[i + 1] = 5;
    if (threadIdx.x == 0)
        y[2 * blockDim.x] = 5;
#else
    y[0] = 5;
    *reinterpret_cast<float2 *>(y + i + 1) = make_float2(5, 5); // BUG
#endif
}

// Vectors in shared memory behind an array whose size is no multiple of 16.
extern "C" __global__ void shared_after_flags(const float *x, float *y)
{
    extern __shared__ __align__(16) unsigned char raw[];
    int t = threadIdx.x;
#ifdef FIXED
    float4 *tile = reinterpret_cast<float4 *>(raw + 48);
#else
    float4 *tile = reinterpret_cast<float4 *>(raw + 36);
#endif
    if (t < 9)
        reinterpret_cast<int *>(raw)[t] = t;
    tile[t] = reinterpret_cast<const float4 *>(x)[t]; // BUG
    __syncthreads();
    float4 v = tile[blockDim.x - 1 - t];
    y[t] = v.x + v.y + v.z + v.w;
}

// Padding of one float for the banks moves the vectors of every row but the first.
extern "C" __global__ void shared_padded_vectors(const float *x, float *y)
{
#ifdef FIXED
    __shared__ __align__(16) float s[8][36];
#else
    __shared__ __align__(16) float s[8][33];
#endif
    int c = threadIdx.x, r = threadIdx.y;
    *reinterpret_cast<float4 *>(&s[r][4 * c]) = reinterpret_cast<const float4 *>(x)[r * 8 + c]; // BUG
    __syncthreads();
    y[r * 8 + c] = s[c][4 * r];
}

// A double behind an odd number of floats.
extern "C" __global__ void double_after_floats(float *y, int floats)
{
    extern __shared__ __align__(16) float words[];
    int t = threadIdx.x;
#ifdef FIXED
    floats = (floats + 1) / 2 * 2;
#endif
    double *sum = reinterpret_cast<double *>(words + floats);
    if (t == 0)
        *sum = 4; // BUG
    __syncthreads();
    y[t] = *sum;
}

// Asynchronous copies of 16 bytes from rows of 8.
extern "C" __global__ void async_rows_of_eight(const float *x, float *y)
{
    __shared__ __align__(16) float s[32][4];
    int t = threadIdx.x;
    unsigned to = (unsigned)__cvta_generic_to_shared(&s[t][0]);
    const float *from = x + 2 * t;
#ifdef FIXED
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(to), "l"(from) : "memory");
#else
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory"); // BUG
#endif
    asm volatile("cp.async.commit_group;\ncp.async.wait_group 0;" ::: "memory");
    y[t] = s[t][0] + s[t][1];
}

// A counter of 64 bits laid over the words of a header.
extern "C" __global__ void wide_atomic(int *y)
{
#ifdef FIXED
    int at = 2;
#else
    int at = 1;
#endif
    atomicAdd(reinterpret_cast<unsigned long long *>(y + at), 1ull); // BUG
}

// ldmatrix wants rows that begin at multiples of 16 bytes; these are 40 bytes long.
extern "C" __global__ void matrix_rows(const __nv_bfloat16 *x, float *y)
{
#ifdef FIXED
    __shared__ __align__(16) __nv_bfloat16 s[8][24];
#else
    __shared__ __align__(16) __nv_bfloat16 s[8][20];
#endif
    int t = threadIdx.x;
    for (int c = t % 4; c < 8; c += 4)
        s[t / 4][c] = x[t / 4 * 8 + c];
    __syncthreads();
    unsigned from = (unsigned)__cvta_generic_to_shared(&s[t % 8][0]), v;
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(v) : "r"(from)); // BUG
    y[t] = __uint_as_float(v << 16) + __uint_as_float(v & 0xffff0000);
}
