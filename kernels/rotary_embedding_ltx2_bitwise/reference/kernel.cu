// Rotary embedding of split halves in double precision: the oracle. The product with cos is rounded to bf16, as the
// function demands; both products are exact before that, and the sum is not rounded. Block b writes the outputs
// [256 b, 256 (b + 1)).
#include <cuda_bf16.h>

#pragma kda launch rope_reference(x, cos, sin, y, 2 * B * S * H * half, S, H, half, head_stride, token_stride) \
        grid(ceil_div(2 * B * S * H * half, 256)) block(256)

__global__ void rope_reference(const __nv_bfloat16 *x, const __nv_bfloat16 *cos, const __nv_bfloat16 *sin, double *y,
                               long long count, int S, int H, int half, int head_stride, int token_stride)
{
    const long long at = (long long)blockIdx.x * 256 + threadIdx.x;
    if (at >= count)
        return;
    const long long i = at % half, second = at / half % 2, head = at / half / 2 % H, token = at / half / 2 / H;
    const long long factor = token / S * S * H * half + head * head_stride + token % S * token_stride + i;
    const float own = __bfloat162float(x[at]), other = __bfloat162float(x[second ? at - half : at + half]);
    const double rounded = __bfloat162float(__float2bfloat16_rn(own * __bfloat162float(cos[factor])));
    const double turned = (double)other * (double)__bfloat162float(sin[factor]);
    y[at] = second ? rounded + turned : rounded - turned;
}
