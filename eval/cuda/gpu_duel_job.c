/* The duel's message: two sources with their compiled code, and how to fight. */
#include "eval/cuda/gpu_job.h"

#include "eval/judge.h"

#include <math.h>

#define SEED_MOST (INT64_C(1) << 53)

static const char *const arm_names[2] = {"incumbent", "child"};

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "cannot build a message: out of memory");
}

static const char *const code_names[2] = {"incumbent_code", "child_code"};

static kds_code pack_arm(kds_frame *out, int arm, const kds_gpu_duel_side *s, kds_err *e)
{
    cJSON *o = cJSON_AddObjectToObject(out->header, arm_names[arm]);
    return o == NULL ? no_memory(e)
                     : kds_program_pack(out, o, code_names[arm], s->source, s->len, s->parent,
                                        s->compiled, e);
}

kds_code kds_gpu_duel_job(kds_frame *out, const kds_gpu_duel_side sides[2],
                          const kds_gpu_duel_options *o, kds_err *e)
{
    cJSON *rows;
    kds_frame_init(out);
    out->header = cJSON_CreateObject();
    cJSON *h = out->header;
    bool good =
        h != NULL && kds_json_add_str(h, "job", "duel") &&
        kds_json_add_int(h, "seed", (int64_t)o->seed) && kds_json_add_num(h, "margin", o->margin) &&
        kds_json_add_num(h, "floor", o->floor) &&
        kds_json_add_num(h, "max_regress", o->max_regress) &&
        kds_json_add_num(h, "hopeless", o->hopeless) &&
        kds_json_add_num(h, "slowdown", o->slowdown) && kds_json_add_bool(h, "warm", o->warm) &&
        kds_json_add_bool(h, "to_the_look", o->to_the_look) &&
        (rows = cJSON_AddArrayToObject(h, "rows")) != NULL;
    for (int i = 0; good && i < o->row_count; i++)
        good = cJSON_AddItemToArray(rows, cJSON_CreateNumber(o->rows[i]));
    kds_code code = good ? KDS_OK : no_memory(e);
    for (int arm = 0; code == KDS_OK && arm < 2; arm++)
        code = pack_arm(out, arm, &sides[arm], e);
    if (code != KDS_OK)
        kds_frame_free(out);
    return code;
}

/* A share from 0 to 1 (not a number if it is absent or anything else). */
static bool share(const cJSON *h, const char *key, double *out)
{
    *out = kds_json_num(h, key, NAN);
    return *out >= 0 && *out <= 1;
}

static kds_code read_options(const kds_frame *job, const kds_task *t, kds_gpu_duel_options *o,
                             kds_err *e)
{
    const cJSON *h = job->header, *rows = kds_json_at(h, "rows"), *row = NULL;
    int64_t seed = kds_json_int(h, "seed", -1);
    int count = cJSON_IsArray(rows) ? cJSON_GetArraySize(rows) : 0;
    if (seed < 0 || seed > SEED_MOST)
        return kds_fail(e, KDS_PROTOCOL, "a duel job without a seed");
    if (count < 1 || count > KDS_GPU_DUEL_ROWS)
        return kds_fail(e, KDS_PROTOCOL, "a duel job with %d rows; from 1 to %d are possible",
                        count, KDS_GPU_DUEL_ROWS);
    if (!share(h, "margin", &o->margin) || !share(h, "floor", &o->floor) ||
        !share(h, "max_regress", &o->max_regress) || !share(h, "hopeless", &o->hopeless) ||
        !share(h, "slowdown", &o->slowdown))
        return kds_fail(e, KDS_PROTOCOL, "a duel job with a share that is none");
    o->seed = (uint64_t)seed;
    o->warm = kds_json_bool(h, "warm", false);
    o->to_the_look = kds_json_bool(h, "to_the_look", false);
    cJSON_ArrayForEach(row, rows)
    {
        double at = cJSON_IsNumber(row) ? row->valuedouble : -1;
        if (!(at >= 0 && at < t->row_count) || at != floor(at))
            return kds_fail(e, KDS_PROTOCOL, "a duel job with a row that the task does not have");
        for (int i = 0; i < o->row_count; i++)
            if (o->rows[i] == (int)at)
                return kds_fail(e, KDS_PROTOCOL, "a duel job with row %d twice", (int)at);
        o->rows[o->row_count++] = (int)at;
    }
    return KDS_OK;
}

static kds_code read_arm(const kds_frame *job, const kds_task *t, int arm, kds_plan **plan,
                         kds_compiled **compiled, kds_err *e)
{
    kds_code code = kds_program_unpack(job, kds_json_at(job->header, arm_names[arm]),
                                       code_names[arm], t, plan, compiled, e);
    return code == KDS_OK ? KDS_OK : kds_err_prefix(e, code, "the %s", arm_names[arm]);
}

kds_code kds_gpu_duel_answer(kds_gpu_duels *g, const kds_frame *job, const kds_task *t,
                             cJSON *reply, bool *spoilt, kds_err *e)
{
    kds_gpu_duel_options o = {0};
    kds_plan *plans[2] = {NULL, NULL};
    kds_compiled *compiled[2] = {NULL, NULL};
    kds_code code = read_options(job, t, &o, e);
    for (int arm = 0; code == KDS_OK && arm < 2; arm++)
        code = read_arm(job, t, arm, &plans[arm], &compiled[arm], e);
    if (code == KDS_OK) {
        kds_gpu_duel_arm arms[2] = {{plans[0], compiled[0]}, {plans[1], compiled[1]}};
        code = kds_gpu_duel(g, arms, &o, reply, spoilt, e);
        if (!kds_json_add_bool(reply, "spoilt", *spoilt) && code == KDS_OK)
            code = no_memory(e);
    }
    for (int arm = 0; arm < 2; arm++) {
        kds_compiled_free(compiled[arm]);
        kds_plan_free(plans[arm]);
    }
    return code;
}
