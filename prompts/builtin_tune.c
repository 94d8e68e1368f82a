/* Moves in the space of a source's tunables. A point is written in one way only, the value in force
 * first and the others ascending, so that two ways to the same point give the same text and are
 * recognised as one. */
#include "prompts/builtin_tune.h"
#include <stdlib.h>
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

/* The parent's text and its normal form with holes for values: whether a point is new is known
 * before its text is written. */
typedef struct forms {
    kds_buf normal;
    kds_tune_form text, norm;
    bool tried[ENUMERATED]; /* by number; what is beyond is looked at again */
} forms;

static void forms_close(forms *f)
{
    if (f)
        kds_buf_free(&f->normal);
    free(f);
}

/* *out is NULL where the text cannot be read: no child is made of it. */
static kds_code forms_open(forms **out, const kds_child *c, const space *s, kds_err *e)
{
    forms *f = calloc(1, sizeof *f);
    if (!f)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_buf_init(&f->normal, c->norm.cap);
    kds_lex_normalize(&f->normal, c->parent, c->parent_len);
    kds_code code = f->normal.bad;
    if (!code)
        code = kds_tune_form_read(&f->text, c->parent, c->parent_len, s->count, NULL);
    if (!code)
        code = kds_tune_form_read(&f->norm, f->normal.data, f->normal.len, s->count, NULL);
    if (!code) {
        *out = f;
        return KDS_OK;
    }
    forms_close(f);
    return code == KDS_NO_MEMORY ? kds_fail(e, code, "out of memory") : KDS_OK;
}

/* True the first time that this number is asked for. */
static bool is_first(forms *f, int64_t number)
{
    if (number >= ENUMERATED)
        return true;
    bool first = !f->tried[number];
    f->tried[number] = true;
    return first;
}

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

/* Writes the text with its tunables at `point` for trial, if it is new; false if it is not. */
static bool write_point(kds_child *c, const forms *f, const space *s, const int *point)
{
    kds_tunable chosen[KDS_TUNABLES];
    for (int i = 0; i < s->count; i++) {
        chosen[i] = s->tunables[i];
        kds_tunable_choose(&chosen[i], chosen[i].values[point[i]]);
    }
    kds_buf_reset(&c->norm);
    kds_tune_form_write(&c->norm, &f->norm, chosen, ",");
    if (c->norm.bad == KDS_OK && !kds_child_is_new(c, c->norm.data, c->norm.len))
        return false;
    kds_tune_form_write(&c->candidate, &f->text, chosen, ", ");
    return true;
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

/* The number of a point in the order in which the last tunable turns fastest; ENUMERATED if that
 * is too large. */
static int64_t number_of(const space *s, const int *point)
{
    int64_t n = 0;
    for (int i = 0; i < s->count && s->size <= ENUMERATED; i++)
        n = n * s->tunables[i].count + point[i];
    return s->size <= ENUMERATED ? n : ENUMERATED;
}

static kds_code try_point(kds_child *c, forms *f, const space *s, const int *point, kds_err *e)
{
    if (memcmp(point, s->now, (size_t)s->count * sizeof *point) == 0 ||
        !is_first(f, number_of(s, point)) || !write_point(c, f, s, point))
        return KDS_OK;
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

/* The point with that number. */
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
    forms *f = NULL;
    int movable[KDS_TUNABLES], count = 0, point[KDS_TUNABLES];
    read_space(&s, ask->parent.source, ask->parent.source_len);
    for (int i = 0; i < s.count; i++) {
        if (s.tunables[i].count > 1)
            movable[count++] = i;
    }
    kds_code code = count > 0 ? forms_open(&f, c, &s, e) : KDS_OK;
    for (int i = 0; i < ATTEMPTS && f && !c->made && !code; i++) {
        draw_point(&s, random, movable, count, point);
        code = try_point(c, f, &s, point, e);
    }
    for (int64_t n = 0; n < s.size && n < ENUMERATED && f && !c->made && !code; n++) {
        numbered_point(&s, n, point);
        code = try_point(c, f, &s, point, e);
    }
    forms_close(f);
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
    forms *f = NULL;
    int point[KDS_TUNABLES];
    read_space(&s, ask->parent.source, ask->parent.source_len);
    bool all = s.size <= samples;
    int n = all ? (int)s.size : samples < SPREAD_MAX ? samples : SPREAD_MAX;
    kds_code code = s.count > 0 ? forms_open(&f, c, &s, e) : KDS_OK;
    for (int j = 0; j < n && f && !c->made && !code; j++) {
        if (all)
            numbered_point(&s, j, point);
        else
            spread_point(&s, *random, j, n, point);
        code = try_point(c, f, &s, point, e);
    }
    forms_close(f);
    return code;
}

kds_code kds_builtin_neighbour(const kds_ask *ask, kds_random *random, kds_child *c, kds_err *e)
{
    space s;
    forms *f = NULL;
    int order[2 * KDS_TUNABLES], point[KDS_TUNABLES];
    read_space(&s, ask->parent.source, ask->parent.source_len);
    kds_code code = s.count > 0 ? forms_open(&f, c, &s, e) : KDS_OK;
    for (int i = 0; i < 2 * s.count; i++) {
        int k = (int)kds_random_below(random, (uint64_t)i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (int i = 0; i < 2 * s.count && f && !c->made && !code; i++) {
        int at = order[i] / 2, to = s.now[at] + (order[i] % 2 ? 1 : -1);
        if (to < 0 || to >= s.tunables[at].count)
            continue;
        memcpy(point, s.now, sizeof point);
        point[at] = to;
        code = try_point(c, f, &s, point, e);
    }
    forms_close(f);
    return code;
}

kds_code kds_builtin_structure(const char *normal, size_t len, kds_id *structure, int64_t *points,
                               kds_err *e)
{
    space s;
    kds_tunable least[KDS_TUNABLES];
    kds_tune_form form;
    kds_buf text;
    kds_buf_init(&text, 2 * len + 64);
    read_space(&s, normal, len);
    for (int i = 0; i < s.count; i++) {
        least[i] = s.tunables[i];
        kds_tunable_choose(&least[i], least[i].values[0]);
    }
    kds_code code = kds_tune_form_read(&form, normal, len, s.count, NULL);
    if (code == KDS_OK) {
        kds_tune_form_write(&text, &form, least, ",");
        code = text.bad;
    }
    bool readable = code == KDS_OK;
    *structure = readable ? kds_id_of(text.data, text.len) : (kds_id){0, 0};
    *points = readable ? s.size : 1;
    kds_buf_free(&text);
    return code == KDS_NO_MEMORY ? kds_fail(e, code, "out of memory") : KDS_OK;
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
static kds_code try_subset(kds_child *c, forms *f, const cross *x, uint32_t subset, kds_err *e)
{
    if (!is_first(f, subset))
        return KDS_OK;
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
    if (!write_point(c, f, &s, point))
        return KDS_OK;
    describe(&c->words, &s, now, point);
    kds_buf_puts(&c->words, ", as in the other parent");
    return kds_child_try(c, e);
}

kds_code kds_builtin_crossover(const kds_ask *ask, kds_random *random, kds_child *c, kds_err *e)
{
    cross x;
    forms *f = NULL;
    read_cross(&x, ask);
    uint32_t subsets = (1u << x.count) - 1;
    kds_code code = subsets > 0 ? forms_open(&f, c, &x.s, e) : KDS_OK;
    for (int i = 0; i < ATTEMPTS && f && !c->made && !code; i++) {
        uint32_t subset = 1 + (uint32_t)kds_random_below(random, subsets);
        code = try_subset(c, f, &x, subset, e);
    }
    for (uint32_t subset = subsets; f && subset > 0 && subsets < ENUMERATED && !c->made && !code;
         subset--)
        code = try_subset(c, f, &x, subset, e);
    forms_close(f);
    return code;
}
