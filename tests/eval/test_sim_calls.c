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

/* ---- PTX by hand ---- */

/* Functions, then a kernel k(out, n) that has %t = tid.x, %n = n, and stores %r0 of each thread. */
#define MODULE(functions, body)                                                                    \
    HEADER functions                                                                               \
        "\n.visible .entry k(.param .u64 out, .param .u32 n)\n{\n"                                 \
        ".reg .b32 %r<9>, %t, %n; .reg .b64 %d<9>, %o; .reg .pred %p<3>;\n"                        \
        "ld.param.u64 %o, [out]; ld.param.u32 %n, [n]; mov.u32 %t, %tid.x; mov.u32 %r0, 0;\n" body \
        "\nmul.wide.u32 %d8, %t, 4; add.s64 %o, %o, %d8; st.global.u32 [%o], %r0;\nret;\n}\n"

#define TWICE                                                                                      \
    ".func (.param .b32 r) twice(.param .b32 a)\n"                                                 \
    "{ .reg .b32 %x; ld.param.b32 %x, [a]; add.s32 %x, %x, %x; st.param.b32 [r], %x; ret; }\n"
#define CALL_TWICE                                                                                 \
    "{ .param .b32 x; .param .b32 y; st.param.b32 [x], %t;\n"                                      \
    "call.uni (y), twice, (x); ld.param.b32 %r0, [y]; }"

static void spellings(void **state)
{
    (void)state;
    static const char *const doubling[] = {
        MODULE(TWICE, CALL_TWICE),
        /* Declared before it is defined, weak, with attributes and pragmas. */
        MODULE(".func (.param .b32 r) twice(.param .b32 a);\n.weak " TWICE, CALL_TWICE),
        MODULE(".visible .func .attribute(.unified(1, 2)) (.param .b32 r) twice(.param .b32 a)\n"
               ".pragma \"x\";\n"
               "{ .pragma \"nounroll\"; .reg .b32 %x; { { ld.param::func.b32 %x, [a]; } }\n"
               "shl.b32 %x, %x, 1; st.param::func.b32 [r+0], %x; }\n",
               CALL_TWICE),
        /* By address: with a prototype, and with targets. */
        MODULE(TWICE,
               "{ .param .b32 x; .param .b32 y; st.param.b32 [x+0], %t; mov.u64 %d1, twice;\n"
               "P : .callprototype (.param .b32 _) _ (.param .b32 _);\n"
               "call (y), %d1, (x), P; ld.param.b32 %r0, [y+0]; }"),
        MODULE(TWICE,
               "{ .param .b32 x; .param .b32 y; st.param.b32 [x+0], %t; mov.u64 %d1, twice;\n"
               "P: .calltargets twice;\n"
               "call.uni (y), %d1, (x), P; ld.param.b32 %r0, [y+0]; }"),
        /* A guard: the others keep what they have. */
        MODULE(TWICE, "{ .param .b32 x; .param .b32 y; add.s32 %r1, %t, %t; st.param.b32 [x], %t;\n"
                      "st.param.b32 [y], %r1; and.b32 %r2, %t, 1; setp.eq.u32 %p1, %r2, 1;\n"
                      "@%p1 call (y), twice, (x); ld.param.b32 %r0, [y]; }"),
        /* Vectors, bytes and a call within a call's function; the same name in several scopes. */
        MODULE(".func (.param .align 16 .b8 r[16]) inner(.param .align 8 .b8 a[12])\n"
               "{ .reg .b16 %h<5>; .reg .b32 %x<3>; ld.param.v2.b32 {%x0, %x1}, [a];\n"
               "ld.param.v4.u8 {%h0, %h1, %h2, %h3}, [a+8]; cvt.u32.u16 %x2, %h2;\n"
               "add.s32 %x0, %x0, %x2; st.param.v4.b32 [r], {%x0, %x1, %x2, 7}; ret; }\n"
               ".func (.param .b32 r) twice(.param .b32 a)\n"
               "{ .reg .b32 %x<9>; ld.param.b32 %x0, [a];\n"
               "{ .param .align 8 .b8 v[12]; .param .align 16 .b8 w[16];\n"
               "st.param.v2.b32 [v], {%x0, %x0}; st.param.b32 [v+8], 0x00030000;\n"
               "call (w), inner, (v); ld.param.v4.b32 {%x1, %x2, %x3, %x4}, [w]; }\n"
               "{ .param .align 8 .b8 v[12]; .param .align 16 .b8 w[16];\n"
               "st.param.v2.b32 [v], {%x2, %x1}; st.param.b32 [v+8], 0;\n"
               "call (w), inner, (v); ld.param.v2.b32 {%x5, %x6}, [w]; }\n"
               "add.s32 %x1, %x5, %x6; sub.s32 %x1, %x1, %x3; st.param.b32 [r], %x1; ret; }\n",
               CALL_TWICE),
        /* Nothing given, nothing returned, and an exit in a function. */
        MODULE(".global .u32 g;\n.func nothing()\n{ .reg .b32 %x; atom.global.add.u32 %x, [g], 1;\n"
               "ret; }\n.func leave { exit; }\n",
               "call nothing; call nothing, (); add.s32 %r0, %t, %t; setp.gt.u32 %p1, %t, 94;\n"
               "mul.wide.u32 %d1, %t, 4; add.s64 %d1, %o, %d1; @%p1 st.global.u32 [%d1], 190;\n"
               "@%p1 call leave;"),
    };
    int32_t out[96];
    for (size_t k = 0; k < COUNT(doubling); k++)
        for (int isa = 0; isa < 2; isa++) {
            kds_sim_module *m = load(doubling[k]);
            kds_sim_result r = run(m, 1, 96, 0, out, 96, instruction_sets()[isa]);
            if (r.status != KDS_SIM_OK)
                fail_msg("%s\n%s", doubling[k], r.report);
            for (int32_t i = 0; i < 96; i++)
                if (out[i] != 2 * i)
                    fail_msg("%s\nthread %d: %d", doubling[k], i, out[i]);
            kds_sim_module_free(m);
        }
}

#define BY_ADDRESS(value)                                                                          \
    "{ .param .b32 x; .param .b32 y; st.param.b32 [x], %t; " value                                 \
    "\nP: .callprototype (.param .b32 _) _ (.param .b32 _);\n"                                     \
    "call (y), %d1, (x), P; ld.param.b32 %r0, [y]; }"

/* Faults of calls, and what is not simulated, each with its text. */
static void wrong_calls(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        kds_sim_status status;
        const char *report;
    } cases[] = {
        {MODULE(TWICE, BY_ADDRESS("mov.u64 %d1, 0;")), KDS_SIM_OUT_OF_BOUNDS,
         "calls address 0x0, where no function is"},
        {MODULE(TWICE, BY_ADDRESS("mov.u64 %d1, twice; add.s64 %d1, %d1, 4;")),
         KDS_SIM_OUT_OF_BOUNDS, "where no function is"},
        {MODULE(TWICE ".func wide(.param .b64 a) { ret; }\n", BY_ADDRESS("mov.u64 %d1, wide;")),
         KDS_SIM_TRAP, "calls wide by its address with arguments that it does not have"},
        {MODULE(".extern .func (.param .b32 r) other(.param .b32 a);\n",
                BY_ADDRESS("mov.u64 %d1, other;")),
         KDS_SIM_NOT_SIMULATED, "a function that has no code here"},
        {MODULE(".extern .func (.param .b32 r) other(.param .b32 a);\n"
                ".func (.param .b32 r) f(.param .b32 a)\n"
                "{ .param .b32 x; .param .b32 y; call (y), other, (x); ret; }\n",
                BY_ADDRESS("mov.u64 %d1, f;")),
         KDS_SIM_NOT_SIMULATED, "a call of f: call at line 6 (a call of other, which has no body)"},
        {MODULE(TWICE, "{ .param .b64 x; .param .b32 y; call (y), twice, (x); }"),
         KDS_SIM_NOT_SIMULATED, "an argument of another size"},
        {MODULE(TWICE, "{ .param .b32 x; .param .b32 y; call twice, (x); }"), KDS_SIM_NOT_SIMULATED,
         "another number of arguments"},
        {MODULE(TWICE, "{ .param .b32 x; .param .b32 y; call (y), twice, (%r1); }"),
         KDS_SIM_NOT_SIMULATED, "an argument that is no .param variable"},
        {MODULE(".func (.reg .b32 r) f(.reg .b32 a) { mov.b32 r, a; ret; }\n",
                "call (%r0), f, (%t);"),
         KDS_SIM_NOT_SIMULATED, "an argument that is no .param variable"},
        {MODULE(".func f(.reg .b32 a) { ret; }\n", "{ .param .b32 x; call f, (x); }"),
         KDS_SIM_NOT_SIMULATED, "whose parameters are registers"},
        {MODULE(TWICE ".func (.param .b32 r) other(.param .b32 a);\n.alias other, twice;\n",
                "{ .param .b32 x; .param .b32 y; call (y), other, (x); }"),
         KDS_SIM_NOT_SIMULATED, "a call of other, which has no body"},
        {MODULE(TWICE, "{ .param .b32 x; .param .b32 y; st.param.b64 [x], %d1; }"),
         KDS_SIM_NOT_SIMULATED, "a place outside the parameter"},
        {MODULE(TWICE, "{ .param .b32 x; .param .b32 y; mov.u64 %d1, x; }"), KDS_SIM_NOT_SIMULATED,
         "the address of a parameter of a call"},
        {MODULE(".func f(.param .align 4 .b8 a[8])\n"
                "{ .reg .b64 %d; .reg .b32 %x; mov.u64 %d, a; ld.param.b32 %x, [%d]; ret; }\n",
                "{ .param .align 4 .b8 x[8]; call f, (x); }"),
         KDS_SIM_NOT_SIMULATED, "the address of a parameter of a call"},
        {MODULE(".extern .func cudaDeviceSynchronize;\n", "call cudaDeviceSynchronize;"),
         KDS_SIM_NOT_SIMULATED, "a call of cudaDeviceSynchronize, which has no body"},
        {MODULE(".func f { trap; }\n", "setp.eq.u32 %p1, %t, 70; @%p1 call f;"), KDS_SIM_TRAP,
         "kernel k, in function f, block (0, 0, 0), thread (70, 0, 0): trap at PTX line 4"},
        {MODULE(".func f(.param .b64 a)\n{ .local .align 8 .b8 w[8]; .reg .b64 %a; .reg .b32 %x;\n"
                "ld.param.b64 %a, [a]; st.local.b32 [w], 1; st.local.b32 [%a+8], 2; ret; }\n",
                "{ .local .b32 v[2]; .param .b64 x; mov.u64 %d1, v; st.param.b64 [x], %d1;\n"
                "call f, (x); }"),
         KDS_SIM_OUT_OF_BOUNDS, "writes 4 bytes at the end of v (8 bytes of local memory)"},
        {MODULE(".func f(.param .b64 a)\n{ .local .align 8 .b8 w[8]; .reg .b64 %a; .reg .b32 %x;\n"
                "mov.u64 %a, w; st.local.b64 [%a+4], 2; ret; }\n",
                "{ .param .b64 x; call f, (x); }"),
         KDS_SIM_OUT_OF_BOUNDS, "at byte 4 of w (8 bytes of local memory)"},
    };
    int32_t out[96];
    for (size_t k = 0; k < COUNT(cases); k++) {
        kds_sim_module *m = load(cases[k].text);
        kds_sim_memory *memory = kds_sim_memory_create();
        struct {
            uint64_t out;
            int32_t n;
        } p = {add_buffer(memory, "out", sizeof out, KDS_SIM_DEFINED, false), 0};
        kds_sim_result r = launch(m, "k", 1, 96, 0, &p, 12, memory, NULL);
        if (r.status != cases[k].status || strstr(r.report, cases[k].report) == NULL)
            fail_msg("%s\n%s: %s\nwanted: %s", cases[k].text, kds_sim_status_name(r.status),
                     r.report, cases[k].report);
        kds_sim_memory_free(memory);
        kds_sim_module_free(m);
    }
}

/* Lanes come to one barrier, and one shuffle, by calls of different depth. */
static void one_place_at_several_depths(void **state)
{
    (void)state;
    static const char text[] = MODULE(
        ".shared .align 4 .b32 s[96];\n"
        ".func (.param .b32 r) meet(.param .b32 a)\n"
        "{ .reg .b32 %x<9>; ld.param.b32 %x0, [a]; shfl.sync.bfly.b32 %x1, %x0, 1, 31, -1;\n"
        "mov.u32 %x2, %tid.x; shl.b32 %x3, %x2, 2; mov.u32 %x4, s; add.s32 %x3, %x3, %x4;\n"
        "st.shared.b32 [%x3], %x1; barrier.sync 0; sub.s32 %x4, 95, %x2;\n"
        "shl.b32 %x4, %x4, 2; mov.u32 %x5, s; add.s32 %x4, %x4, %x5;\n"
        "ld.shared.b32 %x6, [%x4]; st.param.b32 [r], %x6; ret; }\n"
        ".func (.param .b32 r) deep(.param .b32 a, .param .b32 depth)\n"
        "{ .reg .b32 %x<3>; .reg .pred %p; ld.param.b32 %x0, [a]; ld.param.b32 %x1, [depth];\n"
        "{ .param .b32 x; .param .b32 y; .param .b32 z; st.param.b32 [x], %x0;\n"
        "setp.eq.s32 %p, %x1, 0; @%p bra LAST; sub.s32 %x1, %x1, 1; st.param.b32 [z], %x1;\n"
        "call (y), deep, (x, z); ld.param.b32 %x2, [y]; bra.uni END;\n"
        "LAST: call (y), meet, (x); ld.param.b32 %x2, [y];\n"
        "END: st.param.b32 [r], %x2; ret; } }\n",
        "{ .param .b32 x; .param .b32 y; .param .b32 z; st.param.b32 [x], %t;\n"
        "and.b32 %r1, %t, 7; st.param.b32 [z], %r1; call (y), deep, (x, z);\n"
        "ld.param.b32 %r0, [y]; }");
    int32_t out[96];
    kds_sim_module *m = load(text);
    for (int isa = 0; isa < 2; isa++) {
        kds_sim_result r = run(m, 1, 96, 0, out, 96, instruction_sets()[isa]);
        if (r.status != KDS_SIM_OK)
            fail_msg("%s", r.report);
        for (int32_t i = 0; i < 96; i++)
            assert_int_equal(out[i], (95 - i) ^ 1);
    }
    kds_sim_module_free(m);
}

/* Calls and returns are instructions of the control pipe, and take time. */
static void calls_are_counted(void **state)
{
    (void)state;
    static const char *const texts[] = {MODULE(TWICE, CALL_TWICE),
                                        MODULE("", "add.s32 %r0, %t, %t;")};
    static const kds_sim_latency latency = {.alu = 4, .global_dram = 500, .barrier = 20};
    double control[2], cycles[2];
    for (int k = 0; k < 2; k++) {
        kds_sim_module *m = load(texts[k]);
        kds_sim_memory *memory = kds_sim_memory_create();
        struct {
            uint64_t out;
            int32_t n;
        } p = {add_buffer(memory, "out", 384, KDS_SIM_DEFINED, false), 0};
        kds_sim_options o = {.latency = &latency};
        kds_sim_result r = launch(m, "k", 1, 96, 0, &p, 12, memory, &o);
        assert_int_equal(r.status, KDS_SIM_OK);
        control[k] = r.counters[KDS_SIM_COUNTER_INST_CONTROL];
        cycles[k] = r.trace_cycles;
        kds_sim_memory_free(memory);
        kds_sim_module_free(m);
    }
    assert_true(control[0] - control[1] == 2 * 3); /* a call and a return in each of three warps */
    assert_true(cycles[1] > 0 && cycles[0] > cycles[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recursion),           cmocka_unit_test(arrays_across_frames),
        cmocka_unit_test(structs_by_value),    cmocka_unit_test(by_address),
        cmocka_unit_test(lanes_meet_again),    cmocka_unit_test(print_is_swallowed),
        cmocka_unit_test(assertions_are_told), cmocka_unit_test(what_has_no_body_is_named),
        cmocka_unit_test(endless_recursion),   cmocka_unit_test(spellings),
        cmocka_unit_test(wrong_calls),         cmocka_unit_test(one_place_at_several_depths),
        cmocka_unit_test(calls_are_counted),
    };
    return cmocka_run_group_tests(tests, open_compiler, NULL);
}
