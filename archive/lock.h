/* The writer's lock of an archive: an open-file-description lock on the file `lock` in its folder.
 * It dies with the process, however that ends. The file's content (host, pid, boot id, start time)
 * tells people who holds it, and keeps another host of a shared file system out where locks do not
 * reach that far. */
#ifndef KDS_ARCHIVE_LOCK_H
#define KDS_ARCHIVE_LOCK_H

#include "search/base/err.h"

typedef struct kds_lock kds_lock;

/* KDS_LOCKED names the holder. KDS_IO: the file cannot be written or locked. */
KDS_MUST_USE kds_code kds_lock_take(kds_lock **out, const char *dir, kds_err *e);
/* Empties the file and lets go. */
void kds_lock_release(kds_lock *lock);
/* Who holds the lock of the archive `dir`; *pid is 0 if nobody does. Takes nothing. */
KDS_MUST_USE kds_code kds_lock_holder(const char *dir, int64_t *pid, kds_err *e);
/* Sends a signal to the holder. KDS_NOT_FOUND: nobody holds it. KDS_LOCKED: it cannot be reached
 * from here: it runs on another host, in another container, or belongs to another user. No other
 * process is ever sent anything, even one that has got the number of a holder that has just ended.
 */
KDS_MUST_USE kds_code kds_lock_signal(const char *dir, int signal, kds_err *e);
/* Lets go and removes the file: for an archive that could not be created. */
void kds_lock_remove(kds_lock *lock);

#endif
