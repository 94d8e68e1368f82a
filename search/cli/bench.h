/* The benchmarks that need files of their own. */
#ifndef KDS_CLI_BENCH_H
#define KDS_CLI_BENCH_H

#include "search/cli/command.h"

/* `bench gpu TASK FILE.cu...` */
KDS_MUST_USE kds_code kds_bench_gpu(const kds_args *args, kds_err *e);
/* `bench profile TASK FILE.cu...` */
KDS_MUST_USE kds_code kds_bench_profile(const kds_args *args, kds_err *e);
/* `bench duel TASK INCUMBENT.cu CHILD.cu` */
KDS_MUST_USE kds_code kds_bench_duel(const kds_args *args, kds_err *e);
/* `bench model MEASURED.json...` */
KDS_MUST_USE kds_code kds_bench_model(const kds_args *args, kds_err *e);
/* `bench engine TASK` */
KDS_MUST_USE kds_code kds_bench_engine(const kds_args *args, kds_err *e);
/* `bench search CATALOGUE...` */
KDS_MUST_USE kds_code kds_bench_search(const kds_args *args, kds_err *e);
/* The whole number of a flag within bounds, `fallback` if it is absent. */
KDS_MUST_USE kds_code kds_bench_number(const kds_args *args, const char *flag, int64_t min,
                                       int64_t max, int64_t fallback, int64_t *out, kds_err *e);

#endif
