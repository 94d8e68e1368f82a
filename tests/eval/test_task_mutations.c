/* The list of mistakes that a task's gate must refuse: what is read, and every way of being wrong.
 * That the gates of the shipped tasks refuse theirs is tests/cli/test_cli_lint.c. */
#include "tests/eval/task_test.h"

#include "eval/task_mutations.h"

static const char good[] = "// mistakes\n"
                           "{\"format\": 1, \"mutations\": [\n"
                           "  {\"what\": \"eps dropped\", \"from\": \"+ eps\", \"to\": \"\"},\n"
                           "  {\"what\": \"a twice\", \"from\": \"a - b\", \"to\": \"a - a\"}]}\n";

static void make_mutated(const char *text)
{
    make_task();
    put("baseline/kernel.cu", "x = (a - b) + eps; aaa\n");
    put("bench/mutations.json", text);
}

static void test_reading(void **state)
{
    (void)state;
    kds_mutations *m = NULL;
    kds_err e = {0};
    make_mutated(good);
    kds_task *t = load_ok();
    if (kds_mutations_load(&m, t, &e) != KDS_OK)
        fail_msg("%s", e.message);
    assert_int_equal(m->count, 2);
    assert_string_equal(m->items[0].what, "eps dropped");
    char *changed = kds_mutation_apply(t, &m->items[0]);
    assert_string_equal(changed, "x = (a - b) ; aaa\n");
    free(changed);
    changed = kds_mutation_apply(t, &m->items[1]);
    assert_string_equal(changed, "x = (a - a) + eps; aaa\n");
    free(changed);
    kds_mutations_free(m);
    kds_task_free(t);
}

static void test_no_file(void **state)
{
    (void)state;
    kds_mutations *m = NULL;
    kds_err e = {0};
    make_task();
    kds_task *t = load_ok();
    assert_int_equal(kds_mutations_load(&m, t, &e), KDS_OK);
    assert_int_equal(m->count, 0);
    kds_mutations_free(m);
    kds_mutations_free(NULL);
    kds_task_free(t);
}

/* The file with `from` replaced is refused with `want` somewhere in the message. */
static void refused(const char *from, const char *to, const char *want)
{
    kds_mutations *m = NULL;
    kds_err e = {0};
    char *text = replaced(good, from, to);
    make_mutated(text);
    kds_task *t = load_ok(); /* a campaign does not care */
    assert_int_equal(kds_mutations_load(&m, t, &e), KDS_INVALID);
    assert_null(m);
    if (strstr(e.message, want) == NULL)
        fail_msg("no '%s' in: %s", want, e.message);
    kds_task_free(t);
    free(text);
}

static void test_wrong(void **state)
{
    (void)state;
    refused("\"format\": 1", "\"format\": 2", "mutations.json:2: key 'format'");
    refused("\"+ eps\"", "\"+ epsilon\"",
            "mutations.json:3: key 'mutations[0].from': does not stand in baseline/kernel.cu");
    refused("\"a - b\"", "\"aa\"",
            "mutations.json:4: key 'mutations[1].from': stands in baseline/kernel.cu more than "
            "once");
    refused("\"a - b\"", "\"\"", "mutations.json:4: key 'mutations[1].from': must not be empty");
    refused("\"a - a\"", "\"a - b\"", "key 'mutations[1].to': is the same as \"from\"");
    refused("\"a twice\"", "\"\"", "key 'mutations[1].what': must say what the mistake is");
    refused("\"what\": \"a twice\"", "\"whit\": \"a twice\"", "did you mean 'what'");
    refused(", \"to\": \"a - a\"", "", "'to'");
    refused("\"to\": \"a - a\"", "\"to\": 3", "mutations.json:4: key 'mutations[1].to'");
    refused("\"from\": \"a - b\", \"to\": \"a - a\"", "\"from\": \"+ eps\", \"to\": \"\"",
            "mutations.json:4: key 'mutations[1]': is the same change as number 1");
    refused("\"format\": 1,", "\"format\": 1, \"more\": 2,", "'more'");
    refused("{\"what\": \"a twice\", \"from\": \"a - b\", \"to\": \"a - a\"}", "7",
            "mutations.json:4: key 'mutations[1]': must be an object");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests_name("task_mutations", tests, open_scratch, close_scratch);
}
