// Shared and local memory: accesses outside.

// The last thread reads behind the array.
extern "C" __global__ void neighbour_past_end(const float *x, float *y)
{
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();
#ifdef FIXED
    y[t] = t < 63 ? s[t + 1] : 0;
#else
    y[t] = s[t + 1]; // BUG
#endif
}

// The first thread reads in front of it.
extern "C" __global__ void neighbour_before_start(const float *x, float *y)
{
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();
#ifdef FIXED
    y[t] = t > 0 ? s[t - 1] : 0;
#else
    y[t] = s[t - 1]; // BUG
#endif
}

// Launched with the bytes of halves for an array of floats.
extern "C" __global__ void dynamic_too_small(const float *x, float *y)
{
    extern __shared__ float d[];
    int t = threadIdx.x;
    d[t] = x[t]; // BUG
    __syncthreads();
    y[t] = d[blockDim.x - 1 - t];
}

// Rows of 33 in an array that has none of the padding.
extern "C" __global__ void padded_rows(const float *x, float *y)
{
#ifdef FIXED
    __shared__ float s[32 * 33];
#else
    __shared__ float s[32 * 32];
#endif
    int c = threadIdx.x, r = threadIdx.y;
    s[r * 33 + c] = x[r * 32 + c]; // BUG
    __syncthreads();
    y[c * 32 + r] = s[r * 33 + c];
}

// Room for the sums of eight warps; wrong only for blocks of more.
extern "C" __global__ void ninth_warp(const float *x, float *y)
{
#ifdef FIXED
    __shared__ float sums[32];
#else
    __shared__ float sums[8];
#endif
    float v = x[threadIdx.x];
    for (int o = 16; o > 0; o >>= 1)
        v += __shfl_xor_sync(~0u, v, o);
    if (threadIdx.x % 32 == 0)
        sums[threadIdx.x / 32] = v; // BUG
    __syncthreads();
    float all = 0;
    for (int w = 0; w < blockDim.x / 32; w++)
        all += sums[w];
    y[threadIdx.x] = all;
}

// The second array begins at a number of elements taken for bytes.
extern "C" __global__ void carved_in_elements(const float *x, float *y)
{
    extern __shared__ unsigned char raw[];
    int t = threadIdx.x, n = blockDim.x;
    float *a = reinterpret_cast<float *>(raw);
#ifdef FIXED
    float *b = reinterpret_cast<float *>(raw + n * sizeof(float));
#else
    float *b = a + n * sizeof(float);
#endif
    a[t] = x[t];
    b[t] = x[n + t]; // BUG
    __syncthreads();
    y[t] = a[n - 1 - t] + b[n - 1 - t];
}

// The halo is stored one place too far.
extern "C" __global__ void halo_too_far(const float *x, float *y, int n)
{
    __shared__ float s[64 + 2];
    int t = threadIdx.x;
    s[t + 1] = x[t];
    if (t == 0)
        s[0] = 0;
#ifdef FIXED
    if (t == 63)
        s[t + 2] = 0;
#else
    if (t == 63)
        s[t + 3] = 0; // BUG
#endif
    __syncthreads();
    y[t] = s[t] + s[t + 2];
}

// Shared atomics on a bin behind the last.
extern "C" __global__ void shared_bins(const int *x, int *y, int n)
{
    __shared__ int bins[16];
    if (threadIdx.x < 16)
        bins[threadIdx.x] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
#ifdef FIXED
        int b = min(max(x[i], 0), 15);
#else
        int b = max(x[i], 0);
#endif
        atomicAdd(&bins[b], 1); // BUG
    }
    __syncthreads();
    if (threadIdx.x < 16)
        y[threadIdx.x] = bins[threadIdx.x];
}

// A local array of eight is filled to its ninth.
extern "C" __global__ void local_past_end(const float *x, float *y, int n)
{
    float a[8];
#ifdef FIXED
    for (int k = 0; k < n; k++)
#else
    for (int k = 0; k <= n; k++)
#endif
        a[k] = x[threadIdx.x + k]; // BUG
    float sum = 0;
    for (int k = 0; k < n; k++)
        sum += a[(k * 3 + threadIdx.x) & 7];
    y[threadIdx.x] = sum;
}

// An insertion into a sorted local list walks off its front.
extern "C" __global__ void local_before_start(const float *x, float *y, int n)
{
    float best[4];
    for (int k = 0; k < 4; k++)
        best[k] = -1000;
    for (int i = 0; i < n; i++) {
        float v = x[threadIdx.x + i];
        int k = 3;
#ifdef FIXED
        if (v <= best[3])
            continue;
        for (; k > 0 && best[k - 1] < v; k--)
#else
        for (; best[k - 1] < v; k--) // BUG
#endif
            best[k] = best[k - 1];
        best[k] = v;
    }
    y[threadIdx.x] = best[n & 3];
}
