/* Objects: bytes stored under their XXH3-128, compressed with zstd where that makes them smaller.
 * An object is never changed. What is read back is believed only after its size and its hash have
 * been verified, and nothing is decompressed beyond the cap or the recorded size. A writer, which
 * reads the same few sources and reports again and again, keeps the last ones. */
#include "archive/sql.h"
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define ENCODING_RAW 0
#define ENCODING_ZSTD 1
#define LEVEL 1

void kds_id_bytes(kds_id id, unsigned char out[KDS_HASH_SIZE])
{
    for (int i = 0; i < 8; i++) {
        out[i] = (unsigned char)(id.high >> (56 - 8 * i));
        out[8 + i] = (unsigned char)(id.low >> (56 - 8 * i));
    }
}

static kds_kept_object *place_of(kds_ledger *l, kds_id id)
{
    return &l->objects[id.low % KDS_OBJECTS_KEPT];
}

/* Best effort: without memory it is read again. */
static void keep(kds_ledger *l, kds_id id, const char *data, size_t len)
{
    kds_kept_object *o = place_of(l, id);
    if (!l->may_write || len > KDS_OBJECT_KEPT || (o->data != NULL && kds_id_equal(o->id, id)))
        return;
    char *copy = malloc(len + 1);
    if (copy == NULL)
        return;
    memcpy(copy, data, len);
    copy[len] = '\0';
    free(o->data);
    *o = (kds_kept_object){.id = id, .data = copy, .len = len};
}

void kds_objects_forget(kds_ledger *l)
{
    for (int i = 0; i < KDS_OBJECTS_KEPT; i++) {
        free(l->objects[i].data);
        l->objects[i].data = NULL;
    }
}

/* A copy of an object that is kept; NULL if it is not, or there is no memory. */
static char *copy_kept(kds_ledger *l, kds_id id, size_t *len)
{
    const kds_kept_object *o = place_of(l, id);
    char *copy = o->data != NULL && kds_id_equal(o->id, id) ? malloc(o->len + 1) : NULL;
    if (copy == NULL)
        return NULL;
    memcpy(copy, o->data, o->len + 1);
    if (len != NULL)
        *len = o->len;
    return copy;
}

/* Compresses into the scratch buffer; *len is 0 if that does not make it smaller. */
static kds_code compress(kds_ledger *l, const void *data, size_t size, size_t *len, kds_err *e)
{
    *len = 0;
    if (size < 32)
        return KDS_OK;
    if (l->compressor == NULL && (l->compressor = ZSTD_createCCtx()) == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory for compression");
    size_t room = ZSTD_compressBound(size);
    void *packed = malloc(room);
    if (packed == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory for compressing %zu bytes", size);
    size_t n = ZSTD_compressCCtx(l->compressor, packed, room, data, size, LEVEL);
    kds_buf_reset(&l->scratch);
    if (!ZSTD_isError(n) && n < size) {
        kds_buf_add(&l->scratch, packed, n);
        *len = n;
    }
    free(packed);
    return kds_buf_check(&l->scratch, "a compressed object", e);
}

static kds_code has_object(kds_ledger *l, const unsigned char id[KDS_HASH_SIZE], bool *has,
                           kds_err *e)
{
    kds_query q = kds_sql_kept(l, KDS_SQL_OBJECT_HAS);
    kds_sql_bytes(&q, 1, id, KDS_HASH_SIZE);
    *has = kds_sql_next(&q);
    return kds_sql_end(&q, "look for an object", e);
}

static kds_code add_object(kds_ledger *l, const char *kind, const void *data, size_t len,
                           const unsigned char id[KDS_HASH_SIZE], kds_err *e)
{
    size_t packed = 0;
    kds_code code = compress(l, data, len, &packed, e);
    if (code != KDS_OK)
        return code;
    kds_query q = kds_sql_kept(l, KDS_SQL_OBJECT_ADD);
    kds_sql_bytes(&q, 1, id, KDS_HASH_SIZE);
    kds_sql_text(&q, 2, kind);
    kds_sql_int(&q, 3, (int64_t)len);
    kds_sql_int(&q, 4, packed > 0 ? ENCODING_ZSTD : ENCODING_RAW);
    kds_sql_bytes(&q, 5, packed > 0 ? l->scratch.data : data, packed > 0 ? packed : len);
    return kds_sql_run(&q, NULL, "store an object", e);
}

kds_code kds_ledger_put(kds_ledger *l, const char *kind, const void *data, size_t len, kds_id *id,
                        kds_err *e)
{
    unsigned char key[KDS_HASH_SIZE];
    if (!l->may_write)
        return kds_fail(e, KDS_FAILED, "%s was opened for reading only", l->dir);
    if (len > KDS_OBJECT_CAP) {
        kds_ledger_rollback(l);
        return kds_fail(e, KDS_TOO_LARGE, "an object (%s) of %zu bytes is larger than %u", kind,
                        len, KDS_OBJECT_CAP);
    }
    kds_id of = kds_id_of(data, len);
    kds_id_bytes(of, key);
    bool has = false;
    kds_code code = has_object(l, key, &has, e);
    if (code == KDS_OK && !has) {
        bool own = false;
        code = kds_step_begin(l, &own, e);
        if (code == KDS_OK)
            code = kds_step_end(l, own, add_object(l, kind, len > 0 ? data : "", len, key, e), e);
    }
    if (code == KDS_OK && len > 0)
        keep(l, of, data, len);
    if (code == KDS_OK && id != NULL)
        *id = of;
    return code;
}

/* Decompresses exactly `size` bytes. */
static bool decompress(kds_ledger *l, void *out, size_t size, const void *stored, size_t stored_len)
{
    if (l->decompressor == NULL && (l->decompressor = ZSTD_createDCtx()) == NULL)
        return false;
    size_t n = ZSTD_decompressDCtx(l->decompressor, out, size, stored, stored_len);
    return !ZSTD_isError(n) && n == size;
}

kds_code kds_object_open(kds_ledger *l, kds_id id, int64_t size, int64_t encoding,
                         const void *stored, size_t stored_len, char **data, kds_err *e)
{
    char hex[KDS_ID_HEX];
    kds_id_format(id, hex);
    if (size < 0 || size > (int64_t)KDS_OBJECT_CAP ||
        (encoding == ENCODING_RAW && (size_t)size != stored_len))
        return kds_ledger_damaged(l, e, "object %s has an impossible size (%lld bytes)", hex,
                                  (long long)size);
    char *bytes = malloc((size_t)size + 1);
    if (bytes == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory for object %s", hex);
    bytes[size] = '\0';
    bool whole = false;
    if (encoding == ENCODING_ZSTD)
        whole = decompress(l, bytes, (size_t)size, stored, stored_len);
    else if (encoding == ENCODING_RAW) {
        if (stored_len > 0)
            memcpy(bytes, stored, stored_len);
        whole = true;
    }
    if (!whole || !kds_id_equal(kds_id_of(bytes, (size_t)size), id)) {
        free(bytes);
        return kds_ledger_damaged(l, e, "object %s %s", hex,
                                  whole ? "does not have the bytes that it was stored with"
                                        : "cannot be decompressed");
    }
    *data = bytes;
    return KDS_OK;
}

kds_code kds_ledger_get(kds_ledger *l, kds_id id, char **data, size_t *len, kds_err *e)
{
    unsigned char key[KDS_HASH_SIZE];
    char hex[KDS_ID_HEX], *kept = copy_kept(l, id, len);
    if (kept != NULL) {
        *data = kept;
        return KDS_OK;
    }
    kds_id_bytes(id, key);
    kds_id_format(id, hex);
    kds_query q = kds_sql_kept(l, KDS_SQL_OBJECT_GET);
    kds_sql_bytes(&q, 1, key, sizeof key);
    bool found = kds_sql_next(&q);
    char *bytes = NULL;
    size_t size = 0;
    kds_code code = KDS_OK;
    if (found) {
        const void *stored = sqlite3_column_blob(q.statement, 2);
        int stored_len = sqlite3_column_bytes(q.statement, 2);
        size = (size_t)sqlite3_column_int64(q.statement, 0);
        code = kds_object_open(l, id, sqlite3_column_int64(q.statement, 0),
                               sqlite3_column_int64(q.statement, 1), stored, (size_t)stored_len,
                               &bytes, e);
    }
    kds_code ended = kds_sql_end(&q, "read an object", code == KDS_OK ? e : NULL);
    if (code == KDS_OK)
        code = ended;
    if (code == KDS_OK && !found)
        code = kds_fail(e, KDS_NOT_FOUND, "%s: there is no object %s",
                        l->dir == NULL ? "ledger in memory" : l->dir, hex);
    if (code != KDS_OK) {
        free(bytes);
        return code;
    }
    keep(l, id, bytes, size);
    *data = bytes;
    if (len != NULL)
        *len = size;
    return KDS_OK;
}

kds_code kds_ledger_get_json(kds_ledger *l, kds_id id, cJSON **out, kds_err *e)
{
    char *text = NULL, hex[KDS_ID_HEX];
    size_t len = 0;
    kds_code code = kds_ledger_get(l, id, &text, &len, e);
    if (code != KDS_OK)
        return code;
    *out = kds_json_parse_record(text, len);
    free(text);
    kds_id_format(id, hex);
    return *out ? KDS_OK : kds_fail(e, KDS_DAMAGED, "object %s is not JSON", hex);
}
