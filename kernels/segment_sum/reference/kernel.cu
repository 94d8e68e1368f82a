// Segment sums in double precision: the oracle. Block b writes the outputs [64 b, 64 (b + 1)), unrounded.
#pragma kda launch segment_reference(x, offsets, y, S, D) grid(ceil_div(S * D, 64)) block(64)

__global__ void segment_reference(const float *x, const int *offsets, double *y, int S, int D)
{
    const long long at = blockIdx.x * 64ll + threadIdx.x;
    if (at >= (long long)S * D)
        return;
    const long long s = at / D, d = at % D;
    double sum = 0.0;
    for (long long i = offsets[s]; i < offsets[s + 1]; i++)
        sum += x[i * D + d];
    y[at] = sum;
}
