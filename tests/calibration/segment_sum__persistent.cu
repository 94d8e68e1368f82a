// Four blocks per SM walk the segments, a warp each, lanes along the columns, two rows in flight.
#pragma kda launch segment_walk(x, offsets, y, S, D) grid(min(528, ceil_div(S, 8))) block(32, 8)

__global__ void __launch_bounds__(256)
    segment_walk(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y, int S, int D)
{
    for (int s = blockIdx.x * 8 + threadIdx.y; s < S; s += gridDim.x * 8) {
        const int begin = offsets[s], end = offsets[s + 1];
        for (int d = threadIdx.x; d < D; d += 32) {
            float even = 0.0f, odd = 0.0f;
            int i = begin;
            for (; i + 1 < end; i += 2) {
                even += x[(size_t)i * D + d];
                odd += x[(size_t)(i + 1) * D + d];
            }
            if (i < end)
                even += x[(size_t)i * D + d];
            y[(size_t)s * D + d] = even + odd;
        }
    }
}
