/* What a run left in the output buffers, copied out of the simulator's memory as ranges of elements
 * that were written, and everything that is asked of it: comparison, completeness, equality. Ranges
 * ascend and do not touch. */
#include "eval/sim/device_sim.h"

#include <stdlib.h>
#include <string.h>

/* More ranges than this are not kept: an output in so many pieces is not complete anyway. */
#define RANGES_MAX 65536

kds_outputs *sim_outputs_create(void)
{
    kds_outputs *o = calloc(1, sizeof *o);
    for (int i = 0; o != NULL && i < KDS_BUFFERS_MAX; i++)
        o->parts[i].buffer = -1;
    return o;
}

void sim_outputs_free(kds_outputs *o)
{
    if (o == NULL)
        return;
    for (int i = 0; i < KDS_BUFFERS_MAX; i++) {
        free(o->parts[i].ranges);
        free(o->parts[i].data);
    }
    free(o);
}

size_t sim_outputs_bytes(const kds_outputs *o)
{
    size_t bytes = sizeof *o;
    for (int i = 0; i < KDS_BUFFERS_MAX; i++)
        bytes += o->parts[i].len + o->parts[i].range_room * sizeof(sim_range);
    return bytes;
}

static bool add_range(sim_part *p, int64_t first, int64_t count)
{
    if (p->range_count == p->range_room) {
        size_t room = p->range_room > 0 ? 2 * p->range_room : 16;
        sim_range *grown = realloc(p->ranges, room * sizeof *grown);
        if (grown == NULL)
            return false;
        p->ranges = grown;
        p->range_room = room;
    }
    p->ranges[p->range_count++] = (sim_range){.first = first, .count = count, .at = p->len};
    p->len += (size_t)count * kds_dtype_size(p->dtype);
    return true;
}

static kds_code no_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "cannot keep the outputs of a run: out of memory");
}

/* Reads the bytes of the ranges from `from` on out of the memory. */
static kds_code read_ranges(sim_part *p, size_t from, uint64_t address, const sim_memory *m,
                            kds_err *e)
{
    size_t size = kds_dtype_size(p->dtype);
    if (p->len == 0)
        return KDS_OK;
    unsigned char *grown = realloc(p->data, p->len);
    if (grown == NULL)
        return no_memory(e);
    p->data = grown;
    for (size_t i = from; i < p->range_count; i++) {
        const sim_range *r = &p->ranges[i];
        if (!kds_sim_memory_read(m->memory, address + (uint64_t)r->first * size,
                                 (uint64_t)r->count * size, p->data + r->at, NULL))
            return kds_fail(e, KDS_FAILED, "an output range is outside its buffer");
    }
    return KDS_OK;
}

kds_code sim_outputs_add(kds_outputs *o, int buffer, kds_dtype dtype, int64_t first, int64_t count,
                         const sim_memory *m, kds_err *e)
{
    sim_part *p = &o->parts[buffer];
    p->buffer = buffer;
    p->dtype = dtype;
    if (!add_range(p, first, count))
        return no_memory(e);
    return read_ranges(p, p->range_count - 1, m->buffers[buffer], m, e);
}

typedef struct collecting {
    sim_part *part;
    bool failed;
} collecting;

/* One range of written bytes: the elements that lie in it whole. */
static void collect(void *user, uint64_t first, uint64_t len)
{
    collecting *c = user;
    uint64_t size = kds_dtype_size(c->part->dtype);
    uint64_t begin = (first + size - 1) / size, end = (first + len) / size;
    if (end <= begin || c->failed || c->part->range_count >= RANGES_MAX)
        return;
    c->failed = !add_range(c->part, (int64_t)begin, (int64_t)(end - begin));
}

kds_code sim_outputs_take(kds_outputs **out, const sim_bench *b, const kds_program *p,
                          const sim_memory *m, kds_err *e)
{
    const kds_task *t = b->base.device->task;
    kds_code code = KDS_OK;
    kds_outputs *o = sim_outputs_create();
    if (o == NULL)
        return no_memory(e);
    for (int i = 0; i < t->buffer_count && code == KDS_OK; i++) {
        if (!sim_is_output(t, i))
            continue;
        sim_part *part = &o->parts[i];
        part->buffer = i;
        part->dtype = sim_output_type(b, p, i);
        collecting c = {part, false};
        if (t->buffers[i].role == KDS_ROLE_INOUT && !b->base.sampled)
            c.failed = !add_range(part, 0, b->base.extents[i].span);
        else
            kds_sim_memory_each_written(m->memory, m->buffers[i], collect, &c);
        code = c.failed ? no_memory(e) : read_ranges(part, 0, m->buffers[i], m, e);
    }
    if (code == KDS_OK)
        *out = o;
    else
        sim_outputs_free(o);
    return code;
}

/* Calls fn for every stretch of elements that both parts have. */
typedef bool common_fn(void *user, int64_t first, int64_t count, const void *a, const void *b);
static void each_common(const sim_part *a, const sim_part *b, common_fn *fn, void *user)
{
    size_t i = 0, j = 0;
    size_t a_size = kds_dtype_size(a->dtype), b_size = kds_dtype_size(b->dtype);
    while (i < a->range_count && j < b->range_count) {
        const sim_range *x = &a->ranges[i], *y = &b->ranges[j];
        int64_t x_end = x->first + x->count, y_end = y->first + y->count;
        int64_t first = x->first > y->first ? x->first : y->first;
        int64_t end = x_end < y_end ? x_end : y_end;
        if (first < end &&
            !fn(user, first, end - first, a->data + x->at + (size_t)(first - x->first) * a_size,
                b->data + y->at + (size_t)(first - y->first) * b_size))
            return;
        if (x_end <= y_end)
            i++;
        if (y_end <= x_end)
            j++;
    }
}

static bool compare_stretch(void *user, int64_t first, int64_t count, const void *got,
                            const void *want)
{
    kds_comparison_add(user, first, count, got, want);
    return true;
}

kds_code sim_outputs_compare(const kds_bench *b, int buffer, const kds_outputs *got,
                             const kds_outputs *want, const kds_tolerance *t, bool bitwise,
                             kds_errors *out, kds_err *e)
{
    const sim_part *g = &got->parts[buffer], *w = &want->parts[buffer];
    kds_comparison c;
    if (bitwise && g->dtype != w->dtype)
        return kds_fail(e, KDS_FAILED, "outputs of two types cannot be bitwise equal");
    kds_comparison_begin(&c, &b->extents[buffer], g->dtype, w->dtype, t, bitwise);
    each_common(g, w, compare_stretch, &c);
    kds_comparison_end(&c);
    *out = c.errors;
    return KDS_OK;
}

/* The first index of the extent whose element is in no range, -1 if there is none. */
static int64_t first_gap(const kds_extent *x, const sim_part *p)
{
    int64_t at = 0; /* everything below is written, or between the elements */
    for (size_t i = 0; i <= p->range_count; i++) {
        int64_t end = i < p->range_count ? p->ranges[i].first : x->span;
        for (; at < end; at++)
            if (kds_extent_index(x, at) >= 0)
                return kds_extent_index(x, at);
        if (i < p->range_count)
            at = p->ranges[i].first + p->ranges[i].count;
    }
    return -1;
}

kds_code sim_outputs_complete(const kds_bench *b, const kds_outputs *o, kds_finding *f, kds_err *e)
{
    const kds_task *t = b->device->task;
    (void)e;
    for (int i = 0; i < t->buffer_count && !b->sampled; i++) {
        if (t->buffers[i].role != KDS_ROLE_OUT)
            continue;
        int64_t gap = first_gap(&b->extents[i], &o->parts[i]);
        if (gap < 0)
            continue;
        char name[160];
        int64_t written = 0;
        for (size_t r = 0; r < o->parts[i].range_count; r++)
            written += o->parts[i].ranges[r].count;
        kds_extent_name(&b->extents[i], t->buffers[i].name, gap, name, sizeof name);
        kds_finding_set(f, KDS_VERDICT_WRONG, "correctness", 0,
                        "%s was never written; %lld of %lld elements were", name,
                        (long long)written, (long long)b->extents[i].numel);
        return KDS_OK;
    }
    return KDS_OK;
}

typedef struct difference {
    size_t size;
    int64_t at; /* element offset of the first difference, -1 */
    double first, second;
    kds_dtype dtype;
} difference;

static bool find_difference(void *user, int64_t first, int64_t count, const void *a, const void *b)
{
    difference *d = user;
    const char *x = a, *y = b;
    if (memcmp(x, y, (size_t)count * d->size) == 0)
        return true;
    for (int64_t i = 0; i < count; i++, x += d->size, y += d->size) {
        if (memcmp(x, y, d->size) == 0)
            continue;
        d->at = first + i;
        d->first = kds_dtype_load(d->dtype, x);
        d->second = kds_dtype_load(d->dtype, y);
        return false;
    }
    return true;
}

/* Which elements were written must be the same too. */
static bool same_ranges(const sim_part *a, const sim_part *b)
{
    if (a->range_count != b->range_count)
        return false;
    for (size_t i = 0; i < a->range_count; i++)
        if (a->ranges[i].first != b->ranges[i].first || a->ranges[i].count != b->ranges[i].count)
            return false;
    return true;
}

kds_code sim_outputs_same(const kds_bench *b, const kds_outputs *first, const kds_outputs *second,
                          kds_finding *f, kds_err *e)
{
    const kds_task *t = b->device->task;
    (void)e;
    for (int i = 0; i < t->buffer_count; i++) {
        if (!sim_is_output(t, i))
            continue;
        const sim_part *x = &first->parts[i], *y = &second->parts[i];
        difference d = {kds_dtype_size(x->dtype), -1, 0, 0, x->dtype};
        char name[160];
        each_common(x, y, find_difference, &d);
        if (d.at >= 0) {
            kds_extent_name(&b->extents[i], t->buffers[i].name,
                            kds_extent_index(&b->extents[i], d.at), name, sizeof name);
            kds_finding_set(f, KDS_VERDICT_NONDETERMINISTIC, "correctness", 0,
                            "%s was %.9g in one run and %.9g in another on the same inputs", name,
                            d.first, d.second);
            return KDS_OK;
        }
        if (!same_ranges(x, y)) {
            kds_finding_set(f, KDS_VERDICT_NONDETERMINISTIC, "correctness", 0,
                            "two runs on the same inputs wrote different elements of %s",
                            t->buffers[i].name);
            return KDS_OK;
        }
    }
    return KDS_OK;
}
