/* The worker's side of compiling: one job, any number of groups, each from source to PTX, cubin and
 * facts in one NVRTC call. The first group that fails ends the job with a finding; a failure of
 * NVRTC itself is an error. The program has the fixed name kernel.cu, so that logs carry no path.
 */
#include "eval/compile.h"
#include "eval/compile_parts.h"
#include "eval/judge.h"
#include "eval/prelude.h"
#include "search/base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_CAP ((size_t)KDS_FRAME_CAP)      /* one PTX or cubin */
#define TOTAL_CAP (2 * (size_t)KDS_FRAME_CAP) /* all groups of a candidate */
#define DEFINES_MAX (KDS_TUNABLES + 32)
#define OPTIONS_MAX (DEFINES_MAX + KDS_NVRTC_INCLUDES + 16)

typedef struct group {
    int define_count, name_count;
    const char *defines[DEFINES_MAX];
    const char *names[KDS_PLAN_LAUNCHES];
    bool hidden; /* of held-out rows only */
} group;

typedef struct run {
    kds_nvrtc *n;
    char *source;  /* without its plan */
    char arch[64]; /* "--gpu-architecture=sm_90" */
    kds_compiled *c;
    kds_buf log; /* cleaned, of all groups */
    size_t total;
    kds_finding f;
    kds_err *e;
    kds_code bad;
    char with[300]; /* definitions of this group for messages */
} run;

static bool failed(run *r, const char *what, int result)
{
    r->bad = kds_fail(r->e, KDS_WORKER, "NVRTC %d.%d failed in %s: %s", r->n->major, r->n->minor,
                      what, r->n->error_text(result));
    return false;
}

static bool out_of_memory(run *r)
{
    r->bad = kds_fail(r->e, KDS_NO_MEMORY, "out of memory");
    return false;
}

static int read_strings(const cJSON *o, const char *key, const char **out, int most)
{
    const cJSON *list = kds_json_at(o, key), *item;
    int count = 0;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > most)
        return -1;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item))
            return -1;
        out[count++] = item->valuestring;
    }
    return count;
}

static bool read_group(const cJSON *o, group *g)
{
    g->define_count = read_strings(o, "defines", g->defines, DEFINES_MAX);
    g->name_count = read_strings(o, "names", g->names, KDS_PLAN_LAUNCHES);
    g->hidden = kds_json_bool(o, "hidden", false);
    return g->define_count >= 0 && g->name_count > 0;
}

/* Compiles; false if NVRTC refused the source or broke. Everything about the refusal is in the log.
 */
static bool compile(run *r, kds_nvrtc_program *program, const group *g, int *result)
{
    const char *options[OPTIONS_MAX];
    char defines[DEFINES_MAX][160];
    int count = 0;
    options[count++] = r->arch;
    options[count++] = "--std=c++17";
    options[count++] = "-default-device";
    options[count++] = "--ptxas-options=-v";
    options[count++] = "--pre-include=" KDS_PRELUDE_NAME;
    for (int i = 0; i < r->n->optional_count; i++)
        options[count++] = r->n->optional[i];
    for (int i = 0; i < r->n->include_count; i++)
        options[count++] = r->n->include_options[i];
    for (int i = 0; i < g->define_count; i++) {
        snprintf(defines[i], sizeof defines[i], "-D%s", g->defines[i]);
        options[count++] = defines[i];
    }
    *result = r->n->compile(program, count, options);
    return *result == KDS_NVRTC_SUCCESS;
}

/* Appends the cleaned log and returns the raw one (owned by the caller, NUL-terminated, NUL bytes
 * inside made newlines); NULL on failure. */
static char *take_log(run *r, kds_nvrtc_program *program)
{
    size_t size = 0;
    int result = r->n->log_size(program, &size);
    if (result != KDS_NVRTC_SUCCESS) {
        failed(r, "reading the log", result);
        return NULL;
    }
    char *raw = calloc(1, size + 1);
    if (!raw) {
        out_of_memory(r);
        return NULL;
    }
    if ((result = r->n->log(program, raw)) != KDS_NVRTC_SUCCESS) {
        failed(r, "reading the log", result);
        free(raw);
        return NULL;
    }
    while (size > 0 && raw[size - 1] == '\0')
        size--;
    for (size_t i = 0; i < size; i++)
        raw[i] = raw[i] ? raw[i] : '\n';
    kds_buf_reset(&r->log);
    r->bad = kds_log_clean(r->n, raw, size, &r->log, r->e);
    if (r->bad == KDS_OK)
        r->bad = kds_buf_check(&r->log, "the compiler's log", r->e);
    if (r->bad == KDS_OK)
        return raw;
    free(raw);
    return NULL;
}

/* Reads PTX or cubin by its pair of functions. */
static bool take_code(run *r, kds_nvrtc_program *program,
                      int (*get_size)(kds_nvrtc_program *, size_t *),
                      int (*get)(kds_nvrtc_program *, char *), char **out, size_t *len)
{
    size_t size = 0;
    int result = get_size(program, &size);
    if (result != KDS_NVRTC_SUCCESS)
        return failed(r, "giving its output", result);
    r->total += size;
    if (size > CODE_CAP || r->total > TOTAL_CAP) {
        kds_finding_set(
            &r->f, KDS_VERDICT_LIMITS_EXCEEDED, "compile", 0,
            "%sthe compiled code is too large (%zu bytes so far, at most %zu are allowed): "
            "unroll or instantiate less",
            r->with, r->total, TOTAL_CAP);
        return false;
    }
    if (!(*out = calloc(1, size + 1)))
        return out_of_memory(r);
    result = get(program, *out);
    *len = size;
    return result == KDS_NVRTC_SUCCESS || failed(r, "giving its output", result);
}

static bool take_kernel(run *r, kds_nvrtc_program *program, const char *name, const char *log,
                        kds_module *m)
{
    const char *lowered = NULL;
    kds_kernel_facts *k = &m->kernels[m->kernel_count];
    int result = r->n->lowered_name(program, name, &lowered);
    if (result != KDS_NVRTC_SUCCESS)
        return failed(r, "naming a kernel", result);
    m->kernel_count++;
    if (!(k->name = strdup(name)) || !(k->lowered = strdup(lowered)))
        return out_of_memory(r);
    if (kds_ptx_facts(m->ptx, m->ptx_len, k)) {
        kds_ptxas_facts(log, k->lowered, k);
        return true;
    }
    if (k->param_count > KDS_PLAN_ARGS)
        kds_finding_set(&r->f, KDS_VERDICT_LIMITS_EXCEEDED, "compile", 0,
                        "the kernel '%s' has %d parameters; a launch can pass at most %d", name,
                        k->param_count, KDS_PLAN_ARGS);
    else
        kds_finding_set(&r->f, KDS_VERDICT_COMPILE_FAILED, "compile", 0,
                        "'%s' is launched by a '#pragma kda launch' line but is no __global__ "
                        "function that can be launched",
                        name);
    return false;
}

static bool take_results(run *r, kds_nvrtc_program *program, const group *g, const char *log)
{
    kds_module *m = &r->c->modules[r->c->module_count++];
    if (!take_code(r, program, r->n->ptx_size, r->n->ptx, &m->ptx, &m->ptx_len) ||
        !take_code(r, program, r->n->cubin_size, r->n->cubin, &m->cubin, &m->cubin_len))
        return false;
    while (m->ptx_len > 0 && m->ptx[m->ptx_len - 1] == '\0')
        m->ptx_len--; /* NVRTC counts the terminator */
    for (int i = 0; i < g->name_count; i++) {
        if (!take_kernel(r, program, g->names[i], log, m))
            return false;
    }
    return true;
}

/* Keeps the log of all groups within its cap. */
static bool keep_log(run *r)
{
    size_t had = r->c->log ? strlen(r->c->log) : 0;
    size_t room = KDS_LOG_CAP - had, add = r->log.len < room ? r->log.len : room;
    char *log = realloc(r->c->log, had + add + 1);
    if (!log)
        return out_of_memory(r);
    memcpy(log + had, r->log.data, add);
    log[had + add] = '\0';
    r->c->log = log;
    return true;
}

static bool compile_group(run *r, const group *g)
{
    kds_nvrtc_program *program = NULL;
    char *log = NULL;
    bool good = false;
    int result = r->n->create(&program, r->source, "kernel.cu", kds_prelude_count(),
                              kds_prelude_texts(), kds_prelude_names());
    if (result != KDS_NVRTC_SUCCESS)
        return failed(r, "taking the source", result);
    for (int i = 0; i < g->name_count; i++) {
        if ((result = r->n->add_name(program, g->names[i])) != KDS_NVRTC_SUCCESS) {
            failed(r, "taking a kernel's name", result);
            goto out;
        }
    }
    bool compiled = compile(r, program, g, &result);
    if (!(log = take_log(r, program)))
        goto out;
    if (compiled)
        good = take_results(r, program, g, log) && (g->hidden || keep_log(r));
    else if (result == KDS_NVRTC_COMPILATION || result == KDS_NVRTC_NAME_NOT_VALID)
        kds_log_finding(r->log.data, r->with, &r->f);
    else
        failed(r, "compiling", result);
out:
    free(log);
    r->n->destroy(&program);
    return good;
}

/* The definitions in words, if there is more than one set of them. */
static void describe(run *r, const group *g, int groups)
{
    kds_buf b;
    kds_buf_init(&b, 100000);
    for (int i = 0; groups > 1 && i < g->define_count; i++)
        kds_buf_printf(&b, "%s%s", i ? " " : "", g->defines[i]);
    snprintf(r->with, sizeof r->with, "%s", b.data);
    kds_buf_free(&b);
}

/* Sizes of held-out rows stand in their definitions and so in every word about them. */
static void hide(run *r)
{
    if (r->f.verdict != KDS_VERDICT_OK)
        kds_finding_set(&r->f, r->f.verdict, "compile", 0,
                        "the source does not compile, or not within the limits, with the "
                        "definitions of a held-out row (sizes that are not shown, such as odd "
                        "ones); what a define makes must be right for every legal shape");
}

static kds_code fill_reply(run *r, double seconds, kds_frame *reply, kds_err *e)
{
    kds_frame f;
    kds_frame_init(&f);
    kds_code bad = KDS_OK;
    f.header = cJSON_CreateObject();
    bool good = f.header != NULL;
    r->c->seconds = seconds;
    if (good && r->f.verdict == KDS_VERDICT_OK) {
        good = kds_json_add_str(f.header, "kind", "compiled");
        bad = kds_compiled_identify(r->c, e);
        if (bad == KDS_OK)
            bad = kds_compiled_pack(&f, "compiled", r->c, e);
    } else if (good) {
        good = kds_json_add_str(f.header, "kind", "finding") &&
               kds_json_add_str(f.header, "verdict", kds_verdict_name(r->f.verdict)) &&
               kds_json_add_int(f.header, "line", r->f.line) &&
               kds_json_add_str(f.header, "text", r->f.text) &&
               kds_json_add_num(f.header, "seconds", seconds);
    }
    if (bad == KDS_OK && !good)
        bad = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (bad == KDS_OK)
        *reply = f;
    else
        kds_frame_free(&f);
    return bad;
}

/* The source with blanks for its `#pragma kda` lines: NVRTC would warn of each in three lines, and
 * the log goes wherever the code goes. All else keeps its line and column. */
static bool take_source(run *r, const char *text, size_t len)
{
    kds_pragmas plan = {0};
    if (!(r->source = malloc(len + 1)))
        return out_of_memory(r);
    memcpy(r->source, text, len);
    r->source[len] = '\0';
    if (kds_pragmas_find(&plan, text, len, NULL) != KDS_OK)
        return true; /* the plan has been read before: not reached with a source of ours */
    for (int i = 0; i < plan.count; i++)
        for (size_t k = 0; k < plan.items[i].len; k++) {
            char *c = &r->source[plan.items[i].offset + k];
            *c = *c == '\n' || *c == '\r' ? *c : ' ';
        }
    kds_pragmas_free(&plan);
    return true;
}

kds_code kds_compile_run(kds_nvrtc *n, const kds_frame *job, kds_frame *reply, kds_err *e)
{
    const cJSON *groups = kds_json_at(job->header, "groups"), *o;
    const char *arch = kds_json_str(job->header, "arch", "");
    int count = cJSON_IsArray(groups) ? cJSON_GetArraySize(groups) : 0;
    if (strcmp(kds_json_str(job->header, "kind", ""), "compile") != 0 || job->blob_count != 1 ||
        count < 1 || count > KDS_PLAN_GROUPS || strncmp(arch, "sm_", 3) != 0 || strlen(arch) > 8)
        return kds_fail(e, KDS_PROTOCOL, "the message is no compile job");
    run r = {.n = n, .e = e, .bad = KDS_OK};
    snprintf(r.arch, sizeof r.arch, "--gpu-architecture=%s", arch);
    kds_finding_clear(&r.f);
    kds_buf_init(&r.log, KDS_LOG_CAP);
    double start = kds_clock_monotonic();
    if (take_source(&r, job->blobs[0].data, job->blobs[0].len) && !(r.c = calloc(1, sizeof *r.c)))
        out_of_memory(&r);
    cJSON_ArrayForEach(o, groups)
    {
        group g;
        if (r.bad != KDS_OK || r.f.verdict != KDS_VERDICT_OK)
            break;
        if (!read_group(o, &g)) {
            r.bad = kds_fail(e, KDS_PROTOCOL, "a group of the compile job is malformed");
            break;
        }
        describe(&r, &g, count);
        compile_group(&r, &g);
        if (g.hidden)
            hide(&r);
    }
    if (r.bad == KDS_OK)
        r.bad = fill_reply(&r, kds_clock_monotonic() - start, reply, e);
    kds_buf_free(&r.log);
    kds_compiled_free(r.c);
    free(r.source);
    return r.bad;
}
