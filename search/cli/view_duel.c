/* Every number here is from the record of the duel that confirmed the kernel, and from no other
 * session. */
#include "search/cli/view_duel.h"

#include "search/cli/table.h"
#include "search/engine/state_fold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static kds_code keep_accept(void *user, const cJSON *row, kds_err *e)
{
    cJSON **out = user;
    const char *body = kds_json_str(row, "body", "");
    cJSON_Delete(*out);
    *out = kds_json_parse_record(body, strlen(body));
    return *out ? KDS_OK : kds_fail(e, KDS_DAMAGED, "an event is not JSON");
}

static kds_code keep_record(void *user, const cJSON *row, kds_err *e)
{
    (void)e;
    (void)kds_json_id(row, "report", user);
    return KDS_OK;
}

static kds_code select_by(kds_ledger *l, const char *sql, int64_t decision,
                          kds_code (*keep)(void *, const cJSON *, kds_err *), void *user,
                          kds_err *e)
{
    cJSON *args = cJSON_CreateArray(), *number = cJSON_CreateNumber((double)decision);
    if (!args || !number || !cJSON_AddItemToArray(args, number)) {
        cJSON_Delete(number);
        cJSON_Delete(args);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    kds_code code = kds_ledger_select(l, sql, args, keep, user, e);
    cJSON_Delete(args);
    return code;
}

kds_code kds_view_load_confirmed(kds_ledger *l, int64_t decision, kds_confirmed *out, kds_err *e)
{
    cJSON *accept = NULL;
    kds_id id = {0, 0};
    memset(out, 0, sizeof *out);
    kds_code code = select_by(l,
                              "SELECT body FROM events WHERE kind = 'ACCEPT' AND seq = (SELECT "
                              "commit_seq FROM decisions WHERE decision = ?1)",
                              decision, keep_accept, &accept, e);
    out->speedup = kds_json_num(accept, "speedup", NAN);
    out->low = kds_json_num(accept, "speedup_low", NAN);
    out->high = kds_json_num(accept, "speedup_high", NAN);
    cJSON_Delete(accept);
    if (code != KDS_OK || !isfinite(out->speedup))
        return code;
    code = select_by(l,
                     "SELECT report FROM evaluations WHERE decision = ?1 AND stage IN ('duel "
                     "confirm', 'duel report') AND report IS NOT NULL ORDER BY seq DESC LIMIT 1",
                     decision, keep_record, &id, e);
    if (code == KDS_OK && !kds_id_is_zero(id))
        code = kds_ledger_get_json(l, id, &out->record, e);
    out->known = out->record != NULL;
    return code;
}

void kds_confirmed_free(kds_confirmed *c)
{
    cJSON_Delete(c->record);
    c->record = NULL;
}

void kds_view_confirmed(FILE *out, const kds_confirmed *c)
{
    fprintf(out, "%.3fx the baseline [%.3f, %.3f], measured in a duel of its own", c->speedup,
            c->low, c->high);
}

static double cold_us(const cJSON *arm, const char *mode, const char *key)
{
    return kds_json_num(kds_json_at(arm, mode), key, NAN);
}

static void number(kds_table *t, double value)
{
    if (isfinite(value))
        kds_table_cell(t, "%.2f", value);
    else
        kds_table_cell(t, "-");
}

static void ratio(kds_table *t, double over, double under)
{
    if (isfinite(over) && isfinite(under) && under > 0)
        kds_table_cell(t, "%.3fx", over / under);
    else
        kds_table_cell(t, "-");
}

void kds_view_confirmed_rows(FILE *out, const kds_confirmed *c)
{
    static const char *const modes[][2] = {
        {"cold", "device_us"}, {"warm", "device_us"}, {"cold", "wall_us"}};
    const char *columns[] = {"row (measured)",
                             ">baseline us",
                             ">us",
                             ">speed-up",
                             ">warm: baseline",
                             ">us",
                             ">speed-up",
                             ">wall: baseline",
                             ">us",
                             ">speed-up",
                             NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, kds_json_at(c->record, "rows"))
    {
        const cJSON *base = kds_json_at(row, "incumbent"), *child = kds_json_at(row, "child");
        kds_table_cell(t, "%s", kds_json_str(row, "row", "?"));
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
            double before = cold_us(base, modes[i][0], modes[i][1]),
                   after = cold_us(child, modes[i][0], modes[i][1]);
            number(t, before);
            number(t, after);
            ratio(t, before, after);
        }
    }
    kds_table_print(t, out);
    kds_table_free(t);
    fprintf(out, "times are medians of device time on a cold L2; wall: from launch to "
                 "synchronised\n");
}

kds_code kds_view_load_noise(kds_ledger *l, cJSON **out, kds_err *e)
{
    cJSON *campaign = NULL, *settings = NULL;
    kds_state *s = kds_state_create();
    kds_code code = s ? kds_state_fold(l, s, &campaign, &settings, e)
                      : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    *out = NULL;
    if (code == KDS_OK && s->bouts > 0) {
        cJSON *o = cJSON_CreateObject();
        bool ok = o && kds_json_add_num(o, "floor", expm1(kds_state_floor(s))) &&
                  kds_json_add_int(o, "duels", s->bouts) &&
                  kds_json_add_int(o, "equals", s->floor_count) &&
                  kds_json_add_int(o, "hidden", s->hidden) &&
                  kds_json_add_int(o, "hidden_faster", s->hidden_faster) &&
                  kds_json_add_int(o, "retired", s->retired);
        if (!ok) {
            cJSON_Delete(o);
            code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
        } else
            *out = o;
    }
    cJSON_Delete(campaign);
    cJSON_Delete(settings);
    kds_state_free(s);
    return code;
}
