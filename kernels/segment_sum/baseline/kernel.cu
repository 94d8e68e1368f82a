// Segment sums. Rows of many columns: lanes along the columns walk down a segment, four rows in flight; GROUP lanes hold all
// columns of a narrow row, so that several segments share a warp. Few segments get a block each. Few long ones are cut: a
// block sums the pieces of segments in CHUNK rows, a second launch joins the pieces. Single columns: a block stages the
// values of SEGMENTS segments, and eight lanes add those of one.
#pragma kda scratch part : f32[N / S >= 512 ? (ceil_div(N, 128) + S) * D : 1]
#pragma kda variant long4 when(D % 4 == 0 && D >= 16 && N / S >= 512)
#pragma kda launch segment_pieces4(x, offsets, part, N, S, D / 4) grid(ceil_div(N, 128), ceil_div(D / 4, 32)) block(32, 8)
#pragma kda launch segment_block4<true>(part, offsets, y, D / 4) grid(S, ceil_div(D / 4, 32)) block(32, 8)
#pragma kda variant few4 when(D % 4 == 0 && D >= 16 && S <= 8192)
#pragma kda launch segment_block4<false>(x, offsets, y, D / 4) grid(S, ceil_div(D / 4, 32)) block(32, 8)
#pragma kda variant wide4 when(D % 4 == 0 && D >= 16)
#pragma kda define GROUP = min(32, next_pow2(D / 4))
#pragma kda launch segment_group4(x, offsets, y, S, D / 4) grid(ceil_div(S, 128 / GROUP)) block(GROUP, 128 / GROUP)
#pragma kda variant wide when(D >= 16)
#pragma kda launch segment_columns(x, offsets, y, S, D) grid(ceil_div(S, 4)) block(32, 4)
#pragma kda variant single when(D == 1)
#pragma kda launch segment_single(x, offsets, y, N, S) grid(ceil_div(S, 224)) block(256)
#pragma kda variant any
#pragma kda launch segment_warp(x, offsets, y, S, D) grid(ceil_div(S, 4)) block(32, 4)

#define CHUNK 128    // rows that a block of segment_pieces4 takes
#define SEGMENTS 224 // that a block of segment_single takes, 7 for each 8 lanes
#define TILE 8192    // values that it stages at once

__device__ __forceinline__ void add(float4 &sum, float4 v)
{
    sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
}

// Rows begin, begin + step, ... below end of the column `p` points at, `width` vectors a row; four loads in flight. SPREAD:
// many threads share the segment, and the last rows are loaded together too; else one by one, which is faster where segments
// are short.
template <bool SPREAD>
__device__ __forceinline__ float4 walk(const float4 *p, int begin, int end, int step, int width)
{
    const float4 none = make_float4(0, 0, 0, 0);
    float4 sum[4] = {none, none, none, none};
    int i = begin;
    for (; SPREAD ? i < end : i + 3 * step < end; i += 4 * step) {
        float4 v[4];
#pragma unroll
        for (int k = 0; k < 4; k++)
            v[k] = !SPREAD || i + k * step < end ? p[(size_t)(i + k * step) * width] : none;
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

// Rows begin .. end - 1 of column `column`, by a block of 32 x 8 threads, which all take part; the sum is in threadIdx.y 0.
__device__ __forceinline__ float4 block_walk(const float *x, int begin, int end, int column, int width)
{
    __shared__ float4 part[8][32];
    float4 sum = make_float4(0, 0, 0, 0);
    if (column < width)
        sum = walk<true>(reinterpret_cast<const float4 *>(x) + column, begin + threadIdx.y, end, 8, width);
    part[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0)
        for (int k = 1; k < 8; k++)
            add(sum, part[k][threadIdx.x]);
    __syncthreads();
    return sum;
}

// Chunks and segments both ascend: of chunk c and segment s, which meet, c + s is a row of `part` of their own.
__global__ void __launch_bounds__(256)
    segment_pieces4(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ part, int N, int S,
                    int width)
{
    const int begin = blockIdx.x * CHUNK, end = min(N, begin + CHUNK);
    const int column = blockIdx.y * 32 + threadIdx.x;
    int s = 0; // the last segment that begins at or before the chunk
    for (int above = S; above - s > 1;) {
        const int middle = (s + above) / 2;
        if (offsets[middle] <= begin)
            s = middle;
        else
            above = middle;
    }
    for (; s < S && offsets[s] < end; s++) {
        const int first = max(begin, offsets[s]), last = min(end, offsets[s + 1]);
        if (first >= last) // an empty segment has no piece
            continue;
        const float4 sum = block_walk(x, first, last, column, width);
        if (threadIdx.y == 0 && column < width)
            reinterpret_cast<float4 *>(part)[(size_t)(blockIdx.x + s) * width + column] = sum;
    }
}

// A segment's rows of x, or its pieces.
template <bool PIECES>
__global__ void __launch_bounds__(256)
    segment_block4(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y, int width)
{
    const int s = blockIdx.x, column = blockIdx.y * 32 + threadIdx.x;
    int begin = offsets[s], end = offsets[s + 1];
    if (PIECES && begin < end) {
        begin = begin / CHUNK + s;
        end = (end - 1) / CHUNK + s + 1;
    }
    const float4 sum = block_walk(x, begin, end, column, width);
    if (threadIdx.y == 0 && column < width)
        reinterpret_cast<float4 *>(y)[(size_t)s * width + column] = sum;
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
            walk<false>(reinterpret_cast<const float4 *>(x) + column, begin, end, 1, width);
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

__global__ void __launch_bounds__(256)
    segment_single(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y, int N, int S)
{
    __shared__ float4 staged[TILE / 4];
    __shared__ int bounds[SEGMENTS + 1];
    float *tile = reinterpret_cast<float *>(staged);
    const int first = blockIdx.x * SEGMENTS, count = min(SEGMENTS, S - first);
    const int lane = threadIdx.x % 8, group = threadIdx.x / 8;
    if (threadIdx.x <= count)
        bounds[threadIdx.x] = offsets[first + threadIdx.x];
    __syncthreads();
    const int end = bounds[count], vectors = N / 4;
    float sum[SEGMENTS / 32] = {};
    for (int base = bounds[0] / 4 * 4; base < end; base += TILE) {
#pragma unroll
        for (int k = 0; k < TILE / 4; k += 256) {
            const int i = base / 4 + k + threadIdx.x;
            if (4 * i < end && i < vectors)
                staged[k + threadIdx.x] = reinterpret_cast<const float4 *>(x)[i];
        }
        const int rest = 4 * vectors + threadIdx.x; // what is left behind the last vector
        if (rest < N && rest >= base && rest < base + TILE)
            tile[rest - base] = x[rest];
        __syncthreads();
#pragma unroll
        for (int j = 0; j < SEGMENTS / 32; j++) {
            const int s = j * 32 + group;
            if (s >= count)
                break;
            const int stop = min(bounds[s + 1], base + TILE);
            for (int i = max(bounds[s], base) + lane; i < stop; i += 8)
                sum[j] += tile[i - base];
        }
        __syncthreads();
    }
#pragma unroll
    for (int j = 0; j < SEGMENTS / 32; j++) {
        for (int offset = 4; offset > 0; offset /= 2)
            sum[j] += __shfl_xor_sync(0xffffffffu, sum[j], offset);
        if (lane == 0 && j * 32 + group < count)
            y[first + j * 32 + group] = sum[j];
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
