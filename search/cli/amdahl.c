/* The share is read from the archive's frozen task, so that it is the one of the campaign. */
#include "search/cli/amdahl.h"

#include "eval/task.h"
#include "search/base/file.h"
#include "search/base/text.h"
#include "search/cli/view.h"

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

bool kds_amdahl_add(cJSON *report, const char *archive, double speedup)
{
    kds_task *t = speedup > 0 ? task_of(archive) : NULL;
    bool ok = true;
    if (t && t->share > 0) {
        cJSON *o = cJSON_AddObjectToObject(report, "end_to_end");
        ok = o && kds_json_add_num(o, "share", t->share) &&
             kds_json_add_str(o, "share_of", t->share_of) &&
             kds_json_add_num(o, "task_speedup", speedup) &&
             kds_json_add_num(o, "speedup", kds_amdahl(t->share, speedup)) &&
             kds_json_add_bool(o, "derived", true);
    }
    kds_task_free(t);
    return ok;
}

void kds_amdahl_print(FILE *out, const cJSON *report)
{
    const cJSON *o = kds_json_at(report, "end_to_end");
    const char *of = kds_json_str(o, "share_of", "");
    kds_buf safe;
    if (!o)
        return;
    kds_buf_init(&safe, 4096);
    kds_text_escape(&safe, of, strlen(of), false);
    fprintf(out,
            "end to end: %.4fx, derived: %.3g %% of %s, by the %s %.3fx (1 / ((1 - s) + s / x))\n",
            kds_json_num(o, "speedup", 1), 100 * kds_json_num(o, "share", 0), safe.data,
            kds_view_origin(report), kds_json_num(o, "task_speedup", 1));
    kds_buf_free(&safe);
}
