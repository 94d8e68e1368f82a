/* Prompts and replies of the mailbox as bytes. */
#include "prompts/mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const kds_mail_prompt PROMPT = {.request = 12,
                                       .decision = 30,
                                       .operator_name = "mutate",
                                       .task = "rms_norm",
                                       .device = "sim:h200",
                                       .max_tokens = 800,
                                       .system = "You write kernels.",
                                       .user = "A \xff kernel"};

static void test_prompt(void **state)
{
    (void)state;
    char id[KDS_MAIL_ID], other[KDS_MAIL_ID];
    kds_mail_prompt p = PROMPT;
    char *text = kds_mail_prompt_text(&p), *again = kds_mail_prompt_text(&p);
    assert_string_equal(text, again);
    assert_true(kds_mail_prompt_id(text, strlen(text), id));
    assert_int_equal(kds_mail_request_of(id), 12);
    assert_memory_equal(id, "r000012-", 8);
    assert_non_null(strstr(text, "You write kernels."));
    assert_non_null(strstr(text, "A \xef\xbf\xbd kernel"));
    assert_non_null(strstr(text, "\"model_hint\": null"));
    free(text);
    free(again);
    p.user = "another";
    p.model = "big";
    text = kds_mail_prompt_text(&p);
    assert_true(kds_mail_prompt_id(text, strlen(text), other));
    assert_string_not_equal(id, other);
    assert_non_null(strstr(text, "\"big\""));
    free(text);
    static const char *const no[] = {"", "{}", "{\"id\":\"r000012-01234567\"}",
                                     "{\"kdasearch_prompt\":1,\"id\":\"r12\"}",
                                     "{\"kdasearch_prompt\":2,\"id\":\"r000012-01234567\"}"};
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(kds_mail_prompt_id(no[i], strlen(no[i]), id));
}

static void test_ids(void **state)
{
    (void)state;
    static const char *const no[] = {"",
                                     "r",
                                     "r1-01234567",
                                     "r00001-01234567",
                                     "x000001-01234567",
                                     "r000001-0123456",
                                     "r000001-012345678",
                                     "r000001-0123456G",
                                     "r000001_01234567",
                                     "r99999999999999999999-01234567",
                                     "r000001-01234567.json",
                                     "../r000001-01234567"};
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_int_equal(kds_mail_request_of(no[i]), -1);
    assert_int_equal(kds_mail_request_of("r000001-01234567"), 1);
    assert_int_equal(kds_mail_request_of("r1234567-89abcdef"), 1234567);
}

static const struct {
    const char *raw;
    bool must;
    const char *text, *id, *model, *problem; /* text NULL: refused */
} REPLIES[] = {
    {"Hypothesis: x\n", false, "Hypothesis: x\n", "", "", ""},
    {"\xef\xbb\xbfHypothesis", false, "Hypothesis", "", "", ""},
    {"{\"id\":\"a\",\"model\":\"m\",\"reply\":\"r\\u00e9\"}", true, "r\xc3\xa9", "a", "m", ""},
    {" \n{\"reply\":\"r\"}\n", false, "r", "", "", ""},
    {"{ not json", false, "{ not json", "", "", ""},
    {"{\"code\": 1}", false, "{\"code\": 1}", "", "", ""},
    {"{\"reply\":\"r\"} and more", false, "{\"reply\":\"r\"} and more", "", "", ""},
    {"{ not json", true, NULL, "", "", "not JSON"},
    {"{\"code\": 1}", true, NULL, "", "", "without a text"},
    {"{\"reply\": 1}", true, NULL, "", "", "without a text"},
    {"[]", true, NULL, "", "", "without a text"},
    {"\"r\"", true, NULL, "", "", "without a text"},
    {"{\"reply\":\"a\",\"reply\":\"b\"}", true, NULL, "", "", "not JSON"},
    {"{\"reply\":\" \\n\"}", true, NULL, "", "", "empty"},
    {" \t\n", false, NULL, "", "", "empty"},
    {"", false, NULL, "", "", "empty"},
    {"", true, NULL, "", "", "not JSON"},
    {"a\xff", false, NULL, "", "", "not UTF-8 from byte 2"},
    {"{\"model\":\"\\u001b[31mred\",\"reply\":\"r\"}", true, "r", "", "\\x1B[31mred", ""},
    {"{\"id\":\"0123456789012345678901234567890123456789x\",\"reply\":\"r\"}", true, "r", "?", "",
     ""},
};

static void test_replies(void **state)
{
    (void)state;
    kds_buf text;
    kds_mail_reply r;
    kds_buf_init(&text, KDS_REPLY_CAP);
    for (size_t i = 0; i < sizeof REPLIES / sizeof *REPLIES; i++) {
        const char *raw = REPLIES[i].raw;
        assert_int_equal(kds_mail_read(raw, strlen(raw), REPLIES[i].must, &text, &r, NULL), KDS_OK);
        if (!REPLIES[i].text != !!r.problem[0] || !strstr(r.problem, REPLIES[i].problem))
            fail_msg("reply %zu: '%s'", i, r.problem);
        if (!REPLIES[i].text)
            continue;
        assert_string_equal(text.data, REPLIES[i].text);
        assert_string_equal(r.id, REPLIES[i].id);
        assert_string_equal(r.model, REPLIES[i].model);
    }
    assert_int_equal(kds_mail_read("a\0b", 3, false, &text, &r, NULL), KDS_OK);
    assert_non_null(strstr(r.problem, "NUL byte at position 2"));
    kds_buf_free(&text);
}

static void test_sizes_and_usage(void **state)
{
    (void)state;
    kds_buf text;
    kds_mail_reply r;
    kds_buf_init(&text, KDS_REPLY_CAP);
    size_t n = (size_t)KDS_MAIL_FILE_CAP + 1;
    char *big = malloc(n + 1);
    assert_non_null(big);
    memset(big, 'x', n);
    big[n] = '\0';
    assert_int_equal(kds_mail_read(big, n, false, &text, &r, NULL), KDS_OK);
    assert_non_null(strstr(r.problem, "4194305 bytes"));
    big[KDS_REPLY_CAP + 1] = '\0';
    assert_int_equal(kds_mail_read(big, KDS_REPLY_CAP + 1, false, &text, &r, NULL), KDS_OK);
    assert_non_null(strstr(r.problem, "longer than 1048576"));
    free(big);
    static const char USAGE[] =
        "{\"reply\":\"r\",\"prompt_tokens\":10,\"completion_tokens\":2.0,\"cost_usd\":0.25}";
    assert_int_equal(kds_mail_read(USAGE, strlen(USAGE), true, &text, &r, NULL), KDS_OK);
    assert_int_equal(r.prompt_tokens, 10);
    assert_int_equal(r.completion_tokens, 2);
    assert_true(r.cost_usd == 0.25);
    static const char WRONG[] =
        "{\"reply\":\"r\",\"prompt_tokens\":-5,\"completion_tokens\":1e300,\"cost_usd\":-1}";
    assert_int_equal(kds_mail_read(WRONG, strlen(WRONG), true, &text, &r, NULL), KDS_OK);
    assert_int_equal(r.prompt_tokens, -1);
    assert_int_equal(r.completion_tokens, -1);
    assert_true(r.cost_usd == 0);
    kds_buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_sizes_and_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
