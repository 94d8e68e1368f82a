/* Every kernel of a catalogue through the real evaluator, once: lint, compilation, simulator,
 * production rows. Kernels that compile to one program are judged once, as in a campaign. What was
 * found is kept in a file, as long as device and software are the same. */
#include "search/engine/search_bench_internal.h"

#include "eval/judge.h"
#include "search/base/clock.h"
#include "search/base/file.h"
#include "search/engine/evaluate.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_CAP (64u << 20)
#define POLL_MAX 1024
#define SAVE_SECONDS 20.0
#define IN_HAND 8

typedef struct judging {
    kds_catalogue *c;
    const kds_search_bench_options *o;
    kds_evaluator *evaluator;
    char *path; /* of the file; NULL: none */
    int next, done;
    bool failed;
    double saved;
} judging;

/* What a campaign needs of a report; a whole one is ten times as long. NULL: out of memory. */
static cJSON *shorten(const cJSON *report)
{
    static const char *const kept[] = {"verdict", "message", "device",    "fingerprint",
                                       "flags",   "fitness", "descriptor"};
    static const char *const of_row[] = {"row", "set", "weight", "time_us", "baseline_us"};
    cJSON *o = cJSON_CreateObject(), *rows = o ? cJSON_AddArrayToObject(o, "rows") : NULL;
    const cJSON *row = NULL;
    for (size_t i = 0; rows && i < sizeof kept / sizeof *kept; i++)
        if (kds_json_at(report, kept[i]))
            cJSON_AddItemToObject(o, kept[i], cJSON_Duplicate(kds_json_at(report, kept[i]), true));
    cJSON_ArrayForEach(row, kds_json_at(report, "rows"))
    {
        cJSON *copy = NULL;
        if (!rows || strcmp(kds_json_str(row, "set", ""), "production") != 0)
            continue;
        if (!(copy = cJSON_CreateObject()) || !cJSON_AddItemToArray(rows, copy)) {
            cJSON_Delete(copy);
            cJSON_Delete(o);
            return NULL;
        }
        for (size_t i = 0; i < sizeof of_row / sizeof *of_row; i++)
            cJSON_AddItemToObject(copy, of_row[i],
                                  cJSON_Duplicate(kds_json_at(row, of_row[i]), true));
    }
    if (rows)
        return o;
    cJSON_Delete(o);
    return NULL;
}

/* Another point with that program that is judged or being judged; -1 if there is none. */
static int find_program(const kds_catalogue *c, int point, kds_id program)
{
    for (int i = 0; i < c->point_count; i++)
        if (i != point && kds_id_equal(c->points[i].program, program))
            return i;
    return -1;
}

static bool keep_stage(void *user, const kds_stage *s)
{
    judging *j = user;
    kds_catalogue *c = j->c;
    bool more = s->verdict == KDS_VERDICT_OK && strcmp(s->stage, "judge") != 0;
    if (s->tag == (uint64_t)c->point_count) { /* the baseline */
        if (strcmp(s->stage, "compile") == 0)
            c->baseline_program = s->program;
        if (s->report)
            j->failed |= !(c->baseline = shorten(s->report));
        return more;
    }
    kds_point *p = &c->points[s->tag];
    if (more && strcmp(s->stage, "compile") == 0) {
        more = find_program(c, (int)s->tag, s->program) < 0;
        p->program = s->program;
    }
    snprintf(p->stage, sizeof p->stage, "%s", s->stage);
    p->verdict = s->verdict;
    free(p->message);
    j->failed |= !(p->message = strdup(s->message));
    if (s->report)
        j->failed |= !(p->report = shorten(s->report));
    j->done += !more;
    return more;
}

/* ---- The file ---- */

static cJSON *point_json(const kds_point *p)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_id(o, "candidate", p->id) &&
              kds_json_add_str(o, "stage", p->stage) &&
              kds_json_add_str(o, "verdict", kds_verdict_name(p->verdict)) &&
              kds_json_add_str(o, "message", p->message ? p->message : "");
    if (ok && !kds_id_is_zero(p->program))
        ok = kds_json_add_id(o, "program", p->program);
    if (ok && p->report)
        ok = cJSON_AddItemToObject(o, "report", cJSON_Duplicate(p->report, true));
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}

/* True if nothing is left to find out: its end is known, or its twin's is. */
static bool is_settled(const kds_catalogue *c, int i)
{
    const kds_point *p = &c->points[i];
    if (!p->stage[0])
        return false;
    if (p->verdict != KDS_VERDICT_OK || strcmp(p->stage, "judge") == 0)
        return true;
    for (int k = 0; k < c->point_count; k++)
        if (k != i && kds_id_equal(c->points[k].program, p->program) &&
            strcmp(c->points[k].stage, "judge") == 0)
            return true;
    return false;
}

static kds_code save(const judging *j, kds_err *e)
{
    const kds_catalogue *c = j->c;
    if (!j->path)
        return KDS_OK;
    cJSON *o = cJSON_CreateObject();
    bool ok =
        o && kds_json_add_id(o, "task_hash", c->task->hash) &&
        kds_json_add_str(o, "device", c->device) &&
        kds_json_add_str(o, "fingerprint", c->fingerprint) &&
        kds_json_add_num(o, "seconds", c->judge_seconds) &&
        kds_json_add_id(o, "baseline_program", c->baseline_program) &&
        (!c->baseline || cJSON_AddItemToObject(o, "baseline", cJSON_Duplicate(c->baseline, true)));
    cJSON *list = ok ? cJSON_AddArrayToObject(o, "points") : NULL;
    for (int i = 0; list && ok && i < c->point_count; i++)
        if (is_settled(c, i)) {
            cJSON *p = point_json(&c->points[i]);
            ok = p && cJSON_AddItemToArray(list, p);
        }
    char *text = list && ok ? kds_json_print(o) : NULL;
    cJSON_Delete(o);
    kds_code code = text ? kds_file_write_atomic(j->path, text, strlen(text), e)
                         : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    free(text);
    return code;
}

static kds_code take_point(kds_catalogue *c, const cJSON *o, kds_err *e)
{
    kds_id id;
    int at = kds_json_id(o, "candidate", &id) ? kds_catalogue_find(c, id) : -1;
    if (at < 0)
        return KDS_OK; /* of an older catalogue */
    kds_point *p = &c->points[at];
    const cJSON *report = kds_json_at(o, "report");
    if (!kds_verdict_parse(kds_json_str(o, "verdict", ""), &p->verdict))
        return KDS_OK;
    snprintf(p->stage, sizeof p->stage, "%s", kds_json_str(o, "stage", ""));
    (void)kds_json_id(o, "program", &p->program);
    p->message = strdup(kds_json_str(o, "message", ""));
    p->report = report ? cJSON_Duplicate(report, true) : NULL;
    return p->message && (p->report || !report) ? KDS_OK
                                                : kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* Takes what the file has, if it is of this task, device and software. */
static kds_code take_file(judging *j, kds_err *e)
{
    kds_catalogue *c = j->c;
    kds_buf text;
    kds_id hash;
    kds_buf_init(&text, FILE_CAP);
    kds_code code = kds_file_read(j->path, &text, e);
    cJSON *o = code == KDS_OK ? kds_json_parse_record(text.data, text.len) : NULL;
    kds_buf_free(&text);
    if (code == KDS_NOT_FOUND)
        return KDS_OK;
    if (kds_json_id(o, "task_hash", &hash) && kds_id_equal(hash, c->task->hash) &&
        strcmp(kds_json_str(o, "fingerprint", ""), c->fingerprint) == 0) {
        const cJSON *p = NULL;
        c->judge_seconds = kds_json_num(o, "seconds", 0);
        (void)kds_json_id(o, "baseline_program", &c->baseline_program);
        c->baseline = cJSON_Duplicate(kds_json_at(o, "baseline"), true);
        cJSON_ArrayForEach(p, kds_json_at(o, "points"))
        {
            if (code == KDS_OK)
                code = take_point(c, p, e);
        }
    }
    cJSON_Delete(o);
    return code;
}

/* ---- The work ---- */

static kds_code submit_due(judging *j, kds_err *e)
{
    kds_catalogue *c = j->c;
    kds_code code = KDS_OK;
    while (code == KDS_OK && j->next <= c->point_count &&
           kds_evaluator_in_hand(j->evaluator) < IN_HAND) {
        int i = j->next++;
        if (i == c->point_count && !c->baseline)
            code = kds_evaluator_submit(j->evaluator, (uint64_t)i, c->task->baseline,
                                        strlen(c->task->baseline), NULL, e);
        else if (i < c->point_count && !c->points[i].stage[0])
            code = kds_evaluator_submit(j->evaluator, (uint64_t)i, c->points[i].source,
                                        c->points[i].len, NULL, e);
    }
    return code;
}

static void tell(const judging *j)
{
    char text[200];
    if (!j->o->tell)
        return;
    snprintf(text, sizeof text, "%s: %d of %d kernels judged", j->c->task->name, j->done,
             j->c->point_count);
    j->o->tell(j->o->user, text);
}

static kds_code work(judging *j, kds_err *e)
{
    double begun = kds_clock_monotonic(), before = j->c->judge_seconds;
    kds_code code = submit_due(j, e);
    while (code == KDS_OK && kds_evaluator_in_hand(j->evaluator)) {
        struct pollfd fds[POLL_MAX];
        if ((code = kds_evaluator_step(j->evaluator, e)) != KDS_OK)
            break;
        if ((code = submit_due(j, e)) != KDS_OK)
            break;
        int n = kds_evaluator_poll_set(j->evaluator, fds, POLL_MAX);
        int timeout = kds_evaluator_timeout_ms(j->evaluator);
        if (kds_evaluator_in_hand(j->evaluator))
            (void)poll(fds, (nfds_t)n, timeout < 0 || timeout > 1000 ? 1000 : timeout);
        double now = kds_clock_monotonic();
        j->c->judge_seconds = before + now - begun;
        if (now - j->saved > SAVE_SECONDS) {
            j->saved = now;
            tell(j);
            code = save(j, e);
        }
    }
    if (code == KDS_OK && j->failed)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    return code == KDS_OK && j->next ? save(j, e) : code;
}

/* Gives the verdict of a program to all that compile to it, and finds the best. */
static kds_code conclude(kds_catalogue *c, kds_err *e)
{
    c->distinct = 0;
    c->best = -1;
    for (int i = 0; i < c->point_count; i++) {
        kds_point *p = &c->points[i];
        int twin = kds_id_is_zero(p->program) ? -1 : find_program(c, i, p->program);
        c->distinct += !kds_id_is_zero(p->program) && (twin < 0 || twin > i);
        for (int k = 0;
             k < c->point_count && strcmp(p->stage, "compile") == 0 && p->verdict == KDS_VERDICT_OK;
             k++) {
            const kds_point *q = &c->points[k];
            if (!kds_id_equal(q->program, p->program) || strcmp(q->stage, "judge") != 0)
                continue;
            memcpy(p->stage, q->stage, sizeof p->stage);
            p->verdict = q->verdict;
            free(p->message);
            p->message = strdup(q->message);
            p->report = q->report ? cJSON_Duplicate(q->report, true) : NULL;
            if (!p->message || (q->report && !p->report))
                return kds_fail(e, KDS_NO_MEMORY, "out of memory");
        }
        p->fitness = p->verdict == KDS_VERDICT_OK && p->report && !kds_commit_quarantine(p->report)
                         ? kds_json_num(p->report, "fitness", 0)
                         : 0;
        if (p->fitness > 0 && (c->best < 0 || p->fitness > c->optimum)) {
            c->best = i;
            c->optimum = p->fitness;
        }
    }
    c->baseline_id = kds_id_of(c->task->baseline, strlen(c->task->baseline));
    if (c->best < 0 || strcmp(kds_json_str(c->baseline, "verdict", ""), "ok") != 0)
        return kds_fail(e, KDS_INVALID, "%s: no kernel of the catalogue passes", c->task->name);
    return KDS_OK;
}

kds_code kds_catalogue_judge(kds_catalogue *c, const kds_search_bench_options *o, kds_err *e)
{
    char name[160];
    const char *seed = kds_settings_text(o->settings, "seed");
    judging j = {.c = c, .o = o, .saved = kds_clock_monotonic()};
    const kds_evaluator_options options = {.task = c->task,
                                           .settings = o->settings,
                                           .gate_seed = kds_hash64(seed, strlen(seed), 0) >> 11,
                                           .stage = keep_stage,
                                           .user = &j};
    snprintf(name, sizeof name, "%s.json", c->task->name);
    kds_code code = o->verdicts ? kds_dir_make(o->verdicts, e) : KDS_OK;
    if (code == KDS_OK && o->verdicts && !(j.path = kds_path_join(o->verdicts, name)))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = kds_evaluator_create(&j.evaluator, &options, e);
    if (code == KDS_OK)
        code = kds_evaluator_prepare(j.evaluator, e);
    if (code == KDS_OK) {
        snprintf(c->device, sizeof c->device, "%s", kds_evaluator_device(j.evaluator));
        snprintf(c->fingerprint, sizeof c->fingerprint, "%s",
                 kds_evaluator_fingerprint(j.evaluator));
        code = j.path ? take_file(&j, e) : KDS_OK;
    }
    for (int i = 0; i < c->point_count; i++)
        j.done += c->points[i].stage[0] != '\0';
    if (code == KDS_OK)
        code = work(&j, e);
    if (code == KDS_OK)
        code = conclude(c, e);
    kds_evaluator_close(j.evaluator);
    free(j.path);
    return code;
}
