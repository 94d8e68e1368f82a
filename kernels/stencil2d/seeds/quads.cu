// Four outputs of a row per thread and step: an aligned float4 of each row of u and the next two elements, which a
// neighbouring lane holds. A warp walks down ROWS rows with the two rows above in registers.
#pragma kda tune ROWS = 8, 4, 16, 32
#pragma kda tune WARPS = 4, 2, 8
#pragma kda tune SHUFFLE = 1, 0
#pragma kda variant quads when(W % 4 == 0 && pitch % 4 == 0)
#pragma kda launch stencil_quads(u, v, H, W, pitch, c0, c1, c2, ceil_div(W, 128), ceil_div(H, ROWS * WARPS)) \
        grid(ceil_div(W, 128) * ceil_div(H, ROWS * WARPS) * B) block(32, WARPS)
#pragma kda variant any
#pragma kda launch stencil_any(u, v, H, W, pitch, c0, c1, c2, ceil_div(W, 64), ceil_div(H, ROWS * WARPS)) \
        grid(ceil_div(W, 64) * ceil_div(H, ROWS * WARPS) * B) block(32, WARPS)

// Six elements of a row from column j on; `in` says whether the thread has outputs.
__device__ __forceinline__ void load(const float *row, bool in, float *out)
{
    const float4 v = in ? *reinterpret_cast<const float4 *>(row) : make_float4(0, 0, 0, 0);
    out[0] = v.x, out[1] = v.y, out[2] = v.z, out[3] = v.w;
    if (SHUFFLE) {
        out[4] = __shfl_down_sync(0xffffffffu, v.x, 1);
        out[5] = __shfl_down_sync(0xffffffffu, v.y, 1);
        const bool next = __shfl_down_sync(0xffffffffu, (int)in, 1);
        const bool last = threadIdx.x == 31 || !next;
        if (in && last)
            out[4] = row[4], out[5] = row[5];
    } else if (in) {
        const float2 w = *reinterpret_cast<const float2 *>(row + 4);
        out[4] = w.x, out[5] = w.y;
    }
}

__global__ void __launch_bounds__(32 * WARPS)
    stencil_quads(const float *__restrict__ u, float *__restrict__ v, int H, int W, long long pitch, float c0, float c1,
                  float c2, unsigned int tiles_w, unsigned int tiles_h)
{
    const unsigned int batch = blockIdx.x / (tiles_w * tiles_h), at = blockIdx.x % (tiles_w * tiles_h);
    const int j = (at % tiles_w * 32 + threadIdx.x) * 4, first = (at / tiles_w * WARPS + threadIdx.y) * ROWS;
    if (first >= H) // a whole warp
        return;
    const bool in = j < W;
    const float *p = u + ((size_t)batch * (H + 2) + first) * pitch + j;
    float a[6], b[6], c[6];
    load(p, in, a);
    load(p + pitch, in, b);
    const int rows = min(ROWS, H - first);
#pragma unroll 4
    for (int r = 0; r < rows; r++) {
        load(p + (r + 2) * pitch, in, c);
        float4 out;
        float *o = reinterpret_cast<float *>(&out);
#pragma unroll
        for (int k = 0; k < 4; k++)
            o[k] = c0 * b[k + 1] + c1 * (a[k + 1] + c[k + 1] + b[k] + b[k + 2]) + c2 * (a[k] + a[k + 2] + c[k] + c[k + 2]);
        if (in)
            *reinterpret_cast<float4 *>(v + ((size_t)batch * H + first + r) * W + j) = out;
#pragma unroll
        for (int k = 0; k < 6; k++)
            a[k] = b[k], b[k] = c[k];
    }
}

// Two columns, 32 apart, per thread.
__global__ void __launch_bounds__(32 * WARPS)
    stencil_any(const float *__restrict__ u, float *__restrict__ v, int H, int W, long long pitch, float c0, float c1,
                float c2, unsigned int tiles_w, unsigned int tiles_h)
{
    const unsigned int batch = blockIdx.x / (tiles_w * tiles_h), at = blockIdx.x % (tiles_w * tiles_h);
    const int first = (at / tiles_w * WARPS + threadIdx.y) * ROWS;
    for (int side = 0; side < 2; side++) {
        const int j = at % tiles_w * 64 + side * 32 + threadIdx.x;
        for (int r = 0; r < ROWS && first + r < H && j < W; r++) {
            const float *a = u + ((size_t)batch * (H + 2) + first + r) * pitch + j, *b = a + pitch, *c = b + pitch;
            v[((size_t)batch * H + first + r) * W + j] =
                c0 * b[1] + c1 * (a[1] + c[1] + b[0] + b[2]) + c2 * (a[0] + a[2] + c[0] + c[2]);
        }
    }
}
