// One thread per output: threads along the columns, each adds up its column of its segment. With D = 1 every thread has a
// segment of its own and the reads of a warp are far apart.
#pragma kda tune THREADS = 256, 64, 128, 512
#pragma kda tune UNROLL = 4, 1, 2, 8
#pragma kda launch segment_thread(x, offsets, y, S, D) grid(ceil_div(S * D, THREADS)) block(THREADS)

__global__ void __launch_bounds__(THREADS)
    segment_thread(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y, int S, int D)
{
    const size_t at = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= (size_t)S * D)
        return;
    const int s = at / D, d = at - (size_t)s * D;
    const int end = offsets[s + 1];
    float sum[UNROLL] = {};
    int i = offsets[s];
    for (; i + UNROLL <= end; i += UNROLL)
#pragma unroll
        for (int k = 0; k < UNROLL; k++)
            sum[k] += x[(size_t)(i + k) * D + d];
    for (; i < end; i++)
        sum[0] += x[(size_t)i * D + d];
#pragma unroll
    for (int k = 1; k < UNROLL; k++)
        sum[0] += sum[k];
    y[at] = sum[0];
}
