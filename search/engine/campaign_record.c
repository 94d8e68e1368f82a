/* Recording: events with their objects in one transaction, durable before anything outside follows
 * from them, which includes telling. Events that cost only work of this machine wait a moment for
 * others to share a transaction with; the state has them at once. A full disk is waited for,
 * because what is to be recorded may have cost money; everything else ends the run with the record
 * whole. */
#include "search/engine/campaign.h"

#include "archive/derived.h"
#include "eval/device.h"
#include "search/base/clock.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool times_are_modelled(const kds_campaign *c)
{
    return !kds_device_is_gpu(kds_evaluator_device(c->evaluator));
}

#define FULL_DISK_TRIES 30
#define STATUS_SECONDS 5.0
#define PROGRESS_SECONDS 0.5

void kds_campaign_tell(kds_campaign *c, const char *kind, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    kds_log_write(c->log, strcmp(kind, "warning") == 0 ? "warning" : "info", "%s", text);
    cJSON *body = cJSON_CreateObject();
    char *json = body && kds_json_add_str(body, "text", text) ? kds_json_print(body) : NULL;
    if (json && c->fn)
        c->fn(c->user, &(kds_event){.kind = kind, .json = json});
    free(json);
    cJSON_Delete(body);
}

/* Takes over `data`. */
static kds_code add_pending(kds_campaign *c, kds_pending p, kds_err *e)
{
    if (p.data && c->pending_count == c->pending_room) {
        int room = c->pending_room ? 2 * c->pending_room : 16;
        kds_pending *more = realloc(c->pending, (size_t)room * sizeof *more);
        if (more) {
            c->pending = more;
            c->pending_room = room;
        }
    }
    if (!p.data || c->pending_count == c->pending_room) {
        free(p.data);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    c->pending[c->pending_count++] = p;
    return KDS_OK;
}

kds_code kds_campaign_put(kds_campaign *c, const char *kind, const void *data, size_t len,
                          kds_id *id, kds_err *e)
{
    char *copy = malloc(len + 1);
    if (copy) {
        memcpy(copy, data, len);
        copy[len] = '\0';
    }
    kds_code code = add_pending(c, (kds_pending){.kind = kind, .data = copy, .len = len}, e);
    if (code == KDS_OK)
        *id = kds_id_of(data, len);
    return code;
}

void kds_campaign_drop(kds_campaign *c)
{
    while (c->pending_count > c->pending_sealed)
        free(c->pending[--c->pending_count].data);
}

/* All of it is durable, or lost. */
static void empty(kds_campaign *c)
{
    c->pending_sealed = c->pending_written = 0;
    c->settle_by = 0;
    kds_campaign_drop(c);
}

void kds_campaign_forget(kds_campaign *c)
{
    empty(c);
    free(c->pending);
    c->pending = NULL;
    c->pending_room = 0;
}

/* Writes what is not yet in the open transaction, beginning one if need be. A failure loses the
 * whole transaction; all of it is written again by the next try. */
static kds_code write_once(kds_campaign *c, bool durable, kds_err *e)
{
    kds_code code = c->pending_written ? KDS_OK : kds_ledger_begin(c->ledger, e);
    while (code == KDS_OK && c->pending_written < c->pending_sealed) {
        kds_pending *p = &c->pending[c->pending_written++];
        code = p->event ? kds_ledger_append_text(c->ledger, p->kind, p->data, p->len, &p->seq, e)
                        : kds_ledger_put(c->ledger, p->kind, p->data, p->len, NULL, e);
    }
    if (code == KDS_OK && durable)
        code = kds_ledger_commit(c->ledger, e);
    if (code != KDS_OK) {
        kds_ledger_rollback(c->ledger);
        c->pending_written = 0;
    }
    return code;
}

/* Waits a second, or less if a stop is asked for. */
static void wait_for_space(kds_campaign *c)
{
    struct pollfd fd = {.fd = c->stop_fd, .events = POLLIN};
    (void)poll(&fd, 1, 1000);
}

/* Writes, and waits while the disk is full. What cannot be written is given up. */
static kds_code write_pending(kds_campaign *c, bool durable, const char *what, kds_err *e)
{
    kds_err err = {0};
    kds_code code = write_once(c, durable, &err);
    for (int i = 0; code == KDS_IO && i < FULL_DISK_TRIES && atomic_load(&c->stops) < 2; i++) {
        if (i == 0)
            kds_campaign_tell(c, "warning", "cannot write the archive, trying again: %s",
                              err.message);
        wait_for_space(c);
        code = write_once(c, durable, &err);
    }
    if (code == KDS_OK)
        return KDS_OK;
    empty(c);
    if (e)
        *e = err;
    return kds_err_prefix(
        e, code, "recording %s (nothing recorded before is lost; `kdasearch resume %s` continues)",
        what, c->dir);
}

/* Tells the events that have become durable. */
static void tell_pending(kds_campaign *c)
{
    for (int i = 0; i < c->pending_sealed && c->fn; i++)
        if (c->pending[i].event)
            c->fn(c->user, &(kds_event){.kind = c->pending[i].kind,
                                        .json = c->pending[i].data,
                                        .seq = c->pending[i].seq});
    empty(c);
}

/* What the cards have done since the last event that told is told by the next one of these kinds,
 * whatever it was for: a twin's judging that nobody needs any more counts as well. */
static kds_code add_gpu_seconds(kds_campaign *c, const kds_record *records, int count, double *told,
                                kds_err *e)
{
    static const char *const KINDS[] = {"STAGE", "DUEL", "STOP"};
    *told = kds_evaluator_gpu_seconds(c->evaluator);
    if (!(*told > c->gpu_told))
        return KDS_OK;
    for (int i = 0; i < count; i++)
        for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k++)
            if (strcmp(records[i].kind, KINDS[k]) == 0)
                return kds_json_add_num(records[i].body, "gpu_seconds", *told - c->gpu_told)
                           ? KDS_OK
                           : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    *told = c->gpu_told;
    return KDS_OK;
}

static kds_code record(kds_campaign *c, const kds_record *records, int count, bool durable,
                       kds_err *e)
{
    double gpu_told = 0;
    kds_code code = add_gpu_seconds(c, records, count, &gpu_told, e);
    for (int i = 0; code == KDS_OK && i < count; i++) {
        char *text = kds_json_print(records[i].body);
        size_t len = text ? strlen(text) : 0;
        code = add_pending(
            c, (kds_pending){.kind = records[i].kind, .data = text, .len = len, .event = true}, e);
    }
    if (code != KDS_OK) {
        kds_campaign_drop(c);
        return code;
    }
    c->pending_sealed = c->pending_count;
    c->gpu_told = gpu_told;
    code = write_pending(c, durable, records[0].kind, e);
    for (int i = 0; code == KDS_OK && i < count; i++)
        code = kds_state_apply(c->state, records[i].kind, records[i].body, e);
    if (code == KDS_OK && durable)
        tell_pending(c);
    else if (code == KDS_OK && c->settle_by == 0)
        c->settle_by = kds_clock_monotonic() + KDS_SETTLE_SECONDS;
    return code;
}

kds_code kds_campaign_record(kds_campaign *c, const kds_record *records, int count, kds_err *e)
{
    return record(c, records, count, true, e);
}

kds_code kds_campaign_record_later(kds_campaign *c, const kds_record *records, int count,
                                   kds_err *e)
{
    return record(c, records, count, false, e);
}

kds_code kds_campaign_settle(kds_campaign *c, kds_err *e)
{
    if (!c->pending_sealed)
        return KDS_OK;
    kds_code code = write_pending(c, true, "the last events", e);
    if (code == KDS_OK)
        tell_pending(c);
    return code;
}

/* Numbers for a status display, the same for the callback and for status.json. NULL: out of memory.
 */
static cJSON *summary(const kds_campaign *c, const char *phase)
{
    const kds_state *s = c->state;
    cJSON *o = cJSON_CreateObject();
    double elapsed = kds_clock_monotonic() - c->started;
    bool ok =
        o && kds_json_add_str(o, "phase", phase) && kds_json_add_str(o, "task", c->task->name) &&
        kds_json_add_str(o, "device", kds_evaluator_device(c->evaluator)) &&
        kds_json_add_int(o, "decisions", s->decisions) &&
        kds_json_add_int(o, "committed", s->committed) &&
        kds_json_add_int(o, "evaluated", s->evaluated) &&
        kds_json_add_int(o, "accepted", s->accepted) &&
        kds_json_add_int(o, "in_flight", s->flight_count) &&
        kds_json_add_int(o, "cells", s->cell_count) &&
        kds_json_add_num(o, "best", s->best_fitness) && kds_json_add_id(o, "best_id", s->best) &&
        kds_json_add_num(o, "seconds", s->run_seconds + (c->ended ? 0 : elapsed)) &&
        kds_json_add_num(o, "epoch_seconds", elapsed) &&
        kds_json_add_num(o, "cost_usd", s->cost_usd) &&
        kds_json_add_int(o, "tokens", s->prompt_tokens + s->completion_tokens) &&
        kds_json_add_int(o, "requests", s->requests) &&
        kds_json_add_num(o, "gpu_seconds", s->gpu_seconds) &&
        kds_json_add_int(o, "failed_calls", s->failed_calls) &&
        kds_json_add_bool(o, "modelled", times_are_modelled(c));
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}

void kds_campaign_progress(kds_campaign *c, bool force)
{
    double now = kds_clock_monotonic();
    if (now - c->last_status >= STATUS_SECONDS)
        kds_campaign_write_status(c, "running");
    if (!c->fn || (!force && now - c->last_progress < PROGRESS_SECONDS))
        return;
    c->last_progress = now;
    cJSON *o = summary(c, "running");
    char *json = o ? kds_json_print(o) : NULL;
    if (json)
        c->fn(c->user, &(kds_event){.kind = "progress", .json = json});
    free(json);
    cJSON_Delete(o);
}

void kds_campaign_write_status(kds_campaign *c, const char *phase)
{
    kds_err err = {0};
    cJSON *o = summary(c, phase);
    c->last_status = kds_clock_monotonic();
    if (!o || !kds_json_add_int(o, "pid", getpid()) ||
        !kds_json_add_int(o, "time_ms", kds_clock_wall_ms()) ||
        kds_archive_write_status(c->dir, o, &err) != KDS_OK)
        kds_log_write(c->log, "warning", "status.json: %s", err.message);
    cJSON_Delete(o);
}

void kds_campaign_write_champion(kds_campaign *c)
{
    char hex[KDS_ID_HEX];
    char *source = NULL;
    size_t len = 0;
    kds_err err = {0};
    kds_candidate_row row;
    cJSON *o = cJSON_CreateObject();
    if (kds_id_is_zero(c->state->best))
        goto out;
    kds_id_format(c->state->best, hex);
    if (kds_ledger_get(c->ledger, c->state->best, &source, &len, &err) != KDS_OK ||
        kds_ledger_find(c->ledger, hex, &row, &err) != KDS_OK ||
        !row.accepted) /* its acceptance could not be written: the disk is full */
        goto out;
    bool ok = o && kds_json_add_str(o, "candidate", hex) &&
              kds_json_add_int(o, "decision", row.decision) &&
              kds_json_add_str(o, "task", c->task->name) &&
              kds_json_add_id(o, "task_hash", c->task->hash) &&
              kds_json_add_str(o, "device", kds_evaluator_device(c->evaluator)) &&
              kds_json_add_str(o, "fingerprint", kds_evaluator_fingerprint(c->evaluator)) &&
              kds_json_add_num(o, "fitness", row.fitness) &&
              (!c->state->measured ||
               (kds_json_add_num(o, "speedup", c->state->best_fitness) &&
                kds_json_add_num(o, "speedup_low", c->state->best_low) &&
                kds_json_add_num(o, "speedup_high", c->state->best_high) &&
                kds_json_add_str(o, "device_model", kds_evaluator_model(c->evaluator)))) &&
              kds_json_add_bool(o, "modelled", times_are_modelled(c)) &&
              kds_json_add_str(o, "parent", row.parent[0] ? row.parent : NULL) &&
              kds_json_add_str(o, "operator", row.operator_name) &&
              kds_json_add_str(o, "model", row.model[0] ? row.model : NULL) &&
              kds_json_add_str(o, "hypothesis", row.hypothesis) &&
              kds_json_add_str(o, "report", row.report) &&
              kds_json_add_str(o, "version", kds_version());
    if (ok)
        (void)(kds_archive_write_champion(c->dir, source, len, o, &err) == KDS_OK);
out:
    if (err.code != KDS_OK)
        kds_campaign_tell(c, "warning", "the champion's files were not written: %s", err.message);
    free(source);
    cJSON_Delete(o);
}
