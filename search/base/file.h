/* Files and folders: capped reads, atomic durable writes (write to a temporary name, fsync, rename,
 * fsync the folder). */
#ifndef KDS_BASE_FILE_H
#define KDS_BASE_FILE_H

#include "search/base/buf.h"

/* Reads the whole file into `out` (initialised by the caller, its cap applies; KDS_TOO_LARGE); what
 * it held before is dropped. Regular files only; KDS_NOT_FOUND if there is none. */
KDS_MUST_USE kds_code kds_file_read(const char *path, kds_buf *out, kds_err *e);
/* After a crash the file is the old or the new one, whole. Mode 0644. Concurrent writers of one
 * path take turns; a reader never waits. */
KDS_MUST_USE kds_code kds_file_write_atomic(const char *path, const void *data, size_t len,
                                            kds_err *e);
/* The same without waiting for the disk: whole whatever becomes of this process, but not if the
 * machine fails. For what is written often and can be made again. */
KDS_MUST_USE kds_code kds_file_write_unsynced(const char *path, const void *data, size_t len,
                                              kds_err *e);
/* Creates one folder (0777 & ~umask); KDS_OK if it is already a folder. */
KDS_MUST_USE kds_code kds_dir_make(const char *path, kds_err *e);
KDS_MUST_USE kds_code kds_dir_sync(const char *path, kds_err *e);
bool kds_path_exists(const char *path);
bool kds_path_is_dir(const char *path);
/* KDS_OK with *empty; KDS_NOT_FOUND if there is no such folder; KDS_IO otherwise. */
KDS_MUST_USE kds_code kds_dir_is_empty(const char *path, bool *empty, kds_err *e);
/* Calls `fn` for every regular file below `dir`, in byte order of their relative paths ('/' between
 * folders). Symbolic links, folders deeper than 8 and more than 10,000 files are errors. `fn`
 * returns KDS_OK to go on. */
typedef kds_code kds_file_fn(void *user, const char *relative_path, kds_err *e);
KDS_MUST_USE kds_code kds_dir_walk(const char *dir, kds_file_fn *fn, void *user, kds_err *e);
/* Copies every regular file below `from` into the new folder `to`, synced. What kds_dir_walk
 * refuses is refused here; on failure `to` is removed again. */
KDS_MUST_USE kds_code kds_dir_copy(const char *from, const char *to, kds_err *e);
/* Joins with one '/'; the result is owned by the caller (free()); NULL if out of memory. */
char *kds_path_join(const char *a, const char *b);

#endif
