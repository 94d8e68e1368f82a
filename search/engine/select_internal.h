/* Shared by the files of select only. */
#ifndef KDS_ENGINE_SELECT_INTERNAL_H
#define KDS_ENGINE_SELECT_INTERNAL_H

#include "search/base/random.h"
#include "search/engine/select.h"

/* An operator with its weight before anything is known of it. */
typedef struct kds_operator {
    const char *name;
    double weight;
    bool model; /* asks a model */
    bool two;   /* needs two parents from different cells */
    bool aims;  /* at an empty neighbour of the parent's cell */
} kds_operator;

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
