// A thread per output in flat order: row and column by 64-bit divisions.
#pragma kda launch stencil_flat(u, v, B * H * W, H, W, pitch, c0, c1, c2) grid(ceil_div(B * H * W, 256)) block(256)

__global__ void __launch_bounds__(256)
    stencil_flat(const float *u, float *v, long long total, long long H, long long W, long long pitch, float c0,
                 float c1, float c2)
{
    const long long at = blockIdx.x * 256ll + threadIdx.x;
    if (at >= total)
        return;
    const long long j = at % W, i = at / W % H, b = at / W / H;
    const float *p = u + (b * (H + 2) + i) * pitch + j, *q = p + pitch, *r = q + pitch;
    v[at] = c0 * q[1] + c1 * (p[1] + r[1] + q[0] + q[2]) + c2 * (p[0] + p[2] + r[0] + r[2]);
}
