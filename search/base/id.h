/* Content hashes: XXH3-128 as the identity of bytes, XXH3-64 for cell keys. Shown as lower-case
 * hex, big-endian (canonical form of xxHash). */
#ifndef KDS_BASE_ID_H
#define KDS_BASE_ID_H

#include "search/base/err.h"

typedef struct kds_id {
    uint64_t high, low;
} kds_id;

#define KDS_ID_HEX 33  /* room for 32 digits and the NUL */
#define KDS_ID_SHORT 8 /* digits shown in tables */

kds_id kds_id_of(const void *data, size_t len);
void kds_id_format(kds_id id, char out[KDS_ID_HEX]);
bool kds_id_parse(const char *hex, kds_id *out); /* exactly 32 lower-case digits */
bool kds_id_equal(kds_id a, kds_id b);
bool kds_id_is_zero(kds_id a);
uint64_t kds_hash64(const void *data, size_t len, uint64_t seed);

/* Incremental hashing of several pieces. */
typedef struct kds_hasher kds_hasher;
kds_hasher *kds_hasher_create(void); /* NULL if out of memory */
void kds_hasher_add(kds_hasher *h, const void *data, size_t len);
kds_id kds_hasher_id(const kds_hasher *h);
void kds_hasher_free(kds_hasher *h);

#endif
