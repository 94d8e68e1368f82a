/* The record is folded as it was made; whenever a child is committed with a time, what had been
 * expected of it is in its flight. */
#include "search/engine/surrogate.h"

#include "eval/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct reading {
    kds_surrogate *out;
    kds_state *state;
} reading;

static kds_code add_child(kds_surrogate *s, const kds_surrogate_child *child, kds_err *e)
{
    if (s->count == s->room) {
        int room = s->room ? 2 * s->room : 64;
        kds_surrogate_child *more = realloc(s->children, (size_t)room * sizeof *more);
        if (!more)
            return kds_fail(e, KDS_NO_MEMORY, "out of memory");
        s->children = more;
        s->room = room;
    }
    s->children[s->count++] = *child;
    return KDS_OK;
}

static kds_code read_commit(reading *r, const cJSON *body, kds_err *e)
{
    const kds_flight *f = kds_state_flight(r->state, kds_json_int(body, "decision", -1));
    const char *verdict = kds_json_str(body, "verdict", "");
    double fitness = kds_json_num(body, "fitness", NAN);
    r->out->set_aside += strcmp(verdict, kds_verdict_name(KDS_VERDICT_SET_ASIDE)) == 0;
    if (!f || !isfinite(fitness) || fitness <= 0 ||
        strcmp(verdict, kds_verdict_name(KDS_VERDICT_DUPLICATE)) == 0)
        return KDS_OK;
    kds_surrogate_child child = {f->decision, f->forecast, -log(fitness)};
    if (!r->state->measured) /* there is only what the model said */
        kds_forecast_derive(f, NAN, &child.said);
    return isfinite(child.said.expected) ? add_child(r->out, &child, e) : KDS_OK;
}

static kds_code read_event(void *user, const kds_ledger_event *event, kds_err *e)
{
    reading *r = user;
    cJSON *body = kds_json_parse_record(event->body, event->body_len);
    kds_code code =
        body ? KDS_OK : kds_fail(e, KDS_DAMAGED, "event %lld is not JSON", (long long)event->seq);
    if (code == KDS_OK &&
        (strcmp(event->kind, "ACCEPT") == 0 || strcmp(event->kind, "REJECT") == 0))
        code = read_commit(r, body, e);
    if (code == KDS_OK)
        code = kds_state_apply(r->state, event->kind, body, e);
    cJSON_Delete(body);
    return code;
}

kds_code kds_surrogate_read(kds_surrogate *out, kds_ledger *ledger, kds_err *e)
{
    kds_surrogate s = {.measured = false};
    reading r = {&s, kds_state_create()};
    kds_code code = r.state ? kds_ledger_each_event(ledger, 1, read_event, &r, e)
                            : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK) {
        s.measured = r.state->measured;
        kds_state_weights(r.state, s.weights);
        *out = s;
    } else
        kds_surrogate_free(&s);
    kds_state_free(r.state);
    return code;
}

void kds_surrogate_free(kds_surrogate *s)
{
    free(s->children);
    *s = (kds_surrogate){.count = 0};
}

static double said_by(const kds_surrogate_child *c, kds_surrogate_forecast which)
{
    const double said[] = {c->said.modelled, c->said.simulator, c->said.predicted,
                           c->said.expected};
    return said[which];
}

/* Wilson's interval of 95 %. Pairs that share a child are not independent; of n children at least
 * n / 2 pairs are (W. Hoeffding, "Probability inequalities for sums of bounded random variables",
 * 1963), and no more are counted on. */
static void set_interval(kds_surrogate_score *o)
{
    const double z = 1.959964;
    double n = fmin((double)o->pairs, fmax(o->children / 2, 1)), p = o->right;
    double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    o->low = fmax(middle - half, 0);
    o->high = fmin(middle + half, 1);
}

static void score_pairs(const kds_surrogate *s, kds_surrogate_forecast which,
                        kds_surrogate_score *o)
{
    double right = 0;
    for (int i = 0; i < s->count; i++)
        for (int k = i > KDS_FORECAST_WINDOW - 1 ? i - KDS_FORECAST_WINDOW + 1 : 0; k < i; k++) {
            const kds_surrogate_child *a = &s->children[i], *b = &s->children[k];
            double said = said_by(a, which) - said_by(b, which);
            if (!isfinite(said) || !kds_forecast_differ(a->measured, b->measured))
                continue;
            o->pairs++;
            right += kds_forecast_right(said, a->measured - b->measured);
        }
    if (o->pairs == 0)
        return;
    o->right = right / (double)o->pairs;
    set_interval(o);
}

void kds_surrogate_score_of(const kds_surrogate *s, kds_surrogate_forecast which,
                            kds_surrogate_score *out)
{
    *out = (kds_surrogate_score){
        .right = NAN, .low = NAN, .high = NAN, .tau = NAN, .error = NAN, .bias = NAN};
    size_t room = (size_t)s->count + 1;
    double *said = calloc(2 * room, sizeof *said), *measured = said ? said + room : NULL;
    double size = 0, sum = 0;
    for (int i = 0; said && i < s->count; i++) {
        double value = said_by(&s->children[i], which);
        if (!isfinite(value))
            continue;
        said[out->children] = value;
        measured[out->children++] = s->children[i].measured;
        sum += value - s->children[i].measured;
        size += fabs(value - s->children[i].measured);
    }
    if (out->children > 0) {
        out->error = size / out->children;
        out->bias = sum / out->children;
        out->tau = kds_stats_kendall(said, measured, (size_t)out->children);
        score_pairs(s, which, out);
    }
    free(said);
}
