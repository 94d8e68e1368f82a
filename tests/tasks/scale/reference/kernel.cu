// Block b writes [256 b, 256 (b + 1)), in double precision.
#pragma kda launch scale_reference(x, y, n, a) grid(ceil_div(n, 256)) block(256)

__global__ void scale_reference(const float *x, double *y, int n, float a)
{
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i < n)
        y[i] = (double)a * (double)x[i];
}
