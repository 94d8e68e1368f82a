// Numerics: the device library in single and double precision, precise and fast, half and bfloat
// intrinsics, conversions with every rounding, eight-bit floats.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cstdint>

extern "C" __global__ void library_single(const float *x, float *y, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const float v = x[i];
    float *o = y + i * 20;
    o[0] = sinf(v), o[1] = cosf(v * 100.0f), o[2] = tanf(v), o[3] = expf(v), o[4] = exp2f(v);
    o[5] = logf(fabsf(v)), o[6] = log2f(fabsf(v) + 1.0f), o[7] = log1pf(v * v), o[8] = expm1f(v * 0.01f), o[9] = tanhf(v);
    o[10] = erff(v), o[11] = erfcf(v), o[12] = powf(fabsf(v), 2.3f), o[13] = cbrtf(v), o[14] = atan2f(v, 0.7f);
    o[15] = asinf(v / 11.0f), o[16] = sinhf(v), o[17] = fmodf(v * 7.0f, 0.375f), o[18] = hypotf(v, 3.0f), o[19] = rsqrtf(fabsf(v));
}

extern "C" __global__ void library_double(const double *x, double *y, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const double v = x[i];
    double *o = y + i * 14;
    o[0] = sin(v * 1e4), o[1] = cos(v), o[2] = exp(v), o[3] = log(fabs(v)), o[4] = tanh(v), o[5] = erf(v), o[6] = pow(fabs(v), -1.7);
    o[7] = sqrt(fabs(v)), o[8] = 1.0 / v, o[9] = atan(v), o[10] = fma(v, v, -1.0), o[11] = lgamma(fabs(v) + 0.5), o[12] = rint(v * 3), o[13] = cbrt(v);
}

extern "C" __global__ void fast_intrinsics(const float *x, float *y, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const float v = x[i];
    float *o = y + i * 12, s, c;
    __sincosf(v, &s, &c);
    o[0] = s, o[1] = c, o[2] = __expf(v), o[3] = __logf(v * v + 0.1f), o[4] = __powf(fabsf(v) + 0.1f, 1.5f), o[5] = __fdividef(v, 3.0f);
    o[6] = __frcp_rn(v), o[7] = __fsqrt_rn(fabsf(v)), o[8] = __exp10f(v * 0.5f), o[9] = __saturatef(v), o[10] = __fmaf_rn(v, v, 0.5f);
    asm("tanh.approx.f32 %0, %1;" : "=f"(o[11]) : "f"(v));
}

// The same sum rounded four ways: bounds of an interval.
extern "C" __global__ void directed_rounding(const float *a, const float *b, float *y, double *z, int n)
{
    const int i = threadIdx.x;
    if (i >= n)
        return;
    float *o = y + i * 12;
    o[0] = __fadd_rn(a[i], b[i]), o[1] = __fadd_rz(a[i], b[i]), o[2] = __fadd_rd(a[i], b[i]), o[3] = __fadd_ru(a[i], b[i]);
    o[4] = __fmul_rn(a[i], b[i]), o[5] = __fmul_rz(a[i], b[i]), o[6] = __fmul_rd(a[i], b[i]), o[7] = __fmul_ru(a[i], b[i]);
    o[8] = __double2float_rn((double)a[i] * 1.1), o[9] = __double2float_rd((double)a[i] * 1.1), o[10] = __double2float_ru((double)a[i] * 1.1);
    o[11] = __int2float_rz(16777217 + i);
    z[i] = __dadd_rn((double)a[i], __dmul_rn((double)b[i], 3.0));
}

extern "C" __global__ void half_intrinsics(const __half2 *x, const __half2 *y, __half2 *out, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const __half2 a = x[i], b = y[i];
    __half2 *o = out + i * 12;
    o[0] = __hadd2(a, b), o[1] = __hsub2(a, b), o[2] = __hmul2(a, b), o[3] = __hfma2(a, b, a), o[4] = __h2div(a, b), o[5] = __hmax2(a, b);
    o[6] = __hmin2(a, __hneg2(b)), o[7] = __habs2(a), o[8] = __hadd2_sat(a, b), o[9] = __hgt2(a, b), o[10] = __lowhigh2highlow(a);
    o[11] = __halves2half2(__hmul_rn(__low2half(a), __high2half(b)), __hfma_relu(__high2half(a), __low2half(b), __low2half(a)));
}

extern "C" __global__ void half_functions(const __half2 *x, __half2 *out, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const __half2 a = x[i], p = __habs2(a);
    __half2 *o = out + i * 8;
    o[0] = h2exp(a), o[1] = h2log(p), o[2] = h2sqrt(p), o[3] = h2rsqrt(p), o[4] = h2sin(a), o[5] = h2exp2(a), o[6] = h2rcp(a), o[7] = h2rint(a);
}

extern "C" __global__ void bfloat_intrinsics(const __nv_bfloat162 *x, const __nv_bfloat162 *y, __nv_bfloat162 *out, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const __nv_bfloat162 a = x[i], b = y[i];
    __nv_bfloat162 *o = out + i * 8;
    o[0] = __hadd2(a, b), o[1] = __hmul2(a, b), o[2] = __hfma2(a, b, b), o[3] = __hmax2(a, b), o[4] = __hneg2(a), o[5] = h2exp(a);
    o[6] = __hlt2(a, b), o[7] = __floats2bfloat162_rn(__low2float(a) + 0.0078125f, __bfloat162float(__float2bfloat16_rz(__high2float(b) * 1.01f)));
}

// Quantises rows to e4m3 with a scale each, and back; e5m2 beside it.
extern "C" __global__ void fp8_round_trip(const float *x, unsigned char *q, float *scale, __half *back, unsigned char *wide, int n)
{
    const float *row = x + blockIdx.x * n;
    float most = 0;
    for (int i = threadIdx.x; i < n; i += 32)
        most = fmaxf(most, fabsf(row[i]));
    for (int o = 16; o; o >>= 1)
        most = fmaxf(most, __shfl_xor_sync(~0u, most, o));
    const float s = most / 448.0f, inv = 1.0f / s;
    for (int i = threadIdx.x; i < n; i += 32) {
        const __nv_fp8_storage_t v = __nv_cvt_float_to_fp8(row[i] * inv, __NV_SATFINITE, __NV_E4M3);
        q[blockIdx.x * n + i] = v;
        back[blockIdx.x * n + i] = __half(__nv_cvt_fp8_to_halfraw(v, __NV_E4M3));
        wide[blockIdx.x * n + i] = __nv_cvt_float_to_fp8(row[i], __NV_SATFINITE, __NV_E5M2);
    }
    if (threadIdx.x == 0)
        scale[blockIdx.x] = s;
}

extern "C" __global__ void float_to_integers(const float *x, int *y, long long *z, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const float v = x[i];
    int *o = y + i * 8;
    o[0] = __float2int_rn(v), o[1] = __float2int_rz(v), o[2] = __float2int_ru(v), o[3] = __float2int_rd(v);
    o[4] = (int)__float2uint_rn(fabsf(v)), o[5] = (signed char)__float2int_rn(fminf(fmaxf(v, -128.0f), 127.0f));
    o[6] = (int)(unsigned short)fabsf(v), o[7] = __half2int_rn(__float2half(v * 0.01f));
    z[i] = __float2ll_rn(v * 1e6f);
}

// Specials go through: infinities, NaN, signed zeros, subnormals, classification.
extern "C" __global__ void special_values(const float *x, int *y, float *z)
{
    const float v = x[threadIdx.x], s = v * 1e-40f;
    int *o = y + threadIdx.x * 6;
    o[0] = isnan(v / v), o[1] = isinf(1.0f / v), o[2] = signbit(-v) != 0, o[3] = isfinite(v * 1e38f * 10.0f), o[4] = s != 0.0f, o[5] = ilogbf(v * 8.0f + 1.0f);
    float *q = z + threadIdx.x * 4;
    q[0] = fmaxf(v, NAN), q[1] = copysignf(2.0f, v), q[2] = truncf(v * 1.7f) + floorf(v) + ceilf(v) + roundf(v * 0.5f), q[3] = ldexpf(v, 3) + nextafterf(1.0f, 2.0f);
}
