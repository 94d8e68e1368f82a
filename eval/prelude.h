/* What sources expect and NVRTC lacks: a header that is put before every source, and stand-ins for
 * the host headers that kernels commonly include. */
#ifndef KDS_EVAL_PRELUDE_H
#define KDS_EVAL_PRELUDE_H

#define KDS_PRELUDE_NAME "kda_prelude.h"

/* Header names and their texts, for nvrtcCreateProgram; the first is the prelude itself. */
int kds_prelude_count(void);
const char *const *kds_prelude_names(void);
const char *const *kds_prelude_texts(void);

#endif
