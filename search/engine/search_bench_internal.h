/* Shared by search_bench*.c and their tests only. */
#ifndef KDS_ENGINE_SEARCH_BENCH_INTERNAL_H
#define KDS_ENGINE_SEARCH_BENCH_INTERNAL_H

#include "eval/task.h"
#include "search/base/lex.h"
#include "search/base/random.h"
#include "search/engine/commit.h"
#include "search/engine/search_bench.h"

/* ---- The catalogue (search_bench_catalogue.c) ---- */

#define KDS_CHOICES_MAX 8
#define KDS_CHOICE_OPTIONS 8
#define KDS_FLAWS_MAX 4
#define KDS_POINTS_MAX 5000

typedef struct kds_choice_axis {
    const char *name;
    const char *options[KDS_CHOICE_OPTIONS];
    int count;
} kds_choice_axis;

/* A kernel of the catalogue: an option of each choice and a value of each tunable, or, with a flaw,
 * of each choice only (the tunables then have their first values). */
typedef struct kds_point {
    int option[KDS_CHOICES_MAX]; /* index */
    int value[KDS_TUNABLES];     /* index into the tunable's values */
    int flaw;                    /* 0: none */
    char *source;
    size_t len;
    kds_id id, norm;
    /* As judged: */
    char stage[16];
    kds_verdict verdict;
    char *message;
    kds_id program; /* zero if it did not compile */
    cJSON *report;  /* NULL unless the judge made one */
    double fitness; /* 0 unless the verdict is ok and nothing keeps it from being accepted */
} kds_point;

typedef struct kds_catalogue {
    kds_json_doc *doc;
    kds_task *task;
    kds_task seedless; /* the same without seeds: what they would give away is to be found */
    char *template_text;
    size_t template_len;
    kds_choice_axis choices[KDS_CHOICES_MAX];
    int choice_count;
    const char *flaws[KDS_FLAWS_MAX];
    int flaw_count;
    kds_tunable tunables[KDS_TUNABLES];
    int tunable_count;
    kds_point *points;
    int point_count;
    /* As judged: */
    cJSON *baseline; /* its report */
    kds_id baseline_id, baseline_program;
    double optimum; /* best fitness */
    int best;       /* a point that has it */
    int distinct;   /* programs */
    char device[32], fingerprint[KDS_ID_HEX + 64];
    double judge_seconds;
} kds_catalogue;

/* Reads the folder and writes out every point. KDS_INVALID names file and line. */
KDS_MUST_USE kds_code kds_catalogue_load(kds_catalogue **out, const char *dir, kds_err *e);
void kds_catalogue_free(kds_catalogue *c);
/* The point with these options, values and flaw. */
int kds_catalogue_index(const kds_catalogue *c, const kds_point *like);
/* The point whose source has that id; -1 if there is none. */
int kds_catalogue_find(const kds_catalogue *c, kds_id id);
/* "map=token factors=single VEC=8", for people. */
void kds_catalogue_describe(const kds_catalogue *c, int point, char *out, size_t size);

/* Judges every point that `file` (may be NULL) does not have the verdict of, by the real evaluator,
 * and keeps what was found there. (search_bench_judge.c) */
KDS_MUST_USE kds_code kds_catalogue_judge(kds_catalogue *c, const kds_search_bench_options *o,
                                          kds_err *e);

/* ---- The proposer (search_bench_propose.c) ---- */

/* What a model answers in this decision: a reply in words, whose source is a point of the catalogue
 * but for replies that cannot be used. A pure function of its arguments. `axis`: index of the
 * descriptor's axis to move along, or -1, and the bin that is wanted there. */
typedef struct kds_script_ask {
    const char *operator_name;
    int parent, other; /* points; other is -1 without one */
    int axis, bin;
} kds_script_ask;
void kds_script_reply(const kds_catalogue *c, const kds_script_ask *ask, kds_random *random,
                      kds_buf *reply);

/* ---- A campaign (search_bench_campaign.c) ---- */

typedef struct kds_bench_arm {
    const char *name, *parents, *operators; /* values of the settings; "": all operators */
} kds_bench_arm;

typedef struct kds_bench_run {
    bool reached;
    /* Until the share was reached, or to the cap: committed decisions, requests, USD. */
    int64_t decisions, calls;
    double cost;
    double best;
    kds_id state; /* hash of the last state */
} kds_bench_run;

/* Runs one campaign on `ledger` (fresh, with a transaction or without). */
KDS_MUST_USE kds_code kds_bench_campaign(const kds_catalogue *c, const kds_search_bench_options *o,
                                         const kds_bench_arm *arm, uint64_t seed,
                                         kds_ledger *ledger, kds_bench_run *out, kds_err *e);

#endif
