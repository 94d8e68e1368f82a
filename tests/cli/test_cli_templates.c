/* Prompt templates of a user's own. */
#include "tests/cli/cli_test.h"

#include "search/base/file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAIL "--proposer", "mailbox", "--mailbox-out", "3"

static const char *task(void)
{
    return cli_source("tests/tasks/scale");
}

static void write_text(const char *path, const char *text)
{
    cli_write(path, text, strlen(text));
}

/* Templates of one's own: checked before anything is made, told to the model, carried with the
 * archive. */
static void test_templates(void **state)
{
    (void)state;
    char ids[8][KDS_MAIL_ID];
    assert_int_equal(mkdir(cli_path("own"), 0755), 0);
    REFUSES(3, "own holds no prompt template", "run", task(), "-o", "styled", MAIL, "--templates",
            "own");
    write_text("own/mutate.md", "Change one thing.\n{{nothing_known}}\n");
    REFUSES(3, "own/mutate.md:2: unknown placeholder {{nothing_known}}", "run", task(), "-o",
            "styled", MAIL, "--templates", "own");
    write_text("own/mutate.md", "Our house style: one idea at a time.\n");
    write_text("own/user.md", "{{instruction}} {{card}}\n");
    REFUSES(3, "there is no {{parent_source}}", "run", task(), "-o", "styled", MAIL, "--templates",
            "own");
    write_text("own/user.md", "{{instruction}} {{card}} {{parent_source}}\n");
    REFUSES(3, "own/user.md: there is no {{guidance}}, so that", "run", task(), "-o", "styled",
            MAIL, "--templates", "own");
    assert_int_equal(unlink(cli_path("own/user.md")), 0);
    write_text("own/guide.md", "{{guidance}}\n");
    REFUSES(3, "own/guide.md: there is no {{card}}", "run", task(), "-o", "styled", MAIL,
            "--templates", "own");
    assert_int_equal(unlink(cli_path("own/guide.md")), 0);
    write_text("own/mutat.md", "A name that means nothing.\n");
    REFUSES(3, "own/mutat.md is no prompt template; there are crossover.md, explore.md, guide.md, ",
            "run", task(), "-o", "styled", MAIL, "--templates", "own");
    assert_int_equal(unlink(cli_path("own/mutat.md")), 0);
    REFUSES(3, "nowhere", "run", task(), "-o", "styled", MAIL, "--templates", "nowhere");
    assert_false(kds_path_exists(cli_path("styled")));

    write_text("own/explore.md", "Our house style: go to {{target}}\n");
    write_text("own/simplify.md", "Our house style: less.\n");
    write_text("own/crossover.md", "Our house style: both.\n");
    EXPECT(31, "run", task(), "-o", "styled", MAIL, "--templates", "own");
    assert_int_equal(rename(cli_path("own"), cli_path("own-moved")), 0);
    assert_int_equal(cli_pending("styled", ids, 8), 3);
    EXPECT(31, "resume", "styled", "--mailbox-out", "6"); /* writes three more */
    assert_int_equal(cli_pending("styled", ids, 8), 6);
    for (int i = 0; i < 6; i++) {
        cli_result r = CLI("mailbox", "styled", "--prompt", ids[i]);
        assert_non_null(strstr(r.out, "Our house style"));
        assert_non_null(strstr(r.out, "## Parent source")); /* of the template that is built in */
        cli_free(&r);
    }
    REFUSES(2, "--templates is fixed when a campaign starts", "resume", "styled", "--templates",
            "own-moved");
    EXPECT(0, "check", "styled");
    EXPECT(0, "replay", "styled");
    write_text("styled/templates/mutate.md", "Somebody else's style.\n");
    REFUSES(12, "styled/templates was changed after the campaign began", "resume", "styled");
    write_text("styled/templates/mutate.md", "Our house style: one idea at a time.\n");
    EXPECT(31, "resume", "styled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates),
    };
    return cmocka_run_group_tests(tests, cli_set_up, cli_tear_down);
}
