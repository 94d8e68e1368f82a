/* Values that come from local memory which nobody wrote, followed from register to register. */
#ifndef KDS_EVAL_SIM_TAINT_H
#define KDS_EVAL_SIM_TAINT_H

#include "eval/sim/machine.h"

typedef struct kds_origin {
    uint32_t load; /* the instruction that read it */
    uint64_t address;
} kds_origin;

/* By 4 bytes of the register file, where a register begins. */
struct kds_taint {
    uint32_t *unwritten; /* lanes whose value was never written */
    uint32_t *computed;  /* those of them that arithmetic made of such a value */
    kds_origin *origins;
    uint32_t live; /* registers with such lanes */
};

void kds_taint_free(kds_warp *w);
/* A block begins, or a function's registers of one lane change hands. */
void kds_taint_begin(kds_warp *w);
void kds_taint_forget(kds_warp *w, const kds_function *f, uint32_t lane);
/* Before an instruction runs for the lanes of `mask`; a fault if it uses what was never written. */
kds_step kds_taint_step(kds_warp *w, const kds_ins *i, uint32_t mask);
/* A load of local memory has found bytes of the lanes of `mask` that were never written. */
kds_step kds_taint_load(kds_warp *w, const kds_ins *i, const uint64_t *a, uint32_t mask);
/* A store to local memory: a value that was never written leaves its place unwritten. */
void kds_taint_store(kds_warp *w, const kds_ins *i, const uint64_t *a, uint32_t mask);

#endif
