// 9-point stencil: 32 x 8 threads; each has ROWS rows of outputs, two columns where rows are even, else one. It loads all
// that it needs of u first, so that its loads are under way together; what neighbours load too comes from the L1.
#pragma kda variant pairs when(W % 2 == 0 && pitch % 2 == 0)
#pragma kda launch stencil_tile<float2>(u, v, H, W, pitch, c0, c1, c2, ceil_div(W, 64), ceil_div(H, 64)) grid(ceil_div(W, 64) * ceil_div(H, 64) * B) block(32, 8)
#pragma kda variant any
#pragma kda launch stencil_tile<float>(u, v, H, W, pitch, c0, c1, c2, ceil_div(W, 32), ceil_div(H, 64)) grid(ceil_div(W, 32) * ceil_div(H, 64) * B) block(32, 8)

#define ROWS 8

// From three rows' values at and around a column.
__device__ __forceinline__ float point(const float *a, const float *b, const float *c, float c0, float c1, float c2)
{
    return c0 * b[1] + c1 * ((a[1] + c[1]) + (b[0] + b[2])) + c2 * ((a[0] + a[2]) + (c[0] + c[2]));
}

template <typename Vector>
__global__ void __launch_bounds__(256)
    stencil_tile(const float *__restrict__ u, float *__restrict__ v, int H, int W, long long pitch, float c0, float c1,
                 float c2, unsigned int tiles_w, unsigned int tiles_h)
{
    constexpr int WIDTH = sizeof(Vector) / sizeof(float), LOADS = (WIDTH + 2) / WIDTH;
    const unsigned int batch = blockIdx.x / (tiles_w * tiles_h), at = blockIdx.x % (tiles_w * tiles_h);
    const int j = (at % tiles_w * 32 + threadIdx.x) * WIDTH, first = (at / tiles_w * 8 + threadIdx.y) * ROWS;
    if (j >= W || first >= H)
        return;
    const float *p = u + ((size_t)batch * (H + 2) + first) * pitch + j; // top left neighbour
    float *out = v + ((size_t)batch * H + first) * W + j;
    Vector in[ROWS + 2][LOADS];
#pragma unroll
    for (int r = 0; r < ROWS + 2; r++)
        if (first + r < H + 2)
#pragma unroll
            for (int k = 0; k < LOADS; k++)
                in[r][k] = reinterpret_cast<const Vector *>(p + r * pitch)[k];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        if (first + r >= H)
            break;
        const float *a = reinterpret_cast<const float *>(in[r]), *b = reinterpret_cast<const float *>(in[r + 1]);
        const float *c = reinterpret_cast<const float *>(in[r + 2]);
        Vector sum;
#pragma unroll
        for (int k = 0; k < WIDTH; k++)
            reinterpret_cast<float *>(&sum)[k] = point(a + k, b + k, c + k, c0, c1, c2);
        *reinterpret_cast<Vector *>(out + (size_t)r * W) = sum;
    }
}
