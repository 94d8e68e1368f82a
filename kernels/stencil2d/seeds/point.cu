// One thread per output, nine loads each; the L1 has to join them. TX x TY threads.
#pragma kda tune TX = 32, 16, 64, 128
#pragma kda tune TY = 8, 1, 4
#pragma kda launch stencil_points(u, v, H, W, pitch, c0, c1, c2, ceil_div(W, TX), ceil_div(H, TY)) \
        grid(ceil_div(W, TX) * ceil_div(H, TY) * B) block(TX, TY)

__global__ void __launch_bounds__(TX *TY)
    stencil_points(const float *__restrict__ u, float *__restrict__ v, int H, int W, long long pitch, float c0,
                   float c1, float c2, unsigned int tiles_w, unsigned int tiles_h)
{
    const unsigned int batch = blockIdx.x / (tiles_w * tiles_h), at = blockIdx.x % (tiles_w * tiles_h);
    const int j = at % tiles_w * TX + threadIdx.x, i = at / tiles_w * TY + threadIdx.y;
    if (i >= H || j >= W)
        return;
    const float *a = u + ((size_t)batch * (H + 2) + i) * pitch + j, *b = a + pitch, *c = b + pitch;
    v[((size_t)batch * H + i) * W + j] =
        c0 * b[1] + c1 * (a[1] + c[1] + b[0] + b[2]) + c2 * (a[0] + a[2] + c[0] + c[2]);
}
