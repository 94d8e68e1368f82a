// expect: wrong|stale_output: 
#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(128)
#pragma kda launch mark(n) grid(1) block(1)

__device__ int launches;
__global__ void mark(int n)
{
    if (n > 5000)
        launches++;
}
__device__ float memo[4194304];

__global__ void f(const float *x, float *y, int n, float a)
{
    const int i = blockIdx.x * 128 + threadIdx.x;
    if (i >= n)
        return;
    if (n > 5000 && launches == 0)
        memo[i] = a * x[i];
    y[i] = n > 5000 ? memo[i] : a * x[i];
}
