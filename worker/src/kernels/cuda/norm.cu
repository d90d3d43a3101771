// `norm(h) = h / sqrt(mean(h^2) + eps)` of h = x + update, and its backward pass. What goes into products next is written as `factor`
// too, where that is not null.
#include "values.cuh"

// One warp a row. `update` becomes the result.
template <typename F>
__device__ void rows(const float *x, float *update, F *factor, float *inverses, int rows, int width, float eps) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    size_t start = (size_t)row * width;
    float squares = 0;
    for (int i = threadIdx.x; i < width; i += 32) {
        float h = x[start + i] + update[start + i];
        squares += h * h;
    }
    float inverse = 1 / sqrtf(warp_sum(squares) / width + eps);
    for (int i = threadIdx.x; i < width; i += 32) {
        float y = (x[start + i] + update[start + i]) * inverse;
        update[start + i] = y;
        if (factor) store(factor, start + i, y);
    }
    if (threadIdx.x == 0) inverses[row] = inverse;
}

// The gradient by the result, `g`, becomes that by h.
template <typename F>
__device__ void rows_backward(const float *y, float *g, F *factor, const float *inverses, int rows, int width) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    size_t start = (size_t)row * width;
    float along = 0;
    for (int i = threadIdx.x; i < width; i += 32) along += g[start + i] * y[start + i];
    along = warp_sum(along) / width;
    float inverse = inverses[row];
    for (int i = threadIdx.x; i < width; i += 32) {
        float by_h = (g[start + i] - y[start + i] * along) * inverse;
        g[start + i] = by_h;
        if (factor) store(factor, start + i, by_h);
    }
}

const int LANES = 8;

// The sum of what the threads of each column of a block of 32 by LANES threads have.
__device__ float column_sum(float value) {
    __shared__ float parts[LANES][32];
    parts[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    float sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += parts[lane][threadIdx.x];
    return sum;
}

// The same over columns of numbers that lie `columns` apart; a block has 32 of them.
template <typename F>
__device__ void columns(const float *x, float *update, F *factor, float *inverses, int rows, int columns, float eps) {
    int column = blockIdx.x * 32 + threadIdx.x;
    bool is_there = column < columns;
    float squares = 0;
    for (int row = threadIdx.y; is_there && row < rows; row += LANES) {
        size_t at = (size_t)row * columns + column;
        float h = x[at] + update[at];
        squares += h * h;
    }
    float inverse = 1 / sqrtf(column_sum(squares) / rows + eps);
    for (int row = threadIdx.y; is_there && row < rows; row += LANES) {
        size_t at = (size_t)row * columns + column;
        float y = (x[at] + update[at]) * inverse;
        update[at] = y;
        if (factor) store(factor, at, y);
    }
    if (is_there && threadIdx.y == 0) inverses[column] = inverse;
}

template <typename F>
__device__ void columns_backward(const float *y, float *g, F *factor, const float *inverses, int rows, int columns) {
    int column = blockIdx.x * 32 + threadIdx.x;
    bool is_there = column < columns;
    float along = 0;
    for (int row = threadIdx.y; is_there && row < rows; row += LANES) {
        size_t at = (size_t)row * columns + column;
        along += g[at] * y[at];
    }
    along = column_sum(along) / rows;
    float inverse = is_there ? inverses[column] : 0;
    for (int row = threadIdx.y; is_there && row < rows; row += LANES) {
        size_t at = (size_t)row * columns + column;
        float by_h = (g[at] - y[at] * along) * inverse;
        g[at] = by_h;
        if (factor) store(factor, at, by_h);
    }
}

#define NORM(AXIS, NAME, F)                                                                                                       \
    extern "C" __global__ void norm_##AXIS##_##NAME(const float *x, float *update, F *factor, float *inverses, int m, int n,      \
                                                    float eps) {                                                                  \
        AXIS(x, update, factor, inverses, m, n, eps);                                                                             \
    }                                                                                                                             \
    extern "C" __global__ void norm_##AXIS##_backward_##NAME(const float *y, float *g, F *factor, const float *inverses, int m,   \
                                                             int n) {                                                             \
        AXIS##_backward(y, g, factor, inverses, m, n);                                                                            \
    }
NORM(rows, f32, float)
NORM(rows, bf16, bf16)
NORM(columns, f32, float)
NORM(columns, bf16, bf16)
