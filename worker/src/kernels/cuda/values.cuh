// Numbers in f32 or bf16, computed with in f32.
#pragma once
#include <cuda_bf16.h>

typedef __nv_bfloat16 bf16;

__device__ inline float load(const float *from, size_t index) { return from[index]; }
__device__ inline float load(const bf16 *from, size_t index) { return __bfloat162float(from[index]); }
__device__ inline void store(float *to, size_t index, float value) { to[index] = value; }
__device__ inline void store(bf16 *to, size_t index, float value) { to[index] = __float2bfloat16_rn(value); }

// The place of this thread in a one-dimensional grid.
__device__ inline size_t place() { return (size_t)blockIdx.x * blockDim.x + threadIdx.x; }

// The sum over the threads of a warp, known to all of them.
__device__ inline float warp_sum(float value) {
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

__device__ inline float warp_max(float value) {
    for (int distance = 16; distance > 0; distance /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

// Threads of a block that works on one thing together.
const int THREADS = 256;

// The sum over the threads of such a block, known to all.
__device__ inline double block_sum(double value) {
    __shared__ double parts[THREADS];
    __syncthreads(); // whoever still reads an earlier sum
    parts[threadIdx.x] = value;
    for (int step = THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if (threadIdx.x < step) parts[threadIdx.x] += parts[threadIdx.x + step];
    }
    __syncthreads();
    return parts[0];
}
