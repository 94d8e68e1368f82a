// No shared memory: a thread copies PER elements that lie along a row of x (READS 1: neighbouring threads read
// neighbours) or along a row of y (READS 0: they write neighbours); the caches have to join the other side.
#include <cuda_bf16.h>

#pragma kda tune READS = 0, 1
#pragma kda tune ACROSS = 32, 16, 8
#pragma kda tune PER = 8, 1, 4
#pragma kda launch transpose_direct(x, y, R, C, batch_stride, row_stride, \
        ceil_div(READS ? C : R, ACROSS), ceil_div(READS ? R : C, 256 / ACROSS * PER)) \
        grid(ceil_div(READS ? C : R, ACROSS) * ceil_div(READS ? R : C, 256 / ACROSS * PER) * B) block(ACROSS, 256 / ACROSS)

__global__ void __launch_bounds__(256)
    transpose_direct(const unsigned short *__restrict__ x, unsigned short *__restrict__ y, int R, int C,
                     long long batch_stride, long long row_stride, unsigned int across, unsigned int along)
{
    const unsigned int batch = blockIdx.x / (across * along), at = blockIdx.x % (across * along);
    const int fast = at % across * ACROSS + threadIdx.x;
    const int slow = at / across * (256 / ACROSS * PER) + threadIdx.y * PER;
    const unsigned short *in = x + batch * batch_stride;
    unsigned short *out = y + (size_t)batch * R * C;
    unsigned short v[PER];
#pragma unroll
    for (int i = 0; i < PER; i++) {
        const int r = READS ? slow + i : fast, c = READS ? fast : slow + i;
        if (r < R && c < C)
            v[i] = in[r * row_stride + c];
    }
#pragma unroll
    for (int i = 0; i < PER; i++) {
        const int r = READS ? slow + i : fast, c = READS ? fast : slow + i;
        if (r < R && c < C)
            out[(size_t)c * R + r] = v[i];
    }
}
