// Four elements per access, several accesses in flight per thread, the tail by single elements.
#pragma kda tune THREADS = 128, 256, 512
#pragma kda tune VECTORS = 1, 2
#pragma kda launch adamw_vector(param, exp_avg, exp_avg_sq, grad, n, lr, beta1, beta2, eps, weight_decay, correction1, correction2) grid(ceil_div(n, 4 * THREADS * VECTORS)) block(THREADS)

struct constants {
    float lr, beta1, beta2, eps, decay, correction1, correction2;
};

__device__ __forceinline__ void step(float &p, float &m, float &v, float g, const constants &c)
{
    m = c.beta1 * m + (1.0f - c.beta1) * g;
    v = c.beta2 * v + (1.0f - c.beta2) * g * g;
    p = p * (1.0f - c.lr * c.decay) - c.lr / c.correction1 * (m / (sqrtf(v) / c.correction2 + c.eps));
}

__global__ void __launch_bounds__(THREADS)
    adamw_vector(float *__restrict__ param, float *__restrict__ exp_avg, float *__restrict__ exp_avg_sq,
                 const float *__restrict__ grad, long long n, float lr, float beta1, float beta2, float eps,
                 float weight_decay, float correction1, float correction2)
{
    const constants c = {lr, beta1, beta2, eps, weight_decay, correction1, correction2};
    const long long first = 4 * ((long long)blockIdx.x * THREADS * VECTORS + threadIdx.x);
#pragma unroll
    for (int k = 0; k < VECTORS; k++) {
        const long long i = first + 4LL * k * THREADS;
        if (i + 3 < n) {
            float4 p = *reinterpret_cast<const float4 *>(param + i);
            float4 m = *reinterpret_cast<const float4 *>(exp_avg + i);
            float4 v = *reinterpret_cast<const float4 *>(exp_avg_sq + i);
            const float4 g = *reinterpret_cast<const float4 *>(grad + i);
            step(p.x, m.x, v.x, g.x, c);
            step(p.y, m.y, v.y, g.y, c);
            step(p.z, m.z, v.z, g.z, c);
            step(p.w, m.w, v.w, g.w, c);
            *reinterpret_cast<float4 *>(param + i) = p;
            *reinterpret_cast<float4 *>(exp_avg + i) = m;
            *reinterpret_cast<float4 *>(exp_avg_sq + i) = v;
        } else {
            for (long long j = i; j < n; j++)
                step(param[j], exp_avg[j], exp_avg_sq[j], grad[j], c);
        }
    }
}
