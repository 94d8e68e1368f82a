/* The log: lines that always parse, rotation, and that trouble never reaches the caller. */
#include "search/base/file.h"
#include "search/base/json.h"
#include "search/base/log.h"
#include "tests/base/base_test.h"
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

static kds_err error;

/* Checks that every line of a log file is one whole record; returns how many there are. */
static int count_lines(const char *name, const char *last_text)
{
    const char *text = scratch_text(name);
    int n = 0;
    assert_non_null(text);
    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        assert_non_null(end);
        cJSON *line = kds_json_parse_record(text, (size_t)(end - text));
        assert_non_null(line);
        assert_int_equal(strlen(kds_json_str(line, "time", "")), 20);
        assert_non_null(kds_json_str(line, "level", NULL));
        if (end[1] == '\0' && last_text != NULL)
            assert_string_equal(kds_json_str(line, "text", ""), last_text);
        cJSON_Delete(line);
        text = end + 1;
        n++;
    }
    return n;
}

static void writes_escaped_records(void **state)
{
    (void)state;
    kds_log *log;
    assert_int_equal(kds_log_open(&log, scratch("a.jsonl"), 1 << 20, 2, &error), KDS_OK);
    errno = 42;
    kds_log_write(log, "info", "row %d of '%s'", 3, "x\x1b[2J\"\n");
    assert_int_equal(errno, 42);
    kds_log_close(log);
    assert_int_equal(count_lines("a.jsonl", "row 3 of 'x\\x1B[2J\"\n'"), 1);
    assert_non_null(strstr(scratch_text("a.jsonl"), "\"level\":\"info\""));
    assert_int_equal(kds_log_open(&log, scratch("a.jsonl"), 1 << 20, 2, &error), KDS_OK);
    kds_log_write(log, "error", "two");
    kds_log_close(log);
    assert_int_equal(count_lines("a.jsonl", "two"), 2);
}

static void a_log_without_a_path_goes_nowhere(void **state)
{
    (void)state;
    kds_log *log;
    assert_int_equal(kds_log_open(&log, NULL, 100, 1, &error), KDS_OK);
    kds_log_write(log, "info", "x");
    kds_log_close(log);
    kds_log_write(NULL, "info", "x");
    kds_log_close(NULL);
}

static void rotates(void **state)
{
    (void)state;
    kds_log *log;
    assert_int_equal(kds_log_open(&log, scratch("r"), 200, 2, &error), KDS_OK);
    for (int i = 0; i < 20; i++)
        kds_log_write(log, "info", "message number %03d", i);
    kds_log_close(log);
    /* 80 bytes a line: two to a file. */
    assert_int_equal(count_lines("r", "message number 019"), 2);
    assert_int_equal(count_lines("r.1", "message number 017"), 2);
    assert_int_equal(count_lines("r.2", "message number 015"), 2);
    assert_false(kds_path_exists(scratch("r.3")));

    assert_int_equal(kds_log_open(&log, scratch("r"), 100, 0, &error), KDS_OK);
    kds_log_write(log, "info", "alone");
    kds_log_write(log, "info",
                  "longer than the whole limit, which holds for whole files only: "
                  "a line is never cut");
    kds_log_close(log);
    assert_int_equal(count_lines("r", NULL), 1);
    assert_int_equal(count_lines("r.1", "message number 017"), 2);
}

static void ends_a_torn_line_first(void **state)
{
    (void)state;
    kds_log *log;
    scratch_write("torn", "{\"time\":\"20", 11);
    assert_int_equal(kds_log_open(&log, scratch("torn"), 10000, 1, &error), KDS_OK);
    kds_log_write(log, "info", "after the crash");
    kds_log_close(log);
    const char *text = scratch_text("torn");
    assert_memory_equal(text, "{\"time\":\"20\n{\"time\":", 20);
}

static void drops_what_does_not_fit_on_the_disk(void **state)
{
    (void)state;
    kds_log *log;
    struct rlimit before, small;
    assert_int_equal(kds_log_open(&log, scratch("full"), 10000, 1, &error), KDS_OK);
    kds_log_write(log, "info", "first");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    kds_log_write(log, "info", "torn by the limit");
    kds_log_write(log, "info", "dropped");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    kds_log_write(log, "info", "last");
    kds_log_close(log);
    const char *text = scratch_text("full");
    assert_non_null(strstr(text, "\"first\"}\n{\"time"));
    assert_null(strstr(text, "dropped"));
    assert_non_null(strstr(text, "\n{\"time\":\"20")); /* the torn line has been ended */
    const char *line = strrchr(text, '{');
    assert_true(line > text && line[-1] == '\n');
    assert_non_null(strstr(line, "\"text\":\"last\"}\n"));
}

static void survives_a_lost_folder(void **state)
{
    (void)state;
    kds_log *log;
    assert_int_equal(kds_dir_make(scratch("gone"), &error), KDS_OK);
    assert_int_equal(kds_log_open(&log, scratch("gone/log"), 100, 1, &error), KDS_OK);
    kds_log_write(log, "info", "a line of some length");
    assert_int_equal(unlink(scratch("gone/log")), 0);
    assert_int_equal(rmdir(scratch("gone")), 0);
    kds_log_write(log, "info", "this one has to be rotated, and cannot be");
    kds_log_write(log, "info", "nor this");
    assert_int_equal(kds_dir_make(scratch("gone"), &error), KDS_OK);
    kds_log_write(log, "info", "back");
    kds_log_close(log);
    assert_int_equal(count_lines("gone/log", "back"), 1);
}

static void caps_a_text(void **state)
{
    (void)state;
    kds_log *log;
    char *large = malloc(1 << 20);
    memset(large, 'x', (1 << 20) - 1);
    large[(1 << 20) - 1] = '\0';
    assert_int_equal(kds_log_open(&log, scratch("large"), 1 << 20, 1, &error), KDS_OK);
    kds_log_write(log, "info", "%s", large);
    kds_log_close(log);
    free(large);
    assert_int_equal(count_lines("large", "(text too large for the log)"), 1);
}

static void names_a_log_that_cannot_be_opened(void **state)
{
    (void)state;
    kds_log *log = NULL;
    assert_int_equal(kds_log_open(&log, scratch("none/log"), 100, 1, &error), KDS_IO);
    assert_non_null(strstr(error.message, "cannot open the log '"));
    assert_int_equal(kds_log_open(&log, scratch_dir, 100, 1, &error), KDS_IO);
    assert_int_equal(mkfifo(scratch("fifo"), 0600), 0);
    assert_int_equal(kds_log_open(&log, scratch("fifo"), 100, 1, &error), KDS_IO);
    assert_null(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_escaped_records),
        cmocka_unit_test(a_log_without_a_path_goes_nowhere),
        cmocka_unit_test(rotates),
        cmocka_unit_test(ends_a_torn_line_first),
        cmocka_unit_test(drops_what_does_not_fit_on_the_disk),
        cmocka_unit_test(survives_a_lost_folder),
        cmocka_unit_test(caps_a_text),
        cmocka_unit_test(names_a_log_that_cannot_be_opened),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
