/* What the files behind evaluate.h share. */
#ifndef KDS_ENGINE_EVALUATE_INTERNAL_H
#define KDS_ENGINE_EVALUATE_INTERNAL_H

#include "search/engine/evaluate.h"
#include "search/engine/pool.h"

#define TAG_BASELINE (UINT64_MAX - 1)
#define TAG_REFERENCE (UINT64_MAX - 2)
#define TAG_PROBE (UINT64_MAX - 3)
#define TAG_GREETING UINT64_MAX
#define TAG_ARMS (UINT64_C(1) << 62) /* from here on: compilations for duels */

typedef enum work_stage { WORK_COMPILE, WORK_SAFETY, WORK_JUDGE, WORK_PROFILE } work_stage;

/* A candidate in hand. */
typedef struct work {
    uint64_t tag;
    char *source, *parent_source;
    size_t len;
    kds_plan *plan;
    kds_compiled *compiled;
    work_stage stage;
    int deaths; /* of workers at this stage */
    bool not_simulated;
    bool again;             /* judged long ago: all that is wanted are the counters that it lacks */
    cJSON *simulated;       /* counters of the safety check's forecast; NULL: none */
    cJSON *report;          /* of a GPU's judge, until it is complete */
    kds_measures *counters; /* by row; NULL until it is profiled */
    int row;                /* being profiled */
    double rank;            /* among those that wait for a card */
    double started;
    struct work *next;
} work;

/* One side of a duel in hand. */
typedef struct bout_arm {
    char *source, *parent;
    size_t len;
    kds_id key; /* in the store of compiled code */
    bool compiled;
    int deaths;
    uint64_t tag; /* of its compilation; 0: none under way */
} bout_arm;

/* A duel in hand. */
typedef struct bout {
    uint64_t tag;
    bout_arm arms[2]; /* incumbent, child */
    kds_gpu_duel_options o;
    bool fresh, queued;
    char not_on[32];
    int deaths;
    double started;
    struct bout *next;
} bout;

/* Compiled code of elites, kept for their duels. */
#define STORE_ENTRIES 64
typedef struct stored {
    kds_id key;
    kds_compiled *compiled;
    uint64_t used;
} stored;

/* In the order of their urgency: what a commit waits for comes first. */
typedef enum gpu_kind { GPU_DUEL, GPU_PROFILE, GPU_JUDGE, GPU_KINDS } gpu_kind;

typedef struct gpu_job {
    gpu_kind kind;
    uint64_t tag;
    kds_frame frame;
    bool fresh;
    char not_on[32];
    double rank;     /* of a candidate to be judged: the lowest first */
    int passed_over; /* by candidates that came later */
    struct gpu_job *next;
} gpu_job;

/* A GPU: a process that judges and fights, one that profiles, one job in hand for either. */
typedef struct card {
    kds_evaluator *x;
    char device[32], model[128];
    char fingerprint[KDS_ID_HEX], kind[KDS_ID_HEX];
    kds_pool *judge, *profile;
    gpu_job *job;
    double since;
    bool ready;    /* a judge has answered its greeting */
    bool told;     /* a profiler has answered its greeting */
    bool unready;  /* the last judge did not get ready: its job is not to blame */
    bool renewing; /* its processes are to be replaced before the next job */
    int failures;  /* in a row, of getting ready */
    double down;   /* since when it has no judge, after a fault; 0: it has one */
    bool lost;
} card;

struct kds_evaluator {
    kds_evaluator_options o;
    char *program;
    kds_pool *compile;
    kds_pool *judge;  /* of the simulator; NULL on GPUs */
    kds_pool *safety; /* the simulator before GPUs; NULL without */
    card cards[KDS_CARDS_MAX];
    int card_count; /* 0: the simulator */
    gpu_job *jobs;  /* waiting, first come first */
    int64_t gpu_jobs[GPU_KINDS];
    double gpu_seconds[GPU_KINDS];
    int64_t recoveries; /* of cards, after faults */
    double recovery_seconds;
    work *works;
    bout *bouts;
    stored store[STORE_ENTRIES];
    uint64_t uses, arm_tags;
    int in_hand;
    int faults;
    kds_compiled *baseline, *reference;
    char arch[16];
    char device[KDS_CARDS_MAX * 32], fingerprint[KDS_ID_HEX], kind[KDS_ID_HEX];
    bool prepared; /* every device has proved the baseline */
    bool counts;   /* profilers have counters */
    char no_counters[600];
    kds_err error; /* what ended the work */
};

/* ---- evaluate.c ---- */
work *evaluator_find(kds_evaluator *x, uint64_t tag);
void evaluator_fail(kds_evaluator *x, kds_code code, const char *message);
kds_code evaluator_code(const char *name); /* "NO_DEVICE" */
/* Tells a stage's end; false if the candidate is done with (and forgotten). */
bool evaluator_tell(kds_evaluator *x, work *w, kds_stage *s);

/* ---- evaluate_stages.c: what follows from a worker's answer ---- */
kds_code evaluator_submit_compile(kds_evaluator *x, work *w, kds_err *e);
void evaluator_compiled(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                        const char *why);
void evaluator_checked(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                       const char *why); /* safety */
void evaluator_judged(kds_evaluator *x, uint64_t tag, kds_job_end end, const kds_frame *reply,
                      const char *why);
void evaluator_profiled(kds_evaluator *x, uint64_t tag, kds_job_end end, const kds_frame *reply,
                        const char *why);

/* ---- evaluate_prepare.c ---- */
kds_code evaluator_make_pools(kds_evaluator *x, kds_err *e);
/* What every new worker is told first. */
kds_code evaluator_greet(kds_evaluator *x, kds_err *e);
const char *evaluator_device_setting(const kds_evaluator *x);
/* The answers to greetings. */
void evaluator_sim_judged(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                          const char *why);

/* ---- evaluate_cards.c ---- */
/* The cards that a --device names: their names; they must be of one model. */
kds_code evaluator_list_cards(kds_evaluator *x, kds_err *e);
/* Takes the frame. */
kds_code evaluator_queue(kds_evaluator *x, gpu_kind kind, uint64_t tag, kds_frame *frame,
                         bool fresh, const char *not_on, kds_err *e);
/* Hands waiting jobs to free cards. */
kds_code evaluator_pump(kds_evaluator *x, kds_err *e);
/* Takes the next job for a card off the list; NULL if there is none. `others`: there are more
 * cards, so that one need not take what had better not run there. */
gpu_job *evaluator_take_job(gpu_job **jobs, const char *device, bool others);
void evaluator_card_judge(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                          const char *why);
void evaluator_card_profile(void *user, uint64_t tag, kds_job_end end, const kds_frame *reply,
                            const char *why);
void evaluator_cards_close(kds_evaluator *x);

/* ---- evaluate_duel.c ---- */
/* Keeps what was compiled for duels to come. Takes `compiled`. */
void evaluator_store(kds_evaluator *x, kds_id key, kds_compiled *compiled);
kds_id evaluator_key(const char *source, size_t len, const char *parent);
/* True if the compilation was one for a duel. */
bool evaluator_arm_compiled(kds_evaluator *x, uint64_t tag, kds_job_end end, const kds_frame *reply,
                            const char *why);
void evaluator_fought(card *c, uint64_t tag, kds_job_end end, const kds_frame *reply,
                      const char *why);
void evaluator_bouts_close(kds_evaluator *x);

#endif
