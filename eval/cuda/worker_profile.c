/* The profile worker: a process of its own, because the profiler slows down and sometimes kills the
 * process that it lives in. Where counters are forbidden or wrong it says so once and answers every
 * job with `no_counters`. */
#include "eval/cuda/profile.h"
#include "eval/cuda/profile_job.h"
#include "eval/judge.h"
#include "eval/worker.h"
#include "search/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES_TEXT 8000

typedef struct worker {
    kds_nvrtc *nvrtc;
    kds_cupti *cupti; /* NULL: there is none, and `refusal` says so */
    kds_cuda *cuda;
    kds_card *card;
    kds_helpers *helpers;
    kds_task *task;
    kds_profiler *profiler;
    kds_metric_set *set;
    kds_metric_set *all;                 /* every counter; NULL until a job asks for them */
    kds_gpu_row *rows[KDS_PROFILE_ROWS]; /* the last ones, the newest first; NULL: none */
    kds_profile_check checks[KDS_SELF_TEST_CHECKS];
    int check_count;
    char refusal[1000]; /* why there are no counters; "" if there are */
    bool spoilt;
} worker;

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "cannot build a message: out of memory");
}

kds_code kds_profile_open_job(kds_frame *out, const kds_profile_request *r, kds_err *e)
{
    kds_frame_init(out);
    cJSON *h = out->header = cJSON_CreateObject();
    if (h != NULL && kds_json_add_str(h, "job", "open") &&
        kds_json_add_str(h, "device", r->device) && kds_json_add_str(h, "task", r->task_dir) &&
        kds_json_add_str(h, "metrics", r->metrics) &&
        kds_json_add_bool(h, "self_test", r->self_test))
        return KDS_OK;
    kds_frame_free(out);
    return no_memory(e);
}

kds_code kds_profile_rows_job(kds_frame *out, const int *rows, int count, bool all,
                              const char *source, size_t len, const char *parent_source,
                              const kds_compiled *compiled, kds_err *e)
{
    kds_frame_init(out);
    cJSON *h = out->header = cJSON_CreateObject(), *list = cJSON_CreateIntArray(rows, count);
    kds_code code = KDS_OK;
    if (h == NULL || list == NULL || !kds_json_add_str(h, "job", "profile") ||
        !kds_json_add_bool(h, "all", all))
        code = no_memory(e);
    if (code == KDS_OK && cJSON_AddItemToObject(h, "rows", list))
        list = NULL;
    cJSON_Delete(list);
    if (code == KDS_OK)
        code = kds_program_pack(out, h, "compiled", source, len, parent_source, compiled, e);
    if (code != KDS_OK)
        kds_frame_free(out);
    return code;
}

/* The counters that the task's axes are made of. */
static int axis_counters(const kds_task *t, const char **names, int room)
{
    int n = 0;
    for (int a = 0; a < t->axis_count; a++)
        for (int i = 0; i < kds_expr_name_count(t->axes[a].value) && n < room; i++) {
            const char *name = kds_expr_name(t->axes[a].value, i);
            if (strstr(name, "__") != NULL) /* facts have no such names */
                names[n++] = name;
        }
    return n;
}

/* What is missing or forbidden on this machine is no error: the reason is kept for the answers. */
static kds_code refuse(worker *w, const kds_err *why)
{
    (void)snprintf(w->refusal, sizeof w->refusal, "%s", why->message);
    return KDS_OK;
}

static kds_code make_standard(worker *w, bool all, kds_metric_set **out, kds_err *e)
{
    const char *names[KDS_METRICS_MAX];
    int n = axis_counters(w->task, names, KDS_METRICS_MAX);
    return kds_metric_set_standard(out, w->profiler, names, n, all, e);
}

static kds_code make_set(worker *w, const char *metrics, kds_err *e)
{
    const char *names[KDS_METRICS_MAX];
    char text[NAMES_TEXT];
    int n = 0;
    if (metrics == NULL || strcmp(metrics, "all") == 0)
        return make_standard(w, metrics != NULL, &w->set, e);
    if (strlen(metrics) >= sizeof text)
        return kds_fail(e, KDS_USAGE, "the list of metrics is longer than %d bytes", NAMES_TEXT);
    memcpy(text, metrics, strlen(metrics) + 1);
    for (char *at = text; *at != '\0';) {
        size_t len = strcspn(at, ",");
        bool more = at[len] == ',';
        at[len] = '\0';
        if (len > 0 && n == KDS_METRICS_MAX)
            return kds_fail(e, KDS_USAGE, "more than %d metrics", KDS_METRICS_MAX);
        if (len > 0)
            names[n++] = at;
        at += len + more;
    }
    return kds_metric_set_make(&w->set, w->profiler, names, n, n, 0, e);
}

/* The self-test looks at counters of the default set, whatever else is to be collected. */
static kds_code self_test(worker *w, kds_err *e)
{
    kds_metric_set *s = NULL;
    kds_code code = kds_metric_set_standard(&s, w->profiler, NULL, 0, false, e);
    if (code == KDS_OK)
        code = kds_profile_self_test(w->profiler, s, w->checks, &w->check_count, e);
    if (code != KDS_DEVICE_LOST)
        kds_metric_set_free(s);
    return code;
}

static kds_code open_profiler(worker *w, const kds_frame *job, kds_err *e)
{
    kds_err err = {0};
    kds_code code = kds_profiler_open(&w->profiler, w->cupti, w->card, w->helpers, &err);
    if (code == KDS_OK)
        code = make_set(w, kds_json_str(job->header, "metrics", NULL), &err);
    if (code == KDS_OK && kds_json_bool(job->header, "self_test", false))
        code = self_test(w, &err);
    if (code == KDS_NOT_FOUND || code == KDS_SELF_TEST)
        return refuse(w, &err);
    if (code != KDS_OK && e != NULL)
        *e = err;
    return code;
}

/* CUPTI is in the process before the driver is, as if it had been linked. */
static kds_code open_card(worker *w, const char *device, kds_err *e)
{
    int ordinal = 0;
    kds_err err = {0};
    kds_code code = kds_cuda_ordinal(device, &ordinal, e);
    if (code == KDS_OK)
        code = kds_nvrtc_open(&w->nvrtc, e);
    if (code == KDS_OK && kds_cupti_open(&w->cupti, kds_nvrtc_path(w->nvrtc), &err) != KDS_OK)
        code = refuse(w, &err);
    if (code == KDS_OK)
        code = kds_cuda_open(&w->cuda, e);
    if (code == KDS_OK)
        code = kds_card_open(&w->card, w->cuda, ordinal, e);
    if (code == KDS_OK)
        code = kds_helpers_open(&w->helpers, w->card, w->nvrtc, e);
    return code;
}

static bool add_checks(cJSON *reply, const worker *w)
{
    cJSON *list = cJSON_AddArrayToObject(reply, "self_test");
    bool good = list != NULL;
    for (int i = 0; good && i < w->check_count; i++) {
        const kds_profile_check *c = &w->checks[i];
        cJSON *o = cJSON_CreateObject();
        good = o != NULL && cJSON_AddItemToArray(list, o) &&
               kds_json_add_str(o, "counter", c->counter) && kds_json_add_num(o, "got", c->got) &&
               kds_json_add_num(o, "want", c->want) && kds_json_add_num(o, "allowed", c->allowed);
    }
    return good;
}

static bool add_state(cJSON *reply, const worker *w)
{
    bool good = kds_json_add_bool(reply, "counters", *w->refusal == '\0') &&
                (*w->refusal == '\0' || kds_json_add_str(reply, "reason", w->refusal)) &&
                add_checks(reply, w);
    if (good && w->profiler != NULL)
        good = kds_json_add_str(reply, "chip", kds_profiler_chip(w->profiler)) &&
               kds_json_add_int(reply, "cupti", w->cupti->version) &&
               kds_json_add_str(reply, "cupti_path", w->cupti->path);
    if (!good || w->set == NULL)
        return good;
    cJSON *missing = cJSON_AddArrayToObject(reply, "missing");
    good = missing != NULL && kds_json_add_int(reply, "passes", kds_metric_set_passes(w->set));
    for (const char *const *name = kds_metric_set_missing(w->set); good && *name != NULL; name++)
        good = cJSON_AddItemToArray(missing, cJSON_CreateString(*name));
    return good;
}

static kds_code do_open(worker *w, const kds_frame *job, cJSON *reply, kds_err *e)
{
    const char *dir = kds_json_str(job->header, "task", NULL);
    double from = kds_clock_monotonic();
    if (dir == NULL || w->card != NULL)
        return kds_fail(e, KDS_PROTOCOL, "an open job without a task, or a second one");
    kds_code code = kds_task_load(&w->task, dir, e);
    if (code == KDS_OK)
        code = open_card(w, kds_json_str(job->header, "device", ""), e);
    if (code == KDS_OK && w->cupti != NULL)
        code = open_profiler(w, job, e);
    if (code == KDS_OK &&
        !(add_state(reply, w) && kds_json_add_num(reply, "seconds", kds_clock_monotonic() - from)))
        code = no_memory(e);
    return code;
}

static void drop_rows(worker *w)
{
    for (int i = 0; i < KDS_PROFILE_ROWS; i++) {
        kds_gpu_row_close(w->rows[i]);
        w->rows[i] = NULL;
    }
}

/* Puts the row first. Nothing is timed here: one set of its buffers is all that is used. */
static kds_code take_row(worker *w, int row, kds_err *e)
{
    int at = 0;
    kds_code code = KDS_OK;
    while (at < KDS_PROFILE_ROWS && (w->rows[at] == NULL || w->rows[at]->index != row))
        at++;
    kds_gpu_row *r = at < KDS_PROFILE_ROWS ? w->rows[at] : NULL;
    if (r == NULL) {
        at = KDS_PROFILE_ROWS - 1;
        kds_gpu_row_close(w->rows[at]);
        w->rows[at] = NULL;
        code = kds_gpu_row_open(&r, w->card, w->helpers, w->task, row, e);
        if (code != KDS_OK)
            return code;
        r->sets = 1;
    }
    memmove(&w->rows[1], &w->rows[0], (size_t)at * sizeof w->rows[0]);
    w->rows[0] = r;
    return KDS_OK;
}

/* Counters of some rows at once; one by one if there is no room for all. */
static kds_code profile_rows(worker *w, kds_metric_set *set, const int *rows, int count,
                             const kds_plan *plan, const kds_compiled *c, kds_measures *m,
                             kds_finding *f, kds_err *e)
{
    kds_gpu_row *taken[KDS_PROFILE_ROWS];
    kds_code code = KDS_OK;
    for (int i = 0; code == KDS_OK && i < count; i++) {
        code = take_row(w, rows[i], e);
        taken[i] = w->rows[0];
    }
    if (code == KDS_OK)
        return kds_profile_rows(w->profiler, set, taken, count, plan, c, m, &w->spoilt, f, e);
    for (int i = 0; code == KDS_NO_MEMORY && count > 1 && f->verdict == KDS_VERDICT_OK && i < count;
         i++) {
        drop_rows(w);
        code = profile_rows(w, set, &rows[i], 1, plan, c, &m[i], f, e);
        code = code == KDS_OK && i + 1 < count ? KDS_NO_MEMORY : code; /* on to the next one */
    }
    return code;
}

static bool add_rows(cJSON *reply, const worker *w, const int *rows, int count,
                     const kds_measures *m)
{
    cJSON *list = cJSON_AddArrayToObject(reply, "rows");
    bool good = list != NULL;
    for (int i = 0; good && i < count; i++) {
        cJSON *o = cJSON_CreateObject();
        good = o != NULL && cJSON_AddItemToArray(list, o) &&
               kds_json_add_str(o, "row", w->task->rows[rows[i]].id) &&
               cJSON_AddItemToObject(o, "counters", kds_measures_json(&m[i]));
    }
    return good;
}

static bool add_profile(cJSON *reply, const worker *w, const kds_metric_set *set, const int *rows,
                        int count, const kds_measures *m, const kds_finding *f)
{
    if (!kds_json_add_str(reply, "verdict", kds_verdict_name(f->verdict)) ||
        !kds_json_add_bool(reply, "spoilt", w->spoilt))
        return false;
    if (f->verdict != KDS_VERDICT_OK)
        return kds_json_add_str(reply, "stage", f->stage) &&
               kds_json_add_int(reply, "line", f->line) &&
               kds_json_add_str(reply, "message", f->text);
    return kds_json_add_bool(reply, "no_counters", false) &&
           kds_json_add_int(reply, "passes", kds_metric_set_passes(set)) &&
           add_rows(reply, w, rows, count, m);
}

static kds_code profile(worker *w, bool all, const int *rows, int count, const kds_plan *plan,
                        const kds_compiled *c, cJSON *reply, kds_err *e)
{
    kds_measures m[KDS_PROFILE_ROWS];
    kds_finding f;
    kds_finding_clear(&f);
    double from = kds_clock_monotonic();
    if (*w->refusal != '\0')
        return kds_json_add_str(reply, "verdict", kds_verdict_name(KDS_VERDICT_OK)) &&
                       kds_json_add_bool(reply, "no_counters", true) &&
                       kds_json_add_str(reply, "reason", w->refusal)
                   ? KDS_OK
                   : no_memory(e);
    kds_code code = all && w->all == NULL ? make_standard(w, true, &w->all, e) : KDS_OK;
    kds_metric_set *set = all ? w->all : w->set;
    if (code == KDS_OK)
        code = profile_rows(w, set, rows, count, plan, c, m, &f, e);
    if (code != KDS_OK)
        return code;
    return add_profile(reply, w, set, rows, count, m, &f) &&
                   kds_json_add_num(reply, "seconds", kds_clock_monotonic() - from)
               ? KDS_OK
               : no_memory(e);
}

/* False if the message names no rows, too many, or one that the task does not have. */
static bool read_rows(const worker *w, const cJSON *list, int *rows, int *count)
{
    const cJSON *row = NULL;
    *count = 0;
    cJSON_ArrayForEach(row, list)
    {
        double at = cJSON_IsNumber(row) ? row->valuedouble : -1;
        if (*count == KDS_PROFILE_ROWS || !(at >= 0 && at < w->task->row_count))
            return false;
        rows[(*count)++] = (int)at;
    }
    return *count > 0;
}

static kds_code do_profile(worker *w, const kds_frame *job, cJSON *reply, kds_err *e)
{
    int rows[KDS_PROFILE_ROWS], count = 0;
    kds_plan *plan = NULL;
    kds_compiled *compiled = NULL;
    if (w->card == NULL)
        return kds_fail(e, KDS_PROTOCOL, "a profile job before an open one");
    if (!read_rows(w, kds_json_at(job->header, "rows"), rows, &count))
        return kds_fail(e, KDS_PROTOCOL, "a profile job without rows");
    kds_code code = kds_program_unpack(job, job->header, "compiled", w->task, &plan, &compiled, e);
    if (code == KDS_OK)
        code = profile(w, kds_json_bool(job->header, "all", false), rows, count, plan, compiled,
                       reply, e);
    kds_compiled_free(compiled);
    kds_plan_free(plan);
    return code;
}

/* A failure of the machine is the last answer of this process. */
static kds_code answer(void *user, const char *kind, const kds_frame *job, cJSON *reply, kds_err *e)
{
    worker *w = user;
    kds_code code = strcmp(kind, "open") == 0 ? do_open(w, job, reply, e)
                    : strcmp(kind, "profile") == 0
                        ? do_profile(w, job, reply, e)
                        : kds_fail(e, KDS_PROTOCOL, "the message is no profile job");
    w->spoilt |= code != KDS_OK;
    return code;
}

static void drop(worker *w)
{
    drop_rows(w);
    kds_metric_set_free(w->set);
    kds_metric_set_free(w->all);
    kds_profiler_close(w->profiler);
    kds_task_free(w->task);
    kds_helpers_close(w->helpers);
    kds_card_close(w->card);
    kds_cupti_close(w->cupti);
    kds_cuda_close(w->cuda);
    kds_nvrtc_close(w->nvrtc);
}

kds_code kds_worker_profile(int fd, kds_err *e)
{
    worker w = {0};
    kds_code code = kds_worker_serve(fd, answer, &w, &w.spoilt, e);
    if (w.spoilt) /* a lost card or a broken profiler is left to the kernel */
        _exit(0);
    drop(&w);
    return code;
}
