/* The compile worker: opens NVRTC (which loads all that it will ever load), gives up files, network
 * and other programs, and then answers one frame with one frame until the stream ends. */
#include "eval/compile.h"
#include "eval/nvrtc.h"
#include "eval/worker.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

kds_code kds_nvrtc_confine(const kds_nvrtc *n, kds_err *e)
{
    const char *dirs[KDS_NVRTC_INCLUDES + 2] = {NULL};
    int count = 0;
    for (; count < n->include_count; count++)
        dirs[count] = n->includes[count];
    char *folder = strdup(n->path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    if (!slash) {
        free(folder);
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    }
    *slash = '\0';
    dirs[count] = *folder ? folder : "/";
    kds_code bad = KDS_OK;
    if (chdir(dirs[0]) != 0) /* NVRTC looks for headers in the working folder too */
        bad = kds_fail_errno(e, KDS_IO, "cannot enter '%s'", dirs[0]);
    if (bad == KDS_OK)
        bad = kds_worker_confine(dirs, e);
    free(folder);
    return bad;
}

kds_code kds_worker_compile(int fd, kds_err *e)
{
    kds_nvrtc *n = NULL;
    unsetenv("NVRTC_APPEND_FLAGS"); /* options that would not be in the record */
    kds_code bad = kds_nvrtc_open(&n, e);
    if (bad == KDS_OK)
        bad = kds_nvrtc_confine(n, e);
    while (bad == KDS_OK) {
        kds_frame job, reply;
        kds_frame_init(&job);
        kds_frame_init(&reply);
        bad = kds_frame_read(fd, &job, e);
        bool end = bad == KDS_NOT_FOUND;
        if (bad == KDS_OK)
            bad = kds_compile_run(n, &job, &reply, e);
        if (bad == KDS_OK)
            bad = kds_frame_write(fd, &reply, e);
        kds_frame_free(&job);
        kds_frame_free(&reply);
        if (end) {
            kds_err_clear(e);
            bad = KDS_OK;
            break;
        }
    }
    kds_nvrtc_close(n);
    return bad;
}
