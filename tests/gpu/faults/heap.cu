// expect: device_fault: CUDA_ERROR_ILLEGAL_ADDRESS
#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 128)) block(128)

__global__ void f(const float *x, float *y, int n, float a)
{
    const int i = blockIdx.x * 128 + threadIdx.x;
    float *mine = (float *)malloc(1 << 20);
    mine[0] = i < n ? a * x[i] : 0;
    if (i < n)
        y[i] = mine[0];
}
