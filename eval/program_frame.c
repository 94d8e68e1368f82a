/* A program on the wire: its source, what it may inherit its plan from, and its compiled code. */
#include "eval/judge.h"

#include <string.h>

kds_code kds_program_pack(kds_frame *f, cJSON *to, const char *key, const char *source, size_t len,
                          const char *parent_source, const kds_compiled *compiled, kds_err *e)
{
    int at = kds_frame_add(f, source, len), parent = -1;
    if (at >= 0 && parent_source != NULL)
        parent = kds_frame_add(f, parent_source, strlen(parent_source));
    if (at < 0 || (parent_source != NULL && parent < 0))
        return kds_fail(e, KDS_TOO_LARGE, "a source of %zu bytes does not fit in a message", len);
    if (!kds_json_add_int(to, "source", at) || !kds_json_add_int(to, "parent", parent))
        return kds_fail(e, KDS_NO_MEMORY, "cannot build a message: out of memory");
    return kds_compiled_pack(f, key, compiled, e);
}

kds_code kds_program_unpack(const kds_frame *f, const cJSON *from, const char *key,
                            const kds_task *t, kds_plan **plan, kds_compiled **compiled, kds_err *e)
{
    int64_t at = kds_json_int(from, "source", -1), parent = kds_json_int(from, "parent", -1);
    kds_finding found;
    kds_finding_clear(&found);
    if (at < 0 || at >= f->blob_count || parent >= f->blob_count)
        return kds_fail(e, KDS_PROTOCOL, "a job without a source");
    kds_code code = kds_plan_parse(plan, t, f->blobs[at].data, f->blobs[at].len,
                                   parent >= 0 ? f->blobs[parent].data : NULL, &found, e);
    if (code == KDS_OK && *plan == NULL)
        code =
            kds_fail(e, KDS_PROTOCOL, "a plan is wrong: line %d: %.500s", found.line, found.text);
    return code == KDS_OK ? kds_compiled_unpack(f, key, compiled, e) : code;
}
