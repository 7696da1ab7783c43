/* What one core can do at best: vector instructions that wait for nothing, and bytes from each cache.
 *
 * Every routine does `rounds` rounds and returns how many instructions, or bytes, that were. Inline
 * assembly, because a compiler leaves out what it can foresee. Built by measuring/machine.py. */
#include <stdint.h>

#define EIGHT(one) one(0) one(1) one(2) one(3) one(4) one(5) one(6) one(7)
#define CLOBBERED "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7"

/* Additions that wait for each other: one a cycle, so this is the clock. */
int64_t cycles(int64_t rounds, const uint8_t *bytes, int64_t n)
{
    int64_t x = n;
    for (int64_t i = 0; i < rounds; i++)
        __asm__ volatile("add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n"
                         "add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n" : "+r"(x));
    (void)bytes;
    return 8 * rounds;
}

/* Eight of one instruction on registers a round. */
#define ALONE(name, one) \
int64_t name(int64_t rounds, const uint8_t *bytes, int64_t n) \
{ \
    (void)bytes, (void)n; \
    for (int64_t i = 0; i < rounds; i++) \
        __asm__ volatile(EIGHT(one) ::: CLOBBERED); \
    return 8 * rounds; \
}
#define SHUFFLE(k) "vpermb %%zmm30, %%zmm31, %%zmm" #k "\n"
#define ADD(k) "vpaddusb %%zmm30, %%zmm31, %%zmm" #k "\n"
ALONE(shuffles, SHUFFLE)
ALONE(additions, ADD)

/* A look-up as the scan does it: load a vector of keys, look it up, add it to a sum. The loads walk
 * over n bytes, a multiple of 512. */
#define LOOK_UP(k) "vmovdqa64 64*" #k "(%0), %%zmm1" #k "\n vpermb %%zmm31, %%zmm1" #k ", %%zmm1" #k "\n" \
                   "vpaddusb %%zmm1" #k ", %%zmm" #k ", %%zmm" #k "\n"
int64_t look_ups(int64_t rounds, const uint8_t *bytes, int64_t n)
{
    const uint8_t *at = bytes;
    for (int64_t i = 0; i < rounds; i++) {
        __asm__ volatile(EIGHT(LOOK_UP) :: "r"(at) : CLOBBERED, "xmm10", "xmm11", "xmm12", "xmm13",
                         "xmm14", "xmm15");
        at = at + 512 < bytes + n ? at + 512 : bytes;
    }
    return 8 * rounds;
}

/* Loads alone over n bytes, a multiple of 512: with the size of a cache, what that cache gives. */
#define LOAD(k) "vmovdqa64 64*" #k "(%0), %%zmm" #k "\n"
int64_t loads(int64_t rounds, const uint8_t *bytes, int64_t n)
{
    const uint8_t *at = bytes;
    for (int64_t i = 0; i < rounds; i++) {
        __asm__ volatile(EIGHT(LOAD) :: "r"(at) : CLOBBERED);
        at = at + 512 < bytes + n ? at + 512 : bytes;
    }
    return 8 * rounds;
}

/* One byte of each of `rounds` cache lines of n bytes, in an order that nothing foresees, none waiting for
 * another: what candidates cost at least. */
int64_t touches(int64_t rounds, const uint8_t *bytes, int64_t n)
{
    uint64_t state = 88172645463325252u, sum = 0;
    for (int64_t i = 0; i < rounds; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        sum += bytes[(uint64_t)(((__uint128_t)state * (uint64_t)n) >> 64)];
    }
    __asm__ volatile("" :: "r"(sum));
    return rounds;
}
