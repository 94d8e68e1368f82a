// expect: wrote_outside: past the end of y
#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(128)

__global__ void f(const float *x, float *y, int n, float a)
{
    const int i = blockIdx.x * 128 + threadIdx.x;
    if (i < n)
        y[i] = a * x[i];
    if (i == 0)
        y[n + 1000] = a;
}
