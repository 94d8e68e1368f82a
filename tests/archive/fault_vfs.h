/* A SQLite file system that passes everything on to the real one, counts, and fails once on demand:
 * the n-th write as a full disk, the n-th sync or read as an I/O error. */
#ifndef KDS_TESTS_ARCHIVE_FAULT_VFS_H
#define KDS_TESTS_ARCHIVE_FAULT_VFS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

typedef enum fault_kind { FAULT_WRITE, FAULT_SYNC, FAULT_READ, FAULT_KINDS } fault_kind;

static struct {
    sqlite3_vfs *real;
    long calls[FAULT_KINDS];
    long fail_at[FAULT_KINDS]; /* counts down; 1 is the next call; 0 never */
    bool stays;                /* after the first, all calls of that kind fail */
} fault;

typedef struct fault_file {
    sqlite3_file base;
    sqlite3_file *real; /* in the memory behind this */
} fault_file;

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((fault_file *)(void *)f)->real;
}

static bool fails(fault_kind kind)
{
    fault.calls[kind]++;
    if (fault.fail_at[kind] == 0 || --fault.fail_at[kind] > 0)
        return false;
    if (fault.stays)
        fault.fail_at[kind] = 1;
    return true;
}

static int fault_close(sqlite3_file *f)
{
    return real_of(f)->pMethods->xClose(real_of(f));
}

static int fault_read(sqlite3_file *f, void *data, int len, sqlite3_int64 at)
{
    return fails(FAULT_READ) ? SQLITE_IOERR_READ
                             : real_of(f)->pMethods->xRead(real_of(f), data, len, at);
}

static int fault_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 at)
{
    return fails(FAULT_WRITE) ? SQLITE_FULL
                              : real_of(f)->pMethods->xWrite(real_of(f), data, len, at);
}

static int fault_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int fault_sync(sqlite3_file *f, int flags)
{
    return fails(FAULT_SYNC) ? SQLITE_IOERR_FSYNC : real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int fault_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int fault_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int fault_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int fault_reserved(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int fault_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int fault_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int fault_traits(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int fault_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}

static int fault_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return real_of(f)->pMethods->xShmLock(real_of(f), at, n, flags);
}

static void fault_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int fault_shm_unmap(sqlite3_file *f, int remove)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = fault_close,
        .xRead = fault_read,
        .xWrite = fault_write,
        .xTruncate = fault_truncate,
        .xSync = fault_sync,
        .xFileSize = fault_size,
        .xLock = fault_lock,
        .xUnlock = fault_unlock,
        .xCheckReservedLock = fault_reserved,
        .xFileControl = fault_control,
        .xSectorSize = fault_sector,
        .xDeviceCharacteristics = fault_traits,
        .xShmMap = fault_shm_map,
        .xShmLock = fault_shm_lock,
        .xShmBarrier = fault_shm_barrier,
        .xShmUnmap = fault_shm_unmap,
    };
    fault_file *file = (fault_file *)(void *)f;
    (void)vfs;
    file->real = (sqlite3_file *)(void *)(file + 1);
    int rc = fault.real->xOpen(fault.real, name, file->real, flags, out);
    f->pMethods = file->real->pMethods == NULL ? NULL : &methods;
    return rc;
}

/* Makes it the file system of every database opened from now on. */
static void fault_install(void)
{
    static sqlite3_vfs vfs;
    fault.real = sqlite3_vfs_find(NULL);
    vfs = *fault.real;
    vfs.zName = "fault";
    vfs.szOsFile = (int)sizeof(fault_file) + fault.real->szOsFile;
    vfs.xOpen = fault_open;
    sqlite3_vfs_register(&vfs, 1);
}

static void fault_arm(fault_kind kind, long at, bool stays)
{
    memset(fault.fail_at, 0, sizeof fault.fail_at);
    fault.fail_at[kind] = at;
    fault.stays = stays;
}

/* True if the fault has not happened yet; disarms. */
static bool fault_disarm(fault_kind kind)
{
    bool waiting = fault.fail_at[kind] > (fault.stays ? 1 : 0);
    memset(fault.fail_at, 0, sizeof fault.fail_at);
    return waiting;
}

#endif
