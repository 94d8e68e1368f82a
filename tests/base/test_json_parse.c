/* Documents: exact messages for malformed texts, positions, paths, duplicate keys. */
#include "search/base/json.h"
#include "tests/base/base_test.h"

static kds_json_doc *parse(const char *text)
{
    kds_json_doc *doc = NULL;
    kds_err e;
    kds_err_clear(&e);
    if (kds_json_parse(&doc, "t.json", text, strlen(text), true, &e) != KDS_OK)
        fail_msg("%s", e.message);
    return doc;
}

static const struct {
    const char *text, *want;
} BAD[] = {
    {"", "t.json:1:1: expected a value, found the end of the text"},
    {"  \n ", "t.json:2:2: expected a value, found the end of the text"},
    {"{", "t.json:1:2: expected a key in double quotes or '}', found the end of the text"},
    {"{'a': 1}", "t.json:1:2: expected a key in double quotes or '}', found '''"},
    {"{a: 1}", "t.json:1:2: expected a key in double quotes or '}', found 'a'"},
    {"{\"a\" 1}", "t.json:1:6: expected ':' after the key, found '1'"},
    {"{\"a\"", "t.json:1:5: expected ':' after the key, found the end of the text"},
    {"{\"a\": }", "t.json:1:7: expected a value, found '}'"},
    {"{\"a\": 1", "t.json:1:8: expected ',' or '}' after the value, found the end of the text"},
    {"{\"a\": 1\n \"b\": 2}", "t.json:2:2: expected ',' or '}' after the value, found '\"'"},
    {"{\"a\": 1,\n}", "t.json:2:1: expected a key in double quotes after the comma, found '}'"},
    {"{\"a\": 1]", "t.json:1:8: expected ',' or '}' after the value, found ']'"},
    {"[1, 2", "t.json:1:6: expected ',' or ']' after the value, found the end of the text"},
    {"[1 2]", "t.json:1:4: expected ',' or ']' after the value, found '2'"},
    {"[1,\n 2,\n]", "t.json:3:1: expected a value after the comma, found ']'"},
    {"[1,", "t.json:1:4: expected a value, found the end of the text"},
    {"[,1]", "t.json:1:2: expected a value, found ','"},
    {"[1}", "t.json:1:3: expected ',' or ']' after the value, found '}'"},
    {"{} x", "t.json:1:4: expected the end of the text after the value, found 'x'"},
    {"1 2", "t.json:1:3: expected the end of the text after the value, found '2'"},
    {"[nan]", "t.json:1:2: expected a value, found 'nan'"},
    {"[True]", "t.json:1:2: expected a value, found 'True'"},
    {"[truely]", "t.json:1:2: expected a value, found 'truely'"},
    {"[tru", "t.json:1:2: expected a value, found 'tru'"},
    {"[Infinity]", "t.json:1:2: expected a value, found 'Infinity'"},
    {"[-Infinity]", "t.json:1:2: '-Infinity' is not a number as JSON writes it"},
    {"[01]", "t.json:1:2: '01' is not a number as JSON writes it"},
    {"[-]", "t.json:1:2: '-' is not a number as JSON writes it"},
    {"[1.]", "t.json:1:2: '1.' is not a number as JSON writes it"},
    {"[1.e5]", "t.json:1:2: '1.e5' is not a number as JSON writes it"},
    {"[1e]", "t.json:1:2: '1e' is not a number as JSON writes it"},
    {"[1e+]", "t.json:1:2: '1e+' is not a number as JSON writes it"},
    {"[0x10]", "t.json:1:2: '0x10' is not a number as JSON writes it"},
    {"[+1]", "t.json:1:2: expected a value, found '+1'"},
    {"[.5]", "t.json:1:2: expected a value, found '.5'"},
    {"[1e999]", "t.json:1:2: the number '1e999' is too large"},
    {"[0000000000000000000000000000000000000000000000000000000000000]",
     "t.json:1:2: a number of more than 60 characters"},
    {"[\"abc]\n", "t.json:1:2: the string that begins here is not closed on its line"},
    {"[\"abc", "t.json:1:2: the string that begins here is not closed on its line"},
    {"[\"abc\\", "t.json:1:6: unknown escape in a string"},
    {"[\"a\\q\"]", "t.json:1:4: unknown escape in a string"},
    {"[\"a\tb\"]", "t.json:1:4: a control character in a string must be written as \\u00XX"},
    {"[\"\\u12G4\"]", "t.json:1:3: \\u must be followed by four hexadecimal digits"},
    {"[\"\\u12", "t.json:1:3: \\u must be followed by four hexadecimal digits"},
    {"[\"\\u0000\"]", "t.json:1:3: \\u0000 is not allowed in a string"},
    {"[\"\\ud83d\"]", "t.json:1:3: half of a surrogate pair in a string"},
    {"[\"\\ud83dx\"]", "t.json:1:3: half of a surrogate pair in a string"},
    {"[\"\\ud83d\\u0041\"]", "t.json:1:3: half of a surrogate pair in a string"},
    {"[\"\\ude00\"]", "t.json:1:3: half of a surrogate pair in a string"},
    {"[\"\xc3\xa9\xe2\x82\xac\", x]", "t.json:1:8: expected a value, found 'x'"},
    {"[\xe2\x82\xac]", "t.json:1:2: expected a value, found '\xe2\x82\xac'"},
    {"{}\n\xff", "t.json:2:1: not valid UTF-8"},
    {"[1] // a\n /* b", "t.json:2:2: the comment that begins here never ends"},
    {"[1] /*/", "t.json:1:5: the comment that begins here never ends"},
    {"[1 / 2]", "t.json:1:4: expected a value or punctuation, found '/'"},
    {"/", "t.json:1:1: expected a value or punctuation, found '/'"},
    {"/* a\n b */ /* c */ x", "t.json:2:15: expected a value, found 'x'"},
    {"{\"a\": 1, \"b\": 2,\n \"a\": 3}", "t.json:2: key 'a': given twice, first on line 1"},
    {"{\"a\": 1,\n\"\\u0061\": 3}", "t.json:2: key 'a': given twice, first on line 1"},
    {"{\"r\": [{}, {\"d\": {\"M\":\n1,\n\"M\": 2}}]}",
     "t.json:3: key 'r[1].d.M': given twice, first on line 1"},
    {"{\"x\": {\"p\": 1,\n\"p\": 1},\n\"y\": 1,\n\"y\": 2}",
     "t.json:4: key 'y': given twice, first on line 3"},
};

static void refuses_malformed_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        kds_json_doc *doc = NULL;
        kds_err e;
        /* An exact allocation, so that the sanitizer sees a read past the end. */
        size_t len = strlen(BAD[i].text);
        char *text = malloc(len > 0 ? len : 1);
        memcpy(text, BAD[i].text, len);
        assert_int_equal(kds_json_parse(&doc, "t.json", text, len, true, &e), KDS_INVALID);
        assert_null(doc);
        assert_string_equal(e.message, BAD[i].want);
        assert_int_equal(e.code, KDS_INVALID);
        assert_int_equal(kds_json_parse(&doc, "t.json", text, len, true, NULL), KDS_INVALID);
        free(text);
    }
}

static void refuses_nul_bytes(void **state)
{
    (void)state;
    kds_json_doc *doc = NULL;
    kds_err e;
    assert_int_equal(kds_json_parse(&doc, "t.json", "[1,\n\"a\0b\"]", 10, true, &e), KDS_INVALID);
    assert_string_equal(e.message, "t.json:2:3: a NUL byte");
    assert_int_equal(kds_json_parse(&doc, "t.json", "{}\0", 3, true, &e), KDS_INVALID);
    assert_string_equal(e.message, "t.json:1:3: a NUL byte");
}

static void refuses_comments_where_they_are_not_allowed(void **state)
{
    (void)state;
    kds_json_doc *doc = NULL;
    kds_err e;
    const char text[] = "{\n  \"url\": \"http://x\", // why\n \"a\": 1}";
    assert_int_equal(kds_json_parse(&doc, "r", text, sizeof text - 1, false, &e), KDS_INVALID);
    assert_string_equal(e.message, "r:2:22: comments are not allowed here");
    assert_int_equal(kds_json_parse(&doc, "r", "\xef\xbb\xbf{}", 5, false, &e), KDS_INVALID);
}

static void every_truncation_of_a_good_text_is_refused(void **state)
{
    (void)state;
    const char text[] = "{\"a\": [1, -2.5e-3, \"x\\u00E9\\uD83D\\ude00\\n\", {}, [], true, false, "
                        "null], /* c */ \"b\": {\"c\": 0}} ";
    kds_json_doc *doc = NULL;
    for (size_t len = 0; len < sizeof text - 2; len++) {
        char *cut = malloc(len > 0 ? len : 1);
        memcpy(cut, text, len);
        assert_int_equal(kds_json_parse(&doc, "t", cut, len, true, NULL), KDS_INVALID);
        free(cut);
    }
    doc = parse(text);
    const cJSON *a = kds_json_at(kds_json_root(doc), "a");
    assert_int_equal(cJSON_GetArraySize(a), 8);
    assert_string_equal(cJSON_GetArrayItem(a, 2)->valuestring, "x\xc3\xa9\xf0\x9f\x98\x80\n");
    assert_true(cJSON_GetArrayItem(a, 1)->valuedouble == -2.5e-3);
    kds_json_free(doc);
    kds_json_free(NULL);
}

static void bounds_nesting(void **state)
{
    (void)state;
    kds_json_doc *doc = NULL;
    kds_err e;
    char text[200000];
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    assert_int_equal(kds_json_parse(&doc, "t", text, 128, true, &e), KDS_OK);
    const cJSON *inner = kds_json_root(doc);
    while (inner->child != NULL)
        inner = inner->child;
    assert_int_equal(kds_json_fail(doc, inner, &e, "deep"), KDS_INVALID);
    assert_non_null(strstr(e.message, "[0][0][0]"));
    kds_json_free(doc);
    doc = NULL;
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_int_equal(kds_json_parse(&doc, "t", text, 130, true, &e), KDS_INVALID);
    assert_string_equal(e.message, "t:1:65: nested deeper than 64 levels");
    memset(text, '[', sizeof text);
    assert_int_equal(kds_json_parse(&doc, "t", text, sizeof text, true, &e), KDS_INVALID);
    for (size_t i = 0; i + 5 <= sizeof text; i += 5)
        memcpy(text + i, "{\"a\":", 5);
    assert_int_equal(kds_json_parse(&doc, "t", text, sizeof text, true, &e), KDS_INVALID);
    assert_string_equal(e.message, "t:1:321: nested deeper than 64 levels");
}

static void knows_lines_and_paths(void **state)
{
    (void)state;
    const char text[] = "\xef\xbb\xbf// a comment with \"quotes\" and {\n"
                        "{\n"
                        "  \"rows\": [ /* two\n lines */\n"
                        "    {\"id\": \"a\"},\n"
                        "    {\"id\": \"b\", \"dims\": {\n"
                        "      \"M\":\n"
                        "        64}}\n"
                        "  ],\n"
                        "  \"odd\\u001b key\": \"// no comment\"\n"
                        "}\n";
    kds_json_doc *doc = parse(text);
    kds_err e;
    const cJSON *root = kds_json_root(doc), *rows = kds_json_at(root, "rows");
    const cJSON *row = cJSON_GetArrayItem(rows, 1);
    const cJSON *m = kds_json_at(kds_json_at(row, "dims"), "M");
    assert_int_equal(kds_json_line(doc, root), 2);
    assert_int_equal(kds_json_line(doc, rows), 3);
    assert_int_equal(kds_json_line(doc, row), 6);
    assert_int_equal(kds_json_line(doc, m), 8);
    assert_int_equal(kds_json_line(doc, NULL), 0);
    cJSON stranger = {0};
    assert_int_equal(kds_json_line(doc, &stranger), 0);

    assert_int_equal(kds_json_fail(doc, m, &e, "too %s", "small"), KDS_INVALID);
    assert_string_equal(e.message, "t.json:7: key 'rows[1].dims.M': too small");
    (void)kds_json_fail(doc, row, &e, "x");
    assert_string_equal(e.message, "t.json:6: key 'rows[1]': x");
    (void)kds_json_fail(doc, root, &e, "x");
    assert_string_equal(e.message, "t.json:2: x");
    (void)kds_json_fail(doc, &stranger, &e, "x");
    assert_string_equal(e.message, "t.json: x");
    (void)kds_json_fail(NULL, NULL, &e, "x");
    assert_string_equal(e.message, "JSON: x");
    const cJSON *odd = kds_json_at(root, "odd\x1b key");
    assert_string_equal(odd->valuestring, "// no comment");
    (void)kds_json_fail(doc, odd, &e, "x");
    assert_string_equal(e.message, "t.json:10: key 'odd\\x1B key': x");
    assert_int_equal(kds_json_fail(doc, m, NULL, "x"), KDS_INVALID);
    kds_json_free(doc);
}

static void finds_the_first_duplicate_among_many(void **state)
{
    (void)state;
    kds_buf b;
    kds_err e;
    kds_json_doc *doc = NULL;
    kds_buf_init(&b, 1 << 22);
    kds_buf_puts(&b, "{\n");
    for (int i = 0; i < 60000; i++)
        kds_buf_printf(&b, "\"key%d\": 1,\n", i == 50000 ? 123 : i == 50001 ? 7 : i);
    kds_buf_puts(&b, "\"end\": 1}");
    assert_int_equal(kds_json_parse(&doc, "t", b.data, b.len, true, &e), KDS_INVALID);
    assert_string_equal(e.message, "t:50002: key 'key123': given twice, first on line 125");
    kds_buf_free(&b);
}

static void does_not_depend_on_the_locale(void **state)
{
    (void)state;
    if (!use_comma_locale())
        skip();
    kds_json_doc *doc = parse("[1.5]");
    assert_true(kds_json_root(doc)->child->valuedouble == 1.5);
    kds_json_free(doc);
    setlocale(LC_NUMERIC, "C");
}

static int allocations_left;

static void *failing_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

/* Every allocation of the parser fails once: an error, never a crash or (the sanitizer watches) a
 * leak. */
static void lack_of_memory_is_an_error(void **state)
{
    (void)state;
    const char text[] = "{\"rows\": [{\"id\": \"a\", \"n\": 1}, {}, [2.5, true, null]]}";
    cJSON_Hooks hooks = {.malloc_fn = failing_malloc, .free_fn = free};
    kds_code code = KDS_NO_MEMORY;
    int n;
    cJSON_InitHooks(&hooks);
    for (n = 0; code == KDS_NO_MEMORY && n < 100; n++) {
        kds_json_doc *doc = NULL;
        kds_err e;
        allocations_left = n;
        code = kds_json_parse(&doc, "t", text, sizeof text - 1, true, &e);
        if (code == KDS_NO_MEMORY) {
            assert_string_equal(e.message, "reading t: out of memory");
            assert_null(doc);
        }
        kds_json_free(doc);
    }
    cJSON_InitHooks(NULL);
    assert_int_equal(code, KDS_OK);
    assert_true(n > 10);
}

static void loads_files(void **state)
{
    (void)state;
    kds_json_doc *doc = NULL;
    kds_err e;
    char want[300];
    scratch_write("good.json", "{\"a\": 1 /* one */}", 18);
    assert_int_equal(kds_json_load(&doc, scratch("good.json"), 18, &e), KDS_OK);
    assert_int_equal(kds_json_int(kds_json_root(doc), "a", 0), 1);
    kds_json_free(doc);
    doc = NULL;
    assert_int_equal(kds_json_load(&doc, scratch("good.json"), 17, &e), KDS_TOO_LARGE);
    snprintf(want, sizeof want, "'%s' has 18 bytes; at most 17 are allowed", scratch("good.json"));
    assert_string_equal(e.message, want);
    assert_int_equal(kds_json_load(&doc, scratch("none.json"), 100, &e), KDS_NOT_FOUND);
    scratch_write("bad.json", "{\n\"a\": 1,}", 10);
    assert_int_equal(kds_json_load(&doc, scratch("bad.json"), 100, &e), KDS_INVALID);
    snprintf(want, sizeof want,
             "%s:2:8: expected a key in double quotes after the comma, found '}'",
             scratch("bad.json"));
    assert_string_equal(e.message, want);
    assert_null(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_malformed_texts),
        cmocka_unit_test(refuses_nul_bytes),
        cmocka_unit_test(refuses_comments_where_they_are_not_allowed),
        cmocka_unit_test(every_truncation_of_a_good_text_is_refused),
        cmocka_unit_test(bounds_nesting),
        cmocka_unit_test(knows_lines_and_paths),
        cmocka_unit_test(finds_the_first_duplicate_among_many),
        cmocka_unit_test(does_not_depend_on_the_locale),
        cmocka_unit_test(lack_of_memory_is_an_error),
        cmocka_unit_test(loads_files),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
