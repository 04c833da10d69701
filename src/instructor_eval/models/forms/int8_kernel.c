/* Products of rows quantized on the fly with int8 weights, for x86 processors that have AVX2 and no VNNI.
 *
 * Activations are 7-bit (0 to 127, a scale and a zero point for each row), weights 7-bit (-63 to 63, a scale for each
 * output channel). So four products fit in the 16 bits that vpmaddubsw and a 16-bit add leave them
 * (4 * 127 * 63 = 32,004 < 32,768), and widening to 32 bits is needed half as often as with 8 bits: 1.5 multiplying
 * instructions for 64 products, where float32 takes 8. Integer sums are exact: any other way to compute them gives the
 * same numbers.
 *
 * Weights lie in panels of 16 channels: [n / 16][k / 8][2 groups of 8 channels][2 halves][8 channels][4 inputs].
 * Rows and channels beyond the last are computed and not stored; inputs beyond the last are zeros on both sides.
 */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 192 /* rows quantized and multiplied together: they stay in the second-level cache */
#define LEVELS 127.0f
#define LEAST 1e-30f /* a narrower row is taken for zeros: 127 / range must stay finite */

static inline __m256 least(__m256 a) {
    a = _mm256_min_ps(a, _mm256_permute2f128_ps(a, a, 1));
    a = _mm256_min_ps(a, _mm256_shuffle_ps(a, a, 0x4e));
    return _mm256_min_ps(a, _mm256_shuffle_ps(a, a, 0xb1));
}

/* One row [k] to 7 bits: value = (q - zero) * scale. Zero itself is always exact. */
static void quantize(const float *x, uint8_t *q, float *scale, int32_t *zero, long k, long padded) {
    __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps(); /* high holds the least of -x */
    __m256 bad = _mm256_setzero_ps();                             /* NaN once a value was not finite */
    const __m256 sign = _mm256_set1_ps(-0.0f);
    long i = 0;
    for (; i + 8 <= k; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        bad = _mm256_add_ps(bad, _mm256_sub_ps(v, v));
        low = _mm256_min_ps(low, v);
        high = _mm256_min_ps(high, _mm256_xor_ps(v, sign));
    }
    float lo = _mm256_cvtss_f32(least(low)), hi = -_mm256_cvtss_f32(least(high));
    float not_finite = _mm256_movemask_ps(_mm256_cmp_ps(bad, bad, _CMP_UNORD_Q)) ? NAN : 0.0f;
    for (; i < k; i++) {
        not_finite += x[i] - x[i];
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    float range = hi - lo > LEAST ? hi - lo : 0.0f, inverse = range > 0 ? LEVELS / range : 0.0f;
    int32_t z = _mm_cvtss_si32(_mm_set_ss(-lo * inverse));
    *scale = (range > 0 ? range / LEVELS : 1.0f) + not_finite; /* a fault upstream must show in the vectors */
    *zero = z;
    const __m256 by = _mm256_set1_ps(inverse);
    const __m256i shift = _mm256_set1_epi32(z), most = _mm256_set1_epi32(127), none = _mm256_setzero_si256();
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
#define TO_INT(at)                                                                                     \
    _mm256_max_epi32(none, _mm256_min_epi32(most, _mm256_add_epi32(shift, _mm256_cvtps_epi32(_mm256_mul_ps( \
                                                                              _mm256_loadu_ps(x + (at)), by)))))
    for (i = 0; i + 32 <= k; i += 32) {
        __m256i a = _mm256_packs_epi32(TO_INT(i), TO_INT(i + 8));
        __m256i b = _mm256_packs_epi32(TO_INT(i + 16), TO_INT(i + 24));
        _mm256_storeu_si256((__m256i *)(q + i), _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), order));
    }
    for (; i < k; i++) {
        int32_t v = z + _mm_cvtss_si32(_mm_set_ss(x[i] * inverse));
        q[i] = (uint8_t)(v < 0 ? 0 : v > 127 ? 127 : v);
    }
    memset(q + k, 0, (size_t)(padded - k));
}

#define ROW(a, x, y)                                                                                            \
    {                                                                                                           \
        const __m256i v = _mm256_set1_epi32(*(const int32_t *)((a) + i));                                       \
        const __m256i u = _mm256_set1_epi32(*(const int32_t *)((a) + i + 4));                                   \
        x = _mm256_add_epi32(x, _mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(v, b00),                \
                                                                   _mm256_maddubs_epi16(u, b01)), one));        \
        y = _mm256_add_epi32(y, _mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(v, b10),                \
                                                                   _mm256_maddubs_epi16(u, b11)), one));        \
    }

struct layer {
    const int8_t *weight;  /* panels */
    const float *scale;    /* [channels, rounded up to 16] */
    const int32_t *sums;   /* [the same]: each channel's weights added up, for the zero points */
    const float *bias;     /* [the same], or NULL */
    long inputs, padded, channels;
    int relu;
};

/* Four rows of q times one panel, to out[4][16]. */
static inline void tile(const uint8_t *const *q, const int8_t *panel, long padded, int32_t out[4][16]) {
    const __m256i one = _mm256_set1_epi16(1);
    const uint8_t *a0 = q[0], *a1 = q[1], *a2 = q[2], *a3 = q[3];
    __m256i c00 = _mm256_setzero_si256(), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
    for (long i = 0; i < padded; i += 8, panel += 128) {
        const __m256i b00 = _mm256_load_si256((const __m256i *)panel);
        const __m256i b01 = _mm256_load_si256((const __m256i *)(panel + 32));
        const __m256i b10 = _mm256_load_si256((const __m256i *)(panel + 64));
        const __m256i b11 = _mm256_load_si256((const __m256i *)(panel + 96));
        ROW(a0, c00, c01)
        ROW(a1, c10, c11)
        ROW(a2, c20, c21)
        ROW(a3, c30, c31)
    }
#define KEEP(r, x, y)                                  \
    _mm256_storeu_si256((__m256i *)out[r], x);         \
    _mm256_storeu_si256((__m256i *)(out[r] + 8), y);
    KEEP(0, c00, c01)
    KEEP(1, c10, c11)
    KEEP(2, c20, c21)
    KEEP(3, c30, c31)
}

/* out[16] = (sums - zero * column sums) * row scale * channel scale + bias, relu, + added */
static inline void finish(const struct layer *layer, long channel, const int32_t *sums, float scale, int32_t zero,
                          const float *added, float *out) {
    const __m256i shift = _mm256_set1_epi32(zero);
    const __m256 by = _mm256_set1_ps(scale), nothing = _mm256_setzero_ps();
    for (long i = 0; i < 16; i += 8) {
        const __m256i columns = _mm256_loadu_si256((const __m256i *)(layer->sums + channel + i));
        const __m256i whole = _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(sums + i)),
                                               _mm256_mullo_epi32(shift, columns));
        __m256 v = _mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(whole), by),
                                 _mm256_loadu_ps(layer->scale + channel + i));
        if (layer->bias) v = _mm256_add_ps(v, _mm256_loadu_ps(layer->bias + channel + i));
        if (layer->relu) v = _mm256_max_ps(nothing, v); /* in this order NaN stays NaN */
        if (added) v = _mm256_add_ps(v, _mm256_loadu_ps(added + i));
        _mm256_storeu_ps(out + i, v);
    }
}

/* Rows `first` to `first + here` of x, at most BLOCK of them. Returns 0, or 1 without memory. */
static int block_of(const struct layer *layer, const float *x, const float *added, float *out, long first, long here) {
    const long n = layer->channels, padded = layer->padded;
    uint8_t *q = aligned_alloc(64, (size_t)((here * padded + 63) / 64 * 64));
    if (!q) return 1;
    float scale[BLOCK];
    int32_t zero[BLOCK], sums[4][16];
    float spare_in[16] = {0}, spare_out[16];
    for (long r = 0; r < here; r++)
        quantize(x + (first + r) * layer->inputs, q + r * padded, scale + r, zero + r, layer->inputs, padded);
    for (long channel = 0; channel < n; channel += 16) {
        const int8_t *panel = layer->weight + channel * padded;
        const long wide = n - channel < 16 ? n - channel : 16;
        for (long r = 0; r < here; r += 4) {
            const uint8_t *four[4];
            for (long j = 0; j < 4; j++) four[j] = q + (r + j < here ? r + j : here - 1) * padded;
            tile(four, panel, padded, sums);
            for (long j = 0; j < 4 && r + j < here; j++) {
                const long at = (first + r + j) * n + channel;
                if (wide == 16) {
                    finish(layer, channel, sums[j], scale[r + j], zero[r + j], added ? added + at : NULL, out + at);
                } else {
                    if (added) memcpy(spare_in, added + at, (size_t)wide * sizeof(float));
                    finish(layer, channel, sums[j], scale[r + j], zero[r + j], added ? spare_in : NULL, spare_out);
                    memcpy(out + at, spare_out, (size_t)wide * sizeof(float));
                }
            }
        }
    }
    free(q);
    return 0;
}

/* x [rows, inputs] -> out [rows, channels]; added [rows, channels] or NULL. Returns 0, or 1 without memory.
 *
 * Every thread gets as many blocks, of nearly the same number of rows. */
int products(const struct layer *layer, const float *x, const float *added, float *out, long rows, int threads) {
    if (rows <= 0 || threads <= 0) return 0;
    const long least = (rows + BLOCK - 1) / BLOCK, blocks = (least + threads - 1) / threads * threads;
    const long share = ((rows + blocks - 1) / blocks + 3) / 4 * 4;
    int failed = 0;
#pragma omp parallel for schedule(static) num_threads(threads) reduction(| : failed)
    for (long first = 0; first < rows; first += share)
        failed |= block_of(layer, x, added, out, first, rows - first < share ? rows - first : share);
    return failed;
}
