/* The inside of kds_sim_memory that the interpreter uses: finding a byte's page fast. A buffer
 * starts at a multiple of 4 GiB and at least 4 GiB of nothing follow it, so the upper half of an
 * address names the buffer. */
#ifndef KDS_EVAL_SIM_MEMORY_H
#define KDS_EVAL_SIM_MEMORY_H

#include "eval/sim/sim.h"
#include <pthread.h>

#define KDS_PAGE_BYTES 65536u
#define KDS_PAGE_SECTORS (KDS_PAGE_BYTES / 32)
/* The first granule (of 4 GiB) that buffers may have; those below are windows and null. */
#define KDS_FIRST_GRANULE 0x100u

struct kds_race_page;

typedef struct kds_page {
    uint8_t data[KDS_PAGE_BYTES];
    uint64_t stored[KDS_PAGE_BYTES / 64]; /* one bit per byte that a kernel stored */
    uint64_t *host;                       /* the same for the host; NULL: none */
    struct kds_race_page *race;           /* who accessed what; NULL: races were not looked for */
    bool read_only;
    uint64_t epoch; /* launch that the two sets below are of */
    uint64_t loaded[KDS_PAGE_SECTORS / 64], changed[KDS_PAGE_SECTORS / 64];
} kds_page;

typedef struct kds_region {
    kds_sim_memory *memory;
    char *name;
    uint64_t address, bytes;
    bool read_only;
    bool undefined; /* reading what nobody wrote is to be reported */
    uint8_t poison;
    bool is_module; /* a variable of a module, named like it */
    kds_sim_fill *fill;
    void *user;
    kds_page **pages;
    uint64_t page_count;
} kds_region;

struct kds_sim_memory {
    kds_region **granules; /* by (address >> 32) - KDS_FIRST_GRANULE; NULL: nothing there */
    uint64_t granule_count, granule_room;
    kds_region **regions;
    uint32_t region_count, region_room;
    uint64_t epoch;
    pthread_mutex_t lock; /* of making pages, for launches whose blocks run on several cores */
    uint32_t race_tick, race_generation; /* time, and how often it began anew: see race.h */
    uint64_t workspace;                  /* of cooperative launches; 0: none yet */
    /* Module variables: where the symbols of a module lie in this memory. */
    struct kds_module_image *images;
};

/* The addresses of a module's global and constant variables, by symbol; 0: none. */
typedef struct kds_module_image {
    uint64_t module_serial;
    uint64_t *addresses;
    struct kds_module_image *next;
} kds_module_image;

static inline kds_region *kds_memory_region(const kds_sim_memory *m, uint64_t address)
{
    uint64_t granule = (address >> 32) - KDS_FIRST_GRANULE;
    return granule < m->granule_count ? m->granules[granule] : NULL;
}

/* Makes page `index` of a region; NULL if out of memory. */
kds_page *kds_memory_make_page(kds_region *r, uint64_t index);

static inline kds_page *kds_memory_page(kds_region *r, uint64_t index)
{
    kds_page *p = __atomic_load_n(&r->pages[index], __ATOMIC_ACQUIRE);
    return p != NULL ? p : kds_memory_make_page(r, index);
}

/* Empties the sets of sectors if they are of an earlier launch. */
void kds_memory_renew(kds_sim_memory *m, kds_page *p);

static inline void kds_memory_freshen(kds_sim_memory *m, kds_page *p)
{
    if (__atomic_load_n(&p->epoch, __ATOMIC_ACQUIRE) != m->epoch)
        kds_memory_renew(m, p);
}

/* The region nearest to an address, for reports; NULL if there is none. */
const kds_region *kds_memory_nearest(const kds_sim_memory *m, uint64_t address);
/* The address of the buffer that cooperative launches synchronise through; 0: out of memory. */
uint64_t kds_memory_workspace(kds_sim_memory *m, uint64_t bytes);
uint64_t kds_memory_add_region(kds_sim_memory *m, const kds_sim_buffer *b, bool is_module);

/* A run of bits [first, first + count) in a bitmap of 64-bit words. */
static inline void kds_bits_set(uint64_t *bits, uint64_t first, uint64_t count)
{
    uint64_t word = first / 64, low = first % 64;
    if (low + count <= 64) {
        bits[word] |= (count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1) << low;
        return;
    }
    bits[word++] |= ~UINT64_C(0) << low;
    count -= 64 - low;
    for (; count >= 64; count -= 64)
        bits[word++] = ~UINT64_C(0);
    if (count > 0)
        bits[word] |= (UINT64_C(1) << count) - 1;
}

/* The same where other threads may set bits of the same words. */
static inline void kds_bits_set_atomic(uint64_t *bits, uint64_t first, uint64_t count)
{
    while (count > 0) {
        uint64_t low = first % 64, n = 64 - low < count ? 64 - low : count;
        if (n == 64)
            __atomic_store_n(&bits[first / 64], ~UINT64_C(0), __ATOMIC_RELAXED);
        else
            __atomic_fetch_or(&bits[first / 64], ((UINT64_C(1) << n) - 1) << low, __ATOMIC_RELAXED);
        first += n;
        count -= n;
    }
}

/* True if all bits of the run are set. */
static inline bool kds_bits_all(const uint64_t *bits, uint64_t first, uint64_t count)
{
    uint64_t word = first / 64, low = first % 64;
    if (low + count <= 64) {
        uint64_t mask = (count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1) << low;
        return (bits[word] & mask) == mask;
    }
    uint64_t mask = ~UINT64_C(0) << low;
    if ((bits[word++] & mask) != mask)
        return false;
    count -= 64 - low;
    for (; count >= 64; count -= 64)
        if (bits[word++] != ~UINT64_C(0))
            return false;
    mask = (UINT64_C(1) << count) - 1;
    return count == 0 || (bits[word] & mask) == mask;
}

/* Sets `count` bits from `first` (at most 64, within one word pair) and returns how many were new.
 */
static inline unsigned kds_bits_new(uint64_t *bits, uint64_t first, unsigned count)
{
    uint64_t word = first / 64, low = first % 64;
    uint64_t run = count >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
    uint64_t mask = run << low;
    unsigned fresh = (unsigned)__builtin_popcountll(mask & ~bits[word]);
    bits[word] |= mask;
    if (low + count > 64) {
        mask = run >> (64 - low);
        fresh += (unsigned)__builtin_popcountll(mask & ~bits[word + 1]);
        bits[word + 1] |= mask;
    }
    return fresh;
}

/* The same where other threads may set bits of the same words. */
static inline unsigned kds_bits_new_atomic(uint64_t *bits, uint64_t first, unsigned count)
{
    unsigned fresh = 0;
    while (count > 0) {
        unsigned low = (unsigned)(first % 64), n = 64 - low < count ? 64 - low : count;
        uint64_t mask = (n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1) << low;
        uint64_t old = __atomic_fetch_or(&bits[first / 64], mask, __ATOMIC_RELAXED);
        fresh += (unsigned)__builtin_popcountll(mask & ~old);
        first += n;
        count -= n;
    }
    return fresh;
}

#endif
