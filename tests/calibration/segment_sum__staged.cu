// A block per segment brings 1024 neighbouring elements at a time into shared memory, in the order of memory, and adds
// them up by column from there: two barriers per tile.
#pragma kda variant staged when(D <= 1024)
#pragma kda launch segment_staged(x, offsets, y, D) grid(S) block(256)
#pragma kda variant any
#pragma kda launch segment_plain(x, offsets, y, D) grid(S) block(256)

__global__ void __launch_bounds__(256) segment_staged(const float *x, const int *offsets, float *y, int D)
{
    __shared__ float tile[1024], part[1024];
    const int rows = 1024 / D; // of a tile
    const int begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    for (int k = threadIdx.x; k < 1024; k += 256)
        part[k] = 0.0f;
    for (int i = begin; i < end; i += rows) {
        const int count = min(rows, end - i) * D;
        for (int k = threadIdx.x; k < count; k += 256)
            tile[k] = x[(size_t)i * D + k];
        __syncthreads();
        for (int k = threadIdx.x; k < count; k += 256)
            part[k] += tile[k];
        __syncthreads();
    }
    __syncthreads();
    for (int d = threadIdx.x; d < D; d += 256) {
        float sum = 0.0f;
        for (int r = 0; r < rows; r++)
            sum += part[r * D + d];
        y[(size_t)blockIdx.x * D + d] = sum;
    }
}

__global__ void __launch_bounds__(256) segment_plain(const float *x, const int *offsets, float *y, int D)
{
    for (int d = threadIdx.x; d < D; d += 256) {
        float sum = 0.0f;
        for (int i = offsets[blockIdx.x]; i < offsets[blockIdx.x + 1]; i++)
            sum += x[(size_t)i * D + d];
        y[(size_t)blockIdx.x * D + d] = sum;
    }
}
