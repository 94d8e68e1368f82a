// Segments are cut into PARTS equal shares, a warp each, which leave partial sums in scratch; a second launch adds them in
// order. For few long segments; with PARTS 1 a warp per segment and a copy.
#pragma kda tune PARTS = 8, 1, 4, 32
#pragma kda tune WARPS = 8, 2, 4
#pragma kda tune WIDTH = 4, 1
#pragma kda scratch part : f32[S * PARTS * D]
#pragma kda variant vectors when(WIDTH == 4 && D % 4 == 0 && D >= 16)
#pragma kda launch split_sum<float4>(x, offsets, part, S, D / 4) grid(ceil_div(S * PARTS, WARPS)) block(32, WARPS)
#pragma kda launch split_add(part, y, S * D, D) grid(ceil_div(S * D, 256)) block(256)
#pragma kda variant columns when(D >= 8)
#pragma kda launch split_sum<float>(x, offsets, part, S, D) grid(ceil_div(S * PARTS, WARPS)) block(32, WARPS)
#pragma kda launch split_add(part, y, S * D, D) grid(ceil_div(S * D, 256)) block(256)
#pragma kda variant any
#pragma kda launch split_lanes(x, offsets, part, S, D) grid(ceil_div(S * PARTS, WARPS)) block(32, WARPS)
#pragma kda launch split_add(part, y, S * D, D) grid(ceil_div(S * D, 256)) block(256)

__device__ __forceinline__ float4 operator+(float4 a, float4 b)
{
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

__device__ __forceinline__ void share_of(const int *offsets, int unit, int &begin, int &end)
{
    const int first = offsets[unit / PARTS], last = offsets[unit / PARTS + 1];
    const int share = (last - first + PARTS - 1) / PARTS;
    begin = first + unit % PARTS * share;
    end = min(last, begin + share);
}

template <typename Vector>
__global__ void __launch_bounds__(32 * WARPS)
    split_sum(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ part, int S, int width)
{
    const int unit = blockIdx.x * WARPS + threadIdx.y;
    if (unit >= S * PARTS)
        return;
    int begin, end;
    share_of(offsets, unit, begin, end);
    for (int column = threadIdx.x; column < width; column += 32) {
        const Vector *p = reinterpret_cast<const Vector *>(x) + column;
        Vector even = Vector(), odd = Vector();
        int i = begin;
        for (; i + 1 < end; i += 2) {
            even = even + p[(size_t)i * width];
            odd = odd + p[(size_t)(i + 1) * width];
        }
        if (i < end)
            even = even + p[(size_t)i * width];
        reinterpret_cast<Vector *>(part)[(size_t)unit * width + column] = even + odd;
    }
}

// Lanes along the rows; column after column.
__global__ void __launch_bounds__(32 * WARPS)
    split_lanes(const float *__restrict__ x, const int *__restrict__ offsets, float *__restrict__ part, int S, int D)
{
    const int unit = blockIdx.x * WARPS + threadIdx.y;
    if (unit >= S * PARTS)
        return;
    int begin, end;
    share_of(offsets, unit, begin, end);
    for (int column = 0; column < D; column++) {
        float sum = 0.0f;
        for (int i = begin + threadIdx.x; i < end; i += 32)
            sum += x[(size_t)i * D + column];
        for (int offset = 16; offset > 0; offset /= 2)
            sum += __shfl_down_sync(0xffffffffu, sum, offset);
        if (threadIdx.x == 0)
            part[(size_t)unit * D + column] = sum;
    }
}

__global__ void __launch_bounds__(256) split_add(const float *__restrict__ part, float *__restrict__ y, int total, int D)
{
    const int at = blockIdx.x * 256 + threadIdx.x;
    if (at >= total)
        return;
    const size_t s = at / D, d = at % D;
    float sum = 0.0f;
    for (int k = 0; k < PARTS; k++)
        sum += part[(s * PARTS + k) * D + d];
    y[at] = sum;
}
