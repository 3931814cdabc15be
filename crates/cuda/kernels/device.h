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

// Threads a block, and how many blocks a multiprocessor is to hold at least.
#define KERNEL(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)
#define DEVICE __device__ __forceinline__

// Read-only data goes through the texture path. The pointee must not be written while the kernel runs.
template <typename T> DEVICE T load(const T* at) { return __ldg(at); }

struct alignas(8) Word2 { u32 x, y; };
DEVICE Word2 load(const Word2* at) {
    uint2 words = __ldg(reinterpret_cast<const uint2*>(at));
    return Word2{words.x, words.y};
}

// Single operations, rounded to nearest even: `nvcc` may fuse plain `a * b + c`, and the CPU path does not.
DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
DEVICE float times(float a, float b) { return __fmul_rn(a, b); }
DEVICE float plus(float a, float b) { return __fadd_rn(a, b); }
DEVICE float minus(float a, float b) { return __fadd_rn(a, -b); }
DEVICE float divided(float a, float b) { return __fdiv_rn(a, b); }
// The same for a = 255 and b from 1 to 255, where nothing over- or underflows: all b from 1 to 256 were compared on a GPU.
DEVICE float divided_without_branches(float a, float b) {
    float reciprocal;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(b));
    reciprocal = __fmaf_rn(reciprocal, __fmaf_rn(-b, reciprocal, 1.0f), reciprocal);
    float quotient = __fmul_rn(a, reciprocal);
    return __fmaf_rn(__fmaf_rn(-b, quotient, a), reciprocal, quotient);
}
// Of a number and NaN, the number; of zeros, either.
DEVICE float greater(float a, float b) { return fmaxf(a, b); }
DEVICE float lesser(float a, float b) { return fminf(a, b); }
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

// All bits of a half set where that of `a` is greater than that of `b`, which no NaN is.
DEVICE u32 greater_halves(u32 a, u32 b) {
    u32 mask;
    asm("set.gt.u32.f16x2 %0, %1, %2;" : "=r"(mask) : "r"(a), "r"(b));
    return mask;
}
// 0 times the halves of `a`, plus those of `b`: NaN where a half of `a` is not finite, or `b` was that.
DEVICE u32 zero_halves_plus(u32 a, u32 b) {
    u32 sum;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(0), "r"(b));
    return sum;
}

#endif
