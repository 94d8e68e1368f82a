/* What the files behind kds_replay_lineage share: a lineage with what was recorded of it, and what
 * came of it when it was run once more. */
#ifndef KDS_ENGINE_REPLAY_LINEAGE_H
#define KDS_ENGINE_REPLAY_LINEAGE_H

#include "archive/ledger.h"
#include "search/engine/evaluate.h"

/* A candidate of the chain. `row` is the record's, the rest of now. */
typedef struct kds_replay_step {
    kds_candidate_row row;
    char *source, *parent; /* parent: whose plan it may inherit; NULL: none */
    size_t len;
    kds_id program; /* zero: it did not compile */
    char verdict[24], stage[24], message[400];
    double fitness; /* NAN: none */
} kds_replay_step;

/* A duel of the record, or the one with the baseline that a claim needs, and how it went now. */
typedef struct kds_replay_duel {
    int step;         /* whose */
    char purpose[16]; /* of the record; "claim": there is none */
    kds_id incumbent;
    int64_t against;       /* decision of the incumbent */
    char *source, *parent; /* of the incumbent */
    size_t len;
    cJSON *recorded; /* body of DUEL; NULL: none */
    cJSON *fought;   /* record of eval/cuda/gpu_duel.h */
    char device[32];
} kds_replay_duel;

/* How two sides of a comparison stand to each other. */
typedef enum kds_replay_match {
    KDS_REPLAY_SAME,
    KDS_REPLAY_OTHER,
    KDS_REPLAY_UNKNOWN /* one side has nothing to compare */
} kds_replay_match;

typedef struct kds_lineage_replay {
    kds_ledger *ledger;
    kds_task *task;
    kds_settings *settings;
    kds_evaluator *evaluator;
    cJSON *campaign; /* body of CAMPAIGN */
    kds_id baseline;
    uint64_t seed;          /* of the duels */
    bool other_inputs;      /* the gate's are not the recorded ones */
    int fights;             /* so far */
    bool measured;          /* the campaign's times */
    bool same_kind;         /* of device and software */
    kds_replay_step *steps; /* from the baseline on */
    int step_count;
    kds_replay_duel *duels;
    int duel_count;
    int claim;     /* the duel with the baseline; -1: none */
    double floor;  /* of equal kernels, measured now */
    cJSON *fought; /* of the duel that has just ended */
    char fought_on[32], failed[600];
    kds_event_fn *fn;
    void *user;
} kds_lineage_replay;

/* Tells a line about what happens; the text must be safe for a terminal. */
void kds_replay_tell(const kds_lineage_replay *r, const char *fmt, ...) KDS_PRINTF(2, 3);

/* ---- replay_duels.c ---- */
/* Which duels the record has of the steps, and the one with the baseline. */
KDS_MUST_USE kds_code kds_replay_duels_load(kds_lineage_replay *r, kds_err *e);
/* Measures the noise and fights them all. */
KDS_MUST_USE kds_code kds_replay_duels_fight(kds_lineage_replay *r, kds_err *e);
/* For the evaluator. */
void kds_replay_fought(void *lineage, const kds_fought *f);
void kds_replay_duels_free(kds_lineage_replay *r);

/* ---- replay_report.c ---- */
kds_replay_match kds_replay_program(const kds_replay_step *s);
kds_replay_match kds_replay_verdict(const kds_replay_step *s);
/* KDS_OK, KDS_DIVERGED or KDS_NOT_CONFIRMED with a message; *report, owned by the caller, with any
 * of them: {task, candidate, recorded{device, kind}, replayed{device, kind, model, measured,
 * floor}, same_kind, other_inputs, steps[]{decision, candidate, operator, recorded{verdict,
 * program, fitness}, replayed{verdict, program, fitness, stage, message}, program, verdict ("same",
 * "other", "unknown")}, duels[]{decision, candidate, against, purpose, recorded{verdict, gain, low,
 * high, rounds}, replayed{the same, why, device}}, claim{recorded, recorded_low, recorded_high,
 * replayed, low, high, made, judged, compared} (speed-ups over the baseline), outcome ("confirmed";
 * "agrees": there is no claim, or none that this device can judge; "diverged", "not_confirmed"),
 * why}. */
KDS_MUST_USE kds_code kds_replay_judge(const kds_lineage_replay *r, cJSON **report, kds_err *e);

#endif
