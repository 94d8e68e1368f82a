// GroupNorm and SiLU in double precision: the oracle, unrounded. Groups of up to 2^16 elements: block b writes group b.
// Larger ones take two launches, since one block of the simulator would have too much to do; such rows run whole, or are
// not compared where only a sample of their blocks runs.
#include <cuda_fp16.h>

#pragma kda variant group when(C / G * S <= 65536)
#pragma kda launch group_reference(x, w, b, y, C / G, S, G, eps) grid(B * G) block(256)
#pragma kda variant deep
#pragma kda scratch stats : f64[2 * B * G]
#pragma kda launch stats_reference(x, stats, C / G * S, eps) grid(B * G) block(1024)
#pragma kda launch apply_reference(x, w, b, stats, y, B * C * S, C / G, S, G) grid(ceil_div(B * C * S, 256)) block(256)

__device__ double block_sum(double value)
{
    __shared__ double part[1024];
    __syncthreads();
    part[threadIdx.x] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    return part[0];
}

__device__ void measure(const __half *x, long long L, double eps, double *mean, double *rstd)
{
    double sum = 0.0, square = 0.0;
    for (long long i = threadIdx.x; i < L; i += blockDim.x)
        sum += (double)__half2float(x[i]);
    *mean = block_sum(sum) / L;
    for (long long i = threadIdx.x; i < L; i += blockDim.x) {
        const double v = (double)__half2float(x[i]) - *mean;
        square += v * v;
    }
    *rstd = 1.0 / sqrt(block_sum(square) / L + eps);
}

__device__ double silu(double z)
{
    return z / (1.0 + exp(-z));
}

__global__ void group_reference(const __half *x, const __half *w, const __half *b, double *y, int channels, int S, int G,
                                float eps)
{
    const long long L = (long long)channels * S;
    const size_t base = blockIdx.x * L;
    double mean, rstd;
    measure(x + base, L, eps, &mean, &rstd);
    for (long long i = threadIdx.x; i < L; i += 256) {
        const int channel = blockIdx.x % G * channels + (int)(i / S);
        y[base + i] = silu(((double)__half2float(x[base + i]) - mean) * rstd * (double)__half2float(w[channel]) +
                           (double)__half2float(b[channel]));
    }
}

__global__ void stats_reference(const __half *x, double *stats, long long L, float eps)
{
    double mean, rstd;
    measure(x + blockIdx.x * L, L, eps, &mean, &rstd);
    if (threadIdx.x == 0) {
        stats[2 * blockIdx.x] = mean;
        stats[2 * blockIdx.x + 1] = rstd;
    }
}

__global__ void apply_reference(const __half *x, const __half *w, const __half *b, const double *stats, double *y,
                                long long total, int channels, int S, int G)
{
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= total)
        return;
    const long long row = i / S, group = row / channels; // row: batch and channel
    const int channel = (int)(row % ((long long)G * channels));
    y[i] = silu(((double)__half2float(x[i]) - stats[2 * group]) * stats[2 * group + 1] *
                    (double)__half2float(w[channel]) +
                (double)__half2float(b[channel]));
}
