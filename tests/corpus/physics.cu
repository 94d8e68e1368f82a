// Grids, signals and particles: stencils with halos, convolutions with constants, an FFT, the
// Mandelbrot set, bodies in tiles, game of life on bits.
#include <cuda_fp16.h>
#include <cstdint>

__constant__ float taps[5] = {0.0625f, 0.25f, 0.375f, 0.25f, 0.0625f};

extern "C" __global__ void stencil_halo(const float *x, float *y, int height, int width)
{
    __shared__ float t[10][34];
    const int tx = threadIdx.x, ty = threadIdx.y, gx = blockIdx.x * 32 + tx, gy = blockIdx.y * 8 + ty;
    for (int r = ty; r < 10; r += 8)
        for (int c = tx; c < 34; c += 32) {
            const int sy = min(max((int)(blockIdx.y * 8 + r) - 1, 0), height - 1), sx = min(max((int)(blockIdx.x * 32 + c) - 1, 0), width - 1);
            t[r][c] = x[sy * width + sx];
        }
    __syncthreads();
    if (gx < width && gy < height)
        y[gy * width + gx] = 0.5f * t[ty + 1][tx + 1] + 0.125f * (t[ty][tx + 1] + t[ty + 2][tx + 1] + t[ty + 1][tx] + t[ty + 1][tx + 2]);
}

extern "C" __global__ void convolution_separable(const unsigned char *x, unsigned char *y, int height, int width)
{
    __shared__ float rows[12][16];
    const int tx = threadIdx.x, ty = threadIdx.y, gx = blockIdx.x * 16 + tx, gy0 = blockIdx.y * 8;
    for (int r = ty; r < 12; r += 8) {
        const int sy = gy0 + r - 2;
        float s = 0;
#pragma unroll
        for (int k = 0; k < 5; k++) {
            const int sx = gx + k - 2;
            if (sy >= 0 && sy < height && sx >= 0 && sx < width)
                s += taps[k] * x[sy * width + sx];
        }
        rows[r][tx] = s;
    }
    __syncthreads();
    float s = 0;
#pragma unroll
    for (int k = 0; k < 5; k++)
        s += taps[k] * rows[ty + k][tx];
    if (gx < width && gy0 + ty < height)
        y[(gy0 + ty) * width + gx] = (unsigned char)__float2uint_rn(s);
}

// 1-D, channels apart, a causal kernel of four with SiLU: the short convolution of state-space models.
extern "C" __global__ void convolution_causal(const __half *x, const float *w, const float *bias, __half *y, int length)
{
    const int c = blockIdx.y, t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= length)
        return;
    float s = bias[c];
#pragma unroll
    for (int k = 0; k < 4; k++)
        if (t + k - 3 >= 0)
            s = fmaf(w[c * 4 + k], __half2float(x[c * length + t + k - 3]), s);
    y[c * length + t] = __float2half(s / (1.0f + __expf(-s)));
}

extern "C" __global__ void heat_3d(const double *x, double *y, int nx, int ny, int nz)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    if (i >= nx || j >= ny)
        return;
    // A column in z: the values above and below stay in registers.
    double below = x[j * nx + i], here = below;
    for (int k = 0; k < nz; k++) {
        const double *p = x + (size_t)k * nx * ny;
        const double above = k + 1 < nz ? p[nx * ny + j * nx + i] : here;
        const double west = i > 0 ? p[j * nx + i - 1] : here, east = i + 1 < nx ? p[j * nx + i + 1] : here;
        const double south = j > 0 ? p[(j - 1) * nx + i] : here, north = j + 1 < ny ? p[(j + 1) * nx + i] : here;
        y[(size_t)k * nx * ny + j * nx + i] = here + 0.1 * (below + above + west + east + south + north - 6.0 * here);
        below = here;
        here = above;
    }
}

extern "C" __global__ void fft_radix2(const float2 *x, float2 *y)
{
    __shared__ float2 s[256];
    const int i = threadIdx.x;
    const float2 *row = x + blockIdx.x * 256;
    s[__brev(i) >> 24] = row[i];
    s[__brev(i + 128) >> 24] = row[i + 128];
    for (int half = 1; half < 256; half <<= 1) {
        __syncthreads();
        const int k = i & (half - 1), a = 2 * (i - k) + k, b = a + half;
        float sine, cosine;
        sincospif(-(float)k / half, &sine, &cosine);
        const float2 u = s[a], v = s[b];
        const float2 w = make_float2(v.x * cosine - v.y * sine, v.x * sine + v.y * cosine);
        s[a] = make_float2(u.x + w.x, u.y + w.y);
        s[b] = make_float2(u.x - w.x, u.y - w.y);
    }
    __syncthreads();
    y[blockIdx.x * 256 + i] = s[i];
    y[blockIdx.x * 256 + i + 128] = s[i + 128];
}

extern "C" __global__ void mandelbrot(int *out, int width, int height, double left, double top, double step, int most)
{
    const int px = blockIdx.x * blockDim.x + threadIdx.x, py = blockIdx.y * blockDim.y + threadIdx.y;
    if (px >= width || py >= height)
        return;
    const double cx = __dadd_rn(left, __dmul_rn(px, step)), cy = __dadd_rn(top, __dmul_rn(py, step));
    double zx = 0, zy = 0;
    int n = 0;
    while (n < most && __dadd_rn(__dmul_rn(zx, zx), __dmul_rn(zy, zy)) <= 4.0) {
        const double t = __dadd_rn(__dsub_rn(__dmul_rn(zx, zx), __dmul_rn(zy, zy)), cx);
        zy = __dadd_rn(__dmul_rn(__dmul_rn(2.0, zx), zy), cy);
        zx = t;
        n++;
    }
    out[py * width + px] = n;
}

extern "C" __global__ __launch_bounds__(64) void bodies_tiled(const float4 *body, float3 *force, int n)
{
    __shared__ float4 tile[64];
    const int i = blockIdx.x * 64 + threadIdx.x;
    const float4 me = i < n ? body[i] : make_float4(0, 0, 0, 0);
    float3 f = make_float3(0, 0, 0);
    for (int base = 0; base < n; base += 64) {
        tile[threadIdx.x] = base + threadIdx.x < n ? body[base + threadIdx.x] : make_float4(0, 0, 0, 0);
        __syncthreads();
#pragma unroll 8
        for (int j = 0; j < 64; j++) {
            const float4 o = tile[j];
            const float dx = o.x - me.x, dy = o.y - me.y, dz = o.z - me.z;
            const float inv = rsqrtf(dx * dx + dy * dy + dz * dz + 0.01f), s = o.w * inv * inv * inv;
            f.x += dx * s, f.y += dy * s, f.z += dz * s;
        }
        __syncthreads();
    }
    if (i < n)
        force[i] = f;
}

// 32 cells a word; neighbours counted by bit-sliced adders.
extern "C" __global__ void life_bits(const uint32_t *x, uint32_t *y, int words, int rows)
{
    const int w = threadIdx.x, r = blockIdx.x * blockDim.y + threadIdx.y;
    if (w >= words || r >= rows)
        return;
    uint32_t ones = 0, twos = 0, fours = 0;
    auto add = [&](uint32_t b) {
        const uint32_t c = ones & b;
        ones ^= b;
        const uint32_t d = twos & c;
        twos ^= c;
        fours |= d;
    };
    for (int d = -1; d <= 1; d++) {
        const uint32_t *row = x + (r + d + rows) % rows * words;
        const uint32_t mid = row[w], left = row[(w + words - 1) % words], right = row[(w + 1) % words];
        add(__funnelshift_l(left, mid, 1));
        add(__funnelshift_r(mid, right, 1));
        if (d != 0)
            add(mid);
    }
    y[r * words + w] = twos & ~fours & (ones | x[r * words + w]);
}
