/* Killed at twenty random moments and resumed each time, a campaign ends as if nothing had
 * happened. */
#include "tests/cli/cli_test.h"

#include "search/base/file.h"
#include "search/base/random.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLS 20
#define EVALS "24"

/* What must be equal: every candidate with verdict, cell, fitness, and the hash over the decisions.
 */
static void assert_same(const char *a, const char *b)
{
    cJSON *x = JSON("list", a, "--limit", "0"), *y = JSON("list", b, "--limit", "0");
    assert_int_equal(cJSON_GetArraySize(x), cJSON_GetArraySize(y));
    for (int i = 0; i < cJSON_GetArraySize(x); i++) {
        for (int k = 0; k < 2; k++) { /* whether a duplicate was also judged is chance */
            cJSON *item = cJSON_GetArrayItem(k ? y : x, i);
            if (strcmp(kds_json_str(item, "verdict", ""), "duplicate") == 0) {
                cJSON_DeleteItemFromObject(item, "stage");
                cJSON_DeleteItemFromObject(item, "report");
            }
        }
        if (!cJSON_Compare(cJSON_GetArrayItem(x, i), cJSON_GetArrayItem(y, i), true))
            fail_msg("candidate %d differs:\n%s\n%s", i, kds_json_print(cJSON_GetArrayItem(x, i)),
                     kds_json_print(cJSON_GetArrayItem(y, i)));
    }
    cJSON_Delete(x);
    cJSON_Delete(y);
    cJSON *p = JSON("replay", a), *q = JSON("replay", b);
    assert_string_equal(kds_json_str(p, "chain", "p"), kds_json_str(q, "chain", "q"));
    cJSON_Delete(p);
    cJSON_Delete(q);
}

static int64_t committed(const char *archive)
{
    cJSON *status = JSON("status", archive);
    int64_t n = kds_json_int(status, "committed", -1);
    cJSON_Delete(status);
    return n;
}

static void test_twenty_kills(void **state)
{
    (void)state;
    const char *task = cli_source("tests/tasks/scale");
    /* Until nothing new is left to try: long enough for all the kills. */
    const char *const start[] = {"run", task, "-o", "killed", "--seed", "11", NULL};
    const char *const again[] = {"resume", "killed", NULL};
    kds_random random = kds_random_stream(11, 0, "kills");
    EXPECT(0, "run", task, "-o", "whole", "--seed", "11");

    /* The first kill waits for the archive to be there: before that there is nothing to resume. */
    pid_t pid = cli_start("run", start);
    while (access(cli_path("killed/status.json"), F_OK) != 0 && kill(pid, 0) == 0)
        cli_sleep_ms(5);
    int64_t before = 0;
    for (int i = 0; i < KILLS; i++) {
        cli_sleep_ms((int64_t)kds_random_below(&random, 900));
        kill(pid, SIGKILL);
        assert_int_equal(cli_wait(pid), 128 + SIGKILL);
        EXPECT(0, "check", "killed");
        int64_t now = committed("killed");
        assert_true(now >= before);
        before = now;
        pid = cli_start("resume", again);
    }
    assert_int_equal(cli_wait(pid), 0);
    assert_true(before > 0);
    EXPECT(0, "check", "killed");
    assert_same("whole", "killed");
}

/* The highest number of an event that a run has told, in whole lines. */
static int64_t last_told(const char *name)
{
    char file[100];
    int64_t last = 0;
    (void)snprintf(file, sizeof file, "%s.out", name);
    char *text = cli_read(cli_path(file), NULL);
    for (char *line = text, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        cJSON *o = kds_json_parse_record(line, (size_t)(end - line));
        int64_t seq = kds_json_int(o, "seq", 0);
        last = seq > last ? seq : last;
        cJSON_Delete(o);
    }
    free(text);
    return last;
}

/* Events wait a moment for others before they are made durable; none is told before. */
static void test_what_was_told_is_in_the_record(void **state)
{
    (void)state;
    const char *const start[] = {
        "run", cli_source("tests/tasks/scale"), "-o", "told", "--seed", "7", "--json", NULL};
    pid_t pid = cli_start("told", start);
    for (int64_t wanted = 10; wanted <= 70; wanted += 30) {
        while (last_told("told") < wanted && kill(pid, 0) == 0)
            cli_sleep_ms(10);
        kill(pid, SIGKILL);
        assert_int_equal(cli_wait(pid), 128 + SIGKILL);
        cJSON *report = JSON("check", "told");
        assert_in_range(last_told("told"), wanted, kds_json_int(report, "events", 0));
        cJSON_Delete(report);
        const char *const again[] = {"resume", "told", "--json", NULL};
        pid = cli_start("told", again);
    }
    kill(pid, SIGKILL);
    assert_int_equal(cli_wait(pid), 128 + SIGKILL);
}

/* A first SIGTERM finishes what runs and exits resumable with the documented status. */
static void test_polite_stop(void **state)
{
    (void)state;
    const char *const start[] = {"run",         cli_source("tests/tasks/scale"),
                                 "-o",          "polite",
                                 "--max-evals", EVALS,
                                 "--seed",      "11",
                                 NULL};
    EXPECT(0, "run", cli_source("tests/tasks/scale"), "-o", "short", "--max-evals", EVALS, "--seed",
           "11");
    pid_t pid = cli_start("polite", start);
    while (access(cli_path("polite/status.json"), F_OK) != 0 && kill(pid, 0) == 0)
        cli_sleep_ms(5);
    cli_sleep_ms(200);
    kill(pid, SIGTERM);
    assert_int_equal(cli_wait(pid), 143);
    EXPECT(0, "check", "polite");
    EXPECT(0, "resume", "polite");
    assert_same("short", "polite");
}

/* Starts `kdasearch resume ARCHIVE` from a shell that has it ignore a signal. */
static pid_t start_ignoring(const char *signal_name, const char *archive)
{
    char kdasearch[1200], script[200];
    snprintf(kdasearch, sizeof kdasearch, "%s", getenv("KDASEARCH_BINARY"));
    snprintf(script, sizeof script,
             "KDASEARCH_BINARY=\"$0\"; export KDASEARCH_BINARY; trap '' %s; exec \"$0\" \"$@\"",
             signal_name);
    const char *const args[] = {"-c",    script,        kdasearch, "resume",
                                archive, "--max-evals", "100000",  NULL};
    setenv("KDASEARCH_BINARY", "/bin/sh", 1);
    pid_t pid = cli_start(archive, args);
    setenv("KDASEARCH_BINARY", kdasearch, 1);
    return pid;
}

/* Until the archive is held by that process. */
static void wait_for_lock(const char *archive, pid_t pid)
{
    char path[100], holder[40];
    bool held = false;
    snprintf(path, sizeof path, "%s/lock", archive);
    snprintf(holder, sizeof holder, "\"pid\":%d,", (int)pid);
    while (!held && kill(pid, 0) == 0) {
        char *text = cli_read(cli_path(path), NULL);
        held = text && strstr(text, holder);
        free(text);
    }
    assert_true(held);
}

/* Kernels under way whose judging came to no end, although nothing judged before them is equal. */
#define UNFINISHED                                                                                 \
    "SELECT count(*) FROM decisions d JOIN candidates c ON c.id = d.candidate WHERE d.commit_seq " \
    "IS NULL AND NOT EXISTS (SELECT 1 FROM evaluations e WHERE e.decision = d.decision AND "       \
    "(e.stage = 'judge' OR e.verdict != 'ok')) AND NOT EXISTS (SELECT 1 FROM candidates o WHERE "  \
    "o.decision < c.decision AND (o.norm = c.norm OR o.cubin = c.cubin))"

static void wait_for_events(const char *archive, double more)
{
    double before = cli_query(archive, "SELECT count(*) FROM events");
    for (int i = 0; i < 2000 && cli_query(archive, "SELECT count(*) FROM events") < before + more;
         i++)
        cli_sleep_ms(10);
}

/* The same from another terminal, by name of the archive. Who asks twice does not mean `--now`. */
static void test_stop(void **state)
{
    (void)state;
    const char *const start[] = {"run",         cli_source("tests/tasks/scale"),
                                 "-o",          "stopped",
                                 "--max-evals", EVALS,
                                 "--seed",      "11",
                                 NULL};
    pid_t pid = cli_start("stopped", start);
    while (access(cli_path("stopped/status.json"), F_OK) != 0 && kill(pid, 0) == 0)
        cli_sleep_ms(5);
    wait_for_events("stopped", 12);
    EXPECT(0, "stop", "stopped", "--no-wait");
    cli_result r = CLI("stop", "stopped");
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "resume stopped` continues"));
    cli_free(&r);
    assert_int_equal(cli_wait(pid), 130);
    EXPECT(0, "check", "stopped");
    assert_int_equal(cli_query("stopped", UNFINISHED), 0);

    const char *const again[] = {"resume", "stopped", NULL};
    pid = cli_start("stopped", again);
    wait_for_lock("stopped", pid);
    wait_for_events("stopped", 1);
    cJSON *told = JSON("stop", "stopped", "--now");
    assert_true(kds_json_bool(told, "was_running", false));
    assert_int_equal(kds_json_int(told, "pid", 0), pid);
    assert_true(kds_json_bool(told, "ended", false));
    cJSON_Delete(told);
    assert_int_equal(cli_wait(pid), 130);
    told = JSON("stop", "stopped");
    assert_false(kds_json_bool(told, "was_running", true));
    cJSON_Delete(told);
    EXPECT(0, "resume", "stopped");
    assert_same("short", "stopped");
    REFUSES(10, "not an archive", "stop", cli_source("tests"));
}

/* A shell's background job is started to ignore Ctrl-C, and a campaign takes seconds to begin. */
static void test_stop_while_it_starts(void **state)
{
    (void)state;
    pid_t pid = start_ignoring("INT", "stopped");
    wait_for_lock("stopped", pid);
    EXPECT(0, "stop", "stopped");
    assert_int_equal(cli_wait(pid), 130);
    EXPECT(0, "check", "stopped");
}

/* A signal that comes when all is done does not undo it: the outcome is told, and the status is 0.
 */
static void test_a_late_signal(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        char name[20];
        size_t len = 0;
        snprintf(name, sizeof name, "late%d", i);
        const char *const args[] = {
            "run", cli_source("tests/tasks/scale"), "-o", name, "--max-evals", "3", "--json", NULL};
        char file[40], *out = NULL;
        snprintf(file, sizeof file, "%s.out", name);
        pid_t pid = cli_start(name, args);
        do {
            free(out);
            out = cli_read(cli_path(file), &len);
        } while (strstr(out ? out : "", "\"kind\":\"STOP\"") == NULL && kill(pid, 0) == 0);
        free(out);
        kill(pid, SIGINT);
        assert_int_equal(cli_wait(pid), 0);
        out = cli_read(cli_path(file), &len);
        assert_non_null(strstr(out, "\"champion\":")); /* only the outcome has it */
        free(out);
    }
}

/* A folder with some of the files of an archive. */
static void remnant(const char *name, const char *const *files)
{
    kds_err e = {0};
    char from[700], to[700];
    assert_int_equal(mkdir(cli_path(name), 0755), 0);
    snprintf(from, sizeof from, "%s/task", cli_path("short"));
    snprintf(to, sizeof to, "%s/task", cli_path(name));
    if (kds_dir_copy(from, to, &e) != KDS_OK)
        fail_msg("%s", e.message);
    for (; *files; files += 2) {
        snprintf(to, sizeof to, "%s/%s", name, files[0]);
        cli_write(to, files[1], strlen(files[1]));
    }
}

/* True if the campaign of a folder could be resumed; if not, it says that there is none. */
static bool can_resume(const char *name)
{
    cli_result r = CLI("resume", name);
    int status = r.status;
    if (status != 0 && status != 10)
        fail_msg("exit %d: %s", status, r.err);
    cli_free(&r);
    return status == 0;
}

/* A start that was stopped before its campaign began leaves what nobody needs: the next one takes
 * the folder over. What may be somebody's is left alone. */
static void test_stopped_before_it_began(void **state)
{
    (void)state;
    static const char lock[] = "{\"host\":\"here\",\"pid\":4711,\"boot_id\":\"BOOT\",\"started\":"
                               "\"2026-01-01T00:00:00Z\"}\n";
    char host[256] = "", mine[600];
    const char *task = cli_source("tests/tasks/scale");
    size_t len = 0;
    sqlite3 *db = NULL;
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    snprintf(mine, sizeof mine, "{\"host\":\"%s\",%s", host, strchr(lock, ',') + 1);

    remnant("cut1", (const char *const[]){"lock", mine, "campaign.db.new", "half", NULL});
    EXPECT(0, "run", task, "-o", "cut1", "--max-evals", "3");
    EXPECT(0, "check", "cut1");

    char *data = cli_read(cli_path("short/campaign.db"), &len);
    assert_non_null(data);
    remnant("cut2", (const char *const[]){"lock", mine, NULL});
    cli_write("cut2/campaign.db", data, len);
    free(data);
    assert_int_equal(sqlite3_open(cli_path("cut2/campaign.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM events", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    REFUSES(10, "stopped before its campaign began", "resume", "cut2");
    REFUSES(10, "stopped before its campaign began", "report", "cut2");
    EXPECT(0, "run", task, "-o", "cut2", "--max-evals", "3");
    EXPECT(0, "check", "cut2");

    /* Two starts in one folder: one campaign comes of it, and nothing is taken from it. */
    const char *const first[] = {"run", task, "-o", "twice", "--max-evals", "3", NULL};
    pid_t one = cli_start("first", first), two = cli_start("second", first);
    int a = cli_wait(one), b = cli_wait(two);
    assert_true((a == 0) != (b == 0) && (a == 11 || a == 2 || b == 11 || b == 2));
    EXPECT(0, "check", "twice");
    EXPECT(0, "resume", "twice", "--max-evals", "4");

    /* Killed at whatever moment of its making, a folder can be used. */
    for (int i = 0; i < 6; i++) {
        char name[20];
        snprintf(name, sizeof name, "cut%d", 10 + i);
        const char *const start[] = {"run", task, "-o", name, "--max-evals", "3", NULL};
        pid_t pid = cli_start(name, start);
        while (access(cli_path(name), F_OK) != 0 && kill(pid, 0) == 0)
            ;
        cli_sleep_ms(i);
        kill(pid, SIGKILL);
        (void)cli_wait(pid);
        bool began = can_resume(name);
        if (!began)
            EXPECT(0, "run", task, "-o", name, "--max-evals", "3");
        EXPECT(0, "check", name);
    }

    remnant("other", (const char *const[]){"lock", "", NULL}); /* another program's lock, perhaps */
    REFUSES(2, "is left alone", "run", task, "-o", "other");
    remnant("notes", (const char *const[]){"campaign.db.new", "half", "notes.txt", "mine", NULL});
    REFUSES(2, "is left alone", "run", task, "-o", "notes");
    assert_int_equal(access(cli_path("notes/task/task.json"), F_OK), 0);
    assert_int_equal(access(cli_path("other/task/task.json"), F_OK), 0);
    REFUSES(2, "is an archive already", "run", task, "-o", "short"); /* with a record it stays */
    EXPECT(0, "check", "short");
}

/* Under nohup the end of a terminal is not the end of a campaign. */
static void test_nohup(void **state)
{
    (void)state;
    pid_t pid = start_ignoring("HUP", "stopped");
    wait_for_lock("stopped", pid);
    wait_for_events("stopped", 3); /* signals have their handlers by now */
    kill(pid, SIGHUP);
    cli_sleep_ms(500);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    EXPECT(0, "stop", "stopped");
    assert_int_equal(cli_wait(pid), 130);
}

/* A second writer is refused and told who the first is; readers are not. */
static void test_lock(void **state)
{
    (void)state;
    const char *const start[] = {
        "run", cli_source("tests/tasks/scale"), "-o", "locked", "--seed", "3", NULL};
    pid_t pid = cli_start("locked", start);
    while (access(cli_path("locked/status.json"), F_OK) != 0 && kill(pid, 0) == 0)
        cli_sleep_ms(5);
    char text[40];
    snprintf(text, sizeof text, "%d", (int)pid);
    REFUSES(11, text, "resume", "locked");
    EXPECT(0, "status", "locked");
    EXPECT(0, "list", "locked");
    kill(pid, SIGKILL);
    assert_int_equal(cli_wait(pid), 128 + SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twenty_kills),
        cmocka_unit_test(test_what_was_told_is_in_the_record),
        cmocka_unit_test(test_polite_stop),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stop_while_it_starts),
        cmocka_unit_test(test_nohup),
        cmocka_unit_test(test_stopped_before_it_began),
        cmocka_unit_test(test_a_late_signal),
        cmocka_unit_test(test_lock),
    };
    return cmocka_run_group_tests(tests, cli_set_up, cli_tear_down);
}
