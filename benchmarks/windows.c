/* For curves.py: exact distances of chosen windows, and product codes of windows.
 *
 * Built by measuring/machine.py: gcc -O3 -march=native. */
#include <stdint.h>

enum { WINDOW = 84, SHADES = 10, AHEAD = 8 };
enum { SUBCODES = 6, DIRECTIONS = WINDOW / SUBCODES, CODEWORDS = 256, LANES = 8, UNROLLED = 8 };

typedef float vector __attribute__((vector_size(4 * LANES)));
typedef int32_t integers __attribute__((vector_size(4 * LANES)));

/* The distance of each of n windows by a cost table, int32[84 * 10]. The windows are anywhere, so
 * their digits are asked for some windows ahead. */
void rescore(const uint8_t *digits, const int64_t *starts, int64_t n, const int32_t *costs,
             int32_t *distances)
{
    for (int64_t k = 0; k < n; k++) {
        const uint8_t *next = digits + starts[k + AHEAD < n ? k + AHEAD : n - 1];
        __builtin_prefetch(next);
        __builtin_prefetch(next + WINDOW - 1);
        int32_t sum = 0;
#pragma GCC unroll 84
        for (int i = 0; i < WINDOW; i++)
            sum += costs[SHADES * i - '0' + (int64_t)digits[starts[k] + i]];
        distances[k] = sum;
    }
}

/* Which of 256 codewords is nearest to x: the least |c|² - 2 <x, c>, the first of equals. codewords
 * are float[14][256], lengths their |c|². */
static uint8_t nearest(const float *x, const vector codewords[DIRECTIONS][CODEWORDS / LANES],
                       const vector lengths[CODEWORDS / LANES])
{
    vector best = lengths[0] + 1e30f;
    integers which = {0};
    for (int block = 0; block < CODEWORDS / LANES; block += UNROLLED) {
        vector far[UNROLLED];
        for (int u = 0; u < UNROLLED; u++)
            far[u] = lengths[block + u];
        for (int j = 0; j < DIRECTIONS; j++)
            for (int u = 0; u < UNROLLED; u++)
                far[u] -= 2 * x[j] * codewords[j][block + u];
        for (int u = 0; u < UNROLLED; u++) {
            integers less = far[u] < best;
            best = (vector)((less & (integers)far[u]) | (~less & (integers)best));
            which = (less & (block + u)) | (~less & which);
        }
    }
    int found = 0;
    for (int lane = 1; lane < LANES; lane++) {
        int a = which[lane] * LANES + lane, b = which[found] * LANES + found;
        if (best[lane] < best[found] || (best[lane] == best[found] && a < b))
            found = lane;
    }
    return which[found] * LANES + found;
}

/* FAISS's residual code of each of n windows (float[n][84]): for each sixth of what is left of a
 * window without its list's centroid, the nearest codeword. codewords are float[6][14][256],
 * lengths float[6][256], both 64-byte aligned. Each code stands behind a prefix of its list's
 * number, which is written too: the form of IndexIVF.add_sa_codes. */
void encode(const float *windows, const int64_t *lists, int64_t n, const float *centroids,
            const float *codewords, const float *lengths, int64_t prefix, uint8_t *codes)
{
    const vector(*words)[DIRECTIONS][CODEWORDS / LANES] = (const void *)codewords;
    const vector(*norms)[CODEWORDS / LANES] = (const void *)lengths;
    for (int64_t k = 0; k < n; k++) {
        uint8_t *code = codes + k * (prefix + SUBCODES);
        for (int64_t byte = 0; byte < prefix; byte++)
            code[byte] = (uint8_t)(lists[k] >> (8 * byte));
        float residual[WINDOW];
        for (int i = 0; i < WINDOW; i++)
            residual[i] = windows[k * WINDOW + i] - centroids[lists[k] * WINDOW + i];
        for (int m = 0; m < SUBCODES; m++)
            code[prefix + m] = nearest(residual + m * DIRECTIONS, words[m], norms[m]);
    }
}
