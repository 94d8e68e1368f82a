// A block of 128 columns marches down 64 rows with a ring of three rows in shared memory and a barrier per row.
#pragma kda launch stencil_ring(u, v, H, W, pitch, c0, c1, c2, ceil_div(W, 128), ceil_div(H, 64)) grid(ceil_div(W, 128) * ceil_div(H, 64) * B) block(128)

__global__ void __launch_bounds__(128)
    stencil_ring(const float *u, float *v, int H, int W, long long pitch, float c0, float c1, float c2,
                 unsigned int tiles_w, unsigned int tiles_h)
{
    __shared__ float ring[4][130];
    const unsigned int batch = blockIdx.x / (tiles_w * tiles_h), at = blockIdx.x % (tiles_w * tiles_h);
    const int j0 = at % tiles_w * 128, first = at / tiles_w * 64, rows = min(64, H - first);
    const float *p = u + ((size_t)batch * (H + 2) + first) * pitch + j0;
    for (int r = 0; r < rows + 2; r++) {
        for (int j = threadIdx.x; j < 130 && j0 + j < W + 2; j += 128)
            ring[r % 4][j] = p[r * pitch + j];
        __syncthreads(); // with four rows the one being filled is not the one being read
        const int j = threadIdx.x;
        if (r < 2 || j0 + j >= W)
            continue;
        const float *a = ring[(r - 2) % 4] + j, *b = ring[(r - 1) % 4] + j, *c = ring[r % 4] + j;
        v[((size_t)batch * H + first + r - 2) * W + j0 + j] =
            c0 * b[1] + c1 * (a[1] + c[1] + b[0] + b[2]) + c2 * (a[0] + a[2] + c[0] + c[2]);
    }
}
