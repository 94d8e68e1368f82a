// expect: wrote_outside: 1 byte behind the end of y
#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(128)

__global__ void f(const float *x, float *y, int n, float a)
{
    const int i = blockIdx.x * 128 + threadIdx.x;
    if (i < n)
        y[i] = a * x[i];
    if (n > 5000 && i == 0)
        ((unsigned char *)y)[4ll * n + 1 - 1] ^= 0x55;
}
