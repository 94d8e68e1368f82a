/* The built-in proposer: its sweeps reach every point once, its crossover takes what differs, its
 * rewrites are new each time, and no source can make it fail. */
#include "prompts/builtin.h"
#include "search/base/file.h"
#include "search/base/lex.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- What was proposed so far, by normal form. */
typedef struct memory {
    kds_id ids[8192];
    int count;
    bool all; /* answer that everything is known */
} memory;

static bool recall(void *user, kds_id norm)
{
    const memory *m = user;
    for (int i = 0; i < m->count; i++) {
        if (kds_id_equal(m->ids[i], norm))
            return true;
    }
    return m->all;
}

static void remember(memory *m, const char *text, size_t len)
{
    kds_buf norm;
    kds_buf_init(&norm, 2 * KDS_SOURCE_CAP);
    kds_lex_normalize(&norm, text, len);
    assert_true(m->count < 8192);
    m->ids[m->count++] = kds_id_of(norm.data, norm.len);
    kds_buf_free(&norm);
}

static kds_ask ask_for(const char *operator_name, const char *parent, const char *other)
{
    kds_ask ask = {.operator_name = operator_name};
    ask.parent.source = parent;
    ask.parent.source_len = strlen(parent);
    ask.other.source = other;
    ask.other.source_len = other ? strlen(other) : 0;
    return ask;
}

/* Proposes with stream `seed`; the child's text (owned by the caller), or NULL if none was made. */
static char *propose(const kds_ask *ask, uint64_t seed, memory *m, char hypothesis[400])
{
    kds_random random = kds_random_stream(seed, 3, "child");
    kds_buf source, words;
    kds_err e;
    bool made = false;
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_buf_init(&words, 4096);
    if (kds_builtin_propose(ask, &random, m ? recall : NULL, m,
                            &(kds_proposal){&source, &words, NULL}, &made, &e))
        fail_msg("%s", e.message);
    assert_true(made == (source.len > 0) && made == (words.len > 0));
    assert_null(strchr(words.data, '\n'));
    if (hypothesis)
        snprintf(hypothesis, 400, "%s", words.data);
    char *text = made ? kds_buf_take(&source) : NULL;
    kds_buf_free(&source);
    kds_buf_free(&words);
    return text;
}

/* ---- tune */
static const char tuned[] = "#pragma kda tune V = 8, 2, 4 // widths\n#pragma kda tune ONE = 1\n"
                            "#pragma kda tune W = 16, 4\nint x; // V = 3\n";

static void test_tune_reaches_every_point_once(void **state)
{
    (void)state;
    kds_ask ask = ask_for("tune", tuned, NULL);
    memory *m = calloc(1, sizeof *m);
    bool seen[3][2] = {{false}};
    char *child, hypothesis[400];
    for (uint64_t seed = 0; (child = propose(&ask, seed, m, hypothesis)); seed++) {
        kds_tunable u[KDS_TUNABLES];
        int count;
        assert_int_equal(kds_tunables_find(u, &count, child, strlen(child), NULL), KDS_OK);
        assert_int_equal(count, 3);
        int v = u[0].values[0] == 2 ? 0 : u[0].values[0] == 4 ? 1 : 2;
        int w = u[2].values[0] == 16;
        assert_false(seen[v][w]); /* no point twice */
        seen[v][w] = true;
        assert_non_null(strstr(hypothesis, "->"));
        assert_non_null(strstr(child, " // widths\n#pragma kda tune ONE = 1\n"));
        assert_non_null(strstr(child, "\nint x; // V = 3\n"));
        remember(m, child, strlen(child));
        free(child);
    }
    assert_int_equal(m->count, 5); /* 3 x 1 x 2 without the parent's own */
    assert_false(seen[2][1]);
    free(m);
}

static void test_tune_writes_a_point_in_one_way(void **state)
{
    (void)state;
    /* the same point from two parents in which it was reached differently */
    kds_ask a = ask_for("tune", "#pragma kda tune V = 8, 2, /* c */ 4\n", NULL);
    kds_ask b = ask_for("tune", "#pragma kda tune V = 2, 8, 4\n", NULL);
    char *wanted = NULL;
    for (uint64_t seed = 0; seed < 40; seed++) {
        char *x = propose(seed % 2 ? &a : &b, seed, NULL, NULL);
        if (strstr(x, "V = 4")) {
            assert_string_equal(x, "#pragma kda tune V = 4, 2, 8\n");
            wanted = x;
        }
        free(x);
    }
    assert_non_null(wanted);
}

static void test_tune_prefers_neighbours(void **state)
{
    (void)state;
    kds_ask ask = ask_for("tune", "#pragma kda tune V = 8, 1, 2, 4, 16, 32, 64, 128\n", NULL);
    int near = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        char *x = propose(&ask, seed, NULL, NULL);
        near += strstr(x, "V = 4,") || strstr(x, "V = 16,");
        free(x);
    }
    assert_true(near > 140 && near < 200);
}

static void test_tune_without_anything_to_turn(void **state)
{
    (void)state;
    const char *const sources[] = {"int x;", "#pragma kda tune A = 4\n",
                                   "#pragma kda tune A = 4, 4\n", "#pragma kda tune A = x\n"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        kds_ask ask = ask_for("tune", sources[i], NULL);
        assert_null(propose(&ask, 1, NULL, NULL));
    }
    /* a huge space in which everything is known is given up */
    char wide[4096] = "";
    memory *m = calloc(1, sizeof *m);
    m->all = true;
    for (int i = 0; i < 12; i++)
        snprintf(wide + strlen(wide), 128,
                 "#pragma kda tune T%d = 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n", i);
    kds_ask ask = ask_for("tune", wide, NULL);
    assert_null(propose(&ask, 1, m, NULL));
    free(m);
}

/* ---- crossover */
static void test_crossover(void **state)
{
    (void)state;
    const char *parent = "#pragma kda tune A = 1, 2\n#pragma kda tune B = 4, 8\n"
                         "#pragma kda tune C = 3, 5\nint parent;\n";
    const char *other = "#pragma kda tune B = 16, 4\n#pragma kda tune A = 2, 1\n"
                        "#pragma kda tune C = 3, 7\n#pragma kda tune D = 9, 1\nint other;\n";
    kds_ask ask = ask_for("crossover", parent, other);
    memory *m = calloc(1, sizeof *m);
    char *child, hypothesis[400];
    bool only_a = false, only_b = false, both = false;
    for (uint64_t seed = 0; (child = propose(&ask, seed, m, hypothesis)); seed++) {
        bool a = strstr(child, "A = 2, 1\n"), b = strstr(child, "B = 16, 4, 8\n");
        only_a = only_a || (a && !b && strstr(child, "B = 4, 8\n"));
        only_b = only_b || (b && !a && strstr(child, "A = 1, 2\n"));
        both = both || (a && b);
        assert_non_null(strstr(child, "C = 3, 5\nint parent;\n"));
        assert_non_null(strstr(hypothesis, "as in the other parent"));
        remember(m, child, strlen(child));
        free(child);
    }
    assert_true(only_a && only_b && both);
    assert_int_equal(m->count, 3);
    const char *const fruitless[] = {NULL, "int x;", "#pragma kda tune A = 1, 9\n", parent};
    for (size_t i = 0; i < 4; i++) {
        ask = ask_for("crossover", parent, fruitless[i]);
        assert_null(propose(&ask, 1, NULL, NULL));
    }
    /* no room for one more value */
    ask = ask_for("crossover", "#pragma kda tune A = 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n",
                  "#pragma kda tune A = 99\n");
    assert_null(propose(&ask, 1, NULL, NULL));
    free(m);
}

static void test_catalogue_is_described(void **state)
{
    (void)state;
    int n = 0;
    for (; kds_builtin_rewrite_name(n); n++) {
        assert_non_null(kds_builtin_rewrite_text(n));
        for (int i = 0; i < n; i++)
            assert_string_not_equal(kds_builtin_rewrite_name(i), kds_builtin_rewrite_name(n));
    }
    assert_true(n >= 10);
    assert_null(kds_builtin_rewrite_text(n));
    assert_null(kds_builtin_rewrite_name(-1));
}

/* ---- the rewrite operator on the sources of the tasks */
static void check_child(const char *parent, const char *child)
{
    kds_pragmas before, after;
    kds_lexer x;
    assert_string_not_equal(parent, child);
    kds_lexer_init(&x, child, strlen(child));
    while (kds_lexer_next(&x).kind != KDS_TOKEN_END)
        ;
    assert_false(x.unterminated);
    assert_int_equal(kds_pragmas_find(&before, parent, strlen(parent), NULL), KDS_OK);
    assert_int_equal(kds_pragmas_find(&after, child, strlen(child), NULL), KDS_OK);
    assert_int_equal(before.count, after.count);
    kds_pragmas_free(&before);
    kds_pragmas_free(&after);
}

static void test_rewrites_of_real_kernels(void **state)
{
    (void)state;
    const char *const paths[] = {"rms_norm/baseline/kernel.cu", "rms_norm/seeds/lanes.cu",
                                 "rotary_embedding/baseline/kernel.cu",
                                 "rotary_embedding/seeds/token.cu"};
    for (size_t p = 0; p < sizeof paths / sizeof *paths; p++) {
        char path[1024];
        kds_buf source;
        kds_err e;
        kds_buf_init(&source, KDS_SOURCE_CAP);
        snprintf(path, sizeof path, "%s/kernels/%s", KDS_SOURCE_DIR, paths[p]);
        if (kds_file_read(path, &source, &e))
            fail_msg("%s", e.message);
        kds_ask ask = ask_for("rewrite", source.data, NULL);
        memory *m = calloc(1, sizeof *m);
        int made = 0;
        for (uint64_t seed = 0; seed < 30; seed++) {
            char first[400], second[400];
            char *child = propose(&ask, seed, m, first);
            char *again = propose(&ask, seed, m, second);
            if (!child)
                break;
            assert_string_equal(child, again); /* a pure function of its arguments */
            assert_string_equal(first, second);
            check_child(source.data, child);
            remember(m, child, strlen(child));
            made++;
            free(child);
            free(again);
        }
        assert_true(made >= 25);
        free(m);
        kds_buf_free(&source);
    }
}

static void test_rewrite_gives_up(void **state)
{
    (void)state;
    memory *m = calloc(1, sizeof *m);
    kds_ask ask = ask_for("rewrite", "int x;", NULL);
    assert_null(propose(&ask, 1, NULL, NULL));
    ask = ask_for("rewrite", "", NULL);
    assert_null(propose(&ask, 1, NULL, NULL));
    m->all = true;
    ask = ask_for("rewrite", "void f() { for (;;) ; a = expf(b); }", NULL);
    assert_null(propose(&ask, 1, m, NULL));
    m->all = false;
    char *child, hypothesis[400];
    for (uint64_t seed = 0; (child = propose(&ask, seed, m, hypothesis)); seed++) {
        assert_true(strncmp(hypothesis, "unroll: ", 8) == 0 ||
                    strncmp(hypothesis, "intrinsic: ", 11) == 0);
        remember(m, child, strlen(child));
        free(child);
    }
    assert_int_equal(m->count, 6); /* five ways to unroll, one intrinsic */
    free(m);
}

static void test_hostile_sources(void **state)
{
    (void)state;
    const char *const sources[] = {
        "__global__",
        "__global__ (",
        "__global__ void k(",
        "__global__ void k() {",
        "__global__ void __launch_bounds__( k() {}",
        "#pragma kda launch",
        "#pragma kda launch k(",
        "#pragma kda launch k() grid( block(32",
        "#pragma unroll",
        "for",
        "constexpr int",
        "__ldg(",
        "__stcs(,",
        "rsqrtf((",
        "1.0f / sqrtf(",
        "expf(",
        "__device__ __noinline__",
        "#pragma kda tune",
        "#pragma kda tune V = 4 8",
        "/* ",
        "R\"(",
        "\"",
        "__global__ void k(const float *x) { x[",
        "__global__ void k(float *y) { y[0] =",
        "__global__ void k(const float *x) { = *reinterpret_cast<const float *>(x",
        ") ] } ( [ {",
        "typedef V; using"};
    const char *const operators[] = {"rewrite", "tune", "crossover"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        for (uint64_t seed = 0; seed < 12; seed++) {
            kds_ask ask = ask_for(operators[seed % 3], sources[i], sources[(i + seed) % 20]);
            free(propose(&ask, seed, NULL, NULL));
        }
    }
}

static void test_wrong_use(void **state)
{
    (void)state;
    kds_random random = kds_random_stream(1, 1, "child");
    kds_buf source, words;
    kds_err e;
    bool made = true;
    kds_buf_init(&source, 8);
    kds_buf_init(&words, 400);
    kds_ask ask = ask_for("mutate", "int x;", NULL);
    assert_int_equal(kds_builtin_propose(&ask, &random, NULL, NULL,
                                         &(kds_proposal){&source, &words, NULL}, &made, &e),
                     KDS_USAGE);
    assert_non_null(strstr(e.message, "'mutate'"));
    ask = ask_for("tune", "", NULL);
    ask.parent.source = NULL;
    assert_int_equal(kds_builtin_propose(&ask, &random, NULL, NULL,
                                         &(kds_proposal){&source, &words, NULL}, &made, &e),
                     KDS_TOO_LARGE);
    ask = ask_for("tune", "#pragma kda tune V = 4, 8\n", NULL);
    assert_int_equal(kds_builtin_propose(&ask, &random, NULL, NULL,
                                         &(kds_proposal){&source, &words, NULL}, &made, &e),
                     KDS_TOO_LARGE); /* the caller's buffer */
    assert_true(made);
    kds_buf_free(&source);
    kds_buf_free(&words);
}

/* ---- Sweeps. */

#define SWEPT                                                                                      \
    "#pragma kda tune A = 2, 1, 4, 8, 16, 32, 64, 128\n#pragma kda tune B = 0, 1\nint f(int);\n"

/* Proposes a configuration; its values of A and B in force. False if none is new. */
static bool sweep(const char *parent, int spread, uint64_t seed, memory *m, int64_t *a, int64_t *b)
{
    kds_ask ask = ask_for("tune", parent, NULL);
    kds_random random = kds_random_stream(seed, 3, "sweep");
    kds_tunable tunables[KDS_TUNABLES];
    kds_buf source, words;
    kds_err e;
    bool made = false;
    int count = 0;
    kds_buf_init(&source, KDS_SOURCE_CAP);
    kds_buf_init(&words, 4096);
    if (kds_builtin_sweep(&ask, spread, &random, recall, m, &(kds_proposal){&source, &words, NULL},
                          &made, &e))
        fail_msg("%s", e.message);
    if (made) {
        remember(m, source.data, source.len);
        assert_int_equal(kds_tunables_find(tunables, &count, source.data, source.len, &e), KDS_OK);
        assert_int_equal(count, 2);
        *a = tunables[0].values[0];
        *b = tunables[1].values[0];
    }
    kds_buf_free(&source);
    kds_buf_free(&words);
    return made;
}

/* Eight points over eight values take each once, and both of the other's as often; the parent's own
 * point is left out. A space that is no larger is taken whole. */
static void test_spread(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        memory *m = calloc(1, sizeof *m);
        assert_non_null(m);
        int64_t a = 0, b = 0, seen = 0;
        int count = 0, ones = 0;
        while (sweep(SWEPT, 8, seed, m, &a, &b)) {
            assert_false(seen & a);
            assert_true(a != 2 || b != 0);
            seen |= a;
            ones += b == 1;
            count++;
        }
        assert_in_range(count, 7, 8);
        assert_int_equal(ones, 4);
        m->count = 0;
        for (count = 0; sweep(SWEPT, 16, seed, m, &a, &b); count++)
            ;
        assert_int_equal(count, 15);
        free(m);
    }
}

/* A neighbour is one step away in one tunable: three of them here. */
static void test_neighbours(void **state)
{
    (void)state;
    memory *m = calloc(1, sizeof *m);
    assert_non_null(m);
    int64_t a = 0, b = 0;
    int count = 0;
    for (; sweep(SWEPT, 0, (uint64_t)count, m, &a, &b); count++)
        assert_true((a == 2 && b == 1) || ((a == 1 || a == 4) && b == 0));
    assert_int_equal(count, 3);
    assert_false(sweep("int f(int);\n", 0, 1, m, &a, &b));
    assert_false(sweep("int f(int);\n", 8, 1, m, &a, &b));
    free(m);
}

/* The same whatever is in force and however it is laid out; another list or text is another. */
static void test_structures(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        bool same;
        int64_t points;
    } cases[] = {{SWEPT, true, 16},
                 {"#pragma kda tune A = 128, 1, 2, 4, 8, 16, 32, 64\n#pragma kda  tune B = 1,0\n"
                  "int f( int ); // same\n",
                  true, 16},
                 {"#pragma kda tune A = 1, 2\n#pragma kda tune B = 0, 1\nint f(int);\n", false, 4},
                 {"int f(int);\n", false, 1},
                 {"#pragma kda tune A = 1, 1\nint f(int);\n", false, 1}};
    kds_id first = {0, 0}, id;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t points = 0;
        kds_err e;
        kds_buf normal;
        kds_buf_init(&normal, 4096);
        kds_lex_normalize(&normal, cases[i].source, strlen(cases[i].source));
        assert_int_equal(kds_builtin_structure(normal.data, normal.len, &id, &points, &e), KDS_OK);
        kds_buf_free(&normal);
        first = i ? first : id;
        assert_int_equal(kds_id_equal(first, id), cases[i].same);
        assert_int_equal(points, cases[i].points);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tune_reaches_every_point_once),
        cmocka_unit_test(test_tune_writes_a_point_in_one_way),
        cmocka_unit_test(test_tune_prefers_neighbours),
        cmocka_unit_test(test_tune_without_anything_to_turn),
        cmocka_unit_test(test_crossover),
        cmocka_unit_test(test_catalogue_is_described),
        cmocka_unit_test(test_rewrites_of_real_kernels),
        cmocka_unit_test(test_rewrite_gives_up),
        cmocka_unit_test(test_hostile_sources),
        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_structures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
