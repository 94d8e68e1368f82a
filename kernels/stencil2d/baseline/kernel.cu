// 9-point stencil: 32 x 8 threads; each walks down ROWS rows of one column with three rows of three values in registers,
// so that every row of u is loaded once per walk; left and right neighbours come from the L1.
#pragma kda launch stencil_columns(u, v, H, W, pitch, c0, c1, c2, ceil_div(W, 32), ceil_div(H, 64)) grid(ceil_div(W, 32) * ceil_div(H, 64) * B) block(32, 8)

#define ROWS 8

__global__ void __launch_bounds__(256)
    stencil_columns(const float *__restrict__ u, float *__restrict__ v, int H, int W, long long pitch, float c0,
                    float c1, float c2, unsigned int tiles_w, unsigned int tiles_h)
{
    const unsigned int batch = blockIdx.x / (tiles_w * tiles_h), at = blockIdx.x % (tiles_w * tiles_h);
    const int j = at % tiles_w * 32 + threadIdx.x, first = (at / tiles_w * 8 + threadIdx.y) * ROWS;
    if (j >= W || first >= H)
        return;
    const float *p = u + ((size_t)batch * (H + 2) + first) * pitch + j; // top left neighbour
    float *out = v + ((size_t)batch * H + first) * W + j;
    float a[3], b[3], c[3];
#pragma unroll
    for (int k = 0; k < 3; k++) {
        a[k] = p[k];
        b[k] = p[pitch + k];
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        if (first + r >= H)
            break;
#pragma unroll
        for (int k = 0; k < 3; k++)
            c[k] = p[(r + 2) * pitch + k];
        out[(size_t)r * W] = c0 * b[1] + c1 * ((a[1] + c[1]) + (b[0] + b[2])) + c2 * ((a[0] + a[2]) + (c[0] + c[2]));
#pragma unroll
        for (int k = 0; k < 3; k++) {
            a[k] = b[k];
            b[k] = c[k];
        }
    }
}
