/* The interpreter for x86-64 with AVX2, FMA and F16C, chosen at run time (CMakeLists.txt gives this
 * file its flags). Empty on other machines. */
#if defined(__x86_64__)
#define KDS_RUN_WARP kds_run_warp_avx2
#include "eval/sim/exec_body.h"
#else
typedef int kds_exec_avx2_unused;
#endif
