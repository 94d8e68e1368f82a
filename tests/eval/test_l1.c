/* The L1 of a traced block and the loads of a traced warp that are under way. */
#include "eval/sim/l1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void a_sector_stays_for_a_warps_share(void **state)
{
    (void)state;
    kds_l1 *c = malloc(sizeof *c);
    assert_non_null(c);
    kds_l1_clear(c);
    assert_false(kds_l1_load(c, 1000, 1, 32)); /* cold */
    assert_true(kds_l1_load(c, 1000, 33, 32)); /* 32 lines later, and from now on anew */
    assert_true(kds_l1_load(c, 1000, 65, 32));
    assert_false(kds_l1_load(c, 1000, 98, 32)); /* 33 lines later */
    /* A warp that is behind finds what one in front has loaded. */
    assert_true(kds_l1_load(c, 1000, 90, 32));
    assert_false(kds_l1_load(c, 1001, 90, 32)); /* the sector beside it is another one */
    assert_int_equal(c->loads, 6);
    assert_int_equal(c->misses, 3);
    assert_int_equal(c->again, 1);
    assert_true(c->again_lines == 33);
    free(c);
}

/* More sectors than any L1 has are all remembered for as long as they could be there. */
static void nothing_is_forgotten_too_early(void **state)
{
    (void)state;
    kds_l1 *c = malloc(sizeof *c);
    assert_non_null(c);
    kds_l1_clear(c);
    const uint64_t sectors = 8192; /* 256 KiB */
    for (uint64_t s = 0; s < sectors; s++)
        assert_false(kds_l1_load(c, 5000 + s, (uint32_t)(s / 4), 2048));
    for (uint64_t s = 0; s < sectors; s++)
        (void)kds_l1_load(c, 5000 + s, (uint32_t)(2048 + s / 4), 2048);
    assert_int_equal(c->misses, sectors);
    kds_l1_clear(c);
    assert_false(kds_l1_load(c, 5000, 0, 2048));
    free(c);
}

static void loads_wait_for_registers(void **state)
{
    (void)state;
    kds_flight f = {.count = 0};
    for (int k = 0; k < 4; k++) {
        assert_true(kds_flight_issue(&f, k, 4, 16) == k);
        kds_flight_add(&f, 800 + k, 4);
    }
    /* The fifth has room when the first is there. */
    assert_true(kds_flight_issue(&f, 4, 4, 16) == 800);
    kds_flight_add(&f, 1600, 4);
    /* Eight registers: when the next two are there. */
    assert_true(kds_flight_issue(&f, 5, 8, 16) == 802);
    kds_flight_add(&f, 1700, 8);
    /* More than there is: alone. */
    assert_true(kds_flight_issue(&f, 6, 40, 16) == 1700);
    assert_int_equal(f.count, 0);
    assert_int_equal(f.held, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sector_stays_for_a_warps_share),
        cmocka_unit_test(nothing_is_forgotten_too_early),
        cmocka_unit_test(loads_wait_for_registers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
