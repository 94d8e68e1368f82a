/* Races between blocks, of global memory and of the shared memory of clusters, and what orders
 * blocks: fences with atomics or flags, barriers of the cluster and of the grid, another launch. */
#include "tests/eval/race_test.h"

#define MINE "int t = threadIdx.x, b = blockIdx.x, i = b * blockDim.x + t;\n"
/* Last block: everybody's partial sums are there when the counter says so. */
#define LAST_BLOCK(fence, barrier)                                                                 \
    CUDA_HEAD "__shared__ bool last; " MINE "y[i] = x[i] * 2;\n" barrier fence                     \
              "if (t == 0) { unsigned ticket = atomicAdd(&u[0], 1);\n"                             \
              "last = ticket == gridDim.x - 1; } __syncthreads();\n"                               \
              "if (last) { float v = 0; for (int k = t; k < n; k += blockDim.x) v += y[k];\n"      \
              "y[4096 + t] = v; if (t == 0) u[0] = 0; } }"

static const race_case blocks[] = {
    {"each block its own part",
     CUDA_HEAD MINE "y[i] = x[i] + 1; }",
     {NULL},
     .blocks = 8,
     .threads = 96},
    {"each block its own part, in place",
     CUDA_HEAD MINE "y[i] = y[i] * 2 + x[i]; }",
     {NULL},
     .blocks = 8,
     .threads = 96},
    {"16 bytes a thread",
     CUDA_HEAD MINE "((float4 *)y)[i] = ((const float4 *)x)[i]; float4 v = ((float4 *)y)[i];\n"
                    "v.x += 1; ((float4 *)y)[i] = v; }",
     {NULL},
     .blocks = 8,
     .threads = 96},
    {"parts that overlap with equal values",
     CUDA_HEAD MINE "int at = b * 60 + t; y[at] = x[at]; }",
     {NULL},
     .blocks = 8,
     .threads = 64},
    {"parts that overlap with different values",
     CUDA_HEAD MINE "int at = b * 60 + t; y[at] = x[at] + b; }",
     {"of block (0, 0, 0) wrote", "block (1, 0, 0)", "at byte 240 of y (65536 bytes)",
      "blocks are not ordered"},
     .blocks = 8,
     .threads = 64},
    {"all blocks write one word, different values",
     CUDA_HEAD MINE "if (t == 0) y[0] = (float)b; }",
     {"of block (0, 0, 0) wrote"},
     .blocks = 2,
     .threads = 64},
    {"neighbours in place",
     CUDA_HEAD MINE
     "float v = y[i]; if (i + 1 < n) v += y[i + 1]; __syncthreads(); y[i] = v + x[i]; }",
     {"thread (0, 0, 0): ", "of block (0, 0, 0) read", "blocks are not ordered"},
     .blocks = 4,
     .threads = 64},
    {"neighbours from another buffer",
     CUDA_HEAD MINE "float v = x[i]; if (i + 1 < n) v += x[i + 1]; y[i] = v; }",
     {NULL},
     .blocks = 4,
     .threads = 64},
    {"the neighbour's result",
     CUDA_HEAD MINE "y[i] = x[i]; __syncthreads(); if (b > 0) y[8192 + i] = y[i - 64]; }",
     {"of block (0, 0, 0) wrote", "block (1, 0, 0)"},
     .blocks = 4,
     .threads = 64},
    {"the neighbour's result after a fence alone",
     CUDA_HEAD MINE
     "y[i] = x[i]; __threadfence(); __syncthreads(); if (b > 0) y[8192 + i] = y[i - 64]; }",
     {"of block (0, 0, 0) wrote"},
     .blocks = 4,
     .threads = 64},
    {"halves of a word by two blocks",
     CUDA_HEAD MINE "((unsigned short *)u)[2 * t + b] = (unsigned short)(t + b); }",
     {NULL},
     .blocks = 2,
     .threads = 64},
    {"a word over a half of another block",
     CUDA_HEAD MINE
     "if (b == 0) ((unsigned short *)u)[2 * t + 1] = (unsigned short)(t + 1); else u[t] = 7; }",
     {"of block (0, 0, 0) wrote"},
     .blocks = 2,
     .threads = 64},
    {"only the tail is done by two blocks",
     CUDA_HEAD MINE "if (i < 200) y[i] = x[i] + b; if (b == 0 && t == 0) y[199] = 3; }",
     {"of block (0, 0, 0) wrote", "at byte 796 of y"},
     .blocks = 4,
     .threads = 64},
    {"sums by atomics",
     CUDA_HEAD MINE "atomicAdd(&y[t % 7], x[i]); }",
     {NULL},
     .blocks = 8,
     .threads = 96},
    {"sums by atomics into a place that a block clears",
     CUDA_HEAD MINE "if (i == 0) y[0] = 1; atomicAdd(&y[0], x[i]); }",
     {"one of the two is atomic"},
     .blocks = 8,
     .threads = 32},
    {"sums by atomics that are read at once",
     CUDA_HEAD MINE "atomicAdd(&y[0], x[i]); __syncthreads(); y[64 + i] = y[0]; }",
     {"one of the two is atomic"},
     .blocks = 2,
     .threads = 32},
    {"a sum in double by compare and swap",
     CUDA_HEAD MINE
     "unsigned long long *a = (unsigned long long *)u, old = *a, seen; do { seen = old;\n"
     "old = atomicCAS(a, seen, __double_as_longlong(x[i] + __longlong_as_double(seen)));\n"
     "} while (seen != old); }",
     {NULL},
     .blocks = 4,
     .threads = 64},
    {"sums of brain floats",
     "#include <cuda_bf16.h>\n" CUDA_HEAD MINE
     "atomicAdd((__nv_bfloat16 *)y + t % 3, __float2bfloat16(x[i])); }",
     {NULL},
     .blocks = 4,
     .threads = 64},
};

static const race_case waiting[] = {
    {"last block",
     LAST_BLOCK("__syncthreads();", "__threadfence();"),
     {NULL},
     .blocks = 6,
     .threads = 64},
    {"last block, one thread's fence after a barrier",
     LAST_BLOCK("if (t == 0) __threadfence();", "__syncthreads();"),
     {NULL},
     .blocks = 6,
     .threads = 64},
    {"last block without a fence",
     LAST_BLOCK("", "__syncthreads();"),
     {"__threadfence()", "blocks are not ordered"},
     .blocks = 6,
     .threads = 64},
    {"last block with the fence of a block",
     LAST_BLOCK("__threadfence_block();", "__syncthreads();"),
     {"__threadfence()"},
     .blocks = 6,
     .threads = 64},
    {"last block, every thread's fence, but no barrier before the counter",
     LAST_BLOCK("__threadfence();", ""),
     {"__threadfence()"},
     .blocks = 6,
     .threads = 64},
    {"last block without the barrier before its counter",
     LAST_BLOCK("if (t == 0) __threadfence();", ""),
     {"__threadfence()"},
     .blocks = 6,
     .threads = 64},
    {"not only the last block reads",
     CUDA_HEAD MINE
     "y[i] = x[i]; __threadfence(); __syncthreads();\n"
     "if (t == 0) atomicAdd(&u[0], 1); __syncthreads();\n"
     "float v = 0; for (int k = t; k < n; k += blockDim.x) v += y[k]; y[8192 + i] = v; }",
     {"of block (0, 0, 0) read"},
     .blocks = 4,
     .threads = 64},
    {"a flag with fences, from block to block",
     CUDA_HEAD MINE "volatile unsigned *flag = u; y[i] = x[i] + 1;\n"
                    "if (b > 0) { if (t == 0) while (flag[16 * (b - 1)] == 0) ; __syncthreads();\n"
                    "__threadfence(); y[i] += y[i - blockDim.x]; }\n"
                    "__threadfence(); __syncthreads(); if (t == 0) flag[16 * b] = 1; }",
     {NULL},
     .blocks = 4,
     .threads = 64},
    {"a flag with fences, past the caches",
     CUDA_HEAD MINE "y[i] = x[i] + 1; __threadfence(); __syncthreads();\n"
                    "if (t == 0) __stwt(u + 16 * b, 1u); if (b > 0) {\n"
                    "if (t == 0) while (__ldcv(u + 16 * (b - 1)) == 0) ; __syncthreads();\n"
                    "y[8192 + i] = y[i - blockDim.x]; } }",
     {NULL},
     .blocks = 4,
     .threads = 64},
    {"a flag without a fence, from block to block",
     CUDA_HEAD MINE "volatile unsigned *flag = u; y[i] = x[i] + 1;\n"
                    "if (b > 0) { if (t == 0) while (flag[16 * (b - 1)] == 0) ; __syncthreads();\n"
                    "y[i] += y[i - blockDim.x]; }\n"
                    "__syncthreads(); if (t == 0) flag[16 * b] = 1; }",
     {"blocks are not ordered"},
     .blocks = 4,
     .threads = 64},
    {"a flag that is an ordinary store",
     CUDA_HEAD MINE
     "y[i] = x[i] + 1; __threadfence(); __syncthreads(); if (t == 0) u[16 * b] = 1;\n"
     "if (b > 0 && t == 0) while (((volatile unsigned *)u)[16 * (b - 1)] == 0) ; }",
     {"one of the two is atomic, volatile or ordered"},
     .blocks = 4,
     .threads = 64},
    {"a lock of the grid",
     CUDA_HEAD MINE "if (t == 0) { while (atomicCAS(&u[0], 0, 1) != 0) ; __threadfence();\n"
                    "y[0] += x[b]; __threadfence(); atomicExch(&u[0], 0); } }",
     {NULL},
     .blocks = 6,
     .threads = 32},
    {"a lock of the grid without a fence",
     CUDA_HEAD MINE "if (t == 0) { while (atomicCAS(&u[0], 0, 1) != 0) ;\n"
                    "y[0] += x[b]; atomicExch(&u[0], 0); } }",
     {"blocks are not ordered"},
     .blocks = 6,
     .threads = 32},
    {"work taken from a counter",
     CUDA_HEAD MINE "__shared__ unsigned job; for (;;) { if (t == 0) job = atomicAdd(&u[0], 1);\n"
                    "__syncthreads(); unsigned j = job; __syncthreads(); if (j >= 20) break;\n"
                    "y[j * 64 + t] = x[j * 64 + t]; } }",
     {NULL},
     .blocks = 3,
     .threads = 64},
    {"work taken from a counter, without the second barrier",
     CUDA_HEAD MINE "__shared__ unsigned job; for (;;) { if (t == 0) job = atomicAdd(&u[0], 1);\n"
                    "__syncthreads(); unsigned j = job; if (j >= 20) break;\n"
                    "y[j * 64 + t] = x[j * 64 + t]; } }",
     {"shared memory", "between them"},
     .blocks = 3,
     .threads = 64},
};

#define GROUPS                                                                                     \
    "#include <cooperative_groups.h>\nnamespace cg = cooperative_groups;\n" CUDA_HEAD MINE

static const race_case grids[] = {
    {"a barrier of the grid",
     GROUPS "y[i] = x[i]; cg::this_grid().sync(); y[4096 + i] = y[n - 1 - i];\n"
            "cg::this_grid().sync(); y[i] = y[4096 + n - 1 - i] + 1; }",
     {NULL},
     .blocks = 5,
     .threads = 64,
     .cooperative = true},
    {"no second barrier of the grid",
     GROUPS "y[i] = x[i]; cg::this_grid().sync(); float v = y[n - 1 - i]; y[i] = v + 1; }",
     {"blocks are not ordered"},
     .blocks = 4,
     .threads = 64,
     .cooperative = true},
    {"a barrier of the block instead of the grid's",
     GROUPS "y[i] = x[i]; cg::this_thread_block().sync(); y[4096 + i] = y[n - 1 - i]; }",
     {"blocks are not ordered"},
     .blocks = 4,
     .threads = 64,
     .cooperative = true},
};

static const race_case clusters[] = {
    {"the next block's shared memory",
     GROUPS "__shared__ float s[64]; auto c = cg::this_cluster(); s[t] = x[i]; c.sync();\n"
            "float *p = c.map_shared_rank(s, (c.block_rank() + 1) % c.num_blocks());\n"
            "y[i] = p[63 - t]; c.sync(); }",
     {NULL},
     .blocks = 8,
     .threads = 64,
     .cluster = 4},
    {"the next block's shared memory, not ready",
     GROUPS "__shared__ float s[64]; auto c = cg::this_cluster(); s[t] = x[i]; __syncthreads();\n"
            "float *p = c.map_shared_rank(s, (c.block_rank() + 1) % c.num_blocks());\n"
            "y[i] = p[63 - t]; c.sync(); }",
     {"no barrier of the cluster", "of block (0, 0, 0) read"},
     .blocks = 8,
     .threads = 64,
     .cluster = 4},
    {"the next block's shared memory, changed too early",
     GROUPS "__shared__ float s[64]; auto c = cg::this_cluster(); s[t] = x[i]; c.sync();\n"
            "float *p = c.map_shared_rank(s, (c.block_rank() + 1) % c.num_blocks());\n"
            "y[i] = p[63 - t]; __syncthreads(); s[t] = 0; c.sync(); }",
     {"no barrier of the cluster"},
     .blocks = 8,
     .threads = 64,
     .cluster = 4},
    {"sums into one block's shared memory",
     GROUPS "__shared__ float s; auto c = cg::this_cluster(); if (t == 0) s = 0; c.sync();\n"
            "atomicAdd(c.map_shared_rank(&s, 0), x[i]); c.sync(); if (t == 0) y[b] = s; }",
     {NULL},
     .blocks = 8,
     .threads = 64,
     .cluster = 4},
    {"plain stores into one block's shared memory",
     GROUPS "__shared__ float s; auto c = cg::this_cluster(); if (t == 0) s = 0; c.sync();\n"
            "if (t == 0) *c.map_shared_rank(&s, 0) = x[i]; c.sync(); if (t == 0) y[b] = s; }",
     {"of block ("},
     .blocks = 4,
     .threads = 64,
     .cluster = 4},
    {"rounds between barriers of the cluster and of blocks",
     GROUPS
     "__shared__ float s[64], r[64]; auto c = cg::this_cluster(); float v = x[i];\n"
     "for (int k = 0; k < 3; k++) { s[t] = v; c.sync();\n"
     "r[t] = c.map_shared_rank(s, (c.block_rank() + 1) % c.num_blocks())[t]; __syncthreads();\n"
     "v += r[63 - t]; c.sync(); } y[i] = v; }",
     {NULL},
     .blocks = 8,
     .threads = 64,
     .cluster = 4},
    {"global memory of a cluster",
     GROUPS "auto c = cg::this_cluster(); y[i] = x[i]; c.sync();\n"
            "int first = i - c.block_rank() * 64 - t; y[4096 + i] = y[first + t]; }",
     {NULL},
     .blocks = 8,
     .threads = 64,
     .cluster = 4},
    {"global memory of another cluster",
     GROUPS "auto c = cg::this_cluster(); y[i] = x[i]; c.sync(); y[4096 + i] = y[t]; }",
     {"blocks are not ordered"},
     .blocks = 8,
     .threads = 64,
     .cluster = 4},
};

static void between_blocks(void **state)
{
    race_check_cuda(*state, blocks, COUNT(blocks));
}

static void blocks_that_wait_for_blocks(void **state)
{
    race_check_cuda(*state, waiting, COUNT(waiting));
}

static void cooperative_grids(void **state)
{
    race_check_cuda(*state, grids, COUNT(grids));
}

static void blocks_of_a_cluster(void **state)
{
    race_check_cuda(*state, clusters, COUNT(clusters));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_blocks),
        cmocka_unit_test(blocks_that_wait_for_blocks),
        cmocka_unit_test(cooperative_grids),
        cmocka_unit_test(blocks_of_a_cluster),
    };
    return cmocka_run_group_tests(tests, open_compiler, NULL);
}
