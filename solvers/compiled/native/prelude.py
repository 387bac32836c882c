"""The C++ that every native solve begins with: vectors of samples and the functions that operators become."""

from .symbols import WIDTH

PRELUDE = f"""
#include <cmath>
#include <cstdint>

constexpr int W = {WIDTH};
typedef double F64 __attribute__((vector_size(8 * W)));
typedef float F32 __attribute__((vector_size(4 * W)));
typedef int64_t I64 __attribute__((vector_size(8 * W)));
typedef int32_t I32 __attribute__((vector_size(4 * W)));
typedef I64 Mask;  // -1 where it holds, else 0

#define INLINE static inline __attribute__((always_inline))
INLINE F64 F64_all(double x) {{ return F64{{}} + x; }}
INLINE F32 F32_all(float x) {{ return F32{{}} + x; }}
INLINE I64 I64_all(int64_t x) {{ return I64{{}} + x; }}
INLINE Mask Mask_all(int64_t x) {{ return Mask{{}} + x; }}
INLINE F64 to_F64(F32 x) {{ return __builtin_convertvector(x, F64); }}
INLINE F64 to_F64(I64 x) {{ return __builtin_convertvector(x, F64); }}
INLINE F32 to_F32(F64 x) {{ return __builtin_convertvector(x, F32); }}
INLINE F32 to_F32(I64 x) {{ return __builtin_convertvector(x, F32); }}
INLINE I64 to_I64(F64 x) {{ return __builtin_convertvector(x, I64); }}
INLINE I64 to_I64(F32 x) {{ return __builtin_convertvector(x, I64); }}
INLINE Mask wide(I32 m) {{ return __builtin_convertvector(m, I64); }}

#define COMPARISONS(name, op) \\
    INLINE Mask name(F64 a, F64 b) {{ return a op b; }} \\
    INLINE Mask name(F32 a, F32 b) {{ return wide(a op b); }} \\
    INLINE Mask name(I64 a, I64 b) {{ return a op b; }}
COMPARISONS(eq, ==) COMPARISONS(ne, !=) COMPARISONS(lt, <) COMPARISONS(le, <=) COMPARISONS(gt, >) COMPARISONS(ge, >=)

INLINE F64 pick(Mask m, F64 a, F64 b) {{ return m ? a : b; }}
INLINE F32 pick(Mask m, F32 a, F32 b) {{ return __builtin_convertvector(m, I32) ? a : b; }}
INLINE I64 pick(Mask m, I64 a, I64 b) {{ return m ? a : b; }}
template <class V> INLINE V largest(V a, V b) {{ return pick(gt(a, b) | ne(a, a), a, b); }}  // NaN if either is
template <class V> INLINE V smallest(V a, V b) {{ return pick(lt(a, b) | ne(a, a), a, b); }}
template <class V> INLINE V magnitude(V a) {{ return pick(lt(a, -a), -a, a + V{{}}); }}
INLINE bool some(Mask m) {{ int64_t any = 0; for (int i = 0; i < W; ++i) any |= m[i]; return any != 0; }}

// glibc has these for whole vectors; without the declaration they are called lane by lane.
#if defined(__x86_64__) && defined(__GLIBC_PREREQ) && defined(__GNUC__) && !defined(__clang__)
#if __GLIBC_PREREQ(2, 35)
#define WHOLE __attribute__((simd("notinbranch")))
#endif
#endif
#ifndef WHOLE
#define WHOLE
#endif
#define DECLARED(fn) extern "C" {{ WHOLE double fn(double) noexcept; WHOLE float fn##f(float) noexcept; }}
DECLARED(exp) DECLARED(log) DECLARED(sin) DECLARED(cos) DECLARED(tanh) DECLARED(log1p) DECLARED(expm1) DECLARED(tan)
DECLARED(sinh) DECLARED(cosh) DECLARED(asin) DECLARED(acos) DECLARED(atan) DECLARED(erf) DECLARED(exp2) DECLARED(log2)
DECLARED(log10)
extern "C" {{ WHOLE double pow(double, double) noexcept; WHOLE float powf(float, float) noexcept; }}

// Without the pragma the loops are unrolled before they can become calls for whole vectors.
#define LANES _Pragma("omp simd") for (int i = 0; i < W; ++i)
#define EACH(name, fn) \\
    INLINE F64 name(F64 a) {{ F64 r; LANES r[i] = fn(a[i]); return r; }} \\
    INLINE F32 name(F32 a) {{ F32 r; LANES r[i] = fn##f(a[i]); return r; }}
EACH(each_exp, exp) EACH(each_log, log) EACH(each_sin, sin) EACH(each_cos, cos) EACH(each_tanh, tanh)
EACH(each_log1p, log1p) EACH(each_expm1, expm1) EACH(each_tan, tan) EACH(each_sinh, sinh) EACH(each_cosh, cosh)
EACH(each_asin, asin) EACH(each_acos, acos) EACH(each_atan, atan) EACH(each_erf, erf) EACH(each_exp2, exp2)
EACH(each_log2, log2) EACH(each_log10, log10) EACH(each_sqrt, sqrt) EACH(each_rint, rint) EACH(each_floor, floor)
EACH(each_ceil, ceil) EACH(each_trunc, trunc)
#define EACH_PAIR(name, fn) \\
    INLINE F64 name(F64 a, F64 b) {{ F64 r; LANES r[i] = fn(a[i], b[i]); return r; }} \\
    INLINE F32 name(F32 a, F32 b) {{ F32 r; LANES r[i] = fn##f(a[i], b[i]); return r; }}
EACH_PAIR(each_pow, pow) EACH_PAIR(each_atan2, atan2) EACH_PAIR(each_fmod, fmod)

INLINE double number(double x) {{ return x; }}
INLINE float number(float x) {{ return x; }}
INLINE int64_t number(int64_t x) {{ return x; }}
INLINE int64_t number(bool x) {{ return -int64_t(x); }}
template <class V, class R> INLINE V load(const void* from, int k, int size, int64_t first, int lanes) {{
    V r;
    for (int i = 0; i < W; ++i)  // lanes beyond the last sample repeat the first
        r[i] = number(static_cast<const R*>(from)[(first + (i < lanes ? i : 0)) * size + k]);
    return r;
}}
template <class V, class R> INLINE V all(const void* from, int k) {{
    return V{{}} + number(static_cast<const R*>(from)[k]);
}}
template <class R, class V> INLINE void save(void* to, V x, int k, int size, int64_t first, int lanes) {{
    for (int i = 0; i < lanes; ++i) static_cast<R*>(to)[(first + i) * size + k] = R(x[i]);
}}
template <class R, class V>
INLINE void store(void* to, V x, int k, int size, int64_t first, I64 slots, int64_t count) {{
    for (int i = 0; i < W; ++i)
        if (slots[i] >= 0) static_cast<R*>(to)[((first + i) * count + slots[i]) * size + k] = R(x[i]);
}}
template <class V, class R> INLINE V times(const R* ts, int64_t first, int lanes, int64_t count, I64 which) {{
    V r;
    for (int i = 0; i < W; ++i)
        r[i] = ts[(first + (i < lanes ? i : 0)) * count + (which[i] < count ? which[i] : count - 1)];
    return r;
}}
"""
