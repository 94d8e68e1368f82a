/* What a prompt tells as guidance, and what is known where it is to be edited. */
#include "search/engine/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECENT 400 /* decisions among which the last ideas are looked for */

static void format_score(char *out, size_t size, const kds_guidance *g)
{
    snprintf(out, size, "%lld child%s, %lld accepted", (long long)g->children,
             g->children == 1 ? "" : "ren", (long long)g->accepted);
}

static kds_code load_text(kds_ledger *ledger, kds_id id, char **out, kds_err *e)
{
    size_t len = 0;
    kds_code code = kds_ledger_get(ledger, id, out, &len, e);
    return code == KDS_OK ? KDS_OK : kds_err_prefix(e, code, "the text of a guidance");
}

/* The others in use, best first; of equals the newest, of which least is known. */
static int list_others(const kds_state *state, kds_id edited, const kds_guidance **out)
{
    int n = 0;
    for (int i = state->guidances.count - 1; i > 0; i--) {
        const kds_guidance *g = &state->guidances.items[i];
        double mean = kds_belief_mean(kds_guidance_belief(g));
        int at = n;
        if (g->standing != KDS_GUIDANCE_IN_USE || kds_id_equal(g->id, edited) ||
            n == KDS_GUIDANCE_MAX)
            continue;
        for (; at > 0 && kds_belief_mean(kds_guidance_belief(out[at - 1])) < mean; at--)
            out[at] = out[at - 1];
        out[at] = g;
        n++;
    }
    return n;
}

/* Keeps an idea with what became of it; rows come newest first. */
static kds_code keep_tried(void *user, const cJSON *row, kds_err *e)
{
    kds_gathered *g = user;
    (void)e;
    kds_note *n = &g->tried[KDS_GUIDE_NOTES - 1 - g->ask.note_count++];
    const cJSON *fitness = kds_json_at(row, "fitness");
    bool accepted = kds_json_int(row, "accepted", 0) != 0;
    char speed[60] = "";
    if (cJSON_IsNumber(fitness))
        snprintf(speed, sizeof speed, ", %.3fx the baseline, %s", fitness->valuedouble,
                 accepted ? "accepted" : "not accepted");
    snprintf(n->hypothesis, sizeof n->hypothesis, "%s", kds_json_str(row, "hypothesis", ""));
    snprintf(n->outcome, sizeof n->outcome, "%s%s: %.160s", kds_json_str(row, "verdict", ""), speed,
             kds_json_str(row, "why", ""));
    return KDS_OK;
}

/* The last ideas of models, oldest first; each as its own decision told it, whichever of equal
 * children came first. */
static kds_code gather_tried(kds_gathered *g, kds_ledger *ledger, kds_err *e)
{
    g->ask.note_count = 0;
    g->tried = calloc(KDS_GUIDE_NOTES, sizeof *g->tried);
    if (!g->tried)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_code code = kds_ledger_select(
        ledger,
        "SELECT * FROM (SELECT d.commit_seq, d.verdict, d.fitness, d.accepted, d.why, "
        "(SELECT json_extract(body, '$.hypothesis') FROM events WHERE seq > d.seq AND kind = "
        "'CANDIDATE' AND json_extract(body, '$.decision') = d.decision ORDER BY seq LIMIT 1) "
        "AS hypothesis FROM decisions d WHERE d.commit_seq IS NOT NULL AND d.candidate IS NOT NULL "
        "AND d.proposer IN ('endpoint', 'mailbox') AND d.decision > (SELECT max(decision) FROM "
        "decisions) - " KDS_STR(RECENT) ") WHERE hypothesis <> '' ORDER BY commit_seq DESC "
                                        "LIMIT " KDS_STR(KDS_GUIDE_NOTES),
        NULL, keep_tried, g, e);
    const kds_note *first = &g->tried[KDS_GUIDE_NOTES - g->ask.note_count];
    for (int i = 0; i < g->ask.note_count; i++)
        g->notes[i] = (kds_ask_note){first[i].hypothesis, first[i].outcome};
    return code;
}

kds_code kds_gather_guidance(kds_gathered *g, const kds_state *state, kds_ledger *ledger, kds_id id,
                             kds_err *e)
{
    const kds_guidance *others[KDS_GUIDANCE_MAX], *known = kds_guidance_find(&state->guidances, id);
    kds_code code = kds_id_is_zero(id) ? KDS_OK : load_text(ledger, id, &g->guidance, e);
    g->ask.guidance.text = g->guidance;
    if (code != KDS_OK || strcmp(g->ask.operator_name, "guide") != 0)
        return code;
    if (g->guidance && known) {
        format_score(g->guidance_score, sizeof g->guidance_score, known);
        g->ask.guidance.score = g->guidance_score;
    }
    format_score(g->unguided, sizeof g->unguided, &state->guidances.items[0]);
    g->ask.unguided = g->unguided;
    int n = list_others(state, id, others);
    for (int i = 0; i < n && code == KDS_OK; i++) {
        code = load_text(ledger, others[i]->id, &g->guidance_texts[i], e);
        format_score(g->guidance_scores[i], sizeof g->guidance_scores[i], others[i]);
        g->guidances[i] = (kds_ask_guidance){g->guidance_texts[i], g->guidance_scores[i]};
    }
    g->ask.guidances = g->guidances;
    g->ask.guidance_count = n;
    return code == KDS_OK ? gather_tried(g, ledger, e) : code;
}
