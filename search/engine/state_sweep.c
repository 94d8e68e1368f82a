/* Sweeps as the record has them. A candidate that is accepted with a structure that was not seen
 * before begins one: its tunables are to be swept, whoever made it. What is proposed next is
 * derived in select_sweep.c; decisions name the structure, the rung, and the sweeps that had come
 * to their end. */
#include "search/engine/state_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static kds_sweep *find_sweep(kds_state *s, kds_id structure)
{
    for (int i = 0; i < s->sweep_count; i++)
        if (kds_id_equal(s->sweeps[i].structure, structure))
            return &s->sweeps[i];
    return NULL;
}

static void end_sweep(kds_state *s, kds_id structure)
{
    kds_sweep *x = find_sweep(s, structure);
    if (!x)
        return;
    size_t after = (size_t)(s->sweeps + s->sweep_count - (x + 1));
    memmove(x, x + 1, after * sizeof *x);
    s->sweep_count--;
}

void kds_state_sweep_decided(kds_state *s, kds_flight *f, const cJSON *body)
{
    kds_id structure;
    const cJSON *item = NULL, *target = kds_json_at(body, "target");
    cJSON_ArrayForEach(item, kds_json_at(body, "swept"))
    {
        if (cJSON_IsString(item) && kds_id_parse(item->valuestring, &structure))
            end_sweep(s, structure);
    }
    if (!kds_json_id(target, "sweep", &structure))
        return;
    s->last_sweep = f->decision;
    kds_sweep *x = find_sweep(s, structure);
    if (!x || x->count == (int)(sizeof x->members / sizeof *x->members))
        return;
    f->sweep = structure;
    f->island = x->island;
    x->members[x->count++] =
        (kds_sweep_member){.decision = f->decision, .rung = (int)kds_json_int(target, "rung", 0)};
}

static kds_sweep_member *member_of(kds_state *s, const kds_flight *f)
{
    kds_sweep *x = kds_id_is_zero(f->sweep) ? NULL : find_sweep(s, f->sweep);
    for (int i = 0; x && i < x->count; i++)
        if (x->members[i].decision == f->decision)
            return &x->members[i];
    return NULL;
}

void kds_state_sweep_proposed(kds_state *s, const kds_flight *f)
{
    kds_sweep_member *m = member_of(s, f);
    if (m)
        m->candidate = f->candidate;
}

static kds_code begin_sweep(kds_state *s, const kds_flight *f, double fitness, kds_err *e)
{
    if (s->sweep_count == s->sweep_room) {
        int room = s->sweep_room ? s->sweep_room * 2 : 4;
        kds_sweep *more = realloc(s->sweeps, (size_t)room * sizeof *more);
        if (!more)
            return kds_fail(e, KDS_NO_MEMORY, "out of memory while reading the record");
        s->sweeps = more;
        s->sweep_room = room;
    }
    kds_sweep *x = &s->sweeps[s->sweep_count++];
    memset(x, 0, sizeof *x);
    x->structure = f->structure;
    x->island = f->island;
    x->members[x->count++] = (kds_sweep_member){
        .candidate = f->candidate, .decision = f->decision, .judged = true, .fitness = fitness};
    return KDS_OK;
}

kds_code kds_state_sweep_committed(kds_state *s, const kds_flight *f, const cJSON *body,
                                   bool accepted, kds_err *e)
{
    /* what competed for its cell, or is the same as an earlier one, has a fitness that counts */
    bool counts = kds_json_at(body, "bins") || kds_json_str(body, "duplicate_of", NULL);
    double fitness = counts ? kds_json_num(body, "fitness", 0) : 0;
    kds_sweep_member *m = member_of(s, f);
    if (m) {
        m->judged = true;
        m->fitness = isfinite(fitness) ? fitness : 0;
        return KDS_OK;
    }
    if (!accepted || kds_id_is_zero(f->structure) || kds_map_get(s->structures, f->structure) >= 0)
        return KDS_OK;
    if (!kds_map_put(s->structures, f->structure, f->decision))
        return kds_fail(e, KDS_NO_MEMORY, "out of memory while reading the record");
    return begin_sweep(s, f, fitness, e);
}
