/* Attention of texts that lie end to end, from the product of queries, keys and values, without copies in between.
 *
 * Written with the compiler's vectors, compiled for the processor at hand. Each sum runs over its terms in their order,
 * with fused products, and the sum of a softmax in 16 partial sums on every processor: each width of vectors gives the
 * same bits, and a text the same numbers whatever texts are beside it.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16 /* floats in a vector */
#define WIDE 4   /* vectors of a tile: with ROWS, all registers */
#elif defined(__AVX2__)
#define LANES 8
#define WIDE 2
#else
#define LANES 4
#define WIDE 4
#endif

#define ROWS 6           /* queries of a tile */
#define SUMS 16          /* partial sums of a softmax: every number of LANES divides it */
#define LINE 16          /* floats of a cache line */
#define AHEAD 8          /* rows that are fetched before they are read */
#define LOG2E 1.44269504f
#define ROUND 12582912.0f /* 1.5 * 2^23: the sum with a small number has its nearest integer in its last bits */
#define LEAST (-126.0f)   /* 2 to this is the least normal float */

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));

struct attention {
    const float *qkv;  /* [texts * tokens][3][heads][width] */
    const float *bias; /* [heads][tokens][row_stride], added to the scores, or NULL; may be read up to the next 16th */
    float *out;        /* [texts * tokens][heads][width] */
    long texts, tokens, heads, width, head_stride, row_stride;
    float scale; /* of the scores, before the bias */
};

static inline floats load(const float *x) {
    floats v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline void store(float *x, floats v) { memcpy(x, &v, sizeof v); }

static inline floats all(float x) { return (floats){0} + x; }

/* Where the mask is set a, else b. */
static inline floats either(ints mask, floats a, floats b) { return (floats)((mask & (ints)a) | (~mask & (ints)b)); }

static long up(long n, long multiple) { return (n + multiple - 1) / multiple * multiple; }

/* 2 to the power of x <= 0: 2^n * 2^f with |f| <= 1/2, that by Taylor's series to x^7. NaN stays NaN. */
static inline floats power(floats x) {
    x = either(x < all(LEAST), all(LEAST), x);
    const floats sum = x + all(ROUND), f = x - (sum - all(ROUND));
    floats p = all(1.52527338e-5f);
    p = p * f + all(1.54035304e-4f);
    p = p * f + all(1.33335581e-3f);
    p = p * f + all(9.61812911e-3f);
    p = p * f + all(5.55041087e-2f);
    p = p * f + all(2.40226507e-1f);
    p = p * f + all(6.93147181e-1f);
    p = p * f + all(1.0f);
    return p * (floats)(((ints)sum - (ints)all(ROUND) + 127) << 23);
}

/* out[r][0 .. vectors * LANES] = the sum over i of left[r][i] * right[i], for ROWS rows of `left`. */
#define TILE(name, vectors)                                                                                            \
    static inline void name(const float *left, long left_stride, const float *right, long right_stride, long count,   \
                            float *out, long out_stride) {                                                             \
        floats c[ROWS][vectors];                                                                                       \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++)                                                         \
            _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) c[r][v] = all(0);                                \
        for (long i = 0; i < count; i++) {                                                                             \
            floats b[vectors];                                                                                         \
            _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) b[v] = load(right + i * right_stride + v * LANES); \
            _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) {                                                   \
                const floats a = all(left[r * left_stride + i]);                                                       \
                _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) c[r][v] += a * b[v];                         \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++)                                                         \
            _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) store(out + r * out_stride + v * LANES, c[r][v]); \
    }
TILE(wide_tile, WIDE)
TILE(half_tile, (WIDE / 2))
TILE(thin_tile, 1)

/* ROWS rows of left [count] times right [count][columns, a multiple of LANES]. */
static void multiply(const float *left, long left_stride, const float *right, long columns, long count, float *out) {
    long c = 0;
    for (; c + WIDE * LANES <= columns; c += WIDE * LANES)
        wide_tile(left, left_stride, right + c, columns, count, out + c, columns);
    for (; c + WIDE / 2 * LANES <= columns; c += WIDE / 2 * LANES)
        half_tile(left, left_stride, right + c, columns, count, out + c, columns);
    for (; c < columns; c += LANES) thin_tile(left, left_stride, right + c, columns, count, out + c, columns);
}

/* Scores [padded] of `tokens` keys to weights that are not yet divided by their sum, which is returned. */
static float soften(float *scores, const float *bias, long tokens, long padded) {
    for (long i = tokens; i < padded; i++) scores[i] = -INFINITY;
    floats high = all(-INFINITY), sums[SUMS / LANES];
    for (long i = 0; i < padded; i += LANES) {
        floats v = load(scores + i);
        if (bias) {
            v += load(bias + i);
            store(scores + i, v);
        }
        high = either(v > high, v, high);
    }
    float most = high[0];
    for (int j = 1; j < LANES; j++) most = high[j] > most ? high[j] : most;
    for (int s = 0; s < SUMS / LANES; s++) sums[s] = all(0);
    for (long i = 0; i < padded; i += SUMS)
        for (int s = 0; s < SUMS / LANES; s++) {
            const floats p = power((load(scores + i + s * LANES) - most) * LOG2E);
            sums[s] += p;
            store(scores + i + s * LANES, p);
        }
    float total = 0;
    for (int j = 0; j < SUMS; j++) total += sums[j / LANES][j % LANES];
    return total;
}

/* One head of one text, in memory of `room` floats. */
static void head_of(const struct attention *a, long text, long head, float *memory) {
    const long n = a->tokens, d = a->width, padded = up(n, SUMS), columns = up(d, LANES), inner = a->heads * d;
    float *keys = memory, *values = keys + d * padded, *queries = values + n * columns;
    float *scores = queries + ROWS * d, *made = scores + ROWS * padded;
    const float *q = a->qkv + text * n * 3 * inner + head * d;
    for (long i = 0; i < n; i++) {
        const float *k = q + i * 3 * inner + inner, *v = k + inner;
        for (long j = 0; j < d; j += LINE) /* rows lie too far apart for the processor to guess the next */
            for (long part = -inner; part <= inner; part += inner) __builtin_prefetch(k + AHEAD * 3 * inner + part + j);
        for (long j = 0; j < d; j++) keys[j * padded + i] = k[j];
        memcpy(values + i * columns, v, (size_t)d * sizeof(float));
    }
    for (long first = 0; first < n; first += ROWS) {
        const long here = n - first < ROWS ? n - first : ROWS;
        for (long r = 0; r < here; r++)
            for (long j = 0; j < d; j++) queries[r * d + j] = q[(first + r) * 3 * inner + j] * a->scale;
        multiply(queries, d, keys, padded, d, scores);
        float sums[ROWS] = {0};
        for (long r = 0; r < here; r++) {
            const float *bias = a->bias ? a->bias + head * a->head_stride + (first + r) * a->row_stride : NULL;
            sums[r] = soften(scores + r * padded, bias, n, padded);
        }
        multiply(scores, padded, values, columns, n, made);
        for (long r = 0; r < here; r++) {
            float *out = a->out + (text * n + first + r) * inner + head * d;
            for (long j = 0; j < d; j++) out[j] = made[r * columns + j] / sums[r];
        }
    }
}

/* Returns 0, or 1 without memory. */
int attend(const struct attention *a, int threads) {
    const long columns = up(a->width, LANES), padded = up(a->tokens, SUMS);
    const long room = a->width * padded + a->tokens * columns + ROWS * (a->width + padded + columns);
    int failed = 0;
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        float *memory = calloc((size_t)room, sizeof(float)); /* what pads keys and values stays zero */
        failed |= !memory;
#pragma omp for schedule(dynamic)
        for (long i = 0; i < a->texts * a->heads; i++)
            if (memory) head_of(a, i / a->heads, i % a->heads, memory);
        free(memory);
    }
    return failed;
}
