/* Device memory of the simulator. Pages of 64 KiB come into being when they are first touched, with
 * the content that the buffer's description asks for. */
#include "eval/sim/memory.h"
#include <stdlib.h>
#include <string.h>

/* Largest buffer: what fits a 47-bit address space many times over. */
#define BUFFER_CAP (UINT64_C(1) << 40)

kds_sim_memory *kds_sim_memory_create(void)
{
    kds_sim_memory *m = calloc(1, sizeof *m);
    if (m != NULL)
        pthread_mutex_init(&m->lock, NULL);
    return m;
}

static void free_region(kds_region *r)
{
    for (uint64_t i = 0; r->pages != NULL && i < r->page_count; i++) {
        if (r->pages[i] != NULL) {
            free(r->pages[i]->host);
            free(r->pages[i]->race);
        }
        free(r->pages[i]);
    }
    free(r->pages);
    free(r->name);
    if (r->is_module)
        free(r->user);
    free(r);
}

void kds_sim_memory_free(kds_sim_memory *m)
{
    if (m == NULL)
        return;
    for (uint32_t i = 0; i < m->region_count; i++)
        free_region(m->regions[i]);
    for (kds_module_image *i = m->images; i != NULL;) {
        kds_module_image *next = i->next;
        free(i->addresses);
        free(i);
        i = next;
    }
    pthread_mutex_destroy(&m->lock);
    free(m->regions);
    free(m->granules);
    free(m);
}

/* Extends the granule table to `count` entries. */
static bool reserve_granules(kds_sim_memory *m, uint64_t count)
{
    if (count <= m->granule_room)
        return true;
    uint64_t room = count + count / 2 + 16;
    kds_region **grown = realloc(m->granules, room * sizeof(kds_region *));
    if (grown == NULL)
        return false;
    m->granules = grown;
    m->granule_room = room;
    return true;
}

uint64_t kds_memory_add_region(kds_sim_memory *m, const kds_sim_buffer *b, bool is_module)
{
    if (b->bytes > BUFFER_CAP)
        return 0;
    /* An empty granule before each buffer, then those that it fills. */
    uint64_t start = m->granule_count + 1, granules = (b->bytes >> 32) + 1;
    kds_region *r = calloc(1, sizeof *r);
    if (r == NULL)
        return 0;
    r->page_count = (b->bytes + KDS_PAGE_BYTES - 1) / KDS_PAGE_BYTES;
    r->name = strdup(b->name != NULL ? b->name : "?");
    r->pages = calloc(r->page_count + 1, sizeof(kds_page *));
    if (m->region_count == m->region_room) {
        uint32_t room = m->region_room * 2 + 8;
        kds_region **grown = realloc(m->regions, room * sizeof(kds_region *));
        if (grown != NULL) {
            m->regions = grown;
            m->region_room = room;
        }
    }
    if (r->name == NULL || r->pages == NULL || m->region_count == m->region_room ||
        !reserve_granules(m, start + granules)) {
        free_region(r);
        return 0;
    }
    r->memory = m;
    r->address = (start + KDS_FIRST_GRANULE) << 32;
    r->bytes = b->bytes;
    r->read_only = b->read_only;
    r->undefined = b->content == KDS_SIM_UNDEFINED;
    r->poison = b->poison;
    r->fill = b->content == KDS_SIM_DEFINED ? b->fill : NULL;
    r->user = b->user;
    r->is_module = is_module;
    m->granules[start - 1] = NULL;
    for (uint64_t g = 0; g < granules; g++)
        m->granules[start + g] = r;
    m->granule_count = start + granules;
    m->regions[m->region_count++] = r;
    return r->address;
}

uint64_t kds_sim_memory_add(kds_sim_memory *m, const kds_sim_buffer *b)
{
    return kds_memory_add_region(m, b, false);
}

uint64_t kds_memory_workspace(kds_sim_memory *m, uint64_t bytes)
{
    kds_sim_buffer b = {.name = "the grid's barrier", .bytes = bytes, .content = KDS_SIM_DEFINED};
    if (m->workspace == 0)
        m->workspace = kds_memory_add_region(m, &b, false);
    return m->workspace;
}

static kds_page *make_page(kds_region *r, uint64_t index)
{
    kds_page *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->read_only = r->read_only;
    uint64_t first = index * KDS_PAGE_BYTES;
    uint64_t len = r->bytes - first < KDS_PAGE_BYTES ? r->bytes - first : KDS_PAGE_BYTES;
    if (r->undefined)
        memset(p->data, r->poison, len);
    else if (r->fill != NULL)
        r->fill(r->user, first, len, p->data);
    __atomic_store_n(&r->pages[index], p, __ATOMIC_RELEASE);
    return p;
}

kds_page *kds_memory_make_page(kds_region *r, uint64_t index)
{
    pthread_mutex_lock(&r->memory->lock);
    kds_page *p = r->pages[index] != NULL ? r->pages[index] : make_page(r, index);
    pthread_mutex_unlock(&r->memory->lock);
    return p;
}

void kds_memory_renew(kds_sim_memory *m, kds_page *p)
{
    pthread_mutex_lock(&m->lock);
    if (p->epoch != m->epoch) {
        memset(p->loaded, 0, sizeof p->loaded);
        memset(p->changed, 0, sizeof p->changed);
        __atomic_store_n(&p->epoch, m->epoch, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&m->lock);
}

const kds_region *kds_memory_nearest(const kds_sim_memory *m, uint64_t address)
{
    const kds_region *best = NULL;
    uint64_t distance = UINT64_MAX;
    for (uint32_t i = 0; i < m->region_count; i++) {
        const kds_region *r = m->regions[i];
        uint64_t end = r->address + r->bytes;
        uint64_t away = address < r->address ? r->address - address
                        : address >= end     ? address - end
                                             : 0;
        if (away < distance) {
            distance = away;
            best = r;
        }
    }
    return best;
}

/* The region of a host access, which must lie inside it. */
static kds_region *host_region(kds_sim_memory *m, uint64_t address, uint64_t len)
{
    kds_region *r = kds_memory_region(m, address);
    if (r == NULL || address - r->address > r->bytes || len > r->bytes - (address - r->address))
        return NULL;
    return r;
}

static bool bit_at(const uint64_t *bits, uint64_t i)
{
    return bits != NULL && (bits[i / 64] >> (i % 64) & 1) != 0;
}

bool kds_sim_memory_read(kds_sim_memory *m, uint64_t address, uint64_t len, void *out,
                         uint8_t *written)
{
    kds_region *r = host_region(m, address, len);
    if (r == NULL)
        return false;
    uint8_t *to = out;
    for (uint64_t offset = address - r->address; len > 0;) {
        uint64_t inside = offset % KDS_PAGE_BYTES;
        uint64_t n = KDS_PAGE_BYTES - inside < len ? KDS_PAGE_BYTES - inside : len;
        const kds_page *p = kds_memory_page(r, offset / KDS_PAGE_BYTES);
        if (p == NULL)
            return false;
        memcpy(to, p->data + inside, n);
        for (uint64_t i = 0; written != NULL && i < n; i++)
            *written++ = bit_at(p->stored, inside + i) || bit_at(p->host, inside + i);
        to += n;
        offset += n;
        len -= n;
    }
    return true;
}

bool kds_sim_memory_write(kds_sim_memory *m, uint64_t address, uint64_t len, const void *data)
{
    kds_region *r = host_region(m, address, len);
    if (r == NULL)
        return false;
    const uint8_t *from = data;
    for (uint64_t offset = address - r->address; len > 0;) {
        uint64_t inside = offset % KDS_PAGE_BYTES;
        uint64_t n = KDS_PAGE_BYTES - inside < len ? KDS_PAGE_BYTES - inside : len;
        kds_page *p = kds_memory_page(r, offset / KDS_PAGE_BYTES);
        if (p == NULL)
            return false;
        if (p->host == NULL)
            p->host = calloc(1, sizeof p->stored);
        if (p->host == NULL)
            return false;
        memcpy(p->data + inside, from, n);
        kds_bits_set(p->host, inside, n);
        from += n;
        offset += n;
        len -= n;
    }
    return true;
}

void kds_sim_memory_each_written(kds_sim_memory *m, uint64_t address,
                                 void (*fn)(void *user, uint64_t first, uint64_t len), void *user)
{
    const kds_region *r = kds_memory_region(m, address);
    uint64_t start = 0, len = 0;
    for (uint64_t i = 0; r != NULL && i < r->page_count; i++) {
        const kds_page *p = r->pages[i];
        for (uint64_t w = 0; p != NULL && w < KDS_PAGE_BYTES / 64; w++) {
            uint64_t bits = p->stored[w], base = i * KDS_PAGE_BYTES + w * 64;
            while (bits != 0) {
                unsigned from = (unsigned)__builtin_ctzll(bits);
                uint64_t rest = ~(bits >> from);
                unsigned count = rest == 0 ? 64 : (unsigned)__builtin_ctzll(rest);
                count = count > 64 - from ? 64 - from : count;
                if (len > 0 && start + len == base + from) {
                    len += count;
                } else {
                    if (len > 0)
                        fn(user, start, len);
                    start = base + from;
                    len = count;
                }
                bits = from + count >= 64 ? 0 : bits >> (from + count) << (from + count);
            }
        }
    }
    if (len > 0)
        fn(user, start, len);
}
