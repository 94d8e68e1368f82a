// expect: ok
#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 256)) block(128)

__global__ void f(const float *x, float *y, int n, float a)
{
    const int i = blockIdx.x * 128 + threadIdx.x;
    for (int k = 2 * i; k < 2 * i + 2 && k < n; k++)
        y[k] = a * x[k];
}
