/* Compiling with the real NVRTC, in the real worker: this program runs itself again as
 * `worker-compile`, confined and limited as the command does it. */
#include "eval/compile.h"
#include "eval/judge.h"
#include "eval/lint.h"
#include "eval/prelude.h"
#include "eval/worker.h"
#include "search/base/file.h"
#include "search/base/spawn.h"
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMORY (UINT64_C(4) << 30)

typedef struct worker {
    pid_t pid;
    int fd;
    kds_buf in;
} worker;

static kds_task *task; /* rms_norm: x, w, y, M, N, eps */
static worker shared;

static void spawn_worker(worker *w, uint64_t cpu_seconds)
{
    int fds[2];
    kds_err e;
    char *self = NULL;
    if (kds_channel_pair(fds, &e) != KDS_OK || kds_self_path(&self, &e) != KDS_OK)
        fail_msg("%s", e.message);
    const char *argv[] = {self, "worker-compile", NULL};
    kds_spawn_options o = {.argv = argv,
                           .channel_fd = fds[1],
                           .stderr_fd = 2,
                           .memory_bytes = MEMORY,
                           .cpu_seconds = cpu_seconds};
    if (kds_spawn(&w->pid, &o, &e) != KDS_OK)
        fail_msg("%s", e.message);
    close(fds[1]);
    w->fd = fds[0];
    kds_buf_init(&w->in, (size_t)KDS_FRAME_CAP * 4);
    free(self);
}

static void drop_worker(worker *w)
{
    close(w->fd);
    kds_spawn_end(w->pid, 5000);
    kds_buf_free(&w->in);
}

static void send_frame(worker *w, const kds_frame *f)
{
    kds_buf out;
    kds_buf_init(&out, (size_t)KDS_FRAME_CAP * 4);
    assert_int_equal(kds_frame_encode(f, &out, NULL), KDS_OK);
    while (out.len > 0) {
        ssize_t n = write(w->fd, out.data, out.len);
        if (n > 0)
            kds_buf_consume(&out, (size_t)n);
        else
            poll(&(struct pollfd){.fd = w->fd, .events = POLLOUT}, 1, 1000);
    }
    kds_buf_free(&out);
}

/* False if the worker went away, or said nothing in `seconds`. */
static bool receive(worker *w, int seconds, kds_frame *out)
{
    for (bool got = false; !got;) {
        char chunk[65536];
        struct pollfd p = {.fd = w->fd, .events = POLLIN};
        assert_int_equal(kds_frame_decode(&w->in, out, &got, NULL), KDS_OK);
        if (got)
            return true;
        if (poll(&p, 1, seconds * 1000) == 0)
            return false;
        ssize_t n = read(w->fd, chunk, sizeof chunk);
        if (n <= 0)
            return false;
        kds_buf_add(&w->in, chunk, (size_t)n);
    }
    return false;
}

static void job_of(kds_frame *job, const kds_task *t, const char *source)
{
    kds_plan *p = NULL;
    kds_finding f;
    kds_err e;
    if (kds_plan_parse(&p, t, source, strlen(source), NULL, &f, &e) != KDS_OK)
        fail_msg("%s", e.message);
    if (!p)
        fail_msg("line %d: %s\n%s", f.line, f.text, source);
    assert_int_equal(kds_compile_job(job, source, strlen(source), "sm_90", p, &e), KDS_OK);
    kds_plan_free(p);
}

/* One source through the shared worker; NULL with a finding if it does not compile. */
static kds_compiled *compile_for(const kds_task *t, const char *source, kds_finding *f)
{
    kds_frame job, reply;
    kds_compiled *c = NULL;
    kds_err e;
    job_of(&job, t, source);
    send_frame(&shared, &job);
    if (!receive(&shared, 60, &reply))
        fail_msg("the worker ended on:\n%s", source);
    if (kds_compile_reply(&c, &reply, f, &e) != KDS_OK)
        fail_msg("%s", e.message);
    assert_true((c != NULL) == (f->verdict == KDS_VERDICT_OK));
    kds_frame_free(&job);
    kds_frame_free(&reply);
    return c;
}

static kds_compiled *compile(const char *source)
{
    kds_finding f;
    kds_compiled *c = compile_for(task, source, &f);
    if (!c)
        fail_msg("line %d: %s\n%s", f.line, f.text, source);
    return c;
}

static kds_finding refused(const char *source, kds_verdict v)
{
    kds_finding f;
    kds_compiled *c = compile_for(task, source, &f);
    if (c || f.verdict != v)
        fail_msg("%s: %s\n%s", kds_verdict_name(f.verdict), f.text, source);
    assert_string_equal(f.stage, "compile");
    assert_null(strstr(f.text, "/usr"));
    assert_null(strstr(f.text, "ptxas info"));
    return f;
}

#define LAUNCH(name) "#pragma kda launch " name "(x, w, y, M, N, eps) grid(M) block(256)\n"
#define PARAMS                                                                                     \
    "(const __nv_bfloat16 *x, const __nv_bfloat16 *w, __nv_bfloat16 *y, int M, int N, float eps)"

static void test_facts(void **state)
{
    (void)state;
    static const char source[] =
        "#include <cuda_bf16.h>\n"
        "#pragma kda tune VEC = 4\n"
        "#pragma kda define COLS = N\n" LAUNCH("scope::rows< VEC,COLS >") LAUNCH(
            "plain") "namespace scope {\n"
                     "template <int V, int C> __global__ void __launch_bounds__(128 * 2) "
                     "rows" PARAMS
                     " {\n  __shared__ float s[V * 32];\n  s[threadIdx.x % (V * 32)] = eps;\n"
                     "  __syncthreads();\n  y[threadIdx.x + M] = __float2bfloat16(s[C % 32] * "
                     "__bfloat162float(x[N]));\n}\n}\n"
                     "struct Six { char c[6]; };\n"
                     "__global__ void plain" PARAMS " { y[0] = w[0]; }\n"
                     "__global__ void never_launched(Six s, double d, char c) {}\n";
    kds_compiled *c = compile(source);
    assert_true(c->module_count > 1);
    assert_true(c->seconds > 0);
    assert_false(kds_id_is_zero(c->cubin_id));
    for (int i = 0; i < c->module_count; i++) {
        kds_module *m = &c->modules[i];
        assert_int_equal(m->kernel_count, 2);
        assert_null(kds_module_kernel(m, "never_launched"));
        const kds_kernel_facts *k = kds_module_kernel(m, "scope::rows<VEC, COLS>");
        assert_non_null(k);
        assert_non_null(strstr(m->ptx, k->lowered));
        assert_int_equal(strlen(m->ptx), m->ptx_len);
        assert_memory_equal(m->cubin, "\177ELF", 4);
        assert_int_equal(k->max_threads, 256);
        assert_int_equal(k->static_shared_bytes, 512);
        assert_int_equal(k->barriers, 1);
        assert_true(k->registers >= 8 && k->registers <= 64);
        assert_int_equal(k->stack_bytes + k->spill_store_bytes + k->spill_load_bytes, 0);
        assert_int_equal(k->param_count, 6);
        assert_string_equal(k->params[0].type, "u64");
        assert_string_equal(k->params[3].type, "u32");
        assert_string_equal(k->params[5].type, "f32");
        assert_int_equal(k->params[5].offset, 32);
        assert_int_equal(k->params[5].size, 4);
        k = kds_module_kernel(m, "plain");
        assert_int_equal(k->max_threads, 1024);
        assert_int_equal(k->static_shared_bytes, 0);
        assert_int_equal(k->barriers, 0);
    }
    assert_null(strstr(c->log, "Compile time"));
    assert_non_null(strstr(c->log, "registers"));
    kds_compiled_free(c);
}

/* The compiler does not see the plan, and so says nothing of it; all else keeps its line, and what
 * it warns of is told. */
static void test_the_plan_is_not_compiled(void **state)
{
    (void)state;
    static const char head[] = "#pragma kda tune V = 4, \\\n  8 /* over\n lines */\n"
                               "#pragma kda launch k(x) grid(1) block(1)\n#pragma unrol 4\n";
    char source[1000];
    snprintf(source, sizeof source, "%s__global__ void k(float *x) { x[0] = V; }\n", head);
    kds_compiled *c = compile(source);
    assert_null(strstr(c->log, "kda"));
    assert_non_null(strstr(c->log, "kernel.cu(5)"));
    assert_non_null(strstr(c->log, "unrol"));
    kds_compiled_free(c);
    snprintf(source, sizeof source, "%s__global__ void k(float *x) { x[0] = W; }\n", head);
    kds_finding f = refused(source, KDS_VERDICT_COMPILE_FAILED);
    assert_int_equal(f.line, 6);
}

static void test_struct_parameters_and_spills(void **state)
{
    (void)state;
    static const char source[] =
        "#pragma kda launch k(M, M, M, x) grid(1) block(1)\n"
        "struct alignas(8) Odd { char c[19]; };\n"
        "__device__ __noinline__ float f(float a) { return a * a; }\n"
        "__global__ void __launch_bounds__(1024, 2) k(char c, Odd s, short h, float *x) {\n"
        "  float v[64];\n"
        "  for (int i = 0; i < 64; i++) v[i] = x[i * threadIdx.x];\n"
        "  for (int j = 0; j < c; j++)\n"
        "    for (int i = 0; i < 64; i++) v[i] = v[i] * v[(i + 7) % 64] + f(v[i]) + s.c[j];\n"
        "  for (int i = 0; i < 64; i++) x[i] = v[i] + h;\n}\n";
    kds_compiled *c = compile(source);
    const kds_kernel_facts *k = kds_module_kernel(&c->modules[0], "k");
    assert_int_equal(k->param_count, 4);
    assert_string_equal(k->params[0].type, "u8");
    assert_string_equal(k->params[1].type, "b8");
    assert_int_equal(k->params[1].size, 24);
    assert_int_equal(k->params[1].offset, 8);
    assert_int_equal(k->params[2].offset, 32);
    assert_int_equal(k->params[2].size, 2);
    assert_int_equal(k->params[3].offset, 40);
    assert_int_equal(k->max_threads, 1024);
    assert_int_equal(k->registers, 32);
    assert_true(k->stack_bytes > 0);
    assert_true(k->spill_store_bytes > 0 && k->spill_load_bytes > 0);
    kds_compiled_free(c);
}

static kds_id id_of(const char *source)
{
    kds_compiled *c = compile(source);
    kds_id id = c->cubin_id;
    kds_compiled_free(c);
    return id;
}

static void test_twins(void **state)
{
    (void)state;
    static const char head[] = "#pragma kda launch k(x, M) grid(M) block(32)\n";
    char a[400], b[400], other[400];
    snprintf(a, sizeof a, "%s__global__ void k(float *x, int n) { int i = threadIdx.x; x[i] = n; }",
             head);
    snprintf(
        b, sizeof b,
        "%s// renamed\n\n__global__ void k(float *data, int rows) {\n  int lane = threadIdx.x;\n"
        "  data[lane] = rows; }",
        head);
    snprintf(other, sizeof other,
             "%s__global__ void k(float *x, int n) { int i = threadIdx.x; x[i] = n + 1; }", head);
    kds_id first = id_of(a);
    assert_true(kds_id_equal(first, id_of(a)));
    assert_true(kds_id_equal(first, id_of(b)));
    assert_false(kds_id_equal(first, id_of(other)));
}

static void test_prelude(void **state)
{
    (void)state;
    static const char body[] =
        "#pragma kda launch k(x, M) grid(1) block(1)\n"
        "__global__ void k(float *x, uint32_t n) {\n"
        "  assert(n > 0);\n"
        "  int8_t a = INT8_MIN; std::uint64_t b = UINT64_MAX; size_t c = SIZE_MAX;\n"
        "  x[0] = INFINITY + NAN + FLT_MAX + FLT_EPSILON + INT_MAX + a + b + c;\n"
        "  x[1] = M_PI * DBL_MAX; x[2] = std::max(x[3], x[4]) + std::min(1, 2);\n"
        "  if (x[0] > 1e30f) printf(\"%d\", CHAR_BIT);\n}\n";
    static const char *const before[] = {
        "",
        "#include <cstdint>\n#include <stdint.h>\n#include <cfloat>\n#include <climits>\n"
        "#include <cmath>\n#include <math.h>\n#include <assert.h>\n#include <cassert>\n"
        "#include <stddef.h>\n#include <cstddef>\n#include <cuda_runtime.h>\n"
        "__device__ float f(float v) { return std::sqrt(v) + std::isnan(v) + std::expf(v); }\n",
        "#include <cuda/std/cstdint>\n#include <cuda/std/climits>\n#include <cuda/std/cfloat>\n"
        "#include <cuda/std/cmath>\n#include <cuda/std/limits>\n#include <cuda/std/cassert>\n"
        "__device__ cuda::std::uint32_t g(uint32_t v) { return v; }\n",
        "#include <type_traits>\n#include <limits>\n#include <array>\n#include <utility>\n"
        "static_assert(std::is_same<int32_t, int>::value && std::numeric_limits<int>::max() > 0, "
        "\"\");\n__device__ int g(int v) { std::array<int, 2> a{1, 2}; return a[0] + std::move(v); "
        "}\n",
    };
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        char source[3000];
        snprintf(source, sizeof source, "%s%s", before[i], body);
        kds_compiled_free(compile(source));
    }
}

/* Every header that the lint allows exists and compiles, all of them in one source. */
static void test_allowed_headers(void **state)
{
    (void)state;
    kds_buf source;
    kds_buf_init(&source, 100000);
    for (const char *const *h = kds_lint_headers(); *h; h++)
        kds_buf_printf(&source, "#include <%s>\n", *h);
    kds_buf_puts(&source, "#pragma kda launch k(x) grid(1) block(1)\n"
                          "__global__ void k(float *x) { x[0] = INFINITY; }\n");
    kds_compiled_free(compile(source.data));
    kds_buf_free(&source);
}

static void test_refusals(void **state)
{
    (void)state;
    kds_finding f = refused("#pragma kda launch k(x) grid(1) block(1)\n\n"
                            "__global__ void k(float *x) {\n  x[0] = undefined_name;\n}\n",
                            KDS_VERDICT_COMPILE_FAILED);
    assert_int_equal(f.line, 4);
    assert_non_null(strstr(f.text, "kernel.cu(4): error: identifier \"undefined_name\""));

    f = refused("#include <nope/missing.h>\n#pragma kda launch k(x) grid(1) block(1)\n"
                "__global__ void k(float *x) {}\n",
                KDS_VERDICT_COMPILE_FAILED);
    assert_non_null(strstr(f.text, "missing.h"));
    assert_int_equal(f.line, 1);

    f = refused("#pragma kda launch kk<3>(x) grid(1) block(1)\n__global__ void k(float *x) {}\n",
                KDS_VERDICT_COMPILE_FAILED);
    assert_non_null(strstr(f.text, "'#pragma kda launch' line could not be found"));

    f = refused("#pragma kda launch v(x) grid(1) block(1)\n__device__ float v;\n"
                "__global__ void k(float *x) { v = 1; }\n",
                KDS_VERDICT_COMPILE_FAILED);

    f = refused("#pragma kda launch k(x) grid(1) block(1)\n"
                "__global__ void k(float *x) { int unused; asm volatile(\"bogus.op;\"); }\n",
                KDS_VERDICT_COMPILE_FAILED);
    assert_non_null(strstr(f.text, "bogus"));
    assert_null(strstr(f.text, "warning"));

    f = refused(
        "#pragma kda launch k(x) grid(1) block(1)\n__global__ void k(float *x) {\n"
        "__shared__ float s[20000]; s[threadIdx.x] = x[0]; __syncthreads(); x[1] = s[5]; }\n",
        KDS_VERDICT_LIMITS_EXCEEDED);
    assert_non_null(strstr(f.text, "48 KiB"));
    assert_non_null(strstr(f.text, "too much shared data"));

    f = refused("#include <cuda_bf16.h>\n#pragma kda launch k(x) grid(1) block(1)\n"
                "__global__ void k(float *x) { __nv_bfloat16 b = __hmul(x, 2); }\n",
                KDS_VERDICT_COMPILE_FAILED);
    assert_null(strstr(f.text, "include/"));
}

/* A log that never ends is cut, and what is left says so. */
static void test_endless_log(void **state)
{
    (void)state;
    kds_buf source;
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_buf_puts(&source,
                 "#pragma kda launch k(x) grid(1) block(1)\n__global__ void k(float *x) {\n");
    for (int i = 0; i < 3000; i++)
        kds_buf_printf(&source, "int unused_variable_with_a_long_name_%d;\n", i);
    kds_buf_puts(&source, "}\n");
    kds_compiled *c = compile(source.data);
    assert_true(strlen(c->log) < KDS_LOG_CAP);
    assert_non_null(strstr(c->log, "log cut here"));
    kds_compiled_free(c);
    kds_buf_free(&source);
}

/* Compilation that never ends is the parent's to end; a new worker then serves. */
static void test_bombs(void **state)
{
    (void)state;
    static const char bomb[] =
        "#pragma kda launch k(x) grid(1) block(1)\n"
        "template <int A, int B> struct T { static constexpr int v = T<A - 1, 2 * B>::v + "
        "T<A - 1, 2 * B + 1>::v; };\n"
        "template <int B> struct T<0, B> { static constexpr int v = 1; };\n"
        "__global__ void k(float *x) { x[0] = T<26, 0>::v; }\n";
    kds_frame job, reply;
    worker w;
    int status = 0;
    spawn_worker(&w, 0);
    job_of(&job, task, bomb);
    send_frame(&w, &job);
    assert_false(receive(&w, 1, &reply));
    drop_worker(&w); /* the deadline */
    assert_false(kds_spawn_ended(w.pid, &status) && status == 0);
    spawn_worker(&w, 2); /* the limit of CPU time */
    send_frame(&w, &job);
    assert_false(receive(&w, 30, &reply));
    drop_worker(&w);
    kds_frame_free(&job);
    kds_compiled_free(compile("#pragma kda launch k(x) grid(1) block(1)\n"
                              "__global__ void k(float *x) { x[0] = 1; }\n"));
}

/* The worker cannot be made to read a file, even by a source that no lint has seen. */
static void test_no_file_leaks(void **state)
{
    (void)state;
    static const char *const files[] = {"/etc/passwd", "/etc/hostname", "/proc/self/environ",
                                        KDS_SOURCE_DIR "/CMakeLists.txt"};
    char words[120];
    kds_worker_confinement(words, sizeof words);
    if (strstr(words, "no Landlock"))
        skip();
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char source[400];
        snprintf(source, sizeof source,
                 "#include \"%s\"\n#pragma kda launch k(x) grid(1) block(1)\n"
                 "__global__ void k(float *x) {}\n",
                 files[i]);
        kds_finding f = refused(source, KDS_VERDICT_COMPILE_FAILED);
        if (!strstr(f.text, "cannot open source file") && !strstr(f.text, "could not open"))
            fail_msg("%s: %s", files[i], f.text);
    }
}

static void test_bad_frames(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{}", "{\"kind\":\"compile\"}", "{\"kind\":\"compile\",\"arch\":\"sm_90\",\"groups\":[{}]}",
        "{\"kind\":\"compile\",\"arch\":\"../x\",\"groups\":[{\"defines\":[],\"names\":[\"k\"]}]}",
        "{\"kind\":\"compile\",\"arch\":\"sm_90\",\"groups\":[{\"defines\":[1],\"names\":[\"k\"]}]"
        "}"};
    kds_nvrtc *n = NULL;
    kds_err e;
    if (kds_nvrtc_open(&n, &e) != KDS_OK)
        fail_msg("%s", e.message);
    int major = 0, minor = 0;
    kds_nvrtc_version(n, &major, &minor);
    assert_true(major >= 12);
    assert_true(kds_path_exists(kds_nvrtc_path(n)));
    assert_true(kds_path_is_dir(kds_nvrtc_include_dir(n)));
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        kds_frame job, reply;
        kds_compiled *c = NULL;
        kds_finding f;
        kds_frame_init(&job);
        job.header = kds_json_parse_record(headers[i], strlen(headers[i]));
        kds_frame_add(&job, "x", 1);
        assert_int_equal(kds_compile_run(n, &job, &reply, &e), KDS_PROTOCOL);
        assert_int_equal(kds_compile_reply(&c, &job, &f, &e), KDS_PROTOCOL);
        kds_frame_free(&job);
    }
    kds_nvrtc_close(n);
    worker w;
    spawn_worker(&w, 0);
    assert_int_equal(write(w.fd, "not a frame at all, but long enough", 35), 35);
    kds_frame reply;
    assert_false(receive(&w, 30, &reply));
    int status = 0;
    for (int i = 0; i < 300 && !kds_spawn_ended(w.pid, &status); i++)
        usleep(10000);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    close(w.fd);
    kds_buf_free(&w.in);
}

static void compile_all(const char *name)
{
    char dir[500];
    kds_task *t = NULL;
    kds_finding f;
    kds_err e;
    snprintf(dir, sizeof dir, "%s/kernels/%s", KDS_SOURCE_DIR, name);
    if (kds_task_load(&t, dir, &e) != KDS_OK)
        fail_msg("%s", e.message);
    const char *sources[20] = {t->baseline, t->reference};
    for (int i = 0; i < t->seed_count; i++)
        sources[2 + i] = t->seeds[i].source;
    for (int i = 0; i < 2 + t->seed_count; i++) {
        if (!sources[i])
            continue;
        assert_int_equal(kds_lint_source(sources[i], strlen(sources[i]), &f, NULL), KDS_OK);
        if (f.verdict != KDS_VERDICT_OK)
            fail_msg("%s: source %d, line %d: %s", name, i, f.line, f.text);
        kds_compiled *c = compile_for(t, sources[i], &f);
        if (!c)
            fail_msg("%s: source %d, line %d: %s", name, i, f.line, f.text);
        kds_compiled_free(c);
    }
    kds_task_free(t);
}

static void test_real_tasks(void **state)
{
    (void)state;
    compile_all("rms_norm");
    compile_all("rotary_embedding");
}

static int set_up(void **state)
{
    (void)state;
    kds_err e;
    if (kds_task_load(&task, KDS_SOURCE_DIR "/kernels/rms_norm", &e) != KDS_OK) {
        fprintf(stderr, "%s\n", e.message);
        return 1;
    }
    spawn_worker(&shared, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    int status = 0;
    close(shared.fd); /* the end of the stream ends the worker well */
    for (int i = 0; i < 500 && !kds_spawn_ended(shared.pid, &status); i++)
        usleep(10000);
    kds_buf_free(&shared.in);
    kds_task_free(task);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "worker-compile") == 0) {
        kds_err e;
        return kds_worker_compile(KDS_WORKER_FD, &e) == KDS_OK ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_the_plan_is_not_compiled),
        cmocka_unit_test(test_struct_parameters_and_spills),
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_prelude),
        cmocka_unit_test(test_allowed_headers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_endless_log),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_no_file_leaks),
        cmocka_unit_test(test_bad_frames),
        cmocka_unit_test(test_real_tasks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
