/* Races within a block, in CUDA as it is written: each shape with and without what orders it. */
#include "tests/eval/race_test.h"

#define BLOCK_SUM(before, inside)                                                                  \
    CUDA_HEAD "__shared__ float s[256]; int t = threadIdx.x; s[t] = x[t];\n" before                \
              "for (int d = blockDim.x / 2; d > 0; d /= 2) {\n"                                    \
              "  if (t < d) s[t] += s[t + d];\n" inside "}\n"                                      \
              "if (t == 0) y[blockIdx.x] = s[0]; }"

static const race_case reductions[] = {
    {"tree",
     BLOCK_SUM("__syncthreads();", "__syncthreads();"),
     {NULL},
     .blocks = 2,
     .threads = 256},
    {"tree without the first barrier",
     BLOCK_SUM("", "__syncthreads();"),
     {"__syncthreads()", "shared memory (1024 bytes)", "source line"},
     .blocks = 1,
     .threads = 256},
    {"tree without the barrier of a step",
     BLOCK_SUM("__syncthreads();", ""),
     {"between them"},
     .blocks = 1,
     .threads = 256},
    {"tree of one warp without the barrier of a step",
     BLOCK_SUM("__syncthreads();", ""),
     {"no __syncwarp() or __syncthreads()"},
     .blocks = 1,
     .threads = 32},
    {"tree of one warp with __syncwarp()",
     BLOCK_SUM("__syncwarp();", "__syncwarp();"),
     {NULL},
     .blocks = 1,
     .threads = 32},
    {"__syncwarp() does for 32 threads only",
     BLOCK_SUM("__syncwarp();", "__syncwarp();"),
     {"__syncthreads()"},
     .blocks = 1,
     .threads = 64},
    {"the last warp alone, volatile",
     CUDA_HEAD "__shared__ float s[64]; volatile float *v = s; int t = threadIdx.x; v[t] = x[t];\n"
               "__syncthreads(); if (t < 32) { v[t] += v[t + 32];\n"
               "for (int d = 16; d > 0; d /= 2) v[t] += v[(t + d) & 63]; }\n"
               "if (t == 0) y[0] = v[0]; }",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"the last warp alone, not volatile",
     CUDA_HEAD "__shared__ float s[64]; int t = threadIdx.x; s[t] = x[t];\n"
               "__syncthreads(); if (t < 32) { s[t] += s[t + 32];\n"
               "for (int d = 16; d > 0; d /= 2) if (t < d) s[t] += s[t + d]; }\n"
               "if (t == 0) y[0] = s[0]; }",
     {"no __syncwarp() or __syncthreads()"},
     .blocks = 1,
     .threads = 64},
    {"shuffles, one barrier too few before the result",
     CUDA_HEAD "__shared__ float s[32]; int t = threadIdx.x; float v = x[t];\n"
               "for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);\n"
               "if (t % 32 == 0) s[t / 32] = v;\n"
               "__syncthreads(); v = 0; for (int k = 0; k < blockDim.x / 32; k++) v += s[k];\n"
               "if (t == 0) s[0] = v; __syncthreads(); y[t] = x[t] / s[0]; }",
     {"between them"},
     .blocks = 1,
     .threads = 256},
    {"the same for one warp is only wrong within it",
     CUDA_HEAD "__shared__ float s[32]; int t = threadIdx.x; float v = x[t];\n"
               "for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);\n"
               "if (t % 32 == 0) s[t / 32] = v;\n"
               "__syncthreads(); v = 0; for (int k = 0; k < blockDim.x / 32; k++) v += s[k];\n"
               "__syncthreads(); if (t == 0) s[0] = v; __syncthreads(); y[t] = x[t] / s[0]; }",
     {NULL},
     .blocks = 2,
     .threads = 256},
    {"two sums through one array in a loop",
     CUDA_HEAD "__shared__ float s[8]; int t = threadIdx.x; float all = 0;\n"
               "for (int r = 0; r < 4; r++) { float v = x[r * 256 + t];\n"
               "for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);\n"
               "if (t % 32 == 0) s[t / 32] = v; __syncthreads();\n"
               "for (int k = 0; k < 8; k++) all += s[k]; }\n"
               "y[t] = all; }",
     {"__syncthreads()"},
     .blocks = 1,
     .threads = 256},
    {"two sums through one array in a loop, in order",
     CUDA_HEAD "__shared__ float s[8]; int t = threadIdx.x; float all = 0;\n"
               "for (int r = 0; r < 4; r++) { float v = x[r * 256 + t];\n"
               "for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);\n"
               "if (t % 32 == 0) s[t / 32] = v; __syncthreads();\n"
               "for (int k = 0; k < 8; k++) all += s[k]; __syncthreads(); }\n"
               "y[t] = all; }",
     {NULL},
     .blocks = 1,
     .threads = 256},
    {"two sums through two arrays in turn need one barrier each",
     CUDA_HEAD "__shared__ float s[2][8]; int t = threadIdx.x; float all = 0;\n"
               "for (int r = 0; r < 6; r++) { float v = x[r * 256 + t];\n"
               "for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);\n"
               "if (t % 32 == 0) s[r & 1][t / 32] = v; __syncthreads();\n"
               "for (int k = 0; k < 8; k++) all += s[r & 1][k]; }\n"
               "y[t] = all; }",
     {NULL},
     .blocks = 1,
     .threads = 256},
};

#define TILES(first, second)                                                                       \
    CUDA_HEAD                                                                                      \
    "__shared__ float a[16][16], b[16][17]; int i = threadIdx.x / 16, j = threadIdx.x % "          \
    "16;\nfloat sum = 0; for (int k0 = 0; k0 < 64; k0 += 16) {\n"                                  \
    "a[i][j] = x[i * 64 + k0 + j]; b[i][j] = x[(k0 + i) * 16 + j];\n" first                        \
    "for (int k = 0; k < 16; k++) sum += a[i][k] * b[k][j];\n" second "}\n"                        \
    "y[blockIdx.x * 256 + threadIdx.x] = sum; }"

static const race_case tiles[] = {
    {"product", TILES("__syncthreads();", "__syncthreads();"), {NULL}, .blocks = 3, .threads = 256},
    {"product, no barrier before",
     TILES("", "__syncthreads();"),
     {"between them", "which thread"},
     .blocks = 1,
     .threads = 256},
    {"product, no barrier at the loop's end",
     TILES("__syncthreads();", ""),
     {"__syncthreads()"},
     .blocks = 1,
     .threads = 256},
    {"transposed",
     CUDA_HEAD "__shared__ float s[32][33]; int j = threadIdx.x % 32, i0 = threadIdx.x / 32;\n"
               "for (int i = i0; i < 32; i += 8) s[i][j] = x[i * 32 + j]; __syncthreads();\n"
               "for (int i = i0; i < 32; i += 8) y[i * 32 + j] = s[j][i]; }",
     {NULL},
     .blocks = 1,
     .threads = 256},
    {"transposed, no barrier",
     CUDA_HEAD "__shared__ float s[32][33]; int j = threadIdx.x % 32, i0 = threadIdx.x / 32;\n"
               "for (int i = i0; i < 32; i += 8) s[i][j] = x[i * 32 + j];\n"
               "for (int i = i0; i < 32; i += 8) y[i * 32 + j] = s[j][i]; }",
     {"between them"},
     .blocks = 1,
     .threads = 256},
    {"double buffering",
     CUDA_HEAD "__shared__ float s[2][128]; int t = threadIdx.x; float sum = 0; s[0][t] = x[t];\n"
               "for (int k = 0; k < 6; k++) { __syncthreads();\n"
               "if (k < 5) s[(k + 1) & 1][t] = x[(k + 1) * 128 + t];\n"
               "sum += s[k & 1][127 - t]; } y[t] = sum; }",
     {NULL},
     .blocks = 1,
     .threads = 128},
    {"double buffering, one barrier too few",
     CUDA_HEAD "__shared__ float s[2][128]; int t = threadIdx.x; float sum = 0; s[0][t] = x[t];\n"
               "s[1][t] = x[128 + t]; __syncthreads();\n"
               "for (int k = 0; k < 6; k++) { sum += s[k & 1][127 - t];\n"
               "if (k < 4) s[k & 1][t] = x[(k + 2) * 128 + t]; __syncthreads(); } y[t] = sum; }",
     {"__syncthreads()"},
     .blocks = 1,
     .threads = 128},
    {"a halo of the next thread's",
     CUDA_HEAD "__shared__ float s[258]; int t = threadIdx.x; s[t + 1] = x[t];\n"
               "if (t == 0) { s[0] = 0; s[blockDim.x + 1] = 0; } __syncthreads();\n"
               "float v = s[t] + s[t + 1] + s[t + 2]; y[t] = v; }",
     {NULL},
     .blocks = 1,
     .threads = 100},
    {"in place, with its neighbours",
     CUDA_HEAD "__shared__ float s[258]; int t = threadIdx.x; s[t + 1] = x[t];\n"
               "if (t == 0) { s[0] = 0; s[blockDim.x + 1] = 0; } __syncthreads();\n"
               "s[t + 1] = s[t] + s[t + 2]; __syncthreads(); y[t] = s[t + 1]; }",
     {"between them"},
     .blocks = 1,
     .threads = 100},
    {"only the tail's thread reaches into another warp",
     CUDA_HEAD "__shared__ float s[256]; int t = threadIdx.x; s[t] = x[t]; __syncwarp();\n"
               "int next = (t & ~31) + ((t + 1) & 31); if (t == blockDim.x - 1) next = 0;\n"
               "y[t] = s[next]; }",
     {"thread (0, 0, 0) of the same block wrote", "__syncthreads()"},
     .blocks = 1,
     .threads = 80},
    {"16-bit values side by side",
     CUDA_HEAD "__shared__ unsigned short s[256]; int t = threadIdx.x; s[t] = (unsigned short)t;\n"
               "s[t] += s[t]; __syncthreads(); y[t] = s[255 - t]; }",
     {NULL},
     .blocks = 1,
     .threads = 256},
    {"bytes side by side, then words",
     CUDA_HEAD "__shared__ __align__(4) unsigned char s[256]; int t = threadIdx.x;\n"
               "s[t] = (unsigned char)t; __syncthreads();\n"
               "if (t < 64) u[t] = ((unsigned *)s)[t]; }",
     {NULL},
     .blocks = 1,
     .threads = 256},
    {"words over another warp's bytes",
     CUDA_HEAD "__shared__ __align__(4) unsigned char s[256]; int t = threadIdx.x;\n"
               "s[t] = (unsigned char)t; __syncwarp();\n"
               "if (t < 64) u[t] = ((unsigned *)s)[t]; }",
     {"thread (8, 0, 0)"},
     .blocks = 1,
     .threads = 256},
};

static const race_case synchronisation[] = {
    {"histogram",
     CUDA_HEAD "__shared__ unsigned h[64]; int t = threadIdx.x; if (t < 64) h[t] = 0;\n"
               "__syncthreads(); for (int k = t; k < 1024; k += blockDim.x)\n"
               "atomicAdd(&h[(int)x[k] & 63], 1); __syncthreads();\n"
               "if (t < 64) atomicAdd(&u[t], h[t]); }",
     {NULL},
     .blocks = 4,
     .threads = 128},
    {"histogram, not cleared in time",
     CUDA_HEAD "__shared__ unsigned h[64]; int t = threadIdx.x; if (t < 64) h[t] = 0;\n"
               "for (int k = t; k < 1024; k += blockDim.x)\n"
               "atomicAdd(&h[(int)x[k] & 63], 1); __syncthreads();\n"
               "if (t < 64) atomicAdd(&u[t], h[t]); }",
     {"atom"},
     .blocks = 1,
     .threads = 128},
    {"histogram, read too early",
     CUDA_HEAD "__shared__ unsigned h[64]; int t = threadIdx.x; if (t < 64) h[t] = 0;\n"
               "__syncthreads(); for (int k = t; k < 1024; k += blockDim.x)\n"
               "atomicAdd(&h[(int)x[k] & 63], 1);\n"
               "if (t < 64) u[t] = h[t]; }",
     {"one of the two is atomic"},
     .blocks = 1,
     .threads = 128},
    {"a maximum by compare and swap",
     CUDA_HEAD "__shared__ int best; int t = threadIdx.x; if (t == 0) best = 0; __syncthreads();\n"
               "int mine = __float_as_int(x[t]), old = best;\n"
               "while (mine > old) { int seen = old; old = atomicCAS(&best, seen, mine);\n"
               "if (old == seen) break; } __syncthreads(); if (t == 0) y[0] = best; }",
     {NULL},
     .blocks = 1,
     .threads = 128},
    {"a lock in shared memory",
     CUDA_HEAD "__shared__ int lock; __shared__ float sum; int t = threadIdx.x;\n"
               "if (t == 0) { lock = 0; sum = 0; } __syncthreads();\n"
               "if (t % 32 == 0) { while (atomicCAS(&lock, 0, 1) != 0) ; __threadfence_block();\n"
               "sum += x[t]; __threadfence_block(); atomicExch(&lock, 0); }\n"
               "__syncthreads(); y[t] = sum; }",
     {NULL},
     .blocks = 2,
     .threads = 256},
    {"a lock in shared memory without fences",
     CUDA_HEAD "__shared__ int lock; __shared__ float sum; int t = threadIdx.x;\n"
               "if (t == 0) { lock = 0; sum = 0; } __syncthreads();\n"
               "if (t % 32 == 0) { while (atomicCAS(&lock, 0, 1) != 0) ;\n"
               "sum += x[t]; atomicExch(&lock, 0); }\n"
               "__syncthreads(); y[t] = sum; }",
     {"between them"},
     .blocks = 1,
     .threads = 256},
    {"producers and consumers by named barriers",
     CUDA_HEAD
     "__shared__ float s[2][64]; int t = threadIdx.x, l = t % 64; float sum = 0;\n"
     "for (int k = 0; k < 6; k++) { int b = k & 1;\n"
     "if (t < 64) { if (k >= 2) asm volatile(\"bar.sync %0, 128;\" :: \"r\"(3 + b) : \"memory\");\n"
     "s[b][l] = x[k * 64 + l]; asm volatile(\"bar.arrive %0, 128;\" :: \"r\"(1 + b) : "
     "\"memory\");\n"
     "} else { asm volatile(\"bar.sync %0, 128;\" :: \"r\"(1 + b) : \"memory\");\n"
     "sum += s[b][63 - l]; if (k < 4)\n"
     "asm volatile(\"bar.arrive %0, 128;\" :: \"r\"(3 + b) : \"memory\"); } }\n"
     "if (t >= 64) y[l] = sum; }",
     {NULL},
     .blocks = 2,
     .threads = 128},
    {"a producer that is a stage too early",
     CUDA_HEAD
     "__shared__ float s[2][64]; int t = threadIdx.x, l = t % 64; float sum = 0;\n"
     "for (int k = 0; k < 6; k++) { int b = k & 1;\n"
     "if (t < 64) { \n"
     "s[b][l] = x[k * 64 + l]; asm volatile(\"bar.sync %0, 128;\" :: \"r\"(1 + b) : \"memory\");\n"
     "} else { asm volatile(\"bar.sync %0, 128;\" :: \"r\"(1 + b) : \"memory\");\n"
     "if (b) sum += s[0][63 - l] + s[1][63 - l]; } }\n"
     "if (t >= 64) y[l] = sum; }",
     {"no barrier"},
     .blocks = 1,
     .threads = 128},
    {"a flag of the block that all set",
     CUDA_HEAD
     "__shared__ int found; int t = threadIdx.x; if (t == 0) found = 0; __syncthreads();\n"
     "if (x[t] > 20.0f) found = 1; __syncthreads(); y[t] = found; }",
     {NULL},
     .blocks = 1,
     .threads = 256},
    {"a flag of the block that is read too early",
     CUDA_HEAD
     "__shared__ int found; int t = threadIdx.x; if (t == 0) found = 0; __syncthreads();\n"
     "if (x[t] > 20.0f) found = 1; y[t] = found; }",
     {"between them"},
     .blocks = 1,
     .threads = 256},
    {"__syncthreads_or",
     CUDA_HEAD "__shared__ float s[256]; int t = threadIdx.x; s[t] = x[t];\n"
               "int any = __syncthreads_or(x[t] > 90.0f); y[t] = s[blockDim.x - 1 - t] + any; }",
     {NULL},
     .blocks = 1,
     .threads = 256},
    {"global memory as the block's scratch",
     CUDA_HEAD "int t = threadIdx.x, at = blockIdx.x * blockDim.x; y[at + t] = x[t];\n"
               "__syncthreads(); float v = y[at + blockDim.x - 1 - t]; __syncthreads();\n"
               "y[at + t] = v; }",
     {NULL},
     .blocks = 4,
     .threads = 128},
    {"global memory as the block's scratch, no barrier",
     CUDA_HEAD "int t = threadIdx.x, at = blockIdx.x * blockDim.x; y[at + t] = x[t];\n"
               "__syncthreads(); float v = y[at + blockDim.x - 1 - t];\n"
               "y[at + t] = v + 1; }",
     {"of y (65536 bytes)", "between them"},
     .blocks = 4,
     .threads = 128},
    {"rows with strides: every thread's own",
     CUDA_HEAD "__shared__ float s[64 * 9]; int t = threadIdx.x;\n"
               "for (int k = 0; k < 9; k++) s[t * 9 + k] = x[k * 64 + t]; float v = 0;\n"
               "for (int k = 0; k < 9; k++) v += s[t * 9 + k]; y[t] = v; }",
     {NULL},
     .blocks = 1,
     .threads = 64},
    {"rows with strides that overlap",
     CUDA_HEAD "__shared__ float s[64 * 9]; int t = threadIdx.x;\n"
               "for (int k = 0; k < 9; k++) s[t * 8 + k] = x[k * 64 + t]; float v = 0;\n"
               "for (int k = 0; k < 9; k++) v += s[t * 8 + k]; y[t] = v; }",
     {"no __syncwarp() or __syncthreads()"},
     .blocks = 1,
     .threads = 32},
};

#define TILED(body)                                                                                \
    "#include <cooperative_groups.h>\nnamespace cg = cooperative_groups;\n" CUDA_HEAD              \
    "__shared__ float s[256]; int t = threadIdx.x; auto block = cg::this_thread_block();\n" body   \
    "}"

static const race_case groups[] = {
    {"tiles of 16 by their own sync",
     TILED("auto tile = cg::tiled_partition<16>(block); s[t] = x[t]; tile.sync();\n"
           "float v = s[t ^ 5]; tile.sync(); s[t] = v; tile.sync(); y[t] = s[t ^ 10];"),
     {NULL},
     .blocks = 2,
     .threads = 128},
    {"tiles of 16 that reach into the next one",
     TILED("auto tile = cg::tiled_partition<16>(block); s[t] = x[t]; tile.sync();\n"
           "y[t] = s[t ^ 17];"),
     {"no __syncwarp() or __syncthreads()"},
     .blocks = 1,
     .threads = 128},
    {"tiles of 8 without their sync",
     TILED("auto tile = cg::tiled_partition<8>(block); s[t] = x[t];\n"
           "float v = s[t ^ 5]; tile.sync(); y[t] = v;"),
     {"no __syncwarp() or __syncthreads()"},
     .blocks = 1,
     .threads = 128},
    {"a group of the block",
     TILED("s[t] = x[t]; block.sync(); y[t] = s[blockDim.x - 1 - t];"),
     {NULL},
     .blocks = 1,
     .threads = 96},
};

static void sums_of_a_block(void **state)
{
    race_check_cuda(*state, reductions, COUNT(reductions));
}

static void tiles_in_shared_memory(void **state)
{
    race_check_cuda(*state, tiles, COUNT(tiles));
}

static void what_orders_a_block(void **state)
{
    race_check_cuda(*state, synchronisation, COUNT(synchronisation));
}

static void cooperative_groups(void **state)
{
    race_check_cuda(*state, groups, COUNT(groups));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_a_block),
        cmocka_unit_test(tiles_in_shared_memory),
        cmocka_unit_test(what_orders_a_block),
        cmocka_unit_test(cooperative_groups),
    };
    return cmocka_run_group_tests(tests, open_compiler, NULL);
}
