// Sums, copies and other orders of whole arrays.
#include "values.cuh"

// `a + b + c + d`, of which `summands` there are, also as `factor` where that is not null.
template <typename F>
__device__ void sum(float *to, F *factor, const float *a, const float *b, const float *c, const float *d, int summands, size_t count) {
    size_t index = place();
    if (index >= count) return;
    float value = a[index];
    if (summands > 1) value += b[index];
    if (summands > 2) value += c[index];
    if (summands > 3) value += d[index];
    to[index] = value;
    if (factor) store(factor, index, value);
}

// Rows of `width` numbers to rows that lie `step` apart.
template <typename F> __device__ void widen(const float *from, F *to, size_t count, int width, int step) {
    size_t index = place();
    if (index < count) store(to, index / width * step + index % width, from[index]);
}

#define ARRAYS(NAME, F)                                                                                                           \
    extern "C" __global__ void sum_##NAME(float *to, F *factor, const float *a, const float *b, const float *c, const float *d,   \
                                          int summands, size_t count) {                                                           \
        sum(to, factor, a, b, c, d, summands, count);                                                                             \
    }                                                                                                                             \
    extern "C" __global__ void widen_##NAME(const float *from, F *to, size_t count, int width, int step) {                        \
        widen(from, to, count, width, step);                                                                                      \
    }
ARRAYS(f32, float)
ARRAYS(bf16, bf16)

// From `[outer, inner, width]` to `[inner, outer, width]`.
extern "C" __global__ void swap_axes(const float *from, float *to, size_t outer, size_t inner, size_t width) {
    size_t index = place();
    if (index >= outer * inner * width) return;
    size_t i = index % width, o = index / width % outer, n = index / width / outer;
    to[index] = from[(o * inner + n) * width + i];
}

// A row of `rows` numbers for each index: 1 at the row that it means, else 0.
extern "C" __global__ void one_hot(const unsigned *indices, float *to, size_t count, int rows) {
    size_t index = place();
    if (index < count) to[index] = indices[index / rows] == index % rows;
}
