// Streaming kernels: wide loads and stores, packed halves, tails, cache operators and hints.
// Every size is awkward: no multiple of the vector width, of the block or of the grid.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cstdint>

extern "C" __global__ void axpy_vec4(const float *__restrict__ x, float *__restrict__ y, float a, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const int vectors = n / 4;
    if (i < vectors) {
        const float4 v = reinterpret_cast<const float4 *>(x)[i];
        float4 w = reinterpret_cast<float4 *>(y)[i];
        w.x = fmaf(a, v.x, w.x);
        w.y = fmaf(a, v.y, w.y);
        w.z = fmaf(a, v.z, w.z);
        w.w = fmaf(a, v.w, w.w);
        reinterpret_cast<float4 *>(y)[i] = w;
    } else if (i < vectors + n % 4) {
        const int k = vectors * 4 + (i - vectors);
        y[k] = fmaf(a, x[k], y[k]);
    }
}

__device__ __forceinline__ float low_half(uint32_t u) { return __uint_as_float(u << 16); }
__device__ __forceinline__ float high_half(uint32_t u) { return __uint_as_float(u & 0xffff0000u); }
__device__ __forceinline__ uint32_t pack(float a, float b)
{
    __nv_bfloat162 h = __floats2bfloat162_rn(a, b);
    return *reinterpret_cast<uint32_t *>(&h);
}

extern "C" __global__ void bf16_scale_uint4(const __nv_bfloat16 *x, const __nv_bfloat16 *scale, __nv_bfloat16 *y, int n)
{
    const float s = __bfloat162float(*scale);
    const int stride = gridDim.x * blockDim.x;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n / 8; i += stride) {
        uint4 v = __ldg(reinterpret_cast<const uint4 *>(x) + i);
        uint32_t *p = &v.x;
#pragma unroll
        for (int k = 0; k < 4; k++)
            p[k] = pack(low_half(p[k]) * s, high_half(p[k]) * s);
        reinterpret_cast<uint4 *>(y)[i] = v;
    }
    for (int i = n / 8 * 8 + blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride)
        y[i] = __float2bfloat16_rn(__bfloat162float(x[i]) * s);
}

extern "C" __global__ void silu_mul_half2(const __half2 *gate_up, __half2 *out, int rows, int pairs)
{
    for (int row = blockIdx.y; row < rows; row += gridDim.y) {
        const __half2 *gate = gate_up + (size_t)row * 2 * pairs, *up = gate + pairs;
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < pairs; i += gridDim.x * blockDim.x) {
            const float2 g = __half22float2(__ldg(gate + i));
            const float2 u = __half22float2(__ldg(up + i));
            const float a = g.x / (1.0f + __expf(-g.x)) * u.x;
            const float b = g.y / (1.0f + __expf(-g.y)) * u.y;
            out[(size_t)row * pairs + i] = __floats2half2_rn(a, b);
        }
    }
}

extern "C" __global__ void threshold_bytes_streaming(const uchar4 *x, uchar4 *y, unsigned char level, int quads)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < quads; i += gridDim.x * blockDim.x) {
        uchar4 v = __ldcs(x + i);
        v.x = v.x > level ? 255 : v.x / 2;
        v.y = v.y > level ? 255 : v.y / 2;
        v.z = v.z > level ? 255 : v.z / 2;
        v.w = v.w > level ? 255 : v.w / 2;
        __stcs(y + i, v);
    }
}

__device__ __forceinline__ float4 load_once(const float4 *p)
{
    float4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(p));
    return v;
}
__device__ __forceinline__ void store_once(float4 *p, float4 v)
{
    asm volatile("st.global.L1::no_allocate.v4.f32 [%0], {%1, %2, %3, %4};"
                 :: "l"(p), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w) : "memory");
}

extern "C" __global__ __launch_bounds__(96) void residual_no_allocate(const float4 *x, const float4 *r, float4 *y, int n4)
{
    const int base = blockIdx.x * (96 * 2) + threadIdx.x;
    float4 a[2], b[2];
#pragma unroll
    for (int k = 0; k < 2; k++)
        if (base + k * 96 < n4) {
            a[k] = load_once(x + base + k * 96);
            b[k] = load_once(r + base + k * 96);
        }
#pragma unroll
    for (int k = 0; k < 2; k++)
        if (base + k * 96 < n4)
            store_once(y + base + k * 96, make_float4(a[k].x + b[k].x, a[k].y + b[k].y, a[k].z + b[k].z, a[k].w + b[k].w));
}

extern "C" __global__ void hinted_policies(const int *x, const int *table, int *y, int n)
{
    uint64_t first, last;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(first));
    asm volatile("createpolicy.fractional.L2::evict_last.L2::evict_unchanged.b64 %0, 0.5;" : "=l"(last));
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    int v, t;
    asm volatile("ld.global.L2::cache_hint.b32 %0, [%1], %2;" : "=r"(v) : "l"(x + i), "l"(first));
    asm volatile("ld.global.nc.L1::evict_last.L2::cache_hint.b32 %0, [%1], %2;" : "=r"(t) : "l"(table + (v & 63)), "l"(last));
    asm volatile("prefetch.global.L2 [%0];" :: "l"(table + ((v + 1) & 63)));
    asm volatile("st.global.L1::evict_first.L2::cache_hint.b32 [%0], %1, %2;" :: "l"(y + i), "r"(v ^ t), "l"(first) : "memory");
}

extern "C" __global__ void volume_index(int *out, int nx, int ny, int nz)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    const int z = blockIdx.z * blockDim.z + threadIdx.z;
    if (x < nx && y < ny && z < nz)
        out[(z * ny + y) * nx + x] = x + 100 * y + 10000 * z;
}

extern "C" __global__ void doubles_to_bytes(const double2 *x, uchar2 *y, double scale, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        const double2 v = x[i];
        y[i] = make_uchar2((unsigned char)__double2int_rn(fmin(fmax(v.x * scale, 0.0), 255.0)),
                           (unsigned char)__double2int_rn(fmin(fmax(v.y * scale, 0.0), 255.0)));
    }
}

template <int UNROLL> __device__ void gelu_tile(const float *x, __nv_bfloat16 *y, int n, int start)
{
    float v[UNROLL];
#pragma unroll
    for (int k = 0; k < UNROLL; k++) {
        const int i = start + k * blockDim.x;
        v[k] = i < n ? x[i] : 0.0f;
    }
#pragma unroll
    for (int k = 0; k < UNROLL; k++) {
        const int i = start + k * blockDim.x;
        const float t = tanhf(0.7978845608f * (v[k] + 0.044715f * v[k] * v[k] * v[k]));
        if (i < n)
            y[i] = __float2bfloat16(0.5f * v[k] * (1.0f + t));
    }
}

extern "C" __global__ __launch_bounds__(128, 4) void gelu_persistent(const float *x, __nv_bfloat16 *y, int n)
{
    const int tile = 4 * blockDim.x;
    for (int t = blockIdx.x; t * tile < n; t += gridDim.x)
        gelu_tile<4>(x, y, n, t * tile + threadIdx.x);
}

extern "C" __global__ void blend_bytes_simd(const uint4 *a, const uint4 *b, uint4 *avg, uint4 *diff, int n)
{
    const int i = threadIdx.x + blockIdx.x * blockDim.x;
    if (i >= n)
        return;
    uint4 u = a[i], v = b[i];
    avg[i] = make_uint4(__vavgu4(u.x, v.x), __vavgu4(u.y, v.y), __vavgu4(u.z, v.z), __vavgu4(u.w, v.w));
    diff[i] = make_uint4(__vabsdiffu4(u.x, v.x), __vabsdiffu4(u.y, v.y), __vsubus4(u.z, v.z), __vmaxu4(u.w, v.w));
}

extern "C" __global__ void misaligned_head_body_tail(const float *x, float *y, int offset, int n)
{
    // The head up to the first 16-byte boundary, a body of vectors, a tail.
    const float *p = x + offset;
    float *q = y + offset;
    const int head = (int)((16 - ((uintptr_t)p & 15)) & 15) / 4;
    const int body = (n - head) / 4;
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < head)
        q[i] = -p[i];
    if (i < body) {
        float4 v = *reinterpret_cast<const float4 *>(p + head + 4 * i);
        *reinterpret_cast<float4 *>(q + head + 4 * i) = make_float4(-v.x, -v.y, -v.z, -v.w);
    }
    const int tail = head + 4 * body + i;
    if (tail < n)
        q[tail] = -p[tail];
}
