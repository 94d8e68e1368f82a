/* What the files behind gpu_duel.h share. */
#ifndef KDS_EVAL_CUDA_GPU_DUEL_INTERNAL_H
#define KDS_EVAL_CUDA_GPU_DUEL_INTERNAL_H

#include "eval/cuda/gpu_duel.h"
#include "eval/cuda/gpu_duel_row.h"
#include "eval/cuda/gpu_visit.h"
#include "eval/duel_schedule.h"
#include "eval/duel_watch.h"

#define DUEL_PAIRS (KDS_DUEL_VISITS / 2)
#define DUEL_WALLS 7    /* single runs, of which the median is the wall time */
#define DUEL_OTHER 3    /* visits of an arm in the mode that is not fought in */
#define DUEL_FLUSHED 16 /* most runs of a visit that flushes the L2 before each */

struct kds_gpu_duels {
    kds_card *card;
    kds_helpers *helpers;
    const kds_nvml *nvml;
    const kds_task *task;
    const kds_plan *baseline_plan;
    const kds_compiled *baseline;
    kds_gpu_duel_row *rows[KDS_GPU_DUEL_ROWS];
    int row_count;
    uint64_t uses;
    kds_cuda_address flush; /* twice the L2, read between visits */
    uint64_t flush_bytes;
};

/* Times of an arm on a row, outside the rounds. */
typedef struct duel_times {
    double device[2], wall[2]; /* [warm]; us */
} duel_times;

/* What is known of a row during a duel. */
typedef struct duel_row {
    int index;
    bool flushed; /* cold by reading twice the L2 before each run */
    int launches; /* of a visit */
    int sets;     /* that the visits rotate over */
    int checked, late;
    int64_t pad_ns; /* the idle kernel in the incumbent's visits */
    double pad_visit_us, pad_added_us;
    int visit_count; /* of each arm, in rounds that counted */
    double us[2][KDS_DUEL_ROUNDS * DUEL_PAIRS];
    duel_times times[2];
} duel_row;

typedef struct duel_row_round {
    kds_duel_draw draw;
    double us[2][DUEL_PAIRS];
    double value; /* mean of ln(child/incumbent) over the pairs */
} duel_row_round;

/* An arm on the row at hand. */
typedef struct duel_arm {
    kds_gpu_program *program;
    kds_gpu_visit visit;
    kds_cuda_module spacers[KDS_DUEL_SPACERS];
    int spacer_count;
} duel_arm;

typedef struct duel {
    kds_gpu_duels *g;
    const kds_gpu_duel_arm *given;
    const kds_gpu_duel_options *o;
    kds_duel_rule rule;
    duel_row rows[KDS_GPU_DUEL_ROWS];
    kds_duel_rounds rounds;
    char (*names)[64];
    kds_duel_watch watch;
    kds_duel result;
    bool flags[KDS_DUEL_FOREIGN_PROCESS + 1];
    kds_duel_disturbance ended_by; /* calm: by the rule */
    int attempts, repeats;
    double watch_seconds;
    /* The row at hand. */
    kds_gpu_duel_row *r;
    duel_arm arms[2];
    int *order;
    int64_t delay_ns;
    kds_finding f;
    int guilty; /* arm of the finding */
    cJSON *out, *record;
    kds_err *e;
} duel;

static inline bool duel_stopped(const duel *d)
{
    return d->f.verdict != KDS_VERDICT_OK;
}

/* What a graph is made of besides runs. */
typedef struct duel_graph {
    int launches, sets; /* over the first `sets` of d->order in turn */
    int checked;        /* position in the order of the set that is looked at */
    double turn;        /* [0, 1): after which of its runs; it rests afterwards */
    double window;      /* of its outputs, that is poisoned before that run */
    int64_t pad_ns;     /* in the middle; 0: none */
} duel_graph;

/* ---- gpu_duel_visit.c ---- */
/* Loads both arms on the row at hand; NULL draw: one after the other. */
kds_code duel_load(duel *d, const kds_duel_draw *draw);
void duel_unload(duel *d);
kds_code duel_build(duel *d, int arm, const duel_graph *g);
/* One visit with fresh inputs; us of a run. A visit that the host was late for is taken again. */
kds_code duel_visit(duel *d, int arm, const duel_row *x, bool warm, int variant, double *us,
                    int *late);
/* Compares the outputs of a set after timed launches: stale_output. */
kds_code duel_check(duel *d, int arm, int position);
/* Inputs as they were and a clean L2. Queued. */
kds_code duel_refresh(duel *d, int variant);
bool duel_can_renew(const duel *d, bool warm);

/* ---- gpu_duel_prepare.c: both arms right once, and how a visit is made ---- */
kds_code duel_prepare(duel *d, int i);

/* ---- gpu_duel_times.c: what is told beside the verdict ---- */
kds_code duel_measure_times(duel *d, int i);

/* ---- gpu_duel_report.c ---- */
kds_code duel_report_round(duel *d, const duel_row_round *rows, kds_duel_disturbance disturbed);
kds_code duel_report(duel *d, double seconds);

/* ---- gpu_duel.c ---- */
/* Takes the row's buffers as the row at hand. */
kds_code duel_take_row(duel *d, int i);

#endif
