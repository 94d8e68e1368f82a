/* Counters against known work: a copy whose bytes, sectors, requests and warps follow from its
 * size, and shared-memory accesses that all lanes make to one bank. */
#include "eval/cuda/profile.h"

#include <math.h>
#include <string.h>

#define COPY_FACTOR 4 /* times the L2 */
#define COPY_LEAST (UINT64_C(4) << 20)
#define THREADS 256
#define ELEMENT 16 /* bytes that a thread copies */
#define CONFLICT_BLOCKS 64
#define CONFLICT_ROUNDS 16
#define WAIT_SECONDS 30.0
#define DRAM_ALLOWED 0.05
/* Stores share the path with other traffic, which may add a wavefront now and then. */
#define STORE_ALLOWED 0.05

typedef struct trial {
    kds_card *card;
    kds_helpers *helpers;
    kds_cuda_address from, to;
    uint64_t bytes;
} trial;

static kds_code prepare(void *user, kds_err *e)
{
    trial *t = user;
    const kds_cuda *c = t->card->cuda;
    kds_code code = kds_cuda_check(c, c->set(t->from, 0x5a, t->bytes, t->card->stream), e,
                                   "filling the self-test's input");
    if (code == KDS_OK)
        code = kds_cuda_check(c, c->set(t->to, 0, t->bytes, t->card->stream), e,
                              "filling the self-test's output");
    return code;
}

static kds_code launch(trial *t, const char *name, int64_t blocks, int threads, void **parameters,
                       kds_err *e)
{
    bool late = false;
    kds_card_launch l = {
        .name = name, .grid = {blocks, 1, 1}, .block = {threads, 1, 1}, .parameters = parameters};
    kds_code code = kds_helpers_find(t->helpers, name, &l.function, e);
    if (code == KDS_OK)
        code = kds_cuda_check(t->card->cuda, kds_card_launch_kernel(t->card, &l), e, "launching %s",
                              name);
    if (code == KDS_OK)
        code = kds_card_wait(t->card, WAIT_SECONDS, &late, e);
    if (code == KDS_OK && late)
        code = kds_fail(e, KDS_DEVICE_LOST, "%s did not end within %.0f s", name, WAIT_SECONDS);
    return code;
}

static kds_code run_copy(void *user, bool *failed, kds_err *e)
{
    trial *t = user;
    void *parameters[] = {&t->from, &t->to};
    *failed = false;
    return launch(t, "kds_copy", (int64_t)(t->bytes / ELEMENT / THREADS), THREADS, parameters, e);
}

static kds_code run_conflicts(void *user, bool *failed, kds_err *e)
{
    trial *t = user;
    int rounds = CONFLICT_ROUNDS;
    void *parameters[] = {&t->to, &rounds};
    *failed = false;
    return launch(t, "kds_conflicts", CONFLICT_BLOCKS, 32, parameters, e);
}

/* Both kernels once without counters, because the driver loads code at the first launch; then
 * profiled. */
static kds_code measure(kds_profiler *p, const kds_metric_set *s, trial *t, kds_measures *copy,
                        kds_measures *conflicts, kds_err *e)
{
    kds_profile_work copying = {prepare, run_copy, t}, conflicting = {prepare, run_conflicts, t};
    bool failed = false;
    kds_code code = prepare(t, e);
    if (code == KDS_OK)
        code = run_copy(t, &failed, e);
    if (code == KDS_OK)
        code = run_conflicts(t, &failed, e);
    if (code == KDS_OK)
        code = kds_profiler_run(p, s, &copying, 1, copy, &failed, e);
    return code == KDS_OK ? kds_profiler_run(p, s, &conflicting, 1, conflicts, &failed, e) : code;
}

static void check(kds_profile_check *checks, int *count, const kds_measures *m, const char *counter,
                  double want, double allowed)
{
    double got = kds_measures_get(m, counter, NAN);
    if (!isnan(got)) /* the chip has it */
        checks[(*count)++] = (kds_profile_check){counter, got, want, allowed};
}

static kds_code judge(const kds_profile_check *checks, int count, const char *chip, kds_err *e)
{
    if (count == 0)
        return kds_fail(e, KDS_SELF_TEST, "no counter of the %s can be tested", chip);
    for (int i = 0; i < count; i++) {
        const kds_profile_check *c = &checks[i];
        if (!(fabs(c->got - c->want) <= c->allowed * c->want))
            return kds_fail(e, KDS_SELF_TEST,
                            "the counters of this GPU are off: %s is %.17g for a kernel that makes "
                            "%.17g (%+.2f %%, allowed are %.0f %%); none of them is used",
                            c->counter, c->got, c->want, 100 * (c->got / c->want - 1),
                            100 * c->allowed);
    }
    return KDS_OK;
}

kds_code kds_profile_self_test(kds_profiler *p, const kds_metric_set *s, kds_profile_check *checks,
                               int *count, kds_err *e)
{
    trial t = {.card = kds_profiler_card(p), .helpers = kds_profiler_helpers(p)};
    kds_measures copy, conflicts;
    const uint64_t wanted = COPY_FACTOR * (uint64_t)t.card->info.l2_bytes, step = 1 << 20;
    t.bytes = wanted < COPY_LEAST ? COPY_LEAST : (wanted + step - 1) / step * step;
    *count = 0;
    kds_code code = kds_card_alloc(t.card, t.bytes, "the self-test of counters", &t.from, e);
    if (code == KDS_OK)
        code = kds_card_alloc(t.card, t.bytes, "the self-test of counters", &t.to, e);
    if (code == KDS_OK)
        code = measure(p, s, &t, &copy, &conflicts, e);
    if (code != KDS_DEVICE_LOST) {
        kds_card_free(t.card, t.from);
        kds_card_free(t.card, t.to);
    }
    if (code != KDS_OK)
        return code;
    const double bytes = (double)t.bytes, accesses = CONFLICT_BLOCKS * CONFLICT_ROUNDS;
    const double warps = bytes / ELEMENT / 32;
    check(checks, count, &copy, "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum", bytes / 32, 0);
    check(checks, count, &copy, "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum", bytes / 32, 0);
    check(checks, count, &copy, "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum", warps, 0);
    check(checks, count, &copy, "sm__warps_launched.sum", warps, 0);
    check(checks, count, &copy, "dram__bytes_read.sum", bytes, DRAM_ALLOWED);
    check(checks, count, &conflicts, "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum",
          31 * accesses, 0);
    check(checks, count, &conflicts, "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st.sum",
          31 * accesses, STORE_ALLOWED);
    check(checks, count, &conflicts, "sm__warps_launched.sum", CONFLICT_BLOCKS, 0);
    return judge(checks, *count, kds_profiler_chip(p), e);
}
