/* The parent's side of compiling: the job as a frame, and the reply as a result or a finding. */
#include "eval/compile.h"
#include "eval/judge.h"
#include <stdlib.h>
#include <string.h>

static bool add_strings(cJSON *o, const char *key, const char *const *items, int count)
{
    cJSON *list = cJSON_AddArrayToObject(o, key);
    for (int i = 0; list && i < count; i++) {
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(items[i])))
            return false;
    }
    return list != NULL;
}

kds_code kds_compile_job(kds_frame *out, const char *source, size_t len, const char *arch,
                         const kds_plan *plan, kds_err *e)
{
    kds_frame f;
    kds_frame_init(&f);
    f.header = cJSON_CreateObject();
    bool good = f.header && kds_json_add_str(f.header, "kind", "compile") &&
                kds_json_add_str(f.header, "arch", arch) && kds_frame_add(&f, source, len) == 0;
    cJSON *groups = good ? cJSON_AddArrayToObject(f.header, "groups") : NULL;
    good = groups != NULL;
    for (int i = 0; good && i < kds_plan_group_count(plan); i++) {
        const kds_compile_group *g = kds_plan_group(plan, i);
        cJSON *o = cJSON_CreateObject();
        good = o && cJSON_AddItemToArray(groups, o) &&
               add_strings(o, "defines", g->defines, g->define_count) &&
               add_strings(o, "names", g->names, g->name_count) &&
               kds_json_add_bool(o, "hidden", g->hidden);
    }
    if (!good) {
        kds_frame_free(&f);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory for a compile job of %zu bytes", len);
    }
    *out = f;
    return KDS_OK;
}

kds_code kds_compile_reply(kds_compiled **out, const kds_frame *reply, kds_finding *f, kds_err *e)
{
    const char *kind = kds_json_str(reply->header, "kind", "");
    kds_finding_clear(f);
    if (strcmp(kind, "compiled") == 0)
        return kds_compiled_unpack(reply, "compiled", out, e);
    kds_verdict verdict;
    if (strcmp(kind, "finding") != 0 ||
        !kds_verdict_parse(kds_json_str(reply->header, "verdict", ""), &verdict) ||
        verdict == KDS_VERDICT_OK)
        return kds_fail(e, KDS_PROTOCOL, "the compile worker sent something that is no reply");
    int64_t line = kds_json_int(reply->header, "line", 0);
    kds_finding_set(f, verdict, "compile", line > 0 && line <= 1 << 20 ? (int)line : 0, "%s",
                    kds_json_str(reply->header, "text", ""));
    *out = NULL;
    return KDS_OK;
}
