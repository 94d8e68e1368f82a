/* The duels of a lineage, fought again one after the other, with schedules of their own. Recorded
 * and replayed gains may be compared, as each was measured in one session; times never are. */
#include "search/engine/replay_lineage.h"

#include "eval/duel_replay.h"
#include "search/engine/campaign.h"
#include "search/engine/duel_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_DUELS (UINT64_C(1) << 61)
#define TRIES 3 /* of one that was disturbed, or of which nothing came */

static kds_code out_of_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* ---- The record ---- */

static kds_replay_duel *find(kds_lineage_replay *r, int step, kds_id incumbent)
{
    for (int i = 0; i < r->duel_count; i++)
        if (r->duels[i].step == step && kds_id_equal(r->duels[i].incumbent, incumbent))
            return &r->duels[i];
    return NULL;
}

/* A duel more, with the incumbent's source. */
static kds_code add(kds_lineage_replay *r, int step, const char *purpose, kds_id incumbent,
                    kds_replay_duel **out, kds_err *e)
{
    kds_replay_duel *more = realloc(r->duels, ((size_t)r->duel_count + 1) * sizeof *more);
    kds_recorded k = {.source = NULL};
    if (!more)
        return out_of_memory(e);
    r->duels = more;
    kds_replay_duel *d = *out = &more[r->duel_count++];
    *d = (kds_replay_duel){.step = step, .incumbent = incumbent};
    (void)snprintf(d->purpose, sizeof d->purpose, "%s", purpose);
    kds_code code = kds_recorded_load(r->ledger, incumbent, &k, e);
    d->source = k.source;
    d->parent = k.parent;
    d->len = k.len;
    d->against = k.row.decision;
    return code;
}

typedef struct loading {
    kds_lineage_replay *r;
    int step;
} loading;

/* The last duel with an incumbent stands for those before: it confirmed them. */
static kds_code keep_duel(void *user, const cJSON *row, kds_err *e)
{
    loading *x = user;
    const char *text = kds_json_str(row, "body", "");
    cJSON *body = kds_json_parse_record(text, strlen(text));
    kds_id incumbent;
    kds_code code = KDS_OK;
    if (!body || !kds_json_id(body, "incumbent", &incumbent)) {
        cJSON_Delete(body);
        return kds_fail(e, KDS_DAMAGED, "a recorded duel has no incumbent");
    }
    kds_replay_duel *d = find(x->r, x->step, incumbent);
    if (kds_json_str(body, "verdict", NULL) && !d)
        code = add(x->r, x->step, kds_json_str(body, "purpose", ""), incumbent, &d, e);
    if (code != KDS_OK || !d || !kds_json_str(body, "verdict", NULL)) {
        cJSON_Delete(body);
        return code;
    }
    (void)snprintf(d->purpose, sizeof d->purpose, "%s", kds_json_str(body, "purpose", ""));
    cJSON_Delete(d->recorded);
    d->recorded = body;
    return KDS_OK;
}

static kds_code load_of(kds_lineage_replay *r, int step, kds_err *e)
{
    loading x = {r, step};
    cJSON *args = cJSON_CreateArray(), *id = cJSON_CreateString(r->steps[step].row.id);
    if (!args || !id || !cJSON_AddItemToArray(args, id)) {
        cJSON_Delete(id);
        cJSON_Delete(args);
        return out_of_memory(e);
    }
    kds_code code = kds_ledger_select(
        r->ledger,
        "SELECT body FROM events WHERE kind = 'DUEL' AND json_extract(body, '$.candidate') = ?1 "
        "AND json_extract(body, '$.purpose') IN ('cell', 'baseline', 'best', 'confirm', 'report') "
        "ORDER BY seq",
        args, keep_duel, &x, e);
    cJSON_Delete(args);
    return code;
}

kds_code kds_replay_duels_load(kds_lineage_replay *r, kds_err *e)
{
    int last = r->step_count - 1;
    kds_code code = KDS_OK;
    for (int i = 1; i <= last && code == KDS_OK; i++)
        code = load_of(r, i, e);
    if (code != KDS_OK || last == 0 || strcmp(r->steps[last].row.verdict, "ok") != 0)
        return code;
    kds_replay_duel *d = find(r, last, r->baseline);
    if (!d)
        code = add(r, last, "claim", r->baseline, &d, e);
    r->claim = (int)(d - r->duels);
    return code;
}

void kds_replay_duels_free(kds_lineage_replay *r)
{
    for (int i = 0; i < r->duel_count; i++) {
        free(r->duels[i].source);
        free(r->duels[i].parent);
        cJSON_Delete(r->duels[i].recorded);
        cJSON_Delete(r->duels[i].fought);
    }
    free(r->duels);
    cJSON_Delete(r->fought);
}

/* ---- Now ---- */

void kds_replay_fought(void *lineage, const kds_fought *f)
{
    kds_lineage_replay *r = lineage;
    kds_duel replayed;
    kds_err err = {0};
    cJSON_Delete(r->fought);
    r->fought = NULL;
    (void)snprintf(r->fought_on, sizeof r->fought_on, "%s", f->device);
    (void)snprintf(r->failed, sizeof r->failed, "%s", f->why ? f->why : "");
    if (!f->record)
        return;
    if (kds_duel_replay(f->record, &replayed, &err) != KDS_OK)
        (void)snprintf(r->failed, sizeof r->failed, "its record does not hold: %.500s",
                       err.message);
    else if (!(r->fought = cJSON_Duplicate(f->record, true)))
        (void)snprintf(r->failed, sizeof r->failed, "out of memory");
}

static void choose_options(const kds_lineage_replay *r, kds_gpu_duel_options *o)
{
    const kds_task *t = r->task;
    uint64_t numbers[2] = {r->seed, (uint64_t)r->fights};
    memset(o, 0, sizeof *o);
    o->seed = kds_hash64(numbers, sizeof numbers, 0x6b64732d72657064ULL) >> 11;
    o->margin = kds_duel_margin(t->margin, r->floor);
    o->floor = r->floor;
    o->max_regress = t->max_regress;
    o->hopeless = kds_duel_hopeless(o->margin, o->floor);
    o->to_the_look = true;
    for (int i = 0; i < t->row_count && o->row_count < KDS_GPU_DUEL_ROWS; i++)
        if (t->rows[i].set == KDS_ROWS_PRODUCTION)
            o->rows[o->row_count++] = i;
}

/* One duel; *record is owned by the caller. Disturbed rounds are the machine's fault, and so is a
 * duel of which nothing came. */
static kds_code fight(kds_lineage_replay *r, const kds_gpu_duel_side sides[2], bool fresh,
                      cJSON **record, kds_err *e)
{
    for (int i = 0; i < TRIES; i++) {
        kds_gpu_duel_options o;
        choose_options(r, &o);
        kds_code code = kds_evaluator_fight(r->evaluator, TAG_DUELS + (uint64_t)r->fights++, sides,
                                            &o, fresh, NULL, e);
        if (code == KDS_OK)
            code = kds_evaluator_finish(r->evaluator, e);
        if (code != KDS_OK)
            return code;
        bool disturbed = *kds_json_str(r->fought, "ended_by", "") != '\0';
        if (r->fought && (!disturbed || i + 1 == TRIES)) {
            *record = r->fought;
            r->fought = NULL;
            return KDS_OK;
        }
    }
    return kds_fail(e, KDS_DEVICE_LOST, "%d duels came to nothing: %s", TRIES, r->failed);
}

/* A kernel that has passed against its copy, KDS_FLOOR_NEEDED times: what they differ by is noise.
 */
static kds_code measure_floor(kds_lineage_replay *r, kds_err *e)
{
    const kds_replay_step *s = &r->steps[r->step_count - 1], *first = &r->steps[0];
    char *copy = NULL;
    size_t len = 0;
    kds_err none = {0};
    double most = 0;
    if (strcmp(s->verdict, "ok") != 0 ||
        kds_duel_rename(s->source, s->len, &copy, &len, &none) != KDS_OK) {
        s = first; /* the baseline has a plan of its own */
        kds_code code = kds_duel_rename(s->source, s->len, &copy, &len, e);
        if (code != KDS_OK)
            return code;
    }
    kds_code code = KDS_OK;
    const kds_gpu_duel_side sides[2] = {{.source = s->source, .len = s->len, .parent = s->parent},
                                        {.source = copy, .len = len, .parent = s->parent}};
    for (int i = 0; i < KDS_FLOOR_NEEDED && code == KDS_OK; i++) {
        cJSON *record = NULL;
        code = fight(r, sides, false, &record, e);
        most = fmax(most, fabs(kds_json_num(record, "estimate", 0)));
        cJSON_Delete(record);
    }
    free(copy);
    r->floor = most;
    if (code == KDS_OK)
        kds_replay_tell(r, "equal kernels differ by up to %.2f %% here (measured)",
                        100 * expm1(most));
    return code;
}

static kds_code fight_again(kds_lineage_replay *r, int i, kds_err *e)
{
    kds_replay_duel *d = &r->duels[i];
    const kds_replay_step *s = &r->steps[d->step];
    const kds_gpu_duel_side sides[2] = {{.source = d->source, .len = d->len, .parent = d->parent},
                                        {.source = s->source, .len = s->len, .parent = s->parent}};
    if (strcmp(s->verdict, "ok") != 0)
        return KDS_OK; /* only what passes the gate is timed */
    kds_code code = fight(r, sides, i == r->claim, &d->fought, e);
    if (code != KDS_OK)
        return code;
    (void)snprintf(d->device, sizeof d->device, "%s", r->fought_on);
    kds_replay_tell(
        r, "#%lld against #%lld: %s, %+.2f %% (%+.2f to %+.2f)", (long long)s->row.decision,
        (long long)d->against, kds_json_str(d->fought, "verdict", "failed"),
        100 * kds_json_num(d->fought, "gain", NAN), 100 * kds_json_num(d->fought, "low", NAN),
        100 * kds_json_num(d->fought, "high", NAN));
    return KDS_OK;
}

kds_code kds_replay_duels_fight(kds_lineage_replay *r, kds_err *e)
{
    kds_code code = r->duel_count ? measure_floor(r, e) : KDS_OK;
    for (int i = 0; i < r->duel_count && code == KDS_OK; i++)
        code = fight_again(r, i, e);
    return code;
}
