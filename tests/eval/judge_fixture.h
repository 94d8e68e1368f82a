/* What the tests of the judge share: the real tasks, NVRTC in this process, kernels by name. */
#ifndef KDS_TESTS_JUDGE_FIXTURE_H
#define KDS_TESTS_JUDGE_FIXTURE_H

#include "eval/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct bench_task {
    kds_nvrtc *nvrtc;
    kds_task *task;
    kds_compiled *baseline, *reference;
    kds_judge *judge;
} bench_task;

static void check(kds_code code, const kds_err *e)
{
    if (code != KDS_OK)
        fail_msg("%s: %s", kds_code_name(code), e->message);
}

/* Compiles a source against the task; the plan may be NULL for a source with a wrong one. */
static kds_compiled *compile(bench_task *b, const char *source, kds_plan **plan)
{
    kds_err e;
    kds_finding f;
    kds_frame job, reply;
    kds_compiled *compiled = NULL;
    kds_finding_clear(&f);
    check(kds_plan_parse(plan, b->task, source, strlen(source), NULL, &f, &e), &e);
    if (*plan == NULL)
        fail_msg("plan: line %d: %s", f.line, f.text);
    kds_frame_init(&job);
    kds_frame_init(&reply);
    check(kds_compile_job(&job, source, strlen(source), "sm_90", *plan, &e), &e);
    check(kds_compile_run(b->nvrtc, &job, &reply, &e), &e);
    check(kds_compile_reply(&compiled, &reply, &f, &e), &e);
    if (compiled == NULL)
        fail_msg("compile: line %d: %s", f.line, f.text);
    kds_frame_free(&job);
    kds_frame_free(&reply);
    return compiled;
}

__attribute__((unused)) static kds_compiled *compile_only(bench_task *b, const char *source)
{
    kds_plan *plan = NULL;
    kds_compiled *compiled = compile(b, source, &plan);
    kds_plan_free(plan);
    return compiled;
}

__attribute__((unused)) static void task_open_with(bench_task *b, const char *name,
                                                   const kds_judge_options *o)
{
    kds_err e;
    char dir[512];
    (void)snprintf(dir, sizeof dir, "%s/kernels/%s", KDS_SOURCE_DIR, name);
    memset(b, 0, sizeof *b);
    check(kds_nvrtc_open(&b->nvrtc, &e), &e);
    check(kds_task_load(&b->task, dir, &e), &e);
    b->baseline = compile_only(b, b->task->baseline);
    if (b->task->reference != NULL)
        b->reference = compile_only(b, b->task->reference);
    check(kds_judge_open(&b->judge, b->task, o, b->baseline, b->reference, &e), &e);
}

__attribute__((unused)) static void task_open(bench_task *b, const char *name, uint64_t gate_seed)
{
    kds_judge_options o = {.device = "sim", .gate_seed = gate_seed};
    task_open_with(b, name, &o);
}

__attribute__((unused)) static void task_close(bench_task *b)
{
    kds_judge_close(b->judge);
    kds_compiled_free(b->baseline);
    kds_compiled_free(b->reference);
    kds_task_free(b->task);
    kds_nvrtc_close(b->nvrtc);
}

__attribute__((unused)) static cJSON *judge(bench_task *b, const char *source)
{
    kds_err e;
    kds_plan *plan = NULL;
    cJSON *report = NULL;
    kds_compiled *compiled = compile(b, source, &plan);
    check(kds_judge_run(b->judge, source, strlen(source), plan, compiled, &report, &e), &e);
    kds_plan_free(plan);
    kds_compiled_free(compiled);
    return report;
}

/* Judges a source and demands verdict, stage (NULL: any) and a text in the message. */
__attribute__((unused)) static void expect_finding(bench_task *b, const char *source,
                                                   const char *verdict, const char *stage,
                                                   const char *text)
{
    cJSON *report = judge(b, source);
    const char *got = kds_json_str(report, "verdict", "");
    const char *message = kds_json_str(report, "message", "");
    if (strcmp(got, verdict) != 0)
        fail_msg("verdict is %s, not %s: %s", got, verdict, message);
    if (stage != NULL)
        assert_string_equal(kds_json_str(report, "stage", ""), stage);
    if (strstr(message, text) == NULL)
        fail_msg("no '%s' in: %s", text, message);
    if (strcmp(verdict, "ok") != 0)
        assert_null(kds_json_at(report, "fitness"));
    cJSON_Delete(report);
}

/* Rotary embedding, one pair per thread; `body` computes from a, b, c, s and stores at 2 * i. */
#define ROPE(plan, before, body)                                                                   \
    "#include <cuda_bf16.h>\n" plan                                                                \
    "__global__ void k(const __nv_bfloat16 *x, const float *cos, const float *sin,\n"              \
    "                  __nv_bfloat16 *y, int T, int H, int D)\n"                                   \
    "{\n"                                                                                          \
    "    const int i = blockIdx.x * blockDim.x + threadIdx.x, half = D / 2, n = T * H * half;\n"   \
    "    " before "\n"                                                                             \
    "    if (i >= n) return;\n"                                                                    \
    "    const int at = i / (H * half) * half + i % half;\n"                                       \
    "    const float c = cos[at], s = sin[at];\n"                                                  \
    "    const float a = __bfloat162float(x[2 * i]), b = __bfloat162float(x[2 * i + 1]);\n"        \
    "    " body "\n"                                                                               \
    "}\n"
#define ROPE_PLAN                                                                                  \
    "#pragma kda launch k(x, cos, sin, y, T, H, D) grid(ceil_div(T * H * D / 2, 256)) "            \
    "block(256)\n"
#define ROPE_STORE                                                                                 \
    "y[2 * i] = __float2bfloat16_rn(fmaf(-b, s, a * c));"                                          \
    " y[2 * i + 1] = __float2bfloat16_rn(fmaf(a, s, b * c));"

/* RMSNorm, one block per row; `eps` and `tail` are spliced in. */
#define RMS(eps, tail)                                                                             \
    "#include <cuda_bf16.h>\n"                                                                     \
    "#pragma kda launch k(x, w, y, N, eps) grid(M) block(32)\n"                                    \
    "__global__ void k(const __nv_bfloat16 *x, const __nv_bfloat16 *w, __nv_bfloat16 *y, int N,\n" \
    "                  float eps)\n"                                                               \
    "{\n"                                                                                          \
    "    const size_t base = (size_t)blockIdx.x * N;\n"                                            \
    "    float sum = 0;\n"                                                                         \
    "    for (int i = threadIdx.x; i < N; i += 32) {\n"                                            \
    "        const float v = __bfloat162float(x[base + i]);\n"                                     \
    "        sum += v * v;\n"                                                                      \
    "    }\n"                                                                                      \
    "    for (int o = 16; o > 0; o /= 2) sum += __shfl_xor_sync(~0u, sum, o);\n"                   \
    "    const float r = rsqrtf(sum / N + " eps ");\n"                                             \
    "    for (int i = threadIdx.x; i < " tail "; i += 32)\n"                                       \
    "        y[base + i] = __float2bfloat16_rn(__bfloat162float(x[base + i]) * r *"                \
    " __bfloat162float(w[i]));\n"                                                                  \
    "}\n"

#endif
