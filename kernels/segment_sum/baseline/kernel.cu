// Segment sums. Rows of many columns: lanes along the columns walk down a segment, four rows in flight; GROUP lanes hold all
// columns of a narrow row, so that several segments share a warp. Few segments get a block each, which takes the vectors of
// narrow rows as they lie in memory. Few long ones are cut: a block sums the pieces of segments in CHUNK rows, a second
// launch joins the pieces. Single columns: a block stages the values of SEGMENTS segments, and four lanes add those of one.
#pragma kda scratch part : f32[N / S >= 512 ? (ceil_div(N, 128) + S) * D : 1]
#pragma kda variant long4 when(D % 4 == 0 && D >= 16 && N / S >= 512)
#pragma kda launch segment_pieces4(x, offsets, part, N, S, D / 4) grid(ceil_div(N, 128), ceil_div(D / 4, 32)) block(32, 8)
#pragma kda launch segment_block4<true>(part, offsets, y, D / 4) grid(S, ceil_div(D / 4, 32)) block(32, 8)
#pragma kda variant flat4 when(D % 4 == 0 && D >= 16 && D <= 128 && S <= 8192)
#pragma kda define WIDTH = D / 4
#pragma kda launch segment_flat4(x, offsets, y) grid(S) block(128)
#pragma kda variant few4 when(D % 4 == 0 && D >= 16 && S <= 8192)
#pragma kda launch segment_block4<false>(x, offsets, y, D / 4) grid(S, ceil_div(D / 4, 32)) block(32, 8)
#pragma kda variant wide4 when(D % 4 == 0 && D >= 16)
#pragma kda define GROUP = min(32, next_pow2(D / 4))
#pragma kda launch segment_group4(x, offsets, y, S, D / 4) grid(ceil_div(S, 128 / GROUP)) block(GROUP, 128 / GROUP)
#pragma kda variant wide when(D >= 16)
#pragma kda launch segment_columns(x, offsets, y, S, D) grid(ceil_div(S, 4)) block(32, 4)
#pragma kda variant single when(D == 1 && max(N, S) <= 2147000000)
#pragma kda launch segment_single(x, offsets, y, N, S) grid(ceil_div(S, 128)) block(128)
#pragma kda variant any
#pragma kda launch segment_warp(x, offsets, y, S, D) grid(ceil_div(S, 4)) block(32, 4)

#define CHUNK 128    // rows that a block of segment_pieces4 takes
#define SEGMENTS 128 // that a block of segment_single takes, and its threads
#define TILE 5120    // values that it stages at once; no index passes N by more

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

#ifndef WIDTH // vectors in a row of x, a constant where a block takes them as they lie
#define WIDTH 32
#endif
#define ROWS (128 / WIDTH) // of a segment that it takes at once; threads that are left over idle

// A thread's vectors all belong to one column, 8 of them in flight.
__global__ void __launch_bounds__(128, 10)
    segment_flat4(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y)
{
    __shared__ float4 part[128];
    const int t = threadIdx.x, begin = offsets[blockIdx.x];
    const int vectors = t < ROWS * WIDTH ? (offsets[blockIdx.x + 1] - begin) * WIDTH : 0;
    const float4 *p = reinterpret_cast<const float4 *>(x) + (size_t)begin * WIDTH;
    const float4 none = make_float4(0, 0, 0, 0);
    float4 sum = none;
    for (int i = t; i < vectors; i += 8 * ROWS * WIDTH) {
        float4 v[8];
#pragma unroll
        for (int k = 0; k < 8; k++)
            v[k] = i + k * ROWS * WIDTH < vectors ? p[i + k * ROWS * WIDTH] : none;
#pragma unroll
        for (int step = 4; step > 0; step /= 2)
#pragma unroll
            for (int k = 0; k < step; k++)
                add(v[k], v[k + step]);
        add(sum, v[0]);
    }
    part[t] = sum;
    __syncthreads();
    if (t >= WIDTH)
        return;
#pragma unroll 4
    for (int k = 1; k < ROWS; k++)
        add(sum, part[k * WIDTH + t]);
    reinterpret_cast<float4 *>(y)[(size_t)blockIdx.x * WIDTH + t] = sum;
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

// Values base .. end - 1 into the tile, as far as it goes; what its last vector has behind the end of x is 0.
__device__ __forceinline__ void load_tile(float4 *tile, const float *x, int base, int end, int N)
{
#pragma unroll
    for (int k = 0; k < TILE / 4; k += SEGMENTS) {
        const int i = base + 4 * (k + (int)threadIdx.x);
        if (i < end)
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                             (unsigned int)__cvta_generic_to_shared(tile + k + threadIdx.x)),
                         "l"(x + i), "r"(4 * min(4, N - i))
                         : "memory");
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
    asm volatile("cp.async.wait_group 0;" ::: "memory");
}

// A lane's share of values begin .. stop - 1, of which there may be none: up to three before the first vector, up to three
// behind the last one, the vectors between them. tile[0] begins with value `base`.
__device__ __forceinline__ float add_quad(const float4 *tile, int base, int begin, int stop, int lane)
{
    const float *flat = reinterpret_cast<const float *>(tile) - base;
    const int head = min(stop, (begin + 3) / 4 * 4), tail = max(head, stop / 4 * 4);
    float sum = begin + lane < head ? flat[begin + lane] : 0.0f;
    sum += tail + lane < stop ? flat[tail + lane] : 0.0f;
#pragma unroll 2
    for (int i = head + 4 * lane; i < tail; i += 16) {
        const float4 v = *reinterpret_cast<const float4 *>(flat + i);
        sum += (v.x + v.y) + (v.z + v.w);
    }
    return sum;
}

__global__ void __launch_bounds__(SEGMENTS)
    segment_single(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y, int N, int S)
{
    __shared__ float4 staged[TILE / 4];
    __shared__ int bounds[SEGMENTS + 1];
    const int first = blockIdx.x * SEGMENTS, lane = threadIdx.x % 4, group = threadIdx.x / 4;
    for (int i = threadIdx.x; i <= SEGMENTS; i += SEGMENTS)
        bounds[i] = offsets[min(S, first + i)]; // segments behind the last one are empty
    __syncthreads();
    const int end = bounds[SEGMENTS];
    float sum[4] = {};
    for (int base = bounds[0] / 4 * 4; base < end; base += TILE) {
        load_tile(staged, x, base, end, N);
        __syncthreads();
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int s = j * (SEGMENTS / 4) + group;
            sum[j] += add_quad(staged, base, max(bounds[s], base), min(bounds[s + 1], base + TILE), lane);
        }
        if (base + TILE < end)
            __syncthreads();
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const int s = first + j * (SEGMENTS / 4) + group;
        for (int offset = 2; offset > 0; offset /= 2)
            sum[j] += __shfl_xor_sync(0xffffffffu, sum[j], offset);
        if (lane == 0 && s < S)
            y[s] = sum[j];
    }
}

__global__ void __launch_bounds__(128)
    segment_warp(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ y, int S, int D)
{
    const unsigned int s = blockIdx.x * 4 + threadIdx.y; // like i, it may pass what an int holds
    if (s >= S)                                          // a whole warp
        return;
    const unsigned int begin = offsets[s], end = offsets[s + 1];
    for (int column = 0; column < D; column++) {
        float sum = 0.0f;
#pragma unroll 4
        for (unsigned int i = begin + threadIdx.x; i < end; i += 32)
            sum += x[(size_t)i * D + column];
        for (int offset = 16; offset > 0; offset /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        if (threadIdx.x == 0)
            y[(size_t)s * D + column] = sum;
    }
}
