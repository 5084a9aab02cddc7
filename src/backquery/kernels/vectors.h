/* Short vectors that stay in the processor's registers, in the vector extensions of GCC and Clang.

   The same source is compiled for each pair of a number's type (REAL_BITS, 32 or 64) and a width of the
   registers (VECTOR_BYTES, 16 to 64); SUFFIX tells their names apart. Sums over the lanes are the only results
   that depend on the width, in their rounding. No operating system, no allocation, no library. */

#ifndef VECTORS_H
#define VECTORS_H

#include <stdint.h>

#if REAL_BITS == 32
typedef float real;
typedef int32_t whole;
#else
typedef double real;
typedef int64_t whole;
#endif

/* What rows are padded to, so that each begins at a cache line and every width divides it. */
#define LINE 64
#define LANES (VECTOR_BYTES / (REAL_BITS / 8))
#define INLINE static inline __attribute__((always_inline))
#define APART __attribute__((noinline))
#define LENGTH(array) ((int64_t)(sizeof(array) / sizeof *(array)))
#define UNROLL _Pragma("GCC unroll 16")

#define JOINED(name, suffix) name##_##suffix
#define JOIN(name, suffix) JOINED(name, suffix)
#define NAME(name) JOIN(name, SUFFIX)

#if defined(_WIN32)
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

/* Under AddressSanitizer (`make torture`) what lies between the arrays of one piece of memory must not be touched. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
enum { FENCE = LINE };
#else
#define ASAN_POISON_MEMORY_REGION(begin, bytes) ((void)(begin))
#define ASAN_UNPOISON_MEMORY_REGION(begin, bytes) ((void)(begin))
enum { FENCE = 0 };
#endif

typedef real vector __attribute__((vector_size(VECTOR_BYTES)));
typedef whole bits __attribute__((vector_size(VECTOR_BYTES)));
typedef real vector_anywhere __attribute__((vector_size(VECTOR_BYTES), aligned(REAL_BITS / 8), may_alias));

INLINE vector load(const real *place) {
    return *(const vector_anywhere *)place;
}

INLINE void store(real *place, vector value) {
    *(vector_anywhere *)place = value;
}

INLINE vector all(real value) {
    return value - (vector){0};
}

INLINE vector choose(bits mask, vector yes, vector no) {
    return (vector)((mask & (bits)yes) | (~mask & (bits)no));
}

INLINE real total(vector value) {
    real sums[LANES];
    store(sums, value);
    UNROLL
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int k = 0; k < width; k++) sums[k] += sums[k + width];
    return sums[0];
}

/* e^x lane by lane, within two units in the last place. x = n ln 2 + r with n whole and |r| <= ln(2) / 2; e^r by
   its Taylor polynomial, 2^n by writing n into the exponent's bits (Cody & Waite 1980). x is clamped so that the
   result stays a normal number. */
INLINE vector exponential(vector x) {
#if REAL_BITS == 32
    /* ln 2 in two parts: the first has so few digits that n times it is exact. `rounder` pushes the digits
       behind the point out, and leaves n in the lowest bits. */
    const real bound = 87.0f, high = 0.693359375f, low = -2.12194440e-4f, rounder = 12582912.0f;
    enum { FRACTION = 23, BIAS = 127 };
    static const real inverse_factorials[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
#else
    const real bound = 708.0, high = 0.693145751953125, low = 1.4286068203094173e-06, rounder = 6755399441055744.0;
    enum { FRACTION = 52, BIAS = 1023 };
    static const real inverse_factorials[] = {
        1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
        1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1,           1};
#endif
    x = choose((bits)(x < all(-bound)), all(-bound), x);
    x = choose((bits)(x > all(bound)), all(bound), x);
    vector shifted = x * (real)1.4426950408889634 + rounder;
    vector n = shifted - rounder;
    vector r = x - n * high - n * low;
    vector power = all(inverse_factorials[0]);
    UNROLL
    for (unsigned k = 1; k < sizeof inverse_factorials / sizeof(real); k++) power = power * r + inverse_factorials[k];
    bits exponent = ((bits)shifted - (bits)all(rounder) + BIAS) << FRACTION;
    return power * (vector)exponent;
}

/* The sigmoid of x, lane by lane. */
INLINE vector logistic(vector x) {
    return 1 / (1 + exponential(-x));
}

/* The natural logarithm of a normal number above zero, in double precision: x = m 2^n with m about 1, and
   ln m = 2 artanh((m - 1) / (m + 1)) by its series. */
static inline double logarithm(double x) {
    union {
        double value;
        uint64_t bits;
    } number = {x};
    int exponent = (int)(number.bits >> 52) - 1023;
    number.bits = (number.bits & 0xFFFFFFFFFFFFF) | (1023ULL << 52);
    if (number.value > 1.4142135623730951) number.value /= 2, exponent++;
    double s = (number.value - 1) / (number.value + 1), square = s * s, series = 0;
    for (int k = 23; k > 0; k -= 2) series = series * square + 1.0 / k;
    return exponent * 0.6931471805599453 + 2 * s * series;
}

#endif
