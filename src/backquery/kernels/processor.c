/* Which widths of vectors this machine can compute with, widest first, as the names that the build gives them. */

#if defined(_WIN32)
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
#include <stdint.h>

/* The registers that the operating system keeps for a program, bit by bit. */
static uint64_t kept_registers(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

PUBLIC const char *widths(void) {
    const uint32_t fma = 1u << 12, osxsave = 1u << 27, avx2 = 1u << 5, avx512f = 1u << 16, avx512dq = 1u << 17;
    const uint64_t ymm = 0x06, zmm = 0xE6;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (fma | osxsave)) != (fma | osxsave)) return "plain";
    const uint64_t kept = kept_registers();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & avx2) || (kept & ymm) != ymm) return "plain";
    if ((b & (avx512f | avx512dq)) != (avx512f | avx512dq) || (kept & zmm) != zmm) return "avx2 plain";
    return "avx512 avx2 plain";
}
#elif defined(__aarch64__) || defined(_M_ARM64)
PUBLIC const char *widths(void) {
    return "neon";
}
#else
PUBLIC const char *widths(void) {
    return "plain";
}
#endif
