/* The interpreter for the instruction set that the whole program is compiled for. */
#define KDS_RUN_WARP kds_run_warp_baseline
#include "eval/sim/exec_body.h"
