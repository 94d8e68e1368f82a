// expect: limits_exceeded: local memory
#pragma kda launch greedy(x, y, n, a) grid(ceil_div(n, 128)) block(128)

__global__ void greedy(const float *x, float *y, int n, float a)
{
    const int i = blockIdx.x * 128 + threadIdx.x;
    volatile float big[16384];
    if (i >= n)
        return;
    big[(i * 37 + n) % 16384] = a;
    y[i] = big[(i * 37 + n) % 16384] * x[i];
}
