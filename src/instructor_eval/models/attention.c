/* Attention of packed texts in float32: each text and head by itself, nothing copied before or after.
 *
 * Vectors of LANES floats, as the compiler's flags have them. Vaswani et al. 2017, 3.2.1; the whole row of scores is
 * held, which suits texts of up to some hundred tokens.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 6 /* queries computed together */
#define PAIR (2 * LANES)

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));

static inline floats load(const float *x) {
    floats v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline void store(float *x, floats v) { memcpy(x, &v, sizeof v); }

/* Where the mask is set a, else b. */
static inline floats either(ints mask, floats a, floats b) {
    return (floats)((mask & (ints)a) | (~mask & (ints)b));
}

/* e^x for x <= 0, within 2 units in the last place; 1e-38 stands for less. Coefficients: Cephes, expf. */
static inline floats exponential(floats x) {
    const floats none = {0}, least = none - 87.0f, round = none + 12582912.0f; /* 1.5 * 2^23: sums are integers */
    x = either(x < least, least, x); /* NaN stays NaN */
    const floats sum = x * 1.44269504088896341f + round, n = sum - round;
    x = x - n * 0.693359375f;
    x = x + n * 2.12194440e-4f;
    floats p = none + 1.9875691500e-4f;
    p = p * x + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    p = p * x * x + x + 1.0f;
    const ints power = ((ints)sum - (ints)round + 127) << 23;
    return p * (floats)power;
}

struct shape {
    long heads, width; /* of a head */
    float scale;
    const float *bias; /* [heads, at least length, row], added to the scores; or NULL */
    long bias_head, bias_row;
};

/* One head of one text: qkv and out point to the head's part of its first token. */
static void head_of(const struct shape *shape, const float *qkv, const float *bias, float *out, long length,
                    float *room) {
    const long d = shape->width, inner = shape->heads * d, stride = 3 * inner, wide = (length + PAIR - 1) / PAIR * PAIR;
    float *keys = room, *values = keys + d * wide, *scores = values + d * wide;
    for (long k = 0; k < length; k++) {
        const float *key = qkv + k * stride + inner;
        for (long j = 0; j < d; j += 16) { /* of the next head: rows lie too far apart for the processor to foresee */
            __builtin_prefetch(key + d + j);
            __builtin_prefetch(key + inner + d + j);
            __builtin_prefetch(key - inner + d + j);
        }
        for (long j = 0; j < d; j++) keys[j * wide + k] = key[j];
        memcpy(values + k * d, key + inner, (size_t)d * sizeof(float));
    }
    for (long j = 0; j < d; j++)
        for (long k = length; k < wide; k++) keys[j * wide + k] = 0;
    for (long first = 0; first < length; first += ROWS) {
        const float *query[ROWS];
        float share[ROWS];
        for (long r = 0; r < ROWS; r++) query[r] = qkv + (first + r < length ? first + r : length - 1) * stride;
        for (long k = 0; k < wide; k += PAIR) {
            floats c[ROWS][2];
#pragma GCC unroll 6
            for (int r = 0; r < ROWS; r++) c[r][0] = c[r][1] = (floats){0};
            for (long j = 0; j < d; j++) {
                const floats a = load(keys + j * wide + k), b = load(keys + j * wide + k + LANES);
#pragma GCC unroll 6
                for (int r = 0; r < ROWS; r++) {
                    c[r][0] += a * query[r][j];
                    c[r][1] += b * query[r][j];
                }
            }
#pragma GCC unroll 6
            for (int r = 0; r < ROWS; r++) {
                store(scores + r * wide + k, c[r][0] * shape->scale);
                store(scores + r * wide + k + LANES, c[r][1] * shape->scale);
            }
        }
        for (long r = 0; r < ROWS; r++) {
            float *row = scores + r * wide;
            if (bias) {
                const float *places = bias + (first + r < length ? first + r : length - 1) * shape->bias_row;
                for (long k = 0; k < length; k++) row[k] += places[k];
            }
            for (long k = length; k < wide; k++) row[k] = -INFINITY;
            floats most = load(row);
            for (long k = LANES; k < wide; k += LANES) {
                const floats v = load(row + k);
                most = either(v > most, v, most);
            }
            float parts[LANES]; /* in pairs: a chain of 16 steps would take as long as the products */
            store(parts, most);
            for (int half = LANES / 2; half; half /= 2)
                for (int i = 0; i < half; i++) parts[i] = parts[i + half] > parts[i] ? parts[i + half] : parts[i];
            const float largest = parts[0];
            floats total = {0};
            for (long k = 0; k < wide; k += LANES) {
                const floats v = exponential(load(row + k) - largest);
                total += v;
                store(row + k, v);
            }
            store(parts, total);
            for (int half = LANES / 2; half; half /= 2)
                for (int i = 0; i < half; i++) parts[i] += parts[i + half];
            share[r] = 1.0f / parts[0];
        }
        for (long j = 0; j < d; j += PAIR) {
            floats c[ROWS][2];
#pragma GCC unroll 6
            for (int r = 0; r < ROWS; r++) c[r][0] = c[r][1] = (floats){0};
            for (long k = 0; k < length; k++) {
                const floats a = load(values + k * d + j), b = load(values + k * d + j + LANES);
#pragma GCC unroll 6
                for (int r = 0; r < ROWS; r++) {
                    c[r][0] += a * scores[r * wide + k];
                    c[r][1] += b * scores[r * wide + k];
                }
            }
#pragma GCC unroll 6
            for (int r = 0; r < ROWS; r++)
                if (first + r < length) {
                    store(out + (first + r) * inner + j, c[r][0] * share[r]);
                    store(out + (first + r) * inner + j + LANES, c[r][1] * share[r]);
                }
        }
    }
}

/* qkv [tokens, 3, heads, width] -> out [tokens, heads, width]; text t has the tokens starts[t] to starts[t + 1].
 *
 * Returns 0, or 1 without memory. A thread takes the next text and head when it is done with one. */
int attention(const struct shape *shape, const float *qkv, float *out, const int64_t *starts, long texts, int threads) {
    long longest = 0;
    for (long t = 0; t < texts; t++) longest = starts[t + 1] - starts[t] > longest ? starts[t + 1] - starts[t] : longest;
    const long wide = (longest + PAIR - 1) / PAIR * PAIR, inner = shape->heads * shape->width;
    const size_t room = (size_t)((2 * shape->width + ROWS) * wide) * sizeof(float);
    int failed = 0;
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        float *own = aligned_alloc(64, (room + 63) / 64 * 64);
        failed |= !own;
#pragma omp for schedule(dynamic)
        for (long i = 0; i < texts * shape->heads; i++) {
            const long text = i / shape->heads, head = i % shape->heads;
            const float *bias = shape->bias ? shape->bias + head * shape->bias_head : NULL;
            if (own)
                head_of(shape, qkv + starts[text] * 3 * inner + head * shape->width, bias,
                        out + starts[text] * inner + head * shape->width, starts[text + 1] - starts[text], own);
        }
        free(own);
    }
    return failed;
}
