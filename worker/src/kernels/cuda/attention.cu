// What attention does between its products. Tokens lie position by position; a token's queries, keys and values are `[3, inner]`, each
// head by head.
#include "values.cuh"

// Where the partner of feature `i` of a head is, with which it is turned, and the sign of its part (arXiv 2104.09864).
__device__ inline int partner(int i, int head_width) { return i < head_width / 2 ? i + head_width / 2 : i - head_width / 2; }
__device__ inline float sign(int i, int head_width) { return i < head_width / 2 ? -1 : 1; }

// From `[tokens, 3, inner]` to `[3, tokens, inner]`, queries and keys turned to their positions where there are tables
// (`[positions, head_width]`), `examples` tokens at a position.
template <typename F>
__device__ void split(const F *rows, F *parts, const float *cos, const float *sin, int tokens, int inner, int head_width,
                      int examples) {
    size_t index = place(), count = (size_t)tokens * inner;
    if (index >= 3 * count) return;
    int part = index / count, feature = index % inner, i = feature % head_width;
    size_t token = index % count / inner, row = (token * 3 + part) * inner;
    float value = load(rows, row + feature);
    if (cos && part < 2) {
        size_t at = token / examples * head_width + i;
        float other = load(rows, row + feature - i + partner(i, head_width));
        value = value * cos[at] + sign(i, head_width) * other * sin[at];
    }
    store(parts, index, value);
}

// The other way round, also in the turning.
template <typename F>
__device__ void join(const F *parts, F *rows, const float *cos, const float *sin, int tokens, int inner, int head_width, int examples) {
    size_t index = place(), count = (size_t)tokens * inner;
    if (index >= 3 * count) return;
    int feature = index % inner, part = index / inner % 3, i = feature % head_width;
    size_t token = index / inner / 3, from = part * count + token * inner;
    float value = load(parts, from + feature);
    if (cos && part < 2) {
        size_t at = token / examples * head_width + i;
        float other = load(parts, from + feature - i + partner(i, head_width));
        value = value * cos[at] - sign(i, head_width) * other * sin[at];
    }
    store(rows, index, value);
}

// `softmax(scale * scores)` over the `width` numbers of rows that lie `step` apart. One warp a row.
template <typename F> __device__ void softmax(const float *scores, F *shares, size_t rows, int width, int step, float scale) {
    size_t row = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const float *from = scores + row * step;
    float largest = -INFINITY;
    for (int i = threadIdx.x; i < width; i += 32) largest = fmaxf(largest, from[i]);
    largest = warp_max(largest);
    float sum = 0;
    for (int i = threadIdx.x; i < width; i += 32) sum += expf((from[i] - largest) * scale);
    sum = warp_sum(sum);
    for (int i = threadIdx.x; i < width; i += 32) store(shares, row * step + i, expf((from[i] - largest) * scale) / sum);
}

// The gradient by scores, from that by shares.
template <typename F>
__device__ void softmax_backward(const F *shares, const float *by_shares, F *by_scores, size_t rows, int width, int step, float scale) {
    size_t row = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    size_t start = row * step;
    float along = 0;
    for (int i = threadIdx.x; i < width; i += 32) along += load(shares, start + i) * by_shares[start + i];
    along = warp_sum(along);
    for (int i = threadIdx.x; i < width; i += 32) {
        store(by_scores, start + i, load(shares, start + i) * (by_shares[start + i] - along) * scale);
    }
}

#define ATTENTION(NAME, F)                                                                                                        \
    extern "C" __global__ void heads_split_##NAME(const F *rows, F *parts, const float *cos, const float *sin, int tokens,        \
                                                  int inner, int head_width, int examples) {                                      \
        split(rows, parts, cos, sin, tokens, inner, head_width, examples);                                                        \
    }                                                                                                                             \
    extern "C" __global__ void heads_join_##NAME(const F *parts, F *rows, const float *cos, const float *sin, int tokens,         \
                                                 int inner, int head_width, int examples) {                                       \
        join(parts, rows, cos, sin, tokens, inner, head_width, examples);                                                         \
    }                                                                                                                             \
    extern "C" __global__ void softmax_##NAME(const float *scores, F *shares, size_t rows, int width, int step, float scale) {    \
        softmax(scores, shares, rows, width, step, scale);                                                                        \
    }                                                                                                                             \
    extern "C" __global__ void softmax_backward_##NAME(const F *shares, const float *by_shares, F *by_scores, size_t rows,        \
                                                       int width, int step, float scale) {                                        \
        softmax_backward(shares, by_shares, by_scores, rows, width, step, scale);                                                 \
    }
ATTENTION(f32, float)
ATTENTION(bf16, bf16)
