/* `knowledge`: the notes that models may be told, and which ones a candidate would get. */
#include "search/cli/command.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "eval/descriptor_names.h"
#include "eval/device.h"
#include "prompts/knowledge.h"
#include "search/engine/ask.h"

#include <stdlib.h>
#include <string.h>

/* The note as JSON; NULL: out of memory. */
static cJSON *note_json(const kds_knowledge_note *n)
{
    cJSON *o = cJSON_CreateObject();
    if (o && kds_json_add_str(o, "name", n->name) && kds_json_add_str(o, "title", n->title) &&
        kds_json_add_str(o, "when", kds_expr_text(n->when)) &&
        kds_json_add_str(o, "evidence", n->evidence) && kds_json_add_str(o, "text", n->body))
        return o;
    cJSON_Delete(o);
    return NULL;
}

static kds_code list(const kds_knowledge *k, bool json, kds_err *e)
{
    if (json) {
        cJSON *array = cJSON_CreateArray();
        for (int i = 0; i < k->count; i++)
            cJSON_AddItemToArray(array, note_json(&k->notes[i]));
        kds_code code = kds_view_json(array, e);
        cJSON_Delete(array);
        return code;
    }
    for (int i = 0; i < k->count; i++)
        printf("%s\n  %s\n  shown when %s\n  seen: %s\n\n", k->notes[i].name, k->notes[i].title,
               kds_expr_text(k->notes[i].when), k->notes[i].evidence);
    printf("%d notes; `kdasearch knowledge ARCHIVE CANDIDATE` says which a candidate gets\n",
           k->count);
    return KDS_OK;
}

static void list_names(void)
{
    const kds_knowledge_name *n;
    printf("derived names\n");
    for (int i = 0; (n = kds_knowledge_name_at(i)) != NULL; i++)
        printf("  %-24s %s\n", n->name, n->meaning);
    printf("\ncounters and facts\n");
    for (const char *const *name = kds_descriptor_names(); *name; name++)
        printf("  %s\n", *name);
}

/* Which notes fit a report, and the values that decided. */
static kds_code show(const kds_knowledge *k, const cJSON *report, bool all, bool json, kds_err *e)
{
    char why[400], arch[16] = "";
    kds_err none = {0};
    int fits = 0, capability = 0;
    cJSON *array = json ? cJSON_CreateArray() : NULL;
    if (kds_device_arch(kds_json_str(report, "device", "sim"), arch, sizeof arch, &none) == KDS_OK)
        capability = kds_capability_of(arch);
    for (int i = 0; i < k->count; i++) {
        const kds_knowledge_note *n = &k->notes[i];
        bool fit = kds_knowledge_fits(n, report, capability, why, sizeof why);
        fits += fit;
        if (!json && (fit || all))
            printf("%s %s: %s\n    %s\n    because %s\n", fit ? "*" : " ", n->name, n->title,
                   kds_expr_text(n->when), why);
        cJSON *o = json ? note_json(n) : NULL;
        if (o && kds_json_add_bool(o, "shown", fit) && kds_json_add_str(o, "why", why))
            cJSON_AddItemToArray(array, o);
    }
    if (!json)
        printf("%d of %d notes fit; a prompt gets them in this order as far as --knowledge-bytes "
               "allows\n",
               fits, k->count);
    kds_code code = json ? kds_view_json(array, e) : KDS_OK;
    cJSON_Delete(array);
    return code;
}

static kds_code show_candidate(const kds_knowledge *k, const kds_args *args, kds_err *e)
{
    kds_ledger *l = NULL;
    kds_candidate_row row;
    cJSON *report = NULL;
    kds_code code = kds_ledger_open(&l, args->operands[0], KDS_LEDGER_READ, e);
    if (code == KDS_OK)
        code = kds_ledger_find(l, args->operand_count > 1 ? args->operands[1] : "best", &row, e);
    if (code == KDS_OK)
        code = kds_view_load_report(l, &row, &report, e);
    if (code == KDS_OK && !report)
        code = kds_fail(e, KDS_NOT_FOUND, "candidate %.8s has no report: no rule can be decided",
                        row.id);
    if (code == KDS_OK)
        code = show(k, report, kds_args_flag(args, "all") != NULL, args->json, e);
    cJSON_Delete(report);
    kds_ledger_close(l);
    return code;
}

static kds_code run(const kds_args *args, kds_err *e)
{
    kds_knowledge *k = NULL;
    kds_code code = kds_knowledge_load(&k, kds_knowledge_files, kds_descriptor_name_known, e);
    if (code != KDS_OK)
        return code;
    if (kds_args_flag(args, "names"))
        list_names();
    else if (args->operand_count)
        code = show_candidate(k, args, e);
    else
        code = list(k, args->json, e);
    kds_knowledge_free(k);
    return code;
}

const kds_command kds_command_knowledge = {
    .name = "knowledge",
    .operands = "[ARCHIVE [CANDIDATE]]",
    .max_operands = 2,
    .summary = "notes that models are told; which ones a candidate gets, and why",
    .help = "Without operands lists every note with its rule and what was seen. With an archive "
            "says which notes a\n"
            "prompt about a candidate (the best one) would get, with the numbers that decided.",
    .flags = {{"all", 0, NULL, "list the notes that do not fit too, and why not"},
              {"names", 0, NULL, "list the names that rules may use"}},
    .run = run};
