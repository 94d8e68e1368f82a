/* Content hashes by xxHash. Ids are kept as two host integers and shown in xxHash's canonical
 * (big-endian) order. */
#include "search/base/id.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct kds_hasher {
    XXH3_state_t *state;
};

kds_id kds_id_of(const void *data, size_t len)
{
    XXH128_hash_t h = XXH3_128bits(data, len);
    return (kds_id){.high = h.high64, .low = h.low64};
}

void kds_id_format(kds_id id, char out[KDS_ID_HEX])
{
    snprintf(out, KDS_ID_HEX, "%016" PRIx64 "%016" PRIx64, id.high, id.low);
}

/* Value of a lower-case hexadecimal digit, or -1. */
static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool kds_id_parse(const char *hex, kds_id *out)
{
    uint64_t half[2] = {0, 0};
    if (hex == NULL)
        return false;
    for (int i = 0; i < KDS_ID_HEX - 1; i++) {
        int v = digit_value(hex[i]); /* -1 for the NUL, so a short text ends here */
        if (v < 0)
            return false;
        half[i / 16] = half[i / 16] << 4 | (uint64_t)v;
    }
    if (hex[KDS_ID_HEX - 1] != '\0')
        return false;
    *out = (kds_id){.high = half[0], .low = half[1]};
    return true;
}

bool kds_id_equal(kds_id a, kds_id b)
{
    return a.high == b.high && a.low == b.low;
}

bool kds_id_is_zero(kds_id a)
{
    return a.high == 0 && a.low == 0;
}

uint64_t kds_hash64(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}

kds_hasher *kds_hasher_create(void)
{
    kds_hasher *h = calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    h->state = XXH3_createState();
    if (h->state == NULL) {
        free(h);
        return NULL;
    }
    XXH3_128bits_reset(h->state);
    return h;
}

void kds_hasher_add(kds_hasher *h, const void *data, size_t len)
{
    if (len > 0)
        XXH3_128bits_update(h->state, data, len);
}

kds_id kds_hasher_id(const kds_hasher *h)
{
    XXH128_hash_t x = XXH3_128bits_digest(h->state);
    return (kds_id){.high = x.high64, .low = x.low64};
}

void kds_hasher_free(kds_hasher *h)
{
    if (h == NULL)
        return;
    XXH3_freeState(h->state);
    free(h);
}
