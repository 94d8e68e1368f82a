/* The runner of the corpus finds what is wrong: tables with a planted mistake fail, the same
 * without it pass. Each runs in a child, whose exit code is what ctest would see. */
#include "tests/corpus/corpus.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void want_even(double *const *v)
{
    for (int i = 0; i < N(2); i += 2)
        v[1][i] = v[0][i] + 1;
}

static void want_all(double *const *v)
{
    for (int i = 0; i < N(2); i++)
        v[1][i] = v[0][i] + 1;
}

static void want_fewer(double *const *v)
{
    for (int i = 2; i < N(2); i += 2)
        v[1][i] = v[0][i] + 1;
}

static void want_another(double *const *v)
{
    want_even(v);
    v[1][50] += 1e-6;
}

static void want_nothing(double *const *v)
{
    (void)v;
}

static int exit_code(const corpus_case *cases, size_t count)
{
    const corpus_file file = {"runner.cu", {"90"}, cases, count};
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
            _exit(99);
        _exit(corpus_main(&file, 1, 0));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 99);
    return WEXITSTATUS(status);
}

/* clang-format off */
#define EVEN(reference, bytes, n) \
    {.kernel = "stores_even", GRID(4), BLOCK(32), .want = reference, \
     ARGS(IN(F32, 201, INDEX, 100), OUT(F32, bytes), INT(n))}
/* It stops at once: what it reads is negative. */
#define ENDS {.kernel = "never_ends", BLOCK(1), .want = want_nothing, ARGS(INOUT(I32, 1, VALUE, -1))}
/* clang-format on */

static void mistakes_are_found(void **state)
{
    (void)state;
    const corpus_case good[] = {EVEN(want_even, 201, 201), ENDS};
    assert_int_equal(exit_code(good, 2), 0);
    const corpus_case value[] = {EVEN(want_another, 201, 201), ENDS};
    assert_int_not_equal(exit_code(value, 2), 0);
    const corpus_case never_stored[] = {EVEN(want_all, 201, 201), ENDS};
    assert_int_not_equal(exit_code(never_stored, 2), 0);
    const corpus_case stored_too[] = {EVEN(want_fewer, 201, 201), ENDS};
    assert_int_not_equal(exit_code(stored_too, 2), 0);
    const corpus_case beyond[] = {EVEN(want_even, 200, 201), ENDS};
    assert_int_not_equal(exit_code(beyond, 2), 0);
    assert_int_not_equal(exit_code(good, 1), 0); /* one kernel is not listed */
    corpus_case unknown[] = {EVEN(want_even, 201, 201), ENDS};
    unknown[1].kernel = "never_starts";
    assert_int_not_equal(exit_code(unknown, 2), 0);
    corpus_case endless[] = {EVEN(want_even, 201, 201), ENDS};
    endless[1].args[0].p = 1;
    assert_int_not_equal(exit_code(endless, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mistakes_are_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
