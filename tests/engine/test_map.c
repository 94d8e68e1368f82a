/* The state's two hash tables against a plain list: ids to decisions, keys to cells. */
#include "search/base/random.h"
#include "search/engine/state_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define IDS 700

/* Ids of several kinds: far apart, side by side, and all of one place in any table. */
static kds_id id_of(int kind, uint64_t i)
{
    kds_id ids[] = {{i * 0x9e3779b97f4a7c15, i * 0xc2b2ae3d27d4eb4f}, {7, i}, {i, i << 40}};
    return ids[kind];
}

static void test_ids(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        kds_map *m = kds_map_create();
        assert_non_null(m);
        assert_int_equal(kds_map_get(m, id_of(kind, 1)), -1);
        for (int i = 0; i < IDS; i++) {
            assert_int_equal(kds_map_get(m, id_of(kind, (uint64_t)i)), -1);
            assert_true(kds_map_put(m, id_of(kind, (uint64_t)i), i));
            assert_true(kds_map_put(m, id_of(kind, (uint64_t)i / 2), 9999)); /* keeps the first */
        }
        for (int i = 0; i < IDS; i++)
            assert_int_equal(kds_map_get(m, id_of(kind, (uint64_t)i)), i);
        assert_int_equal(kds_map_get(m, id_of(kind, IDS)), -1);
        kds_map_free(m);
    }
    kds_map_free(NULL);
}

/* Halves alone are no identity. */
static void test_both_halves_count(void **state)
{
    (void)state;
    kds_map *m = kds_map_create();
    assert_non_null(m);
    assert_true(kds_map_put(m, (kds_id){1, 2}, 5));
    assert_int_equal(kds_map_get(m, (kds_id){1, 2}), 5);
    assert_int_equal(kds_map_get(m, (kds_id){2, 2}), -1);
    assert_int_equal(kds_map_get(m, (kds_id){1, 3}), -1);
    assert_int_equal(kds_map_get(m, (kds_id){0, 0}), -1);
    assert_true(kds_map_put(m, (kds_id){0, 0}, 6));
    assert_int_equal(kds_map_get(m, (kds_id){0, 0}), 6);
    kds_map_free(m);
}

static uint64_t key_of(int kind, uint64_t i)
{
    uint64_t keys[] = {i * 0x9e3779b97f4a7c15, i, i << 32 | i};
    return keys[kind];
}

/* Cells keep their place and what is in them while the table grows; a key is found however often it
 * is added. */
static void test_cells(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        kds_state *s = kds_state_create();
        assert_non_null(s);
        assert_null(kds_state_cell(s, key_of(kind, 1)));
        for (int i = 0; i < IDS; i++) {
            uint64_t key = key_of(kind, (uint64_t)i);
            assert_null(kds_state_cell(s, key));
            kds_cell *c = kds_state_cell_add(s, key);
            assert_non_null(c);
            assert_int_equal(c->elite_decision, -1);
            assert_int_equal(c->visits, 0);
            c->visits = i + 1;
            assert_ptr_equal(kds_state_cell_add(s, key), c);
            assert_int_equal(s->cell_count, i + 1);
        }
        for (int i = 0; i < IDS; i++) {
            assert_int_equal(kds_state_cell(s, key_of(kind, (uint64_t)i))->visits, i + 1);
            assert_true(s->cells[i].key == key_of(kind, (uint64_t)i));
        }
        assert_null(kds_state_cell(s, key_of(kind, IDS)));
        kds_state_free(s);
    }
    kds_state_free(NULL);
}

static void test_keys_as_text(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "0",
                                        "00000000000000f",
                                        "00000000000000fff",
                                        "00000000000000FF",
                                        "0x000000000000ff",
                                        "000000000000 0ff",
                                        "-000000000000001"};
    kds_random random = kds_random_stream(1, 0, "keys");
    uint64_t key = 77;
    char text[17];
    for (int i = 0; i < 100; i++) {
        uint64_t want = i ? kds_random_u64(&random) : 0, got = 1;
        kds_cell_format(want, text);
        assert_int_equal(strlen(text), 16);
        assert_true(kds_cell_parse(text, &got));
        assert_true(got == want);
    }
    kds_cell_format(0xab, text);
    assert_string_equal(text, "00000000000000ab");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(kds_cell_parse(wrong[i], &key));
    assert_false(kds_cell_parse(NULL, &key));
    assert_true(key == 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_both_halves_count),
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_keys_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
