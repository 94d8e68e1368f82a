/* The page about a campaign: what is in it, what must never be, and whose files are left alone. */
#include "tests/cli/cli_test.h"

#include "search/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int set_up(void **state)
{
    int failed = cli_set_up(state);
    EXPECT(0, "run", cli_source("tests/tasks/scale"), "-o", "one", "--max-evals", "16", "--seed",
           "5");
    return failed;
}

static char *page_of(const char *archive)
{
    EXPECT(0, "report", archive);
    char *page = cli_read(cli_path("report.html"), NULL);
    assert_non_null(page);
    return page;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part))
        n++;
    return n;
}

static void has(const char *page, const char *part)
{
    if (strstr(page, part) == NULL)
        fail_msg("the page does not have '%s'", part);
}

static void has_not(const char *page, const char *part)
{
    const char *at = strstr(page, part);
    if (at)
        fail_msg("the page has '%s': %.200s", part, at);
}

static void balanced(const char *page, const char *tag)
{
    char open[20], bare[20], close[20];
    snprintf(open, sizeof open, "<%s ", tag);
    snprintf(bare, sizeof bare, "<%s>", tag);
    snprintf(close, sizeof close, "</%s>", tag);
    assert_true(count(page, close) > 0);
    assert_int_equal(count(page, open) + count(page, bare), count(page, close));
}

static void test_what_it_tells(void **state)
{
    (void)state;
    char text[200];
    char *page = page_of("one");
    cJSON *status = JSON("status", "one"), *lineage = JSON("lineage", "one");
    const cJSON *best = kds_json_at(status, "best"), *step = NULL;
    assert_int_equal(strncmp(page, "<!doctype html>", 15), 0);
    snprintf(text, sizeof text, "<b>%.3fx</b>", kds_json_num(best, "fitness", 0));
    has(page, text);
    snprintf(text, sizeof text, "<b>%lld</b>", (long long)kds_json_int(status, "judged", 0));
    has(page, text);
    cJSON_ArrayForEach(step, lineage)
    {
        snprintf(text, sizeof text, "<td>%.8s</td>", kds_json_str(step, "id", "-"));
        has(page, text);
    }
    has(page, "baseline us (modelled)");
    has_not(page, "(measured)");
    has(page, "class=bestline d=\"M");
    assert_int_equal(count(page, "<circle"),
                     (int)cli_query("one", "SELECT count(*) FROM candidates WHERE accepted"));
    assert_int_equal(count(page, "class=hi"),
                     (int)cli_query("one", "SELECT count(*) FROM cells WHERE elite IS NOT NULL"));
    const char *const tags[] = {"table", "tr",  "td",      "th",  "svg",
                                "text",  "div", "details", "pre", "p"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        balanced(page, tags[i]);
    cJSON_Delete(status);
    cJSON_Delete(lineage);
    free(page);
}

/* It can be given away: nothing is loaded, nothing runs, nobody's machine is in it. */
static void test_what_it_does_not_tell(void **state)
{
    (void)state;
    char host[256] = "";
    char *page = page_of("one");
    const char *const never[] = {"<script", "src=",   "href=",   "url(",
                                 "http:",   "https:", "@import", "onload"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        has_not(page, never[i]);
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    if (strlen(host) > 4)
        has_not(page, host);
    has_not(page, cli_path("."));
    has(page, "default-src 'none'");
    free(page);
}

/* What a model wrote is text, whatever it looks like. Its kernel is the best here, so that all of
 * it is on the page. */
static void test_hostile_text(void **state)
{
    (void)state;
    static const char reply[] =
        "Hypothesis: </td><script>alert(1)</script> \" ' & \x1b[31m \xe2\x80\xae evil\n"
        "Prediction: 1.0x\n\n```cuda\n"
        "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, 1024)) block(256)\n"
        "// <img src=x onerror=alert(2)> </pre>\n"
        "__global__ void f(const float *x, float *y, int n, float a)\n{\n"
        "    const int i = 4 * (blockIdx.x * 256 + threadIdx.x);\n"
        "    if (i + 3 < n) {\n"
        "        float4 v = *reinterpret_cast<const float4 *>(x + i);\n"
        "        v.x *= a;\n        v.y *= a;\n        v.z *= a;\n        v.w *= a;\n"
        "        *reinterpret_cast<float4 *>(y + i) = v;\n"
        "    } else\n"
        "        for (int j = i; j < n; j++)\n            y[j] = a * x[j];\n}\n```\n";
    char ids[1][KDS_MAIL_ID], path[200], task[600];
    kds_err e = {0};
    snprintf(task, sizeof task, "%s", cli_path("bare"));
    if (kds_dir_copy(cli_source("tests/tasks/scale"), task, &e) != KDS_OK)
        fail_msg("%s", e.message);
    assert_int_equal(unlink(cli_path("bare/seeds/items.cu")), 0);
    assert_int_equal(unlink(cli_path("bare/seeds/vector.cu")), 0);
    EXPECT(31, "run", "bare", "-o", "mail", "--proposer", "mailbox", "--mailbox-out", "1",
           "--max-evals", "2");
    assert_true(cli_pending("mail", ids, 1) >= 1);
    snprintf(path, sizeof path, "mail/mailbox/in/%s.md", ids[0]);
    cli_write(path, reply, strlen(reply));
    cli_sleep_ms(2100); /* a file that is being written is left alone */
    EXPECT(0, "resume", "mail");
    assert_int_equal(cli_query("mail", "SELECT count(*) FROM candidates c JOIN meta m ON m.key = "
                                       "'best' AND m.value = c.id WHERE hypothesis LIKE "
                                       "'%alert(1)%'"),
                     1);
    char *page = page_of("mail");
    has(page, "&#60;script&#62;alert(1)&#60;/script&#62;");
    has(page, "&#60;img src=x onerror=alert(2)&#62; &#60;/pre&#62;");
    has_not(page, "<script");
    has_not(page, "<img");
    has_not(page, "\x1b");
    has_not(page, "\xe2\x80\xae");
    balanced(page, "td");
    balanced(page, "pre");
    free(page);
}

static void test_files(void **state)
{
    (void)state;
    char *again = NULL;
    free(page_of("one"));
    free(page_of("one")); /* an older report gives way */
    cli_write("notes.html", "<p>mine</p>", 11);
    REFUSES(2, "no report of kdasearch", "report", "one", "-o", "notes.html");
    again = cli_read(cli_path("notes.html"), NULL);
    assert_string_equal(again, "<p>mine</p>");
    free(again);
    assert_int_equal(symlink("report.html", cli_path("link.html")), 0);
    EXPECT(0, "report", "one", "-o", "link.html");
    char to[20] = "";
    assert_int_equal(readlink(cli_path("link.html"), to, sizeof to - 1), 11);
    assert_int_equal(symlink("nothing.html", cli_path("dangling.html")), 0);
    REFUSES(2, "leads nowhere", "report", "one", "-o", "dangling.html");
    cli_write("empty.html", "", 0);
    EXPECT(0, "report", "one", "-o", "empty.html");
    EXPECT(0, "report", "one", "-o", "/dev/null");
    REFUSES(2, "is a folder", "report", "one", "-o", "one");
    REFUSES(2, "name a file", "report", "one", "-o", "-", "--json");
    cli_result r = CLI("report", "one", "-o", "-");
    assert_int_equal(r.status, 0);
    assert_int_equal(strncmp(r.out, "<!doctype html>", 15), 0);
    cli_free(&r);
    cJSON *told = JSON("report", "one", "-o", "told.html");
    assert_string_equal(kds_json_str(told, "report", ""), "told.html");
    assert_true(kds_json_int(told, "bytes", 0) > 5000);
    cJSON_Delete(told);
    REFUSES(10, "not an archive", "report", cli_source("tests"));
    REFUSES(1, "nowhere", "report", "one", "-o", "nowhere/report.html");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_tells),
        cmocka_unit_test(test_what_it_does_not_tell),
        cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, set_up, cli_tear_down);
}
