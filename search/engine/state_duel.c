/* What a duel changes in the state: the flight that it was for knows its outcome, and duels of
 * equals tell what is noise. */
#include "search/engine/state_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool parse_purpose(const char *name, kds_bout_purpose *out)
{
    for (int i = 0; i < KDS_BOUT_PURPOSES; i++)
        if (strcmp(name, kds_bout_purpose_name((kds_bout_purpose)i)) == 0) {
            *out = (kds_bout_purpose)i;
            return true;
        }
    return false;
}

static bool parse_end(const cJSON *body, kds_bout *b)
{
    const char *verdict = kds_json_str(body, "verdict", ""),
               *failed = kds_json_str(body, "failed", "");
    if (strcmp(failed, "child") == 0) {
        b->end = KDS_BOUT_CHILD_FAILED;
        return kds_verdict_parse(kds_json_str(body, "failure", ""), &b->verdict);
    }
    if (strcmp(failed, "incumbent") == 0)
        b->end = KDS_BOUT_INCUMBENT_FAILED;
    else if (*failed)
        b->end = KDS_BOUT_NOT_FOUGHT;
    else if (*kds_json_str(body, "ended_by", ""))
        b->end = KDS_BOUT_DISTURBED;
    else if (strcmp(verdict, "faster") == 0 || strcmp(verdict, "not_faster") == 0 ||
             strcmp(verdict, "unresolved") == 0) {
        b->end = KDS_BOUT_DECIDED;
        b->faster = strcmp(verdict, "faster") == 0;
        b->gain = kds_json_num(body, "gain", NAN);
        b->low = kds_json_num(body, "low", NAN);
        b->high = kds_json_num(body, "high", NAN);
        return isfinite(b->gain) && b->gain > -1;
    } else
        return false;
    return true;
}

static void count_equals(kds_state *s, const kds_bout *b)
{
    if (b->end != KDS_BOUT_DECIDED)
        return;
    s->floors[s->floor_count++ % KDS_FLOOR_BOUTS] = fabs(log1p(b->gain));
    s->floor_epoch++;
}

kds_code kds_state_apply_duel(kds_state *s, const cJSON *body, kds_err *e)
{
    kds_bout b = {0};
    int64_t decision = kds_json_int(body, "decision", -1);
    if (!parse_purpose(kds_json_str(body, "purpose", ""), &b.purpose) ||
        !kds_json_id(body, "incumbent", &b.incumbent) || !parse_end(body, &b))
        return kds_fail(e, KDS_DAMAGED, "a DUEL event has no purpose, incumbent or outcome");
    snprintf(b.device, sizeof b.device, "%s", kds_json_str(body, "device", ""));
    snprintf(b.why, sizeof b.why, "%.*s", (int)sizeof b.why - 1, kds_json_str(body, "why", ""));
    s->bouts++;
    s->since_hidden++;
    if (b.purpose == KDS_BOUT_FLOOR) {
        count_equals(s, &b);
        return KDS_OK;
    }
    if (b.purpose == KDS_BOUT_HIDDEN) {
        s->since_hidden = 0;
        s->hidden++;
        s->hidden_faster += b.end == KDS_BOUT_DECIDED && b.faster;
        return KDS_OK;
    }
    kds_flight *f = kds_state_flight(s, decision);
    if (!f)
        return kds_fail(e, KDS_DAMAGED, "a duel names decision %lld, which is not under way",
                        (long long)decision);
    if (f->bout_count == KDS_FLIGHT_BOUTS)
        return kds_fail(e, KDS_DAMAGED, "decision %lld has more than %d duels", (long long)decision,
                        KDS_FLIGHT_BOUTS);
    f->bouts[f->bout_count++] = b;
    return KDS_OK;
}
