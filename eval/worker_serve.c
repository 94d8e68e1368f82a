/* What most workers do: answer one message with one, until the stream or the worker ends. */
#include "eval/worker.h"

static kds_code answer(kds_worker_fn *fn, void *worker, const kds_frame *job, int fd, kds_err *e)
{
    kds_frame reply;
    kds_err inner = {0};
    kds_frame_init(&reply);
    reply.header = cJSON_CreateObject();
    if (reply.header == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "cannot build a message: out of memory");
    kds_code code = fn(worker, kds_json_str(job->header, "job", ""), job, reply.header, &inner);
    bool built = kds_json_add_bool(reply.header, "ok", code == KDS_OK);
    if (built && code != KDS_OK)
        built = kds_json_add_str(reply.header, "code", kds_code_name(code)) &&
                kds_json_add_str(reply.header, "message", inner.message);
    code = built ? kds_frame_write(fd, &reply, e)
                 : kds_fail(e, KDS_NO_MEMORY, "cannot build a message: out of memory");
    kds_frame_free(&reply);
    return code;
}

kds_code kds_worker_serve(int fd, kds_worker_fn *fn, void *worker, const bool *ending, kds_err *e)
{
    kds_code code = KDS_OK;
    while (code == KDS_OK && !*ending) {
        kds_frame job;
        kds_frame_init(&job);
        code = kds_frame_read(fd, &job, e);
        if (code == KDS_OK)
            code = answer(fn, worker, &job, fd, e);
        kds_frame_free(&job);
    }
    if (code != KDS_NOT_FOUND)
        return code;
    kds_err_clear(e);
    return KDS_OK;
}
