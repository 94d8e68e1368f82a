// A tile of TX x (TY * PER) outputs with its halo is staged in shared memory; TX x TY threads, PER outputs each.
#pragma kda tune TX = 32, 64, 16
#pragma kda tune TY = 8, 4, 16
#pragma kda tune PER = 4, 1, 2, 8
#pragma kda launch stencil_staged(u, v, H, W, pitch, c0, c1, c2, ceil_div(W, TX), ceil_div(H, TY * PER)) \
        grid(ceil_div(W, TX) * ceil_div(H, TY * PER) * B) block(TX, TY)

__global__ void __launch_bounds__(TX *TY)
    stencil_staged(const float *__restrict__ u, float *__restrict__ v, int H, int W, long long pitch, float c0,
                   float c1, float c2, unsigned int tiles_w, unsigned int tiles_h)
{
    __shared__ float tile[TY * PER + 2][TX + 2];
    const unsigned int batch = blockIdx.x / (tiles_w * tiles_h), at = blockIdx.x % (tiles_w * tiles_h);
    const int j0 = at % tiles_w * TX, i0 = at / tiles_w * (TY * PER);
    const float *in = u + ((size_t)batch * (H + 2) + i0) * pitch + j0;
    const int rows = min(TY * PER + 2, H + 2 - i0), columns = min(TX + 2, W + 2 - j0);
    for (int i = threadIdx.y; i < rows; i += TY)
        for (int j = threadIdx.x; j < columns; j += TX)
            tile[i][j] = in[i * pitch + j];
    __syncthreads();
#pragma unroll
    for (int k = 0; k < PER; k++) {
        const int i = threadIdx.y + k * TY, j = threadIdx.x;
        if (i0 + i >= H || j0 + j >= W)
            continue;
        v[((size_t)batch * H + i0 + i) * W + j0 + j] =
            c0 * tile[i + 1][j + 1] +
            c1 * (tile[i][j + 1] + tile[i + 2][j + 1] + tile[i + 1][j] + tile[i + 1][j + 2]) +
            c2 * (tile[i][j] + tile[i][j + 2] + tile[i + 2][j] + tile[i + 2][j + 2]);
    }
}
