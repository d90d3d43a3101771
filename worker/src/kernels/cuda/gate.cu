// `silu(gate) * up`, where `gates` gates lie side by side, followed by their ups.
#include "values.cuh"

template <typename F> __device__ void forward(const F *both, F *gated, size_t gates, size_t count) {
    size_t index = place();
    if (index >= count) return;
    size_t at = index / gates * 2 * gates + index % gates;
    float gate = load(both, at);
    store(gated, index, gate / (1 + expf(-gate)) * load(both, at + gates));
}

// `gated` comes in as the gradient by what the gate let through, and becomes what that was.
template <typename F> __device__ void backward(const F *both, F *gated, F *by_both, size_t gates, size_t count) {
    size_t index = place();
    if (index >= count) return;
    size_t at = index / gates * 2 * gates + index % gates;
    float gate = load(both, at), up = load(both, at + gates), g = load(gated, index);
    float sigmoid = 1 / (1 + expf(-gate)), silu = gate * sigmoid;
    store(gated, index, silu * up);
    store(by_both, at, g * up * sigmoid * (1 + gate * (1 - sigmoid)));
    store(by_both, at + gates, g * silu);
}

#define GATE(NAME, F)                                                                                                             \
    extern "C" __global__ void gate_##NAME(const F *both, F *gated, size_t gates, size_t count) {                                 \
        forward(both, gated, gates, count);                                                                                       \
    }                                                                                                                             \
    extern "C" __global__ void gate_backward_##NAME(const F *both, F *gated, F *by_both, size_t gates, size_t count) {            \
        backward(both, gated, by_both, gates, count);                                                                             \
    }
GATE(f32, float)
GATE(bf16, bf16)
