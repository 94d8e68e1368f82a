// Kimi Delta Attention within a chunk in double precision: the oracle, from the given bf16 and fp32 inputs. Sums of gates; both
// triangles, a pair of rows per thread; the inverse by substitution, a column per thread; a token of w, u and kg per block.
#include <cuda_bf16.h>

#pragma kda scratch G : f64[T * H * 128]
#pragma kda scratch L : f64[NT * H * 4096]
#pragma kda scratch M : f64[NT * H * 4096]
#pragma kda launch sums(g, cu, chunk_off, G, H, N) grid(NT, H) block(128)
#pragma kda launch pairs(q, k, G, beta, cu, chunk_off, Aqk, L, H, N) grid(NT, H) block(128)
#pragma kda launch inverse(L, cu, chunk_off, M, H, N) grid(NT, H) block(64)
#pragma kda launch products(k, v, G, beta, cu, chunk_off, M, w, u, kg, H, N) grid(NT, H) block(128)

struct Chunk {
    int first, rows, n;
};

__device__ Chunk chunk_at(const int *cu, const int *chunk_off, int N, int chunk)
{
    Chunk c = {0, 0, 0};
    while (c.n + 1 < N && chunk_off[c.n + 1] <= chunk)
        c.n++;
    c.first = cu[c.n] + (chunk - chunk_off[c.n]) * 64;
    c.rows = min(64, cu[c.n + 1] - c.first);
    return c;
}

__global__ void sums(const float *g, const int *cu, const int *chunk_off, double *G, int H, int N)
{
    const Chunk c = chunk_at(cu, chunk_off, N, blockIdx.x);
    double sum = 0.0;
    for (int t = c.first; t < c.first + c.rows; t++) {
        const size_t at = ((size_t)t * H + blockIdx.y) * 128 + threadIdx.x;
        sum += g[at];
        G[at] = sum;
    }
}

__global__ void pairs(const __nv_bfloat16 *q, const __nv_bfloat16 *k, const double *G, const float *beta, const int *cu,
                      const int *chunk_off, double *Aqk, double *L, int H, int N)
{
    const Chunk c = chunk_at(cu, chunk_off, N, blockIdx.x);
    const size_t chunk = (size_t)blockIdx.x * H + blockIdx.y;
    for (int e = threadIdx.x; e < c.rows * 64; e += 128) {
        const int row = e / 64, column = e % 64;
        const size_t mine = (size_t)(c.first + row) * H + blockIdx.y, other = (size_t)(c.first + column) * H + blockIdx.y;
        double qk = 0.0, kk = 0.0;
        for (int i = 0; i < 128 && column <= row; i++) {
            const double z = (double)__bfloat162float(k[other * 128 + i]) * exp2(G[mine * 128 + i] - G[other * 128 + i]);
            qk += (double)__bfloat162float(q[mine * 128 + i]) * z;
            kk += (double)__bfloat162float(k[mine * 128 + i]) * z;
        }
        Aqk[mine * 64 + column] = qk / sqrt(128.0);
        L[chunk * 4096 + e] = column < row ? beta[mine] * kk : 0.0;
    }
}

__global__ void inverse(const double *L, const int *cu, const int *chunk_off, double *M, int H, int N)
{
    const Chunk c = chunk_at(cu, chunk_off, N, blockIdx.x);
    const size_t at = ((size_t)blockIdx.x * H + blockIdx.y) * 4096;
    const int column = threadIdx.x;
    for (int row = 0; row < c.rows; row++) {
        double x = row == column ? 1.0 : 0.0;
        for (int p = column; p < row; p++)
            x -= L[at + row * 64 + p] * M[at + p * 64 + column];
        M[at + row * 64 + column] = x;
    }
}

__global__ void products(const __nv_bfloat16 *k, const __nv_bfloat16 *v, const double *G, const float *beta, const int *cu,
                         const int *chunk_off, const double *M, double *w, double *u, double *kg, int H, int N)
{
    const Chunk c = chunk_at(cu, chunk_off, N, blockIdx.x);
    const double *inverse = M + ((size_t)blockIdx.x * H + blockIdx.y) * 4096;
    const size_t pitch = (size_t)H * 128, first = ((size_t)c.first * H + blockIdx.y) * 128 + threadIdx.x;
    double keys[64], values[64];
    for (int r = 0; r < c.rows; r++) {
        const size_t at = first + r * pitch;
        const double b = beta[(size_t)(c.first + r) * H + blockIdx.y];
        keys[r] = b * (double)__bfloat162float(k[at]) * exp2(G[at]);
        values[r] = b * (double)__bfloat162float(v[at]);
        kg[at] = (double)__bfloat162float(k[at]) * exp2(G[first + (c.rows - 1) * pitch] - G[at]);
        double x = 0.0, y = 0.0;
        for (int p = 0; p <= r; p++) {
            x += inverse[r * 64 + p] * keys[p];
            y += inverse[r * 64 + p] * values[p];
        }
        w[at] = x;
        u[at] = y;
    }
}
