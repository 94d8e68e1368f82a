/* The judge on the simulator with the real tasks: what is right passes and gets a time, and each
 * planted fault gets its verdict. */
#include "eval/worker.h"
#include "judge_fixture.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bench_task rope, rms;

static int open_tasks(void **state)
{
    (void)state;
    task_open(&rope, "rotary_embedding", 7);
    task_open(&rms, "rms_norm", 7);
    return 0;
}

static int close_tasks(void **state)
{
    (void)state;
    task_close(&rope);
    task_close(&rms);
    return 0;
}

/* True if the report has the flag. */
static bool has_flag(const cJSON *report, const char *flag)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, kds_json_at(report, "flags"))
    {
        if (strcmp(item->valuestring, flag) == 0)
            return true;
    }
    return false;
}

static const cJSON *report_row(const cJSON *report, const char *id)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, kds_json_at(report, "rows"))
    {
        if (strcmp(kds_json_str(item, "row", ""), id) == 0)
            return item;
    }
    return NULL;
}

static void the_baselines_pass_with_fitness_one(void **state)
{
    (void)state;
    bench_task *both[] = {&rope, &rms};
    for (int i = 0; i < 2; i++) {
        const cJSON *r = kds_judge_baseline(both[i]->judge);
        assert_string_equal(kds_json_str(r, "verdict", ""), "ok");
        assert_float_equal(kds_json_num(r, "fitness", 0), 1, 1e-12);
        assert_true(has_flag(r, "modelled"));
        assert_true(has_flag(r, "sampled"));
        assert_false(has_flag(r, "beyond_roofline"));
        assert_false(has_flag(r, "production_unchecked"));
        assert_int_equal(strlen(kds_json_str(r, "fingerprint", "")), 32);
        assert_string_equal(kds_json_str(r, "fingerprint", ""),
                            kds_judge_fingerprint(both[i]->judge));
        assert_int_equal(cJSON_GetArraySize(kds_json_at(r, "rows")), both[i]->task->row_count);
    }
}

static void a_report_holds_what_its_readers_need(void **state)
{
    (void)state;
    const cJSON *r = kds_judge_baseline(rope.judge);
    const cJSON *row = report_row(r, "hunyuan_27030");
    assert_non_null(row);
    assert_true(kds_json_num(row, "time_us", 0) > kds_json_num(row, "bound_us", 0));
    assert_float_equal(kds_json_num(row, "bound_us", 0), 345984000.0 / 4.25e12 * 1e6, 0.1);
    assert_true(kds_json_bool(row, "modelled", false));
    assert_true(kds_json_bool(row, "sampled", false));
    assert_string_equal(kds_json_str(row, "variant", ""), "wide");
    assert_true(strlen(kds_json_str(row, "limiter", "")) > 0);
    const cJSON *error = cJSON_GetArrayItem(kds_json_at(row, "errors"), 0);
    assert_string_equal(kds_json_str(error, "buffer", ""), "y");
    assert_true(kds_json_num(error, "max_abs", 0) > 0);

    const cJSON *quick = report_row(r, "quick_9x24x128");
    assert_null(kds_json_at(quick, "time_us"));
    const cJSON *held = report_row(r, "held_2x1x256");
    assert_int_equal(cJSON_GetArraySize(held), 3); /* row, set, verdict */

    const cJSON *facts = kds_json_at(r, "facts"), *counters = kds_json_at(r, "counters");
    assert_true(kds_json_num(facts, "registers", 0) > 8);
    assert_float_equal(kds_json_num(facts, "threads", 0), 128, 0);
    assert_float_equal(kds_json_num(facts, "variants", 0), 2, 0);
    assert_float_equal(kds_json_num(facts, "launches", 0), 1, 0);
    assert_true(kds_json_num(facts, "tokens", 0) > 100);
    /* Two-byte loads at a stride of four: four sectors a request; as many stores as loads of x. */
    double requests = kds_json_num(counters, "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum", 0);
    double sectors = kds_json_num(counters, "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum", 0);
    assert_float_equal(sectors / requests, 4, 0.01);
    /* 27030 tokens * 24 heads * 64 pairs / 32 lanes: two loads of x each, and cos and sin per 4
     * heads */
    double pairs = 27030.0 * 24 * 64 / 32;
    assert_float_equal(requests / (2 * pairs + 2 * pairs / 2), 1, 0.01);
    double dram = kds_json_num(counters, "dram__bytes.sum", 0);
    assert_true(dram > 0.97 * 345984000.0 && dram < 1.4 * 345984000.0);
    double read = kds_json_num(counters, "dram__bytes_read.sum", 0);
    double written = kds_json_num(counters, "dram__bytes_write.sum", 0);
    assert_float_equal(read + written, dram, 1);
    /* In place: x is written whole, and read with the factors of the tokens. */
    assert_float_equal(written, 27030.0 * 24 * 128 * 2, 0.01 * written);
    assert_true(read > written && read < 1.4 * written);
    /* Every block brings its own from the L2, where every store hits. */
    double l2 = 32 * kds_json_num(counters, "sim__l2_sectors_read.sum", 0);
    double hits = kds_json_num(counters, "lts__t_sector_hit_rate.pct", 0);
    assert_true(l2 >= read && hits > 40 && hits < 100);
    assert_float_equal(
        kds_json_num(counters, "smsp__sass_average_branch_targets_threads_uniform.pct", 0),
        100 - 100 * kds_json_num(counters, "smsp__sass_branch_targets_threads_divergent.sum", 0) /
                  kds_json_num(counters, "smsp__sass_branch_targets.sum", 1),
        1e-9);
    double occupancy =
        kds_json_num(counters, "sm__warps_active.avg.pct_of_peak_sustained_active", 0);
    assert_true(occupancy > 50 && occupancy <= 100);
    const cJSON *descriptor = kds_json_at(r, "descriptor");
    assert_int_equal(cJSON_GetArraySize(kds_json_at(descriptor, "bins")), rope.task->axis_count);
    assert_int_equal(strlen(kds_json_str(descriptor, "cell", "")), 16);
}

static void all_seeds_pass(void **state)
{
    (void)state;
    bench_task *both[] = {&rope, &rms};
    for (int i = 0; i < 2; i++) {
        for (int s = 0; s < both[i]->task->seed_count; s++) {
            cJSON *r = judge(both[i], both[i]->task->seeds[s].source);
            if (strcmp(kds_json_str(r, "verdict", ""), "ok") != 0)
                fail_msg("%s: %s", both[i]->task->seeds[s].name, kds_json_str(r, "message", ""));
            /* Those of the rotary embedding were 1.29 to 1.38 times as fast on an H200. */
            assert_true(kds_json_num(r, "fitness", 0) > (both[i] == &rope ? 1.2 : 0.7));
            assert_false(has_flag(r, "beyond_roofline"));
            cJSON_Delete(r);
        }
    }
}

static void a_right_kernel_passes_and_is_the_same_every_time(void **state)
{
    (void)state;
    const char *source = ROPE(ROPE_PLAN, "", ROPE_STORE);
    cJSON *first = judge(&rope, source);
    assert_string_equal(kds_json_str(first, "verdict", ""), "ok");
    assert_false(has_flag(first, "production_unchecked"));
    expect_finding(&rope, ROPE(ROPE_PLAN, "", "y[2 * i] = x[0];"), "wrong", NULL, "never written");
    cJSON *second = judge(&rope, source);
    bench_task other;
    task_open(&other, "rotary_embedding", 7);
    cJSON *third = judge(&other, source);
    char *a = kds_json_print(first), *b = kds_json_print(second), *c = kds_json_print(third);
    assert_string_equal(a, b);
    assert_string_equal(a, c);
    free(a), free(b), free(c);
    cJSON_Delete(first), cJSON_Delete(second), cJSON_Delete(third);
    task_close(&other);
}

static void several_launches_run_in_order(void **state)
{
    (void)state;
    cJSON *r = judge(
        &rms, "#include <cuda_bf16.h>\n"
              "#pragma kda scratch scale : f32[M]\n"
              "#pragma kda launch first(x, scale, N, eps) grid(M) block(32)\n"
              "#pragma kda launch second(x, w, scale, y, N) grid(M) block(32)\n"
              "__global__ void first(const __nv_bfloat16 *x, float *scale, int N, float eps)\n"
              "{\n"
              "    float sum = 0;\n"
              "    for (int i = threadIdx.x; i < N; i += 32) {\n"
              "        const float v = __bfloat162float(x[(size_t)blockIdx.x * N + i]);\n"
              "        sum += v * v;\n"
              "    }\n"
              "    for (int o = 16; o > 0; o /= 2) sum += __shfl_xor_sync(~0u, sum, o);\n"
              "    if (threadIdx.x == 0) scale[blockIdx.x] = rsqrtf(sum / N + eps);\n"
              "}\n"
              "__global__ void second(const __nv_bfloat16 *x, const __nv_bfloat16 *w, const float "
              "*scale,\n"
              "                       __nv_bfloat16 *y, int N)\n"
              "{\n"
              "    for (int i = threadIdx.x; i < N; i += 32) {\n"
              "        const size_t at = (size_t)blockIdx.x * N + i;\n"
              "        y[at] = __float2bfloat16_rn(__bfloat162float(x[at]) * scale[blockIdx.x] *\n"
              "                                    __bfloat162float(w[i]));\n"
              "    }\n"
              "}\n");
    assert_string_equal(kds_json_str(r, "verdict", ""), "ok");
    assert_false(has_flag(r, "production_unchecked"));
    assert_int_equal(kds_json_int(report_row(r, "hunyuan_1320"), "launches", 0), 2);
    assert_float_equal(kds_json_num(kds_json_at(r, "facts"), "launches", 0), 2, 0);
    /* Reading x twice from DRAM cannot be faster than reading it once. */
    assert_true(kds_json_num(report_row(r, "hunyuan_648720"), "time_us", 0) >
                kds_json_num(report_row(r, "hunyuan_648720"), "baseline_us", 0));
    cJSON_Delete(r);
}

static void only_safety_stops_after_the_quick_rows(void **state)
{
    (void)state;
    kds_err e;
    kds_judge *j = NULL;
    kds_judge_options o = {.device = "sim:h200", .gate_seed = 3, .seeds = 1, .only_safety = true};
    check(kds_judge_open(&j, rope.task, &o, rope.baseline, rope.reference, &e), &e);
    const cJSON *r = kds_judge_baseline(j);
    assert_string_equal(kds_json_str(r, "verdict", ""), "ok");
    assert_true(has_flag(r, "safety_only"));
    assert_null(kds_json_at(r, "fitness"));
    assert_null(report_row(r, "hunyuan_27030"));
    kds_judge_close(j);
}

static void other_gpus_have_other_fingerprints(void **state)
{
    (void)state;
    kds_err e;
    kds_judge *j = NULL;
    kds_judge_options o = {.device = "sim:h100", .gate_seed = 7, .seeds = 1};
    check(kds_judge_open(&j, rope.task, &o, rope.baseline, rope.reference, &e), &e);
    assert_string_not_equal(kds_judge_fingerprint(j), kds_judge_fingerprint(rope.judge));
    assert_true(
        kds_json_num(report_row(kds_judge_baseline(j), "hunyuan_27030"), "time_us", 0) >
        kds_json_num(report_row(kds_judge_baseline(rope.judge), "hunyuan_27030"), "time_us", 0));
    kds_judge_close(j);
    o.device = "sim:h999";
    assert_int_equal(kds_judge_open(&j, rope.task, &o, rope.baseline, rope.reference, &e),
                     KDS_USAGE);
    assert_non_null(strstr(e.message, "h200"));
    o.device = "cuda:0";
    assert_int_equal(kds_judge_open(&j, rope.task, &o, rope.baseline, rope.reference, &e),
                     KDS_NO_DEVICE);
    o.device = "tpu";
    assert_int_equal(kds_judge_open(&j, rope.task, &o, rope.baseline, rope.reference, &e),
                     KDS_USAGE);
}

/* A reference that is wrong, or a baseline that is, is found when the judge is opened. */
static void a_wrong_task_is_found_at_the_start(void **state)
{
    (void)state;
    kds_err e;
    kds_judge *j = NULL;
    kds_judge_options o = {.device = "sim", .gate_seed = 7};
    const char *wrong = ROPE(ROPE_PLAN, "", "y[2 * i] = y[2 * i + 1] = x[2 * i];");
    char *right = rope.task->baseline;
    kds_compiled *compiled = compile_only(&rope, wrong);
    rope.task->baseline = strdup(wrong);
    assert_int_equal(kds_judge_open(&j, rope.task, &o, compiled, rope.reference, &e), KDS_INVALID);
    assert_non_null(strstr(e.message, "the baseline does not pass its own gate: wrong"));
    free(rope.task->baseline);
    rope.task->baseline = right;
    kds_compiled_free(compiled);

    const char *outside = "#pragma kda launch k(y, T) grid(1) block(32)\n"
                          "__global__ void k(double *y, int T) { y[-1] = T; }\n";
    char *reference = rope.task->reference;
    compiled = compile_only(&rope, outside);
    rope.task->reference = strdup(outside);
    assert_int_equal(kds_judge_open(&j, rope.task, &o, rope.baseline, compiled, &e), KDS_INVALID);
    assert_non_null(strstr(e.message, "the reference fails on row"));
    free(rope.task->reference);
    rope.task->reference = reference;
    kds_compiled_free(compiled);
}

/* A worker in a process of its own, because it confines itself; the other end of its channel. */
static int start_worker(pid_t *pid)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    fflush(NULL);
    *pid = fork();
    assert_true(*pid >= 0);
    if (*pid == 0) {
        (void)close(fds[0]);
        _exit(kds_worker_judge(fds[1], NULL) == KDS_OK ? 0 : 1);
    }
    (void)close(fds[1]);
    return fds[0];
}

static kds_frame exchange(int fd, kds_frame *job)
{
    kds_err e;
    kds_frame reply;
    check(kds_frame_write(fd, job, &e), &e);
    kds_frame_free(job);
    kds_frame_init(&reply);
    check(kds_frame_read(fd, &reply, &e), &e);
    return reply;
}

static kds_frame candidate_frame(const char *source, const char *parent, kds_compiled *compiled)
{
    kds_err e;
    kds_frame job;
    check(kds_judge_candidate_job(&job, source, strlen(source), parent, compiled, &e), &e);
    return job;
}

static void what_is_no_candidate_is_answered_too(int fd, kds_compiled *compiled)
{
    kds_frame job, reply;
    /* A wrong plan is a report, not an error. */
    job = candidate_frame("#pragma kda launch k(nobody) grid(1) block(32)\n", NULL, compiled);
    reply = exchange(fd, &job);
    assert_true(kds_json_bool(reply.header, "ok", false));
    const cJSON *got = kds_json_at(reply.header, "report");
    assert_string_equal(kds_json_str(got, "verdict", ""), "plan_invalid");
    assert_int_equal(kds_json_int(got, "line", 0), 1);
    kds_frame_free(&reply);

    kds_frame_init(&job);
    job.header = cJSON_Parse("{\"job\": \"nonsense\"}");
    reply = exchange(fd, &job);
    assert_string_equal(kds_json_str(reply.header, "code", ""), "PROTOCOL");
    kds_frame_free(&reply);
}

static void a_worker_answers_as_the_judge_does(void **state)
{
    (void)state;
    kds_err e;
    pid_t pid;
    kds_frame job, reply;
    int status = -1, fd = start_worker(&pid);
    const char *source = ROPE(ROPE_PLAN, "", ROPE_STORE);
    const char *child = ROPE("", "/* child */", ROPE_STORE);
    kds_plan *plan = NULL;
    kds_compiled *compiled = compile(&rope, source, &plan);
    kds_plan_free(plan);

    job = candidate_frame(source, NULL, compiled); /* nothing is prepared yet */
    reply = exchange(fd, &job);
    assert_false(kds_json_bool(reply.header, "ok", true));
    assert_string_equal(kds_json_str(reply.header, "code", ""), "PROTOCOL");
    kds_frame_free(&reply);

    kds_judge_options o = {.device = "sim", .gate_seed = 7};
    check(kds_judge_prepare_job(&job, rope.task->dir, &o, rope.baseline, rope.reference, &e), &e);
    reply = exchange(fd, &job);
    if (!kds_json_bool(reply.header, "ok", false))
        fail_msg("prepare: %s", kds_json_str(reply.header, "message", ""));
    assert_string_equal(kds_json_str(reply.header, "fingerprint", ""),
                        kds_judge_fingerprint(rope.judge));
    assert_string_equal(kds_json_str(reply.header, "kind", ""), kds_judge_device(rope.judge)->kind);
    assert_string_equal(kds_json_str(reply.header, "device", ""), "sim:h200");
    kds_frame_free(&reply);

    cJSON *report = judge(&rope, source);
    job = candidate_frame(source, NULL, compiled);
    reply = exchange(fd, &job);
    char *here = kds_json_print(report);
    char *there = kds_json_print(kds_json_at(reply.header, "report"));
    assert_string_equal(here, there);
    free(here), free(there);
    kds_frame_free(&reply);
    cJSON_Delete(report);

    /* A child without a plan runs by its parent's. */
    job = candidate_frame(child, source, compiled);
    reply = exchange(fd, &job);
    const cJSON *got = kds_json_at(reply.header, "report");
    assert_string_equal(kds_json_str(got, "verdict", ""), "ok");
    kds_frame_free(&reply);

    what_is_no_candidate_is_answered_too(fd, compiled);
    (void)close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    kds_compiled_free(compiled);
}

static void a_task_that_is_not_there_is_told(void **state)
{
    (void)state;
    kds_err e;
    pid_t pid;
    kds_frame job, reply;
    int fd = start_worker(&pid);
    kds_judge_options o = {.device = "sim"};
    check(kds_judge_prepare_job(&job, "/nowhere", &o, rope.baseline, NULL, &e), &e);
    reply = exchange(fd, &job);
    assert_false(kds_json_bool(reply.header, "ok", true));
    assert_non_null(strstr(kds_json_str(reply.header, "message", ""), "/nowhere"));
    kds_frame_free(&reply);
    (void)close(fd);
    (void)waitpid(pid, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_baselines_pass_with_fitness_one),
        cmocka_unit_test(a_report_holds_what_its_readers_need),
        cmocka_unit_test(all_seeds_pass),
        cmocka_unit_test(a_right_kernel_passes_and_is_the_same_every_time),
        cmocka_unit_test(several_launches_run_in_order),
        cmocka_unit_test(only_safety_stops_after_the_quick_rows),
        cmocka_unit_test(other_gpus_have_other_fingerprints),
        cmocka_unit_test(a_wrong_task_is_found_at_the_start),
        cmocka_unit_test(a_worker_answers_as_the_judge_does),
        cmocka_unit_test(a_task_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, open_tasks, close_tasks);
}
