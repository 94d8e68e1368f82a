/* What the tests of the ground floor share: cmocka with what it needs before it, and a scratch
 * folder per program that is removed at its end. */
#ifndef KDS_TESTS_BASE_TEST_H
#define KDS_TESTS_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "search/base/spawn.h"
#include <ftw.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_dir[64];

/* Path of `name` in the scratch folder; static storage, four at a time. */
__attribute__((unused)) static const char *scratch(const char *name)
{
    static char paths[4][512];
    static int next;
    char *out = paths[next++ % 4];
    snprintf(out, sizeof paths[0], "%s/%s", scratch_dir, name);
    return out;
}

__attribute__((unused)) static int scratch_open(void **state)
{
    (void)state;
    snprintf(scratch_dir, sizeof scratch_dir, "/tmp/kds-test-XXXXXX");
    return mkdtemp(scratch_dir) == NULL;
}

__attribute__((unused)) static int scratch_remove(const char *path, const struct stat *st, int type,
                                                  struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

__attribute__((unused)) static int scratch_close(void **state)
{
    (void)state;
    return nftw(scratch_dir, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file of the scratch folder as it is. */
__attribute__((unused)) static void scratch_write(const char *name, const void *data, size_t len)
{
    FILE *f = fopen(scratch(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* The content of a file of the scratch folder as a text; static storage. NULL if there is none. */
__attribute__((unused)) static const char *scratch_text(const char *name)
{
    static char text[1 << 20];
    FILE *f = fopen(scratch(name), "rb");
    if (f == NULL)
        return NULL;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    return text;
}

/* Sets a locale that writes 1,5 for the number: one of the system, or one made in the scratch
 * folder. False if neither can be had. */
__attribute__((unused)) static bool use_comma_locale(void)
{
    static const char source[] = "LC_NUMERIC\n"
                                 "decimal_point \",\"\n"
                                 "thousands_sep \"\"\n"
                                 "grouping -1\n"
                                 "END LC_NUMERIC\n";
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL)
        return true;
    scratch_write("comma.src", source, sizeof source - 1);
    const char *const argv[] = {"/usr/bin/localedef", "-c", "-i",
                                scratch("comma.src"), "-f", "ANSI_X3.4-1968",
                                scratch("comma"),     NULL};
    kds_spawn_options o = {.argv = argv, .channel_fd = -1, .stderr_fd = -1, .file_bytes = 1 << 26};
    pid_t pid;
    int status;
    if (kds_spawn(&pid, &o, NULL) != KDS_OK)
        return false;
    while (!kds_spawn_ended(pid, &status))
        usleep(1000);
    setenv("LOCPATH", scratch_dir, 1);
    return setlocale(LC_NUMERIC, "comma") != NULL;
}

#endif
