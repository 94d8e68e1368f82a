/* Each task's gate must refuse what a wrong kernel would do: small changes of the baselines, each a
 * mistake that a person or a model makes. A mutation that passes means that rows, regimes or
 * tolerances of the task are too weak. */
#include "judge_fixture.h"

typedef struct mutation {
    const char *from, *to; /* `from` stands in the baseline exactly once */
    const char *what;
} mutation;

static const mutation rms_norm[] = {
    {"sum[p] * (1.0f / COLS) + eps", "sum[p] * (1.0f / COLS)", "eps dropped"},
    {"sum[p] * (1.0f / COLS) + eps", "sum[p] * (1.0f / 127) + eps", "mean over one element less"},
    {"const float scale = rsqrtf(sum[p] * (1.0f / COLS) + eps);",
     "const float scale = "
     "__bfloat162float(__float2bfloat16_rn(rsqrtf(sum[p] * (1.0f / COLS) + eps)));",
     "scale rounded to bf16"},
    {"low(in[p][i]) * scale * low(weight[i])", "low(in[p][i]) * scale * high(weight[i])",
     "weights of a pair swapped"},
    {"part[threadIdx.x / 64 * 2] + part[threadIdx.x / 64 * 2 + 1]", "2 * part[threadIdx.x / 32]",
     "half of a row counted twice"},
    {"i < N; i += blockDim.x) {", "i < N - 1; i += blockDim.x) {", "last element not in the sum"},
    {"i < N / 8; i += blockDim.x) {\n        const uint4 v = in[i], g",
     "i < N / 8 - 1; i += blockDim.x) {\n        const uint4 v = in[i], g",
     "last vector not written"},
};

static const mutation rotary_embedding[] = {
    {"fmaf(-b[p], s, a[p] * c)", "fmaf(b[p], s, a[p] * c)", "sign of sin"},
    {"fmaf(a[p], s, b[p] * c)", "fmaf(b[p], s, a[p] * c)", "operands swapped"},
    {"cos[token * half + pair]", "cos[pair]", "cos of the first token for all"},
    {"pair < half;", "pair < half - 1;", "last pair missing"},
    {"            if (head + p * ROWS < H) {", "            if (head + p * ROWS + 1 < H) {",
     "last head missing"},
    {"fmaf(-b[p], s, a[p] * c)", "fmaf(-b[p], s, __bfloat162float(__float2bfloat16_rn(a[p] * c)))",
     "product rounded"},
    {"blockIdx.y * HEADS", "blockIdx.y * ROWS", "heads of the next block"},
};

static const mutation softmax_rows[] = {
    {"    most = warp_max(most);\n#pragma unroll\n    for (int c = 0; c < CHUNKS; c++)\n#pragma",
     "    most = 0.0f;\n#pragma unroll\n    for (int c = 0; c < CHUNKS; c++)\n#pragma",
     "maximum not subtracted"},
    {"    most = block_max(most, part[0]);\n#pragma", "    most = warp_max(most);\n#pragma",
     "maximum of a warp for that of the block"},
    {"return warp_sum(threadIdx.x % 32 < blockDim.x / 32 ? part[threadIdx.x % 32] : 0.0f);",
     "return value;", "sum of a warp for that of the block"},
    {"        r.sum *= exp2f((r.most - most) * factor);\n", "",
     "a new maximum does not scale the sum"},
    {"softmax_warp(x, y, M, N, scale * 1.4426950408889634)", "softmax_warp(x, y, M, N, scale)",
     "2 for e"},
    {"at < N / 8; at += 1024) {\n        widen(in[at], v);\n        add",
     "at < N / 8 / 1024 * 1024; at += 1024) {\n        widen(in[at], v);\n        add",
     "last chunk not in the sum"},
    {"    most = block_max(r.most, part[0]);", "    most = warp_max(r.most);",
     "parts of a sum brought to different maxima"},
    {"i < N; i += 1024)\n        y", "i < N - 1; i += 1024)\n        y",
     "last element not written"},
    {"        sum += v[c];", "        sum = v[c];", "sum of the last elements only"},
};

static const mutation cross_entropy[] = {
    {"(r.most - __bfloat162float(row[wanted]))", "(0.0f - __bfloat162float(row[wanted]))",
     "maximum not added again"},
    {"row[wanted]", "row[V - 1 - wanted]", "another target"},
    {"if (threadIdx.x < V - tail)", "if (threadIdx.x + 1 < V - tail)", "last element ignored"},
    {"if (threadIdx.x < head)", "if (threadIdx.x + 1 < head)", "one element of the head ignored"},
    {"if (wanted < 0) {", "if (wanted < -9) {", "tokens counted that do not count"},
    {"            sum *= exp2f((most - value) * LOG2E);\n", "",
     "a new maximum does not scale the sum"},
    {"sum += exp2f((low(word[i]) - most) * LOG2E) + exp2f((high(word[i]) - most) * LOG2E);",
     "sum += __bfloat162float(__float2bfloat16_rn(exp2f((low(word[i]) - most) * LOG2E))) + "
     "__bfloat162float(__float2bfloat16_rn(exp2f((high(word[i]) - most) * LOG2E)));",
     "exponentials rounded to bf16"},
    {"logf(r.sum)", "log2f(r.sum)", "logarithm to base 2"},
    {"c < chunks; c += THREADS", "c < chunks - 1; c += THREADS", "last vector ignored"},
};

static const mutation transpose[] = {
    {"0x5410", "0x7632", "one column written twice"},
    {"x + blockIdx.z * batch_stride", "x + blockIdx.z * (long long)R * C",
     "batches taken for contiguous"},
    {"in + (r0 + i) * row_stride", "in + (r0 + i) * (long long)C", "rows taken for contiguous"},
    {"if (r >= R || c >= C)", "if (r >= R || c + 2 >= C)", "last columns missing"},
    {"= tile[j][i];", "= tile[i][j];", "tiles not transposed"},
    {"    __syncthreads();\n    // A thread", "    // A thread", "barrier missing"},
    {"batch = blockIdx.x / (tiles_r * tiles_c), at", "batch = 0, at", "first batch for all"},
};

static const mutation stencil2d[] = {
    {"c1 * ((a[1]", "c2 * ((a[1]", "coefficients of edges and corners swapped"},
    {"(c[0] + c[2])", "(c[0] + c[0])", "a corner counted twice"},
    {"b[k] = p[pitch + k];", "b[k] = p[W + 2 + k];", "rows taken for contiguous"},
    {"if (first + r >= H)", "if (first + r + 1 >= H)", "last row missing"},
    {"(size_t)batch * (H + 2) + first", "(size_t)batch * H + first",
     "halo of earlier grids left out"},
    {"            a[k] = b[k];\n", "", "upper row not moved on"},
    {"c0 * b[1]", "c0 * __uint_as_float(__float_as_uint(b[1]) & 0xfffff000u)", "12 bits cut off"},
};

static const mutation segment_sum[] = {
    {"for (; i < end; i += step)", "for (; i + 1 < end; i += step)", "last row ignored"},
    {"i = begin + threadIdx.x;", "i = begin + 1 + threadIdx.x;", "first row ignored"},
    {"    add(sum[0], sum[2]);\n", "", "half of the sums not joined"},
    {"offsets[blockIdx.x + 1], 16", "offsets[blockIdx.x + 1] + 1, 16", "a row of the next segment"},
    {"k = 1; k < 16; k++", "k = 1; k < 15; k++", "last part not joined"},
    {"            sum += x[(size_t)i * D + column];\n        y[",
     "            sum = x[(size_t)i * D + column];\n        y[", "last row for the sum"},
    {"offset = 16; offset > 0;", "offset = 16; offset > 1;", "last exchange missing"},
    {"i + 3 * step < end", "i + 2 * step < end", "one row too many"},
};

static const mutation residual_rms_norm[] = {
    {"        h[base + i] = v;\n        sum = fmaf(__bfloat162float(v), __bfloat162float(v), sum);",
     "        const float f = __bfloat162float(h[base + i]) + __bfloat162float(x[base + i]);\n"
     "        h[base + i] = v;\n        sum = fmaf(f, f, sum);",
     "norm of the sum before it is rounded"},
    {"            stream[i] = v[c];", "            ;", "sum not stored"},
    {"rsqrtf(block_sum(sum) / N + eps);\n#pragma", "rsqrtf(block_sum(sum) / N);\n#pragma",
     "eps dropped"},
    {"rsqrtf(block_sum(sum) / N + eps);\n#pragma",
     "rsqrtf(block_sum(sum) / (8 * CHUNKS * blockDim.x) + eps);\n#pragma",
     "mean over threads that have nothing"},
    {"return pack(low(v) * scale * low(w), high(v) * scale * high(w));",
     "const unsigned int n = pack(low(v) * scale, high(v) * scale);\n"
     "    return pack(low(n) * low(w), high(n) * high(w));",
     "quotient rounded before the weight"},
    {"add(v[c].x, a[c].x)", "add(v[c].x, v[c].x)", "stream added to itself"},
    {"i < N; i += blockDim.x)\n        y[base", "i < N - 1; i += blockDim.x)\n        y[base",
     "last element not written"},
    {"high(v) * scale * high(w)", "high(v) * scale * low(w)", "weight of the neighbour"},
};

static const mutation silu_mul[] = {
    {"gated2(g.x, u.x)", "gated2(u.x, g.x)", "halves swapped"},
    {"(1.0f + __expf(-gate))", "(1.0f + __expf(gate))", "sign of the exponent"},
    {"gate[N + i]", "gate[i]", "gate times itself"},
    {"const uint4 *>(x) + (size_t)blockIdx.x * 2 * width",
     "const uint4 *>(x) + (size_t)blockIdx.x * width", "rows half as long"},
    {"i < width; i += blockDim.x) {", "i + 1 < width; i += blockDim.x) {",
     "last vector not written"},
    {"(1.0f + __expf(-gate))", "(1.0f + __expf(-1.702f * gate))", "GELU for SiLU"},
    {"gated(high(gate), high(up))", "gated(high(gate), low(up))", "factor of the neighbour"},
};

static const mutation gemm_bias_gelu[] = {
    {"const float b = n < N ? __bfloat162float(bias[n]) : 0.0f;", "const float b = 0.0f;",
     "bias left out"},
    {"__bfloat162float(bias[n]) : 0.0f;", "__bfloat162float(bias[n - n % 8]) : 0.0f;",
     "bias of another column"},
    {"const int steps = (K + 31) / 32;", "const int steps = K / 32 + (K < 32);",
     "rest of K left out"},
    {"0.044715f * x * x * x", "0.0f * x * x * x", "cubic term of GELU left out"},
    {"for (int k = 0; k < 32; k += 16) {", "for (int k = 0; k < 16; k += 16) {",
     "half of each step left out"},
    {"&tile_w[stage][wn + 16 * j][k]", "&tile_w[stage][wn][k]", "first columns for all"},
    {"gelu(turn[r * 16 + lane % 16] + b)",
     "gelu(__bfloat162float(__float2bfloat16_rn(turn[r * 16 + lane % 16])) + b)",
     "sum rounded before the bias"},
    {"gelu(sum[i][j] + __bfloat162float(bias[n]))",
     "fmaxf(sum[i][j] + __bfloat162float(bias[n]), 0)", "ReLU for GELU"},
    {"if (first + row < rows && k0 + k < K)", "if (k0 + k < K)", "rows beyond the end read"},
};

/* `text` with the only occurrence of `from` replaced; owned by the caller. */
static char *mutated(const char *text, const mutation *m)
{
    const char *at = strstr(text, m->from);
    if (at == NULL || strstr(at + 1, m->from) != NULL)
        fail_msg("%s: found %s: %s", m->what, at == NULL ? "nowhere" : "twice", m->from);
    size_t size = strlen(text) + strlen(m->to) + 1;
    char *out = malloc(size);
    assert_non_null(out);
    (void)snprintf(out, size, "%.*s%s%s", (int)(at - text), text, m->to, at + strlen(m->from));
    return out;
}

static void refuses_all(const char *name, const mutation *all, size_t count)
{
    const kds_judge_options o = {.device = "sim", .gate_seed = 5, .only_safety = true};
    bench_task b;
    int passed = 0;
    assert_true(count >= 6);
    task_open_with(&b, name, &o);
    for (size_t i = 0; i < count; i++) {
        char *source = mutated(b.task->baseline, &all[i]);
        cJSON *report = judge(&b, source);
        if (strcmp(kds_json_str(report, "verdict", ""), "ok") == 0) {
            print_error("%s: %s: not refused\n", name, all[i].what);
            passed++;
        }
        cJSON_Delete(report);
        free(source);
    }
    task_close(&b);
    assert_int_equal(passed, 0);
}

#define TASK(name)                                                                                 \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        refuses_all(#name, name, sizeof name / sizeof name[0]);                                    \
    }
TASK(rms_norm)
TASK(rotary_embedding)
TASK(softmax_rows)
TASK(cross_entropy)
TASK(transpose)
TASK(stencil2d)
TASK(segment_sum)
TASK(gemm_bias_gelu)
TASK(residual_rms_norm)
TASK(silu_mul)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rms_norm),     cmocka_unit_test(test_rotary_embedding),
        cmocka_unit_test(test_softmax_rows), cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_transpose),    cmocka_unit_test(test_stencil2d),
        cmocka_unit_test(test_segment_sum),  cmocka_unit_test(test_residual_rms_norm),
        cmocka_unit_test(test_silu_mul),     cmocka_unit_test(test_gemm_bias_gelu),
    };
    return cmocka_run_group_tests_name("task_mutations", tests, NULL, NULL);
}
