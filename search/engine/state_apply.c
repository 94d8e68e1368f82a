/* The fold: how each event changes the search state. One small function per kind, found by a table.
 * An event that cannot follow the state (a commit of a decision that is not under way, say) means a
 * damaged record. */
#include "search/base/text.h"
#include "search/engine/state.h"
#include "search/engine/state_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX (INT64_C(1) << 53)
#define BIN_MAX 1000

static kds_code out_of_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory while reading the record");
}

/* What does not fit is cut between characters. */
static void copy_text(char *out, size_t size, const cJSON *body, const char *key)
{
    const char *text = kds_json_str(body, key, "");
    size_t len = strlen(text);
    if (len >= size)
        len = kds_text_utf8_prefix(text, size - 1);
    memcpy(out, text, len);
    out[len] = '\0';
}

static kds_operator_score *operator_score(kds_state *s, const char *name)
{
    for (int i = 0; i < s->operator_count; i++)
        if (strcmp(s->operators[i].name, name) == 0)
            return &s->operators[i];
    if (s->operator_count == KDS_STATE_OPERATORS)
        return NULL;
    kds_operator_score *o = &s->operators[s->operator_count++];
    snprintf(o->name, sizeof o->name, "%s", name);
    return o;
}

static kds_code apply_campaign(kds_state *s, const cJSON *body, kds_err *e)
{
    int64_t rules = kds_json_int(body, "rules", 1);
    if (rules < 1 || rules > KDS_RULES)
        return kds_fail(e, KDS_NEWER_FORMAT,
                        "the campaign searches by rules %lld; this kdasearch knows those up to %d: "
                        "take a newer one",
                        (long long)rules, KDS_RULES);
    s->rules = (int)rules;
    s->seed = (uint64_t)kds_json_int(body, "seed", 0);
    s->measured = kds_json_bool(body, "measured", false);
    kds_state_forecast_settings(s, kds_json_at(body, "settings"));
    s->descriptor_version = (int)kds_json_int(kds_json_at(body, "descriptors"), "version", 1);
    const char *parents = kds_json_str(kds_json_at(body, "settings"), "parents", "");
    s->has_islands = strcmp(parents, "islands") == 0;
    return KDS_OK;
}

static kds_code apply_epoch(kds_state *s, const cJSON *body, kds_err *e)
{
    (void)body, (void)e;
    s->epochs++;
    s->floor_epoch = 0; /* another session: noise is measured again */
    s->challenge_count = 0;
    return KDS_OK;
}

static kds_code apply_stop(kds_state *s, const cJSON *body, kds_err *e)
{
    (void)e;
    s->run_seconds += kds_json_num(body, "seconds", 0);
    return KDS_OK;
}

/* Takes the pending repair of the flight's parent off the queue. */
static void take_repair(kds_state *s, kds_flight *f)
{
    for (int i = 0; i < s->repair_count; i++) {
        if (!kds_id_equal(s->repairs[i].candidate, f->parents[0]))
            continue;
        f->repair_depth = s->repairs[i].depth;
        f->island = s->repairs[i].island;
        memmove(&s->repairs[i], &s->repairs[i + 1],
                (size_t)(s->repair_count - i - 1) * sizeof *s->repairs);
        s->repair_count--;
        return;
    }
}

static void copy_target(kds_flight *f, const cJSON *target)
{
    char *text = cJSON_IsObject(target) ? kds_json_print(target) : NULL;
    if (text && strlen(text) < sizeof f->target)
        snprintf(f->target, sizeof f->target, "%s", text);
    free(text);
}

static kds_code apply_decision(kds_state *s, const cJSON *body, kds_err *e)
{
    if (kds_json_int(body, "decision", -1) != s->decisions)
        return kds_fail(e, KDS_DAMAGED, "decision %lld follows %lld decisions",
                        (long long)kds_json_int(body, "decision", -1), (long long)s->decisions);
    if (s->flight_count == s->flight_room) {
        int room = s->flight_room ? s->flight_room * 2 : 16;
        kds_flight *more = realloc(s->flights, (size_t)room * sizeof *more);
        if (!more)
            return out_of_memory(e);
        s->flights = more;
        s->flight_room = room;
    }
    kds_code code = kds_state_migrate(s, s->decisions, e);
    if (code != KDS_OK)
        return code;
    kds_flight *f = &s->flights[s->flight_count++];
    memset(f, 0, sizeof *f);
    f->decision = s->decisions++;
    f->island = (int)(f->decision % KDS_ISLANDS);
    copy_text(f->operator_name, sizeof f->operator_name, body, "operator");
    copy_text(f->proposer, sizeof f->proposer, body, "proposer");
    copy_text(f->model, sizeof f->model, body, "model");
    copy_target(f, kds_json_at(body, "target"));
    const cJSON *parent = NULL;
    cJSON_ArrayForEach(parent, kds_json_at(body, "parents"))
    {
        if (f->parent_count < 2 && cJSON_IsString(parent) &&
            kds_id_parse(parent->valuestring, &f->parents[f->parent_count]))
            f->parent_count++;
    }
    f->has_cell = kds_cell_parse(kds_json_str(body, "cell", NULL), &f->cell);
    kds_cell *cell = f->has_cell ? kds_state_cell(s, f->cell) : NULL;
    if (cell)
        cell->visits++;
    kds_state_begin_forecast(s, f);
    kds_operator_score *o = operator_score(s, f->operator_name);
    if (o)
        o->tried++;
    (void)kds_json_id(body, "guidance", &f->guidance);
    if (kds_flight_guides(f))
        s->guidances.since_asked = 0;
    if (strcmp(f->operator_name, "repair") == 0 && f->parent_count)
        take_repair(s, f);
    if (s->rules >= 2)
        kds_state_sweep_decided(s, f, body);
    s->chain = kds_state_chain(s->chain, body);
    return KDS_OK;
}

static kds_code find_flight(kds_state *s, const cJSON *body, kds_flight **out, kds_err *e)
{
    *out = kds_state_flight(s, kds_json_int(body, "decision", -1));
    if (!*out)
        return kds_fail(e, KDS_DAMAGED, "an event names decision %lld, which is not under way",
                        (long long)kds_json_int(body, "decision", -1));
    return KDS_OK;
}

static kds_code apply_request(kds_state *s, const cJSON *body, kds_err *e)
{
    kds_flight *f = NULL;
    kds_code code = find_flight(s, body, &f, e);
    if (code != KDS_OK)
        return code;
    int64_t request = kds_json_int(body, "request", -1);
    if (request < 0 || request > COUNT_MAX)
        return kds_fail(e, KDS_DAMAGED, "a REQUEST event has no number");
    if (request >= s->requests)
        s->requests = request + 1;
    f->attempts++;
    f->awaiting = true;
    f->last_request = request;
    f->reserved_usd = kds_json_num(body, "reserved_usd", 0);
    f->reserved_tokens = kds_json_num(body, "reserved_tokens", 0);
    (void)kds_json_id(body, "prompt", &f->prompt);
    copy_text(f->api, sizeof f->api, body, "api");
    if (kds_json_str(body, "model", NULL)) /* asked of another one than was decided */
        copy_text(f->model, sizeof f->model, body, "model");
    return KDS_OK;
}

/* -1 is "not known". The sum stays where it cannot overflow. */
static void add_tokens(int64_t *sum, int64_t tokens)
{
    if (tokens > 0)
        *sum = tokens > COUNT_MAX - *sum ? COUNT_MAX : *sum + tokens;
}

/* What a model said, be it a refusal; anything else is a fault of the way to it, which costs money
 * but is no reason to ask another one. */
static bool is_answer(const char *outcome)
{
    static const char *const answers[] = {"ok", "length", "refused", "empty"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (strcmp(outcome, answers[i]) == 0)
            return true;
    return false;
}

static kds_code apply_response(kds_state *s, const cJSON *body, kds_err *e)
{
    add_tokens(&s->prompt_tokens, kds_json_int(body, "prompt_tokens", 0));
    add_tokens(&s->completion_tokens, kds_json_int(body, "completion_tokens", 0));
    s->assumed_tokens += kds_json_num(body, "assumed_tokens", 0);
    s->cost_usd += kds_json_num(body, "cost_usd", 0);
    const char *outcome = kds_json_str(body, "outcome", "");
    if (strcmp(outcome, "ok") != 0 && strcmp(outcome, "length") != 0)
        s->failed_calls++;
    kds_flight *f = NULL;
    kds_code code = find_flight(s, body, &f, e);
    if (code != KDS_OK)
        return code;
    if (is_answer(outcome) && kds_json_int(body, "prompt_tokens", -1) >= 0) {
        f->usd += kds_json_num(body, "cost_usd", 0);
        f->tokens += kds_json_num(body, "prompt_tokens", 0) +
                     fmax(kds_json_num(body, "completion_tokens", 0), 0);
    }
    f->awaiting = false;
    snprintf(f->outcome, sizeof f->outcome, "%s", outcome);
    f->reply = (kds_id){0, 0};
    (void)kds_json_id(body, "reply", &f->reply);
    f->replies += strcmp(outcome, "ok") == 0;
    return KDS_OK;
}

static kds_code apply_candidate(kds_state *s, const cJSON *body, kds_err *e)
{
    kds_flight *f = NULL;
    kds_code code = find_flight(s, body, &f, e);
    if (code != KDS_OK)
        return code;
    if (!kds_json_id(body, "candidate", &f->candidate) || !kds_json_id(body, "norm", &f->norm))
        return kds_fail(e, KDS_DAMAGED, "a CANDIDATE event has no id");
    f->has_candidate = true;
    f->structure = (kds_id){0, 0};
    (void)kds_json_id(body, "structure", &f->structure);
    if (s->rules >= 2)
        kds_state_sweep_proposed(s, f);
    copy_text(f->hypothesis, sizeof f->hypothesis, body, "hypothesis");
    copy_text(f->prediction, sizeof f->prediction, body, "prediction");
    f->factor = kds_json_num(body, "predicted", NAN);
    /* What a model proposes becomes known when it is committed, because replies arrive in no fixed
     * order. */
    if (!kds_proposer_is_model(f->proposer) && !kds_map_put(s->proposed, f->norm, f->decision))
        return out_of_memory(e);
    return KDS_OK;
}

static kds_code apply_stage(kds_state *s, const cJSON *body, kds_err *e)
{
    kds_flight *f = NULL;
    kds_code code = find_flight(s, body, &f, e);
    if (code != KDS_OK)
        return code;
    copy_text(f->stage, sizeof f->stage, body, "stage");
    copy_text(f->message, sizeof f->message, body, "message");
    (void)kds_json_id(body, "cubin", &f->program);
    (void)kds_json_id(body, "report", &f->report);
    if (!kds_verdict_parse(kds_json_str(body, "verdict", ""), &f->verdict))
        return kds_fail(e, KDS_DAMAGED, "a STAGE event has no known verdict");
    f->has_verdict = f->verdict != KDS_VERDICT_OK || strcmp(f->stage, "judge") == 0;
    if (kds_json_at(body, "forecast"))
        kds_state_apply_forecast(s, f, kds_json_at(body, "forecast"));
    return KDS_OK;
}

/* What a model may be asked to mend: its own child, with a verdict that has something to say. */
static bool is_repairable(const kds_flight *f, kds_verdict v)
{
    return f->has_candidate && kds_proposer_is_model(f->proposer) &&
           f->repair_depth < KDS_REPAIRS_MAX && v != KDS_VERDICT_OK && v != KDS_VERDICT_DUPLICATE &&
           v != KDS_VERDICT_NO_CHILD && v != KDS_VERDICT_SET_ASIDE;
}

static kds_code queue_repair(kds_state *s, const kds_flight *f, kds_err *e)
{
    if (s->repair_count == s->repair_room) {
        int room = s->repair_room ? s->repair_room * 2 : 16;
        kds_repair *more = realloc(s->repairs, (size_t)room * sizeof *more);
        if (!more)
            return out_of_memory(e);
        s->repairs = more;
        s->repair_room = room;
    }
    s->repairs[s->repair_count++] = (kds_repair){.candidate = f->candidate,
                                                 .depth = f->repair_depth + 1,
                                                 .island = f->island,
                                                 .guidance = f->guidance};
    return KDS_OK;
}

/* The candidate of a commit as the elite of its cell. */
static kds_code read_elite(const kds_flight *f, const cJSON *body, kds_cell *out, kds_err *e)
{
    *out = (kds_cell){.elite = f->candidate, .elite_decision = f->decision};
    if (!f->has_candidate || !kds_cell_parse(kds_json_str(body, "cell", NULL), &out->key))
        return kds_fail(e, KDS_DAMAGED, "the commit of decision %lld has no candidate or no cell",
                        (long long)f->decision);
    const cJSON *bin = NULL;
    cJSON_ArrayForEach(bin, kds_json_at(body, "bins"))
    {
        if (out->bin_count == KDS_STATE_BINS || !(bin->valuedouble >= 0) ||
            bin->valuedouble > BIN_MAX)
            return kds_fail(e, KDS_DAMAGED, "the commit of decision %lld has impossible bins",
                            (long long)f->decision);
        out->bins[out->bin_count++] = (int)bin->valuedouble;
    }
    out->fitness = kds_json_num(body, "fitness", 0);
    return KDS_OK;
}

/* Puts the accepted candidate into its cell and credits the cell that it came from. */
static kds_code accept_candidate(kds_state *s, const kds_flight *f, const cJSON *body, kds_err *e)
{
    kds_cell elite;
    kds_code code = read_elite(f, body, &elite, e);
    if (code != KDS_OK)
        return code;
    kds_cell *cell = kds_state_cell_add(s, elite.key);
    if (!cell)
        return out_of_memory(e);
    elite.visits = cell->visits;
    elite.improvements = cell->improvements;
    elite.modelled = f->forecast.modelled;
    elite.claim = cell->claim;
    if (!kds_id_is_zero(cell->elite))
        kds_claim_pass(&elite.claim, (kds_holder){.id = cell->elite,
                                                  .decision = cell->elite_decision,
                                                  .fitness = cell->fitness,
                                                  .modelled = cell->modelled});
    *cell = elite;
    kds_cell *from = f->has_cell ? kds_state_cell(s, f->cell) : NULL;
    if (from)
        from->improvements++;
    s->accepted++;
    s->last_accept = f->decision;
    if (kds_json_bool(body, "best", false)) {
        if (!kds_id_is_zero(s->best))
            kds_claim_pass(&s->best_claim, (kds_holder){.id = s->best,
                                                        .decision = s->best_decision,
                                                        .fitness = s->best_fitness,
                                                        .low = s->best_low,
                                                        .high = s->best_high});
        s->best = f->candidate;
        s->best_decision = f->decision;
        s->best_fitness = kds_json_num(body, "speedup", cell->fitness);
        s->best_low = kds_json_num(body, "speedup_low", s->best_fitness);
        s->best_high = kds_json_num(body, "speedup_high", s->best_fitness);
    }
    return KDS_OK;
}

/* Only what competed for a cell has bins. */
static kds_code settle(kds_state *s, const kds_flight *f, const cJSON *body, kds_err *e)
{
    kds_cell newcomer;
    if (!s->has_islands || !kds_json_at(body, "bins"))
        return KDS_OK;
    kds_code code = read_elite(f, body, &newcomer, e);
    return code == KDS_OK ? kds_state_settle(s, f, &newcomer, e) : code;
}

/* Keeps what a model hoped for beside what came of it. */
static void add_note(kds_state *s, const kds_flight *f, const cJSON *body, bool accepted)
{
    if (!kds_proposer_is_model(f->proposer) || !f->hypothesis[0])
        return;
    if (s->note_count == KDS_NOTES_MAX)
        memmove(&s->notes[0], &s->notes[1], sizeof s->notes[0] * (size_t)--s->note_count);
    kds_note *n = &s->notes[s->note_count++];
    snprintf(n->hypothesis, sizeof n->hypothesis, "%s", f->hypothesis);
    const char *verdict = kds_json_str(body, "verdict", "");
    const cJSON *fitness = kds_json_at(body, "fitness");
    if (cJSON_IsNumber(fitness))
        snprintf(n->outcome, sizeof n->outcome, "%s, %.3fx the baseline, %s", verdict,
                 fitness->valuedouble, accepted ? "accepted" : "not accepted");
    else
        snprintf(n->outcome, sizeof n->outcome, "%s", verdict);
    size_t len = strlen(n->outcome);
    if (f->prediction[0])
        snprintf(n->outcome + len, sizeof n->outcome - len, " (predicted: %s)", f->prediction);
}

/* What was drawn is credited; the task's own kernels and the steps of a sweep were not. */
static void credit(kds_state *s, const kds_flight *f, const cJSON *body, kds_verdict v,
                   bool accepted)
{
    if (!f->parent_count || !kds_id_is_zero(f->sweep))
        return;
    kds_state_credit(s, f, kds_state_reward(s, body, accepted),
                     f->has_candidate && v != KDS_VERDICT_DUPLICATE);
    kds_state_count_line(s, f, accepted);
}

/* Takes a decision out of flight; its candidate becomes known to duplicate detection. */
static kds_code commit_flight(kds_state *s, const cJSON *body, bool accepted, kds_err *e)
{
    kds_flight *f = NULL;
    kds_verdict v = KDS_VERDICT_OK;
    kds_code code = find_flight(s, body, &f, e);
    if (code != KDS_OK)
        return code;
    if (!kds_verdict_parse(kds_json_str(body, "verdict", ""), &v))
        return kds_fail(e, KDS_DAMAGED, "a commit of decision %lld has no known verdict",
                        (long long)f->decision);
    kds_operator_score *o = operator_score(s, f->operator_name);
    if (o) {
        o->committed++;
        o->accepted += accepted;
    }
    if (s->rules >= 2)
        credit(s, f, body, v, accepted);
    if (accepted && (code = accept_candidate(s, f, body, e)) != KDS_OK)
        return code;
    if (s->rules >= 2 && (code = kds_state_sweep_committed(s, f, body, accepted, e)) != KDS_OK)
        return code;
    if ((code = settle(s, f, body, e)) != KDS_OK)
        return code;
    if (!accepted && is_repairable(f, v) && (code = queue_repair(s, f, e)) != KDS_OK)
        return code;
    add_note(s, f, body, accepted);
    if (v != KDS_VERDICT_DUPLICATE)
        kds_state_end_forecast(s, f, kds_json_num(body, "fitness", NAN));
    if (f->has_candidate) {
        if (f->decision == 0)
            s->baseline = f->candidate;
        s->evaluated += v != KDS_VERDICT_DUPLICATE;
        /* How far a duplicate came before its twin was committed is chance: its program does not
         * count. */
        bool program = v != KDS_VERDICT_DUPLICATE && !kds_id_is_zero(f->program);
        if (!kds_map_put(s->ids, f->candidate, f->decision) ||
            !kds_map_put(s->norms, f->norm, f->decision) ||
            !kds_map_put(s->proposed, f->norm, f->decision) ||
            (program && !kds_map_put(s->programs, f->program, f->decision)))
            return out_of_memory(e);
    }
    if ((code = kds_state_commit_guidance(s, f, v, accepted, e)) != KDS_OK)
        return code;
    s->committed++;
    bool fruitless = v == KDS_VERDICT_DUPLICATE || v == KDS_VERDICT_NO_CHILD;
    if (!kds_flight_guides(f))
        s->barren = fruitless ? s->barren + 1 : 0;
    size_t at = (size_t)(f - s->flights);
    memmove(f, f + 1, ((size_t)s->flight_count - at - 1) * sizeof *f);
    s->flight_count--;
    return KDS_OK;
}

static kds_code apply_accept(kds_state *s, const cJSON *body, kds_err *e)
{
    return commit_flight(s, body, true, e);
}

static kds_code apply_reject(kds_state *s, const cJSON *body, kds_err *e)
{
    return commit_flight(s, body, false, e);
}

kds_code kds_state_apply(kds_state *s, const char *kind, const cJSON *body, kds_err *e)
{
    static const struct {
        const char *kind;
        kds_code (*apply)(kds_state *, const cJSON *, kds_err *);
    } table[] = {
        {"CAMPAIGN", apply_campaign},
        {"EPOCH", apply_epoch},
        {"DECISION", apply_decision},
        {"REQUEST", apply_request},
        {"RESPONSE", apply_response},
        {"CANDIDATE", apply_candidate},
        {"STAGE", apply_stage},
        {"CHALLENGE", kds_state_apply_challenge},
        {"ACCEPT", apply_accept},
        {"DUEL", kds_state_apply_duel},
        {"REJECT", apply_reject},
        {"RETIRE", kds_state_apply_retire},
        {"STOP", apply_stop},
        {"GUIDANCE", kds_state_apply_guidance},
        {"PROFILE", kds_state_apply_profile},
    };
    double gpu_seconds = kds_json_num(body, "gpu_seconds", 0);
    if (isfinite(gpu_seconds) && gpu_seconds > 0)
        s->gpu_seconds += gpu_seconds;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(kind, table[i].kind) == 0)
            return table[i].apply(s, body, e);
    return KDS_OK;
}
