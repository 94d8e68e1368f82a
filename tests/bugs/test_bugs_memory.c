/* Where memory is used that is not there, not aligned, not written or not to be written. */
#include "tests/bugs/bugs.h"

static double twice(uint64_t i)
{
    return 2 * noise(i);
}

static double thrice(uint64_t i)
{
    return 3 * noise(i);
}

static double three(uint64_t i)
{
    (void)i;
    return 3;
}

static double five(uint64_t i)
{
    (void)i;
    return 5;
}

static double more(uint64_t i)
{
    return noise(i) + 1;
}

static double less(uint64_t i)
{
    return noise(i) - 1;
}

static double with_left(uint64_t i)
{
    return noise(i) + (i > 0 ? noise(i - 1) : 0);
}

static double with_right_of_300(uint64_t i)
{
    return noise(i) + (i + 1 < 300 ? noise(i + 1) : 0);
}

static double rows_without_padding(uint64_t i)
{
    return noise(i / 60 * 64 + i % 60);
}

static double transposed_48x32(uint64_t i)
{
    return noise(i % 32 * 48 + i / 32);
}

static double far_byte(uint64_t i)
{
    return (double)((i * 3 + i / 1000000) % 251);
}

static double want_far_byte(uint64_t i)
{
    return far_byte(UINT64_C(50000) * 50000 + i);
}

static double padded_index(uint64_t i)
{
    return i % 40 == 39 ? -1 : (double)(i * 7 % 200);
}

static double gathered(uint64_t i)
{
    return i % 40 == 39 ? 0 : noise(i * 7 % 200);
}

static double up_to_ten(uint64_t i)
{
    return (double)(i % 11);
}

static double in_ten_bins(uint64_t i)
{
    return 23 + (i < 3);
}

static double to_sixteen(uint64_t i)
{
    return (double)(i % 17);
}

static double to_fifteen(uint64_t i)
{
    return i % 17 < 15 ? (double)(i % 17) : 15;
}

static double seven(uint64_t i)
{
    (void)i;
    return 7;
}

static double field(uint64_t i)
{
    return (double)(i % 5 & 3) + 1;
}

static double one_to_four(uint64_t i)
{
    return (double)(i % 5);
}

#define COUNTS INT(1), INT(2), INT(3), INT(4)

static const bug_case bounds[] = {
    {"scale_no_guard", GRID(4), BLOCK(64), .want = twice,
     ARGS(IN(x, F32, 200, noise), OUT(y, F32, 200), INT(200)),
     FINDS(OUT_OF_BOUNDS, "block (3, 0, 0), thread (8, 0, 0)",
           "reads 4 bytes at the end of x (800 bytes)")},
    {"scale_guard_le", GRID(4), BLOCK(64), .want = twice,
     ARGS(IN(x, F32, 255, noise), OUT(y, F32, 255), INT(255)),
     FINDS(OUT_OF_BOUNDS, "block (3, 0, 0), thread (63, 0, 0)",
           "reads 4 bytes at the end of x (1020 bytes)")},
    {"fill_le", GRID(2), BLOCK(96), .want = iota, ARGS(OUT(y, F32, 700), INT(700)),
     FINDS(OUT_OF_BOUNDS, "writes 4 bytes at the end of y (2800 bytes)", "thread (28, 0, 0)")},
    {"copy_vec_tail", GRID(4), BLOCK(64), .want = twice,
     ARGS(IN(x, F32, 1002, noise), OUT(y, F32, 1002), INT(1002)),
     FINDS(OUT_OF_BOUNDS, "reads 16 bytes at byte 4000 of x (4008 bytes), 8 past its end",
           "block (3, 0, 0), thread (58, 0, 0)")},
    {"pair_store_tail", GRID(1), BLOCK(64), .want = three, ARGS(OUT(y, BF16, 77), INT(77)),
     FINDS(OUT_OF_BOUNDS, "writes 4 bytes at byte 152 of y (154 bytes), 2 past its end")},
    {"stencil_left", GRID(5), BLOCK(64), .want = with_left,
     ARGS(IN(x, F32, 300, noise), OUT(y, F32, 300), INT(300)),
     FINDS(OUT_OF_BOUNDS, "block (0, 0, 0), thread (0, 0, 0)", "4 bytes before the start of x")},
    {"stencil_right", GRID(5), BLOCK(64), .want = with_right_of_300,
     ARGS(IN(x, F32, 300, noise), OUT(y, F32, 300), INT(300)),
     FINDS(OUT_OF_BOUNDS, "block (4, 0, 0), thread (43, 0, 0)", "at the end of x (1200 bytes)")},
    {"pitch_of_other", GRID(5), BLOCK(32), .want = rows_without_padding,
     ARGS(IN(x, F32, 320, noise), OUT(y, F32, 300), INT(60), INT(64)),
     FINDS(OUT_OF_BOUNDS, "block (4, 0, 0)", "writes 4 bytes", "of y (1200 bytes)")},
    {"transpose_not_square", GRID(2, 32), BLOCK(32), .want = transposed_48x32,
     ARGS(IN(x, F32, 1536, noise), OUT(y, F32, 1536), INT(32), INT(48)),
     FINDS(OUT_OF_BOUNDS, "block (1, 0, 0), thread (0, 0, 0)", "at the end of y (6144 bytes)")},
    {"one_block_too_many", GRID(5), BLOCK(64), .want = more,
     ARGS(IN(x, F32, 256, noise), OUT(y, F32, 256), INT(256)),
     FINDS(OUT_OF_BOUNDS, "block (4, 0, 0), thread (0, 0, 0)", "reads 4 bytes", "of x")},
    {"index_overflow", GRID(1), BLOCK(32), .want = want_far_byte,
     ARGS(IN(x, U8, UINT64_C(2600000000), far_byte), OUT(y, F32, 32), INT(50000), INT(50000)),
     FINDS(OUT_OF_BOUNDS, "1794967296 bytes before the start of x", "reads 1 byte")},
    {"gather_padding", GRID(2), BLOCK(64), .want = gathered,
     ARGS(IN(x, F32, 200, noise), IN(index, I32, 120, padded_index), OUT(y, F32, 120), INT(120)),
     FINDS(OUT_OF_BOUNDS, "4 bytes before the start of x", "thread (39, 0, 0)")},
    {"bins_off_by_one", GRID(4), BLOCK(64), .want = in_ten_bins,
     ARGS(IN(x, I32, 256, up_to_ten), INOUT(bins, I32, 10, zero), INT(256), INT(10)),
     FINDS(OUT_OF_BOUNDS, "at the end of bins (40 bytes)", "thread (10, 0, 0)")},
    {"clear_bytes", GRID(2), BLOCK(64), .want = zero, ARGS(OUT(y, F32, 250), INT(1000)),
     FINDS(OUT_OF_BOUNDS, "writes 4 bytes at 24 bytes past the end of y (1000 bytes)")},
    {"null_bias", GRID(1), BLOCK(64), .want = noise,
     ARGS(IN(x, F32, 50, noise), NULL_POINTER, OUT(y, F32, 50), INT(50)),
     FINDS(OUT_OF_BOUNDS, "a null pointer", "thread (0, 0, 0)")},
    {"tile_rows", GRID(3), BLOCK(40), .want = more,
     ARGS(IN(x, F32, 840, noise), OUT(y, F32, 840), INT(21), INT(40)),
     FINDS(OUT_OF_BOUNDS, "block (2, 0, 0), thread (0, 0, 0)", "of x (3360 bytes)")},
    {"unrolled_tail", GRID(1), BLOCK(64), .want = thrice,
     ARGS(IN(x, F32, 201, noise), OUT(y, F32, 201), INT(201)),
     FINDS(OUT_OF_BOUNDS, "thread (50, 0, 0)", "reads 4 bytes at the end of x (804 bytes)")},
    {"constant_table", GRID(1), BLOCK(64), .want = to_fifteen,
     ARGS(IN(x, I32, 40, to_sixteen), OUT(y, F32, 40), INT(40)),
     FINDS(OUT_OF_BOUNDS, "at the end of table (64 bytes)", "thread (16, 0, 0)")},
    {"device_slots", GRID(1), BLOCK(64), .want = seven, ARGS(OUT(y, I32, 64)),
     FINDS(OUT_OF_BOUNDS, "at the end of slots (128 bytes)", "thread (32, 0, 0)")},
    {"parameter_array", GRID(1), BLOCK(32), .want = field,
     ARGS(IN(x, I32, 32, one_to_four), OUT(y, I32, 32), COUNTS),
     FINDS(OUT_OF_BOUNDS, "thread (4, 0, 0)")},
    {"async_copy_tail", GRID(2), BLOCK(64), .want = noise,
     ARGS(IN(x, F32, 330, noise), OUT(y, F32, 330), INT(330)),
     FINDS(OUT_OF_BOUNDS, "reads 16 bytes at byte 1312 of x (1320 bytes), 8 past its end")},
};

static double right_of_64(uint64_t i)
{
    return i < 63 ? noise(i + 1) : 0;
}

static double left(uint64_t i)
{
    return i > 0 ? noise(i - 1) : 0;
}

static double reversed_64(uint64_t i)
{
    return noise(63 - i);
}

static double transposed_32(uint64_t i)
{
    return noise(i % 32 * 32 + i / 32);
}

static double sum_of(uint64_t n, uint64_t step)
{
    double sum = 0;
    for (uint64_t k = 0; k < n; k++)
        sum += noise(k * step);
    return sum;
}

static double sum_of_288(uint64_t i)
{
    (void)i;
    return sum_of(288, 1);
}

static double sum_of_96(uint64_t i)
{
    (void)i;
    return sum_of(96, 1);
}

static double two_reversed(uint64_t i)
{
    return noise(63 - i) + noise(127 - i);
}

static double neighbours_of_64(uint64_t i)
{
    return left(i) + right_of_64(i);
}

static double neighbours_of_192(uint64_t i)
{
    return left(i) + (i < 191 ? noise(i + 1) : 0);
}

static double clamped_bins(uint64_t i)
{
    double n = 0;
    for (uint64_t k = 0; k < 300; k++) {
        double b = iota(k % 17);
        n += (b > 15 ? 15 : b) == (double)i;
    }
    return n;
}

static double sum_of_eight(uint64_t i)
{
    double sum = 0;
    for (uint64_t k = 0; k < 8; k++)
        sum += noise(i + k);
    return sum;
}

/* The fourth largest of twelve. */
static double fourth_of_twelve(uint64_t i)
{
    double v[12];
    for (uint64_t k = 0; k < 12; k++) {
        uint64_t at = k;
        double x = noise(i + k);
        for (; at > 0 && v[at - 1] < x; at--)
            v[at] = v[at - 1];
        v[at] = x;
    }
    return v[0];
}

static const bug_case shared[] = {
    {"neighbour_past_end", GRID(1), BLOCK(64), .want = right_of_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)),
     FINDS(OUT_OF_BOUNDS, "thread (63, 0, 0)",
           "reads 4 bytes at byte 256 of shared memory (256 bytes)")},
    {"neighbour_before_start", GRID(1), BLOCK(64), .want = left,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)),
     FINDS(OUT_OF_BOUNDS, "thread (0, 0, 0)", "4 bytes before the start of shared memory")},
    {"dynamic_too_small", GRID(1), BLOCK(64), .shared = 128, .fixed_shared = 256,
     .want = reversed_64, ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)),
     FINDS(OUT_OF_BOUNDS, "thread (32, 0, 0)", "at byte 128 of shared memory (128 bytes)")},
    {"padded_rows", GRID(1), BLOCK(32, 32), .want = transposed_32,
     ARGS(IN(x, F32, 1024, noise), OUT(y, F32, 1024)),
     FINDS(OUT_OF_BOUNDS, "thread (1, 31, 0)", "at byte 4096 of shared memory (4096 bytes)")},
    {"ninth_warp", GRID(1), BLOCK(288), .want = sum_of_288,
     ARGS(IN(x, F32, 288, noise), OUT(y, F32, 288)),
     FINDS(OUT_OF_BOUNDS, "thread (256, 0, 0)", "at byte 32 of shared memory (32 bytes)")},
    {"carved_in_elements", GRID(1), BLOCK(64), .shared = 512, .want = two_reversed,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 64)),
     FINDS(OUT_OF_BOUNDS, "at byte 1024 of shared memory (512 bytes)", "thread (0, 0, 0)")},
    {"halo_too_far", GRID(1), BLOCK(64), .want = neighbours_of_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64), INT(64)),
     FINDS(OUT_OF_BOUNDS, "thread (63, 0, 0)", "at byte 264 of shared memory (264 bytes)")},
    {"shared_bins", GRID(1), BLOCK(64), .want = clamped_bins,
     ARGS(IN(x, I32, 300, to_sixteen), OUT(y, I32, 16), INT(300)),
     FINDS(OUT_OF_BOUNDS, "4 bytes at byte 64 of shared memory (64 bytes)")},
    {"local_past_end", GRID(1), BLOCK(32), .want = sum_of_eight,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 32), INT(8)),
     FINDS(OUT_OF_BOUNDS, "writes 4 bytes at the end of __local_depot",
           "(32 bytes of local memory)")},
    {"local_before_start", GRID(1), BLOCK(32), .want = fourth_of_twelve,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 32), INT(12)),
     FINDS(OUT_OF_BOUNDS, "reads 4 bytes at 4 bytes before the start of __local_depot")},
};

static double row_of_33(uint64_t i)
{
    double sum = 0;
    for (uint64_t k = 0; k < 4; k++)
        sum += noise(i / 8 * 33 + i % 8 * 4 + k);
    return sum;
}

static double odd_pair(uint64_t i)
{
    return noise(2 * i + 1) + noise(2 * i + 2);
}

static double four_reversed(uint64_t i)
{
    double sum = 0;
    for (uint64_t k = 0; k < 4; k++)
        sum += noise(4 * (31 - i) + k);
    return sum;
}

static double swapped_vectors(uint64_t i)
{
    return noise(i % 8 * 32 + 4 * (i / 8));
}

static double four(uint64_t i)
{
    (void)i;
    return 4;
}

static double pair(uint64_t i)
{
    return noise(2 * i) + noise(2 * i + 1);
}

static double third_counts(uint64_t i)
{
    return i == 2 ? 64 : 0;
}

static const bug_case aligned[] = {
    {"odd_rows", GRID(4), BLOCK(8), .want = row_of_33,
     ARGS(IN(x, F32, 132, noise), OUT(y, F32, 32), INT(33)),
     FINDS(MISALIGNED, "block (1, 0, 0), thread (0, 0, 0)",
           "reads 16 bytes at byte 132 of x (528 bytes): not a multiple of 16")},
    {"pair_at_odd", GRID(1), BLOCK(32), .want = odd_pair,
     ARGS(IN(x, BF16, 66, noise), OUT(y, F32, 32), INT(1)),
     FINDS(MISALIGNED, "at byte 2 of x (132 bytes): not a multiple of 4")},
    {"rows_of_twelve", GRID(1), BLOCK(32), .want = noise,
     ARGS(IN(x, BF16, 384, noise), OUT(y, BF16, 384)),
     FINDS(MISALIGNED, "thread (1, 0, 0)", "at byte 24 of x (768 bytes): not a multiple of 16")},
    {"store_at_odd", GRID(1), BLOCK(32), .want = five, ARGS(OUT(y, F32, 65)),
     FINDS(MISALIGNED, "writes 8 bytes at byte 4 of y (260 bytes): not a multiple of 8")},
    {"shared_after_flags", GRID(1), BLOCK(32), .shared = 560, .want = four_reversed,
     ARGS(IN(x, F32, 128, noise), OUT(y, F32, 32)),
     FINDS(MISALIGNED, "at byte 36 of shared memory (560 bytes)", "not a multiple of 16")},
    {"shared_padded_vectors", GRID(1), BLOCK(8, 8), .want = swapped_vectors,
     ARGS(IN(x, F32, 256, noise), OUT(y, F32, 64)),
     FINDS(MISALIGNED, "thread (0, 1, 0)", "at byte 132 of shared memory")},
    {"double_after_floats", GRID(1), BLOCK(32), .shared = 64, .want = four,
     ARGS(OUT(y, F32, 32), INT(5)),
     FINDS(MISALIGNED, "writes 8 bytes at byte 20 of shared memory", "thread (0, 0, 0)")},
    {"async_rows_of_eight", GRID(1), BLOCK(32), .want = pair,
     ARGS(IN(x, F32, 66, noise), OUT(y, F32, 32)),
     FINDS(MISALIGNED, "thread (1, 0, 0)", "at byte 8 of x (264 bytes)")},
    {"wide_atomic", GRID(2), BLOCK(32), .want = third_counts, ARGS(INOUT(y, I32, 8, zero)),
     FINDS(MISALIGNED, "at byte 4 of y (32 bytes): not a multiple of 8")},
    {"matrix_rows", GRID(1), BLOCK(32), .want = pair, ARGS(IN(x, BF16, 64, noise), OUT(y, F32, 32)),
     FINDS(MISALIGNED, "at byte 40 of shared memory")},
};

static double columns_of_200(uint64_t i)
{
    double sum = 0;
    for (uint64_t k = i; k < 200; k += 64)
        sum += noise(k);
    return sum;
}

static double tile_of_100(uint64_t i)
{
    double sum = 0;
    for (uint64_t k = 64 * i; k < 64 * i + 64 && k < 100; k++)
        sum += noise(k);
    return sum;
}

static double reversed_96(uint64_t i)
{
    return noise(95 - i);
}

static double positive_of_64(uint64_t i)
{
    double n = 0;
    (void)i;
    for (uint64_t k = 0; k < 64; k++)
        n += noise(k) > 0;
    return n;
}

static double three_tiles_reversed(uint64_t i)
{
    return noise(63 - i) + noise(127 - i) + noise(191 - i);
}

static double triple(uint64_t i)
{
    return noise(3 * i) + noise(3 * i + 1) + noise(3 * i + 2);
}

static double byte_value(uint64_t i)
{
    return (double)(i * 11 % 200);
}

static double triple_bytes(uint64_t i)
{
    return byte_value(3 * i) + byte_value(3 * i + 1) + byte_value(3 * i + 2);
}

static double rows_of_33(uint64_t i)
{
    double sum = 0;
    for (uint64_t c = 0; c < 33; c++)
        sum += noise(i * 33 + c);
    return sum;
}

/* Of eight values, those above zero. */
static double positive_sum(uint64_t i)
{
    double sum = 0;
    (void)i;
    for (uint64_t k = 0; k < 8; k++)
        sum += noise(k) > 0 ? noise(k) : 0;
    return sum;
}

static double reversed_or_zero(uint64_t i)
{
    return 63 - i < 50 ? noise(63 - i) : 0;
}

static const bug_case uninit[] = {
    {"scratch_not_cleared", GRID(1), BLOCK(32), .result = 2, .want = noise,
     ARGS(IN(x, F32, 32, noise), OUT(part, F32, 32), OUT(y, F32, 32)),
     FINDS(UNINITIALISED, "at byte 0 of part (128 bytes)", "thread (0, 0, 0)")},
    {"output_accumulated", GRID(1), BLOCK(64), .want = columns_of_200,
     ARGS(IN(x, F32, 200, noise), OUT(y, F32, 64), INT(200)),
     FINDS(UNINITIALISED, "of y (256 bytes)")},
    {"output_atomic", GRID(1), BLOCK(64), .want = noise,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)), FINDS(UNINITIALISED, "at byte 0 of y")},
    {"tile_tail_not_filled", GRID(2), BLOCK(64), .want = tile_of_100,
     ARGS(IN(x, F32, 100, noise), OUT(y, F32, 2), INT(100)),
     FINDS(UNINITIALISED, "block (1, 0, 0)", "at byte 144 of shared memory (256 bytes)")},
    {"fewer_threads_than_places", GRID(1), BLOCK(64), .want = reversed_96,
     ARGS(IN(w, F32, 96, noise), OUT(y, F32, 96)),
     FINDS(UNINITIALISED, "thread (0, 0, 0)", "at byte 380 of shared memory (384 bytes)")},
    {"reduce_three_warps", GRID(1), BLOCK(96), .want = sum_of_96,
     ARGS(IN(x, F32, 96, noise), OUT(y, F32, 1)),
     FINDS(UNINITIALISED, "thread (32, 0, 0)", "at byte 384 of shared memory (512 bytes)")},
    {"shared_counter", GRID(1), BLOCK(64), .want = positive_of_64,
     ARGS(IN(x, F32, 64, noise), OUT(y, I32, 64)), FINDS(UNINITIALISED, "shared memory")},
    {"ticket_not_zeroed", GRID(3), BLOCK(32), .result = 3, .want = one,
     ARGS(IN(x, F32, 3, noise), OUT(part, F32, 3), OUT(ticket, I32, 1), OUT(y, I32, 3)),
     FINDS(UNINITIALISED, "at byte 0 of ticket (4 bytes)")},
    {"second_half_first", GRID(1), BLOCK(64), .want = three_tiles_reversed,
     ARGS(IN(x, F32, 192, noise), OUT(y, F32, 64), INT(3)),
     FINDS(UNINITIALISED, "shared memory (512 bytes)")},
    {"fourth_component", GRID(1), BLOCK(32), .result = 2, .want = triple,
     ARGS(IN(x, F32, 96, noise), OUT(part, F32, 128), OUT(y, F32, 32)),
     FINDS(UNINITIALISED, "of part (512 bytes)")},
    {"three_bytes", GRID(1), BLOCK(32), .result = 2, .want = triple_bytes,
     ARGS(IN(x, U8, 96, byte_value), OUT(packed, U8, 128), OUT(y, I32, 32)),
     FINDS(UNINITIALISED, "reads 4 bytes at byte 0 of packed (128 bytes)")},
    {"padding_summed", GRID(1), BLOCK(8), .result = 2, .want = rows_of_33,
     ARGS(IN(x, F32, 264, noise), OUT(part, F32, 288), OUT(y, F32, 8), INT(33)),
     FINDS(UNINITIALISED, "at byte 132 of part (1152 bytes)", "thread (0, 0, 0)")},
    {"halo_of_first_block", GRID(3), BLOCK(64), .want = neighbours_of_192,
     ARGS(IN(x, F32, 192, noise), OUT(y, F32, 192), INT(192)),
     FINDS(UNINITIALISED, "block (0, 0, 0), thread (0, 0, 0)", "at byte 0 of shared memory")},
    {"local_not_filled", GRID(1), BLOCK(32), .want = positive_sum,
     ARGS(IN(x, F32, 8, noise), OUT(y, F32, 32), INT(8), INT(8)),
     FINDS(UNINITIALISED, "(32 bytes of local memory)")},
    {"exit_before_fill", GRID(1), BLOCK(64), .want = reversed_or_zero,
     ARGS(IN(x, F32, 50, noise), OUT(y, F32, 50), INT(50)),
     FINDS(UNINITIALISED, "thread (0, 0, 0)", "at byte 252 of shared memory (256 bytes)")},
    {"empty_warp", GRID(1), BLOCK(128), .want = one,
     ARGS(IN(x, F32, 96, noise), OUT(y, F32, 128), INT(3)),
     FINDS(UNINITIALISED, "at byte 12 of shared memory (16 bytes)")},
    {"normalised_in_place", GRID(1), BLOCK(64), .want = less,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)),
     FINDS(WROTE_INPUT, "thread (0, 0, 0)", "writes 4 bytes at byte 0 of x (256 bytes)")},
    {"input_counter", GRID(1), BLOCK(32), .want = one,
     ARGS(IN(head, I32, 1, zero), OUT(y, I32, 32)),
     FINDS(WROTE_INPUT, "at byte 0 of head (4 bytes)")},
    {"copied_backwards", GRID(1), BLOCK(16), .want = noise,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64)),
     FINDS(WROTE_INPUT, "writes 16 bytes at byte 0 of x (256 bytes)")},
    {"const_cast_away", GRID(1), BLOCK(32), .want = twice,
     ARGS(IN(w, BF16, 64, noise), OUT(y, BF16, 64)),
     FINDS(WROTE_INPUT, "writes 4 bytes at byte 0 of w (128 bytes)")},
    {"clears_input_tail", GRID(1), BLOCK(64), .want = twice,
     ARGS(IN(x, F32, 64, noise), OUT(y, F32, 64), INT(64)),
     FINDS(WROTE_INPUT, "thread (63, 0, 0)", "at byte 252 of x (256 bytes)")},
};

int main(void)
{
    const bug_file files[] = {BUG_FILE("bounds.cu", bounds), BUG_FILE("shared.cu", shared),
                              BUG_FILE("aligned.cu", aligned), BUG_FILE("uninit.cu", uninit)};
    return bugs_main(files, sizeof files / sizeof files[0]);
}
