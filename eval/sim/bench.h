/* How fast the simulator is: what `kdasearch bench sim` prints. */
#ifndef KDS_EVAL_SIM_BENCH_H
#define KDS_EVAL_SIM_BENCH_H

#include "search/base/json.h"

/* Runs a few embedded kernels on one core with all counters and checks on but race detection, each
 * several times, and gives {"isa": "avx2", "cores": 2, "kernels": [{name, description, warp_inst,
 * thread_inst, seconds (the best run), million_thread_inst_per_second, seconds_with_races (the best
 * run with race detection), seconds_on_all_cores, ns_per_warp_inst, max_error}]}. The outputs are
 * compared with a reference in double precision: KDS_SELF_TEST if one is wrong. Owned by the caller
 * (cJSON_Delete). */
KDS_MUST_USE kds_code kds_sim_bench(cJSON **report, kds_err *e);

#endif
