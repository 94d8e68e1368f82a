/* Scripts: reading them from JSON, and choosing the answer to a request. */
#include "search/base/file.h"
#include "search/base/json.h"
#include "search/base/random.h"
#include "search/base/text.h"
#include "tests/tools/chat_server.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_CAP 256

struct chat_script_file {
    kds_json_doc *doc;
    chat_script script;
    chat_step steps[STEPS_CAP];
    char *texts[STEPS_CAP]; /* read from files */
};

static const struct {
    const char *name;
    bool transient;
} ANSWERS[] = {
#define CHAT_X(upper, lower, transient) {#lower, transient},
    CHAT_ANSWERS(CHAT_X)
#undef CHAT_X
};

const char *chat_answer_name(chat_answer a)
{
    return (unsigned)a < CHAT_ANSWER_COUNT ? ANSWERS[a].name : "unknown";
}

bool chat_answer_is_transient(const chat_step *step)
{
    if (step->passing || step->answer != CHAT_STATUS)
        return step->passing || ANSWERS[step->answer].transient;
    return step->status == 408 || step->status == 409 || step->status == 425 ||
           step->status == 429 || step->status >= 500;
}

/* Draws by weight among the steps that are transient, those that are not, or all (-1). */
static const chat_step *draw(const chat_script *s, kds_random *r, int transient)
{
    double weights[STEPS_CAP];
    for (int i = 0; i < s->step_count; i++) {
        bool fits = transient < 0 || chat_answer_is_transient(&s->steps[i]) == (transient == 1);
        weights[i] = fits ? s->steps[i].weight : 0;
    }
    return &s->steps[kds_random_weighted(r, weights, (size_t)s->step_count)];
}

const chat_step *chat_script_choose(const chat_script *s, uint64_t number, uint64_t hash,
                                    uint64_t seen)
{
    static const chat_step PLAIN = {.answer = CHAT_OK, .mode = CHAT_MODE_EDIT};
    double transient = 0, all = 0;
    if (s->step_count == 0)
        return &PLAIN;
    if (!s->odds) {
        uint64_t left = s->by_body ? seen : number;
        for (int i = 0; i < s->step_count; i++) {
            uint64_t repeat = s->steps[i].repeat > 0 ? (uint64_t)s->steps[i].repeat : 1;
            if (left <= repeat)
                return &s->steps[i];
            left -= repeat;
        }
        return &s->steps[s->step_count - 1];
    }
    kds_random r = kds_random_stream(s->seed, number, "answer");
    if (!s->by_body)
        return draw(s, &r, -1);
    for (int i = 0; i < s->step_count; i++) {
        all += s->steps[i].weight;
        transient += chat_answer_is_transient(&s->steps[i]) ? s->steps[i].weight : 0;
    }
    r = kds_random_stream(s->seed, hash + seen * 0x9e3779b97f4a7c15u, "transient");
    if (transient > 0 && kds_random_unit(&r) * all < transient)
        return draw(s, &r, 1);
    r = kds_random_stream(s->seed, hash, "answer");
    return draw(s, &r, 0);
}

static kds_code read_answer(kds_json_doc *doc, const cJSON *object, const char *name,
                            chat_step *step, kds_err *e)
{
    int64_t status;
    for (int i = 0; i < CHAT_ANSWER_COUNT; i++)
        if (strcmp(name, ANSWERS[i].name) == 0) {
            step->answer = (chat_answer)i;
            return KDS_OK;
        }
    if (!kds_text_parse_i64(name, &status) || status < 100 || status > 599)
        return kds_json_fail(doc, object, e, "there is no answer '%s'", name);
    step->answer = CHAT_STATUS;
    step->status = (int)status;
    return KDS_OK;
}

static kds_code read_step(chat_script_file *f, int i, const cJSON *object, kds_err *e)
{
    chat_step *step = &f->steps[i];
    kds_json_reader r;
    kds_json_reader_init(&r, f->doc, object, e);
    const char *answer = kds_json_opt_string(&r, "answer", "ok");
    const char *mode = kds_json_opt_string(&r, "mode", "edit");
    const char *path = kds_json_opt_string(&r, "file", NULL);
    step->status = (int)kds_json_opt_int(&r, "status", 0, 599, 0);
    step->retry_after = kds_json_opt_string(&r, "retry_after", NULL);
    step->text = kds_json_opt_string(&r, "text", NULL);
    step->type = kds_json_opt_string(&r, "type", NULL);
    step->delay_ms = (int)kds_json_opt_int(&r, "delay_ms", 0, 600000, 0);
    step->bytes = kds_json_opt_int(&r, "bytes", 0, 64 << 20, 0);
    step->weight = kds_json_opt_double(&r, "weight", 0, 1e9, 1);
    step->repeat = (int)kds_json_opt_int(&r, "repeat", 1, 1000000, 1);
    step->passing = kds_json_opt_bool(&r, "passing", false);
    kds_code code = kds_json_done(&r);
    if (code == KDS_OK)
        code = read_answer(f->doc, object, answer, step, e);
    if (code != KDS_OK)
        return code;
    step->mode = strcmp(mode, "source") == 0  ? CHAT_MODE_SOURCE
                 : strcmp(mode, "model") == 0 ? CHAT_MODE_MODEL
                 : path || strcmp(mode, "fixed") == 0 || (step->text && step->answer == CHAT_OK)
                     ? CHAT_MODE_FIXED
                     : CHAT_MODE_EDIT;
    if (!path)
        return KDS_OK;
    kds_buf text;
    kds_buf_init(&text, 16u << 20);
    code = kds_file_read(path, &text, e);
    if (code == KDS_OK && !(f->texts[i] = kds_buf_take(&text)))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    step->text = f->texts[i];
    kds_buf_free(&text);
    return code;
}

kds_code chat_script_load(chat_script_file **out, const char *path, kds_err *e)
{
    kds_json_reader r;
    const cJSON *object;
    chat_script_file *f = calloc(1, sizeof *f);
    if (!f)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_code code = kds_json_load(&f->doc, path, 1u << 20, e);
    if (code != KDS_OK)
        goto out;
    kds_json_reader_init(&r, f->doc, kds_json_root(f->doc), e);
    chat_script *s = &f->script;
    s->seed = (uint64_t)kds_json_opt_int(&r, "seed", 0, INT64_MAX, 0);
    s->by_body = strcmp(kds_json_opt_string(&r, "reply_by", "order"), "body") == 0;
    s->journal = kds_json_opt_string(&r, "journal", NULL);
    s->key = kds_json_opt_string(&r, "key", NULL);
    s->port = (int)kds_json_opt_int(&r, "port", 0, 65535, 0);
    const cJSON *steps = kds_json_opt_array(&r, "steps"), *odds = kds_json_opt_array(&r, "odds");
    if ((code = kds_json_done(&r)) != KDS_OK)
        goto out;
    if (steps && odds) {
        code = kds_json_fail(f->doc, odds, e, "a script has steps or odds, not both");
        goto out;
    }
    s->odds = odds != NULL;
    s->steps = f->steps;
    const cJSON *list = steps ? steps : odds;
    cJSON_ArrayForEach(object, list)
    {
        if (s->step_count == STEPS_CAP) {
            code = kds_json_fail(f->doc, object, e, "more than %d steps", STEPS_CAP);
            goto out;
        }
        if ((code = read_step(f, s->step_count++, object, e)) != KDS_OK)
            goto out;
    }
    *out = f;
    f = NULL;
out:
    chat_script_free(f);
    return code;
}

chat_script *chat_script_get(chat_script_file *f)
{
    return &f->script;
}

void chat_script_free(chat_script_file *f)
{
    if (!f)
        return;
    for (int i = 0; i < STEPS_CAP; i++)
        free(f->texts[i]);
    kds_json_free(f->doc);
    free(f);
}
