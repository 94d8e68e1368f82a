// Several elements per thread, a block apart.
#pragma kda tune THREADS = 64, 128, 256, 512
#pragma kda tune ITEMS = 1, 2, 4, 8
#pragma kda tune HINT = 0, 1
#pragma kda launch scale_items(x, y, n, a) grid(ceil_div(n, THREADS * ITEMS)) block(THREADS)

__global__ void __launch_bounds__(THREADS) scale_items(const float *x, float *y, int n, float a)
{
    const int first = blockIdx.x * THREADS * ITEMS + threadIdx.x;
#pragma unroll
    for (int k = 0; k < ITEMS; k++) {
        const int i = first + k * THREADS;
        if (i < n)
            y[i] = a * (HINT ? __ldcs(x + i) : x[i]);
    }
}
