/* Functions that are called: CUDA C++ through NVRTC for three architectures (older and newer
 * compilers spell calls differently) against the same functions in C, and PTX by hand for what the
 * compiler does not write. */
#include "tests/eval/sim_nvrtc.h"

/* Runs kernel k of one block: int *out of `count` words that begin at zero, and int n. */
static kds_sim_result run(const kds_sim_module *m, uint32_t blocks, uint32_t threads, int32_t n,
                          int32_t *out, size_t count, const char *isa)
{
    const char *missing = kds_sim_module_missing(m, "k");
    if (missing != NULL)
        fail_msg("%s", missing);
    kds_sim_memory *memory = kds_sim_memory_create();
    struct {
        uint64_t out;
        int32_t n;
    } p = {add_buffer(memory, "out", count * 4, KDS_SIM_DEFINED, false), n};
    kds_sim_options o = {.check_uninitialised = true, .isa = isa, .budget = 50000000};
    kds_sim_result r = launch(m, "k", blocks, threads, 0, &p, 12, memory, &o);
    assert_true(kds_sim_memory_read(memory, p.out, count * 4, out, NULL));
    kds_sim_memory_free(memory);
    return r;
}

typedef int32_t want_thread(int32_t i, int32_t n);

/* For every architecture and instruction set, one block of 96 threads. */
static void check(const compiler *c, const char *source, int32_t n, want_thread *want)
{
    int32_t out[96];
    for (size_t a = 0; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(c, source, archs[a]);
        for (int isa = 0; isa < 2; isa++) {
            kds_sim_result r = run(m, 1, 96, n, out, 96, instruction_sets()[isa]);
            if (r.status != KDS_SIM_OK)
                fail_msg("%s: %s", archs[a], r.report);
            for (int32_t i = 0; i < 96; i++)
                if (out[i] != want(i, n))
                    fail_msg("%s, thread %d: %d, not %d", archs[a], i, out[i], want(i, n));
        }
        kds_sim_module_free(m);
    }
}

/* The first error of every architecture must hold all of the texts. */
static void check_fault(const compiler *c, const char *source, int32_t n, kds_sim_status status,
                        const char *const *texts)
{
    int32_t out[96];
    for (size_t a = 0; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(c, source, archs[a]);
        for (int isa = 0; isa < 2; isa++) {
            kds_sim_result r = run(m, 1, 96, n, out, 96, instruction_sets()[isa]);
            if (r.status != status)
                fail_msg("%s: %s: %s", archs[a], kds_sim_status_name(r.status), r.report);
            for (int t = 0; texts[t] != NULL; t++)
                if (strstr(r.report, texts[t]) == NULL)
                    fail_msg("%s: no '%s' in: %s", archs[a], texts[t], r.report);
        }
        kds_sim_module_free(m);
    }
}

/* ---- Recursion ---- */

static int32_t fib(int32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
static int32_t ackermann(int32_t m, int32_t n)
{
    return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}
static int32_t want_recursion(int32_t i, int32_t n)
{
    return fib(i % 12) * 1000 + ackermann(i % 3, i % n) + (i % 2 == 0 ? 500000 : 0);
}

static void recursion(void **state)
{
    check(*state,
          "__device__ __noinline__ int fib(int n)\n"
          "{ return n < 2 ? n : fib(n - 1) + fib(n - 2); }\n"
          "__device__ __noinline__ int ackermann(int m, int n) { return m == 0 ? n + 1 :\n"
          "  n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1)); }\n"
          "__device__ __noinline__ int odd(int n);\n"
          "__device__ __noinline__ int even(int n) { return n == 0 ? 1 : odd(n - 1); }\n"
          "__device__ __noinline__ int odd(int n) { return n == 0 ? 0 : even(n - 1); }\n"
          "extern \"C\" __global__ void k(int *out, int n) { int i = threadIdx.x;\n"
          "  int v = fib(i % 12) * 1000 + ackermann(i % 3, i % n);\n"
          "  if (even(i)) v += 500000;\n"
          "  out[i] = v; }\n",
          5, want_recursion);
}

static int32_t want_sorted(int32_t i, int32_t n)
{
    int32_t v[16];
    for (int32_t j = 0; j < 16; j++)
        v[j] = (i * 7 + j * 13) % 17;
    for (int32_t j = 0; j < n; j++)
        for (int32_t q = j + 1; q <= n; q++)
            if (v[q] < v[j]) {
                int32_t t = v[q];
                v[q] = v[j];
                v[j] = t;
            }
    return v[n / 2] * 100 + v[i % (n + 1)];
}

/* A recursion that works on an array of the kernel through a generic address, and has one of its
 * own in every frame. */
static void arrays_across_frames(void **state)
{
    check(*state,
          "__device__ __noinline__ void sort(int *a, int low, int high) {\n"
          "  if (low >= high) return; int count[2]; count[0] = low; count[1] = 0;\n"
          "  int p = a[high];\n"
          "  for (int q = low; q < high; q++) { int less = a[q] < p;\n"
          "    if (less) { int t = a[q]; a[q] = a[count[0]]; a[count[0]] = t; }\n"
          "    count[!less]++; }\n"
          "  a[high] = a[count[0]]; a[count[0]] = p;\n"
          "  sort(a, low, count[0] - 1); sort(a, high - count[1] + 0, high); }\n"
          "extern \"C\" __global__ void k(int *out, int n) { int i = threadIdx.x, v[16];\n"
          "  for (int j = 0; j < 16; j++) v[j] = (i * 7 + j * 13) % 17;\n"
          "  sort(v, 0, n); out[i] = v[n / 2] * 100 + v[i % (n + 1)]; }\n",
          15, want_sorted);
}

/* ---- Arguments and results ---- */

typedef struct big {
    double a[3];
    int8_t c;
    int16_t d;
} big;
static big turn(big b, int8_t k)
{
    big r = b;
    r.a[k % 3] += b.a[(k + 1) % 3];
    r.c = (int8_t)(r.c ^ k);
    r.d = b.c;
    return r;
}
static int32_t want_structs(int32_t i, int32_t n)
{
    big b = {{i, 2.0 * i, 3.0 * i}, (int8_t)(i * 5), (int16_t)n};
    big r = turn(b, (int8_t)i);
    int16_t small = (int16_t)((int16_t)(i * 300) + (int8_t)n);
    int32_t sum = 0;
    for (int32_t j = 0; j < 24; j++)
        sum += (j + i) * (j % 5);
    return (int32_t)(r.a[0] + 10 * r.a[1] + 100 * r.a[2]) + r.c + r.d * 3 + small +
           (i % 2 == 1 ? 4 * i + 6 : 1) + sum;
}

static void structs_by_value(void **state)
{
    check(*state,
          "struct big { double a[3]; char c; short d; };\n"
          "struct small { short a; char b; };\n"
          "struct many { int v[24]; };\n"
          "__device__ __noinline__ big turn(big b, char k) { big r = b;\n"
          "  r.a[k % 3] += b.a[(k + 1) % 3]; r.c ^= k; r.d = b.c; return r; }\n"
          "__device__ __noinline__ small add(small s) { s.a += s.b; return s; }\n"
          "__device__ __noinline__ int pick(float4 v, bool flag, unsigned char u, long long w)\n"
          "{ return flag ? (int)(v.x + v.y + v.z + v.w) : u + (int)w; }\n"
          "__device__ __noinline__ many fill(int i) { many m;\n"
          "  for (int j = 0; j < 24; j++) m.v[j] = j + i; return m; }\n"
          "__device__ __noinline__ int sum(many m, int k) { int s = 0;\n"
          "  for (int j = 0; j < 24; j++) s += m.v[j] * (j % k); return s; }\n"
          "extern \"C\" __global__ void k(int *out, int n) { int i = threadIdx.x;\n"
          "  big b; b.a[0] = i; b.a[1] = 2.0 * i; b.a[2] = 3.0 * i; b.c = i * 5; b.d = n;\n"
          "  big r = turn(b, (char)i); small s; s.a = i * 300; s.b = n; s = add(s);\n"
          "  out[i] = (int)(r.a[0] + 10 * r.a[1] + 100 * r.a[2]) + r.c + r.d * 3 + s.a\n"
          "    + pick(make_float4(i, i + 1, i + 2, i + 3), i % 2, 250, -249LL)\n"
          "    + sum(fill(i), 5); }\n",
          9, want_structs);
}

/* ---- By address ---- */

static int32_t want_by_address(int32_t i, int32_t n)
{
    int32_t v = i % 3 == 0 ? i * 2 : i % 3 == 1 ? i + 1 : i * i;
    v += i % 2 == 0 ? v * v : n > 100 ? v * 2 : v + 1;
    v += i % 2 == 0 ? v * 2 : v + 1;
    return v + (i % 2 == 1 ? i + 5 : i * 7);
}

static void by_address(void **state)
{
    check(*state,
          "typedef int fn(int);\n"
          "__device__ __noinline__ int twice(int x) { return x * 2; }\n"
          "__device__ __noinline__ int next(int x) { return x + 1; }\n"
          "__device__ __noinline__ int square(int x) { return x * x; }\n"
          "__constant__ fn *table[3] = {twice, next, square};\n"
          "__device__ fn *others[2] = {twice, next};\n"
          "struct base { int v; __device__ virtual int get(int) = 0;\n"
          "  __device__ virtual ~base() {} };\n"
          "struct sum : base { __device__ int get(int x) override { return x + v; } };\n"
          "struct product : base { __device__ int get(int x) override { return x * v; } };\n"
          "__device__ __noinline__ int use(base *b, int x) { return b->get(x); }\n"
          "extern \"C\" __global__ void k(int *out, int n) { int i = threadIdx.x;\n"
          "  int v = table[i % 3](i); fn *own[2] = {square, next};\n"
          "  if (n > 100) own[n & 1] = twice;\n"
          "  v += own[i & 1](v); v += others[i & 1](v);\n"
          "  sum s; s.v = 5; product p; p.v = 7; base *b = i & 1 ? (base *)&s : (base *)&p;\n"
          "  out[i] = v + use(b, i); }\n",
          101, want_by_address);
}

/* ---- Calls on some lanes, then something that all must come to ---- */

static int32_t depth_sum(int32_t n)
{
    return n <= 0 ? 1 : n + depth_sum(n - 2);
}
static int32_t want_meeting(int32_t i, int32_t n)
{
    int32_t w[96], sum = 0;
    for (int32_t j = 0; j < 96; j++)
        w[j] = j % 3 == 0 ? depth_sum(j % 32) : j % 3 == 1 ? j : j * n;
    for (int32_t j = i / 32 * 32; j < i / 32 * 32 + 32; j++)
        sum += w[j];
    return sum + w[(i + 40) % 96];
}

static void lanes_meet_again(void **state)
{
    check(*state,
          "__device__ __noinline__ int down(int n)\n"
          "{ if (n <= 0) return 1; return n + down(n - 2); }\n"
          "__device__ __noinline__ int warp_sum(int v) {\n"
          "  for (int o = 16; o; o /= 2) v += __shfl_xor_sync(~0u, v, o); return v; }\n"
          "__device__ __noinline__ int exchange(int *s, int i, int v)\n"
          "{ s[i] = v; __syncthreads(); return s[(i + 40) % 96]; }\n"
          "extern \"C\" __global__ void k(int *out, int n) { __shared__ int s[96];\n"
          "  int i = threadIdx.x, v = i;\n"
          "  if (i % 3 == 0) v = down(i % 32); else if (i % 3 == 2) v = i * n;\n"
          "  int sum = warp_sum(v);\n"
          "  out[i] = sum + exchange(s, i, v); }\n",
          3, want_meeting);
}

/* ---- What the run time does ---- */

static int32_t want_printed(int32_t i, int32_t n)
{
    return i + (i % 5 == 0 ? n + 3 : 0);
}

static void print_is_swallowed(void **state)
{
    check(*state,
          "extern \"C\" __global__ void k(int *out, int n) { int i = threadIdx.x;\n"
          "  if (i % 5 == 0) out[i] = i + n + printf(\"%d %% %5.2f%s\\n\", i, 1.5, \"x\");\n"
          "  else out[i] = i; }\n",
          4, want_printed);
}

static void assertions_are_told(void **state)
{
    static const char source[] =
        "#undef NDEBUG\n#line 7 \"my\\033[31mkernel.cu\"\n"
        "__device__ __noinline__ void check(int x) { assert(x < 40); }\n"
        "extern \"C\" __global__ void k(int *out, int n) { check(threadIdx.x + n);\n"
        "  out[threadIdx.x] = 1; }\n";
    static const char *const texts[] = {"trap: kernel k, in function ",
                                        "check",
                                        "thread (40, 0, 0)",
                                        "assertion failed: x < 40, my",
                                        "kernel.cu line 7, in void check(int)",
                                        NULL};
    check_fault(*state, source, 0, KDS_SIM_TRAP, texts);
    int32_t out[96];
    kds_sim_module *m = compile(*state, source, archs[0]);
    kds_sim_result r = run(m, 1, 96, 0, out, 96, NULL);
    assert_null(strchr(r.report, '\033'));
    assert_int_equal(run(m, 1, 40, 0, out, 40, NULL).status, KDS_SIM_OK);
    kds_sim_module_free(m);
}

static void what_has_no_body_is_named(void **state)
{
    for (size_t a = 0; a < COUNT(archs); a++) {
        kds_sim_module *m = compile(*state,
                                    "extern \"C\" __global__ void k(int *out, int n) {\n"
                                    "  char *p = (char *)malloc(n); p[n / 2] = 1;\n"
                                    "  out[0] = p[n / 2]; free(p); }\n",
                                    archs[a]);
        const char *missing = kds_sim_module_missing(m, "k");
        assert_non_null(missing);
        assert_non_null(strstr(missing, "malloc"));
        kds_sim_module_free(m);
    }
}

static void endless_recursion(void **state)
{
    static const char *const texts[] = {"out of bounds: kernel k, in function ", "deeper",
                                        "stack overflow: a call of ", "at depth 4096", NULL};
    check_fault(*state,
                "__device__ __noinline__ int deeper(int n, int m)\n"
                "{ return n == m ? n : deeper(n + 1, m) * 3 + 1; }\n"
                "extern \"C\" __global__ void k(int *out, int n)\n"
                "{ out[threadIdx.x] = deeper(threadIdx.x, n); }\n",
                -1, KDS_SIM_OUT_OF_BOUNDS, texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recursion),           cmocka_unit_test(arrays_across_frames),
        cmocka_unit_test(structs_by_value),    cmocka_unit_test(by_address),
        cmocka_unit_test(lanes_meet_again),    cmocka_unit_test(print_is_swallowed),
        cmocka_unit_test(assertions_are_told), cmocka_unit_test(what_has_no_body_is_named),
        cmocka_unit_test(endless_recursion),
    };
    return cmocka_run_group_tests(tests, open_compiler, NULL);
}
