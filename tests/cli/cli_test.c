/* Running the command and reading its words. The binary is the one that KDASEARCH_BINARY names. */
#include "tests/cli/cli_test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 64

static char scratch[64];

const char *cli_path(const char *name)
{
    static char paths[8][512];
    static int next;
    char *out = paths[next++ % 8];
    snprintf(out, sizeof paths[0], "%s/%s", scratch, name);
    return out;
}

const char *cli_source(const char *name)
{
    static char paths[8][512];
    static int next;
    char *out = paths[next++ % 8];
    snprintf(out, sizeof paths[0], "%s/%s", KDS_SOURCE_DIR, name);
    return out;
}

void cli_write(const char *name, const void *data, size_t len)
{
    FILE *f = fopen(cli_path(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

char *cli_read(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f)
        return NULL;
    assert_int_equal(fstat(fileno(f), &st), 0);
    char *data = malloc((size_t)st.st_size + 1);
    assert_non_null(data);
    size_t n = fread(data, 1, (size_t)st.st_size, f);
    data[n] = '\0';
    if (len)
        *len = n;
    fclose(f);
    return data;
}

int cli_pending(const char *archive, char ids[][KDS_MAIL_ID], int most)
{
    int n = 0;
    cJSON *o = JSON("mailbox", archive);
    const cJSON *p = NULL;
    cJSON_ArrayForEach(p, kds_json_at(o, "pending"))
    {
        if (n < most)
            snprintf(ids[n], KDS_MAIL_ID, "%s", kds_json_str(p, "id", ""));
        n++;
    }
    cJSON_Delete(o);
    return n;
}

double cli_query(const char *archive, const char *sql)
{
    char path[600];
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    snprintf(path, sizeof path, "%s/campaign.db", cli_path(archive));
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000); /* the campaign may be running */
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    double value = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_double(s, 0) : -1;
    sqlite3_finalize(s);
    sqlite3_close(db);
    return value;
}

void cli_sleep_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

pid_t cli_start(const char *name, const char *const *args)
{
    char out[600], err[600];
    const char *argv[ARGS_MAX] = {getenv("KDASEARCH_BINARY")};
    assert_non_null(argv[0]);
    for (int i = 0; args[i]; i++) {
        assert_true(i + 2 < ARGS_MAX);
        argv[i + 1] = args[i];
    }
    snprintf(out, sizeof out, "%s/%s.out", scratch, name);
    snprintf(err, sizeof err, "%s/%s.err", scratch, name);
    /* Opened here, not in the child: who reads them next must not find an earlier run's words. */
    int o = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644),
        e = open(err, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* a group of its own, which ends with the test */
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (chdir(scratch) == 0 && dup2(o, 1) == 1 && dup2(e, 2) == 2) {
            union {
                const char *const *in;
                char *const *out;
            } words = {.in = argv};
            execv(argv[0], words.out);
        }
        _exit(127);
    }
    close(o);
    close(e);
    return pid;
}

int cli_wait(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

cli_result cli_run(const char *const *args)
{
    cli_result r = {0};
    r.status = cli_wait(cli_start("last", args));
    r.out = cli_read(cli_path("last.out"), NULL);
    r.err = cli_read(cli_path("last.err"), NULL);
    assert_non_null(r.out);
    assert_non_null(r.err);
    return r;
}

void cli_free(cli_result *r)
{
    free(r->out);
    free(r->err);
}

/* "run TASK -o X": for messages. */
static const char *shown(const char *const *args)
{
    static char text[600];
    size_t n = 0;
    text[0] = '\0';
    for (int i = 0; args[i] && n < sizeof text - 1; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s ", args[i]);
    return text;
}

void cli_expect(int status, const char *const *args)
{
    cli_result r = cli_run(args);
    if (r.status != status)
        fail_msg("%s: exit %d, expected %d\n%s%s", shown(args), r.status, status, r.out, r.err);
    cli_free(&r);
}

cJSON *cli_json(const char *const *args)
{
    const char *more[ARGS_MAX] = {0};
    int n = 0;
    for (; args[n]; n++)
        more[n] = args[n];
    more[n] = "--json";
    cli_result r = cli_run(more);
    cJSON *json = kds_json_parse_record(r.out, strlen(r.out));
    for (char *line = r.out; !json && line && *line;) { /* JSON lines: the last one */
        char *end = strchr(line, '\n');
        if (!end || !end[1])
            json = kds_json_parse_record(line, strlen(line));
        line = end ? end + 1 : NULL;
    }
    if (r.status != 0 || !json)
        fail_msg("%s: exit %d\n%s%s", shown(more), r.status, r.out, r.err);
    cli_free(&r);
    return json;
}

cJSON *cli_doctor(void)
{
    char before[200], without[240];
    snprintf(before, sizeof before, "%s", getenv("ASAN_OPTIONS") ? getenv("ASAN_OPTIONS") : "");
    snprintf(without, sizeof without, "%s:detect_leaks=0", before);
    setenv("ASAN_OPTIONS", without, 1);
    cJSON *parts = JSON("doctor");
    setenv("ASAN_OPTIONS", before, 1);
    return parts;
}

void cli_refuses(int status, const char *text, const char *const *args)
{
    cli_result r = cli_run(args);
    if (r.status != status || !strstr(r.err, text))
        fail_msg("%s: exit %d, expected %d and '%s'\n%s%s", shown(args), r.status, status, text,
                 r.out, r.err);
    cli_free(&r);
}

int cli_set_up(void **state)
{
    (void)state;
    snprintf(scratch, sizeof scratch, "/tmp/kds-cli-XXXXXX");
    setenv("KDASEARCH_CONFIG", "", 1);
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    return mkdtemp(scratch) == NULL;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

int cli_tear_down(void **state)
{
    (void)state;
    return nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
