// Asynchronous copies and the barriers that wait for them.
typedef unsigned long long u64;

__device__ unsigned shared_address(const void *p)
{
    return (unsigned)__cvta_generic_to_shared(p);
}

__device__ void copy16(void *to, const void *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory"); // BUG
}

__device__ void commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int N> __device__ void wait_group()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

__device__ void barrier_init(u64 *b, int count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(count) : "memory");
}

__device__ void barrier_expect(u64 *b, int bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes) : "memory");
}

__device__ void barrier_arrive(u64 *b)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}

__device__ void barrier_wait(u64 *b, int parity)
{
    asm volatile("{\n.reg .pred p;\nAGAIN:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra.uni DONE;\n"
                 "bra.uni AGAIN;\nDONE:\n}" ::"r"(shared_address(b)), "r"(parity) : "memory");
}

__device__ void bulk_load(void *to, const void *from, int bytes, u64 *b)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
                 ::"r"(shared_address(to)), "l"(from), "r"(bytes), "r"(shared_address(b)) : "memory"); // BUG
}

__device__ void bulk_store(void *to, const void *from, int bytes)
{
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(shared_address(from)), "r"(bytes) : "memory"); // BUG
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

__device__ void bulk_wait_read()
{
    asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}

__device__ void fence_async()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ void fence_init()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// Copied and read with no wait between.
extern "C" __global__ void copy_no_wait(const float *x, float *y)
{
    __shared__ __align__(16) float s[128];
    int t = threadIdx.x;
    copy16(&s[4 * t], x + 4 * t);
    commit();
#ifdef FIXED
    wait_group<0>();
#endif
    y[t] = s[4 * t] + s[4 * t + 3]; // BUG
}

// The wait is for groups, and the copy belongs to none.
extern "C" __global__ void copy_no_commit(const float *x, float *y)
{
    __shared__ __align__(16) float s[128];
    int t = threadIdx.x;
    copy16(&s[4 * t], x + 4 * t);
#ifdef FIXED
    commit();
#endif
    wait_group<0>();
    y[t] = s[4 * t] + s[4 * t + 3]; // BUG
}

// One group may stay in flight, also when it is the last tile's.
extern "C" __global__ void pipeline_last_tile(const float *x, float *y, int tiles)
{
    __shared__ __align__(16) float s[2][128];
    int t = threadIdx.x;
    float sum = 0;
    copy16(&s[0][4 * t], x + 4 * t);
    commit();
    for (int k = 0; k < tiles; k++) {
        if (k + 1 < tiles) {
            copy16(&s[(k + 1) & 1][4 * t], x + 128 * (k + 1) + 4 * t);
            commit();
        }
#ifdef FIXED
        if (k + 1 == tiles)
            wait_group<0>();
        else
#endif
            wait_group<1>();
        __syncthreads();
        sum += s[k & 1][127 - t]; // BUG
        __syncthreads();
    }
    y[t] = sum;
}

// Each thread has waited for its own copies only.
extern "C" __global__ void copy_no_barrier(const float *x, float *y)
{
    __shared__ __align__(16) float s[256];
    int t = threadIdx.x;
    copy16(&s[4 * t], x + 4 * t); // BUG
    commit();
    wait_group<0>(); // BUG
#ifdef FIXED
    __syncthreads();
#endif
    y[t] = s[255 - t]; // BUG
}

// The place of a copy in flight is cleared.
extern "C" __global__ void copy_overwritten(const float *x, float *y, int n)
{
    __shared__ __align__(16) float s[128];
    int t = threadIdx.x;
    copy16(&s[4 * t], x + 4 * t);
    commit();
#ifdef FIXED
    wait_group<0>();
#endif
    if (4 * t + 3 >= n)
        s[4 * t + 3] = 0; // BUG
    wait_group<0>();
    y[t] = s[4 * t + 3];
}

// The next tile is copied into the stage that others still read.
extern "C" __global__ void copy_into_read_stage(const float *x, float *y, int tiles)
{
    __shared__ __align__(16) float s[256];
    int t = threadIdx.x;
    float sum = 0;
    for (int k = 0; k < tiles; k++) {
        copy16(&s[4 * t], x + 256 * k + 4 * t);
        commit();
        wait_group<0>();
        __syncthreads();
        sum += s[255 - t];
#ifdef FIXED
        __syncthreads();
#endif
    }
    y[t] = sum;
}

// A bulk copy is read behind a barrier of the block, which knows nothing of it.
extern "C" __global__ void bulk_no_wait(const float *x, float *y)
{
    __shared__ __align__(128) float s[64];
    __shared__ u64 full;
    int t = threadIdx.x;
    if (t == 0) {
        barrier_init(&full, 1);
        fence_init();
    }
    __syncthreads();
    if (t == 0) {
        barrier_expect(&full, sizeof s);
        bulk_load(s, x, sizeof s, &full);
    }
#ifdef FIXED
    barrier_wait(&full, 0);
#else
    __syncthreads();
#endif
    y[t] = s[63 - t]; // BUG
}

// A fresh barrier lets a wait for the phase before its first one through.
extern "C" __global__ void bulk_wrong_parity(const float *x, float *y)
{
    __shared__ __align__(128) float s[64];
    __shared__ u64 full;
    int t = threadIdx.x;
    if (t == 0) {
        barrier_init(&full, 1);
        fence_init();
    }
    __syncthreads();
    if (t == 0) {
        barrier_expect(&full, sizeof s);
        bulk_load(s, x, sizeof s, &full);
    }
#ifdef FIXED
    barrier_wait(&full, 0);
#else
    barrier_wait(&full, 1);
#endif
    y[t] = s[63 - t]; // BUG
}

// The parity is not turned for the second tile: its wait sees the first one's phase.
extern "C" __global__ void bulk_parity_kept(const float *x, float *y, int tiles)
{
    __shared__ __align__(128) float s[64];
    __shared__ u64 full;
    int t = threadIdx.x;
    float sum = 0;
    if (t == 0) {
        barrier_init(&full, 1);
        fence_init();
    }
    __syncthreads();
    for (int k = 0; k < tiles; k++) {
        if (t == 0) {
            barrier_expect(&full, sizeof s);
            bulk_load(s, x + 64 * k, sizeof s, &full);
        }
#ifdef FIXED
        barrier_wait(&full, k & 1);
#else
        barrier_wait(&full, 0);
#endif
        sum += s[63 - t]; // BUG
        __syncthreads();
    }
    y[t] = sum;
}

// More bytes are expected than are copied.
extern "C" __global__ void bulk_expects_more(const float *x, float *y)
{
    __shared__ __align__(128) float s[64];
    __shared__ u64 full;
    int t = threadIdx.x;
    if (t == 0) {
        barrier_init(&full, 1);
        fence_init();
    }
    __syncthreads();
    if (t == 0) {
#ifdef FIXED
        barrier_expect(&full, sizeof s);
#else
        barrier_expect(&full, 2 * sizeof s);
#endif
        bulk_load(s, x, sizeof s, &full);
    }
    barrier_wait(&full, 0);
    y[t] = s[63 - t];
}

// The barrier counts one arrival more than there are threads.
extern "C" __global__ void count_too_high(const float *x, float *y)
{
    __shared__ float s[64];
    __shared__ u64 full;
    int t = threadIdx.x;
    if (t == 0) {
#ifdef FIXED
        barrier_init(&full, 64);
#else
        barrier_init(&full, 65);
#endif
        fence_init();
    }
    __syncthreads();
    s[t] = x[t];
    barrier_arrive(&full);
    barrier_wait(&full, 0);
    y[t] = s[63 - t];
}

// Threads without an element do not arrive.
extern "C" __global__ void arrival_in_branch(const float *x, float *y, int n)
{
    __shared__ float s[64];
    __shared__ u64 full;
    int t = threadIdx.x;
    if (t == 0) {
        barrier_init(&full, 64);
        fence_init();
    }
    __syncthreads();
    s[t] = 0;
    if (t < n) {
        s[t] = x[t];
#ifndef FIXED
        barrier_arrive(&full);
#endif
    }
#ifdef FIXED
    barrier_arrive(&full);
#endif
    barrier_wait(&full, 0);
    y[t] = s[63 - t];
}

// The consumer waits for one phase more than the producer makes.
extern "C" __global__ void one_phase_more(const float *x, float *y, int tiles)
{
    __shared__ float s[4][32];
    __shared__ u64 full;
    int t = threadIdx.x;
    if (t == 0) {
        barrier_init(&full, 32);
        fence_init();
    }
    __syncthreads();
    if (t < 32) {
#ifdef FIXED
        s[0][t] = x[t];
        barrier_arrive(&full);
#else
        s[0][t] = x[t];
#endif
    } else {
        barrier_wait(&full, 0);
        y[t - 32] = s[0][63 - t];
    }
}

// Stores of the threads are not made visible to the bulk copy that reads them.
extern "C" __global__ void bulk_store_no_fence(const float *x, float *y)
{
    __shared__ __align__(128) float s[64];
    int t = threadIdx.x;
    s[t] = x[63 - t]; // BUG
#ifdef FIXED
    fence_async();
#endif
    __syncthreads();
    if (t == 0) {
        bulk_store(y, s, sizeof s); // BUG
        bulk_wait_read();
    }
}

// The source of a bulk store is used again before it was read.
extern "C" __global__ void bulk_store_reused(const float *x, float *y, int tiles)
{
    __shared__ __align__(128) float s[64];
    int t = threadIdx.x;
    for (int k = 0; k < tiles; k++) {
        s[t] = x[64 * k + t] + 1; // BUG
        fence_async();
        __syncthreads();
        if (t == 0) {
            bulk_store(y + 64 * k, s, sizeof s);
#ifdef FIXED
            bulk_wait_read();
#endif
        }
        __syncthreads();
    }
    if (t == 0)
        bulk_wait_read();
}

// A bulk copy from an address that is no multiple of 16.
extern "C" __global__ void bulk_misaligned(const float *x, float *y)
{
    __shared__ __align__(128) float s[64];
    __shared__ u64 full;
    int t = threadIdx.x;
    if (t == 0) {
        barrier_init(&full, 1);
        fence_init();
    }
    __syncthreads();
    if (t == 0) {
        barrier_expect(&full, sizeof s);
#ifdef FIXED
        bulk_load(s, x + 4, sizeof s, &full);
#else
        bulk_load(s, x + 2, sizeof s, &full);
#endif
    }
    barrier_wait(&full, 0);
    y[t] = s[63 - t];
}

// The last tile is copied whole, past the end of the input.
extern "C" __global__ void bulk_past_end(const float *x, float *y, int n)
{
    __shared__ __align__(128) float s[64];
    __shared__ u64 full;
    int t = threadIdx.x, first = blockIdx.x * 64;
#ifdef FIXED
    int bytes = min(64, n - first) * 4;
#else
    int bytes = sizeof s;
#endif
    if (t == 0) {
        barrier_init(&full, 1);
        fence_init();
    }
    __syncthreads();
    if (t == 0) {
        barrier_expect(&full, bytes);
        bulk_load(s, x + first, bytes, &full);
    }
    barrier_wait(&full, 0);
    if (first + t < n)
        y[first + t] = s[t];
}

// The result goes to the input by a bulk copy.
extern "C" __global__ void bulk_to_input(float *x, float *y)
{
    __shared__ __align__(128) float s[64];
    int t = threadIdx.x;
    s[t] = x[63 - t];
    fence_async();
    __syncthreads();
    if (t == 0) {
#ifdef FIXED
        bulk_store(y, s, sizeof s);
#else
        bulk_store(x, s, sizeof s);
#endif
        bulk_wait_read();
    }
}
