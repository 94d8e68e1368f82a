/* What a finished run tells: the rows of the best kernel, where it is, what to type next. */
#include "search/cli/progress.h"

#include "search/base/file.h"
#include "search/cli/view.h"

#include <stdlib.h>
#include <string.h>

static kds_code show_text(const char *archive, const kds_candidate_row *best, const cJSON *report,
                          const kds_ledger_totals *totals)
{
    printf("\n%lld distinct candidates judged, %lld accepted, %lld duplicates, %.1f s\n",
           (long long)(totals->committed - totals->duplicates), (long long)totals->accepted,
           (long long)totals->duplicates, totals->run_seconds);
    printf("best: #%lld %.8s, %.3fx the baseline (%s on %s)\n\n", (long long)best->decision,
           best->id, best->fitness, kds_view_origin(report), kds_json_str(report, "device", "?"));
    kds_view_rows(stdout, report);
    printf("\nchampion: %s/champion/kernel.cu\n\nnext:\n", archive);
    printf("  kdasearch show %s best            the kernel, its counters and its cell\n", archive);
    printf("  kdasearch lineage %s best         how it came to be\n", archive);
    printf("  kdasearch list %s --sort fitness  all candidates\n", archive);
    printf("  kdasearch replay %s               derive every decision again\n", archive);
    printf("  kdasearch resume %s --max-evals N search on\n", archive);
    return KDS_OK;
}

static kds_code show_json(const char *archive, const kds_candidate_row *best, const cJSON *report,
                          const kds_ledger_totals *totals, kds_err *e)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *candidate = kds_view_candidate_json(best), *copy = cJSON_Duplicate(report, true);
    char *path = kds_path_join(archive, "champion/kernel.cu");
    bool ok = o && candidate && copy && path && kds_json_add_str(o, "archive", archive) &&
              kds_json_add_str(o, "champion", path) &&
              kds_json_add_int(o, "committed", totals->committed) &&
              kds_json_add_int(o, "accepted", totals->accepted) &&
              kds_json_add_int(o, "duplicates", totals->duplicates) &&
              kds_json_add_num(o, "seconds", totals->run_seconds);
    if (ok) {
        cJSON_AddItemToObject(o, "best", candidate);
        cJSON_AddItemToObject(o, "report", copy);
    } else {
        cJSON_Delete(candidate);
        cJSON_Delete(copy);
    }
    char *text = ok ? kds_json_print(o) : NULL;
    if (text)
        printf("%s\n", text);
    kds_code code = text ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    free(text);
    free(path);
    cJSON_Delete(o);
    return code;
}

kds_code kds_show_outcome(const char *archive, bool json, kds_err *e)
{
    kds_ledger *l = NULL;
    kds_candidate_row best;
    kds_ledger_totals totals;
    cJSON *report = NULL;
    kds_code code = kds_ledger_open(&l, archive, KDS_LEDGER_READ, e);
    if (code == KDS_OK)
        code = kds_ledger_find(l, "best", &best, e);
    if (code == KDS_OK)
        code = kds_ledger_totals_get(l, &totals, e);
    if (code == KDS_OK)
        code = kds_view_load_report(l, &best, &report, e);
    if (code == KDS_OK)
        code = json ? show_json(archive, &best, report, &totals, e)
                    : show_text(archive, &best, report, &totals);
    cJSON_Delete(report);
    kds_ledger_close(l);
    return code;
}
