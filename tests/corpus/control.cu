// Control flow: deep divergence, switches, early exits, loops that gotos make, calls that are not
// inlined, recursion, tables of functions, named barriers, masks of warps.
#include <cstdint>

extern "C" __global__ void nested_divergence(const int *x, int *y, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    int v = x[i], r = 0;
    for (int d = 0; d < 6; d++) {
        if (v & 1) {
            if (v & 2) {
                r += v % 7;
                if (v & 4)
                    continue;
                r ^= d;
            } else {
                for (int k = v & 7; k > 0; k--) {
                    r += k;
                    if (r % 5 == 3)
                        break;
                }
            }
        } else {
            r -= v & 15;
            if (r < -40) {
                r = -r;
                break;
            }
        }
        v >>= 2;
    }
    y[i] = r;
}

extern "C" __global__ void byte_machine(const unsigned char *program, const int *x, int *y, int length)
{
    int a = x[threadIdx.x], b = threadIdx.x, pc = 0, fuel = 200;
    while (pc < length && fuel-- > 0) {
        switch (program[(pc + threadIdx.x % 3) % length] % 11) {
        case 0: a += b; break;
        case 1: b = a - b; break;
        case 2: a ^= b << 3; break;
        case 3: b = b * 5 + 1; break;
        case 4: a = a < b ? b : a; break;
        case 5: if (a & 1) pc++; break;
        case 6: { int t = a; a = b; b = t; break; }
        case 7: a = (int)((unsigned)a >> 1); break;
        case 8: b = __popc(a); break;
        case 9: if ((b & 7) == 7) pc += 2; break;
        default: a -= 3; break;
        }
        pc++;
    }
    y[threadIdx.x] = a ^ b;
}

extern "C" __global__ void early_exits(const int *x, int *found, int n, int wanted)
{
    __shared__ int first;
    if (threadIdx.x == 0)
        first = n;
    __syncthreads();
    for (int base = 0; base < n; base += blockDim.x) {
        const int i = base + threadIdx.x;
        if (i < n && x[blockIdx.x * n + i] == wanted)
            atomicMin(&first, i);
        __syncthreads();
        if (first < n)
            break;
        __syncthreads();
    }
    if (threadIdx.x > 0)
        return;
    found[blockIdx.x] = first < n ? first : -1;
}

extern "C" __global__ void goto_euclid(const unsigned *a, const unsigned *b, unsigned *g, int n)
{
    const int i = threadIdx.x + blockIdx.x * blockDim.x;
    if (i >= n)
        return;
    unsigned u = a[i], v = b[i], shift = 0;
    if (u == 0 || v == 0)
        goto trivial;
again:
    if (((u | v) & 1) == 0) {
        u >>= 1, v >>= 1, shift++;
        goto again;
    }
    while (u != 0) {
        while ((u & 1) == 0)
            u >>= 1;
        while ((v & 1) == 0)
            v >>= 1;
        if (u < v)
            goto swap;
    subtract:
        u = (u - v) >> 1;
        continue;
    swap:
        u ^= v, v ^= u, u ^= v;
        goto subtract;
    }
    g[i] = v << shift;
    return;
trivial:
    g[i] = u | v;
}

__device__ __noinline__ float horner(const float *c, int n, float x)
{
    float r = c[n - 1];
    for (int i = n - 2; i >= 0; i--)
        r = fmaf(r, x, c[i]);
    return r;
}
struct Roots {
    float low, high;
    int count;
};
__device__ __noinline__ Roots quadratic(float a, float b, float c)
{
    const float d = b * b - 4 * a * c;
    if (d < 0)
        return {0, 0, 0};
    const float s = sqrtf(d);
    return {(-b - s) / (2 * a), (-b + s) / (2 * a), d > 0 ? 2 : 1};
}

extern "C" __global__ void noinline_calls(const float *c, const float *x, float *y, int *count, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float v = horner(c, 5, x[i]);
    if (i % 3 == 0)
        v += horner(c + 2, 3, v);
    const Roots r = quadratic(1.0f, x[i], -0.2f + 0.1f * (i % 4));
    y[i] = v + r.low * 2 + r.high;
    count[i] = r.count;
}

__device__ int ackermann(int m, int n)
{
    if (m == 0)
        return n + 1;
    return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}
extern "C" __global__ void recursion_ackermann(int *y)
{
    y[threadIdx.x] = ackermann(threadIdx.x % 3, threadIdx.x % 5);
}

__device__ __noinline__ void quicksort(int *a, int low, int high)
{
    while (low < high) {
        const int pivot = a[(low + high) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i <= j) {
                const int t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        if (j - low < high - i) {
            quicksort(a, low, j);
            low = i;
        } else {
            quicksort(a, i, high);
            high = j;
        }
    }
}
extern "C" __global__ void recursion_quicksort(const int *x, int *y)
{
    int a[24];
    const int base = (blockIdx.x * blockDim.x + threadIdx.x) * 24;
    for (int i = 0; i < 24; i++)
        a[i] = x[base + i];
    quicksort(a, 0, 23);
    for (int i = 0; i < 24; i++)
        y[base + i] = a[i];
}

typedef float unary(float);
__device__ __noinline__ float squared(float x) { return x * x; }
__device__ __noinline__ float halved(float x) { return 0.5f * x; }
__device__ __noinline__ float shifted(float x) { return x + 3.0f; }
__device__ unary *const table[3] = {squared, halved, shifted};

extern "C" __global__ void function_table(const float *x, const int *which, float *y, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        unary *f = table[which[i] % 3], *g = table[which[i] / 3 % 3];
        y[i] = g(f(x[i]));
    }
}

// Lanes go separate ways and meet again in groups of their choice.
extern "C" __global__ void masks_of_warps(const int *x, int *y)
{
    __shared__ int s[64];
    const int lane = threadIdx.x & 31, base = threadIdx.x & 32;
    int v = x[threadIdx.x];
    const unsigned odd = __ballot_sync(~0u, v & 1);
    const unsigned peers = v & 1 ? odd : ~odd;
    s[threadIdx.x] = v;
    if (v & 1) {
        for (int k = 0; k < (v & 7); k++)
            v = v * 3 + 1;
        s[threadIdx.x] = v;
        __syncwarp(peers);
        v = s[base + __ffs(peers) - 1] + __popc(__activemask() & peers);
    } else {
        v = __reduce_add_sync(peers, v) + __shfl_sync(peers, v, 31 - __clz(peers));
        __syncwarp(peers);
    }
    __syncwarp();
    y[threadIdx.x] = v + __any_sync(0xffffu << (lane & 16), v > 100) * 7;
}

// Two producer warps and two consumer warps over a ring of two slots, by named barriers.
extern "C" __global__ __launch_bounds__(128) void named_barriers(const float *x, float *y, int rounds)
{
    __shared__ float slot[2][64];
    const int t = threadIdx.x & 63;
    if (threadIdx.x < 64) {
        for (int r = 0; r < rounds; r++) {
            if (r >= 2)
                asm volatile("bar.sync %0, 128;" :: "r"(3 + (r & 1)) : "memory");
            slot[r & 1][t] = x[r * 64 + t] * 2.0f;
            asm volatile("bar.arrive %0, 128;" :: "r"(1 + (r & 1)) : "memory");
        }
    } else {
        float sum = 0;
        for (int r = 0; r < rounds; r++) {
            asm volatile("bar.sync %0, 128;" :: "r"(1 + (r & 1)) : "memory");
            sum += slot[r & 1][63 - t] * (r + 1);
            if (r + 2 < rounds)
                asm volatile("bar.arrive %0, 128;" :: "r"(3 + (r & 1)) : "memory");
        }
        y[t] = sum;
    }
}

// Warps reduce in pairs over barriers of 64 threads, each pair its own, one warp left over.
extern "C" __global__ void barriers_of_pairs(const int *x, int *y)
{
    __shared__ int s[160];
    const int warp = threadIdx.x / 32, pair = warp / 2, rank = threadIdx.x % 64;
    s[threadIdx.x] = x[threadIdx.x];
    if (warp == 4) {
        __syncwarp();
        y[threadIdx.x] = s[159 - threadIdx.x % 32];
        return;
    }
    for (int r = 0; r <= pair; r++) {
        asm volatile("barrier.sync %0, 64;" :: "r"(pair + 1) : "memory");
        const int v = s[pair * 64 + (rank + 32) % 64] + r;
        asm volatile("barrier.sync %0, 64;" :: "r"(pair + 1) : "memory");
        s[threadIdx.x] = v;
    }
    y[threadIdx.x] = s[threadIdx.x];
}

// A warp waits for another through a flag in shared memory.
extern "C" __global__ void flag_between_warps(const int *x, int *y)
{
    __shared__ volatile int value, ready;
    if (threadIdx.x == 0)
        ready = 0;
    __syncthreads();
    if (threadIdx.x >= 32) {
        int v = x[threadIdx.x];
        v = __reduce_max_sync(~0u, v);
        if (threadIdx.x == 32) {
            value = v;
            __threadfence_block();
            ready = 1;
        }
    } else {
        while (ready == 0)
            __nanosleep(64);
        __threadfence_block();
        y[threadIdx.x] = x[threadIdx.x] + value;
    }
}
