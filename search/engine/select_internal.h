/* Shared by the files of select only. */
#ifndef KDS_ENGINE_SELECT_INTERNAL_H
#define KDS_ENGINE_SELECT_INTERNAL_H

#include "search/base/random.h"
#include "search/engine/select.h"

/* An operator with its weight before anything is known of it. */
typedef struct kds_operator {
    const char *name;
    double weight; /* by rules 1 */
    double prior;  /* by rules 2, where sweeps do much of the tuning */
    bool model;    /* asks a model */
    bool two;      /* needs two parents from different cells */
    bool aims;     /* at an empty neighbour of the parent's cell */
} kds_operator;

/* Those of the proposer. */
const kds_operator *kds_select_operators(const kds_selector *s, int *count);
bool kds_select_allows(const kds_selector *s, const char *operator_name);

/* Who makes a child how. */
typedef struct kds_drawn {
    const kds_operator *op;
    const char *model; /* NULL: the built-in proposer, or a model without a name */
} kds_drawn;
/* By rules 1: operators by how often their children were accepted, models by their weight. False if
 * none can be used. */
bool kds_select_by_yield(const kds_selector *s, const kds_state *state, kds_random *random,
                         kds_drawn *out);
/* By improvement per cost, for a child of `cell`'s elite, with an operator that is not fruitless
 * there (NULL: with any). False if there is none. */
bool kds_select_arm(const kds_selector *s, const kds_state *state, const kds_cell *cell,
                    kds_random *random, kds_drawn *out);
/* Which model is asked, for an operator that is given. */
const char *kds_select_model(const kds_selector *s, const kds_state *state,
                             const char *operator_name);

/* A step of a sweep. */
typedef struct kds_sweep_step {
    kds_id structure;
    int rung, spread; /* spread: of rung 0, points over the space; 0: a neighbour */
} kds_sweep_step;
/* The next step of a sweep, if one has its turn. */
KDS_MUST_USE kds_code kds_select_sweep(const kds_selector *s, const kds_state *state,
                                       kds_choice *out, bool *made, kds_err *e);

/* Starts the body of a DECISION event; kds_select_finish adds the chain value. NULL: out of memory,
 * which kds_select_finish tells. */
cJSON *kds_select_body(const kds_state *state, const char *operator_name, const char *proposer,
                       const char *model, const kds_cell *cell, kds_id parent, kds_id other);
KDS_MUST_USE kds_code kds_select_finish(const kds_state *state, kds_choice *c, kds_err *e);
/* Lets the built-in proposer make a child of `parent`: a step of a sweep, or (`how` NULL) by the
 * operator. `cell` is credited; it may be NULL. */
KDS_MUST_USE kds_code kds_select_child(const kds_selector *s, const kds_state *state,
                                       const char *operator_name, const kds_cell *cell,
                                       kds_id parent, kds_id other, const kds_sweep_step *how,
                                       kds_random *random, kds_choice *out, bool *made, kds_err *e);

/* Cells that parents are drawn from. */
typedef struct kds_population {
    const kds_cell *cells;
    int count;
} kds_population;

/* The cells that the next decision draws its parents from: the grid, or its island. */
kds_population kds_select_population(const kds_selector *s, const kds_state *state);
/* The same, and then all others, for looking at everything: the i-th; of no cells after the last.
 */
kds_population kds_select_any_population(const kds_selector *s, const kds_state *state, int i);
/* A parent's cell by the campaign's policy, or (`first` not NULL) the cell of the second parent;
 * NULL if there is none, or chance found only `first`. */
const kds_cell *kds_select_cell(const kds_selector *s, const kds_state *state, kds_random *random,
                                const kds_cell *first);

#endif
