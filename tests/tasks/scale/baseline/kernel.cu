// One element per thread.
#pragma kda launch scale(x, y, n, a) grid(ceil_div(n, 128)) block(128)

__global__ void scale(const float *x, float *y, int n, float a)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = a * x[i];
}
