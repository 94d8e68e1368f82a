/* Barriers, deadlocks, endless loops, traps. */
#include "tests/bugs/bugs.h"

static double halves_of_48(uint64_t i)
{
    return i < 48 ? noise(47 - i) : noise(i - 48);
}

static double even_and_odd(uint64_t i)
{
    return i % 2 == 0 ? noise(63 - i) + 1 : noise(63 - i) * 2;
}

static double columns_of_100(uint64_t i)
{
    return noise(63 - i) + (63 - i + 64 < 100 ? noise(63 - i + 64) : 0);
}

static double reversed_of_90(uint64_t i)
{
    return noise(89 - i);
}

static double reversed_of_32(uint64_t i)
{
    return noise(31 - i);
}

static double pairs_below_16(uint64_t i)
{
    return noise(i) + (i < 16 ? noise(i ^ 1) : 0);
}

static double partner(uint64_t i)
{
    return noise(i ^ 1);
}

static double three_tiles(uint64_t i)
{
    return noise(31 - i) + noise(63 - i) + noise(95 - i);
}

static double positive_of_40(uint64_t i)
{
    double n = 0;
    for (uint64_t k = 0; k < 40; k++)
        n += noise(k) > 0;
    return i < 40 ? n : -1;
}

static double low_halves(uint64_t i)
{
    return i % 32 < 16 ? noise(i) + noise(i + 16) : 0;
}

static const bug_case barriers[] = {
    {"barrier_in_branch", GRID(1), BLOCK(64), .want = halves_of_48,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)), FINDS(BARRIER, "thread (")},
    {"two_barriers", GRID(1), BLOCK(64), .want = even_and_odd,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)), FINDS(BARRIER, "thread (")},
    {"barrier_in_loop", GRID(1), BLOCK(64), .want = columns_of_100,
     ARGS(IN(x, F32, 100, noise), OUT(y, F32, 64), INT(100)), FINDS(BARRIER, "thread (")},
    {"count_with_the_gone", GRID(1), BLOCK(128), .want = reversed_of_90,
     ARGS(IN(x, F32, 90, noise), OUT(y, F32, 90), INT(90)),
     FINDS(BARRIER, "barrier 1 is never complete: 3 warps arrived, 4 expected")},
    {"counts_differ", GRID(1), BLOCK(96), .want = one, ARGS(OUT(y, F32, 96)),
     FINDS(BARRIER, "barrier 1 expects", "others came for")},
    {"wrong_number", GRID(1), BLOCK(64), .want = reversed_of_32,
     ARGS(IN(x, F32, 32, noise), OUT(y, F32, 32)),
     FINDS(BARRIER, "barrier 2 is never complete: 1 warps arrived, 2 expected")},
    {"shuffle_in_branch", GRID(1), BLOCK(32), .want = pairs_below_16,
     ARGS(IN(x, F32, 32, noise), OUT(y, F32, 32)), FINDS(BARRIER, "thread (")},
    {"warp_barrier_in_branch", GRID(1), BLOCK(32), .want = partner,
     ARGS(IN(x, F32, 32, noise), OUT(y, F32, 32)), FINDS(BARRIER, "thread (")},
    {"one_round_more", GRID(1), BLOCK(64), .want = three_tiles,
     ARGS(IN(x, F32, 96, noise), OUT(y, F32, 32), INT(3)),
     FINDS(BARRIER, "barrier 1 is never complete")},
    {"vote_in_branch", GRID(1), BLOCK(64), .want = positive_of_40,
     ARGS(IN(x, F32, 64, noise), OUT(y, I32, 64)), FINDS(BARRIER, "thread (")},
    {"tile_in_branch", GRID(1), BLOCK(64), .want = low_halves,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)), FINDS(BARRIER, "thread (")},
    {"cluster_arrives_twice", GRID(4), BLOCK(32), .cluster = 2, .want = one, ARGS(OUT(y, F32, 128)),
     FINDS(BARRIER, "arrives twice")},
};

static double next(uint64_t i)
{
    return (double)i + 1;
}

static double two(uint64_t i)
{
    (void)i;
    return 2;
}

static double sum_of_64(uint64_t i)
{
    double sum = 0;
    (void)i;
    for (uint64_t k = 0; k < 64; k++)
        sum += noise(k);
    return sum;
}

static double sum_of_40(uint64_t i)
{
    double sum = 0;
    (void)i;
    for (uint64_t k = 0; k < 40; k++)
        sum += noise(k);
    return sum;
}

#define SMALL .budget = 200000

static const bug_case stuck[] = {
    {"waits_for_itself", GRID(3), BLOCK(32), .result = 1, .want = one,
     ARGS(INOUT(flags, I32, 3, zero), OUT(y, F32, 96)), FINDS(DEADLOCK, "thread (0, 0, 0)")},
    {"polls_before_barrier", GRID(1), BLOCK(64), .result = 1, .want = one,
     ARGS(INOUT(ready, I32, 1, zero), OUT(y, F32, 64)), FINDS(DEADLOCK, "thread (0, 0, 0)")},
    {"second_phase", GRID(4), BLOCK(32), .result = 1, .want = one,
     ARGS(INOUT(arrived, I32, 1, zero), OUT(y, F32, 128)), FINDS(DEADLOCK, "thread (0, 0, 0)")},
    {"grid_barrier", GRID(5), BLOCK(32), .resident = 4, .fixed_grid = 4, .result = 1, .want = one,
     ARGS(INOUT(arrived, I32, 1, zero), OUT(y, F32, 200), INT(200)),
     FINDS(DEADLOCK, "thread (0, 0, 0)")},
    {"looks_forward", GRID(3), BLOCK(32), .result = 1, .want = next,
     ARGS(INOUT(flags, I32, 4, zero), OUT(y, I32, 3)), FINDS(DEADLOCK, "thread (0, 0, 0)")},
    {"lock_kept", GRID(1), BLOCK(64), .result = 1, .want = two,
     ARGS(INOUT(lock, I32, 1, zero), INOUT(y, I32, 1, zero)),
     FINDS(DEADLOCK, "atom.global.cas.b32")},
    {"locks_crossed", GRID(1), BLOCK(64), .result = 1, .want = two,
     ARGS(INOUT(locks, I32, 2, zero), INOUT(y, I32, 1, zero)),
     FINDS(DEADLOCK, "atom.global.cas.b32")},
    {"leaves_grid", GRID(4), BLOCK(32), .cooperative = true, .want = one,
     ARGS(OUT(y, F32, 90), INT(90)), FINDS(DEADLOCK, "thread (0, 0, 0)")},
    {"cluster_half", GRID(4), BLOCK(32), .cluster = 2, .want = one, ARGS(OUT(y, F32, 128)),
     FINDS(DEADLOCK, "barrier of the cluster")},
    {"unsigned_countdown", GRID(1), BLOCK(32), SMALL, .want = sum_of_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 32), INT(64)), FINDS(BUDGET, "thread (0, 0, 0)")},
    {"step_zero", GRID(1), BLOCK(32), SMALL, .want = sum_of_40,
     ARGS(IN(x, F32, 40, noise), OUT(y, F32, 32), INT(40)), FINDS(BUDGET, "thread (0, 0, 0)")},
    {"overshoot", GRID(2), BLOCK(32), SMALL, .result = 1, .want = iota,
     ARGS(INOUT(head, I32, 1, zero), OUT(y, I32, 500), INT(500)), FINDS(BUDGET, "budget")},
    {"halves_zero", GRID(1), BLOCK(64), SMALL, .want = sum_of_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 1)), FINDS(BUDGET, "budget")},
    {"search_stands_still", GRID(1), BLOCK(32), SMALL, .want = next,
     ARGS(IN(x, I32, 40, iota), OUT(y, I32, 32), INT(40)), FINDS(BUDGET, "budget")},
    {"over_capacity", GRID(1), BLOCK(64), .want = one,
     ARGS(IN(x, F32, 64, noise), OUT(y, I32, 64), INT(40)), FINDS(TRAP, "block (0, 0, 0)")},
    {"refuses_block", GRID(1), BLOCK(48), .want = one, ARGS(OUT(y, F32, 48)),
     FINDS(TRAP, "thread (0, 0, 0)")},
    {"asserts", GRID(1), BLOCK(32), .want = iota, ARGS(IN(x, I32, 32, iota), OUT(y, I32, 32)),
     FINDS(TRAP, "thread (31, 0, 0)")},
};

int main(void)
{
    const bug_file files[] = {BUG_FILE("barriers.cu", barriers), BUG_FILE("stuck.cu", stuck)};
    return bugs_main(files, sizeof files / sizeof files[0]);
}
