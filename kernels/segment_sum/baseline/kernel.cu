// Segment sums: lanes along the columns walk down a segment, four rows in flight. GROUP lanes hold all columns of a
// narrow row, so that several segments share a warp; long segments get a block; single columns a warp each.
#pragma kda variant long4 when(D % 4 == 0 && D >= 16 && N / S >= 512)
#pragma kda launch segment_block4(x, offsets, y, D / 4) grid(S, ceil_div(D / 4, 32)) block(32, 16)
#pragma kda variant wide4 when(D % 4 == 0 && D >= 16)
#pragma kda define GROUP = min(32, next_pow2(D / 4))
#pragma kda launch segment_group4(x, offsets, y, S, D / 4) grid(ceil_div(S, 128 / GROUP)) block(GROUP, 128 / GROUP)
#pragma kda variant wide when(D >= 16)
#pragma kda launch segment_columns(x, offsets, y, S, D) grid(ceil_div(S, 4)) block(32, 4)
#pragma kda variant any
#pragma kda launch segment_warp(x, offsets, y, S, D) grid(ceil_div(S, 4)) block(32, 4)

__device__ __forceinline__ void add(float4 &sum, float4 v)
{
    sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
}

// Rows begin, begin + step, ... below end of the column `p` points at, with `width` vectors a row; four loads in flight.
__device__ __forceinline__ float4 walk(const float4 *p, int begin, int end, int step, int width)
{
    const float4 none = make_float4(0, 0, 0, 0);
    float4 sum[4] = {none, none, none, none};
    int i = begin;
    for (; i + 3 * step < end; i += 4 * step) {
        float4 v[4];
#pragma unroll
        for (int k = 0; k < 4; k++)
            v[k] = p[(size_t)(i + k * step) * width];
#pragma unroll
        for (int k = 0; k < 4; k++)
            add(sum[k], v[k]);
    }
    for (; i < end; i += step)
        add(sum[0], p[(size_t)i * width]);
    add(sum[0], sum[1]);
    add(sum[2], sum[3]);
    add(sum[0], sum[2]);
    return sum[0];
}

__global__ void __launch_bounds__(512)
    segment_block4(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y, int width)
{
    __shared__ float4 part[16][32];
    const int column = blockIdx.y * 32 + threadIdx.x;
    float4 sum = make_float4(0, 0, 0, 0);
    if (column < width)
        sum = walk(reinterpret_cast<const float4 *>(x) + column, offsets[blockIdx.x] + threadIdx.y,
                   offsets[blockIdx.x + 1], 16, width);
    part[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= width)
        return;
    for (int k = 1; k < 16; k++)
        add(sum, part[k][threadIdx.x]);
    reinterpret_cast<float4 *>(y)[(size_t)blockIdx.x * width + column] = sum;
}

__global__ void __launch_bounds__(128)
    segment_group4(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y, int S, int width)
{
    const int s = blockIdx.x * blockDim.y + threadIdx.y;
    if (s >= S)
        return;
    const int begin = offsets[s], end = offsets[s + 1];
    for (int column = threadIdx.x; column < width; column += blockDim.x)
        reinterpret_cast<float4 *>(y)[(size_t)s * width + column] =
            walk(reinterpret_cast<const float4 *>(x) + column, begin, end, 1, width);
}

__global__ void __launch_bounds__(128)
    segment_columns(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y, int S, int D)
{
    const int s = blockIdx.x * 4 + threadIdx.y;
    if (s >= S)
        return;
    const int begin = offsets[s], end = offsets[s + 1];
    for (int column = threadIdx.x; column < D; column += 32) {
        float sum = 0.0f;
#pragma unroll 4
        for (int i = begin; i < end; i++)
            sum += x[(size_t)i * D + column];
        y[(size_t)s * D + column] = sum;
    }
}

__global__ void __launch_bounds__(128)
    segment_warp(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y, int S, int D)
{
    const int s = blockIdx.x * 4 + threadIdx.y;
    if (s >= S) // a whole warp
        return;
    const int begin = offsets[s], end = offsets[s + 1];
    for (int column = 0; column < D; column++) {
        float sum = 0.0f;
#pragma unroll 4
        for (int i = begin + threadIdx.x; i < end; i += 32)
            sum += x[(size_t)i * D + column];
        for (int offset = 16; offset > 0; offset /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        if (threadIdx.x == 0)
            y[(size_t)s * D + column] = sum;
    }
}
