/* The state of a search: what decisions are made from. It is a fold of the ledger's events and
 * nothing else, so that resume and replay see exactly what the running campaign saw. */
#ifndef KDS_ENGINE_STATE_H
#define KDS_ENGINE_STATE_H

#include "search/base/json.h"
#include "search/engine/state_guidance.h"

/* How decisions follow from the state. A campaign keeps the rules that it began with; records of
 * rules 1, the first, do not name them. */
#define KDS_RULES 2
#define KDS_STATE_BINS 6
#define KDS_STATE_OPERATORS 32
#define KDS_REPAIRS_MAX 2   /* repairs in a row on one line */
#define KDS_FRUITLESS_MAX 3 /* children of one elite by one operator, none of them accepted */

/* Who holds a place: an elite its cell, or the best kernel so far its own. */
typedef struct kds_holder {
    kds_id id;
    int64_t decision;
    double fitness;
    double low, high; /* of the best: the interval of its speed-up */
    double modelled;  /* of an elite: its forecast by the simulator; NAN: none */
} kds_holder;

/* What a holder claims: to be faster than the one before it. Where times are measured this is
 * looked at again from time to time (review.h). */
#define KDS_FORMER_MAX 8 /* further ones are forgotten, the oldest first */
typedef struct kds_claim {
    kds_holder former[KDS_FORMER_MAX]; /* oldest first */
    int former_count;
    int64_t reviews; /* of the present holder */
    int doubts;      /* reviews in a row that did not find it faster */
    int undecided;   /* the last ones in a row, of which nothing came */
} kds_claim;

/* One cell of the grid. */
typedef struct kds_cell {
    uint64_t key;
    int bins[KDS_STATE_BINS];
    int bin_count;
    kds_id elite;
    double fitness;
    int64_t elite_decision;
    kds_claim claim;
    double modelled; /* the elite's forecast by the simulator (kds_forecast); NAN: none */
    int64_t visits,
        improvements; /* decisions with a parent from here; how many of them were accepted */
    uint8_t fruitless[KDS_STATE_OPERATORS]; /* children of this elite since one was accepted, by
                                               operator as in `operators` */
    bool profiled_again;                    /* this elite was, with every counter */
} kds_cell;

/* A population of its own where parents come from islands (state_islands.c): cells as above, but
 * for visits and improvements. */
#define KDS_ISLANDS 4
typedef struct kds_island {
    kds_cell *cells;
    int count, room;
} kds_island;

/* What a duel is for. */
typedef enum kds_bout_purpose {
    KDS_BOUT_CELL,     /* against the elite of the child's cell */
    KDS_BOUT_BASELINE, /* an empty cell: against the baseline, for the record */
    KDS_BOUT_BEST,     /* against the best kernel so far */
    KDS_BOUT_CONFIRM,  /* the same in a fresh process */
    KDS_BOUT_REPORT,   /* a confirmed best against the baseline: the speed-up that is told */
    KDS_BOUT_FLOOR,    /* of a kernel against its copy: what is noise */
    KDS_BOUT_HIDDEN,   /* the same among the others: are equals told apart? */
    KDS_BOUT_REVIEW,   /* an elite, or the best, against the one that it replaced */
    KDS_BOUT_PURPOSES
} kds_bout_purpose;
const char *kds_bout_purpose_name(kds_bout_purpose p); /* "cell" */

/* What came of a duel of this flight's candidate. */
typedef enum kds_bout_end {
    KDS_BOUT_DECIDED,
    KDS_BOUT_DISTURBED,        /* by clocks or other processes */
    KDS_BOUT_CHILD_FAILED,     /* it broke a rule in the duel: `verdict` */
    KDS_BOUT_INCUMBENT_FAILED, /* the other one did */
    KDS_BOUT_NOT_FOUGHT        /* the workers died, or the machine refused */
} kds_bout_end;

typedef struct kds_bout {
    kds_bout_purpose purpose;
    kds_bout_end end;
    kds_id incumbent;
    bool faster;            /* of DECIDED */
    double gain, low, high; /* of DECIDED: 0.10 is 10 % faster */
    kds_verdict verdict;    /* of CHILD_FAILED */
    char device[32];
    char why[200];
} kds_bout;

/* A duel that is being fought. */
typedef struct kds_challenge {
    int64_t number;
    int64_t decision; /* -1: of none */
    kds_bout_purpose purpose;
    bool has_cell; /* of a review: the elite's; without one it is of the best */
    uint64_t cell;
    kds_id candidate, incumbent;
    uint64_t seed;
    double margin;
} kds_challenge;
#define KDS_CHALLENGES 32 /* at a time */
#define KDS_FLIGHT_BOUTS 24
#define KDS_FLOOR_BOUTS 4  /* the last ones make the floor */
#define KDS_FLOOR_NEEDED 2 /* in an epoch, before anything else is fought */
#define KDS_HIDDEN_EVERY 50

/* What is expected of a child before it is judged on a GPU: logarithms of its time over the
 * baseline's; NAN where nothing is known. */
typedef struct kds_forecast {
    double modelled;  /* by the simulator */
    double simulator; /* the same as a change of the parent's, onto what the parent measured */
    double predicted; /* by the model that wrote it */
    double expected;  /* from the two before, as they have been right */
} kds_forecast;
enum { KDS_FORECASTER_SIMULATOR, KDS_FORECASTER_MODEL, KDS_FORECASTERS };
#define KDS_FORECAST_WINDOW 16    /* measured children, in which pairs are looked at */
#define KDS_FORECAST_EQUAL 0.0025 /* logarithms of times closer than this have no right order */

/* How often an order of two children was right, ties counted half. */
typedef struct kds_forecast_score {
    double right, wrong;
} kds_forecast_score;
typedef struct kds_forecast_outcome {
    double said[KDS_FORECASTERS], measured;
} kds_forecast_outcome;

/* A decision under way: made, not yet committed. */
typedef struct kds_flight {
    int64_t decision;
    char operator_name[24];
    char proposer[16];
    char model[64];
    kds_id parents[2];
    int parent_count;
    bool has_cell;
    uint64_t cell;
    int repair_depth;   /* 0 unless the operator is repair */
    int island;         /* that the child joins */
    kds_id sweep;       /* the structure that the decision sweeps; zero if none */
    double usd, tokens; /* spent on it */
    kds_id structure;   /* of its candidate; zero if that has nothing to sweep */
    int attempts;       /* requests sent */
    bool awaiting;      /* the last request has no response yet */
    int replies;        /* responses with a whole text */
    kds_id prompt;      /* of the last request */
    kds_id reply;       /* of the last response; zero if none */
    char outcome[16];   /* of the last response; "" if none */
    char api[12];       /* how the last request was sent: "chat", "messages", "mail" */
    int64_t last_request;
    double reserved_usd, reserved_tokens; /* for it */
    bool has_candidate;
    kds_id candidate, norm;
    bool has_verdict;
    kds_verdict verdict;
    kds_id report, program; /* zero if none */
    char stage[16];
    char message[400];
    char hypothesis[200], prediction[120];
    kds_id guidance, guidance_made;    /* what its prompt tells, or is to edit; what came of that */
    double parent_ln, parent_modelled; /* of an elite: as measured, as modelled; NAN: not known */
    double factor;                     /* over its parent, as its model predicts; NAN: none */
    double weights[KDS_FORECASTERS];   /* of the forecasts, when it was decided */
    kds_forecast forecast;
    char target[160];                 /* JSON of the decision's target; "" if none */
    kds_bout bouts[KDS_FLIGHT_BOUTS]; /* in their order; beyond that none is kept */
    int bout_count;
} kds_flight;

/* A failed child of a model that may be repaired. */
typedef struct kds_repair {
    kds_id candidate;
    int depth; /* of the repair that would be made: 1, 2 */
    int island;
    kds_id guidance; /* that the decision which failed was told */
} kds_repair;

/* What came of an earlier idea, for prompts: the last KDS_NOTES_MAX of models. */
#define KDS_NOTES_MAX 12
typedef struct kds_note {
    char hypothesis[200], outcome[280];
} kds_note;

typedef struct kds_operator_score {
    char name[24];
    int64_t tried, committed, accepted;
} kds_operator_score;

/* A model (or the built-in proposer) with an operator: what it brought and what it cost of late,
 * older decisions counting less and less (state_arms.c). */
#define KDS_STATE_ARMS 128
typedef struct kds_arm {
    char operator_name[24];
    char model[64]; /* "" of the built-in proposer */
    bool builtin;
    double committed, reward, cost; /* reward: between 0 and 1 for each; cost: USD, or as if */
} kds_arm;

/* The sweep of a structure's tunables under way (state_sweep.c, select_sweep.c). */
#define KDS_SWEEP_SPREAD 8 /* configurations of rung 0 */
#define KDS_SWEEP_RUNG 4   /* new ones of each rung after it */
#define KDS_SWEEP_MAX 20   /* decisions of one sweep */
typedef struct kds_sweep_member {
    kds_id candidate;
    int64_t decision;
    int rung;
    bool judged;
    double fitness; /* 0 if it failed, or waits for review */
} kds_sweep_member;
typedef struct kds_sweep {
    kds_id structure;
    kds_sweep_member
        members[1 + KDS_SWEEP_MAX]; /* the first is the one that brought the structure */
    int count;
    int island;
} kds_sweep;

typedef struct kds_map kds_map; /* kds_id -> decision */

typedef struct kds_state {
    uint64_t seed;
    int rules;
    bool measured; /* times are: duels decide */
    int descriptor_version;
    int64_t decisions; /* made: the next one's number */
    int64_t committed;
    int64_t evaluated; /* committed with a candidate that is no duplicate */
    int64_t barren;    /* commits in a row that brought no new candidate */
    int64_t accepted;
    int64_t last_accept; /* decision of the last ACCEPT; -1 */
    int64_t requests;    /* the next request's number */
    int64_t epochs;
    double run_seconds; /* of the epochs that ended with STOP */
    double gpu_seconds; /* that cards were at work, of several their sum */
    int64_t prompt_tokens, completion_tokens, failed_calls;
    double assumed_tokens; /* of calls whose server did not say what it used */
    double cost_usd;
    kds_id chain;    /* hash over all decisions */
    kds_cell *cells; /* dense; kds_state_cell finds by key */
    int cell_count, cell_room;
    uint32_t *cell_index; /* open addressing over keys */
    uint32_t cell_index_size;
    bool has_islands;
    kds_island islands[KDS_ISLANDS];
    kds_flight *flights; /* by decision, ascending */
    int flight_count, flight_room;
    kds_repair *repairs; /* first in, first out */
    int repair_count, repair_room;
    kds_operator_score operators[KDS_STATE_OPERATORS];
    int operator_count;
    kds_arm arms[KDS_STATE_ARMS];
    int arm_count;
    kds_sweep *sweeps; /* under way, oldest first */
    int sweep_count, sweep_room;
    int64_t last_sweep;            /* the last decision that was a sweep's; -2: none */
    kds_note notes[KDS_NOTES_MAX]; /* oldest first */
    int note_count;
    kds_guidances guidances;
    kds_id best, baseline; /* zero until known */
    double best_fitness;   /* where times are measured: as confirmed, with its interval */
    double best_low, best_high;
    int64_t best_decision;
    kds_claim best_claim;
    kds_challenge challenges[KDS_CHALLENGES];
    int challenge_count;
    int64_t challenged;               /* duels begun: the next one's number */
    int64_t since_review;             /* duels ended since the last review */
    int64_t retired;                  /* holders that reviews did not bear out */
    int64_t bouts;                    /* duels so far, of every purpose: the next one's number */
    int64_t since_hidden;             /* since the last hidden one */
    int64_t hidden, hidden_faster;    /* equals that fought as others do; taken for faster */
    double floors[KDS_FLOOR_BOUTS];   /* |ln| of the last duels of equals, in a ring */
    int64_t floor_count, floor_epoch; /* of all; in this epoch */
    double forecast_cutoff;           /* 0: nothing is set aside by its forecast */
    kds_forecast_score forecast_scores[KDS_FORECASTERS];
    kds_forecast_outcome forecast_outcomes[KDS_FORECAST_WINDOW]; /* of the last ones, in a ring */
    int64_t forecast_count;
    kds_map *ids, *norms, *programs; /* of committed candidates */
    kds_map *structures;             /* that are or were swept */
    kds_map *proposed;               /* norms that the built-in proposer need not make again */
} kds_state;

kds_state *kds_state_create(void); /* NULL if out of memory */
void kds_state_free(kds_state *s);

/* Applies one event. KDS_DAMAGED: the event cannot follow this state. */
KDS_MUST_USE kds_code kds_state_apply(kds_state *s, const char *kind, const cJSON *body,
                                      kds_err *e);

/* NULL if there is none. */
kds_cell *kds_state_cell(const kds_state *s, uint64_t key);
kds_flight *kds_state_flight(const kds_state *s, int64_t decision);
/* Decision of the committed candidate with that id; -1 if there is none. */
int64_t kds_map_get(const kds_map *m, kds_id id);

/* Tokens that count against a budget: those that servers named and those that are assumed. */
double kds_state_tokens(const kds_state *s);
/* NULL before the first decision of that kind was committed. */
const kds_arm *kds_state_arm(const kds_state *s, const char *operator_name, bool by_model,
                             const char *model);
/* True if this operator's last children of the cell's elite brought nothing, again and again. */
bool kds_state_is_fruitless(const kds_state *s, const kds_cell *cell, const char *operator_name);
/* The cell whose elite is to be profiled again, because children of it brought nothing again and
 * again; NULL: none. */
const kds_cell *kds_state_profile_due(const kds_state *s);
/* The largest of the last duels of equals; 0 before the first. */
double kds_state_floor(const kds_state *s);
/* Seed of the next duel. */
uint64_t kds_state_bout_seed(const kds_state *s);
/* The duel of that number that is being fought; NULL. */
const kds_challenge *kds_state_challenge(const kds_state *s, int64_t number);
/* A hash over what decisions follow from, for proving that two ways led to one state. */
kds_id kds_state_hash(const kds_state *s);
/* The chain value after a decision: hash of the previous value and the decision's deriving fields.
 */
kds_id kds_state_chain(kds_id previous, const cJSON *decision);

/* True if the decision asks for guidance (operator guide), not for a child. */
bool kds_flight_guides(const kds_flight *f);
/* ---- Forecasts (state_forecast.c) ---- */
/* What each forecaster counts now. */
void kds_state_weights(const kds_state *s, double out[KDS_FORECASTERS]);
/* The forecast that follows for a flight from what the simulator says; NAN: nothing. */
void kds_forecast_derive(const kds_flight *f, double modelled, kds_forecast *out);
/* In which order children are judged, the lowest first: what is expected, or as fast as the parent.
 */
double kds_forecast_rank(const kds_flight *f);
/* Whether two measured logarithms have an order; how right a difference was about a measured one:
 * 1, 0, or a half if it is none. */
bool kds_forecast_differ(double a, double b);
double kds_forecast_right(double said, double measured);

/* "endpoint" and "mailbox": what asks a model, whose replies come in no fixed order. */
bool kds_proposer_is_model(const char *proposer);

void kds_cell_format(uint64_t key, char out[17]);
bool kds_cell_parse(const char *hex, uint64_t *out);

#endif
