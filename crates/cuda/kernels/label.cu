// Logits [classes, voxels] to class ids and probabilities, in one pass.
//
// The definition is that of the CPU path (`src/grid/labels.rs` of the runtime), and so are the approximated exponential
// and the order of every sum: the results are the same bytes. Each thread takes VOXELS neighbours through all classes and
// keeps their logits in registers for the softmax, so that memory is read once.
//
// Compiled for one network:
//   BYTES       of the parameters, as the caller lays them out
//   CLASSES     classes
//   VOXELS      1 or 2; 2 asks for an even number of voxels, so that pairs are aligned in every plane
//   INPUT_HALF  1: logits of IEEE half precision; 0: single precision
//
// Keep `Label` in step with `src/kernels/label.rs`.

#define UNKNOWN 255u

#if INPUT_HALF
typedef u16 Logit;
typedef u32 Pair;
DEVICE void unpack(Pair pair, float* out) {
    out[0] = of_half(u16(pair & 0xffff));
    out[1] = of_half(u16(pair >> 16));
}
DEVICE float single(Logit logit) { return of_half(logit); }
#else
typedef float Logit;
typedef Float2 Pair;
DEVICE void unpack(Pair pair, float* out) {
    out[0] = pair.x;
    out[1] = pair.y;
}
DEVICE float single(Logit logit) { return logit; }
#endif

// Beyond this many, logits do not fit the registers and are read again (from the second cache, mostly).
#define KEPT (CLASSES <= 48)

struct Label {
    const Logit* logits;
    // All bits set where no camera sees the voxel, else 0; null: nothing is hidden.
    const u8* hidden;
    u8* labels;
    // Null: nobody asks.
    u8* confidence;
    u32 voxels;
    // In the 8 bits of a confidence.
    u32 unknown_below;
    // Planes of the logits and their class ids, ascending by id: among equals the lowest id wins.
    u16 planes[CLASSES];
    u8 ids[CLASSES];
};
static_assert(sizeof(Label) == BYTES, "the caller's parameters have another layout");

DEVICE void logits_of(const Label& l, int nth, u32 first, float* out) {
    const Logit* plane = l.logits + u64(l.planes[nth]) * l.voxels + first;
#if VOXELS == 2
    unpack(load(reinterpret_cast<const Pair*>(plane)), out);
#else
    out[0] = single(load(plane));
#endif
}

// exp(x) for x <= 0, relative error below 0.2 %: the CPU path's, operation by operation.
DEVICE float exp_of_negative(float x) {
    float t = times(x, 1.44269504088896340736f);
    t = t > -126.0f ? t : -126.0f;
    float n = plus(t, 12582912.0f);
    float f = minus(t, minus(n, 12582912.0f));
    float mantissa = plus(1.0f, times(f, plus(0.70294f, times(f, 0.23987f))));
    return of_bits(bits_of(mantissa) + (bits_of(n) << 23));
}

KERNEL(256) label(const Label l) {
    u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * VOXELS;
    if (first >= l.voxels) return;

#if KEPT
    float kept[CLASSES][VOXELS];
#pragma unroll
    for (int nth = 0; nth < CLASSES; ++nth) logits_of(l, nth, first, kept[nth]);
#endif
    float best[VOXELS], fault[VOXELS];
    u32 id[VOXELS];
#pragma unroll
    for (int v = 0; v < VOXELS; ++v) {
        best[v] = of_bits(0xff800000u); // minus infinity
        fault[v] = 0.0f;
        id[v] = 0;
    }
#pragma unroll
    for (int nth = 0; nth < CLASSES; ++nth) {
#if KEPT
        const float* values = kept[nth];
#else
        float values[VOXELS];
        logits_of(l, nth, first, values);
#endif
#pragma unroll
        for (int v = 0; v < VOXELS; ++v) {
            bool better = values[v] > best[v];
            best[v] = better ? values[v] : best[v];
            id[v] = better ? u32(l.ids[nth]) : id[v];
            fault[v] = plus(fault[v], times(values[v], 0.0f)); // NaN unless the value is finite
        }
    }

    u32 level[VOXELS];
#pragma unroll
    for (int v = 0; v < VOXELS; ++v) level[v] = 0;
    if (l.confidence != nullptr || l.unknown_below > 0) {
        float sum[VOXELS];
#pragma unroll
        for (int v = 0; v < VOXELS; ++v) sum[v] = 0.0f;
#pragma unroll
        for (int nth = 0; nth < CLASSES; ++nth) {
#if KEPT
            const float* values = kept[nth];
#else
            float values[VOXELS];
            logits_of(l, nth, first, values);
#endif
#pragma unroll
            for (int v = 0; v < VOXELS; ++v) sum[v] = plus(sum[v], exp_of_negative(minus(values[v], best[v])));
        }
        // In 2^23 and beyond the last bit is 1: the sum is rounded to an integer, a half to the even one.
#pragma unroll
        for (int v = 0; v < VOXELS; ++v) level[v] = bits_of(plus(divided(255.0f, sum[v]), 8388608.0f)) & 0xff;
    }

#pragma unroll
    for (int v = 0; v < VOXELS; ++v) {
        bool unknown = fault[v] != 0.0f || level[v] < l.unknown_below;
        if (l.hidden != nullptr) unknown = unknown || load(l.hidden + first + v) != 0;
        l.labels[first + v] = u8(unknown ? UNKNOWN : id[v]);
        if (l.confidence != nullptr) l.confidence[first + v] = u8(unknown ? 0u : level[v]);
    }
}
