// Softmax and its relatives: three passes, online in one, a row per warp, masked, log-softmax,
// cross entropy with its gradient, log-sum-exp merged over splits.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

__device__ __forceinline__ float warp_max(float v)
{
    for (int o = 16; o > 0; o /= 2)
        v = fmaxf(v, __shfl_xor_sync(~0u, v, o));
    return v;
}
__device__ __forceinline__ float warp_total(float v)
{
    for (int o = 16; o > 0; o /= 2)
        v += __shfl_xor_sync(~0u, v, o);
    return v;
}

extern "C" __global__ void softmax_warp_rows(const __half *x, __half *y, int rows, int n)
{
    const int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows)
        return;
    float v[4], most = -INFINITY, sum = 0;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const int i = lane + 32 * k;
        v[k] = i < n ? __half2float(x[row * n + i]) : -INFINITY;
        most = fmaxf(most, v[k]);
    }
    most = warp_max(most);
#pragma unroll
    for (int k = 0; k < 4; k++) {
        v[k] = __expf(v[k] - most);
        sum += v[k];
    }
    sum = warp_total(sum);
#pragma unroll
    for (int k = 0; k < 4; k++)
        if (lane + 32 * k < n)
            y[row * n + lane + 32 * k] = __float2half(v[k] / sum);
}

struct MaxSum {
    float m, d;
};
__device__ __forceinline__ MaxSum merge(MaxSum a, MaxSum b)
{
    const float m = fmaxf(a.m, b.m);
    if (m == -INFINITY)
        return {m, 0.0f};
    return {m, a.d * expf(a.m - m) + b.d * expf(b.m - m)};
}

extern "C" __global__ void softmax_online(const float *x, float *y, int n)
{
    __shared__ MaxSum part[8];
    const float *row = x + blockIdx.x * (size_t)n;
    MaxSum s = {-INFINITY, 0.0f};
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        s = merge(s, {row[i], 1.0f});
    for (int o = 16; o; o >>= 1)
        s = merge(s, {__shfl_down_sync(~0u, s.m, o), __shfl_down_sync(~0u, s.d, o)});
    if ((threadIdx.x & 31) == 0)
        part[threadIdx.x >> 5] = s;
    __syncthreads();
    s = part[0];
    for (int w = 1; w < blockDim.x / 32; w++)
        s = merge(s, part[w]);
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        y[blockIdx.x * (size_t)n + i] = expf(row[i] - s.m) / s.d;
}

// Causal rows of scores, scaled; columns beyond the diagonal become zero.
extern "C" __global__ void softmax_causal(const __nv_bfloat16 *x, __nv_bfloat16 *y, int n, float scale)
{
    const int row = blockIdx.x, lane = threadIdx.x;
    float most = -1e30f, sum = 0.0f;
    for (int i = lane; i <= row; i += 32)
        most = fmaxf(most, __bfloat162float(x[row * n + i]) * scale);
    most = warp_max(most);
    for (int i = lane; i <= row; i += 32)
        sum += exp2f((__bfloat162float(x[row * n + i]) * scale - most) * 1.44269504f);
    const float inv = __fdividef(1.0f, warp_total(sum));
    for (int i = lane; i < n; i += 32)
        y[row * n + i] = i > row ? __float2bfloat16(0.0f) : __float2bfloat16(exp2f((__bfloat162float(x[row * n + i]) * scale - most) * 1.44269504f) * inv);
}

extern "C" __global__ void log_softmax_rows(const double *x, double *y, int n)
{
    __shared__ double s[64];
    const double *row = x + blockIdx.x * n;
    double m = -INFINITY;
    for (int i = threadIdx.x; i < n; i += 64)
        m = fmax(m, row[i]);
    s[threadIdx.x] = m;
    __syncthreads();
    for (int o = 32; o; o >>= 1) {
        if (threadIdx.x < o)
            s[threadIdx.x] = fmax(s[threadIdx.x], s[threadIdx.x + o]);
        __syncthreads();
    }
    m = s[0];
    __syncthreads();
    double t = 0;
    for (int i = threadIdx.x; i < n; i += 64)
        t += exp(row[i] - m);
    s[threadIdx.x] = t;
    __syncthreads();
    for (int o = 32; o; o >>= 1) {
        if (threadIdx.x < o)
            s[threadIdx.x] += s[threadIdx.x + o];
        __syncthreads();
    }
    const double lse = m + log(s[0]);
    for (int i = threadIdx.x; i < n; i += 64)
        y[blockIdx.x * n + i] = row[i] - lse;
}

// Loss and gradient of a row in one kernel; a label of -1 is ignored.
extern "C" __global__ __launch_bounds__(128) void cross_entropy(const __nv_bfloat162 *logits, const int *label, float *loss, __nv_bfloat162 *grad, int pairs)
{
    __shared__ float red[2][4];
    const __nv_bfloat162 *row = logits + (size_t)blockIdx.x * pairs;
    const int target = label[blockIdx.x];
    float m = -INFINITY;
    for (int i = threadIdx.x; i < pairs; i += 128) {
        const float2 f = __bfloat1622float2(row[i]);
        m = fmaxf(m, fmaxf(f.x, f.y));
    }
    m = warp_max(m);
    if (threadIdx.x % 32 == 0)
        red[0][threadIdx.x / 32] = m;
    __syncthreads();
    m = fmaxf(fmaxf(red[0][0], red[0][1]), fmaxf(red[0][2], red[0][3]));
    float s = 0;
    for (int i = threadIdx.x; i < pairs; i += 128) {
        const float2 f = __bfloat1622float2(row[i]);
        s += expf(f.x - m) + expf(f.y - m);
    }
    s = warp_total(s);
    if (threadIdx.x % 32 == 0)
        red[1][threadIdx.x / 32] = s;
    __syncthreads();
    s = red[1][0] + red[1][1] + red[1][2] + red[1][3];
    for (int i = threadIdx.x; i < pairs; i += 128) {
        const float2 f = __bfloat1622float2(row[i]);
        float2 g = make_float2(expf(f.x - m) / s, expf(f.y - m) / s);
        if (2 * i == target)
            g.x -= 1.0f;
        if (2 * i + 1 == target)
            g.y -= 1.0f;
        if (target < 0)
            g = make_float2(0.0f, 0.0f);
        grad[(size_t)blockIdx.x * pairs + i] = __float22bfloat162_rn(g);
    }
    if (threadIdx.x == 0) {
        const float x = target >= 0 ? __bfloat162float(reinterpret_cast<const __nv_bfloat16 *>(row)[target]) : 0.0f;
        loss[blockIdx.x] = target >= 0 ? logf(s) + m - x : 0.0f;
    }
}

// The second kernel of a split attention: partial outputs merged by their log-sum-exp.
extern "C" __global__ void merge_splits(const float *part, const float *lse, __half *out, float *total, int splits, int dim)
{
    const int row = blockIdx.x, rows = gridDim.x;
    float m = -INFINITY;
    for (int s = 0; s < splits; s++)
        m = fmaxf(m, lse[s * rows + row]);
    float sum = 0;
    for (int s = 0; s < splits; s++)
        sum += __expf(lse[s * rows + row] - m);
    for (int d = threadIdx.x; d < dim; d += blockDim.x) {
        float v = 0;
        for (int s = 0; s < splits; s++)
            v += part[(s * rows + row) * dim + d] * __expf(lse[s * rows + row] - m);
        out[row * dim + d] = __float2half(v / sum);
    }
    if (threadIdx.x == 0)
        total[row] = m + __logf(sum);
}
