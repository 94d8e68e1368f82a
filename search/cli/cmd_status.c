/* `status`: one screen about an archive, whether its campaign runs or not. */
#include "search/cli/command.h"
#include "search/cli/shell.h"
#include "search/cli/table.h"
#include "search/cli/view.h"
#include "search/cli/view_duel.h"
#include "search/cli/view_guidance.h"

#include "search/base/clock.h"
#include "search/base/file.h"
#include "search/base/text.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct status {
    kds_ledger *ledger;
    cJSON *campaign, *stop; /* stop: the last STOP, or the last EPOCH if that epoch has not ended */
    kds_ledger_totals totals;
    kds_candidate_row best;
    bool has_best;
    int64_t cells;
    double gpu_seconds; /* that cards were at work */
    cJSON *noise;       /* of a measured campaign; NULL */
    cJSON *guidance;    /* of a campaign that has asked for some; NULL */
    kds_confirmed confirmed;
    cJSON *operators;
    cJSON *settings;           /* of the last epoch, by name as text; NULL if unknown */
    int64_t began_ms, last_ms; /* of the last epoch, of the last event */
} status;

static kds_code count_cell(void *user, const kds_cell_row *row, kds_err *e)
{
    (void)e;
    *(int64_t *)user += row->elite[0] != '\0';
    return KDS_OK;
}

static kds_code keep_row(void *user, const cJSON *row, kds_err *e)
{
    cJSON *copy = cJSON_Duplicate(row, true);
    if (!copy || !cJSON_AddItemToArray(user, copy))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    return KDS_OK;
}

static kds_code keep_epoch(void *user, const cJSON *row, kds_err *e)
{
    status *s = user;
    const char *body = kds_json_str(row, "body", "");
    cJSON *epoch = kds_json_parse_record(body, strlen(body));
    if (!epoch)
        return kds_fail(e, KDS_DAMAGED, "an event is not JSON");
    s->began_ms = kds_json_int(row, "time", 0);
    s->settings = cJSON_DetachItemFromObject(epoch, "settings");
    cJSON_Delete(epoch);
    return KDS_OK;
}

static kds_code keep_last(void *user, const cJSON *row, kds_err *e)
{
    (void)e;
    ((status *)user)->last_ms = kds_json_int(row, "time", 0);
    return KDS_OK;
}

/* True if guidance was ever asked for: only then is the record folded for it. */
static bool is_guided(const status *s)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, s->operators)
    {
        if (strcmp(kds_json_str(row, "operator", ""), "guide") == 0)
            return true;
    }
    return false;
}

static kds_code keep_gpu_seconds(void *user, const cJSON *row, kds_err *e)
{
    (void)e;
    *(double *)user = kds_json_num(row, "seconds", 0);
    return KDS_OK;
}

/* All reads see one moment of a campaign that runs. */
static kds_code load(status *s, const char *dir, kds_err *e)
{
    kds_err none = {0};
    kds_code code = kds_ledger_open(&s->ledger, dir, KDS_LEDGER_READ, e);
    if (code == KDS_OK)
        code = kds_ledger_begin(s->ledger, e);
    if (code == KDS_OK)
        code = kds_ledger_select(
            s->ledger,
            "SELECT time, body FROM events WHERE kind = 'EPOCH' ORDER BY seq DESC LIMIT 1", NULL,
            keep_epoch, s, e);
    if (code == KDS_OK)
        code = kds_ledger_select(s->ledger, "SELECT time FROM events ORDER BY seq DESC LIMIT 1",
                                 NULL, keep_last, s, e);
    if (code == KDS_OK)
        code = kds_view_load_campaign(s->ledger, &s->campaign, &s->stop, e);
    if (code == KDS_OK)
        code = kds_ledger_totals_get(s->ledger, &s->totals, e);
    if (code == KDS_OK)
        code = kds_ledger_each_cell(s->ledger, count_cell, &s->cells, e);
    s->operators = cJSON_CreateArray();
    if (code == KDS_OK)
        code = kds_ledger_select(
            s->ledger,
            "SELECT o.operator, o.model, o.decisions, o.commits, o.accepted, o.cost_usd,"
            " coalesce(c.tokens, 0) AS tokens FROM operators o LEFT JOIN"
            " (SELECT d.operator, d.model, sum(max(coalesce(prompt_tokens, 0), 0)"
            " + max(coalesce(completion_tokens, 0), 0)) AS tokens"
            " FROM calls JOIN decisions d USING (decision) GROUP BY d.operator, d.model) c"
            " ON c.operator = o.operator AND c.model = o.model ORDER BY o.decisions DESC",
            NULL, keep_row, s->operators, e);
    if (code == KDS_OK)
        s->has_best = kds_ledger_find(s->ledger, "best", &s->best, &none) == KDS_OK;
    if (code == KDS_OK && s->has_best)
        code = kds_view_load_confirmed(s->ledger, s->best.decision, &s->confirmed, e);
    if (code == KDS_OK && kds_json_bool(s->campaign, "measured", false))
        code = kds_view_load_noise(s->ledger, &s->noise, e);
    if (code == KDS_OK && is_guided(s))
        code = kds_view_load_guidance(s->ledger, &s->guidance, e);
    if (code == KDS_OK && kds_json_bool(s->campaign, "measured", false))
        code = kds_ledger_select(
            s->ledger,
            "SELECT total(json_extract(body, '$.gpu_seconds')) AS seconds FROM events WHERE kind "
            "IN ('STAGE', 'DUEL', 'STOP')",
            NULL, keep_gpu_seconds, &s->gpu_seconds, e);
    return code;
}

/* "running (pid 12)", "ended: max-evals", "interrupted". Adds the time of an epoch whose end is not
 * recorded to the totals. */
static void phase(status *s, char *out, size_t size)
{
    const char *why = kds_json_str(s->stop, "why", "");
    if (kds_json_at(s->stop, "code")) {
        snprintf(out, size, "ended: %s", why);
        return;
    }
    int64_t pid = kds_json_int(s->stop, "pid", 0);
    bool alive = pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
    int64_t end = alive ? kds_clock_wall_ms() : s->last_ms;
    s->totals.run_seconds += end > s->began_ms ? (double)(end - s->began_ms) / 1000 : 0;
    snprintf(out, size,
             alive ? "running (pid %lld)" : "interrupted (pid %lld is gone); resume continues it",
             (long long)pid);
}

/* "max-evals 120, max-time 8h" */
static void show_budget(const status *s)
{
    static const char *const names[] = {"max-time",     "max-evals",    "max-cost", "max-tokens",
                                        "max-requests", "max-gpu-time", "stall",    "target"};
    const char *separator = "budget      ";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = kds_json_str(s->settings, names[i], "0");
        double number = 0;
        if (kds_text_parse_double(value, &number) && number == 0)
            continue;
        printf("%s%s %s", separator, names[i], value);
        separator = ", ";
    }
    printf("%s\n", *separator == 'b' ? "budget      none" : "");
}

static void show_guidance(const cJSON *list, const char *dir)
{
    char word[1200];
    printf("guidance    %d in use, %d retired, %d replaced (`%s show %s --guidance`)\n",
           kds_view_guidance_count(list, "in use"), kds_view_guidance_count(list, "retired"),
           kds_view_guidance_count(list, "replaced"), kds_shell_program(),
           kds_shell_word(word, sizeof word, dir));
}

static void show_text(status *s, const char *dir)
{
    char text[200], time[32];
    phase(s, text, sizeof text);
    kds_text_format_duration(time, sizeof time, s->totals.run_seconds);
    printf("archive     %s\ntask        %s\ndevice      %s\nstate       %s\nepochs      %lld, %s "
           "of running time\n",
           dir, kds_json_str(s->campaign, "task", "?"), kds_json_str(s->campaign, "device", "?"),
           text, (long long)s->totals.epochs, time);
    show_budget(s);
    printf("decisions   %lld made, %lld in flight\ncandidates  %lld judged, %lld accepted, %lld "
           "duplicates of others\ncells       %lld filled\n",
           (long long)s->totals.decisions, (long long)(s->totals.decisions - s->totals.committed),
           (long long)s->totals.judged, (long long)s->totals.accepted,
           (long long)s->totals.duplicates, (long long)s->cells);
    if (s->noise)
        printf("duels       %lld fought; a kernel and its copy differ by up to %.2f %%; %lld of "
               "%lld hidden duels of equals were called faster; %lld promotion%s taken back by "
               "reviews\n",
               (long long)kds_json_int(s->noise, "duels", 0),
               100 * kds_json_num(s->noise, "floor", 0),
               (long long)kds_json_int(s->noise, "hidden_faster", 0),
               (long long)kds_json_int(s->noise, "hidden", 0),
               (long long)kds_json_int(s->noise, "retired", 0),
               kds_json_int(s->noise, "retired", 0) == 1 ? "" : "s");
    if (s->gpu_seconds > 0) {
        kds_text_format_duration(time, sizeof time, s->gpu_seconds);
        printf("GPU time    %s at work\n", time);
    }
    if (s->has_best && s->confirmed.known) {
        printf("best        #%lld %.8s, ", (long long)s->best.decision, s->best.id);
        kds_view_confirmed(stdout, &s->confirmed);
        printf("\n");
    } else if (s->has_best)
        printf("best        #%lld %.8s, %.3fx the baseline (%s)\n", (long long)s->best.decision,
               s->best.id, s->best.fitness,
               kds_view_device_origin(kds_json_str(s->campaign, "device", "")));
    if (s->totals.requests)
        printf("model calls %lld requests, %lld failed, %lld + %lld tokens, %.4f USD\n",
               (long long)s->totals.requests, (long long)s->totals.failed_calls,
               (long long)s->totals.prompt_tokens, (long long)s->totals.completion_tokens,
               s->totals.cost_usd);
    if (s->guidance)
        show_guidance(s->guidance, dir);
    printf("\n");
    const char *columns[] = {"operator", "model",   ">decisions", ">accepted",
                             ">yield %", ">tokens", ">USD",       NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, s->operators)
    {
        double commits = kds_json_num(row, "commits", 0),
               accepted = kds_json_num(row, "accepted", 0);
        kds_table_cell(t, "%s", kds_json_str(row, "operator", ""));
        kds_table_cell(t, "%s",
                       *kds_json_str(row, "model", "") ? kds_json_str(row, "model", "") : "-");
        kds_table_cell(t, "%.0f", kds_json_num(row, "decisions", 0));
        kds_table_cell(t, "%.0f", accepted);
        kds_table_cell(t, "%.1f", commits > 0 ? 100 * accepted / commits : 0);
        kds_table_cell(t, "%.0f", kds_json_num(row, "tokens", 0));
        kds_table_cell(t, "%.4f", kds_json_num(row, "cost_usd", 0));
    }
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static kds_code show_json(status *s, const char *dir, kds_err *e)
{
    char text[200];
    phase(s, text, sizeof text);
    const kds_ledger_totals *t = &s->totals;
    cJSON *o = cJSON_CreateObject(), *operators = cJSON_Duplicate(s->operators, true);
    bool modelled =
        strcmp(kds_view_device_origin(kds_json_str(s->campaign, "device", "")), "modelled") == 0;
    cJSON *best = s->has_best ? kds_view_candidate_json(&s->best) : cJSON_CreateNull();
    bool ok = o && operators && best && kds_json_add_str(o, "archive", dir) &&
              kds_json_add_str(o, "task", kds_json_str(s->campaign, "task", NULL)) &&
              kds_json_add_str(o, "device", kds_json_str(s->campaign, "device", NULL)) &&
              kds_json_add_str(o, "fingerprint", kds_json_str(s->campaign, "fingerprint", NULL)) &&
              kds_json_add_str(o, "state", text) && kds_json_add_int(o, "epochs", t->epochs) &&
              kds_json_add_num(o, "run_seconds", t->run_seconds) &&
              kds_json_add_int(o, "decisions", t->decisions) &&
              kds_json_add_int(o, "committed", t->committed) &&
              kds_json_add_int(o, "candidates", t->candidates) &&
              kds_json_add_int(o, "judged", s->totals.judged) &&
              kds_json_add_int(o, "accepted", t->accepted) &&
              kds_json_add_int(o, "duplicates", t->duplicates) &&
              kds_json_add_int(o, "cells", s->cells) &&
              kds_json_add_int(o, "requests", t->requests) &&
              kds_json_add_int(o, "responses", t->responses) &&
              kds_json_add_int(o, "failed_calls", t->failed_calls) &&
              kds_json_add_int(o, "prompt_tokens", t->prompt_tokens) &&
              kds_json_add_int(o, "completion_tokens", t->completion_tokens) &&
              kds_json_add_num(o, "cost_usd", t->cost_usd) &&
              kds_json_add_num(o, "gpu_seconds", s->gpu_seconds) &&
              kds_json_add_bool(o, "modelled", modelled);
    if (ok && s->noise)
        ok = cJSON_AddItemReferenceToObject(o, "noise", s->noise);
    cJSON *guidance = ok && s->guidance ? cJSON_AddObjectToObject(o, "guidance") : NULL;
    if (ok && s->guidance)
        ok = kds_json_add_int(guidance, "in_use", kds_view_guidance_count(s->guidance, "in use")) &&
             kds_json_add_int(guidance, "retired",
                              kds_view_guidance_count(s->guidance, "retired")) &&
             kds_json_add_int(guidance, "replaced",
                              kds_view_guidance_count(s->guidance, "replaced"));
    if (ok && s->confirmed.known)
        ok = kds_json_add_num(o, "speedup", s->confirmed.speedup) &&
             kds_json_add_num(o, "speedup_low", s->confirmed.low) &&
             kds_json_add_num(o, "speedup_high", s->confirmed.high);
    if (ok) {
        cJSON_AddItemToObject(o, "best", best);
        cJSON_AddItemToObject(o, "operators", operators);
    } else {
        cJSON_Delete(best);
        cJSON_Delete(operators);
    }
    kds_code code = ok ? kds_view_json(o, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(o);
    return code;
}

static kds_code run(const kds_args *args, kds_err *e)
{
    status s = {0};
    kds_code code = load(&s, args->operands[0], e);
    if (code == KDS_OK && args->json)
        code = show_json(&s, args->operands[0], e);
    else if (code == KDS_OK)
        show_text(&s, args->operands[0]);
    cJSON_Delete(s.campaign);
    cJSON_Delete(s.stop);
    cJSON_Delete(s.operators);
    cJSON_Delete(s.settings);
    cJSON_Delete(s.noise);
    cJSON_Delete(s.guidance);
    kds_confirmed_free(&s.confirmed);
    kds_ledger_close(s.ledger);
    return code;
}

const kds_command kds_command_status = {.name = "status",
                                        .operands = "ARCHIVE",
                                        .min_operands = 1,
                                        .max_operands = 1,
                                        .summary = "what a campaign has done so far",
                                        .help =
                                            "Shows state, best kernel, yield and spend per "
                                            "operator and model. Works while the campaign runs.",
                                        .run = run};
