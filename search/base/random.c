/* Philox4x32-10 and the streams over it. Number i of a stream is words 0 and 1 of the block with
 * counter (i, stream) under the key `seed`: no state but the count of numbers drawn. */
#include "search/base/random.h"
#include "search/base/id.h"
#include <math.h>
#include <string.h>

/* Constants of the paper's table 2 and its Weyl increments. */
#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define WEYL_0 0x9E3779B9u
#define WEYL_1 0xBB67AE85u

void kds_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)MULTIPLIER_0 * c0, p1 = (uint64_t)MULTIPLIER_1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

kds_random kds_random_stream(uint64_t seed, uint64_t decision, const char *purpose)
{
    uint64_t name = kds_hash64(purpose, strlen(purpose), 0);
    unsigned char bytes[16];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(decision >> (8 * i));
        bytes[8 + i] = (unsigned char)(name >> (8 * i));
    }
    return (kds_random){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                        .stream = kds_hash64(bytes, sizeof bytes, 0)};
}

uint64_t kds_random_u64(kds_random *r)
{
    uint32_t counter[4] = {(uint32_t)r->next, (uint32_t)(r->next >> 32), (uint32_t)r->stream,
                           (uint32_t)(r->stream >> 32)};
    uint32_t out[4];
    kds_philox(counter, r->key, out);
    r->next++;
    return (uint64_t)out[1] << 32 | out[0];
}

/* Rejects the first 2^64 mod n values, so that every remainder is equally likely. */
uint64_t kds_random_below(kds_random *r, uint64_t n)
{
    uint64_t least = (0 - n) % n, v;
    do {
        v = kds_random_u64(r);
    } while (v < least);
    return v % n;
}

double kds_random_unit(kds_random *r)
{
    return (double)(kds_random_u64(r) >> 11) * 0x1p-53;
}

double kds_random_normal(kds_random *r)
{
    double radius = sqrt(-2 * log(1 - kds_random_unit(r))); /* 1 - u is in (0, 1] */
    return radius * cos(6.283185307179586 * kds_random_unit(r));
}

/* What is not a finite positive number weighs nothing. */
static double weight_of(double w)
{
    return isfinite(w) && w > 0 ? w : 0;
}

/* Weights are scaled by the largest, so that their sum cannot overflow. */
size_t kds_random_weighted(kds_random *r, const double *weights, size_t n)
{
    double largest = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, weight_of(weights[i]));
    if (largest == 0)
        return (size_t)kds_random_below(r, n);
    for (size_t i = 0; i < n; i++)
        sum += weight_of(weights[i]) / largest;
    double at = kds_random_unit(r) * sum;
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        double w = weight_of(weights[i]) / largest;
        if (w == 0)
            continue;
        last = i;
        if (at < w)
            break;
        at -= w;
    }
    return last;
}
