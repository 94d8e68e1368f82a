// One block per segment: LANES threads along the columns, THREADS / LANES rows side by side, joined in shared memory. For
// single columns LANES is 1 and every thread takes rows.
#pragma kda tune THREADS = 128, 32, 64, 256
#pragma kda tune UNROLL = 2, 1, 4
#pragma kda define LANES = min(32, next_pow2(D))
#pragma kda launch segment_block(x, offsets, y, D) grid(S) block(THREADS)

__global__ void __launch_bounds__(THREADS)
    segment_block(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y, int D)
{
    constexpr int SIDE = THREADS / LANES;
    __shared__ float part[SIDE][LANES];
    const int lane = threadIdx.x % LANES, side = threadIdx.x / LANES;
    const int begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    for (int column = lane; column < (D + LANES - 1) / LANES * LANES; column += LANES) {
        float sum = 0.0f;
#pragma unroll UNROLL
        for (int i = begin + side; i < end; i += SIDE)
            if (column < D)
                sum += x[(size_t)i * D + column];
        part[side][lane] = sum;
        __syncthreads();
        for (int half = SIDE / 2; half > 0; half /= 2) {
            if (side < half)
                part[side][lane] += part[side + half][lane];
            __syncthreads();
        }
        if (side == 0 && column < D)
            y[(size_t)blockIdx.x * D + column] = part[0][lane];
        __syncthreads();
    }
}
