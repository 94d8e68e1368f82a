// Two kernels for the test of the corpus runner itself: one that stores some elements, and one that
// never ends.
extern "C" __global__ void stores_even(const float *x, float *y, int n)
{
    const int i = 2 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        y[i] = x[i] + 1.0f;
}

extern "C" __global__ void never_ends(int *y)
{
    while (*(volatile int *)y >= 0)
        *(volatile int *)y = 1;
}
