/* Reading an archive at one moment of a campaign that may run. */
#include "search/cli/status.h"

#include "search/base/clock.h"
#include "search/cli/view_guidance.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

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
    kds_status *s = user;
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
    ((kds_status *)user)->last_ms = kds_json_int(row, "time", 0);
    return KDS_OK;
}

/* True if guidance was ever asked for: only then is the record folded for it. */
static bool is_guided(const kds_status *s)
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

/* Adds the time of an epoch whose end is not recorded to the totals. */
static void tell_phase(kds_status *s)
{
    const char *why = kds_json_str(s->stop, "why", "");
    if (kds_json_at(s->stop, "code")) {
        snprintf(s->phase, sizeof s->phase, "ended: %s", why);
        return;
    }
    int64_t pid = kds_json_int(s->stop, "pid", 0);
    bool alive = pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
    int64_t end = alive ? kds_clock_wall_ms() : s->last_ms;
    s->totals.run_seconds += end > s->began_ms ? (double)(end - s->began_ms) / 1000 : 0;
    snprintf(s->phase, sizeof s->phase,
             alive ? "running (pid %lld)" : "interrupted (pid %lld is gone); resume continues it",
             (long long)pid);
}

/* All reads see one moment of a campaign that runs. */
kds_code kds_status_load(kds_status *s, const char *dir, kds_err *e)
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
    if (code == KDS_OK)
        tell_phase(s);
    return code;
}

void kds_status_free(kds_status *s)
{
    cJSON_Delete(s->campaign);
    cJSON_Delete(s->stop);
    cJSON_Delete(s->operators);
    cJSON_Delete(s->settings);
    cJSON_Delete(s->noise);
    cJSON_Delete(s->guidance);
    kds_confirmed_free(&s->confirmed);
    kds_ledger_close(s->ledger);
}

cJSON *kds_status_json(const kds_status *s, const char *dir)
{
    const kds_ledger_totals *t = &s->totals;
    cJSON *o = cJSON_CreateObject(), *operators = cJSON_Duplicate(s->operators, true);
    bool modelled =
        strcmp(kds_view_device_origin(kds_json_str(s->campaign, "device", "")), "modelled") == 0;
    cJSON *best = s->has_best ? kds_view_candidate_json(&s->best) : cJSON_CreateNull();
    bool ok = o && operators && best && kds_json_add_str(o, "archive", dir) &&
              kds_json_add_str(o, "task", kds_json_str(s->campaign, "task", NULL)) &&
              kds_json_add_str(o, "device", kds_json_str(s->campaign, "device", NULL)) &&
              kds_json_add_str(o, "fingerprint", kds_json_str(s->campaign, "fingerprint", NULL)) &&
              kds_json_add_str(o, "state", s->phase) && kds_json_add_int(o, "epochs", t->epochs) &&
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
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}
