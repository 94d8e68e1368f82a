// Reads of what nobody wrote, and stores to inputs.
#include <cuda_bf16.h>

// Partial sums are added to scratch that nobody cleared.
extern "C" __global__ void scratch_not_cleared(const float *x, float *part, float *y)
{
    int t = threadIdx.x;
#ifdef FIXED
    part[t] = x[t];
#else
    part[t] += x[t]; // BUG
#endif
    y[t] = part[t];
}

// The output is read as if it held zeros.
extern "C" __global__ void output_accumulated(const float *x, float *y, int n)
{
#ifdef FIXED
    y[threadIdx.x] = 0;
#endif
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        y[threadIdx.x] += x[i]; // BUG
}

// The same with atomics.
extern "C" __global__ void output_atomic(const float *x, float *y)
{
#ifdef FIXED
    y[threadIdx.x] = x[threadIdx.x];
#else
    atomicAdd(&y[threadIdx.x], x[threadIdx.x]); // BUG
#endif
}

// The rest of the last tile keeps what it held: nothing.
extern "C" __global__ void tile_tail_not_filled(const float *x, float *y, int n)
{
    __shared__ float s[64];
    int t = threadIdx.x, i = blockIdx.x * 64 + t;
    if (i < n)
        s[t] = x[i];
#ifdef FIXED
    else
        s[t] = 0;
#endif
    __syncthreads();
    float sum = 0;
    for (int k = 0; k < 64; k++)
        sum += s[k]; // BUG
    if (t == 0)
        y[blockIdx.x] = sum;
}

// Each thread fills one place, but there are more places than threads.
extern "C" __global__ void fewer_threads_than_places(const float *w, float *y)
{
    __shared__ float s[96];
#ifdef FIXED
    for (int k = threadIdx.x; k < 96; k += blockDim.x)
        s[k] = w[k];
#else
    s[threadIdx.x] = w[threadIdx.x];
#endif
    __syncthreads();
    for (int k = threadIdx.x; k < 96; k += blockDim.x)
        y[k] = s[95 - k]; // BUG
}

// Halving works for powers of two; with 96 threads it reads 32 sums that are none.
extern "C" __global__ void reduce_three_warps(const float *x, float *y)
{
    __shared__ float s[128];
    int t = threadIdx.x;
    s[t] = x[t];
#ifdef FIXED
    if (t + 96 < 128)
        s[t + 96] = 0;
#endif
    __syncthreads();
    for (int o = 64; o > 0; o >>= 1) {
        if (t < o)
            s[t] += s[t + o]; // BUG
        __syncthreads();
    }
    if (t == 0)
        y[0] = s[0];
}

// A counter in shared memory that starts with anything.
extern "C" __global__ void shared_counter(const float *x, int *y)
{
    __shared__ int count;
#ifdef FIXED
    if (threadIdx.x == 0)
        count = 0;
#endif
    __syncthreads();
    if (x[threadIdx.x] > 0)
        atomicAdd(&count, 1); // BUG
    __syncthreads();
    y[threadIdx.x] = count;
}

// The ticket of a last-block reduction lies in scratch with no content.
extern "C" __global__ void ticket_not_zeroed(const float *x, float *part, int *ticket, int *y)
{
    if (threadIdx.x == 0) {
        part[blockIdx.x] = x[blockIdx.x];
        __threadfence();
#ifdef FIXED
        y[blockIdx.x] = part[blockIdx.x] != 1000;
#else
        y[blockIdx.x] = atomicAdd(ticket, 1) < (int)gridDim.x; // BUG
#endif
    }
}

// The first pass of a double buffer reads the half that is filled at its end.
extern "C" __global__ void second_half_first(const float *x, float *y, int tiles)
{
    __shared__ float s[2][64];
    int t = threadIdx.x;
    float sum = 0;
    s[0][t] = x[t];
    __syncthreads();
    for (int k = 0; k < tiles; k++) {
#ifdef FIXED
        int now = k & 1;
#else
        int now = (k + 1) & 1;
#endif
        sum += s[now][63 - t]; // BUG
        if (k + 1 < tiles)
            s[1 - now][t] = x[(k + 1) * 64 + t];
        __syncthreads();
    }
    y[t] = sum;
}

// The fourth component is never stored, but used.
extern "C" __global__ void fourth_component(const float *x, float *part, float *y)
{
    int t = threadIdx.x;
    for (int k = 0; k < 3; k++)
        part[4 * t + k] = x[3 * t + k];
    float4 v = reinterpret_cast<float4 *>(part)[t]; // BUG
#ifdef FIXED
    y[t] = v.x + v.y + v.z;
#else
    y[t] = v.x + v.y + v.z + v.w;
#endif
}

// Three bytes of a word are written and all four are read.
extern "C" __global__ void three_bytes(const unsigned char *x, unsigned char *packed, int *y)
{
    int t = threadIdx.x;
    for (int k = 0; k < 3; k++)
        packed[4 * t + k] = x[3 * t + k];
#ifdef FIXED
    packed[4 * t + 3] = 0;
#endif
    unsigned v = reinterpret_cast<unsigned *>(packed)[t]; // BUG
    y[t] = (v & 255) + (v >> 8 & 255) + (v >> 16 & 255) + (v >> 24);
}

// Rows are padded to 36 places, 33 of them are filled, all are summed.
extern "C" __global__ void padding_summed(const float *x, float *part, float *y, int cols)
{
    int pitch = 36, row = threadIdx.x;
    for (int c = 0; c < cols; c++)
        part[row * pitch + c] = x[row * cols + c];
    float sum = 0;
#ifdef FIXED
    for (int c = 0; c < cols; c++)
#else
    for (int c = 0; c < pitch; c++)
#endif
        sum += part[row * pitch + c]; // BUG
    y[row] = sum;
}

// Only inner blocks load the halo, but all use it.
extern "C" __global__ void halo_of_first_block(const float *x, float *y, int n)
{
    __shared__ float s[66];
    int t = threadIdx.x, i = blockIdx.x * 64 + t;
    s[t + 1] = x[i];
    if (t == 0 && i > 0)
        s[0] = x[i - 1];
    if (t == 63 && i + 1 < n)
        s[65] = x[i + 1];
#ifdef FIXED
    if (i == 0)
        s[0] = 0;
    if (i + 1 == n)
        s[65] = 0;
#endif
    __syncthreads();
    y[i] = s[t] + s[t + 2]; // BUG
}

// A list of the largest is read beyond what was put in.
extern "C" __global__ void local_not_filled(const float *x, float *y, int n, int places)
{
    float kept[8];
    int count = 0;
    for (int i = 0; i < n; i++)
        if (x[i] > 0 && count < places)
            kept[count++] = x[i];
    float sum = 0;
#ifdef FIXED
    for (int k = 0; k < count; k++)
#else
    for (int k = 0; k < places; k++)
#endif
        sum += kept[k];
    y[threadIdx.x] = sum; // BUG
}

// Early exit of the threads beyond n, which were to fill their part of the tile.
extern "C" __global__ void exit_before_fill(const float *x, float *y, int n)
{
    __shared__ float s[64];
    int t = threadIdx.x;
#ifdef FIXED
    s[t] = t < n ? x[t] : 0;
    __syncthreads();
    if (t >= n)
        return;
#else
    if (t >= n)
        return;
    s[t] = x[t];
    __syncthreads();
#endif
    y[t] = s[63 - t]; // BUG
}

// The result of a warp that has no rows is read by the first one.
extern "C" __global__ void empty_warp(const float *x, float *y, int rows)
{
    __shared__ float sums[4];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float sum = 0;
    for (int r = warp; r < rows; r += 4) {
        sum += x[r * 32 + lane];
        for (int o = 16; o > 0; o >>= 1)
            sum += __shfl_xor_sync(~0u, sum, o);
        sum /= 32;
#ifndef FIXED
        sums[warp] = sum;
#endif
    }
#ifdef FIXED
    sums[warp] = sum;
#endif
    __syncthreads();
    y[threadIdx.x] = sums[0] * 0 + sums[threadIdx.x & 3] * 0 + 1; // BUG
}

// The normalised row goes back to where it came from.
extern "C" __global__ void normalised_in_place(float *x, float *y)
{
    int t = threadIdx.x;
    float v = x[t] - 1;
#ifdef FIXED
    y[t] = v;
#else
    x[t] = v; // BUG
    y[t] = x[t];
#endif
}

// The queue of an input is advanced.
extern "C" __global__ void input_counter(int *head, int *y)
{
#ifdef FIXED
    y[threadIdx.x] = head[0] + 1;
#else
    y[threadIdx.x] = atomicAdd(head, 0) + 1; // BUG
#endif
}

// Source and destination are exchanged.
extern "C" __global__ void copied_backwards(float *x, float *y)
{
    float4 *from = reinterpret_cast<float4 *>(x), *to = reinterpret_cast<float4 *>(y);
#ifdef FIXED
    to[threadIdx.x] = from[threadIdx.x];
#else
    from[threadIdx.x] = make_float4(0, 0, 0, 0); // BUG
#endif
}

// Weights are rounded where they lie, through a cast that takes const away.
extern "C" __global__ void const_cast_away(const __nv_bfloat16 *w, __nv_bfloat16 *y)
{
    int t = threadIdx.x;
    __nv_bfloat162 v = reinterpret_cast<const __nv_bfloat162 *>(w)[t];
    v = __hadd2(v, v);
#ifdef FIXED
    reinterpret_cast<__nv_bfloat162 *>(y)[t] = v;
#else
    reinterpret_cast<__nv_bfloat162 *>(const_cast<__nv_bfloat16 *>(w))[t] = v; // BUG
#endif
}

// The last thread clears one element behind its output; the index is the input's.
extern "C" __global__ void clears_input_tail(float *x, float *y, int n)
{
    int i = threadIdx.x;
    y[i] = 2 * x[i];
#ifndef FIXED
    if (i == n - 1)
        x[n - 1] = 0; // BUG
#endif
}
