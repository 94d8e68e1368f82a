/* The interpreter proper, compiled once per instruction set: exec_baseline.c and exec_avx2.c define
 * KDS_RUN_WARP and include this. Everything in it is static but that one function. */
#include "eval/sim/async.h"
#include "eval/sim/numeric.h"
#include "eval/sim/race.h"
#include "eval/sim/stack.h"
#include "eval/sim/taint.h"
#include "eval/sim/tensor.h"
#include <fenv.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "eval/sim/exec_lanes.h"

#include "eval/sim/exec_int.h"

#include "eval/sim/exec_bits.h"

#include "eval/sim/exec_float.h"

#include "eval/sim/exec_half.h"

#include "eval/sim/exec_compare.h"

#include "eval/sim/exec_convert.h"

#include "eval/sim/exec_address.h"

#include "eval/sim/exec_race.h"

#include "eval/sim/exec_memory.h"

#include "eval/sim/exec_local.h"

#include "eval/sim/exec_call.h"

#include "eval/sim/exec_atomic.h"

#include "eval/sim/exec_async.h"

#include "eval/sim/exec_cross.h"

#include "eval/sim/exec_tensor.h"

#include "eval/sim/exec_matrix.h"

#include "eval/sim/exec_loop.h"
