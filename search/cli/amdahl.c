/* The share is read from the archive's frozen task, so that it is the one of the campaign. */
#include "search/cli/amdahl.h"

#include "eval/task.h"
#include "search/base/file.h"
#include "search/base/text.h"

#include <stdlib.h>
#include <string.h>

double kds_amdahl(double share, double speedup)
{
    return 1 / ((1 - share) + share / speedup);
}

/* The task of an archive; NULL if there is none to read (`check` says why). */
static kds_task *task_of(const char *archive)
{
    kds_task *t = NULL;
    char *dir = kds_path_join(archive, "task");
    if (dir && kds_task_load(&t, dir, NULL) != KDS_OK)
        t = NULL;
    free(dir);
    return t;
}

void kds_amdahl_print(FILE *out, const char *archive, double speedup, const char *origin)
{
    kds_task *t = speedup > 0 ? task_of(archive) : NULL;
    if (t && t->share > 0) {
        kds_buf safe;
        kds_buf_init(&safe, 4096);
        kds_text_escape(&safe, t->share_of, strlen(t->share_of), false);
        fprintf(
            out,
            "end to end: %.4fx, derived: %.3g %% of %s, by the %s %.3fx (1 / ((1 - s) + s / x))\n",
            kds_amdahl(t->share, speedup), 100 * t->share, safe.data, origin, speedup);
        kds_buf_free(&safe);
    }
    kds_task_free(t);
}

bool kds_amdahl_add(cJSON *to, const char *archive, double speedup)
{
    kds_task *t = speedup > 0 ? task_of(archive) : NULL;
    bool ok = true;
    if (t && t->share > 0) {
        cJSON *o = cJSON_AddObjectToObject(to, "end_to_end");
        ok = o && kds_json_add_num(o, "share", t->share) &&
             kds_json_add_str(o, "share_of", t->share_of) &&
             kds_json_add_num(o, "speedup", kds_amdahl(t->share, speedup)) &&
             kds_json_add_bool(o, "derived", true);
    }
    kds_task_free(t);
    return ok;
}
