// A warp per segment with lanes along the rows, column after column: for wide rows every lane reads another line.
#pragma kda launch segment_lanes(x, offsets, y, S, D) grid(ceil_div(S, 8)) block(32, 8)

__global__ void __launch_bounds__(256)
    segment_lanes(const float *x, const int *offsets, float *y, int S, int D)
{
    const int s = blockIdx.x * 8 + threadIdx.y;
    if (s >= S)
        return;
    const int begin = offsets[s], end = offsets[s + 1];
    for (int d = 0; d < D; d++) {
        float sum = 0.0f;
        for (int i = begin + threadIdx.x; i < end; i += 32)
            sum += x[(size_t)i * D + d];
        for (int offset = 16; offset > 0; offset /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        if (threadIdx.x == 0)
            y[(size_t)s * D + d] = sum;
    }
}
