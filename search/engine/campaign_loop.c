/* The loop: commit what is ready, decide what is due, pursue what is open, then wait for sockets,
 * workers, timers or a stop. In strict order a decision is committed only when all before it are,
 * and new decisions are made only right after a commit, so that the sequence depends on nothing but
 * the seed and the outcomes. */
#include "search/engine/campaign.h"

#include "search/base/clock.h"
#include "search/engine/commit.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_MAX 1100
#define IDLE_MS 500
#define BARREN_MAX 64 /* duplicates and unusable replies in a row that a model is paid for */

void kds_campaign_fail(kds_campaign *c, kds_code code, const char *message)
{
    if (c->code == KDS_OK)
        c->code = kds_fail(&c->error, code, "%s", message);
}

kds_lane *kds_campaign_lane(kds_campaign *c, int64_t decision)
{
    for (int i = 0; i < c->lane_count; i++)
        if (c->lanes[i].decision == decision)
            return &c->lanes[i];
    if (c->lane_count == c->lane_room) {
        int room = c->lane_room ? c->lane_room * 2 : 16;
        kds_lane *more = realloc(c->lanes, (size_t)room * sizeof *more);
        if (!more)
            return NULL;
        c->lanes = more;
        c->lane_room = room;
    }
    kds_lane *lane = &c->lanes[c->lane_count++];
    *lane = (kds_lane){.decision = decision, .news = -1};
    return lane;
}

static void drop_lane(kds_campaign *c, int64_t decision)
{
    for (int i = 0; i < c->lane_count; i++)
        if (c->lanes[i].decision == decision) {
            c->lanes[i] = c->lanes[--c->lane_count];
            return;
        }
}

/* The forecast of a child that has passed the safety check; false: out of memory. */
static bool add_forecast(cJSON *o, const kds_stage *s, const kds_flight *f)
{
    kds_forecast x;
    if (strcmp(s->stage, "safety") != 0 || s->verdict != KDS_VERDICT_OK)
        return true;
    kds_forecast_derive(f, kds_json_num(s->forecast, "ratio", NAN), &x);
    if (!isfinite(x.expected))
        return true;
    cJSON *to = cJSON_AddObjectToObject(o, "forecast");
    return to && kds_json_add_str(to, "device", kds_json_str(s->forecast, "device", NULL)) &&
           kds_json_add_num(to, "modelled", x.modelled) &&
           kds_json_add_num(to, "simulator", x.simulator) &&
           kds_json_add_num(to, "predicted", x.predicted) &&
           kds_json_add_num(to, "expected", x.expected);
}

/* The STAGE event of what a stage found, with its objects. */
static kds_code record_stage(kds_campaign *c, const kds_stage *s, kds_err *e)
{
    kds_id report = {0, 0}, log = {0, 0};
    const kds_flight *f = kds_state_flight(c->state, (int64_t)s->tag);
    if (!f)
        return KDS_OK;
    char *text = s->report ? kds_json_print(s->report) : NULL;
    kds_code code = s->report && !text ? kds_fail(e, KDS_NO_MEMORY, "out of memory") : KDS_OK;
    if (code == KDS_OK && text)
        code = kds_campaign_put(c, "report", text, strlen(text), &report, e);
    if (code == KDS_OK && s->log && *s->log)
        code = kds_campaign_put(c, "log", s->log, strlen(s->log), &log, e);
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_int(o, "decision", f->decision) &&
              kds_json_add_id(o, "candidate", f->candidate) &&
              kds_json_add_str(o, "stage", s->stage) &&
              kds_json_add_str(o, "verdict", kds_verdict_name(s->verdict)) &&
              kds_json_add_str(o, "message", s->message) && kds_json_add_int(o, "line", s->line) &&
              kds_json_add_num(o, "seconds", s->seconds);
    ok = ok && (kds_id_is_zero(report) || kds_json_add_id(o, "report", report)) &&
         (kds_id_is_zero(log) || kds_json_add_id(o, "log", log)) &&
         (kds_id_is_zero(s->program) || kds_json_add_id(o, "cubin", s->program)) &&
         add_forecast(o, s, f);
    int64_t decision = f->decision;
    if (code == KDS_OK)
        code = ok ? kds_campaign_record_later(c, &(kds_record){"STAGE", o}, 1, e)
                  : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(o);
    free(text);
    if (code == KDS_OK && s->kept &&
        s->verdict == KDS_VERDICT_OK) { /* its commit will ask for it */
        kds_keep_report(&c->reports, decision, report, *s->kept);
        *s->kept = NULL;
    }
    return code;
}

/* Which child is judged first: the task's own kernels, then what promises most. In strict order all
 * that are under way are committed before anything follows from them, so that the decision which
 * the others wait for comes first. */
static double rank(const kds_campaign *c, const kds_flight *f)
{
    if (f->decision < kds_selector_opening(&c->selector))
        return -INFINITY;
    return c->strict ? (double)f->decision : kds_forecast_rank(f);
}

bool kds_campaign_stage(void *campaign, const kds_stage *s)
{
    kds_campaign *c = campaign;
    kds_err err = {0};
    if (kds_campaign_profiled_again(c, s))
        return false;
    kds_code code = record_stage(c, s, &err);
    if (code != KDS_OK) {
        kds_campaign_fail(c, code, err.message);
        return false;
    }
    const kds_flight *f = kds_state_flight(c->state, (int64_t)s->tag);
    if (f && strcmp(s->stage, "safety") == 0)
        kds_evaluator_rank(c->evaluator, s->tag, rank(c, f));
    return f && !kds_commit_ready(c->state, f);
}

/* Commits one flight. */
static kds_code commit_flight(kds_campaign *c, const kds_flight *f, kds_err *e)
{
    const char *kind = NULL;
    cJSON *body = NULL;
    int64_t decision = f->decision;
    kds_code code = kds_commit(&c->selector, c->state, f, &kind, &body, e);
    bool best = code == KDS_OK && kds_json_bool(body, "best", false);
    if (code == KDS_OK)
        code = kds_campaign_record_later(c, &(kds_record){kind, body}, 1, e);
    if (code == KDS_OK && strcmp(kind, "ACCEPT") == 0)
        c->last_accept = kds_clock_monotonic();
    if (code == KDS_OK && best && (code = kds_campaign_settle(c, e)) == KDS_OK)
        kds_campaign_write_champion(c);
    drop_lane(c, decision);
    c->exhausted = false;
    cJSON_Delete(body);
    return code;
}

/* The flight that may be committed now; NULL if there is none. Duels that one waits for are begun;
 * on several cards also those of decisions that cannot be committed yet, so that no card is idle.
 */
static kds_code next_ready(kds_campaign *c, const kds_flight **out, kds_err *e)
{
    kds_code code = KDS_OK;
    bool in_turn = true;
    *out = NULL;
    for (int i = 0; code == KDS_OK && i < c->state->flight_count; i++) {
        const kds_flight *f = &c->state->flights[i];
        bool ready = kds_commit_ready(c->state, f);
        if (ready && c->state->measured)
            code = kds_campaign_fight(c, f, &ready, e);
        if (code == KDS_OK && ready && in_turn) {
            *out = f;
            return KDS_OK;
        }
        if (f->decision == 0)
            break; /* the baseline is committed first in any order */
        in_turn = in_turn && !c->strict;
        if (!in_turn && kds_campaign_duels_most(c) < 2)
            break;
    }
    return code;
}

/* Why no further decision may be made; NULL if one may. */
static const char *budget_spent(const kds_campaign *c)
{
    const kds_state *s = c->state;
    double elapsed = kds_clock_monotonic() - c->started;
    int64_t evals = kds_settings_int(c->settings, "max-evals");
    double time = kds_settings_double(c->settings, "max-time"),
           stall = kds_settings_double(c->settings, "stall");
    double cost = kds_settings_double(c->settings, "max-cost"),
           target = kds_settings_double(c->settings, "target");
    double gpu_time = kds_settings_double(c->settings, "max-gpu-time");
    int64_t tokens = kds_settings_int(c->settings, "max-tokens"),
            requests = kds_settings_int(c->settings, "max-requests");
    if (evals > 0 && s->evaluated >= evals)
        return "max-evals";
    if (time > 0 && s->run_seconds + elapsed >= time)
        return "max-time";
    if (cost > 0 && s->cost_usd >= cost)
        return "max-cost";
    if (tokens > 0 && kds_state_tokens(s) >= (double)tokens)
        return "max-tokens";
    if (requests > 0 && s->requests >= requests)
        return "max-requests";
    if (gpu_time > 0 && s->gpu_seconds >= gpu_time)
        return "max-gpu-time";
    if (target > 0 && s->best_fitness >= target)
        return "target";
    if (c->selector.endpoint && s->barren >= BARREN_MAX)
        return "nothing new in " KDS_STR(BARREN_MAX) " decisions of the model in a row";
    if (stall > 0 && s->decisions > 1 && kds_clock_monotonic() - c->last_accept >= stall)
        return "stall";
    return NULL;
}

/* True while the evaluations under way may still use up the budget of candidates. */
static bool evals_reserved(const kds_campaign *c)
{
    int64_t evals = kds_settings_int(c->settings, "max-evals"), children = 0;
    for (int i = 0; i < c->state->flight_count; i++)
        children += !kds_flight_guides(&c->state->flights[i]);
    return evals > 0 && c->state->evaluated + children >= evals;
}

/* The same of the cards' time, each taken to need what one has needed so far. */
static bool gpu_time_reserved(const kds_campaign *c)
{
    const kds_state *s = c->state;
    double limit = kds_settings_double(c->settings, "max-gpu-time");
    double each = s->evaluated > 0 ? s->gpu_seconds / (double)s->evaluated : 0;
    return limit > 0 && s->gpu_seconds + each * s->flight_count >= limit;
}

/* Makes one decision, with its child or its request in the same record. *made is false if none is
 * possible. */
static kds_code decide(kds_campaign *c, bool *made, kds_err *e)
{
    kds_choice choice = {0};
    cJSON *request = NULL, *stage = NULL;
    char *body = NULL;
    kds_record records[2];
    kds_id id;
    int n = 0;
    uint64_t number = (uint64_t)c->state->requests;
    int64_t decision = c->state->decisions;
    kds_code code = kds_select(&c->selector, c->state, &choice, made, e);
    if (code != KDS_OK || !*made)
        return code;
    records[n++] = (kds_record){"DECISION", choice.decision};
    if (choice.candidate) {
        code = kds_campaign_put(c, "source", choice.source.data, choice.source.len, &id, e);
        records[n++] = (kds_record){"CANDIDATE", choice.candidate};
    } else {
        code = kds_campaign_request(c, choice.decision, NULL, NULL, &request, &body, e);
        records[n++] = (kds_record){"REQUEST", request};
        if (code == KDS_OK && !kds_campaign_can_pay(c, request)) {
            *made = false;
            goto out;
        }
        if (code == KDS_TOO_LARGE || code == KDS_INVALID) { /* a question that cannot be asked */
            stage =
                kds_campaign_no_child(decision, e ? e->message : "the prompt could not be made");
            code = stage ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
            records[n - 1] = (kds_record){"STAGE", stage};
        }
    }
    if (code == KDS_OK)
        code = request ? kds_campaign_record(c, records, n, e)
                       : kds_campaign_record_later(c, records, n, e);
    kds_lane *lane = code == KDS_OK ? kds_campaign_lane(c, decision) : NULL;
    if (code == KDS_OK && !lane)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK && request) {
        code = kds_campaign_send(c, lane, number, body, e);
        lane->tries = 1;
    }
out:
    kds_choice_free(&choice);
    cJSON_Delete(stage);
    cJSON_Delete(request);
    free(body);
    return code;
}

/* Fills up the decisions under way. After the task's own ones the grid must have something in it.
 */
static kds_code decide_due(kds_campaign *c, kds_err *e)
{
    int64_t opening = kds_selector_opening(&c->selector);
    while (!c->closing && !c->exhausted && c->state->flight_count < c->in_flight_max &&
           !kds_campaign_mail_full(c)) {
        bool made = false;
        if (c->state->decisions >= opening && c->state->committed < opening)
            return KDS_OK;
        const char *spent = c->state->decisions >= opening ? budget_spent(c) : NULL;
        if (spent) {
            c->closing = true;
            c->why = spent;
            return KDS_OK;
        }
        if (c->state->decisions >= opening && (evals_reserved(c) || gpu_time_reserved(c)))
            return KDS_OK;
        kds_code code = decide(c, &made, e);
        if (code != KDS_OK)
            return code;
        if (!made)
            c->exhausted = true;
    }
    return KDS_OK;
}

/* Commits whatever is ready, deciding anew after each. */
static kds_code advance(kds_campaign *c, kds_err *e)
{
    kds_code code = decide_due(c, e);
    const kds_flight *f = NULL;
    while (code == KDS_OK && (code = next_ready(c, &f, e)) == KDS_OK && f) {
        bool baseline = f->decision == 0;
        code = commit_flight(c, f, e);
        if (code == KDS_OK && baseline && kds_id_is_zero(c->state->best))
            return kds_fail(e, KDS_INVALID,
                            "the task's baseline was not accepted on this device; "
                            "`kdasearch show %s \"#0\"` tells why",
                            c->dir);
        if (code == KDS_OK)
            code = decide_due(c, e);
    }
    return code;
}

/* Hands a candidate to the evaluator, with its parent's source for an inherited plan. */
static kds_code evaluate(kds_campaign *c, kds_lane *lane, const kds_flight *f, kds_err *e)
{
    char *source = NULL, *parent = NULL;
    size_t len = 0, parent_len = 0;
    kds_code code = kds_ledger_get(c->ledger, f->candidate, &source, &len, e);
    if (code == KDS_OK && f->parent_count)
        code = kds_ledger_get(c->ledger, f->parents[0], &parent, &parent_len, e);
    lane->evaluating = true;
    if (code == KDS_OK)
        code = kds_evaluator_submit(c->evaluator, (uint64_t)f->decision, source, len, parent, e);
    free(source);
    free(parent);
    return code;
}

/* True if an earlier decision under way has the same candidate: its verdict will do for both. */
static bool twin_under_way(const kds_state *s, int i)
{
    for (int k = 0; k < i && s->flights[i].has_candidate; k++)
        if (s->flights[k].has_candidate && kds_id_equal(s->flights[k].norm, s->flights[i].norm))
            return true;
    return false;
}

/* Starts what every open decision waits for. */
static kds_code pursue(kds_campaign *c, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int i = 0; i < c->state->flight_count && code == KDS_OK; i++) {
        const kds_flight *f = &c->state->flights[i];
        kds_lane *lane = kds_campaign_lane(c, f->decision);
        if (!lane)
            return kds_fail(e, KDS_NO_MEMORY, "out of memory");
        if (kds_commit_ready(c->state, f) || lane->evaluating || twin_under_way(c->state, i))
            continue;
        if (f->has_candidate)
            code = evaluate(c, lane, f, e);
        else
            code = kds_campaign_pursue(c, lane, e);
    }
    return code;
}

static int wait_ms(const kds_campaign *c)
{
    int ms = kds_evaluator_timeout_ms(c->evaluator);
    double now = kds_clock_monotonic();
    if (ms < 0 || ms > IDLE_MS)
        ms = IDLE_MS;
    for (int i = 0; i < c->lane_count; i++) {
        bool retry = c->lanes[i].retry_at > 0 && !atomic_load(&c->stops);
        double left = retry ? (c->lanes[i].retry_at - now) * 1000 : IDLE_MS;
        if (left < ms)
            ms = left < 0 ? 0 : (int)left + 1;
    }
    double settle = c->settle_by > 0 ? (c->settle_by - now) * 1000 : IDLE_MS;
    if (settle < ms)
        ms = settle < 0 ? 0 : (int)settle + 1;
    return ms;
}

/* Waits for something to happen and takes it in. */
static kds_code wait_events(kds_campaign *c, kds_err *e)
{
    struct pollfd fds[POLL_MAX];
    uint64_t drained;
    int n = 0;
    fds[n++] = (struct pollfd){.fd = c->stop_fd, .events = POLLIN};
    n += kds_evaluator_poll_set(c->evaluator, fds + n, POLL_MAX - n);
    double from = kds_clock_monotonic();
    c->busy += from - c->woken;
    kds_code code =
        kds_endpoint_wait(c->endpoint, fds, n, wait_ms(c), kds_campaign_completed, c, e);
    c->woken = kds_clock_monotonic();
    if (code != KDS_OK)
        return code;
    if (read(c->stop_fd, &drained, sizeof drained) < 0 && errno != EAGAIN && errno != EINTR)
        return kds_fail_errno(e, KDS_IO, "the wake-up descriptor");
    return kds_evaluator_step(c->evaluator, e);
}

/* True when a stop was asked for and nothing is left to wait for. */
static bool stop_now(kds_campaign *c)
{
    int stops = atomic_load(&c->stops);
    if (!stops)
        return false;
    double now = kds_clock_monotonic();
    if (c->stopped_at == 0) {
        c->stopped_at = now;
        kds_campaign_tell(c, "notice", "stopping: finishing what runs (again to stop now)");
    }
    int asking = c->endpoint ? kds_endpoint_in_flight(c->endpoint) : 0;
    bool idle = kds_evaluator_in_hand(c->evaluator) == 0 && asking == 0;
    return stops > 1 || idle || now - c->stopped_at >= kds_settings_double(c->settings, "grace");
}

/* One turn. *over is set when the campaign has ended by itself. */
static kds_code turn(kds_campaign *c, bool *over, kds_err *e)
{
    kds_code code = KDS_OK;
    const kds_flight *ready = NULL;
    if (!atomic_load(&c->stops)) {
        if ((code = kds_campaign_mail_step(c, false, e)) == KDS_OK &&
            (code = advance(c, e)) == KDS_OK)
            code = pursue(c, e);
        if (code == KDS_OK)
            code = kds_campaign_watch_duels(c, e);
        if (code == KDS_OK)
            code = kds_campaign_watch_profiles(c, e);
        if (code == KDS_OK)
            code = next_ready(c, &ready, e);
        if (ready)
            return KDS_OK; /* lint or a twin decided at once */
        if (code == KDS_OK && !c->state->flight_count && (c->closing || c->exhausted) &&
            !kds_campaign_reviewing(c) && !c->profiling_again) {
            if (!c->why)
                c->why = "nothing new is left to try";
            *over = true;
            return KDS_OK;
        }
        if (code == KDS_OK)
            code = kds_campaign_mail_drain(c, e);
        const char *spent = code == KDS_OK && !c->closing ? budget_spent(c) : NULL;
        if (spent && c->state->committed >= kds_selector_opening(&c->selector)) {
            c->closing = true;
            c->why = spent;
        }
    }
    if (code == KDS_OK && c->settle_by > 0 && kds_clock_monotonic() >= c->settle_by)
        code = kds_campaign_settle(c, e);
    if (code == KDS_OK)
        code = wait_events(c, e);
    if (code == KDS_OK && c->code != KDS_OK) {
        if (e)
            *e = c->error;
        code = c->code;
    }
    return code;
}

static kds_code record_stop(kds_campaign *c, kds_code code, kds_err *e)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_str(o, "why", c->why ? c->why : "error") &&
              kds_json_add_str(o, "code", kds_code_name(code)) &&
              kds_json_add_num(o, "seconds", kds_clock_monotonic() - c->started);
    code = ok ? kds_campaign_record(c, &(kds_record){"STOP", o}, 1, e)
              : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(o);
    return code;
}

kds_code kds_campaign_run(kds_campaign *c, kds_event_fn *fn, void *user, kds_err *e)
{
    bool over = false;
    kds_err err = {0};
    c->fn = fn;
    c->user = user;
    c->started = c->last_accept = c->woken = kds_clock_monotonic();
    c->stopped_at = 0;
    c->closing = c->exhausted = c->ended = false;
    c->why = NULL;
    kds_code code = kds_campaign_settle_lost(c, &err);
    if (code == KDS_OK)
        code = kds_campaign_mail_begin(c, &err);
    const char *why_not = NULL;
    if (!kds_evaluator_counts(c->evaluator, &why_not))
        kds_campaign_tell(c, "notice", "no counters, so cells are made of compile facts: %.600s",
                          why_not);
    if (!c->state->measured && kds_settings_double(c->settings, "max-gpu-time") > 0)
        kds_campaign_tell(c, "warning", "--max-gpu-time has no effect on the simulator");
    kds_campaign_watch_budgets(c, true);
    while (code == KDS_OK && !over && !stop_now(c)) {
        code = turn(c, &over, &err);
        if (code == KDS_OK)
            kds_campaign_progress(c, false);
        kds_campaign_watch_budgets(c, false);
    }
    if (code == KDS_OK && !over) {
        code = kds_fail(&err, KDS_STOPPED, "stopped; `kdasearch resume %s` continues", c->dir);
        c->why = "stopped by request";
    }
    if (c->endpoint)
        kds_endpoint_cancel_all(c->endpoint);
    kds_campaign_progress(c, true);
    kds_err stop_err = {0};
    kds_code stop_code = kds_campaign_settle_lost(c, &stop_err);
    if (stop_code == KDS_OK)
        stop_code = record_stop(c, code, &stop_err);
    c->ended = true;
    kds_campaign_write_champion(c);
    kds_campaign_write_status(c, code == KDS_OK ? "finished" : "stopped");
    if (code == KDS_OK && stop_code != KDS_OK) {
        code = stop_code;
        err = stop_err;
    }
    if (code != KDS_OK && e)
        *e = err;
    c->fn = NULL;
    return code;
}
