/* The folder of an archive before there is a campaign in it. One that was stopped while it was
 * being made, at whatever instant, is taken over: nothing is in it that anybody paid for. */
#include "search/engine/campaign.h"

#include "search/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the making of an archive writes; the first three may be anybody's. */
static const char *const ours[] = {"task",
                                   "templates",
                                   "lock",
                                   "campaign.db.new",
                                   "campaign.db.new-journal",
                                   "campaign.db.new-wal",
                                   "campaign.db.new-shm",
                                   "campaign.db",
                                   "campaign.db-wal",
                                   "campaign.db-shm"};
enum { LOCK = 2, FIRST_TRACE = 3, DATABASE = 7, OURS_COUNT = sizeof ours / sizeof *ours };

static kds_code out_of_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

/* Which of those names the folder holds; false if there is another one, or no such folder. */
static bool look(const char *dir, bool has[OURS_COUNT])
{
    bool only = true;
    memset(has, 0, OURS_COUNT * sizeof *has);
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && only && (entry = readdir(d)) != NULL;) {
        bool known = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        for (int i = 0; i < OURS_COUNT; i++)
            if (strcmp(entry->d_name, ours[i]) == 0)
                known = has[i] = true;
        only = known;
    }
    if (d)
        closedir(d);
    return d && only;
}

/* True if nothing was ever recorded here. */
static bool has_no_record(const char *dir)
{
    kds_ledger *l = NULL;
    kds_err none = {0};
    bool empty =
        kds_ledger_open(&l, dir, KDS_LEDGER_READ, &none) == KDS_OK && kds_ledger_last_seq(l) == 0;
    kds_ledger_close(l);
    return empty;
}

/* A lock by its first words: other programs have files of that name. */
static bool is_our_lock(const char *dir)
{
    static const char words[] = "{\"host\":";
    kds_buf text;
    kds_err none = {0};
    char *path = kds_path_join(dir, "lock");
    kds_buf_init(&text, 4096);
    bool is = path && kds_file_read(path, &text, &none) == KDS_OK &&
              strncmp(text.data, words, strlen(words)) == 0;
    kds_buf_free(&text);
    free(path);
    return is;
}

/* True if a start was stopped here before anything was recorded: there is a trace that only a start
 * leaves, and nothing else. */
static bool is_left_over(const char *dir)
{
    bool has[OURS_COUNT], made = false;
    if (!look(dir, has))
        return false;
    for (int i = FIRST_TRACE; i < OURS_COUNT; i++)
        made |= has[i];
    return has[DATABASE] ? has_no_record(dir) : made || (has[LOCK] && is_our_lock(dir));
}

static int remove_entry(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
    (void)sb, (void)type, (void)ftw;
    return remove(path);
}

/* Removes what is there but the lock, which is held meanwhile: whoever makes an archive here just
 * now is left alone. */
static kds_code clear_left_over(const char *dir, kds_err *e)
{
    kds_lock *lock = NULL;
    kds_code code = kds_lock_take(&lock, dir, e);
    if (code == KDS_OK && !is_left_over(dir)) { /* it has begun meanwhile, and ended */
        kds_lock_release(lock);
        return KDS_OK;
    }
    for (int i = 0; i < OURS_COUNT && code == KDS_OK; i++) {
        if (i == LOCK)
            continue;
        char *path = kds_path_join(dir, ours[i]);
        if (!path)
            code = out_of_memory(e);
        else if (kds_path_exists(path) && nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
            code =
                kds_fail_errno(e, KDS_IO, "%s: cannot remove what an earlier start has left", path);
        free(path);
    }
    kds_lock_release(lock);
    return code;
}

/* Empty, but perhaps for a lock that nobody holds. */
static kds_code is_bare(const char *dir, bool *bare, kds_err *e)
{
    bool has[OURS_COUNT];
    kds_code code = kds_dir_is_empty(dir, bare, e);
    if (code != KDS_OK || *bare)
        return code;
    *bare = look(dir, has);
    for (int i = 0; i < OURS_COUNT; i++)
        *bare = *bare && (!has[i] || i == LOCK);
    return KDS_OK;
}

/* Refuses a folder that holds anything, naming the command that was probably meant. *made: the
 * folder is new. */
kds_code kds_campaign_take_folder(const char *dir, const char *task_dir, bool *made, kds_err *e)
{
    bool empty = false;
    kds_code code = is_left_over(dir) ? clear_left_over(dir, e) : KDS_OK;
    if (code != KDS_OK)
        return code;
    char *db = kds_path_join(dir, "campaign.db");
    bool archive = db && kds_path_exists(db);
    free(db);
    if (archive)
        return kds_fail(e, KDS_USAGE,
                        "%s is an archive already; `kdasearch resume %s` continues it", dir, dir);
    if (kds_path_exists(dir) && !kds_path_is_dir(dir))
        return kds_fail(e, KDS_USAGE, "%s is a file; name a new folder with -o", dir);
    *made = !kds_path_exists(dir);
    code = *made ? KDS_OK : is_bare(dir, &empty, e);
    if (code != KDS_OK)
        return code;
    if (!*made && !empty)
        return kds_fail(
            e, KDS_USAGE,
            "%s holds other files and is left alone; `kdasearch run %s -o another-folder` starts a "
            "campaign elsewhere",
            dir, task_dir);
    return KDS_OK;
}

/* The trace is the name under which the database will be made. */
kds_code kds_campaign_mark_folder(const char *dir, kds_lock **lock, kds_err *e)
{
    bool bare = false;
    kds_code code = kds_dir_make(dir, e);
    if (code == KDS_OK)
        code = kds_lock_take(lock, dir, e);
    if (code == KDS_OK)
        code = is_bare(dir, &bare, e);
    if (code == KDS_OK && !bare)
        code = kds_fail(e, KDS_USAGE, "%s was empty a moment ago; another start was faster", dir);
    char *trace = code == KDS_OK ? kds_path_join(dir, ours[FIRST_TRACE]) : NULL;
    int fd = trace ? open(trace, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644) : -1;
    if (code == KDS_OK && !trace)
        code = out_of_memory(e);
    else if (code == KDS_OK && fd < 0)
        code = kds_fail_errno(e, KDS_IO, "%s: cannot create", trace);
    if (fd >= 0)
        close(fd);
    free(trace);
    return code;
}

void kds_campaign_clear_folder(const char *dir, bool made)
{
    static const int written[] = {0, 1, FIRST_TRACE}; /* before there is a database */
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        char *path = kds_path_join(dir, ours[written[i]]);
        if (path && kds_path_exists(path))
            (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(path);
    }
    if (made)
        (void)rmdir(dir);
}
