/* What the files behind eval/compile.h share. */
#ifndef KDS_EVAL_COMPILE_PARTS_H
#define KDS_EVAL_COMPILE_PARTS_H

#include "eval/nvrtc.h"

/* ---- ptxas_log.c: reading and cleaning NVRTC's log ---- */
/* Registers, spills, stack, shared memory and barriers of kernel `lowered`, from ptxas -v lines. */
void kds_ptxas_facts(const char *log, const char *lowered, kds_kernel_facts *out);
/* Appends the raw log: paths of the toolkit and of the working folder taken out, lines that differ
 * from run to run dropped, NUL bytes as newlines, valid UTF-8, cut to KDS_LOG_CAP with a note. */
kds_code kds_log_clean(const kds_nvrtc *n, const char *raw, size_t len, kds_buf *out, kds_err *e);
/* Turns the cleaned log of a failed compilation into the finding. `with` names the definitions, or
 * "". */
void kds_log_finding(const char *log, const char *with, kds_finding *f);

/* ---- ptx_facts.c ---- */
/* Parameters and .maxntid of the entry `out->lowered`. False if PTX has no such entry, or if it has
 * more than KDS_PLAN_ARGS parameters; then param_count is their number. */
bool kds_ptx_facts(const char *ptx, size_t len, kds_kernel_facts *out);

/* ---- compiled_frame.c ---- */
void kds_module_free(kds_module *m);
kds_code kds_compiled_identify(kds_compiled *c, kds_err *e); /* sets cubin_id */

#endif
