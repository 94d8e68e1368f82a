/* The prelude's text. It must stay cheap (it is compiled every time), must not clash with libcu++
 * (whose macros are therefore spelled token by token as there) and must not use names that a task's
 * definitions could replace, so its own parameters have leading underscores. */
#include "eval/prelude.h"
#include <stddef.h>

static const char types[] =
    "#pragma once\n"
    "typedef signed char int8_t; typedef signed short int16_t; typedef signed int int32_t;\n"
    "typedef signed long long int64_t; typedef unsigned char uint8_t;\n"
    "typedef unsigned short uint16_t; typedef unsigned int uint32_t;\n"
    "typedef unsigned long long uint64_t; typedef int64_t intptr_t; typedef uint64_t uintptr_t;\n"
    "typedef int64_t intmax_t; typedef uint64_t uintmax_t;\n"
    "namespace std {\n"
    "using ::int8_t; using ::int16_t; using ::int32_t; using ::int64_t; using ::uint8_t;\n"
    "using ::uint16_t; using ::uint32_t; using ::uint64_t; using ::intptr_t; using ::uintptr_t;\n"
    "using ::intmax_t; using ::uintmax_t; using ::size_t; using ::ptrdiff_t;\n"
    "template <typename _Kt> __host__ __device__ constexpr const _Kt &max(const _Kt &_Ka, const "
    "_Kt "
    "&_Kb) { return _Ka < _Kb ? _Kb : _Ka; }\n"
    "template <typename _Kt> __host__ __device__ constexpr const _Kt &min(const _Kt &_Ka, const "
    "_Kt "
    "&_Kb) { return _Kb < _Ka ? _Kb : _Ka; }\n"
    "}\n"
    "#undef assert\n"
    "#define assert(_Kx) ((void)0)\n"
    "#ifndef NULL\n#define NULL 0\n#endif\n";

static const char limits[] = "#define CHAR_BIT 8\n"
                             "#define SCHAR_MIN (-128)\n"
                             "#define SCHAR_MAX 127\n"
                             "#define UCHAR_MAX 255\n"
                             "#define SHRT_MIN (-SHRT_MAX - 1)\n"
                             "#define SHRT_MAX 0x7fff\n"
                             "#define USHRT_MAX 0xffff\n"
                             "#define INT_MIN (-INT_MAX - 1)\n"
                             "#define INT_MAX 0x7fffffff\n"
                             "#define UINT_MAX 0xffffffff\n"
                             "#define LONG_MIN (-LONG_MAX - 1)\n"
                             "#define LONG_MAX LLONG_MAX\n"
                             "#define ULONG_MAX ULLONG_MAX\n"
                             "#define LLONG_MIN (-LLONG_MAX - 1)\n"
                             "#define LLONG_MAX 0x7fffffffffffffffLL\n"
                             "#define ULLONG_MAX 0xffffffffffffffffUL\n"
                             "#define INT8_MIN SCHAR_MIN\n"
                             "#define INT16_MIN SHRT_MIN\n"
                             "#define INT32_MIN INT_MIN\n"
                             "#define INT64_MIN LLONG_MIN\n"
                             "#define INT8_MAX SCHAR_MAX\n"
                             "#define INT16_MAX SHRT_MAX\n"
                             "#define INT32_MAX INT_MAX\n"
                             "#define INT64_MAX LLONG_MAX\n"
                             "#define UINT8_MAX UCHAR_MAX\n"
                             "#define UINT16_MAX USHRT_MAX\n"
                             "#define UINT32_MAX UINT_MAX\n"
                             "#define UINT64_MAX ULLONG_MAX\n"
                             "#define SIZE_MAX UINT64_MAX\n";

static const char numbers[] =
    "#define FLT_RADIX 2\n"
    "#define FLT_MANT_DIG 24\n"
    "#define FLT_DIG 6\n"
    "#define FLT_MIN 1.17549435082228750796873653722224568e-38F\n"
    "#define FLT_MAX 3.40282346638528859811704183484516925e+38F\n"
    "#define FLT_EPSILON 1.19209289550781250000000000000000000e-7F\n"
    "#define DBL_MANT_DIG 53\n"
    "#define DBL_DIG 15\n"
    "#define DBL_MIN 2.22507385850720138309023271733240406e-308\n"
    "#define DBL_MAX 1.79769313486231570814527423731704357e+308\n"
    "#define DBL_EPSILON 2.22044604925031308084726333618164062e-16\n"
    "#ifndef INFINITY\n#define INFINITY __int_as_float(0x7f800000)\n#endif\n"
    "#ifndef NAN\n#define NAN __int_as_float(0x7fffffff)\n#endif\n"
    "#define HUGE_VALF __int_as_float(0x7f800000)\n"
    "#define M_E 2.7182818284590452354\n"
    "#define M_LOG2E 1.4426950408889634074\n"
    "#define M_LOG10E 0.43429448190325182765\n"
    "#define M_LN2 0.69314718055994530942\n"
    "#define M_LN10 2.30258509299404568402\n"
    "#define M_PI 3.14159265358979323846\n"
    "#define M_PI_2 1.57079632679489661923\n"
    "#define M_PI_4 0.78539816339744830962\n"
    "#define M_1_PI 0.31830988618379067154\n"
    "#define M_2_PI 0.63661977236758134308\n"
    "#define M_2_SQRTPI 1.12837916709551257390\n"
    "#define M_SQRT2 1.41421356237309504880\n"
    "#define M_SQRT1_2 0.70710678118654752440\n";

static const char prelude[] = "#pragma once\n"
                              "#include <kda_types.h>\n"
                              "#include <kda_limits.h>\n"
                              "#include <kda_numbers.h>\n";

static const char nothing[] = "#pragma once\n";

static const char math[] =
    "#pragma once\n"
    "namespace std {\n"
    "using ::abs; using ::acos; using ::acosf; using ::asin; using ::asinf; using ::atan;\n"
    "using ::atan2; using ::atanf; using ::atan2f; using ::cbrt; using ::ceil; using ::ceilf;\n"
    "using ::copysign; using ::cos; using ::cosf; using ::cosh; using ::erf; using ::erff;\n"
    "using ::exp; using ::exp2; using ::exp2f; using ::expf; using ::expm1; using ::fabs;\n"
    "using ::fabsf; using ::floor; using ::floorf; using ::fma; using ::fmaf; using ::fmax;\n"
    "using ::fmaxf; using ::fmin; using ::fminf; using ::fmod; using ::isfinite; using ::isinf;\n"
    "using ::isnan; using ::ldexp; using ::log; using ::log10; using ::log1p; using ::log2;\n"
    "using ::log2f; using ::logf; using ::pow; using ::powf; using ::rint; using ::round;\n"
    "using ::roundf; using ::sin; using ::sinf; using ::sinh; using ::sqrt; using ::sqrtf;\n"
    "using ::tan; using ::tanf; using ::tanh; using ::tanhf; using ::trunc; using ::truncf;\n"
    "}\n";

static const char memory[] = "#pragma once\n"
                             "namespace std { using ::memcpy; using ::memset; }\n";

static const char output[] = "#pragma once\n"
                             "namespace std { using ::printf; }\n";

#define FORWARD(header)                                                                            \
    "#pragma once\n#include <cuda/std/" header ">\nnamespace std { using namespace cuda::std; }\n"

/* X(name, text) */
#define HEADERS(X)                                                                                 \
    X(KDS_PRELUDE_NAME, prelude)                                                                   \
    X("kda_types.h", types)                                                                        \
    X("kda_limits.h", limits)                                                                      \
    X("kda_numbers.h", numbers)                                                                    \
    X("algorithm", nothing)                                                                        \
    X("array", FORWARD("array"))                                                                   \
    X("assert.h", nothing)                                                                         \
    X("cassert", nothing)                                                                          \
    X("cfloat", nothing)                                                                           \
    X("climits", nothing)                                                                          \
    X("cmath", math)                                                                               \
    X("cstddef", nothing)                                                                          \
    X("cstdint", nothing)                                                                          \
    X("cstdio", output)                                                                            \
    X("cstdlib", nothing)                                                                          \
    X("cstring", memory)                                                                           \
    X("cuda.h", nothing)                                                                           \
    X("cuda_runtime.h", nothing)                                                                   \
    X("cuda_runtime_api.h", nothing)                                                               \
    X("device_launch_parameters.h", nothing)                                                       \
    X("float.h", nothing)                                                                          \
    X("limits", FORWARD("limits"))                                                                 \
    X("limits.h", nothing)                                                                         \
    X("math.h", nothing)                                                                           \
    X("stddef.h", nothing)                                                                         \
    X("stdint.h", nothing)                                                                         \
    X("stdio.h", nothing)                                                                          \
    X("stdlib.h", nothing)                                                                         \
    X("string.h", nothing)                                                                         \
    X("tuple", FORWARD("tuple"))                                                                   \
    X("type_traits", FORWARD("type_traits"))                                                       \
    X("utility", FORWARD("utility"))

static const char *const names[] = {
#define KDS_X(name, text) name,
    HEADERS(KDS_X)
#undef KDS_X
};

static const char *const texts[] = {
#define KDS_X(name, text) text,
    HEADERS(KDS_X)
#undef KDS_X
};

int kds_prelude_count(void)
{
    return (int)(sizeof names / sizeof names[0]);
}

const char *const *kds_prelude_names(void)
{
    return names;
}

const char *const *kds_prelude_texts(void)
{
    return texts;
}
