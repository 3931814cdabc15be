// Logits [classes, voxels] to class ids and probabilities, in one pass.
//
// The definition is that of the CPU path (`src/grid/labels.rs` of the runtime), and so are the approximated exponential
// and the order of every sum: the results are the same bytes. Each thread takes VOXELS neighbours through all classes and
// keeps their logits in registers for the softmax, so that memory is read once.
//
// Compiled for one network:
//   BYTES       of the parameters, as the caller lays them out
//   CLASSES     classes
//   VOXELS      1, 2 or (half precision only) 4; the number of voxels must be a multiple, so that every plane is aligned
//   INPUT_HALF  1: logits of IEEE half precision; 0: single precision
//
// Keep `Label` in step with `src/kernels/label.rs`.

#define UNKNOWN 255u

// Logits stay in the words in which memory has them, two halves or one single precision each, until the softmax. A lone half
// has a neighbour of zeros.
#if INPUT_HALF
typedef u16 Logit;
#define LANES (VOXELS == 1 ? 2 : VOXELS)
#define WORDS (LANES / 2)
#else
typedef float Logit;
#define LANES VOXELS
#define WORDS VOXELS
#endif

// Beyond this many, logits do not fit the registers and are read again (from the second cache, mostly).
#define KEPT (CLASSES <= 48)
// As many blocks as a multiprocessor of 65,536 registers holds where the logits leave room for that (64 registers a thread).
#define BLOCKS (KEPT && CLASSES * WORDS <= 40 ? 8 : 1)

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
// A byte for each voxel of a thread.
#if VOXELS == 1
typedef u8 Bytes;
#elif VOXELS == 2
typedef u16 Bytes;
#else
typedef u32 Bytes;
#endif
static_assert(sizeof(Label) == BYTES, "the caller's parameters have another layout");

DEVICE void logits_of(const Label& l, int nth, u32 first, u32* out) {
    const Logit* at = l.logits + u64(l.planes[nth]) * l.voxels + first;
#if INPUT_HALF && VOXELS == 1
    out[0] = load(at);
#elif WORDS == 1
    out[0] = load(reinterpret_cast<const u32*>(at));
#else
    Word2 words = load(reinterpret_cast<const Word2*>(at));
    out[0] = words.x;
    out[1] = words.y;
#endif
}

DEVICE float lane_of(const u32* words, int v) {
#if INPUT_HALF
    u32 word = words[v / 2];
    return of_half(u16(v % 2 ? word >> 16 : word & 0xffffu));
#else
    return of_bits(words[v]);
#endif
}

DEVICE u32 chosen(u32 mask, u32 a, u32 b) { return (a & mask) | (b & ~mask); }

// Halves leave the arithmetic as the limit. For single precision the branches are hidden by the memory, and without them
// NVRTC 11.8 moves so much to the front that registers run out.
#if INPUT_HALF
#define QUOTIENT divided_without_branches
#else
#define QUOTIENT divided
#endif

// exp(x) for x <= 0, relative error below 0.2 %: the CPU path's, operation by operation.
DEVICE float exp_of_negative(float x) {
    float t = times(x, 1.44269504088896340736f);
    t = t > -126.0f ? t : -126.0f;
    float n = plus(t, 12582912.0f);
    float f = minus(t, minus(n, 12582912.0f));
    float mantissa = plus(1.0f, times(f, plus(0.70294f, times(f, 0.23987f))));
    return of_bits(bits_of(mantissa) + (bits_of(n) << 23));
}

// The greatest logits so far, whose classes they are, and whether any was not finite.
struct Best {
#if INPUT_HALF
    // By pairs, as the logits. A fault is NaN, of both signs.
    u32 value[WORDS], id[WORDS], fault[WORDS];
#else
    float value[LANES], fault[LANES];
    u32 id[LANES];
#endif
};

DEVICE void start(Best& best) {
#pragma unroll
    for (int w = 0; w < WORDS; ++w) {
#if INPUT_HALF
        best.value[w] = 0xfc00fc00u; // minus infinity
        best.fault[w] = 0;
#else
        best.value[w] = of_bits(0xff800000u);
        best.fault[w] = 0.0f;
#endif
        best.id[w] = 0;
    }
}

DEVICE void offer(Best& best, const u32* words, u32 id) {
#pragma unroll
    for (int w = 0; w < WORDS; ++w) {
#if INPUT_HALF
        u32 better = greater_halves(words[w], best.value[w]);
        best.value[w] = chosen(better, words[w], best.value[w]);
        best.id[w] = chosen(better, id * 0x10001u, best.id[w]);
        best.fault[w] = zero_halves_plus(words[w], best.fault[w]);
#else
        float value = of_bits(words[w]);
        bool better = value > best.value[w];
        best.value[w] = better ? value : best.value[w];
        best.id[w] = better ? id : best.id[w];
        best.fault[w] = fused(value, 0.0f, best.fault[w]); // NaN unless the value is finite
#endif
    }
}

DEVICE u32 id_of(const Best& best, int v) {
#if INPUT_HALF
    return best.id[v / 2] >> 16 * (v % 2) & 0xffffu;
#else
    return best.id[v];
#endif
}

DEVICE bool is_fault(const Best& best, int v) {
#if INPUT_HALF
    return (best.fault[v / 2] >> 16 * (v % 2) & 0x7fffu) != 0;
#else
    return best.fault[v] != 0.0f;
#endif
}

KERNEL(128, BLOCKS) label(const Label l) {
    u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * VOXELS;
    if (first >= l.voxels) return;

#if KEPT
    u32 kept[CLASSES][WORDS];
#pragma unroll
    for (int nth = 0; nth < CLASSES; ++nth) logits_of(l, nth, first, kept[nth]);
#endif
    Best best;
    start(best);
#pragma unroll
    for (int nth = 0; nth < CLASSES; ++nth) {
#if KEPT
        const u32* words = kept[nth];
#else
        u32 words[WORDS];
        logits_of(l, nth, first, words);
#endif
        offer(best, words, l.ids[nth]);
    }

    u32 level[LANES];
#pragma unroll
    for (int v = 0; v < LANES; ++v) level[v] = 0;
    if (l.confidence != nullptr || l.unknown_below > 0) {
        float greatest[LANES], sum[LANES];
#pragma unroll
        for (int v = 0; v < LANES; ++v) {
#if INPUT_HALF
            greatest[v] = lane_of(best.value, v);
#else
            greatest[v] = best.value[v];
#endif
            sum[v] = 0.0f;
        }
#pragma unroll
        for (int nth = 0; nth < CLASSES; ++nth) {
#if KEPT
            const u32* words = kept[nth];
#else
            u32 words[WORDS];
            logits_of(l, nth, first, words);
#endif
#pragma unroll
            for (int v = 0; v < LANES; ++v)
                sum[v] = plus(sum[v], exp_of_negative(minus(lane_of(words, v), greatest[v])));
        }
        // In 2^23 and beyond the last bit is 1: the sum is rounded to an integer, a half to the even one. The greatest logit
        // adds 1 to the sum: it is from 1 to CLASSES, or of a fault.
#pragma unroll
        for (int v = 0; v < LANES; ++v) level[v] = bits_of(plus(QUOTIENT(255.0f, sum[v]), 8388608.0f)) & 0xff;
    }

    Bytes hidden = 0, labels = 0, confidence = 0;
    if (l.hidden != nullptr) hidden = load(reinterpret_cast<const Bytes*>(l.hidden + first));
#pragma unroll
    for (int v = 0; v < VOXELS; ++v) {
        bool unknown = is_fault(best, v) || level[v] < l.unknown_below || (hidden >> 8 * v & 0xff) != 0;
        labels |= Bytes((unknown ? UNKNOWN : id_of(best, v)) << 8 * v);
        confidence |= Bytes((unknown ? 0u : level[v]) << 8 * v);
    }
    *reinterpret_cast<Bytes*>(l.labels + first) = labels;
    if (l.confidence != nullptr) *reinterpret_cast<Bytes*>(l.confidence + first) = confidence;
}
