// What the kernels need of the machine (`kernels/device.h`), for the host: one thread after the other.
//
// Every read says whether it is aligned, as a GPU would: a misaligned address is an error there and none here.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
// `unsigned long long`, as on the device.
typedef unsigned long long u64;

struct Dim3 {
    u32 x, y, z;
};
static thread_local Dim3 blockIdx, blockDim, threadIdx;

#define KERNEL(threads, blocks) extern "C" void
#define DEVICE static inline

template <typename T> DEVICE T load(const T* at) {
    if (reinterpret_cast<uintptr_t>(at) % sizeof(T) != 0) {
        fprintf(stderr, "misaligned read of %zu bytes at %p\n", sizeof(T), (const void*)at);
        abort();
    }
    return *at;
}

struct alignas(8) Word2 {
    u32 x, y;
};

// Compiled with -ffp-contract=off: nothing is fused but what says so.
DEVICE float fused(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE float times(float a, float b) { return a * b; }
DEVICE float plus(float a, float b) { return a + b; }
DEVICE float minus(float a, float b) { return a - b; }
DEVICE float divided(float a, float b) { return a / b; }
DEVICE float divided_without_branches(float a, float b) { return a / b; }
DEVICE float greater(float a, float b) { return fmaxf(a, b); }
DEVICE float lesser(float a, float b) { return fminf(a, b); }
DEVICE u32 bits_of(float a) {
    u32 bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
DEVICE float of_bits(u32 bits) {
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

// Half precision by its definition (IEEE 754 binary16), rounded to nearest, a half to the even one.
DEVICE u16 half_of(float a) {
    u32 bits = bits_of(a), sign = bits >> 16 & 0x8000u, exponent = bits >> 23 & 0xff, mantissa = bits & 0x7fffffu;
    if (exponent == 255) return u16(sign | (mantissa ? 0x7e00u : 0x7c00u));
    // The value is significand * 2^(exponent - 150).
    u32 significand = exponent ? mantissa | 0x800000u : mantissa;
    int power = (exponent ? int(exponent) : 1) - 150;
    // A half is digits * 2^unit with digits below 2^11; below 2^-14 the unit stays 2^-24.
    int unit = power + 13 < -24 ? -24 : power + 13;
    int shift = unit - power;
    if (shift > 31) return u16(sign);
    u32 digits = significand >> shift, rest = significand & ((1u << shift) - 1), middle = 1u << (shift - 1);
    digits += rest > middle || (rest == middle && (digits & 1));
    // Carries run into the exponent as they should.
    u32 biased = unit == -24 && digits < 0x400u ? 0 : u32(unit + 25);
    u32 half = biased ? ((biased - 1) << 10) + digits : digits;
    return u16(sign | (half > 0x7c00u ? 0x7c00u : half));
}
DEVICE float of_half(u16 half) {
    u32 exponent = half >> 10 & 31, mantissa = half & 0x3ffu;
    float magnitude = exponent == 31 ? (mantissa ? NAN : INFINITY)
                      : exponent     ? ldexpf(float(mantissa | 0x400u), int(exponent) - 25)
                                     : ldexpf(float(mantissa), -24);
    return half & 0x8000u ? -magnitude : magnitude;
}

DEVICE u32 greater_halves(u32 a, u32 b) {
    u32 mask = 0;
    for (int shift : {0, 16})
        if (of_half(u16(a >> shift)) > of_half(u16(b >> shift))) mask |= 0xffffu << shift;
    return mask;
}
DEVICE u32 zero_halves_plus(u32 a, u32 b) {
    u32 sum = 0;
    for (int shift : {0, 16}) {
        float half = fmaf(of_half(u16(a >> shift)), 0.0f, of_half(u16(b >> shift)));
        sum |= u32(half_of(half)) << shift;
    }
    return sum;
}
