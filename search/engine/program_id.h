/* The identity of what a candidate does on the device: its cubins and how each row launches them.
 * Two sources with one program id are the same program, whatever their text. */
#ifndef KDS_ENGINE_PROGRAM_ID_H
#define KDS_ENGINE_PROGRAM_ID_H

#include "eval/compile.h"
#include "eval/plan.h"

KDS_MUST_USE kds_code kds_program_id(const kds_plan *plan, const kds_task *task,
                                     const kds_compiled *compiled, kds_id *out, kds_err *e);

#endif
