// What the kernels need of the machine, for NVRTC. The tests have a header of the same names for the host
// (`fake/host.h`); everything after it is the same text on both.
//
// NVRTC finds no header files on a machine that has only the driver and the compiler's library, so there is no
// `#include` here, and half precision is written in PTX.

#ifndef OCCDEPTH_HOST

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads)
#define DEVICE __device__ __forceinline__

// Read-only data goes through the texture path. The pointee must not be written while the kernel runs.
template <typename T> DEVICE T load(const T* at) { return __ldg(at); }

struct alignas(8) Float2 { float x, y; };
DEVICE Float2 load(const Float2* at) {
    float2 pair = __ldg(reinterpret_cast<const float2*>(at));
    return Float2{pair.x, pair.y};
}

// Single operations, rounded to nearest even: `nvcc` may fuse plain `a * b + c`, and the CPU path does not.
DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
DEVICE float times(float a, float b) { return __fmul_rn(a, b); }
DEVICE float plus(float a, float b) { return __fadd_rn(a, b); }
DEVICE float minus(float a, float b) { return __fadd_rn(a, -b); }
DEVICE float divided(float a, float b) { return __fdiv_rn(a, b); }
DEVICE u32 bits_of(float a) { return __float_as_uint(a); }
DEVICE float of_bits(u32 a) { return __uint_as_float(a); }

DEVICE u16 half_of(float a) {
    u16 half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(a));
    return half;
}
DEVICE float of_half(u16 half) {
    float a;
    asm("cvt.f32.f16 %0, %1;" : "=f"(a) : "h"(half));
    return a;
}

#endif
