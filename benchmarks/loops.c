/* What the scan is compared with: reading the bytes once, and the loops one would write first.
 *
 * digits are ASCII; a window is 84 of them. Built by machine.py: gcc -O3 -march=native. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 84, SHADES = 10 };

typedef uint64_t vector __attribute__((vector_size(64)));

/* The sum, modulo 2^64, of n bytes taken as 64-bit words (the last n % 8 bytes one by one).
 * bytes is 64-byte aligned. Four places at once, which is a few per cent faster than one, and eight
 * sums, so that no addition waits for another one. */
uint64_t read_bytes(const uint8_t *bytes, int64_t n)
{
    vector sums[8] = {{0}};
    int64_t quarter = n / 512 * 128; /* bytes, whole rounds of two vectors */
    for (int64_t k = 0; k < quarter; k += 128)
        for (int stream = 0; stream < 4; stream++) {
            const vector *v = (const vector *)(bytes + stream * quarter + k);
            sums[2 * stream] += v[0];
            sums[2 * stream + 1] += v[1];
        }
    uint64_t sum = 0;
    for (int u = 0; u < 8; u++)
        for (int lane = 0; lane < 8; lane++)
            sum += sums[u][lane];
    int64_t i = 4 * quarter;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        sum += word;
    }
    for (; i < n; i++)
        sum += bytes[i];
    return sum;
}

/* Put a window in its place among the best `top`, by distance, then start. Windows come by
 * ascending start, so one that is equal goes behind. */
static void keep(int64_t start, int64_t distance, int64_t *starts, int64_t *distances, int top)
{
    int i = top - 1;
    for (; i > 0 && distances[i - 1] > distance; i--) {
        starts[i] = starts[i - 1];
        distances[i] = distances[i - 1];
    }
    starts[i] = start;
    distances[i] = distance;
}

/* The best `top` windows by a cost table, int32[84 * 10]. distances come in as INT64_MAX.
 * Unrolled, and with the '0' in the address, because that is twice as fast as what gcc makes of
 * costs[i][digit - '0'] by itself: a slow loop to compare with would flatter the scan. */
void cost_loop(const uint8_t *digits, int64_t n_windows, const int32_t *costs,
               int64_t *starts, int64_t *distances, int top)
{
    for (int64_t start = 0; start < n_windows; start++) {
        int32_t sum = 0;
#pragma GCC unroll 84
        for (int i = 0; i < WINDOW; i++)
            sum += costs[SHADES * i - '0' + (int64_t)digits[start + i]];
        if (sum < distances[top - 1])
            keep(start, sum, starts, distances, top);
    }
}

/* The same for l1 alone; the reference is ASCII too. gcc makes vector code of the inner loop (sums of
 * absolute differences), so this is the faster one. */
void absolute_loop(const uint8_t *digits, int64_t n_windows, const uint8_t reference[WINDOW],
                   int64_t *starts, int64_t *distances, int top)
{
    for (int64_t start = 0; start < n_windows; start++) {
        int32_t sum = 0;
        for (int i = 0; i < WINDOW; i++)
            sum += abs(digits[start + i] - reference[i]);
        if (sum < distances[top - 1])
            keep(start, sum, starts, distances, top);
    }
}

/* The same for l2. */
void squared_loop(const uint8_t *digits, int64_t n_windows, const uint8_t reference[WINDOW],
                  int64_t *starts, int64_t *distances, int top)
{
    for (int64_t start = 0; start < n_windows; start++) {
        int32_t sum = 0;
        for (int i = 0; i < WINDOW; i++) {
            int32_t difference = digits[start + i] - reference[i];
            sum += difference * difference;
        }
        if (sum < distances[top - 1])
            keep(start, sum, starts, distances, top);
    }
}
