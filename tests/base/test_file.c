/* Files and folders on a real file system: caps, atomicity, full disks, hostile trees. */
#include "search/base/file.h"
#include "tests/base/base_test.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static kds_err error;

static int count_entries(const char *path)
{
    int n = -2; /* "." and ".." */
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static void reads_up_to_the_cap(void **state)
{
    (void)state;
    kds_buf b;
    char want[300];
    scratch_write("in", "ab\0cd", 5);
    kds_buf_init(&b, 5);
    kds_buf_puts(&b, "old");
    assert_int_equal(kds_file_read(scratch("in"), &b, &error), KDS_OK);
    assert_int_equal(b.len, 5);
    assert_memory_equal(b.data, "ab\0cd", 6);
    kds_buf_free(&b);
    kds_buf_init(&b, 4);
    assert_int_equal(kds_file_read(scratch("in"), &b, &error), KDS_TOO_LARGE);
    snprintf(want, sizeof want, "'%s' has 5 bytes; at most 4 are allowed", scratch("in"));
    assert_string_equal(error.message, want);
    assert_int_equal(b.len, 0);
    assert_int_equal(kds_buf_check(&b, "x", NULL), KDS_OK);
    /* A file that claims no size (or grows meanwhile) meets the same cap. */
    assert_int_equal(kds_file_read("/proc/self/status", &b, &error), KDS_TOO_LARGE);
    kds_buf_free(&b);
    scratch_write("empty", "", 0);
    kds_buf_init(&b, 0);
    assert_int_equal(kds_file_read(scratch("empty"), &b, &error), KDS_OK);
    kds_buf_free(&b);
}

static void reads_regular_files_only(void **state)
{
    (void)state;
    kds_buf b;
    kds_buf_init(&b, 100);
    assert_int_equal(kds_file_read(scratch("none"), &b, &error), KDS_NOT_FOUND);
    assert_int_equal(error.sys_errno, ENOENT);
    assert_int_equal(kds_file_read(scratch_dir, &b, &error), KDS_IO);
    assert_non_null(strstr(error.message, "it is a folder, not a regular file"));
    assert_int_equal(mkfifo(scratch("fifo"), 0600), 0);
    assert_int_equal(kds_file_read(scratch("fifo"), &b, &error), KDS_IO); /* and does not wait */
    assert_non_null(strstr(error.message, "it is a special file, not a regular file"));
    assert_int_equal(kds_file_read("/dev/zero", &b, NULL), KDS_IO);
    scratch_write("plain", "x", 1);
    assert_int_equal(kds_file_read(scratch("plain/below"), &b, &error), KDS_NOT_FOUND);
    kds_buf_free(&b);
}

static void replaces_files(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(mkdir(scratch("w"), 0700), 0);
    const char *path = scratch("w/out.json");
    mode_t mask = umask(077);
    assert_int_equal(kds_file_write_atomic(path, "one", 3, &error), KDS_OK);
    umask(mask);
    assert_string_equal(scratch_text("w/out.json"), "one");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    /* What an interrupted write left behind is used up, whatever its length. */
    scratch_write("w/.out.json.kds-tmp", "much longer than the new text", 29);
    assert_int_equal(kds_file_write_atomic(scratch("w/out.json"), "two", 3, &error), KDS_OK);
    assert_string_equal(scratch_text("w/out.json"), "two");
    assert_int_equal(kds_file_write_atomic(scratch("w/out.json"), NULL, 0, &error), KDS_OK);
    assert_string_equal(scratch_text("w/out.json"), "");
    assert_int_equal(count_entries(scratch("w")), 1);
}

static void writes_below_the_current_folder(void **state)
{
    (void)state;
    int here = open(".", O_RDONLY | O_DIRECTORY);
    assert_int_equal(chdir(scratch_dir), 0);
    assert_int_equal(kds_file_write_atomic("bare", "x", 1, &error), KDS_OK);
    assert_int_equal(fchdir(here), 0);
    close(here);
    assert_string_equal(scratch_text("bare"), "x");
}

static void a_failed_write_keeps_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir(scratch("full"), 0700), 0);
    const char *path = scratch("full/file");
    assert_int_equal(kds_file_write_atomic(path, "old", 3, &error), KDS_OK);
    struct rlimit before, small = {0};
    char *large = calloc(1, 200000);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100000; /* a disk that is full after half of the file */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    kds_code code = kds_file_write_atomic(path, large, 200000, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    free(large);
    assert_int_equal(code, KDS_IO);
    assert_int_equal(error.sys_errno, EFBIG);
    assert_non_null(strstr(error.message, "(the old file, if any, is kept): File too large"));
    assert_string_equal(scratch_text("full/file"), "old");
    assert_int_equal(count_entries(scratch("full")), 1);
}

static void names_what_cannot_be_written(void **state)
{
    (void)state;
    assert_int_equal(kds_file_write_atomic(scratch("no/such/file"), "x", 1, &error), KDS_IO);
    assert_int_equal(error.sys_errno, ENOENT);
    assert_non_null(strstr(error.message, "no/such/file': No such file"));
    assert_int_equal(mkdir(scratch("taken"), 0700), 0);
    assert_int_equal(kds_file_write_atomic(scratch("taken"), "x", 1, &error), KDS_IO);
    assert_non_null(strstr(error.message, "cannot replace '"));
    assert_false(kds_path_exists(scratch(".taken.kds-tmp")));
    /* A link planted under the temporary name is not followed. */
    assert_int_equal(symlink(scratch("victim"), scratch(".trap.kds-tmp")), 0);
    assert_int_equal(kds_file_write_atomic(scratch("trap"), "x", 1, &error), KDS_IO);
    assert_false(kds_path_exists(scratch("victim")));
}

/* Several processes replace one file at once: every reader sees one whole text, nobody fails, and
 * nothing is left over. */
static void concurrent_writers_take_turns(void **state)
{
    (void)state;
    enum { WRITERS = 4, ROUNDS = 30, SIZE = 5000 };
    pid_t pids[WRITERS];
    assert_int_equal(mkdir(scratch("many"), 0700), 0);
    assert_int_equal(kds_file_write_atomic(scratch("many/f"), "", 0, NULL), KDS_OK);
    for (int w = 0; w < WRITERS; w++) {
        pids[w] = fork();
        assert_true(pids[w] >= 0);
        if (pids[w] == 0) {
            char text[SIZE];
            memset(text, 'a' + w, sizeof text);
            int failed = 0;
            for (int i = 0; i < ROUNDS; i++)
                failed |=
                    kds_file_write_atomic(scratch("many/f"), text, sizeof text, NULL) != KDS_OK;
            _exit(failed);
        }
    }
    for (int i = 0; i < 100; i++) {
        const char *text = scratch_text("many/f");
        assert_non_null(text);
        size_t len = strlen(text);
        assert_true(len == 0 || len == SIZE);
        assert_int_equal(strspn(text, (char[]){text[0], '\0'}), len);
    }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_entries(scratch("many")), 1);
}

static void knows_folders(void **state)
{
    (void)state;
    bool empty = false;
    assert_int_equal(kds_dir_make(scratch("d"), &error), KDS_OK);
    assert_int_equal(kds_dir_make(scratch("d"), &error), KDS_OK);
    assert_true(kds_path_is_dir(scratch("d")));
    assert_int_equal(kds_dir_is_empty(scratch("d"), &empty, &error), KDS_OK);
    assert_true(empty);
    scratch_write("d/.hidden", "", 0);
    assert_int_equal(kds_dir_is_empty(scratch("d"), &empty, &error), KDS_OK);
    assert_false(empty);
    assert_false(kds_path_is_dir(scratch("d/.hidden")));
    assert_true(kds_path_exists(scratch("d/.hidden")));
    assert_int_equal(kds_dir_make(scratch("d/.hidden"), &error), KDS_IO);
    assert_non_null(strstr(error.message, "cannot create the folder '"));
    assert_int_equal(kds_dir_make(scratch("x/y"), &error), KDS_IO);
    assert_int_equal(kds_dir_is_empty(scratch("x"), &empty, &error), KDS_NOT_FOUND);
    assert_int_equal(kds_dir_is_empty(scratch("d/.hidden"), &empty, &error), KDS_IO);
    assert_int_equal(kds_dir_sync(scratch("d"), &error), KDS_OK);
    assert_int_equal(kds_dir_sync(scratch("d/.hidden"), &error), KDS_IO);
    assert_int_equal(kds_dir_sync("/proc/self", NULL), KDS_OK); /* a file system without fsync */
}

static void joins_paths(void **state)
{
    (void)state;
    static const char *const CASES[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a//", "/b", "a/b"},     {"/", "b", "/b"},
        {"", "b", "b"},    {"a", "", "a/"},    {"a/b", "c/d", "a/b/c/d"}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *path = kds_path_join(CASES[i][0], CASES[i][1]);
        assert_string_equal(path, CASES[i][2]);
        free(path);
    }
}

static kds_code note_path(void *user, const char *path, kds_err *e)
{
    kds_buf *b = user;
    if (strcmp(path, "stop") == 0)
        return kds_fail(e, KDS_DIVERGED, "asked to stop");
    kds_buf_printf(b, "%s\n", path);
    return KDS_OK;
}

static void walks_in_byte_order(void **state)
{
    (void)state;
    kds_buf b;
    kds_buf_init(&b, 10000);
    static const char *const DIRS[] = {"t", "t/b", "t/b/x", "t/b-", "t/empty"};
    static const char *const FILES[] = {"t/c", "t/b/x/1", "t/b/2", "t/b-/3", "t/B", "t/a"};
    for (size_t i = 0; i < sizeof DIRS / sizeof *DIRS; i++)
        assert_int_equal(mkdir(scratch(DIRS[i]), 0700), 0);
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++)
        scratch_write(FILES[i], FILES[i], strlen(FILES[i]));
    assert_int_equal(kds_dir_walk(scratch("t"), note_path, &b, &error), KDS_OK);
    assert_string_equal(b.data, "B\na\nb-/3\nb/2\nb/x/1\nc\n");
    kds_buf_reset(&b);
    scratch_write("t/stop", "", 0);
    assert_int_equal(kds_dir_walk(scratch("t"), note_path, &b, &error), KDS_DIVERGED);
    assert_string_equal(error.message, "asked to stop");
    assert_int_equal(kds_dir_walk(scratch("t/none"), note_path, &b, &error), KDS_NOT_FOUND);
    assert_int_equal(kds_dir_walk(scratch("t/c"), note_path, &b, &error), KDS_IO);
    kds_buf_reset(&b);
    assert_int_equal(kds_dir_walk(scratch("t/empty"), note_path, &b, &error), KDS_OK);
    assert_string_equal(b.data, "");
    kds_buf_free(&b);
}

static void copies_trees(void **state)
{
    (void)state;
    kds_buf b;
    kds_buf_init(&b, 10000);
    char *large = malloc(100000);
    memset(large, 'L', 100000);
    assert_int_equal(mkdir(scratch("from"), 0700), 0);
    assert_int_equal(mkdir(scratch("from/sub"), 0700), 0);
    assert_int_equal(mkdir(scratch("from/sub/deep"), 0700), 0);
    scratch_write("from/large", large, 100000);
    scratch_write("from/sub/deep/x.cu", "kernel", 6);
    free(large);
    assert_int_equal(kds_dir_copy(scratch("from"), scratch("to"), &error), KDS_OK);
    assert_int_equal(kds_dir_walk(scratch("to"), note_path, &b, &error), KDS_OK);
    assert_string_equal(b.data, "large\nsub/deep/x.cu\n");
    assert_string_equal(scratch_text("to/sub/deep/x.cu"), "kernel");
    assert_int_equal(strspn(scratch_text("to/large"), "L"), 100000);
    assert_int_equal(kds_dir_copy(scratch("from"), scratch("to"), &error), KDS_IO);
    assert_int_equal(error.sys_errno, EEXIST);
    assert_string_equal(scratch_text("to/sub/deep/x.cu"), "kernel");
    kds_buf_free(&b);
}

static void a_failed_copy_leaves_nothing(void **state)
{
    (void)state;
    struct rlimit before, small;
    char *large = calloc(1, 200000);
    assert_int_equal(mkdir(scratch("big"), 0700), 0);
    assert_int_equal(mkdir(scratch("big/a"), 0700), 0);
    scratch_write("big/a/small", "s", 1);
    scratch_write("big/b", large, 200000);
    free(large);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    kds_code code = kds_dir_copy(scratch("big"), scratch("big-copy"), &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(code, KDS_IO);
    assert_int_equal(error.sys_errno, EFBIG);
    assert_false(kds_path_exists(scratch("big-copy")));
    assert_int_equal(kds_dir_copy(scratch("none"), scratch("none-copy"), &error), KDS_NOT_FOUND);
    assert_false(kds_path_exists(scratch("none-copy")));
}

static void refuses_links_and_special_files(void **state)
{
    (void)state;
    kds_buf b;
    kds_buf_init(&b, 10000);
    assert_int_equal(mkdir(scratch("evil"), 0700), 0);
    assert_int_equal(symlink("/etc/passwd", scratch("evil/link\x1b[2J")), 0);
    assert_int_equal(kds_dir_walk(scratch("evil"), note_path, &b, &error), KDS_INVALID);
    assert_non_null(strstr(
        error.message, "evil/link\\x1B[2J' is a symbolic link; only regular files and folders"));
    assert_int_equal(kds_dir_copy(scratch("evil"), scratch("evil-copy"), &error), KDS_INVALID);
    assert_false(kds_path_exists(scratch("evil-copy")));
    assert_int_equal(unlink(scratch("evil/link\x1b[2J")), 0);
    assert_int_equal(symlink(".", scratch("evil/loop")), 0);
    assert_int_equal(kds_dir_walk(scratch("evil"), note_path, &b, &error), KDS_INVALID);
    assert_int_equal(unlink(scratch("evil/loop")), 0);
    assert_int_equal(mkfifo(scratch("evil/fifo"), 0600), 0);
    assert_int_equal(kds_dir_walk(scratch("evil"), note_path, &b, &error), KDS_INVALID);
    assert_non_null(strstr(error.message, "evil/fifo' is a special file"));
    kds_buf_free(&b);
}

static void refuses_depth_and_number(void **state)
{
    (void)state;
    kds_buf b;
    kds_buf_init(&b, 1 << 20);
    char path[100] = "deep";
    assert_int_equal(mkdir(scratch(path), 0700), 0);
    for (int i = 0; i < 8; i++) {
        strncat(path, "/d", sizeof path - strlen(path) - 1);
        assert_int_equal(mkdir(scratch(path), 0700), 0);
    }
    char file[120];
    snprintf(file, sizeof file, "%s/f", path);
    scratch_write(file, "", 0);
    assert_int_equal(kds_dir_walk(scratch("deep"), note_path, &b, &error), KDS_OK);
    assert_string_equal(b.data, "d/d/d/d/d/d/d/d/f\n");
    snprintf(file, sizeof file, "%s/d", path);
    assert_int_equal(mkdir(scratch(file), 0700), 0);
    assert_int_equal(kds_dir_walk(scratch("deep"), note_path, &b, &error), KDS_INVALID);
    assert_non_null(strstr(error.message, "folders are nested deeper than 8"));

    assert_int_equal(mkdir(scratch("lots"), 0700), 0);
    for (int i = 0; i <= 10000; i++) {
        if (i == 10000) {
            kds_buf_reset(&b);
            assert_int_equal(kds_dir_walk(scratch("lots"), note_path, &b, &error), KDS_OK);
            assert_int_equal(b.len, 60000);
        }
        snprintf(path, sizeof path, "lots/%05d", i);
        int fd = open(scratch(path), O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(kds_dir_walk(scratch("lots"), note_path, &b, &error), KDS_INVALID);
    assert_non_null(strstr(error.message, "holds more than 10000 files"));
    kds_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_up_to_the_cap),
        cmocka_unit_test(reads_regular_files_only),
        cmocka_unit_test(replaces_files),
        cmocka_unit_test(writes_below_the_current_folder),
        cmocka_unit_test(a_failed_write_keeps_the_old_file),
        cmocka_unit_test(names_what_cannot_be_written),
        cmocka_unit_test(concurrent_writers_take_turns),
        cmocka_unit_test(knows_folders),
        cmocka_unit_test(joins_paths),
        cmocka_unit_test(walks_in_byte_order),
        cmocka_unit_test(copies_trees),
        cmocka_unit_test(a_failed_copy_leaves_nothing),
        cmocka_unit_test(refuses_links_and_special_files),
        cmocka_unit_test(refuses_depth_and_number),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
