/* Guidance as the fold of the record has it, with the texts. They are a model's: escaped. */
#include "search/cli/view_guidance.h"

#include "search/base/text.h"
#include "search/cli/table.h"
#include "search/engine/state_fold.h"

#include <stdlib.h>
#include <string.h>

static bool add_id(cJSON *o, const char *key, kds_id id)
{
    return kds_id_is_zero(id) ? kds_json_add_str(o, key, NULL) : kds_json_add_id(o, key, id);
}

static kds_code add_guidance(cJSON *list, kds_ledger *l, const kds_guidance *g, kds_err *e)
{
    char *text = NULL;
    size_t len = 0;
    kds_code code = kds_id_is_zero(g->id) ? KDS_OK : kds_ledger_get(l, g->id, &text, &len, e);
    if (code != KDS_OK)
        return code;
    cJSON *o = cJSON_CreateObject();
    bool ok = o && add_id(o, "id", g->id) && add_id(o, "parent", g->parent) &&
              kds_json_add_str(o, "model", g->model[0] ? g->model : NULL) &&
              (g->decision < 0 ? kds_json_add_str(o, "decision", NULL)
                               : kds_json_add_int(o, "decision", g->decision)) &&
              kds_json_add_int(o, "children", g->children) &&
              kds_json_add_int(o, "accepted", g->accepted) &&
              kds_json_add_str(o, "state", kds_guidance_standing_name(g->standing)) &&
              kds_json_add_str(o, "text", text ? text : "") && cJSON_AddItemToArray(list, o);
    free(text);
    if (ok)
        return KDS_OK;
    cJSON_Delete(o);
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

kds_code kds_view_load_guidance(kds_ledger *l, cJSON **out, kds_err *e)
{
    cJSON *campaign = NULL, *settings = NULL, *list = cJSON_CreateArray();
    kds_state *s = kds_state_create();
    kds_code code = s && list ? kds_state_fold(l, s, &campaign, &settings, e)
                              : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    for (int i = 0; code == KDS_OK && i < s->guidances.count; i++)
        code = add_guidance(list, l, &s->guidances.items[i], e);
    if (code == KDS_OK)
        *out = list;
    else
        cJSON_Delete(list);
    cJSON_Delete(campaign);
    cJSON_Delete(settings);
    kds_state_free(s);
    return code;
}

int kds_view_guidance_count(const cJSON *list, const char *state)
{
    int n = 0;
    const cJSON *o;
    cJSON_ArrayForEach(o, list) n +=
        kds_json_str(o, "id", NULL) && strcmp(kds_json_str(o, "state", ""), state) == 0;
    return n;
}

/* The text, indented. */
static void print_text(FILE *out, const char *text)
{
    kds_buf safe;
    while (*text) {
        size_t n = strcspn(text, "\n");
        kds_buf_init(&safe, 16 * n + 1);
        kds_text_escape(&safe, text, n, true);
        fprintf(out, "    %s\n", safe.data);
        kds_buf_free(&safe);
        text += n + (text[n] != '\0');
    }
}

void kds_view_guidance(FILE *out, const cJSON *list)
{
    const char *columns[] = {"guidance", ">children", ">accepted", ">yield %", "state",
                             "decision", "parent",    "model",     NULL};
    const cJSON *o;
    kds_table *t = kds_table_create(columns);
    cJSON_ArrayForEach(o, list)
    {
        double children = kds_json_num(o, "children", 0), accepted = kds_json_num(o, "accepted", 0);
        const char *id = kds_json_str(o, "id", NULL), *none = id ? "none" : "-";
        kds_table_cell(t, "%.8s", id ? id : "none");
        kds_table_cell(t, "%.0f", children);
        kds_table_cell(t, "%.0f", accepted);
        kds_table_cell(t, "%.1f", children > 0 ? 100 * accepted / children : 0);
        kds_table_cell(t, "%s", kds_json_str(o, "state", ""));
        if (id)
            kds_table_cell(t, "#%.0f", kds_json_num(o, "decision", 0));
        else
            kds_table_cell(t, "-");
        kds_table_cell(t, "%.8s", kds_json_str(o, "parent", none));
        kds_table_cell(t, "%s", kds_json_str(o, "model", "-"));
    }
    kds_table_print(t, out);
    kds_table_free(t);
    cJSON_ArrayForEach(o, list)
    {
        if (!kds_json_str(o, "id", NULL))
            continue;
        fprintf(out, "\n%.8s (%s)\n", kds_json_str(o, "id", ""), kds_json_str(o, "state", ""));
        print_text(out, kds_json_str(o, "text", ""));
    }
}
