// A thread marches down 64 rows of its column: few threads, long chains of loads.
#pragma kda launch stencil_tall(u, v, H, W, pitch, c0, c1, c2, ceil_div(W, 64), ceil_div(H, 64)) grid(ceil_div(W, 64) * ceil_div(H, 64) * B) block(64)

__global__ void __launch_bounds__(64)
    stencil_tall(const float *__restrict__ u, float *__restrict__ v, int H, int W, long long pitch, float c0, float c1,
                 float c2, unsigned int tiles_w, unsigned int tiles_h)
{
    const unsigned int batch = blockIdx.x / (tiles_w * tiles_h), at = blockIdx.x % (tiles_w * tiles_h);
    const int j = at % tiles_w * 64 + threadIdx.x, first = at / tiles_w * 64, rows = min(64, H - first);
    if (j >= W)
        return;
    const float *p = u + ((size_t)batch * (H + 2) + first) * pitch + j;
    float a0 = p[0], a1 = p[1], a2 = p[2], b0 = p[pitch], b1 = p[pitch + 1], b2 = p[pitch + 2];
#pragma unroll 1
    for (int r = 0; r < rows; r++) {
        const float *q = p + (r + 2) * pitch;
        const float d0 = q[0], d1 = q[1], d2 = q[2];
        v[((size_t)batch * H + first + r) * W + j] = c0 * b1 + c1 * (a1 + d1 + b0 + b2) + c2 * (a0 + a2 + d0 + d2);
        a0 = b0, a1 = b1, a2 = b2, b0 = d0, b1 = d1, b2 = d2;
    }
}
