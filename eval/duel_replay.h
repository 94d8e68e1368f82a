/* A duel's record (eval/cuda/gpu_duel.h) read again: whether its verdict follows from its times. */
#ifndef KDS_EVAL_DUEL_REPLAY_H
#define KDS_EVAL_DUEL_REPLAY_H

#include "eval/duel_rounds.h"

/* Derives the verdict from the record's rounds and compares: the schedule of every round with what
 * its seed draws, the values with the times, the repeats with the samples, the end with the rule,
 * the numbers of the verdict. KDS_INVALID says what is missing or where it differs. A record with a
 * finding has no verdict: its rounds are compared, and out->verdict is "unresolved". */
KDS_MUST_USE kds_code kds_duel_replay(const cJSON *record, kds_duel *out, kds_err *e);

#endif
