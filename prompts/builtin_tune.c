/* Moves in the space of a source's tunables. A point is written in one way only, the value in force
 * first and the others ascending, so that two ways to the same point give the same text and are
 * recognised as one. */
#include "prompts/builtin_tune.h"
#include <string.h>

#define ATTEMPTS 48
#define ENUMERATED 4096
#define SPREAD_MAX 64

/* The tunables of a source with sorted values, and a point: an index for each. */
typedef struct space {
    kds_tunable tunables[KDS_TUNABLES];
    int count;
    int now[KDS_TUNABLES]; /* the parent's point */
    int64_t size;          /* points; capped at INT32_MAX */
} space;

static void sort_values(kds_tunable *u)
{
    for (int i = 1; i < u->count; i++) {
        int64_t v = u->values[i];
        int k = i;
        for (; k > 0 && u->values[k - 1] > v; k--)
            u->values[k] = u->values[k - 1];
        u->values[k] = v;
    }
}

static int index_of(const kds_tunable *u, int64_t value)
{
    for (int i = 0; i < u->count; i++) {
        if (u->values[i] == value)
            return i;
    }
    return -1;
}

/* An unreadable list makes an empty space: the candidate's failing, found by its plan. */
static void read_space(space *s, const char *text, size_t len)
{
    *s = (space){.size = 1};
    if (!text || kds_tunables_find(s->tunables, &s->count, text, len, NULL))
        s->count = 0;
    for (int i = 0; i < s->count; i++) {
        int64_t in_force = s->tunables[i].values[0];
        sort_values(&s->tunables[i]);
        s->now[i] = index_of(&s->tunables[i], in_force);
        s->size *= s->tunables[i].count;
        if (s->size > INT32_MAX)
            s->size = INT32_MAX;
    }
}

/* Writes the text with its tunables at `point`. What cannot be written leaves the buffer bad and
 * makes no child. */
static void write_point(kds_buf *out, const char *text, size_t len, const space *s,
                        const int *point)
{
    kds_tunable chosen[KDS_TUNABLES];
    for (int i = 0; i < s->count; i++) {
        chosen[i] = s->tunables[i];
        kds_tunable_choose(&chosen[i], chosen[i].values[point[i]]);
    }
    kds_code code = kds_tunables_write(out, text, len, chosen, s->count, NULL);
    if (code != KDS_OK)
        out->bad = code;
}

static void describe(kds_buf *out, const space *s, const int *from, const int *to)
{
    const char *between = "";
    for (int i = 0; i < s->count; i++) {
        if (from[i] == to[i])
            continue;
        kds_buf_printf(out, "%s%s %lld -> %lld", between, s->tunables[i].name,
                       (long long)s->tunables[i].values[from[i]],
                       (long long)s->tunables[i].values[to[i]]);
        between = ", ";
    }
}

static kds_code try_point(kds_child *c, const space *s, const int *point, kds_err *e)
{
    if (memcmp(point, s->now, (size_t)s->count * sizeof *point) == 0)
        return KDS_OK;
    write_point(&c->candidate, c->parent, c->parent_len, s, point);
    describe(&c->words, s, s->now, point);
    return kds_child_try(c, e);
}

/* One step up or down in the sorted values of tunable `i`, inwards at an end. */
static void step(const space *s, kds_random *random, int i, int *point)
{
    bool up = kds_random_below(random, 2) == 0;
    if (point[i] == 0)
        up = true;
    else if (point[i] == s->tunables[i].count - 1)
        up = false;
    point[i] += up ? 1 : -1;
}

/* Draws a point: mostly a neighbour in one tunable, sometimes in two, sometimes any point. */
static void draw_point(const space *s, kds_random *random, const int *movable, int count,
                       int *point)
{
    uint64_t kind = kds_random_below(random, 10);
    memcpy(point, s->now, sizeof s->now);
    if (kind >= 8) {
        for (int i = 0; i < s->count; i++)
            point[i] = (int)kds_random_below(random, (uint64_t)s->tunables[i].count);
        return;
    }
    int first = (int)kds_random_below(random, (uint64_t)count);
    step(s, random, movable[first], point);
    if (kind >= 6 && count > 1) {
        int second = (first + 1 + (int)kds_random_below(random, (uint64_t)count - 1)) % count;
        step(s, random, movable[second], point);
    }
}

/* Point number `n` in the order in which the last tunable turns fastest. */
static void numbered_point(const space *s, int64_t n, int *point)
{
    for (int i = s->count - 1; i >= 0; i--) {
        point[i] = (int)(n % s->tunables[i].count);
        n /= s->tunables[i].count;
    }
}

kds_code kds_builtin_tune(const kds_ask *ask, kds_random *random, kds_child *c, kds_err *e)
{
    space s;
    kds_code code = KDS_OK;
    int movable[KDS_TUNABLES], count = 0, point[KDS_TUNABLES];
    read_space(&s, ask->parent.source, ask->parent.source_len);
    for (int i = 0; i < s.count; i++) {
        if (s.tunables[i].count > 1)
            movable[count++] = i;
    }
    for (int i = 0; i < ATTEMPTS && count > 0 && !c->made && !code; i++) {
        draw_point(&s, random, movable, count, point);
        code = try_point(c, &s, point, e);
    }
    for (int64_t n = 0; n < s.size && n < ENUMERATED && count > 0 && !c->made && !code; n++) {
        numbered_point(&s, n, point);
        code = try_point(c, &s, point, e);
    }
    return code;
}

/* Sample `j` of `n`: a Latin hypercube (McKay, Beckman, Conover 1979), each tunable's range cut
 * into n equal parts of which each sample has another. */
static void spread_point(const space *s, kds_random design, int j, int n, int *point)
{
    int part[SPREAD_MAX];
    for (int i = 0; i < s->count; i++) {
        for (int k = 0; k < n; k++) {
            int at = (int)kds_random_below(&design, (uint64_t)k + 1);
            part[k] = part[at];
            part[at] = k;
        }
        int values = s->tunables[i].count;
        point[i] = (part[j] * values + (int)kds_random_below(&design, (uint64_t)values)) / n;
    }
}

kds_code kds_builtin_spread(const kds_ask *ask, int samples, kds_random *random, kds_child *c,
                            kds_err *e)
{
    space s;
    kds_code code = KDS_OK;
    int point[KDS_TUNABLES];
    read_space(&s, ask->parent.source, ask->parent.source_len);
    bool all = s.size <= samples;
    int n = all ? (int)s.size : samples < SPREAD_MAX ? samples : SPREAD_MAX;
    for (int j = 0; j < n && s.count > 0 && !c->made && !code; j++) {
        if (all)
            numbered_point(&s, j, point);
        else
            spread_point(&s, *random, j, n, point);
        code = try_point(c, &s, point, e);
    }
    return code;
}

kds_code kds_builtin_neighbour(const kds_ask *ask, kds_random *random, kds_child *c, kds_err *e)
{
    space s;
    kds_code code = KDS_OK;
    int order[2 * KDS_TUNABLES], point[KDS_TUNABLES];
    read_space(&s, ask->parent.source, ask->parent.source_len);
    for (int i = 0; i < 2 * s.count; i++) {
        int k = (int)kds_random_below(random, (uint64_t)i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (int i = 0; i < 2 * s.count && !c->made && !code; i++) {
        int at = order[i] / 2, to = s.now[at] + (order[i] % 2 ? 1 : -1);
        if (to < 0 || to >= s.tunables[at].count)
            continue;
        memcpy(point, s.now, sizeof point);
        point[at] = to;
        code = try_point(c, &s, point, e);
    }
    return code;
}

kds_code kds_builtin_structure(const char *source, size_t len, kds_id *structure, int64_t *points,
                               kds_err *e)
{
    space s;
    int least[KDS_TUNABLES] = {0};
    kds_buf text, norm;
    kds_buf_init(&text, 2 * KDS_SOURCE_CAP);
    kds_buf_init(&norm, 4 * KDS_SOURCE_CAP + 64);
    read_space(&s, source, len);
    if (s.count)
        write_point(&text, source, len, &s, least);
    else
        kds_buf_add(&text, source, len);
    kds_code code = kds_buf_check(&text, "source", e);
    if (code == KDS_OK) {
        kds_lex_normalize(&norm, text.data, text.len);
        code = kds_buf_check(&norm, "normal form", e);
    }
    bool readable = code == KDS_OK;
    *structure = readable ? kds_id_of(norm.data, norm.len) : (kds_id){0, 0};
    *points = readable ? s.size : 1;
    kds_buf_free(&text);
    kds_buf_free(&norm);
    return code == KDS_NO_MEMORY ? code : KDS_OK;
}

/* The tunables in which the other parent has another value in force, and that value. */
typedef struct cross {
    space s;
    int at[KDS_TUNABLES];
    int64_t value[KDS_TUNABLES];
    int count;
} cross;

static void read_cross(cross *x, const kds_ask *ask)
{
    space other;
    read_space(&x->s, ask->parent.source, ask->parent.source_len);
    read_space(&other, ask->other.source, ask->other.source_len);
    x->count = 0;
    for (int i = 0; i < x->s.count; i++) {
        const kds_tunable *u = &x->s.tunables[i];
        for (int k = 0; k < other.count; k++) {
            int64_t theirs = other.tunables[k].values[other.now[k]];
            if (strcmp(u->name, other.tunables[k].name) != 0 || theirs == u->values[x->s.now[i]] ||
                (index_of(u, theirs) < 0 && u->count == KDS_TUNE_VALUES))
                continue;
            x->at[x->count] = i;
            x->value[x->count++] = theirs;
        }
    }
}

/* Tries the parent with the other's values for the tunables of `subset`. */
static kds_code try_subset(kds_child *c, const cross *x, uint32_t subset, kds_err *e)
{
    space s = x->s;
    int point[KDS_TUNABLES], now[KDS_TUNABLES];
    memcpy(point, s.now, sizeof point);
    memcpy(now, s.now, sizeof now);
    for (int k = 0; k < x->count; k++) {
        kds_tunable *u = &s.tunables[x->at[k]];
        if (!(subset >> k & 1))
            continue;
        int64_t ours = u->values[now[x->at[k]]];
        if (index_of(u, x->value[k]) < 0) {
            u->values[u->count++] = x->value[k];
            sort_values(u);
        }
        now[x->at[k]] = index_of(u, ours);
        point[x->at[k]] = index_of(u, x->value[k]);
    }
    write_point(&c->candidate, c->parent, c->parent_len, &s, point);
    describe(&c->words, &s, now, point);
    kds_buf_puts(&c->words, ", as in the other parent");
    return kds_child_try(c, e);
}

kds_code kds_builtin_crossover(const kds_ask *ask, kds_random *random, kds_child *c, kds_err *e)
{
    cross x;
    kds_code code = KDS_OK;
    read_cross(&x, ask);
    uint32_t subsets = (1u << x.count) - 1;
    for (int i = 0; i < ATTEMPTS && subsets > 0 && !c->made && !code; i++) {
        uint32_t subset = 1 + (uint32_t)kds_random_below(random, subsets);
        code = try_subset(c, &x, subset, e);
    }
    for (uint32_t subset = subsets; subset > 0 && subsets < ENUMERATED && !c->made && !code;
         subset--)
        code = try_subset(c, &x, subset, e);
    return code;
}
