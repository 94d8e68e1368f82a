/* The first gate: what a source may contain, judged on its text with comments and strings removed.
 */
#ifndef KDS_EVAL_LINT_H
#define KDS_EVAL_LINT_H

#include "eval/finding.h"

/* Size cap, UTF-8, allow-listed includes, no absolute or relative paths, no __has_include / #embed
 * / #include_next / asm directives that read files (.include), at least one __global__ function, no
 * host-only constructs. A broken rule is a finding (source_rejected with its line); returns KDS_OK.
 */
KDS_MUST_USE kds_code kds_lint_source(const char *source, size_t len, kds_finding *f, kds_err *e);
/* The headers that a candidate may include, NULL-terminated. */
const char *const *kds_lint_headers(void);
/* Identity of the token-normalised text. */
kds_id kds_lint_norm_id(const char *source, size_t len);

#endif
