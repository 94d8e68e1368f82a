/* Guidance: short texts of a model that the prompts for children carry. A few are in use at a time,
 * beside "none", which always is; each is scored by the children that were made under it. A fold of
 * the record like the rest of the state. */
#ifndef KDS_ENGINE_STATE_GUIDANCE_H
#define KDS_ENGINE_STATE_GUIDANCE_H

#include "search/base/id.h"

#define KDS_GUIDANCE_MAX 8 /* in use, beside none */

typedef enum kds_guidance_standing {
    KDS_GUIDANCE_IN_USE,
    KDS_GUIDANCE_RETIRED, /* its children did worse than those of none */
    KDS_GUIDANCE_REPLACED /* the worst, when a new one came */
} kds_guidance_standing;
const char *kds_guidance_standing_name(kds_guidance_standing s); /* "in use" */

typedef struct kds_guidance {
    kds_id id, parent; /* of the text, and of the one that it was made from; zero: none */
    int64_t decision;  /* that asked for it; -1 of none */
    char model[64];
    kds_guidance_standing standing;
    int64_t children, accepted;              /* committed under it, of those accepted */
    double recent_children, recent_accepted; /* the same, where older ones count less */
    int64_t none_children, none_accepted;    /* those of none when this one came into use */
} kds_guidance;

typedef struct kds_guidances {
    kds_guidance *items; /* in the order of their coming; the first is none */
    int count, room;
    int64_t since_asked; /* children of models committed since an edit was last decided */
} kds_guidances;

bool kds_guidances_init(kds_guidances *g); /* false: out of memory */
void kds_guidances_free(kds_guidances *g);
/* Zero finds none. NULL: there is no such guidance. */
const kds_guidance *kds_guidance_find(const kds_guidances *g, kds_id id);
/* How many are in use beside none. */
int kds_guidances_in_use(const kds_guidances *g);

/* What is believed of a guidance: the share of its children that is accepted has a beta
 * distribution with these parameters. */
typedef struct kds_belief {
    double accepted, refused;
} kds_belief;
/* From its recent children. */
kds_belief kds_guidance_belief(const kds_guidance *g);
double kds_belief_mean(kds_belief b);
/* Probability that a share believed as (a, b) is above one believed as (c, d); all at least 1. */
double kds_belief_above(int64_t a, int64_t b, int64_t c, int64_t d);
/* Whether its children do credibly worse than those of none in the same time. */
bool kds_guidance_hurts(const kds_guidance *g, const kds_guidance *none);

/* Nothing while there is none but none. */
void kds_guidances_hash(const kds_guidances *g, kds_hasher *h);

#endif
