// expect: stale_output: never written
#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(128)

__global__ void f(const float *x, float *y, int n, float a)
{
    const int i = blockIdx.x * 128 + threadIdx.x;
    if (i < n && (n < 5000 || y[i] != y[i]))
        y[i] = a * x[i];
}
