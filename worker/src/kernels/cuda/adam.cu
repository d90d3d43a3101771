// What an optimiser does to every number, and the moving average. See `kernels/adam.rs` for the formulas.
#include "values.cuh"

struct Coefficients {
    float scale, beta1, beta2, keep, rate, root_scale;
};

// `eps` is AdamW's; below 0 it is the arc tangent's rule.
extern "C" __global__ void adam(float *weights, const float *gradient, float *first, float *second, const Coefficients *by, float eps,
                                size_t count) {
    size_t index = place();
    if (index >= count) return;
    float g = gradient[index] * by->scale;
    float m = by->beta1 * first[index] + (1 - by->beta1) * g;
    float v = by->beta2 * second[index] + (1 - by->beta2) * g * g;
    float root = sqrtf(v) * by->root_scale;
    float direction = eps < 0 ? atan2f(m, root) : m / (root + eps);
    first[index] = m;
    second[index] = v;
    weights[index] = weights[index] * by->keep - by->rate * direction;
}

extern "C" __global__ void average(float *average, const float *weights, float rate, size_t count) {
    size_t index = place();
    if (index < count) average[index] = rate * average[index] + (1 - rate) * weights[index];
}

// Each block writes the sum of the squares that its threads come by.
extern "C" __global__ void squares(const float *gradient, double *sums, size_t count) {
    double sum = 0;
    for (size_t index = place(); index < count; index += (size_t)gridDim.x * THREADS) sum += (double)gradient[index] * gradient[index];
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One block: what gradients whose squares have these sums are multiplied by, so that their norm is at most `clip`.
extern "C" __global__ void bound(const double *sums, size_t count, Coefficients *by, float clip, float eps) {
    double sum = 0;
    for (size_t index = threadIdx.x; index < count; index += THREADS) sum += sums[index];
    sum = block_sum(sum);
    if (threadIdx.x == 0) by->scale = (float)fmin(1.0, clip / (sqrt(sum) + eps));
}
