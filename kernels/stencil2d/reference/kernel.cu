// The 9-point stencil in double precision: the oracle. Block b writes the outputs [256 b, 256 (b + 1)), unrounded.
#pragma kda launch stencil_reference(u, v, B, H, W, pitch, c0, c1, c2) grid(ceil_div(B * H * W, 256)) block(256)

__global__ void stencil_reference(const float *u, double *v, int B, int H, int W, long long pitch, float c0, float c1,
                                  float c2)
{
    const long long at = blockIdx.x * 256ll + threadIdx.x;
    if (at >= (long long)B * H * W)
        return;
    const long long j = at % W, i = at / W % H, b = at / W / H;
    const float *p = u + (b * (H + 2) + i) * pitch + j; // top left neighbour
    double sum = 0.0;
    for (int di = 0; di < 3; di++)
        for (int dj = 0; dj < 3; dj++)
            sum += (double)p[di * pitch + dj] * (di == 1 && dj == 1 ? c0 : di == 1 || dj == 1 ? c1 : c2);
    v[at] = sum;
}
