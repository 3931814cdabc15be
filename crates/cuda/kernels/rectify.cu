// Camera pixels to the network's `images`, both views in one launch: decode, remap, interpolate, normalise.
//
// The definition is that of the CPU path (`src/rectify/mod.rs` of the runtime), and so is the order of the arithmetic:
// a CPU with fused multiply-add computes the same bits. One thread makes one pixel of one view; the blocks' z is the view.
//
// Compiled for one pixel format and one type of output:
//   FORMAT       one of the numbers below
//   BYTES        of the parameters, as the caller lays them out
//   OUTPUT_HALF  1: planes of IEEE half precision, rounded to nearest even; 0: single precision
//
// Keep `Colour`, `View` and `Rectify` in step with `src/kernels/rectify.rs`.

#define RGB8 0
#define BGR8 1
#define GREY8 2
#define GREY10 3
#define GREY16 4
#define YUYV 5
#define UYVY 6
#define NV12 7
#define BAYER8 8
#define BAYER10 9
#define BAYER12 10

// Four bytes of two neighbours, which share their chroma.
#define IS_QUAD (FORMAT == YUYV || FORMAT == UYVY)
#define IS_YUV (IS_QUAD || FORMAT == NV12)
#define IS_BAYER (FORMAT == BAYER8 || FORMAT == BAYER10 || FORMAT == BAYER12)

#if OUTPUT_HALF
typedef u16 Value;
DEVICE Value value_of(float a) { return half_of(a); }
#else
typedef float Value;
DEVICE Value value_of(float a) { return a; }
#endif

// Where a pixel comes from, four times 16 bits from the lowest: column and row of the upper left of the four source pixels
// around its position, counted from one pixel outside the image, and the rest of the way right and down in 1/65536 px.
// A column of OUTSIDE: nowhere.
typedef u64 Sample;
#define OUTSIDE 0xffffu

// clamp(luma * Y + u * U + v * V + offset, black, white), normalised.
struct Colour {
    float luma, u, v, offset, black, white;
};

struct View {
    // Rows of `stride` bytes; the base and the stride are multiples of 4.
    const u8* pixels;
    // NV12: interleaved U, V of 2 x 2 pixels, the same stride.
    const u8* chroma;
    // One per pixel of the output; null: the top left of the source, unchanged.
    const Sample* samples;
};

struct Rectify {
    View views[2];
    // [views, 3, height, width]
    Value* images;
    u32 source_width, source_height, stride;
    u32 width, height;
    // Column and row (0, 1) of red in a Bayer square.
    u32 red_x, red_y;
    // Of samples that are colours: scale * sample + offset.
    float scale[3], offset[3];
    float black[3];
    Colour yuv[3];
};
static_assert(sizeof(Rectify) == BYTES, "the caller's parameters have another layout");

struct Pixel {
    float c[3];
};

DEVICE float between(float a, float b, float share) { return fused(minus(b, a), share, a); }

DEVICE Pixel coloured(const Rectify& r, float red, float green, float blue) {
    Pixel p;
    p.c[0] = fused(red, r.scale[0], r.offset[0]);
    p.c[1] = fused(green, r.scale[1], r.offset[1]);
    p.c[2] = fused(blue, r.scale[2], r.offset[2]);
    return p;
}

DEVICE Pixel black_of(const Rectify& r) {
    Pixel p;
    p.c[0] = r.black[0];
    p.c[1] = r.black[1];
    p.c[2] = r.black[2];
    return p;
}

#if IS_YUV
// What U and V add to each channel.
DEVICE Pixel chroma_of(const Rectify& r, float u, float v) {
    Pixel p;
    p.c[0] = fused(v, r.yuv[0].v, r.yuv[0].offset);
    p.c[1] = fused(v, r.yuv[1].v, fused(u, r.yuv[1].u, r.yuv[1].offset));
    p.c[2] = fused(u, r.yuv[2].u, r.yuv[2].offset);
    return p;
}

DEVICE Pixel lit(const Rectify& r, float luma, const Pixel& chroma) {
    Pixel p;
#pragma unroll
    for (int c = 0; c < 3; ++c)
        p.c[c] = lesser(greater(fused(luma, r.yuv[c].luma, chroma.c[c]), r.yuv[c].black), r.yuv[c].white);
    return p;
}
#endif

#if IS_QUAD
#define LUMA (FORMAT == YUYV ? 0 : 8)
#define CHROMA (FORMAT == YUYV ? 8 : 0)

DEVICE float luma_of(u32 quad, u32 odd) { return float(quad >> (LUMA + 16 * odd) & 0xff); }

DEVICE Pixel chroma_of(const Rectify& r, u32 quad) {
    return chroma_of(r, float(quad >> CHROMA & 0xff), float(quad >> (CHROMA + 16) & 0xff));
}
#endif

#if IS_BAYER
// A sample, mirrored about the outermost pixels, which keeps the order of the colours. Positions further out belong to
// pixels that are black anyway; they are brought into the image so that nothing else is read.
DEVICE u32 mirrored(int at, u32 side) {
    int last = int(side) - 1;
    if (at < 0) at = -at;
    if (at > last) at = 2 * last - at;
    return u32(at < 0 ? 0 : at > last ? last : at);
}

DEVICE u32 mosaic(const Rectify& r, const u8* pixels, int x, int y) {
    const u8* row = pixels + u64(mirrored(y, r.source_height)) * r.stride;
    u32 column = mirrored(x, r.source_width);
#if FORMAT == BAYER8
    return load(row + column);
#elif FORMAT == BAYER10
    return load(reinterpret_cast<const u16*>(row) + column) & 0x3ffu;
#else
    return load(reinterpret_cast<const u16*>(row) + column) & 0xfffu;
#endif
}

// Pixel (x, y), whose neighbourhood is in the middle of `around`. Sums of four samples, so that means are exact.
DEVICE Pixel demosaiced(const Rectify& r, const u32* upper, const u32* here, const u32* lower, u32 x, u32 y) {
    u32 beside = here[0] + here[2];
    u32 upright = upper[1] + lower[1];
    u32 diagonal = upper[0] + upper[2] + lower[0] + lower[2];
    bool red_row = (y & 1) == r.red_y;
    bool own_colour = ((x & 1) == r.red_x) == red_row;
    u32 of_row = own_colour ? 4 * here[1] : 2 * beside;
    u32 of_green = own_colour ? beside + upright : 4 * here[1];
    u32 of_other = own_colour ? diagonal : 2 * upright;
    u32 of_red = red_row ? of_row : of_other;
    u32 of_blue = red_row ? of_other : of_row;
    return coloured(r, float(of_red), float(of_green), float(of_blue));
}
#endif

// A pixel of the source, which must be in the image.
DEVICE Pixel source(const Rectify& r, const View& view, u32 x, u32 y) {
#if !IS_BAYER
    const u8* row = view.pixels + u64(y) * r.stride;
#endif
#if FORMAT == RGB8 || FORMAT == BGR8
    const u8* at = row + 3 * x;
    u32 first = load(at), green = load(at + 1), third = load(at + 2);
#if FORMAT == RGB8
    return coloured(r, float(first), float(green), float(third));
#else
    return coloured(r, float(third), float(green), float(first));
#endif
#elif FORMAT == GREY8
    float grey = float(load(row + x));
    return coloured(r, grey, grey, grey);
#elif FORMAT == GREY10 || FORMAT == GREY16
    u32 word = load(reinterpret_cast<const u16*>(row) + x);
#if FORMAT == GREY10
    word &= 0x3ffu;
#endif
    float grey = float(word);
    return coloured(r, grey, grey, grey);
#elif FORMAT == NV12
    u32 pair = load(reinterpret_cast<const u16*>(view.chroma + u64(y / 2) * r.stride) + x / 2);
    return lit(r, float(load(row + x)), chroma_of(r, float(pair & 0xff), float(pair >> 8)));
#elif IS_QUAD
    u32 quad = load(reinterpret_cast<const u32*>(row) + x / 2);
    return lit(r, luma_of(quad, x & 1), chroma_of(r, quad));
#else
    u32 around[3][3];
#pragma unroll
    for (int j = 0; j < 3; ++j)
#pragma unroll
        for (int i = 0; i < 3; ++i) around[j][i] = mosaic(r, view.pixels, int(x) + i - 1, int(y) + j - 1);
    return demosaiced(r, around[0], around[1], around[2], x, y);
#endif
}

// The four pixels from (x, y) on, right and down; black where there is no image.
DEVICE void four(const Rectify& r, const View& view, int x, int y, Pixel out[2][2]) {
#if IS_BAYER
    // Their neighbourhoods overlap: 16 samples instead of 36.
    u32 around[4][4];
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) around[j][i] = mosaic(r, view.pixels, x + i - 1, y + j - 1);
#endif
#if IS_QUAD
    // All of them in the image, mostly; in half of the cases both of a row are of one quad.
    if (u32(x) < r.source_width - 1 && u32(y) < r.source_height - 1) {
        u32 odd = u32(x) & 1;
#pragma unroll
        for (int j = 0; j < 2; ++j) {
            const u32* at = reinterpret_cast<const u32*>(view.pixels + u64(u32(y + j)) * r.stride) + u32(x) / 2;
            u32 first = load(at), second = odd ? load(at + 1) : first;
            Pixel chroma = chroma_of(r, first);
            out[j][0] = lit(r, luma_of(first, odd), chroma);
            out[j][1] = lit(r, luma_of(second, odd ^ 1), odd ? chroma_of(r, second) : chroma);
        }
        return;
    }
#endif
#pragma unroll
    for (int j = 0; j < 2; ++j)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            // One comparison for both ends: -1 becomes the greatest number.
            bool inside = u32(x + i) < r.source_width && u32(y + j) < r.source_height;
#if IS_BAYER
            out[j][i] = inside ? demosaiced(r, around[j] + i, around[j + 1] + i, around[j + 2] + i, x + i, y + j)
                               : black_of(r);
#else
            out[j][i] = inside ? source(r, view, u32(x + i), u32(y + j)) : black_of(r);
#endif
        }
}

KERNEL(128, 1) rectify(const Rectify r) {
    u32 x = blockIdx.x * blockDim.x + threadIdx.x;
    u32 y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= r.width || y >= r.height) return;
    // Not by index: parameters that are indexed at run time may be copied to local memory.
    const View& view = blockIdx.z == 0 ? r.views[0] : r.views[1];
    u64 at = u64(y) * r.width + x;
    u64 plane = u64(r.height) * r.width;

    Pixel pixel;
    if (view.samples == nullptr) {
        pixel = source(r, view, x, y);
    } else {
        Sample sample = load(view.samples + at);
        u32 column = u32(sample) & 0xffffu, row = u32(sample) >> 16;
        if (column == OUTSIDE) {
            pixel = black_of(r);
        } else {
            Pixel around[2][2];
            four(r, view, int(column) - 1, int(row) - 1, around);
            float right = times(float(u32(sample >> 32) & 0xffffu), 1.0f / 65536.0f);
            float down = times(float(u32(sample >> 48)), 1.0f / 65536.0f);
#pragma unroll
            for (int c = 0; c < 3; ++c) {
                float first = between(around[0][0].c[c], around[1][0].c[c], down);
                float second = between(around[0][1].c[c], around[1][1].c[c], down);
                pixel.c[c] = between(first, second, right);
            }
        }
    }
    Value* out = r.images + u64(blockIdx.z) * 3 * plane + at;
    out[0] = value_of(pixel.c[0]);
    out[plane] = value_of(pixel.c[1]);
    out[2 * plane] = value_of(pixel.c[2]);
}
