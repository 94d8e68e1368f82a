/* What a finished run tells: the rows of the best kernel, where it is, what to type next. */
#include "search/cli/amdahl.h"
#include "search/cli/progress.h"

#include "search/base/file.h"
#include "search/cli/shell.h"
#include "search/cli/view.h"
#include "search/cli/view_duel.h"

#include <stdlib.h>
#include <string.h>

/* What to type next, ready to be copied. `why`: how the campaign ended. */
static void show_next(const char *archive, const char *why, const kds_ledger_totals *totals)
{
    static const char *const lines[][2] = {{"show %s best", "the kernel, its counters, its cell"},
                                           {"lineage %s best", "how it came to be"},
                                           {"list %s --sort fitness", "all candidates"},
                                           {"report %s", "all of it on one HTML page"},
                                           {"replay %s", "derive every decision again"},
                                           {"replay %s best", "run the kernel's lineage again"}};
    char word[1200], text[1400], more[60] = "";
    const char *program = kds_shell_program();
    kds_shell_word(word, sizeof word, archive);
    if (strcmp(why, "max-evals") == 0)
        snprintf(more, sizeof more, " --max-evals %lld", 2 * (long long)totals->judged);
    else if (strcmp(why, "max-time") == 0)
        snprintf(more, sizeof more, " --max-time %.0fs", 2 * totals->run_seconds + 1);
    int width = (int)strlen(word) + 26;
    printf("\nnext:\n");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *slot = strstr(lines[i][0], "%s");
        snprintf(text, sizeof text, "%.*s%s%s", (int)(slot - lines[i][0]), lines[i][0], word,
                 slot + 2);
        printf("  %s %-*s # %s\n", program, width, text, lines[i][1]);
    }
    snprintf(text, sizeof text, "resume %s%s", word, more);
    printf("  %s %-*s # search on\n", program, width, text);
}

static void show_text(const char *archive, const char *why, const kds_candidate_row *best,
                      const cJSON *report, const kds_confirmed *confirmed,
                      const kds_ledger_totals *totals)
{
    char word[1200];
    printf("\n%lld distinct candidates judged, %lld accepted, %lld duplicates, %.1f s\n",
           (long long)totals->judged, (long long)totals->accepted, (long long)totals->duplicates,
           totals->run_seconds);
    printf("best: #%lld %.8s, ", (long long)best->decision, best->id);
    if (confirmed->known) {
        kds_view_confirmed(stdout, confirmed);
        printf("\non %s (%s)\n", kds_json_str(report, "device", "?"),
               kds_json_str(report, "model", "?"));
    } else
        printf("%.3fx the baseline (%s on %s)\n", best->fitness, kds_view_origin(report),
               kds_json_str(report, "device", "?"));
    kds_amdahl_print(stdout, report);
    printf("\n");
    if (confirmed->known)
        kds_view_confirmed_rows(stdout, confirmed);
    else
        kds_view_rows(stdout, report, false);
    printf("\nchampion: %s/champion/kernel.cu\n", kds_shell_word(word, sizeof word, archive));
    show_next(archive, why, totals);
}

static kds_code show_json(const char *archive, const kds_candidate_row *best, const cJSON *report,
                          const kds_confirmed *confirmed, const kds_ledger_totals *totals,
                          kds_err *e)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *candidate = kds_view_candidate_json(best), *copy = cJSON_Duplicate(report, true);
    char *path = kds_path_join(archive, "champion/kernel.cu");
    bool ok = o && candidate && copy && path && kds_json_add_str(o, "archive", archive) &&
              kds_json_add_str(o, "champion", path) &&
              kds_json_add_int(o, "committed", totals->committed) &&
              kds_json_add_int(o, "accepted", totals->accepted) &&
              kds_json_add_int(o, "duplicates", totals->duplicates) &&
              kds_json_add_num(o, "seconds", totals->run_seconds) &&
              (!confirmed->known || (kds_json_add_num(o, "speedup", confirmed->speedup) &&
                                     kds_json_add_num(o, "speedup_low", confirmed->low) &&
                                     kds_json_add_num(o, "speedup_high", confirmed->high)));
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
    cJSON *report = NULL, *campaign = NULL, *stop = NULL;
    kds_confirmed confirmed = {0};
    kds_code code = kds_ledger_open(&l, archive, KDS_LEDGER_READ, e);
    if (code == KDS_OK)
        code = kds_ledger_find(l, "best", &best, e);
    if (code == KDS_OK)
        code = kds_ledger_totals_get(l, &totals, e);
    if (code == KDS_OK)
        code = kds_view_load_report(l, &best, &report, e);
    if (code == KDS_OK)
        code = kds_view_load_campaign(l, &campaign, &stop, e);
    if (code == KDS_OK)
        code = kds_view_load_confirmed(l, best.decision, &confirmed, e);
    if (code == KDS_OK && report &&
        !kds_amdahl_add(report, archive, confirmed.known ? confirmed.speedup : best.fitness))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK && json)
        code = show_json(archive, &best, report, &confirmed, &totals, e);
    else if (code == KDS_OK)
        show_text(archive, kds_json_str(stop, "why", ""), &best, report, &confirmed, &totals);
    kds_confirmed_free(&confirmed);
    cJSON_Delete(report);
    cJSON_Delete(campaign);
    cJSON_Delete(stop);
    kds_ledger_close(l);
    return code;
}
