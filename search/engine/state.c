/* Life, lookup and hashing of the search state. How events change it is in state_apply.c. */
#include "search/engine/state.h"
#include "search/engine/state_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kds_state *kds_state_create(void)
{
    kds_state *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->rules = KDS_RULES;
    s->last_accept = -1;
    s->last_sweep = -2;
    s->ids = kds_map_create();
    s->norms = kds_map_create();
    s->programs = kds_map_create();
    s->proposed = kds_map_create();
    s->structures = kds_map_create();
    if (!s->ids || !s->norms || !s->programs || !s->proposed || !s->structures ||
        !kds_guidances_init(&s->guidances)) {
        kds_state_free(s);
        return NULL;
    }
    return s;
}

void kds_state_free(kds_state *s)
{
    if (!s)
        return;
    free(s->cells);
    for (int i = 0; i < KDS_ISLANDS; i++)
        free(s->islands[i].cells);
    free(s->cell_index);
    free(s->flights);
    free(s->repairs);
    kds_guidances_free(&s->guidances);
    kds_map_free(s->ids);
    kds_map_free(s->norms);
    kds_map_free(s->programs);
    kds_map_free(s->proposed);
    kds_map_free(s->structures);
    free(s->sweeps);
    free(s);
}

kds_flight *kds_state_flight(const kds_state *s, int64_t decision)
{
    for (int i = 0; i < s->flight_count; i++)
        if (s->flights[i].decision == decision)
            return &s->flights[i];
    return NULL;
}

bool kds_flight_guides(const kds_flight *f)
{
    return strcmp(f->operator_name, "guide") == 0;
}

bool kds_proposer_is_model(const char *proposer)
{
    return strcmp(proposer, "endpoint") == 0 || strcmp(proposer, "mailbox") == 0;
}

const char *kds_bout_purpose_name(kds_bout_purpose p)
{
    static const char *const names[] = {"cell",   "baseline", "best",   "confirm",
                                        "report", "floor",    "hidden", "review"};
    return names[p];
}

double kds_state_floor(const kds_state *s)
{
    double most = 0;
    for (int i = 0; i < KDS_FLOOR_BOUTS && i < s->floor_count; i++)
        most = s->floors[i] > most ? s->floors[i] : most;
    return most;
}

uint64_t kds_state_bout_seed(const kds_state *s)
{
    uint64_t numbers[2] = {s->seed, (uint64_t)s->challenged};
    return kds_hash64(numbers, sizeof numbers, 0x6b64732d6475656cULL) >> 11;
}

void kds_cell_format(uint64_t key, char out[17])
{
    snprintf(out, 17, "%016" PRIx64, key);
}

bool kds_cell_parse(const char *hex, uint64_t *out)
{
    uint64_t value = 0;
    if (!hex || strlen(hex) != 16)
        return false;
    for (int i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, hex[i]);
        if (!at)
            return false;
        value = value << 4 | (uint64_t)(at - digits);
    }
    *out = value;
    return true;
}

static void hash_field(kds_hasher *h, const cJSON *value)
{
    char *text = kds_json_print(value);
    if (text)
        kds_hasher_add(h, text, strlen(text) + 1);
    free(text);
}

kds_id kds_state_chain(kds_id previous, const cJSON *decision)
{
    static const char *const fields[] = {"decision", "operator", "proposer", "model",
                                         "parents",  "cell",     "target",   NULL};
    kds_hasher *h = kds_hasher_create();
    kds_id id = {0, 0};
    if (!h)
        return id;
    kds_hasher_add(h, &previous, sizeof previous);
    for (int i = 0; fields[i]; i++)
        hash_field(h, kds_json_at(decision, fields[i]));
    const cJSON *guidance = kds_json_at(decision, "guidance"),
                *swept = kds_json_at(decision, "swept");
    if (guidance) /* decisions of models, from rules 2 on */
        hash_field(h, guidance);
    if (swept) /* where sweeps are over, from rules 2 on */
        hash_field(h, swept);
    id = kds_hasher_id(h);
    kds_hasher_free(h);
    return id;
}

static void hash_i64(kds_hasher *h, int64_t value)
{
    kds_hasher_add(h, &value, sizeof value);
}

double kds_state_tokens(const kds_state *s)
{
    return (double)s->prompt_tokens + (double)s->completion_tokens + s->assumed_tokens;
}

static void hash_cell(kds_hasher *h, const kds_cell *c)
{
    hash_i64(h, (int64_t)c->key);
    hash_i64(h, c->visits);
    hash_i64(h, c->improvements);
    hash_i64(h, c->elite_decision);
    kds_hasher_add(h, &c->elite, sizeof c->elite);
    kds_hasher_add(h, &c->fitness, sizeof c->fitness);
    kds_hasher_add(h, c->fruitless, sizeof c->fruitless);
}

static void hash_rules_2(kds_hasher *h, const kds_state *s)
{
    for (int i = 0; i < s->arm_count; i++) {
        double numbers[] = {s->arms[i].committed, s->arms[i].reward, s->arms[i].cost};
        kds_hasher_add(h, numbers, sizeof numbers);
    }
    for (int i = 0; i < s->sweep_count; i++)
        for (int k = 0; k < s->sweeps[i].count; k++) {
            const kds_sweep_member *m = &s->sweeps[i].members[k];
            hash_i64(h, m->decision);
            hash_i64(h, m->rung);
            kds_hasher_add(h, &m->fitness, sizeof m->fitness);
        }
}

kds_id kds_state_hash(const kds_state *s)
{
    kds_hasher *h = kds_hasher_create();
    kds_id id = {0, 0};
    if (!h)
        return id;
    hash_i64(h, s->decisions);
    hash_i64(h, s->committed);
    hash_i64(h, s->evaluated);
    hash_i64(h, s->accepted);
    if (s->measured) {
        hash_i64(h, s->bouts);
        hash_i64(h, s->retired);
    }
    kds_hasher_add(h, &s->chain, sizeof s->chain);
    for (int i = 0; i < s->cell_count; i++)
        hash_cell(h, &s->cells[i]);
    for (int i = 0; i < KDS_ISLANDS; i++)
        for (int k = 0; k < s->islands[i].count; k++)
            hash_cell(h, &s->islands[i].cells[k]);
    for (int i = 0; i < s->flight_count; i++)
        hash_i64(h, s->flights[i].decision);
    for (int i = 0; i < s->repair_count; i++)
        kds_hasher_add(h, &s->repairs[i].candidate, sizeof s->repairs[i].candidate);
    for (int i = 0; i < s->operator_count; i++) {
        hash_i64(h, s->operators[i].tried);
        hash_i64(h, s->operators[i].accepted);
    }
    hash_rules_2(h, s);
    kds_hasher_add(h, &s->best, sizeof s->best);
    kds_guidances_hash(&s->guidances, h);
    id = kds_hasher_id(h);
    kds_hasher_free(h);
    return id;
}
