/* Campaigns by mail: prompts as files, replies as files, in any order, on any machine. What was
 * taken in is never lost and never counted twice, and nothing that lies in the folder can do harm.
 */
#include "tests/cli/cli_test.h"
#include "tests/tools/chat_server.h"

#include "search/base/file.h"
#include "search/base/random.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAIL "--proposer", "mailbox", "--mailbox-out", "3"

static const char *task(void)
{
    return cli_source("tests/tasks/scale");
}

/* A path below an archive's mailbox, in the scratch folder. */
static const char *box(const char *archive, const char *name)
{
    char path[500];
    snprintf(path, sizeof path, "%s/mailbox/%s", archive, name);
    return cli_path(path);
}

static int files_in(const char *path)
{
    int n = 0;
    struct stat st;
    DIR *d = opendir(path);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
             !S_ISDIR(st.st_mode);
    closedir(d);
    return n;
}

/* What a model would say to a prompt's file: edits of its tunables, the same for the same prompt.
 */
static char *answer(const char *path)
{
    kds_buf text, body;
    size_t len = 0;
    char *file = cli_read(path, &len);
    assert_non_null(file);
    cJSON *o = kds_json_parse_record(file, len);
    assert_non_null(o);
    const char *user = kds_json_str(o, "user", "");
    assert_non_null(strstr(user, "## Parent source"));
    assert_true(strlen(kds_json_str(o, "system", "")) > 1000);
    assert_true(strlen(kds_json_str(o, "how_to_answer", "")) > 100);
    cJSON *ask = cJSON_CreateObject(), *messages = cJSON_AddArrayToObject(ask, "messages"),
          *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "role", "user");
    cJSON_AddStringToObject(m, "content", user);
    cJSON_AddStringToObject(m, "id", kds_json_str(o, "id", ""));
    cJSON_AddItemToArray(messages, m);
    char *json = kds_json_print(ask);
    kds_buf_init(&body, 1 << 20);
    kds_buf_puts(&body, json);
    kds_buf_init(&text, 1 << 20);
    kds_buf_puts(&text, "Prediction: fewer instructions, 1.5x\n");
    chat_text(&text, &(chat_step){.answer = CHAT_OK, .mode = CHAT_MODE_EDIT}, body.data, body.len,
              3);
    free(json);
    free(file);
    cJSON_Delete(ask);
    cJSON_Delete(o);
    kds_buf_free(&body);
    return kds_buf_take(&text);
}

/* Older than what may still be being written. */
static void settle(const char *path)
{
    const struct timespec past[2] = {{1700000000, 0}, {1700000000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, past, AT_SYMLINK_NOFOLLOW), 0);
}

static void drop(const char *archive, const char *name, const char *text, size_t len)
{
    char path[500];
    snprintf(path, sizeof path, "%s/mailbox/in/%s", archive, name);
    cli_write(path, text, len);
    settle(cli_path(path));
}

static char *answer_to(const char *archive, const char *id)
{
    char name[400];
    snprintf(name, sizeof name, "out/%s.json", id);
    return answer(box(archive, name));
}

/* Answers a prompt with a file <id>.md. */
static void reply_plain(const char *archive, const char *id)
{
    char name[400];
    char *text = answer_to(archive, id);
    snprintf(name, sizeof name, "%s.md", id);
    drop(archive, name, text, strlen(text));
    free(text);
}

/* Answers with JSON in a file of that name. */
static void reply_json(const char *archive, const char *id, const char *name, const char *model)
{
    char *text = answer_to(archive, id);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", id);
    cJSON_AddStringToObject(o, "model", model);
    cJSON_AddStringToObject(o, "reply", text);
    cJSON_AddNumberToObject(o, "prompt_tokens", 1000);
    cJSON_AddNumberToObject(o, "completion_tokens", 100);
    char *json = kds_json_print(o);
    char path[500];
    snprintf(path, sizeof path, "%s/mailbox/in/%s", archive, name);
    cli_write(path, json, strlen(json)); /* fresh: a whole JSON needs no waiting */
    free(json);
    free(text);
    cJSON_Delete(o);
}

static int64_t status_of(const char *archive, const char *key)
{
    cJSON *o = JSON("status", archive);
    int64_t n = kds_json_int(o, key, -1);
    cJSON_Delete(o);
    return n;
}

static void assert_whole(const char *archive)
{
    EXPECT(0, "check", archive);
    EXPECT(0, "replay", archive);
}

/* A prompt is told what is known of kernels with its parent's numbers, and the command says why. */
static void test_knowledge(void **state)
{
    (void)state;
    char ids[8][KDS_MAIL_ID], title[200] = "";
    EXPECT(31, "run", task(), "-o", "knows", MAIL);
    EXPECT(31, "run", task(), "-o", "ignorant", MAIL, "--knowledge-bytes", "0");
    assert_int_equal(cli_pending("knows", ids, 8), 3);
    cJSON *all = JSON("knowledge");
    assert_true(cJSON_GetArraySize(all) >= 25);
    cJSON_Delete(all);
    cJSON *notes = JSON("knowledge", "knows", "#0"); /* of its parents the one that is there */
    const cJSON *note = NULL;
    cJSON_ArrayForEach(note, notes)
    {
        if (kds_json_bool(note, "shown", false) && !title[0])
            snprintf(title, sizeof title, "## %s\n", kds_json_str(note, "title", ""));
        assert_true(strlen(kds_json_str(note, "why", "")) > 3);
    }
    cJSON_Delete(notes);
    assert_string_not_equal(title, "");
    int told = 0;
    for (int i = 0; i < 3; i++) {
        cli_result r = CLI("mailbox", "knows", "--prompt", ids[i]);
        told += strstr(r.out, title) != NULL;
        cli_free(&r);
        r = CLI("mailbox", "ignorant", "--prompt", ids[i]);
        assert_null(strstr(r.out, "# What is known of kernels"));
        cli_free(&r);
    }
    assert_true(told >= 1);
    EXPECT(0, "knowledge", "knows", "--all");
    EXPECT(0, "knowledge", "--names");
}

/* A dry run shows what would be asked and what it would cost, and leaves nothing behind. */
static void test_dry_run(void **state)
{
    (void)state;
    assert_int_equal(mkdir(cli_path("tmp"), 0700), 0);
    setenv("TMPDIR", cli_path("tmp"), 1);
    cli_result r = CLI("run", task(), "--proposer", "mailbox", "--dry-run", "--price-prompt", "1",
                       "--price-completion", "5", "--max-cost", "3", "--reply-tokens", "3000");
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "# A candidate"));
    assert_non_null(strstr(r.out, "## Parent source"));
    assert_non_null(strstr(r.out, "and 1000 of reply"));
    assert_non_null(strstr(r.out, "the budgets allow about "));
    cli_free(&r);
    cJSON *o = JSON("run", task(), "--proposer", "mailbox", "--dry-run", "--price-prompt", "1",
                    "--price-completion", "5", "--max-tokens", "100000", "--reply-tokens", "3000");
    double prompt = kds_json_num(o, "prompt_tokens", 0), reply = kds_json_num(o, "reply_tokens", 0);
    assert_true(prompt > 500 && reply == 1000);
    double call = (prompt + 5 * reply) / 1e6, told = kds_json_num(o, "call_usd", 0);
    assert_true(told > call * 0.999 && told < call * 1.001);
    assert_int_equal(kds_json_int(o, "calls", 0), (int64_t)(100000 / (prompt + reply)));
    assert_non_null(strstr(kds_json_str(kds_json_at(o, "prompt"), "user", ""), "# The parent"));
    cJSON_Delete(o);
    REFUSES(2, "asks nobody", "run", task(), "--dry-run");
    REFUSES(3, "KDS_NO_SUCH_KEY", "run", task(), "--dry-run", "--proposer", "endpoint", "--url",
            "http://127.0.0.1:9/v1", "--model", "m", "--key-env", "KDS_NO_SUCH_KEY");
    EXPECT(0, "run", task(), "--dry-run", "--proposer", "endpoint", "--url",
           "http://127.0.0.1:9/v1", "--model", "m"); /* where nobody listens: nothing is sent */
    assert_int_not_equal(access(cli_path("archive"), F_OK), 0);
    assert_int_equal(rmdir(cli_path("tmp")), 0); /* empty */
    unsetenv("TMPDIR");
}

/* Three prompts out, three kinds of replies in, in another order; what is out is what waits. */
static void test_drains_and_resumes(void **state)
{
    (void)state;
    char ids[8][KDS_MAIL_ID], name[400];
    REFUSES(31, "3 prompts wait", "run", task(), "-o", "night", "--seed", "2", MAIL);
    assert_int_equal(cli_pending("night", ids, 8), 3);
    assert_int_equal(files_in(box("night", "out")), 3);
    assert_int_equal(status_of("night", "responses"), 0);
    REFUSES(31, "kdasearch resume", "resume", "night"); /* nothing has come: nothing changes */
    assert_int_equal(status_of("night", "requests"), 3);

    reply_json("night", ids[2], "whatever.json", "model-c");
    reply_plain("night", ids[1]);
    char *text = answer_to("night", ids[0]);
    snprintf(name, sizeof name, "%s.txt", ids[0]);
    cli_write(name, text, strlen(text));
    EXPECT(0, "mailbox", "night", name, "--model", "model-a");
    free(text);
    assert_int_equal(files_in(box("night", "in")), 3);

    EXPECT(31, "resume", "night");
    assert_int_equal(status_of("night", "responses"), 3);
    assert_int_equal(status_of("night", "requests"), 6);
    assert_int_equal(status_of("night", "prompt_tokens"), 1000);
    assert_int_equal(status_of("night", "completion_tokens"), 100);
    assert_int_equal(files_in(box("night", "in")), 0);
    assert_int_equal(files_in(box("night", "in/done")), 3);
    char more[8][KDS_MAIL_ID];
    assert_int_equal(cli_pending("night", more, 8), 3);
    assert_int_equal(files_in(box("night", "out")), 3);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "out/%s.json", more[i]);
        assert_int_equal(access(box("night", name), F_OK), 0);
        assert_string_not_equal(more[i], ids[i]);
    }
    int with[3] = {0};
    cJSON *list = JSON("list", "night", "--limit", "0");
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, list)
    {
        const char *model = kds_json_str(item, "model", "");
        with[0] += strcmp(model, "model-a") == 0;
        with[2] += strcmp(model, "model-c") == 0;
        if (strncmp(model, "model-", 6) != 0)
            continue;
        cJSON *shown = JSON("show", "night", kds_json_str(item, "id", ""));
        assert_true(kds_json_num(shown, "predicted", 0) == 1.5);
        assert_string_equal(kds_json_str(shown, "prediction", ""), "fewer instructions, 1.5x");
        cJSON_Delete(shown);
        cli_result text_shown = CLI("show", "night", kds_json_str(item, "id", ""));
        assert_non_null(strstr(text_shown.out, "predicted   fewer instructions, 1.5x  (came out "));
        cli_free(&text_shown);
    }
    cJSON_Delete(list);
    assert_true(with[0] + with[2] >= 1); /* equal prompts may give equal children */
    assert_whole("night");
    cJSON *replay = JSON("replay", "night");
    assert_int_equal(kds_json_int(replay, "replies", 0), 3);
    cJSON_Delete(replay);
}

static void copy(const char *from, const char *to)
{
    kds_err e = {0};
    if (kds_dir_copy(cli_path(from), cli_path(to), &e) != KDS_OK)
        fail_msg("%s", e.message);
}

/* The archive goes to where a model is and comes back under another name, twice; in strict order
 * the outcome is that of a campaign that stayed where it was and got its replies one by one. */
static void test_carried(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"gpu0", "desk0"}, {"gpu1", "desk1"}, {"gpu2", ""}};
    char ids[8][KDS_MAIL_ID], chain[2][64];
    EXPECT(31, "run", task(), "-o", "gpu0", "--order", "strict", "--in-flight", "3", MAIL);
    EXPECT(31, "run", task(), "-o", "home", "--order", "strict", "--in-flight", "3", MAIL);
    for (int i = 0; i < 2; i++) {
        copy(names[i][0], names[i][1]);
        int n = cli_pending(names[i][1], ids, 8);
        assert_in_range(n, 1, 3);
        for (int k = n - 1; k >= 0; k--)
            reply_plain(names[i][1], ids[k]);
        copy(names[i][1], names[i + 1][0]);
        EXPECT(31, "resume", names[i + 1][0]);
        assert_whole(names[i + 1][0]);
        n = cli_pending("home", ids, 8);
        for (int k = 0; k < n; k++) {
            reply_plain("home", ids[k]);
            EXPECT(31, "resume", "home");
        }
    }
    for (int i = 0; i < 2; i++) {
        cJSON *o = JSON("replay", i ? "home" : "gpu2");
        snprintf(chain[i], sizeof chain[i], "%s", kds_json_str(o, "chain", "-"));
        cJSON_Delete(o);
    }
    assert_string_equal(chain[0], chain[1]);
}

/* A reply that comes again is no second reply; another reply to the same prompt is refused. */
static void test_twice(void **state)
{
    (void)state;
    char ids[8][KDS_MAIL_ID], name[400];
    EXPECT(31, "run", task(), "-o", "twice", MAIL);
    assert_int_equal(cli_pending("twice", ids, 8), 3);
    char *text = answer_to("twice", ids[0]);
    snprintf(name, sizeof name, "%s.md", ids[0]);
    drop("twice", name, text, strlen(text));
    EXPECT(31, "resume", "twice");
    assert_int_equal(status_of("twice", "responses"), 1);
    drop("twice", name, text, strlen(text));
    EXPECT(31, "resume", "twice");
    assert_int_equal(status_of("twice", "responses"), 1);
    assert_int_equal(files_in(box("twice", "in/done")), 2);
    text[strlen(text) - 1] = ' ';
    drop("twice", name, text, strlen(text));
    REFUSES(31, "answered already", "resume", "twice");
    assert_int_equal(status_of("twice", "responses"), 1);
    snprintf(name, sizeof name, "in/refused/%s.md", ids[0]);
    assert_int_equal(access(box("twice", name), F_OK), 0);
    free(text);
    assert_whole("twice");
}

/* What cannot be a reply is moved aside with a reason, and nothing is taken of it. */
static void test_hostile(void **state)
{
    (void)state;
    static char huge[5 << 20];
    char ids[8][KDS_MAIL_ID], name[400];
    EXPECT(31, "run", task(), "-o", "hostile", MAIL);
    assert_int_equal(cli_pending("hostile", ids, 8), 3);
    cli_write("secret.txt", "do not read me", 14);
    snprintf(name, sizeof name, "in/%s.md", ids[0]);
    assert_int_equal(symlink(cli_path("secret.txt"), box("hostile", name)), 0);
    settle(box("hostile", name));
    snprintf(name, sizeof name, "in/%s.txt", ids[0]);
    assert_int_equal(mkfifo(box("hostile", name), 0600), 0);
    settle(box("hostile", name));
    memset(huge, 'x', sizeof huge);
    snprintf(name, sizeof name, "%s.txt", ids[1]);
    drop("hostile", name, huge, sizeof huge);
    snprintf(name, sizeof name, "%s.md", ids[1]);
    drop("hostile", name,
         "\x7f"
         "ELF\0\1\2",
         7);
    static const char *const bad[][2] = {
        {"r000000-00000000.md", "Hypothesis: x"}, /* no such prompt */
        {"r999999-0123abcd.md", "Hypothesis: x"},
        {"notes.md", "Hypothesis: x"},
        {"run.sh", "#!/bin/sh\ntouch was-executed\n"},
        {"broken.json", "{\"id\": \""},
        {"list.json", "[1, 2]"},
        {"empty.json", "{\"id\": \"r000000-00000000\", \"reply\": \" \"}"},
        {"id.json", "{\"id\": \"../../x\", \"reply\": \"y\"}"},
        {"\x1b[31mred.md", "x"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        drop("hostile", bad[i][0], bad[i][1], strlen(bad[i][1]));
    assert_int_equal(mkdir(box("hostile", "in/folder"), 0700), 0);
    drop("hostile", "folder/deep.md", "x", 1);
    drop("hostile", "half.md.part", "x", 1);
    cli_result r = CLI("resume", "hostile");
    assert_int_equal(r.status, 31);
    static const char *const says[] = {"a symbolic link",
                                       "not a plain file",
                                       "at most 4194304",
                                       "a NUL byte",
                                       "no prompt of this",
                                       "not the id of a prompt",
                                       "none of .md",
                                       "not JSON",
                                       "without a text \"reply\"",
                                       "the answer is empty",
                                       NULL};
    for (int i = 0; says[i]; i++)
        if (!strstr(r.err, says[i]))
            fail_msg("'%s' is not in: %s", says[i], r.err);
    assert_null(strchr(r.err, '\x1b'));
    cli_free(&r);
    assert_int_equal(status_of("hostile", "responses"), 0);
    assert_int_equal(files_in(box("hostile", "in")), 1);               /* half.md.part */
    assert_int_equal(files_in(box("hostile", "in/refused")), 13 + 13); /* each with its reason */
    assert_int_equal(cli_pending("hostile", ids, 8), 3);
    assert_int_not_equal(access(cli_path("was-executed"), F_OK), 0);
    size_t len = 0;
    char *kept = cli_read(cli_path("secret.txt"), &len);
    assert_int_equal(len, 14);
    free(kept);
    assert_whole("hostile");

    /* The import refuses the same, before anything is put in. */
    REFUSES(3, "were not put in", "mailbox", "hostile", cli_path("secret.txt"));
    /* A mailbox that leads elsewhere is not followed. */
    assert_int_equal(rename(box("hostile", "out"), box("hostile", "moved")), 0);
    assert_int_equal(mkdir(cli_path("elsewhere"), 0700), 0);
    assert_int_equal(symlink(cli_path("elsewhere"), box("hostile", "out")), 0);
    REFUSES(3, "is not a folder", "resume", "hostile");
    assert_int_equal(files_in(cli_path("elsewhere")), 0);
}

/* An unusable reply is told once what was wrong, by mail; then the decision ends. */
static void test_correction(void **state)
{
    (void)state;
    char ids[8][KDS_MAIL_ID], name[400];
    static const char BAD[] = "<<<<<<< SEARCH\nno such line\n=======\nx\n>>>>>>> REPLACE\n";
    EXPECT(31, "run", task(), "-o", "wrong", "--proposer", "mailbox", "--mailbox-out", "1");
    assert_int_equal(cli_pending("wrong", ids, 8), 1);
    snprintf(name, sizeof name, "%s.md", ids[0]);
    cli_write(name, BAD, strlen(BAD));
    REFUSES(3, "were not put in", "mailbox", "wrong", name);
    assert_int_equal(files_in(box("wrong", "in")), 0);
    EXPECT(0, "mailbox", "wrong", name, "--force");
    EXPECT(31, "resume", "wrong");
    char next[8][KDS_MAIL_ID];
    assert_int_equal(cli_pending("wrong", next, 8), 1);
    cli_result r = CLI("mailbox", "wrong", "--prompt", next[0]);
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "The SEARCH text of edit 1 is not in the source"));
    cli_free(&r);
    drop("wrong", "again.md", "x", 1); /* a wrong name beside it changes nothing */
    snprintf(name, sizeof name, "%s.md", next[0]);
    drop("wrong", name, BAD, strlen(BAD));
    EXPECT(31, "resume", "wrong");
    assert_int_equal(status_of("wrong", "responses"), 2);
    cJSON *o = JSON("mailbox", "wrong");
    const cJSON *waits = kds_json_at(kds_json_at(o, "pending")->child, "decision");
    assert_true(cJSON_IsNumber(waits) && waits->valueint > 3); /* another decision's prompt */
    cJSON_Delete(o);
    assert_whole("wrong");
}

/* Killed again and again while replies come: every reply counts once. */
static void test_kills(void **state)
{
    (void)state;
    char ids[8][KDS_MAIL_ID];
    int64_t given = 0;
    kds_random random = kds_random_stream(9, 0, "kills");
    EXPECT(31, "run", task(), "-o", "killed", MAIL);
    for (int turn = 0; turn < 6; turn++) {
        int n = cli_pending("killed", ids, 8);
        for (int i = 0; i < n && i < 3; i++) {
            reply_plain("killed", ids[i]);
            given++;
        }
        pid_t pid = cli_start(
            "killed", (const char *const[]){"resume", "killed", "--mailbox-wait", "1h", NULL});
        cli_sleep_ms((int64_t)kds_random_below(&random, 400));
        kill(pid, SIGKILL);
        (void)cli_wait(pid);
        EXPECT(0, "check", "killed");
        EXPECT(31, "resume", "killed", "--mailbox-wait", "0");
        assert_int_equal(status_of("killed", "responses"), given);
        assert_int_equal(files_in(box("killed", "in")), 0);
        assert_int_equal(files_in(box("killed", "out")), cli_pending("killed", ids, 8));
    }
    assert_true(given >= 6);
    assert_whole("killed");
}

/* While it waits a running campaign takes what comes; the first Ctrl-C ends it. */
static void test_waits(void **state)
{
    (void)state;
    char ids[8][KDS_MAIL_ID];
    EXPECT(31, "run", task(), "-o", "waits", MAIL);
    assert_int_equal(cli_pending("waits", ids, 8), 3);
    pid_t pid =
        cli_start("waits", (const char *const[]){"resume", "waits", "--mailbox-wait", "1h", NULL});
    cli_sleep_ms(300);
    reply_json("waits", ids[1], "b.json", "somebody");
    for (int i = 0; i < 200 && status_of("waits", "responses") == 0; i++)
        cli_sleep_ms(50);
    assert_int_equal(status_of("waits", "responses"), 1);
    kill(pid, SIGINT);
    assert_int_equal(cli_wait(pid), 130);
    assert_whole("waits");
}

/* Another proposer takes over: what was out is no longer wanted, and says so. */
static void test_other_proposer(void **state)
{
    (void)state;
    char ids[8][KDS_MAIL_ID], name[400];
    EXPECT(31, "run", task(), "-o", "other", MAIL);
    assert_int_equal(cli_pending("other", ids, 8), 3);
    EXPECT(0, "resume", "other", "--proposer", "builtin", "--max-evals", "12");
    assert_int_equal(files_in(box("other", "out")), 0);
    snprintf(name, sizeof name, "%s.md", ids[0]);
    drop("other", name, "Hypothesis: late", 16);
    REFUSES(31, "decision is over", "resume", "other", "--proposer", "mailbox", "--max-evals",
            "20");
    assert_whole("other");
    EXPECT(0, "run", task(), "-o", "plain", "--max-evals", "3");
    REFUSES(2, "has no mailbox", "mailbox", "plain");
}

/* A budget that is spent ends the campaign when its mail has come, and not before. */
static void test_budget(void **state)
{
    (void)state;
    char ids[8][KDS_MAIL_ID];
    REFUSES(31, "prompts wait", "run", task(), "-o", "budget", MAIL, "--max-evals", "7");
    int rounds = 0, n = 0;
    while ((n = cli_pending("budget", ids, 8)) > 0 && rounds++ < 12) {
        for (int i = 0; i < n; i++)
            reply_plain("budget", ids[i]);
        cli_result r = CLI("resume", "budget");
        assert_true(r.status == 0 || r.status == 31);
        if (r.status == 0)
            assert_int_equal(files_in(box("budget", "out")), 0);
        cli_free(&r);
    }
    assert_int_equal(n, 0);
    assert_whole("budget");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_knowledge),
        cmocka_unit_test(test_dry_run),
        cmocka_unit_test(test_drains_and_resumes),
        cmocka_unit_test(test_carried),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_correction),
        cmocka_unit_test(test_kills),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_other_proposer),
        cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, cli_set_up, cli_tear_down);
}
