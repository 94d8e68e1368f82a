// One step of AdamW over one tensor, as a training loop launches it for every parameter tensor:
//     adamw_step<<<(n + 255) / 256, 256>>>(...);
// Decoupled weight decay; the caller passes the bias corrections 1 - beta1^t and sqrt(1 - beta2^t).
__global__ void __launch_bounds__(256)
    adamw_step(float *__restrict__ param, float *__restrict__ exp_avg, float *__restrict__ exp_avg_sq,
               const float *__restrict__ grad, long long n, float lr, float beta1, float beta2, float eps,
               float weight_decay, float correction1, float correction2)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const float g = grad[i];
    const float m = beta1 * exp_avg[i] + (1.0f - beta1) * g;
    const float v = beta2 * exp_avg_sq[i] + (1.0f - beta2) * g * g;
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    const float denominator = sqrtf(v) / correction2 + eps;
    param[i] = param[i] * (1.0f - lr * weight_decay) - lr / correction1 * (m / denominator);
}
