/* Accesses that nothing orders, of shared and of global memory. */
#include "tests/bugs/bugs.h"

static double sum_of(uint64_t n)
{
    double sum = 0;
    for (uint64_t k = 0; k < n; k++)
        sum += noise(k);
    return sum;
}

static double reversed_128(uint64_t i)
{
    return noise(127 - i);
}

static double reversed_32(uint64_t i)
{
    return noise(31 - i);
}

static double partner(uint64_t i)
{
    return noise(i ^ 1);
}

static double three_tiles(uint64_t i)
{
    return noise(63 - i) + noise(127 - i) + noise(191 - i);
}

static double reversed_quarters(uint64_t i)
{
    return noise(i / 26 * 26 + 25 - i % 26);
}

static double reversed_warps(uint64_t i)
{
    return noise(i / 32 * 32 + 31 - i % 32);
}

static double columns_of_100(uint64_t i)
{
    return noise(63 - i) + (63 - i + 64 < 100 ? noise(63 - i + 64) : 0);
}

static double sum_of_128(uint64_t i)
{
    return sum_of(128 + 0 * i);
}

static double transposed_8(uint64_t i)
{
    return noise(i % 8 * 8 + i / 8);
}

static double block_of_128(uint64_t i)
{
    (void)i;
    return 128;
}

static double sixteen(uint64_t i)
{
    return (double)(i % 16);
}

static double twenty(uint64_t i)
{
    (void)i;
    return 20;
}

static double prefix(uint64_t i)
{
    return sum_of(i + 1);
}

static double before_this(uint64_t i)
{
    return i == 0 ? 0 : sum_of(i);
}

static double running(uint64_t i)
{
    return before_this(i) + noise(i);
}

static double first_is_negative(uint64_t i)
{
    (void)i;
    return 1;
}

static double neighbours_64(uint64_t i)
{
    return (i > 0 ? noise(i - 1) : 0) + (i < 63 ? noise(i + 1) : 0);
}

static double neighbours_128(uint64_t i)
{
    return (i > 0 ? noise(i - 1) : 0) + (i < 127 ? noise(i + 1) : 0);
}

static double byte(uint64_t i)
{
    return (double)(i * 3 % 200);
}

static double bytes_reversed(uint64_t i)
{
    return byte(127 - i);
}

static const bug_case races[] = {
    {"no_barrier_before_read", GRID(1), BLOCK(128), .want = reversed_128,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 128)), .also = OR(UNINITIALISED),
     FINDS(RACE, "shared memory", "thread (")},
    {"no_barrier_at_loop_end", GRID(1), BLOCK(64), .want = three_tiles,
     ARGS(IN(x, F32, 192, noise), OUT(y, F32, 64), INT(3)), FINDS(RACE, "shared memory")},
    {"no_warp_barrier", GRID(1), BLOCK(128), .want = partner,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 128)), FINDS(RACE, "shared memory")},
    {"warp_barrier_for_block", GRID(1), BLOCK(128), .want = reversed_128,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 128)), .also = OR(UNINITIALISED),
     FINDS(RACE, "shared memory")},
    {"warp_barrier_for_block", GRID(1), BLOCK(32), .want = reversed_32,
     ARGS(IN(x, F32, 32, noise), OUT(y, F32, 32)), .status = KDS_SIM_OK},
    {"quarters_of_block", GRID(1), BLOCK(104), .want = reversed_quarters,
     ARGS(IN(x, F32, 104, noise), OUT(y, F32, 104)), .also = OR(UNINITIALISED),
     FINDS(RACE, "shared memory")},
    {"quarters_of_block", GRID(1), BLOCK(128), .want = reversed_warps,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 128)), .status = KDS_SIM_OK},
    {"no_barrier_in_tail", GRID(1), BLOCK(64), .want = columns_of_100,
     ARGS(IN(x, F32, 100, noise), OUT(y, F32, 64), INT(100)), FINDS(RACE, "shared memory")},
    {"no_barrier_in_tail", GRID(1), BLOCK(64), .want = three_tiles,
     ARGS(IN(x, F32, 192, noise), OUT(y, F32, 64), INT(192)), .status = KDS_SIM_OK},
    {"double_buffer", GRID(1), BLOCK(64), .want = three_tiles,
     ARGS(IN(x, F32, 192, noise), OUT(y, F32, 64), INT(3)), FINDS(RACE, "shared memory")},
    {"last_steps", GRID(1), BLOCK(128), .want = sum_of_128,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 1)), FINDS(RACE, "shared memory")},
    {"transposed_in_place", GRID(1), BLOCK(8, 8), .want = transposed_8,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)), FINDS(RACE, "shared memory")},
    {"reduced_twice", GRID(1), BLOCK(128), .want = block_of_128,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 128)), FINDS(RACE, "shared memory")},
    {"bins_not_atomic", GRID(1), BLOCK(64), .want = twenty,
     ARGS(IN(x, I32, 320, sixteen), OUT(y, I32, 16), INT(320)), FINDS(RACE, "shared memory")},
    {"scan_one_barrier", GRID(1), BLOCK(128), .want = prefix,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 128)), FINDS(RACE, "shared memory")},
    {"decision_not_awaited", GRID(1), BLOCK(64), .want = first_is_negative,
     ARGS(IN(x, F32, 1, noise), OUT(y, F32, 64)), .also = OR(UNINITIALISED),
     FINDS(RACE, "shared memory")},
    {"found_flag", GRID(1), BLOCK(64), .want = one, ARGS(IN(x, F32, 64, noise), OUT(y, I32, 64)),
     FINDS(RACE, "shared memory")},
    {"consumer_does_not_wait", GRID(1), BLOCK(64), .want = reversed_32,
     ARGS(IN(x, F32, 32, noise), OUT(y, F32, 32)), .also = OR(UNINITIALISED),
     FINDS(RACE, "shared memory")},
    {"halo_behind_barrier", GRID(1), BLOCK(64), .want = neighbours_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64), INT(64)), .also = OR(UNINITIALISED),
     FINDS(RACE, "shared memory")},
    {"bytes_of_a_word", GRID(1), BLOCK(128), .want = bytes_reversed,
     ARGS(IN(x, U8, 128, byte), OUT(y, U8, 128)), FINDS(RACE, "shared memory")},
};

static double sum_and_one(uint64_t i)
{
    return sum_of_128(i) + 1;
}

static double doubled(uint64_t i)
{
    return 2 * noise(i);
}

static double block_before(uint64_t i)
{
    return i < 32 ? 0 : noise(i - 32);
}

static double next_block(uint64_t i)
{
    return (double)((i / 32 + 1) % 4) + 1;
}

static const bug_case races_global[] = {
    {"stencil_in_place", GRID(4), BLOCK(32), .result = 1, .want = neighbours_128,
     ARGS(INOUT(x, F32, 128, noise), OUT(y, F32, 128), INT(128)), FINDS(RACE, "of x (512 bytes)")},
    {"last_block_no_fence", GRID(4), BLOCK(32), .result = 3, .want = sum_of_128,
     ARGS(IN(x, F32, 128, noise), OUT(part, F32, 4), INOUT(ticket, I32, 1, zero), OUT(y, F32, 1)),
     FINDS(RACE, "of part (16 bytes)")},
    {"counter_not_atomic", GRID(4), BLOCK(32), .result = 1, .want = one,
     ARGS(INOUT(counter, I32, 1, zero), OUT(y, I32, 4)), FINDS(RACE, "of counter (4 bytes)")},
    {"sum_not_atomic", GRID(4), BLOCK(32), .want = sum_of_128,
     ARGS(IN(x, F32, 128, noise), INOUT(y, F32, 1, zero)), FINDS(RACE, "of y (4 bytes)")},
    {"overlapping_tiles", GRID(4), BLOCK(32), .want = iota, ARGS(OUT(y, F32, 128)),
     FINDS(RACE, "at byte 124 of y (512 bytes)")},
    {"cleared_by_one", GRID(4), BLOCK(32), .want = sum_and_one,
     ARGS(IN(x, F32, 128, noise), INOUT(y, F32, 1, one)), FINDS(RACE, "of y (4 bytes)")},
    {"flag_no_fence", GRID(4), BLOCK(32), .result = 3, .want = running,
     ARGS(IN(x, F32, 4, noise), OUT(value, F32, 4), INOUT(flag, I32, 4, zero), OUT(y, F32, 4)),
     FINDS(RACE, "of value (16 bytes)")},
    {"blocks_in_order", GRID(4), BLOCK(32), .result = 2, .want = block_before,
     ARGS(IN(x, F32, 128, noise), OUT(part, F32, 128), OUT(y, F32, 128)),
     FINDS(RACE, "of part (512 bytes)")},
    {"moved_back_in_place", GRID(2), BLOCK(64), .result = 1, .want = doubled,
     ARGS(INOUT(x, F32, 100, noise), OUT(y, F32, 100), INT(100)),
     FINDS(RACE, "at byte 144 of x (400 bytes)")},
    {"grid_barrier_no_fence", GRID(4), BLOCK(32), .result = 2, .want = next_block,
     ARGS(OUT(part, F32, 4), INOUT(arrived, I32, 1, zero), OUT(y, F32, 128)),
     FINDS(RACE, "of part (16 bytes)")},
    {"global_bins", GRID(10), BLOCK(32), .want = twenty,
     ARGS(IN(x, I32, 320, sixteen), INOUT(bins, I32, 16, zero)), FINDS(RACE, "of bins (64 bytes)")},
};

int main(void)
{
    const bug_file files[] = {BUG_FILE("races.cu", races),
                              BUG_FILE("races_global.cu", races_global)};
    return bugs_main(files, sizeof files / sizeof files[0]);
}
