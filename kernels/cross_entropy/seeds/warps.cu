// One warp per row, WARPS rows per block, no barrier; a lane has UNROLL vectors in flight and one maximum and sum. A grid
// of GRID blocks per SM walks the rows.
#include <cuda_bf16.h>

#pragma kda tune WARPS = 4, 1, 8, 16
#pragma kda tune UNROLL = 4, 1, 2, 8
#pragma kda tune GRID = 16, 4, 2
#pragma kda launch entropy_warps(x, target, loss, M, V) grid(min(ceil_div(M, WARPS), 132 * GRID)) block(32 * WARPS)

#define LOG2E 1.44269504f

__device__ __forceinline__ float low(unsigned int pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(unsigned int pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

// Maximum and sum of exp2((v - maximum) * log2(e)) over what was added.
struct Running {
    float most, sum;

    __device__ __forceinline__ void raise(float value)
    {
        if (value > most) {
            sum *= exp2f((most - value) * LOG2E);
            most = value;
        }
    }

    __device__ __forceinline__ void add(float value)
    {
        raise(value);
        sum += exp2f((value - most) * LOG2E);
    }

    __device__ __forceinline__ void add8(uint4 v)
    {
        const unsigned int word[4] = {v.x, v.y, v.z, v.w};
        float top = fmaxf(low(word[0]), high(word[0]));
#pragma unroll
        for (int i = 1; i < 4; i++)
            top = fmaxf(top, fmaxf(low(word[i]), high(word[i])));
        raise(top);
#pragma unroll
        for (int i = 0; i < 4; i++)
            sum += exp2f((low(word[i]) - most) * LOG2E) + exp2f((high(word[i]) - most) * LOG2E);
    }

    // Over a warp, in every lane.
    __device__ __forceinline__ void join_warp()
    {
        float all = most;
        for (int offset = 16; offset > 0; offset /= 2)
            all = fmaxf(all, __shfl_xor_sync(0xffffffffu, all, offset));
        sum = most == -INFINITY ? 0.0f : sum * exp2f((most - all) * LOG2E);
        for (int offset = 16; offset > 0; offset /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        most = all;
    }
};

__global__ void __launch_bounds__(32 * WARPS)
    entropy_warps(const __nv_bfloat16 *x, const long long *target, float *loss, int M, int V)
{
    const int lane = threadIdx.x % 32;
    for (int row = blockIdx.x * WARPS + threadIdx.x / 32; row < M; row += gridDim.x * WARPS) {
        const long long wanted = target[row];
        const __nv_bfloat16 *from = x + (size_t)row * V;
        const int head = min(V, (int)(-(size_t)from % 16 / 2)), chunks = (V - head) / 8, tail = head + 8 * chunks;
        const uint4 *in = reinterpret_cast<const uint4 *>(from + head);
        Running r = {-INFINITY, 0.0f};
        if (wanted < 0) {
            if (lane == 0)
                loss[row] = 0.0f;
            continue;
        }
        if (lane < head)
            r.add(__bfloat162float(from[lane]));
        int c = lane;
        for (; c + 32 * (UNROLL - 1) < chunks; c += 32 * UNROLL) {
            uint4 v[UNROLL];
#pragma unroll
            for (int u = 0; u < UNROLL; u++)
                v[u] = in[c + 32 * u];
#pragma unroll
            for (int u = 0; u < UNROLL; u++)
                r.add8(v[u]);
        }
        for (; c < chunks; c += 32)
            r.add8(in[c]);
        if (lane < V - tail)
            r.add(__bfloat162float(from[tail + lane]));
        r.join_warp();
        if (lane == 0)
            loss[row] = logf(r.sum) + (r.most - __bfloat162float(from[wanted]));
    }
}
