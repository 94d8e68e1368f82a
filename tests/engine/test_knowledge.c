/* Knowledge notes: that the embedded ones are whole, that mistakes are found when they are loaded,
 * and that the numbers of a report decide what is shown. */
#include "eval/descriptor_names.h"
#include "prompts/knowledge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LD "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum"
#define LD_SECTORS "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"

static const char REPORT[] =
    "{\"counters\":{\"" LD "\":100,\"" LD_SECTORS "\":400,\"sm__warps_launched.sum\":0,"
    "\"sm__warps_active.avg.pct_of_peak_sustained_active\":40},"
    "\"facts\":{\"registers\":70,\"static_shared\":1000,\"dynamic_shared\":24},"
    "\"rows\":[{\"set\":\"production\",\"weight\":1,\"time_us\":10,\"bound_us\":5},"
    "{\"set\":\"production\",\"weight\":3,\"time_us\":4,\"bound_us\":1},"
    "{\"set\":\"held_out\",\"time_us\":1,\"bound_us\":1}]}";

static kds_knowledge *load(const kds_template *files)
{
    kds_knowledge *k = NULL;
    kds_err e = {0};
    if (kds_knowledge_load(&k, files, kds_descriptor_name_known, &e) != KDS_OK)
        fail_msg("%s", e.message);
    return k;
}

static void test_embedded(void **state)
{
    (void)state;
    kds_knowledge *k = load(kds_knowledge_files);
    int measured = 0, unmeasured = 0;
    assert_true(k->count >= 25);
    for (int i = 0; i < k->count; i++) {
        const kds_knowledge_note *n = &k->notes[i];
        bool none = strcmp(n->evidence, "no measurement of ours.") == 0;
        bool some = strstr(n->evidence, "H200") != NULL;
        if (none == some && !strstr(n->evidence, "no measurement of ours"))
            fail_msg("%s: evidence is ours, with where, or said to be missing", n->name);
        measured += some;
        unmeasured += none;
        assert_true(n->names >= 1);
        assert_true(strlen(n->body) > 150);
        assert_true(i == 0 || k->notes[i - 1].names >= n->names);
    }
    assert_true(measured >= 20);
    assert_true(unmeasured >= 1);
    kds_knowledge_free(k);
}

/* The embedded texts are the files. */
static void test_files(void **state)
{
    (void)state;
    int count = 0;
    for (const kds_template *t = kds_knowledge_files; t->name; t++, count++) {
        static char file[20000];
        char path[600];
        snprintf(path, sizeof path, "%s/prompts/knowledge/%s", KDS_SOURCE_DIR, t->name);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        assert_int_equal(fread(file, 1, sizeof file, f), t->len);
        assert_memory_equal(file, t->text, t->len);
        fclose(f);
        assert_string_not_equal(t->name, "README.md");
    }
    assert_true(count >= 25);
}

#define NOTE(title, when) "---\ntitle: " title "\nwhen: " when "\nevidence: none\n---\nText.\n"

static kds_template file_of(const char *name, const char *text)
{
    return (kds_template){name, (const unsigned char *)text, strlen(text)};
}

static void test_mistakes(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "a.md:0: a note begins"},
        {"title: x\n", "a.md:1: a note begins"},
        {"---\ntitle: x\n", "the second line of --- is missing"},
        {"---\ntitle: x\nwhen: cc > 1\n---\nT\n", "a.md:4: 'evidence' is missing"},
        {"---\ntitle: x\ntitle: y\n", "a.md:3: 'title' is there twice"},
        {"---\ntitel: x\n", "a.md:2: 'titel: x' is no key"},
        {"---\n  x\n", "is no key"},
        {"---\ntitle: \n", "is no key"},
        {"---\ntitle: x\nwhen: cc > 1\nevidence: e\n---\n\n\n", "says nothing"},
        {NOTE("x", "cc >"), "the rule: "},
        {NOTE("x", "cc > 1 && cq == 2"), "the rule uses 'cq', which no report has"},
        {NOTE("x", "sm__warps_active.avg > 1"), "uses 'sm__warps_active.avg', which"},
        {"---\ntitle: \xff\n---\n", "not UTF-8"},
    };
    kds_knowledge *k = NULL;
    kds_err e = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const kds_template files[] = {file_of("a.md", bad[i][0]), {NULL, NULL, 0}};
        kds_code code = kds_knowledge_load(&k, files, kds_descriptor_name_known, &e);
        if (code != KDS_INVALID || !strstr(e.message, bad[i][1]))
            fail_msg("%zu: %s", i, code == KDS_OK ? "accepted" : e.message);
    }
    const kds_template twice[] = {file_of("a.md", NOTE("x", "cc > 1")),
                                  file_of("b.md", NOTE("x", "cc > 2")),
                                  {NULL, NULL, 0}};
    assert_int_equal(kds_knowledge_load(&k, twice, kds_descriptor_name_known, &e), KDS_INVALID);
    assert_non_null(strstr(e.message, "the title of a too"));
    static char body[KDS_KNOWLEDGE_BODY + 200];
    snprintf(body, sizeof body, "---\ntitle: x\nwhen: cc > 1\nevidence: e\n---\n");
    memset(body + strlen(body), 'x', KDS_KNOWLEDGE_BODY + 1);
    const kds_template longer[] = {file_of("a.md", body), {NULL, NULL, 0}};
    assert_int_equal(kds_knowledge_load(&k, longer, kds_descriptor_name_known, &e), KDS_INVALID);
    assert_non_null(strstr(e.message, "at most 1600"));
}

static double value(const cJSON *report, const char *name)
{
    double v = -1;
    return kds_knowledge_value(report, 90, name, &v) ? v : -1;
}

static void test_values(void **state)
{
    (void)state;
    cJSON *report = kds_json_parse_record(REPORT, strlen(REPORT));
    assert_true(value(report, "cc") == 90);
    assert_true(value(report, "sectors_per_load") == 4);
    assert_true(value(report, LD) == 100);
    assert_true(value(report, "registers") == 70);
    assert_true(value(report, "occupancy") == 40);
    assert_true(value(report, "shared_bytes") == 1024);
    assert_true(value(report, "longest_us") == 10);
    assert_true(value(report, "shortest_us") == 4);
    assert_true(value(report, "of_bound") == (1 * 0.5 + 3 * 0.25) / 4);
    assert_true(value(report, "sectors_per_store") == -1);     /* not counted */
    assert_true(value(report, "instructions_per_warp") == -1); /* nothing to divide by */
    assert_true(value(report, "nonsense") == -1);
    assert_true(value(NULL, "of_bound") == -1);
    double v;
    assert_false(kds_knowledge_value(report, 0, "cc", &v));
    cJSON_Delete(report);
}

static void test_choice(void **state)
{
    (void)state;
    char why[200];
    const kds_template files[] = {
        file_of("a.md", NOTE("one name", "sectors_per_load < 10")),
        file_of("b.md", NOTE("two names", "sectors_per_load < 10 && registers\n  > 64")),
        file_of("c.md", NOTE("no", "sectors_per_load > 10")),
        file_of("d.md", NOTE("unknown", "sectors_per_store < 10")),
        file_of("e.md", NOTE("lazily", "registers < 10 && sectors_per_store < 10")),
        {NULL, NULL, 0}};
    kds_knowledge *k = load(files);
    cJSON *report = kds_json_parse_record(REPORT, strlen(REPORT));
    assert_string_equal(k->notes[0].name, "b");
    assert_true(kds_knowledge_fits(&k->notes[0], report, 90, why, sizeof why));
    assert_string_equal(why, "sectors_per_load = 4, registers = 70");
    for (int i = 0; i < k->count; i++) {
        bool fits = kds_knowledge_fits(&k->notes[i], report, 90, why, sizeof why);
        assert_int_equal(fits, k->notes[i].name[0] <= 'b');
        if (k->notes[i].name[0] == 'd')
            assert_string_equal(why, "sectors_per_store is not known");
    }
    kds_buf out;
    kds_buf_init(&out, 10000);
    assert_int_equal(kds_knowledge_render(k, report, 90, 1000, 0, &out), 2);
    const char *two = strstr(out.data, "## two names"), *one = strstr(out.data, "## one name");
    assert_true(two && one && two < one);
    assert_non_null(strstr(out.data, "begin with: two names."));
    kds_buf_reset(&out);
    assert_int_equal(kds_knowledge_render(k, report, 90, 1000, 3, &out), 2);
    assert_non_null(strstr(out.data, "begin with: one name."));
    /* Capped: the most specific one is kept, and nothing is cut in the middle. */
    kds_buf_reset(&out);
    assert_int_equal(kds_knowledge_render(k, report, 90, 50, 1, &out), 1);
    assert_string_equal(out.data, "## two names\n\nText.\n\nSeen: none");
    kds_buf_reset(&out);
    assert_int_equal(kds_knowledge_render(k, report, 90, 0, 1, &out), 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(kds_knowledge_render(k, NULL, 90, 1000, 1, &out), 0);
    kds_buf_free(&out);
    cJSON_Delete(report);
    kds_knowledge_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedded), cmocka_unit_test(test_files),
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_values),
        cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
