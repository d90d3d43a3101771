// Losses and scores of a batch, with their gradients. See `loss.rs` for the formulas.
#include "values.cuh"

// What a position holds that is not asked.
const unsigned NOT_ASKED = 0xffffffffu;
const double STABLEMAX_EPS = 1e-30;
const float Q_WEIGHT = 0.5f;

// Numbers of a score, in the order of `Score`.
enum { LM_LOSS, Q_HALT_LOSS, Q_CONTINUE_LOSS, ASKED, RIGHT, Q_HALT, Q_CONTINUE, NUMBERS };

// The first of the largest.
__device__ int most_likely(const float *logits, int vocabulary) {
    int best = 0;
    for (int i = 1; i < vocabulary; i++) {
        if (logits[i] > logits[best]) best = i;
    }
    return best;
}

__device__ double value(double x) { return x < 0 ? 1 / (1 - x + STABLEMAX_EPS) : x + 1; }
__device__ double slope(double x) { return x < 0 ? value(x) * value(x) : 1; }

// The loss of one position; its gradient, times `weight`, is written.
__device__ double stablemax(const float *logits, int label, int vocabulary, double weight, float *by_logits) {
    double sum = 0;
    for (int i = 0; i < vocabulary; i++) sum += value(logits[i]);
    for (int i = 0; i < vocabulary; i++) by_logits[i] = (float)(weight * slope(logits[i]) / sum);
    double x = logits[label];
    by_logits[label] = (float)(weight * (slope(x) / sum - slope(x) / value(x)));
    return -log(value(x) / sum);
}

__device__ double softmax(const float *logits, int label, int vocabulary, double weight, float *by_logits) {
    double largest = logits[most_likely(logits, vocabulary)], sum = 0;
    for (int i = 0; i < vocabulary; i++) sum += exp(logits[i] - largest);
    for (int i = 0; i < vocabulary; i++) {
        by_logits[i] = (float)(weight * (exp(logits[i] - largest) / sum - (i == label)));
    }
    return log(sum) + largest - logits[label];
}

__device__ float sigmoid(float x) { return 1 / (1 + expf(-x)); }
__device__ float binary_cross_entropy(float x, float target) { return fmaxf(x, 0) - x * target + log1pf(expf(-fabsf(x))); }

// One block an example.
extern "C" __global__ void grade(const float *logits, const float *q, const unsigned *labels, float *by_logits, float *by_q,
                                 double *scores, int seq_len, int vocabulary, int is_stablemax) {
    size_t start = (size_t)blockIdx.x * seq_len;
    double asked = 0;
    for (int i = threadIdx.x; i < seq_len; i += THREADS) asked += labels[start + i] != NOT_ASKED;
    asked = block_sum(asked);
    double share = 1 / fmax(asked, 1.0), loss = 0, right = 0;
    for (int i = threadIdx.x; i < seq_len; i += THREADS) {
        const float *at = logits + (start + i) * vocabulary;
        float *by = by_logits + (start + i) * vocabulary;
        if (labels[start + i] == NOT_ASKED) {
            for (int token = 0; token < vocabulary; token++) by[token] = 0;
            continue;
        }
        int label = labels[start + i];
        right += most_likely(at, vocabulary) == label;
        loss += share * (is_stablemax ? stablemax(at, label, vocabulary, share, by) : softmax(at, label, vocabulary, share, by));
    }
    loss = block_sum(loss);
    right = block_sum(right);
    if (threadIdx.x > 0) return;
    double *score = scores + (size_t)blockIdx.x * NUMBERS;
    float halt = q[2 * blockIdx.x], target = right == asked;
    score[LM_LOSS] = loss;
    score[Q_HALT_LOSS] = binary_cross_entropy(halt, target);
    score[Q_CONTINUE_LOSS] = 0;
    score[ASKED] = asked;
    score[RIGHT] = right;
    score[Q_HALT] = halt;
    score[Q_CONTINUE] = q[2 * blockIdx.x + 1];
    by_q[2 * blockIdx.x] = Q_WEIGHT * (sigmoid(halt) - target);
    by_q[2 * blockIdx.x + 1] = 0;
}

// One thread an example: the loss of `q_continue` against what the next step expects.
extern "C" __global__ void grade_continue(const float *next_q, const unsigned *is_last, float *by_q, double *scores, size_t count) {
    size_t index = place();
    if (index >= count) return;
    const float *next = next_q + 2 * index;
    float target = sigmoid(is_last[index] ? next[0] : fmaxf(next[0], next[1]));
    double *score = scores + index * NUMBERS;
    float go_on = score[Q_CONTINUE];
    score[Q_CONTINUE_LOSS] = binary_cross_entropy(go_on, target);
    by_q[2 * index + 1] = Q_WEIGHT * (sigmoid(go_on) - target);
}
