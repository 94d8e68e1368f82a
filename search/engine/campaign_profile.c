/* Profiling again. A profile in passing collects what the cells are made of and what else fits into
 * the same passes. When an operator's children of an elite have brought nothing again and again,
 * its kernel is profiled once more, with every counter of the chip, and the next prompts tell them.
 * On the simulator all counters are there from the beginning. */
#include "search/engine/campaign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_PROFILE_AGAIN (UINT64_C(1) << 60) /* candidates have their decision's number */

static kds_code begin(kds_campaign *c, const kds_cell *cell, kds_err *e)
{
    kds_recorded k = {.source = NULL};
    kds_id id;
    cJSON *report = NULL;
    kds_code code = kds_recorded_load(c->ledger, cell->elite, &k, e);
    if (code == KDS_OK && kds_id_parse(k.row.report, &id))
        code = kds_ledger_get_json(c->ledger, id, &report, e);
    if (code == KDS_OK && report) {
        c->profiling_again = true;
        c->profiled_again = cell->elite;
        c->profiled_cell = cell->key;
        code = kds_evaluator_profile_again(c->evaluator, TAG_PROFILE_AGAIN, k.source, k.len,
                                           k.parent, report, e);
    }
    kds_recorded_free(&k);
    return code;
}

kds_code kds_campaign_watch_profiles(kds_campaign *c, kds_err *e)
{
    const char *why_not = NULL;
    const kds_cell *cell = kds_state_profile_due(c->state);
    if (!cell || !c->state->measured || !c->selector.endpoint || c->profiling_again || c->closing ||
        !kds_evaluator_counts(c->evaluator, &why_not))
        return KDS_OK;
    return begin(c, cell, e);
}

static kds_code record(kds_campaign *c, const kds_stage *s, const kds_cell *cell, kds_err *e)
{
    kds_id id = {0, 0};
    char key[17], *text = s->report ? kds_json_print(s->report) : NULL;
    kds_code code = s->report && !text ? kds_fail(e, KDS_NO_MEMORY, "out of memory") : KDS_OK;
    if (code == KDS_OK && text)
        code = kds_campaign_put(c, "report", text, strlen(text), &id, e);
    free(text);
    kds_cell_format(cell->key, key);
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_int(o, "decision", cell->elite_decision) &&
              kds_json_add_id(o, "candidate", cell->elite) && kds_json_add_str(o, "cell", key) &&
              kds_json_add_str(o, "verdict", kds_verdict_name(s->verdict)) &&
              kds_json_add_str(o, "message", s->message) &&
              (kds_id_is_zero(id) || kds_json_add_id(o, "report", id)) &&
              kds_json_add_num(o, "seconds", s->seconds);
    if (code == KDS_OK)
        code = ok ? kds_campaign_record_later(c, &(kds_record){"PROFILE", o}, 1, e)
                  : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(o);
    return code;
}

bool kds_campaign_profiled_again(kds_campaign *c, const kds_stage *s)
{
    kds_err err = {0};
    if (s->tag != TAG_PROFILE_AGAIN)
        return false;
    const kds_cell *cell = kds_state_cell(c->state, c->profiled_cell);
    c->profiling_again = false;
    if (!cell || !kds_id_equal(cell->elite, c->profiled_again))
        return true; /* it has lost its place meanwhile */
    kds_code code = record(c, s, cell, &err);
    if (code != KDS_OK)
        kds_campaign_fail(c, code, err.message);
    return true;
}
