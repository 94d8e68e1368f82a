// expect: timeout: 
#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(128)

__global__ void f(const float *x, float *y, int n, float a)
{
    const int i = blockIdx.x * 128 + threadIdx.x;
    while (*(volatile const float *)x != 12345.0f)
        ;
    if (i < n)
        y[i] = a * x[i];
}
