/* The derived files. Each is whole at every instant; of the champion's two the kernel comes first,
 * so that a kill in between leaves a provenance that names another kernel, which the next writing
 * mends. */
#include "archive/derived.h"
#include "search/base/file.h"
#include <stdlib.h>
#include <string.h>

/* Writes `value` as text with a newline at its end to dir/name. */
static kds_code write_json(const char *dir, const char *name, const cJSON *value, bool durable,
                           kds_err *e)
{
    char *path = kds_path_join(dir, name);
    char *text = kds_json_print_pretty(value);
    kds_buf out;
    kds_buf_init(&out, KDS_FRAME_CAP);
    kds_code code = KDS_OK;
    if (path == NULL || text == NULL) {
        code = kds_fail(e, KDS_NO_MEMORY, "%s/%s: out of memory", dir, name);
        goto out;
    }
    kds_buf_puts(&out, text);
    if (out.len == 0 || out.data[out.len - 1] != '\n')
        kds_buf_putc(&out, '\n');
    code = kds_buf_check(&out, path, e);
    if (code == KDS_OK)
        code = durable ? kds_file_write_atomic(path, out.data, out.len, e)
                       : kds_file_write_unsynced(path, out.data, out.len, e);
out:
    kds_buf_free(&out);
    free(text);
    free(path);
    return code;
}

kds_code kds_archive_write_champion(const char *dir, const char *source, size_t len,
                                    const cJSON *provenance, kds_err *e)
{
    char *folder = kds_path_join(dir, "champion");
    char *kernel = folder == NULL ? NULL : kds_path_join(folder, "kernel.cu");
    cJSON *named = provenance == NULL ? cJSON_CreateObject() : cJSON_Duplicate(provenance, 1);
    kds_code code = KDS_OK;
    if (cJSON_IsObject(named))
        cJSON_DeleteItemFromObjectCaseSensitive(named, "kernel");
    if (kernel == NULL || named == NULL ||
        !kds_json_add_id(named, "kernel", kds_id_of(source, len))) {
        code = kds_fail(e, KDS_NO_MEMORY, "%s: out of memory for the champion", dir);
        goto out;
    }
    code = kds_dir_make(folder, e);
    if (code == KDS_OK)
        code = kds_file_write_atomic(kernel, source, len, e);
    if (code == KDS_OK)
        code = write_json(folder, "provenance.json", named, true, e);
out:
    cJSON_Delete(named);
    free(kernel);
    free(folder);
    return code;
}

kds_code kds_archive_write_status(const char *dir, const cJSON *status, kds_err *e)
{
    return write_json(dir, "status.json", status, false, e);
}
