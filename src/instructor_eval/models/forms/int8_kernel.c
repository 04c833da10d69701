/* Products of rows quantized on the fly with int8 weights: one source for every engine, chosen with -DENGINE_...
 *
 * Activations are 7-bit (0 to 127, a scale and a zero point for each row), weights 7-bit (-63 to 63, a scale for each
 * output channel). Integer sums are exact, and everything in floats is written once for all engines, without
 * contraction: each engine gives the same bits. They differ in `tile` alone:
 *
 *   AVX512VNNI  vpdpbusd on 512 bits: 64 products an instruction (float32: 16)
 *   AVXVNNI     vpdpbusd on 256 bits
 *   AVX2        vpmaddubsw: 7 bits on both sides let four products fit in the 16 bits that it and an add leave them
 *               (4 * 127 * 63 = 32,004 < 32,768), so widening to 32 bits is needed half as often as with 8 bits: 1.5
 *               multiplying instructions for 64 products, where float32 takes 8
 *   NEON        sdot on 128 bits: 7 bits are signed as well as unsigned
 *   C           plain C: what the others are tested against
 *
 * Weights lie in panels of 16 channels: [n / 16][k / 4][16 channels][4 inputs]. Rows and channels beyond the last are
 * computed and not stored; inputs beyond the last are zeros on both sides.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(ENGINE_AVX512VNNI)
#include <immintrin.h>
#define LANES 16 /* floats in a vector */
#define ROWS 6   /* rows of a tile */
#define WIDE 64  /* channels of a tile */
#elif defined(ENGINE_AVXVNNI)
#include <immintrin.h>
#define LANES 8
#define ROWS 6
#define WIDE 16
#elif defined(ENGINE_AVX2)
#include <immintrin.h>
#define LANES 8
#define ROWS 4
#define WIDE 16
#elif defined(ENGINE_NEON)
#include <arm_neon.h>
#define LANES 4
#define ROWS 6
#define WIDE 16
#else
#define LANES 4
#define ROWS 4
#define WIDE 16
#endif

#define PANEL 16
#define PANELS (WIDE / PANEL)
#define BLOCK 96 /* rows quantized and multiplied together: they stay in the second-level cache */
#define LEVELS 127.0f
#define LEAST 1e-30f    /* a narrower row is taken for zeros: 127 / range must stay finite */
#define ROUND 12582912.0f /* 1.5 * 2^23: the sum with a small number has its nearest integer, to even, in its last bits */

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef uint8_t bytes __attribute__((vector_size(LANES)));

struct layer {
    const int8_t *weight; /* panels */
    const float *scale;   /* [channels, rounded up to 16] */
    const int32_t *sums;  /* [the same]: each channel's weights added up, for the zero points */
    const float *bias;    /* [the same], or NULL */
    long inputs, padded, channels;
    int relu;
};

static inline floats load(const float *x) {
    floats v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline ints load_ints(const int32_t *x) {
    ints v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline void store(float *x, floats v) { memcpy(x, &v, sizeof v); }

static inline ints bits(floats v) { return (ints)v; }

/* Where the mask is set a, else b. */
static inline floats either(ints mask, floats a, floats b) { return (floats)((mask & bits(a)) | (~mask & bits(b))); }

static inline int32_t nearest(float v) {
    const float sum = v + ROUND, zero = ROUND;
    int32_t a, b;
    memcpy(&a, &sum, sizeof a);
    memcpy(&b, &zero, sizeof b);
    return (int32_t)((uint32_t)a - (uint32_t)b);
}

/* One row [k] to 7 bits: value = (q - zero) * scale. Zero itself is always exact. */
static void quantize(const float *x, uint8_t *q, float *scale, int32_t *zero, long k, long padded) {
    const floats none = {0};
    floats low = none, high = none, bad = none; /* bad is NaN once a value was not finite */
    long i = 0;
    for (; i + LANES <= k; i += LANES) {
        const floats v = load(x + i);
        bad += v - v;
        low = either(v < low, v, low);
        high = either(v > high, v, high);
    }
    float lo = 0, hi = 0, not_finite = 0;
    for (int j = 0; j < LANES; j++) {
        lo = low[j] < lo ? low[j] : lo;
        hi = high[j] > hi ? high[j] : hi;
        not_finite += bad[j];
    }
    for (; i < k; i++) {
        not_finite += x[i] - x[i];
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    const float range = hi - lo > LEAST ? hi - lo : 0.0f, inverse = range > 0 ? LEVELS / range : 0.0f;
    const int32_t z = nearest(-lo * inverse);
    *scale = (range > 0 ? range / LEVELS : 1.0f) + not_finite; /* an error upstream must show in the vectors */
    *zero = z;
    const floats by = none + inverse, round = none + ROUND;
    const ints shift = (ints){0} + z - bits(round), most = (ints){0} + 127;
    for (i = 0; i + LANES <= k; i += LANES) {
        ints v = bits(load(x + i) * by + round) + shift;
        v &= ~(v < 0);
        const ints over = v > most;
        v = (over & most) | (~over & v);
        const bytes b = __builtin_convertvector(v, bytes);
        memcpy(q + i, &b, sizeof b);
    }
    for (; i < k; i++) {
        const int32_t v = z + nearest(x[i] * inverse);
        q[i] = (uint8_t)(v < 0 ? 0 : v > 127 ? 127 : v);
    }
    memset(q + k, 0, (size_t)(padded - k));
}

static inline int32_t four(const uint8_t *q) {
    int32_t v;
    memcpy(&v, q, sizeof v);
    return v;
}

/* ROWS rows of q times PANELS panels, to out[ROWS][WIDE]. */
#if defined(ENGINE_AVX512VNNI)
static inline void tile(const uint8_t *const *q, const int8_t *const *panel, long padded, int32_t out[ROWS][WIDE]) {
    __m512i c[ROWS][PANELS];
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
        for (int p = 0; p < PANELS; p++) c[r][p] = _mm512_setzero_si512();
    for (long i = 0; i < padded; i += 4) {
        __m512i b[PANELS];
#pragma GCC unroll 4
        for (int p = 0; p < PANELS; p++) b[p] = _mm512_load_si512(panel[p] + i * PANEL);
#pragma GCC unroll 6
        for (int r = 0; r < ROWS; r++) {
            const __m512i a = _mm512_set1_epi32(four(q[r] + i));
#pragma GCC unroll 4
            for (int p = 0; p < PANELS; p++) c[r][p] = _mm512_dpbusd_epi32(c[r][p], a, b[p]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
        for (int p = 0; p < PANELS; p++) _mm512_storeu_si512(out[r] + p * PANEL, c[r][p]);
}
#elif defined(ENGINE_AVXVNNI)
#if defined(__AVXVNNI__)
#define DOT _mm256_dpbusd_avx_epi32
#else /* the same instruction as AVX-512 writes it: for a test where there is no other */
#define DOT _mm256_dpbusd_epi32
#endif
static inline void tile(const uint8_t *const *q, const int8_t *const *panel, long padded, int32_t out[ROWS][WIDE]) {
    __m256i c[ROWS][2];
    const int8_t *weights = panel[0];
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++) c[r][0] = c[r][1] = _mm256_setzero_si256();
    for (long i = 0; i < padded; i += 4, weights += 64) {
        const __m256i b0 = _mm256_load_si256((const __m256i *)weights);
        const __m256i b1 = _mm256_load_si256((const __m256i *)(weights + 32));
#pragma GCC unroll 6
        for (int r = 0; r < ROWS; r++) {
            const __m256i a = _mm256_set1_epi32(four(q[r] + i));
            c[r][0] = DOT(c[r][0], a, b0);
            c[r][1] = DOT(c[r][1], a, b1);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++) {
        _mm256_storeu_si256((__m256i *)out[r], c[r][0]);
        _mm256_storeu_si256((__m256i *)(out[r] + 8), c[r][1]);
    }
}
#elif defined(ENGINE_AVX2)
static inline void tile(const uint8_t *const *q, const int8_t *const *panel, long padded, int32_t out[ROWS][WIDE]) {
    const __m256i one = _mm256_set1_epi16(1);
    __m256i c[ROWS][2];
    const int8_t *weights = panel[0];
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++) c[r][0] = c[r][1] = _mm256_setzero_si256();
    for (long i = 0; i < padded; i += 8, weights += 128) {
        const __m256i b00 = _mm256_load_si256((const __m256i *)weights);
        const __m256i b10 = _mm256_load_si256((const __m256i *)(weights + 32));
        const __m256i b01 = _mm256_load_si256((const __m256i *)(weights + 64));
        const __m256i b11 = _mm256_load_si256((const __m256i *)(weights + 96));
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++) {
            const __m256i v = _mm256_set1_epi32(four(q[r] + i)), u = _mm256_set1_epi32(four(q[r] + i + 4));
            const __m256i s0 = _mm256_add_epi16(_mm256_maddubs_epi16(v, b00), _mm256_maddubs_epi16(u, b01));
            const __m256i s1 = _mm256_add_epi16(_mm256_maddubs_epi16(v, b10), _mm256_maddubs_epi16(u, b11));
            c[r][0] = _mm256_add_epi32(c[r][0], _mm256_madd_epi16(s0, one));
            c[r][1] = _mm256_add_epi32(c[r][1], _mm256_madd_epi16(s1, one));
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++) {
        _mm256_storeu_si256((__m256i *)out[r], c[r][0]);
        _mm256_storeu_si256((__m256i *)(out[r] + 8), c[r][1]);
    }
}
#elif defined(ENGINE_NEON)
static inline void tile(const uint8_t *const *q, const int8_t *const *panel, long padded, int32_t out[ROWS][WIDE]) {
    int32x4_t c[ROWS][4];
    const int8_t *weights = panel[0];
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
        for (int p = 0; p < 4; p++) c[r][p] = vdupq_n_s32(0);
    for (long i = 0; i < padded; i += 4, weights += 64) {
        int8x16_t b[4];
#pragma GCC unroll 4
        for (int p = 0; p < 4; p++) b[p] = vld1q_s8(weights + 16 * p);
#pragma GCC unroll 6
        for (int r = 0; r < ROWS; r++) {
            const int8x16_t a = vreinterpretq_s8_s32(vdupq_n_s32(four(q[r] + i)));
#pragma GCC unroll 4
            for (int p = 0; p < 4; p++) c[r][p] = vdotq_s32(c[r][p], a, b[p]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
        for (int p = 0; p < 4; p++) vst1q_s32(out[r] + 4 * p, c[r][p]);
}
#else
static inline void tile(const uint8_t *const *q, const int8_t *const *panel, long padded, int32_t out[ROWS][WIDE]) {
    memset(out, 0, sizeof(int32_t) * ROWS * WIDE);
    for (int r = 0; r < ROWS; r++)
        for (long i = 0; i < padded; i += 4)
            for (int c = 0; c < WIDE; c++)
                for (int j = 0; j < 4; j++) out[r][c] += q[r][i + j] * panel[0][i * PANEL + 4 * c + j];
}
#endif

/* out[16] = (sums - zero * column sums) * row scale * channel scale + bias, relu, + added */
static inline void finish(const struct layer *layer, long channel, const int32_t *sums, float scale, int32_t zero,
                          const float *added, float *out) {
    const floats none = {0};
    for (long i = 0; i < PANEL; i += LANES) {
        const ints whole = load_ints(sums + i) - load_ints(layer->sums + channel + i) * zero;
        floats v = __builtin_convertvector(whole, floats) * (none + scale) * load(layer->scale + channel + i);
        if (layer->bias) v += load(layer->bias + channel + i);
        if (layer->relu) v = either(v < none, none, v); /* NaN stays NaN */
        if (added) v += load(added + i);
        store(out + i, v);
    }
}

/* Rows `first` to `first + here` of x, at most BLOCK of them. Returns 0, or 1 without memory. */
static int block_of(const struct layer *layer, const float *x, const float *added, float *out, long first, long here) {
    const long n = layer->channels, padded = layer->padded, last = (n - 1) / PANEL;
    uint8_t *q = aligned_alloc(64, (size_t)((here * padded + 63) / 64 * 64));
    if (!q) return 1;
    float scale[BLOCK];
    int32_t zero[BLOCK], sums[ROWS][WIDE];
    float spare_in[PANEL] = {0}, spare_out[PANEL];
    for (long r = 0; r < here; r++)
        quantize(x + (first + r) * layer->inputs, q + r * padded, scale + r, zero + r, layer->inputs, padded);
    for (long channel = 0; channel < n; channel += WIDE) {
        const int8_t *panels[PANELS];
        for (long p = 0; p < PANELS; p++) {
            const long at = channel / PANEL + p;
            panels[p] = layer->weight + (at < last ? at : last) * PANEL * padded;
        }
        for (long r = 0; r < here; r += ROWS) {
            const uint8_t *rows[ROWS];
            for (long j = 0; j < ROWS; j++) rows[j] = q + (r + j < here ? r + j : here - 1) * padded;
            /* The lines of the result are on their way while the tile is computed. */
            for (long j = 0; j < ROWS && r + j < here; j++)
                for (long c = channel; c < n && c < channel + WIDE; c += PANEL)
                    __builtin_prefetch(out + (first + r + j) * n + c, 1);
            tile(rows, panels, padded, sums);
            for (long j = 0; j < ROWS && r + j < here; j++)
                for (long p = 0, c = channel; p < PANELS && c < n; p++, c += PANEL) {
                    const long at = (first + r + j) * n + c;
                    const int32_t *found = sums[j] + p * PANEL;
                    if (n - c >= PANEL) {
                        finish(layer, c, found, scale[r + j], zero[r + j], added ? added + at : NULL, out + at);
                    } else {
                        const size_t wide = (size_t)(n - c) * sizeof(float);
                        if (added) memcpy(spare_in, added + at, wide);
                        finish(layer, c, found, scale[r + j], zero[r + j], added ? spare_in : NULL, spare_out);
                        memcpy(out + at, spare_out, wide);
                    }
                }
        }
    }
    free(q);
    return 0;
}

/* x [rows, inputs] -> out [rows, channels]; added [rows, channels] or NULL. Returns 0, or 1 without memory.
 *
 * A thread takes the next block when it is done with one: on a busy machine one thread is slower than the other. */
int products(const struct layer *layer, const float *x, const float *added, float *out, long rows, int threads) {
    if (rows <= 0 || threads <= 0) return 0;
    const long least = (rows + BLOCK - 1) / BLOCK, blocks = (least + threads - 1) / threads * threads;
    const long share = ((rows + blocks - 1) / blocks + ROWS - 1) / ROWS * ROWS;
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads) reduction(| : failed)
    for (long first = 0; first < rows; first += share)
        failed |= block_of(layer, x, added, out, first, rows - first < share ? rows - first : share);
    return failed;
}
