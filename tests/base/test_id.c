/* Content ids against xxHash's published values, and their spelling. */
#include "search/base/id.h"
#include "tests/base/base_test.h"

/* The empty input's hashes are in xxHash's documentation and its test vectors. */
static void agrees_with_xxhash(void **state)
{
    (void)state;
    char hex[KDS_ID_HEX];
    kds_id_format(kds_id_of("", 0), hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
    assert_true(kds_hash64("", 0, 0) == 0x2d06800538d394c2u);
    assert_true(kds_hash64("abc", 3, 0) == 0x78af5f94892f3950u);
    assert_true(kds_hash64("abc", 3, 1) != kds_hash64("abc", 3, 0));
    kds_id_format(kds_id_of("abc", 3), hex);
    assert_string_equal(hex, "06b05ab6733a618578af5f94892f3950");
}

static void text_round_trips(void **state)
{
    (void)state;
    kds_id a = {.high = 0x0123456789abcdefu, .low = 0x00000000000000ffu}, b;
    char hex[KDS_ID_HEX];
    kds_id_format(a, hex);
    assert_string_equal(hex, "0123456789abcdef00000000000000ff");
    assert_true(kds_id_parse(hex, &b));
    assert_true(kds_id_equal(a, b));
    assert_false(kds_id_is_zero(b));
    assert_true(kds_id_parse("00000000000000000000000000000000", &b));
    assert_true(kds_id_is_zero(b));
    assert_false(kds_id_equal(a, b));
    assert_false(kds_id_equal((kds_id){1, 2}, (kds_id){1, 3}));
    assert_false(kds_id_is_zero((kds_id){0, 1}));
    assert_false(kds_id_is_zero((kds_id){1, 0}));
}

static void refuses_other_texts(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",
                                      "0123456789abcdef00000000000000f",
                                      "0123456789abcdef00000000000000fff",
                                      "0123456789ABCDEF00000000000000ff",
                                      "0123456789abcdeg00000000000000ff",
                                      "0x23456789abcdef00000000000000ff",
                                      " 123456789abcdef00000000000000ff",
                                      NULL};
    kds_id out = {5, 6};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_false(kds_id_parse(BAD[i], &out));
    assert_true(out.high == 5 && out.low == 6);
}

static void pieces_hash_like_the_whole(void **state)
{
    (void)state;
    char data[5000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31 + i / 7);
    for (size_t piece = 1; piece < sizeof data; piece = piece * 3 + 1) {
        kds_hasher *h = kds_hasher_create();
        assert_non_null(h);
        for (size_t i = 0; i < sizeof data; i += piece)
            kds_hasher_add(h, data + i, sizeof data - i < piece ? sizeof data - i : piece);
        kds_hasher_add(h, NULL, 0);
        assert_true(kds_id_equal(kds_hasher_id(h), kds_id_of(data, sizeof data)));
        kds_hasher_add(h, "x", 1);
        assert_false(kds_id_equal(kds_hasher_id(h), kds_id_of(data, sizeof data)));
        kds_hasher_free(h);
    }
    kds_hasher_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_xxhash),
        cmocka_unit_test(text_round_trips),
        cmocka_unit_test(refuses_other_texts),
        cmocka_unit_test(pieces_hash_like_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
