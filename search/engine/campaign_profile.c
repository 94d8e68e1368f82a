/* Profiling again. A profile in passing collects what the cells are made of and what else fits into
 * the same passes. When an operator's children of an elite have brought nothing again and again,
 * its kernel is profiled once more, with every counter of the chip, and the next prompts tell them.
 * On the simulator all counters are there from the beginning. */
#include "search/engine/campaign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_PROFILE_AGAIN (UINT64_C(1) << 60) /* candidates have their decision's number */

/* The recorded report of a candidate; *report stays NULL if it has none. */
static kds_code load_report(kds_campaign *c, const kds_candidate_row *row, cJSON **report,
                            kds_err *e)
{
    kds_id id;
    char *text = NULL;
    size_t len = 0;
    if (!kds_id_parse(row->report, &id))
        return KDS_OK;
    kds_code code = kds_ledger_get(c->ledger, id, &text, &len, e);
    if (code == KDS_OK && !(*report = kds_json_parse_record(text, len)))
        code = kds_fail(e, KDS_DAMAGED, "the report of %.8s is not JSON", row->id);
    free(text);
    return code;
}

static kds_code begin(kds_campaign *c, const kds_cell *cell, kds_err *e)
{
    char hex[KDS_ID_HEX], *source = NULL, *parent = NULL;
    size_t len = 0, parent_len = 0;
    kds_candidate_row row;
    kds_id parent_id;
    cJSON *report = NULL;
    kds_id_format(cell->elite, hex);
    kds_code code = kds_ledger_get(c->ledger, cell->elite, &source, &len, e);
    if (code == KDS_OK)
        code = kds_ledger_find(c->ledger, hex, &row, e);
    if (code == KDS_OK && kds_id_parse(row.parent, &parent_id))
        code = kds_ledger_get(c->ledger, parent_id, &parent, &parent_len, e);
    if (code == KDS_OK)
        code = load_report(c, &row, &report, e);
    if (code == KDS_OK && report) {
        c->profiling_again = true;
        c->profiled_again = cell->elite;
        c->profiled_cell = cell->key;
        code = kds_evaluator_profile_again(c->evaluator, TAG_PROFILE_AGAIN, source, len, parent,
                                           report, e);
    }
    free(source);
    free(parent);
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
