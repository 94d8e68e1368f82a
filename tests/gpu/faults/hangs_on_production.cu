// expect: timeout: did not end
#pragma kda launch hangs(x, y, n, a) grid(ceil_div(n, 128)) block(128)

__global__ void hangs(const float *x, float *y, int n, float a)
{
    const int i = blockIdx.x * 128 + threadIdx.x;
    while (n > 5000 && *(volatile const float *)x != 12345.0f)
        ;
    if (i < n)
        y[i] = a * x[i];
}
