// 128-bit accesses, the tail by single elements.
#pragma kda tune THREADS = 64, 128, 256, 512
#pragma kda tune VECTORS = 1, 2, 4
#pragma kda launch scale_vector(x, y, n, a) grid(ceil_div(n, 4 * THREADS * VECTORS)) block(THREADS)

__global__ void scale_vector(const float *x, float *y, int n, float a)
{
    const int first = blockIdx.x * THREADS * VECTORS + threadIdx.x;
#pragma unroll
    for (int k = 0; k < VECTORS; k++) {
        const int i = 4 * (first + k * THREADS);
        if (i + 3 < n) {
            float4 v = *reinterpret_cast<const float4 *>(x + i);
            v.x *= a;
            v.y *= a;
            v.z *= a;
            v.w *= a;
            *reinterpret_cast<float4 *>(y + i) = v;
        } else {
            for (int j = i; j < n; j++)
                y[j] = a * x[j];
        }
    }
}
