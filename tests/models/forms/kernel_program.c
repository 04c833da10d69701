/* int8_kernel.c as a program: reads a layer and its rows from stdin, writes the products to stdout. */
#include <stdio.h>

#include "int8_kernel.c"

static void *take(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 64) / 64 * 64);
    if (!memory || fread(memory, 1, bytes, stdin) != bytes) exit(3);
    return memory;
}

int main(void) {
    const int64_t *sizes = take(4 * sizeof(int64_t)); /* rows, inputs, padded, channels */
    const long rows = sizes[0], inputs = sizes[1], padded = sizes[2], channels = sizes[3];
    const long wide = (channels + 15) / 16 * 16;
    const int8_t *weight = take((size_t)(wide * padded));
    const float *scale = take((size_t)wide * 4);
    const int32_t *sums = take((size_t)wide * 4);
    const float *bias = take((size_t)wide * 4), *x = take((size_t)(rows * inputs) * 4);
    const float *added = take((size_t)(rows * channels) * 4);
    const struct layer layer = {weight, scale, sums, bias, inputs, padded, channels, 1};
    float *out = malloc((size_t)(rows * channels) * 4 + 1);
    if (!out || products(&layer, x, added, out, rows, 1)) return 4;
    return fwrite(out, 4, (size_t)(rows * channels), stdout) == (size_t)(rows * channels) ? 0 : 5;
}
