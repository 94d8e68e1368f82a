/* Asynchronous copies, mbarriers, clusters. */
#include "tests/bugs/bugs.h"

static double ends_of_vector(uint64_t i)
{
    return noise(4 * i) + noise(4 * i + 3);
}

static double three_tiles_of_128(uint64_t i)
{
    return noise(127 - i) + noise(255 - i) + noise(383 - i);
}

static double three_tiles_of_256(uint64_t i)
{
    return noise(255 - i) + noise(511 - i) + noise(767 - i);
}

static double three_tiles_of_64(uint64_t i)
{
    return noise(63 - i) + noise(127 - i) + noise(191 - i);
}

static double reversed_256(uint64_t i)
{
    return noise(255 - i);
}

static double reversed_64(uint64_t i)
{
    return noise(63 - i);
}

static double reversed_32(uint64_t i)
{
    return noise(31 - i);
}

static double reversed_of_50(uint64_t i)
{
    return 63 - i < 50 ? noise(63 - i) : 0;
}

static double from_fourth(uint64_t i)
{
    return noise(67 - i);
}

static double last_of_vector(uint64_t i)
{
    return 4 * i + 3 < 100 ? noise(4 * i + 3) : 0;
}

static double more(uint64_t i)
{
    return noise(i) + 1;
}

static const bug_case async[] = {
    {"copy_no_wait", GRID(1), BLOCK(32), .want = ends_of_vector,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 32)), FINDS(ASYNC, "thread (0, 0, 0)")},
    {"copy_no_commit", GRID(1), BLOCK(32), .want = ends_of_vector,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 32)), FINDS(ASYNC, "thread (0, 0, 0)")},
    {"pipeline_last_tile", GRID(1), BLOCK(32), .want = three_tiles_of_128,
     ARGS(IN(x, F32, 384, noise), OUT(y, F32, 32), INT(3)), FINDS(ASYNC, "thread (")},
    {"copy_no_barrier", GRID(1), BLOCK(64), .want = reversed_256,
     ARGS(IN(x, F32, 256, noise), OUT(y, F32, 64)), .also = OR(RACE) | OR(UNINITIALISED),
     FINDS(ASYNC, "thread (")},
    {"copy_overwritten", GRID(1), BLOCK(32), .want = last_of_vector,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 32), INT(100)), FINDS(ASYNC, "thread (25, 0, 0)")},
    {"copy_into_read_stage", GRID(1), BLOCK(64), .want = three_tiles_of_256,
     ARGS(IN(x, F32, 768, noise), OUT(y, F32, 64), INT(3)), .also = OR(RACE),
     FINDS(ASYNC, "thread (")},
    {"bulk_no_wait", GRID(1), BLOCK(64), .want = reversed_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)), FINDS(ASYNC, "thread (")},
    {"bulk_wrong_parity", GRID(1), BLOCK(64), .want = reversed_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)), .also = OR(UNINITIALISED) | OR(RACE),
     FINDS(ASYNC, "thread (")},
    {"bulk_parity_kept", GRID(1), BLOCK(64), .want = three_tiles_of_64,
     ARGS(IN(x, F32, 192, noise), OUT(y, F32, 64), INT(3)), .also = OR(RACE),
     FINDS(ASYNC, "thread (")},
    {"bulk_expects_more", GRID(1), BLOCK(64), .want = reversed_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)), FINDS(DEADLOCK, "thread (")},
    {"count_too_high", GRID(1), BLOCK(64), .want = reversed_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)), FINDS(DEADLOCK, "thread (")},
    {"arrival_in_branch", GRID(1), BLOCK(64), .want = reversed_of_50,
     ARGS(IN(x, F32, 50, noise), OUT(y, F32, 64), INT(50)), FINDS(DEADLOCK, "thread (")},
    {"one_phase_more", GRID(1), BLOCK(64), .want = reversed_32,
     ARGS(IN(x, F32, 32, noise), OUT(y, F32, 32), INT(1)), FINDS(DEADLOCK, "thread (32, 0, 0)")},
    {"bulk_store_no_fence", GRID(1), BLOCK(64), .want = reversed_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)), FINDS(ASYNC, "thread (")},
    {"bulk_store_reused", GRID(1), BLOCK(64), .want = more,
     ARGS(IN(x, F32, 192, noise), OUT(y, F32, 192), INT(3)), FINDS(ASYNC, "thread (")},
    {"bulk_misaligned", GRID(1), BLOCK(64), .want = from_fourth,
     ARGS(IN(x, F32, 68, noise), OUT(y, F32, 64)),
     FINDS(MISALIGNED, "thread (0, 0, 0)", "at byte 8 of x (272 bytes)")},
    {"bulk_past_end", GRID(2), BLOCK(64), .want = noise,
     ARGS(IN(x, F32, 100, noise), OUT(y, F32, 100), INT(100)),
     FINDS(OUT_OF_BOUNDS, "block (1, 0, 0), thread (0, 0, 0)", "x (400 bytes)")},
    {"bulk_to_input", GRID(1), BLOCK(64), .want = reversed_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)),
     FINDS(WROTE_INPUT, "thread (0, 0, 0)", "x (256 bytes)")},
};

static double other_block(uint64_t i)
{
    return noise((i / 32 ^ 1) * 32 + 31 - i % 32);
}

static double second_of_pair(uint64_t i)
{
    return noise(i / 64 * 64 + 32 + i % 32);
}

static double next_rank(uint64_t i)
{
    return noise((i / 32 ^ 1) * 32 + i % 32);
}

static double all_of_two(uint64_t i)
{
    (void)i;
    return 64;
}

#define CLUSTERS GRID(4), BLOCK(32), .cluster = 2

static const bug_case clusters[] = {
    {"remote_before_sync", CLUSTERS, .want = other_block,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 128)), .also = OR(UNINITIALISED),
     FINDS(RACE, "thread (")},
    {"remote_after_exit", CLUSTERS, .want = second_of_pair, .also = OR(RACE),
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 128), INT(20000)),
     FINDS(OUT_OF_BOUNDS, "block (0, 0, 0)", "which has ended")},
    {"rank_too_high", CLUSTERS, .want = next_rank, ARGS(IN(x, F32, 128, noise), OUT(y, F32, 128)),
     FINDS(OUT_OF_BOUNDS, "block (1, 0, 0)", "block 2 of a cluster of 2")},
    {"remote_past_end", CLUSTERS, .want = other_block,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 128)),
     FINDS(OUT_OF_BOUNDS, "thread (0, 0, 0)", "at byte 128 of", "shared memory (128 bytes)")},
    {"counter_cleared_late", CLUSTERS, .want = all_of_two, ARGS(OUT(y, I32, 128)),
     .also = OR(UNINITIALISED), FINDS(RACE, "thread (")},
    {"cluster_wait_only", CLUSTERS, .want = one, ARGS(OUT(y, F32, 128)),
     FINDS(BARRIER, "without having arrived")},
    {"remote_store_local_barrier", CLUSTERS, .want = other_block,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 128)), FINDS(RACE, "thread (")},
};

int main(void)
{
    const bug_file files[] = {BUG_FILE("async.cu", async), BUG_FILE("cluster.cu", clusters)};
    return bugs_main(files, sizeof files / sizeof files[0]);
}
