// RMSNorm, tanh gate and shift with the mapping of the upstream CuTe kernel (docs/README.md): one block per row, eight
// elements per thread in 128-bit vectors, tanh evaluated for every element. Other rows: a block that walks the row.
#include <cuda_bf16.h>

#pragma kda variant bulk when(N % 8 == 0 && N <= 8192)
#pragma kda launch gate_bulk(x, w, scale, shift, y, N, scale_stride, shift_stride, eps) \
        grid(M) block(align_up(N / 8, 32)) smem(2 * N)
#pragma kda variant row8 when(N % 8 == 0 && N <= 8192)
#pragma kda launch gate_row8(x, w, scale, shift, y, N, scale_stride, shift_stride, eps) \
        grid(M) block(align_up(N / 8, 32))
#pragma kda variant any
#pragma kda launch gate_any(x, w, scale, shift, y, N, scale_stride, shift_stride, eps) \
        grid(M) block(min(512, align_up(N, 32)))

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

__device__ __forceinline__ unsigned int pack(float a, float b)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    return *reinterpret_cast<const unsigned int *>(&pair);
}

// The sum over a block, in every thread; blockDim.x is a multiple of 32.
__device__ __forceinline__ float block_sum(float value)
{
    __shared__ float part[32];
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = value;
    __syncthreads();
    value = threadIdx.x % 32 < blockDim.x / 32 ? part[threadIdx.x % 32] : 0.0f;
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

// Two elements: the norm is rounded to bf16, then gated and shifted.
__device__ __forceinline__ unsigned int gated(unsigned int v, float rstd, unsigned int w, unsigned int scale,
                                              unsigned int shift)
{
    const unsigned int n = pack(low(v) * rstd * low(w), high(v) * rstd * high(w));
    return pack(fmaf(low(n), tanhf(low(scale)), low(shift)), fmaf(high(n), tanhf(high(scale)), high(shift)));
}

__global__ void __launch_bounds__(1024)
    gate_row8(const __nv_bfloat16 *x, const __nv_bfloat16 *w, const __nv_bfloat16 *scale, const __nv_bfloat16 *shift,
              __nv_bfloat16 *y, int N, int scale_stride, int shift_stride, float eps)
{
    const size_t row = blockIdx.x;
    const int i = threadIdx.x;
    const bool inside = i < N / 8;
    uint4 v = make_uint4(0, 0, 0, 0);
    if (inside)
        v = reinterpret_cast<const uint4 *>(x + row * N)[i];
    const unsigned int word[4] = {v.x, v.y, v.z, v.w};
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < 4; k++)
        sum = fmaf(low(word[k]), low(word[k]), fmaf(high(word[k]), high(word[k]), sum));
    const float rstd = rsqrtf(block_sum(sum) / N + eps);
    if (!inside)
        return;
    const uint4 g = reinterpret_cast<const uint4 *>(w)[i];
    const uint4 s = reinterpret_cast<const uint4 *>(scale + row * scale_stride)[i];
    const uint4 t = reinterpret_cast<const uint4 *>(shift + row * shift_stride)[i];
    reinterpret_cast<uint4 *>(y + row * N)[i] =
        make_uint4(gated(v.x, rstd, g.x, s.x, t.x), gated(v.y, rstd, g.y, s.y, t.y),
                   gated(v.z, rstd, g.z, s.z, t.z), gated(v.w, rstd, g.w, s.w, t.w));
}

// relative error 2^-11, one instruction
__device__ __forceinline__ float tanh_fast(float v)
{
    float r;
    asm("tanh.approx.f32 %0, %1;" : "=f"(r) : "f"(v));
    return r;
}

__device__ __forceinline__ float squares(uint4 v)
{
    const unsigned int word[4] = {v.x, v.y, v.z, v.w};
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < 4; k++)
        sum = fmaf(low(word[k]), low(word[k]), fmaf(high(word[k]), high(word[k]), sum));
    return sum;
}

// w * tanh(scale) of eight columns in fp32
__device__ __forceinline__ void factors(uint4 g, uint4 s, float (&c)[8])
{
    const unsigned int a[4] = {g.x, g.y, g.z, g.w}, b[4] = {s.x, s.y, s.z, s.w};
#pragma unroll
    for (int k = 0; k < 4; k++) {
        c[2 * k] = low(a[k]) * tanh_fast(low(b[k]));
        c[2 * k + 1] = high(a[k]) * tanh_fast(high(b[k]));
    }
}

// x * rstd * (w * tanh(scale)) + shift, n kept in fp32
__device__ __forceinline__ uint4 apply(uint4 v, float rstd, const float (&c)[8], uint4 t)
{
    return make_uint4(pack(fmaf(low(v.x) * rstd, c[0], low(t.x)), fmaf(high(v.x) * rstd, c[1], high(t.x))),
                      pack(fmaf(low(v.y) * rstd, c[2], low(t.y)), fmaf(high(v.y) * rstd, c[3], high(t.y))),
                      pack(fmaf(low(v.z) * rstd, c[4], low(t.z)), fmaf(high(v.z) * rstd, c[5], high(t.z))),
                      pack(fmaf(low(v.w) * rstd, c[6], low(t.w)), fmaf(high(v.w) * rstd, c[7], high(t.w))));
}

__device__ __forceinline__ const uint4 *vec(const __nv_bfloat16 *p)
{
    return reinterpret_cast<const uint4 *>(p);
}

__device__ __forceinline__ unsigned int shared_address(const void *p)
{
    return static_cast<unsigned int>(__cvta_generic_to_shared(p));
}

__device__ __forceinline__ void barrier_init(unsigned long long *bar)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(bar)) : "memory");
}

__device__ __forceinline__ void barrier_expect(unsigned long long *bar, int bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(bar)), "r"(bytes)
                 : "memory");
}

// Waits for the phase of the given parity.
__device__ __forceinline__ void barrier_wait(unsigned long long *bar, int parity)
{
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@done bra ready;\n"
                 "bra again;\n"
                 "ready:\n"
                 "}\n" ::"r"(shared_address(bar)), "r"(parity)
                 : "memory");
}

__device__ __forceinline__ void bulk_load(void *to, const void *from, int bytes, unsigned long long *bar)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(bar))
                 : "memory");
}

__global__ void __launch_bounds__(1024, 2)
    gate_bulk(const __nv_bfloat16 *x, const __nv_bfloat16 *w, const __nv_bfloat16 *scale, const __nv_bfloat16 *shift,
              __nv_bfloat16 *y, int N, int scale_stride, int shift_stride, float eps)
{
    extern __shared__ __align__(128) uint4 stage[];
    __shared__ __align__(8) unsigned long long full;
    const size_t row = blockIdx.x;
    const int i = threadIdx.x;
    const bool inside = i < N / 8;
    uint4 v = make_uint4(0, 0, 0, 0), g = v, s = v;
    if (i == 0) {
        barrier_init(&full);
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        barrier_expect(&full, 2 * N);
        bulk_load(stage, shift + row * shift_stride, 2 * N, &full);
    }
    if (inside) {
        v = __ldcs(vec(x + row * N) + i);
        g = vec(w)[i];
        s = vec(scale + row * scale_stride)[i];
    }
    float c[8];
    factors(g, s, c);
    const float rstd = rsqrtf(block_sum(squares(v)) / N + eps);
    if (!inside)
        return;
    barrier_wait(&full, 0);
    __stcs(reinterpret_cast<uint4 *>(y + row * N) + i, apply(v, rstd, c, stage[i]));
}

__global__ void __launch_bounds__(512)
    gate_any(const __nv_bfloat16 *x, const __nv_bfloat16 *w, const __nv_bfloat16 *scale, const __nv_bfloat16 *shift,
             __nv_bfloat16 *y, int N, int scale_stride, int shift_stride, float eps)
{
    const size_t row = blockIdx.x;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < N; i += blockDim.x) {
        const float v = __bfloat162float(x[row * N + i]);
        sum = fmaf(v, v, sum);
    }
    const float rstd = rsqrtf(block_sum(sum) / N + eps);
    for (int i = threadIdx.x; i < N; i += blockDim.x) {
        const __nv_bfloat16 n =
            __float2bfloat16_rn(__bfloat162float(x[row * N + i]) * rstd * __bfloat162float(w[i]));
        const float gate = tanhf(__bfloat162float(scale[row * scale_stride + i]));
        y[row * N + i] = __float2bfloat16_rn(
            fmaf(__bfloat162float(n), gate, __bfloat162float(shift[row * shift_stride + i])));
    }
}
