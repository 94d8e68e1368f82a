// Rotary embedding of adjacent pairs with the mapping of the upstream Triton kernel (docs/README.md): a program of 128
// threads takes HEADS heads of one token and walks their pairs PAIRS at a time; the two elements of a pair are loaded
// and stored separately (2 bytes at a stride of 4), and every program of a token reads its cos and sin again.
#include <cuda_bf16.h>

#pragma kda variant narrow when(D <= 64)
#pragma kda launch rope_heads<4, 32>(x, cos, sin, y, H, D) grid(T, ceil_div(H, 4)) block(128)
#pragma kda variant wide
#pragma kda launch rope_heads<4, 64>(x, cos, sin, y, H, D) grid(T, ceil_div(H, 4)) block(128)

template <int HEADS, int PAIRS>
__global__ void __launch_bounds__(128)
    rope_heads(const __nv_bfloat16 *x, const float *cos, const float *sin, __nv_bfloat16 *y, int H, int D)
{
    constexpr int ROWS = 128 / PAIRS; // heads that the threads cover in one pass
    constexpr int PASSES = HEADS / ROWS;
    const int half = D / 2;
    const int head = blockIdx.y * HEADS + threadIdx.x / PAIRS;
    const size_t token = blockIdx.x;

    for (int pair = threadIdx.x % PAIRS; pair < half; pair += PAIRS) {
        const float c = cos[token * half + pair];
        const float s = sin[token * half + pair];
        float a[PASSES], b[PASSES];
#pragma unroll
        for (int p = 0; p < PASSES; p++) {
            const size_t at = (token * H + head + p * ROWS) * D + 2 * pair;
            a[p] = head + p * ROWS < H ? __bfloat162float(x[at]) : 0.0f;
            b[p] = head + p * ROWS < H ? __bfloat162float(x[at + 1]) : 0.0f;
        }
#pragma unroll
        for (int p = 0; p < PASSES; p++) {
            const size_t at = (token * H + head + p * ROWS) * D + 2 * pair;
            if (head + p * ROWS < H) {
                y[at] = __float2bfloat16_rn(fmaf(-b[p], s, a[p] * c));
                y[at + 1] = __float2bfloat16_rn(fmaf(a[p], s, b[p] * c));
            }
        }
    }
}
