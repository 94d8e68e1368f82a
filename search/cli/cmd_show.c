/* `show`: one candidate, the guidance that models wrote, or any stored object. */
#include "search/cli/amdahl.h"
#include "search/cli/command.h"
#include "search/cli/show_surrogate.h"
#include "search/cli/view.h"
#include "search/cli/view_duel.h"
#include "search/cli/view_guidance.h"

#include "search/base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static kds_code write_object(kds_ledger *l, kds_id id, kds_err *e)
{
    char *data = NULL;
    size_t len = 0;
    kds_code code = kds_ledger_get(l, id, &data, &len, e);
    if (code == KDS_OK && fwrite(data, 1, len, stdout) != len)
        code = kds_fail(e, KDS_IO, "writing to stdout failed");
    free(data);
    return code;
}

static kds_code print_stage(void *user, const cJSON *row, kds_err *e)
{
    kds_buf safe;
    (void)user, (void)e;
    const char *message = kds_json_str(row, "message", "");
    kds_buf_init(&safe, 16384);
    kds_text_escape(&safe, message, strlen(message), false);
    printf("  %-13s %-16s %8.3f s%s%s%s%s\n", kds_json_str(row, "stage", ""),
           kds_json_str(row, "verdict", ""), kds_json_num(row, "seconds", 0), safe.len ? "  " : "",
           safe.data, kds_json_str(row, "log", NULL) ? "  log " : "", kds_json_str(row, "log", ""));
    kds_buf_free(&safe);
    return KDS_OK;
}

static kds_code print_call(void *user, const cJSON *row, kds_err *e)
{
    (void)user, (void)e;
    printf("  request %-4.0f %-10s %s  prompt %s  reply %s  %.4f USD\n",
           kds_json_num(row, "request", 0), kds_json_str(row, "outcome", "no reply"),
           kds_json_str(row, "model", ""), kds_json_str(row, "prompt", "-"),
           kds_json_str(row, "reply", "-"), kds_json_num(row, "cost_usd", 0));
    return KDS_OK;
}

static kds_code keep_prediction(void *user, const cJSON *row, kds_err *e)
{
    cJSON **kept = user;
    cJSON_Delete(*kept);
    *kept = cJSON_Duplicate(row, true);
    return *kept ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* What its model predicted: {"prediction", "predicted"}; *out stays NULL if nothing. */
static kds_code load_prediction(kds_ledger *l, const kds_candidate_row *r, cJSON **out, kds_err *e)
{
    cJSON *args = cJSON_CreateArray();
    cJSON_AddItemToArray(args, cJSON_CreateNumber((double)r->decision));
    kds_code code = kds_ledger_select(
        l,
        "SELECT json_extract(body, '$.prediction') AS prediction, json_extract(body, "
        "'$.predicted') AS predicted FROM events WHERE kind = 'CANDIDATE' AND json_extract(body, "
        "'$.decision') = ?1 AND json_extract(body, '$.prediction') IS NOT NULL",
        args, keep_prediction, out, e);
    cJSON_Delete(args);
    return code;
}

/* The prediction beside what came of it: how much faster than its parent it is. */
static kds_code print_prediction(kds_ledger *l, const kds_candidate_row *r, kds_err *e)
{
    kds_candidate_row parent;
    kds_err none = {0};
    cJSON *p = NULL;
    char safe[400];
    kds_code code = load_prediction(l, r, &p, e);
    if (code != KDS_OK || !p)
        return code;
    const char *text = kds_json_str(p, "prediction", "");
    kds_text_escape_into(safe, sizeof safe, text, strlen(text), false);
    printf("predicted   %s", safe);
    if (r->parent[0] && kds_ledger_find(l, r->parent, &parent, &none) == KDS_OK &&
        isfinite(r->fitness) && isfinite(parent.fitness) && parent.fitness > 0)
        printf("  (came out %.3fx its parent, %s)", r->fitness / parent.fitness,
               kds_view_archive_origin(l));
    printf("\n");
    cJSON_Delete(p);
    return KDS_OK;
}

static kds_code show_text(kds_ledger *l, const kds_candidate_row *r, const cJSON *report,
                          bool all_rows, kds_err *e)
{
    cJSON *campaign = NULL, *stop = NULL;
    kds_confirmed confirmed = {0};
    printf("candidate   %s (#%lld)\nmade by     %s%s%s\n", r->id, (long long)r->decision,
           r->operator_name, r->model[0] ? " with " : "", r->model);
    if (r->parent[0])
        printf("parents     %.8s%s%.8s\n", r->parent, r->parent2[0] ? " and " : "", r->parent2);
    kds_buf safe;
    kds_buf_init(&safe, 8192);
    kds_text_escape(&safe, r->hypothesis, strlen(r->hypothesis), false);
    kds_buf_puts(&safe, "\noutcome     ");
    kds_text_escape(&safe, r->why, strlen(r->why), false);
    printf("hypothesis  %s%s\n", safe.data, r->accepted ? " (accepted)" : "");
    kds_buf_free(&safe);
    kds_code code = print_prediction(l, r, e);
    if (code != KDS_OK)
        return code;
    printf("\nstages\n");
    cJSON *args = cJSON_CreateArray();
    cJSON_AddItemToArray(args, cJSON_CreateNumber((double)r->decision));
    code = kds_ledger_select(l,
                             "SELECT stage, verdict, seconds, message, log FROM "
                             "evaluations WHERE decision = ?1 ORDER BY seq",
                             args, print_stage, NULL, e);
    if (code == KDS_OK && r->model[0]) {
        printf("\nmodel calls\n");
        code = kds_ledger_select(
            l,
            "SELECT request, outcome, model, prompt, reply, cost_usd FROM calls WHERE decision = "
            "?1 ORDER BY request",
            args, print_call, NULL, e);
    }
    cJSON_Delete(args);
    if (code == KDS_OK && report)
        code = kds_view_load_campaign(l, &campaign, &stop, e);
    if (code == KDS_OK)
        code = kds_view_load_confirmed(l, r->decision, &confirmed, e);
    if (code == KDS_OK && confirmed.known) {
        printf("\nconfirmed ");
        kds_view_confirmed(stdout, &confirmed);
        printf("\n\n");
        kds_view_confirmed_rows(stdout, &confirmed);
        printf("\nas judged, beside the baseline:");
    }
    kds_confirmed_free(&confirmed);
    if (code == KDS_OK && report) {
        printf("\n");
        kds_view_report(stdout, report, kds_json_at(kds_json_at(campaign, "descriptors"), "axes"),
                        all_rows);
    }
    cJSON_Delete(campaign);
    cJSON_Delete(stop);
    return code;
}

static kds_code show_json(kds_ledger *l, const kds_candidate_row *r, const cJSON *report,
                          kds_err *e)
{
    cJSON *prediction = NULL;
    kds_code code = load_prediction(l, r, &prediction, e);
    if (code != KDS_OK)
        return code;
    cJSON *o = kds_view_candidate_json(r);
    cJSON *copy = report ? cJSON_Duplicate(report, true) : cJSON_CreateNull();
    if (o && copy) {
        cJSON_DeleteItemFromObject(o, "report");
        cJSON_AddItemToObject(o, "report", copy);
    } else
        cJSON_Delete(copy);
    if (o && prediction)
        (void)(kds_json_add_str(o, "prediction", kds_json_str(prediction, "prediction", NULL)) &&
               kds_json_add_num(o, "predicted", kds_json_num(prediction, "predicted", NAN)));
    cJSON_Delete(prediction);
    code = o ? kds_view_json(o, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(o);
    return code;
}

static kds_code show_guidance(kds_ledger *l, bool json, kds_err *e)
{
    cJSON *list = NULL;
    kds_code code = kds_view_load_guidance(l, &list, e);
    if (code == KDS_OK && json)
        code = kds_view_json(list, e);
    else if (code == KDS_OK)
        kds_view_guidance(stdout, list);
    cJSON_Delete(list);
    return code;
}

static kds_code run(const kds_args *args, kds_err *e)
{
    kds_ledger *l = NULL;
    kds_candidate_row row;
    cJSON *report = NULL;
    kds_id id;
    const char *object = kds_args_flag(args, "object");
    kds_code code = kds_ledger_open(&l, args->operands[0], KDS_LEDGER_READ, e);
    if (code != KDS_OK)
        return code;
    if (kds_args_flag(args, "guidance")) {
        code = show_guidance(l, args->json, e);
        goto out;
    }
    if (object) {
        code = kds_id_parse(object, &id)
                   ? write_object(l, id, e)
                   : kds_fail(e, KDS_USAGE, "--object needs an id of 32 digits");
        goto out;
    }
    if (kds_args_flag(args, "surrogate")) {
        code = kds_show_surrogate(l, args->json, e);
        goto out;
    }
    code = kds_ledger_find(l, args->operand_count > 1 ? args->operands[1] : "best", &row, e);
    if (code != KDS_OK)
        goto out;
    if (kds_args_flag(args, "source")) {
        code = kds_id_parse(row.id, &id) ? write_object(l, id, e)
                                         : kds_fail(e, KDS_DAMAGED, "a damaged id");
        goto out;
    }
    code = kds_view_load_report(l, &row, &report, e);
    if (code == KDS_OK && report && !kds_amdahl_add(report, args->operands[0], row.fitness))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = args->json ? show_json(l, &row, report, e)
                          : show_text(l, &row, report, kds_args_flag(args, "rows") != NULL, e);
    if (code == KDS_OK && !args->json)
        kds_amdahl_print(stdout, report);
out:
    cJSON_Delete(report);
    kds_ledger_close(l);
    return code;
}

const kds_command kds_command_show = {
    .name = "show",
    .operands = "ARCHIVE [ID]",
    .min_operands = 1,
    .max_operands = 2,
    .summary = "one candidate: verdict, rows, counters, cell",
    .help = "Shows a candidate by any unique prefix of its id, by \"#N\" for decision N, or "
            "\"best\" (the default).\n\n"
            "With --surrogate it shows how right forecasts of the children's times have been, over "
            "the whole campaign: the simulator's, those that models stated with their replies, and "
            "the two together, by which children that wait for a GPU are ordered. Of pairs of "
            "children, how often the order was right with its interval of 95 %, the rank "
            "correlation, and how far the times were off.",
    .flags = {{"rows", 0, NULL, "list the quick and held-out rows too"},
              {"surrogate", 0, NULL, "how right forecasts have been, instead of a candidate"},
              {"source", 0, NULL, "print its source and nothing else"},
              {"guidance", 0, NULL,
               "list the advice that models wrote for later prompts, how its children did, and "
               "what is in use"},
              {"object", 0, "ID",
               "print a stored object (a prompt, reply, log, report) and nothing else"}},
    .run = run};
