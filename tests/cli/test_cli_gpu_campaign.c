/* Campaigns on GPUs as their users see them, on the fake driver, whose times are exact: 300 us a
 * launch and 1 us a block. */
#include "tests/cli/fake_gpu.h"

#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <time.h>

#define ROWS                                                                                       \
    "{\"format\": 1, \"production\": ["                                                            \
    "{\"id\": \"large\", \"dims\": {\"n\": 12800, \"a\": 0.5}, \"weight\": 3, \"seed\": 1,"        \
    " \"profile\": true},"                                                                         \
    "{\"id\": \"small\", \"dims\": {\"n\": 6400, \"a\": 3.0}, \"weight\": 1, \"seed\": 2}],"       \
    "\"quick\": [{\"id\": \"quick\", \"dims\": {\"n\": 1000, \"a\": 2.0}, \"seed\": 3}],"          \
    "\"held_out\": [{\"id\": \"held\", \"dims\": {\"n\": 777, \"a\": 0.25}, \"seed\": 4}]}"

/* A seed that is twice as coarse as the baseline, and one that is clearly slower. */
#define SEED(threads)                                                                              \
    "#pragma kda tune THREADS = " threads "\n"                                                     \
    "#pragma kda launch f(x, y, n, a) grid(ceil_div(n, THREADS)) block(THREADS)\n"                 \
    "__global__ void f(const float *x, float *y, int n, float a)\n{\n"                             \
    "    int i = blockIdx.x * THREADS + threadIdx.x;\n"                                            \
    "    if (i < n)\n        y[i] = a * x[i];\n}\n"

static int set_up(void **state)
{
    int failed = fake_gpu_set_up(state);
    fake_gpu_task("tests/tasks/scale", "scale", ROWS);
    cli_write("scale/seeds/coarse.cu", SEED("256, 512"), strlen(SEED("256, 512")));
    cli_write("scale/seeds/fine.cu", SEED("32"), strlen(SEED("32")));
    return failed;
}

static void must_hold(const char *archive)
{
    cJSON *report = JSON("replay", archive);
    assert_true(kds_json_bool(report, "agrees", false));
    assert_int_equal(kds_json_int(report, "duels", -1),
                     cli_query(archive, "SELECT count(*) FROM events WHERE kind = 'DUEL'"));
    cJSON_Delete(report);
    EXPECT(0, "check", archive);
}

/* Nothing is accepted without a duel, and the best is told as a fresh process measured it. */
static void test_duels_decide(void **state)
{
    (void)state;
    cli_result r = CLI("run", "scale", "-o", "one", "--device", "cuda:0", "--max-evals", "6");
    if (r.status != 0)
        fail_msg("%s%s", r.out, r.err);
    assert_non_null(strstr(r.err, "equal kernels differ by up to 0.00 % here (measured)"));
    assert_non_null(strstr(r.out, "measured in a duel of its own"));
    assert_null(strstr(r.out, "modelled"));
    cli_free(&r);
    must_hold("one");
    /* Every acceptance but the baseline's has a duel of its decision before it. */
    assert_int_equal(cli_query("one",
                               "SELECT count(*) FROM decisions d WHERE accepted AND decision > 0 "
                               "AND NOT EXISTS (SELECT 1 FROM evaluations e WHERE e.decision = "
                               "d.decision AND e.stage IN ('duel cell', 'duel baseline') AND "
                               "e.seq < d.commit_seq)"),
                     0);
    assert_true(cli_query("one", "SELECT count(*) FROM evaluations WHERE stage = 'duel confirm'") >=
                1);
    assert_true(cli_query("one", "SELECT count(*) FROM events WHERE kind = 'DUEL' AND body LIKE "
                                 "'%\"purpose\":\"floor\"%'") == 2);
    /* 12800 elements in blocks of 512 and more take 325 us or less; of 128 they take 400. */
    cJSON *status = JSON("status", "one");
    double speedup = kds_json_num(status, "speedup", 0);
    double expected = exp((3 * log(40.0 / 32.5) + log(35.0 / 31.3)) / 4);
    if (!(speedup >= expected * 0.999))
        fail_msg("%g, expected at least %g", speedup, expected);
    assert_true(kds_json_num(status, "speedup_low", 9) <= speedup);
    assert_true(kds_json_num(status, "speedup_high", 0) >= speedup);
    assert_true(kds_json_num(kds_json_at(status, "noise"), "floor", 1) < 1e-5);
    cJSON_Delete(status);
    cJSON *provenance = NULL;
    char *text = cli_read(cli_path("one/champion/provenance.json"), NULL);
    assert_non_null(text);
    assert_non_null(provenance = kds_json_parse_record(text, strlen(text)));
    assert_true(fabs(kds_json_num(provenance, "speedup", 0) - speedup) < 1e-12);
    assert_string_equal(kds_json_str(provenance, "device_model", ""), "Simulated GPU");
    assert_false(kds_json_bool(provenance, "modelled", true));
    cJSON_Delete(provenance);
    free(text);
}

/* The best of it, run once more: the duels of its lineage are fought again, and so is its claim. */
static void test_a_lineage_is_fought_again(void **state)
{
    (void)state;
    cJSON *report = JSON("replay", "one", "best");
    const cJSON *claim = kds_json_at(report, "claim"), *duels = kds_json_at(report, "duels"),
                *d = NULL;
    assert_string_equal(kds_json_str(report, "outcome", ""), "confirmed");
    assert_true(kds_json_bool(report, "same_kind", false));
    assert_true(cJSON_GetArraySize(duels) >= 2);
    cJSON_ArrayForEach(d, duels)
    {
        const cJSON *before = kds_json_at(d, "recorded"), *now = kds_json_at(d, "replayed");
        assert_string_equal(kds_json_str(now, "verdict", ""), "faster");
        assert_true(fabs(kds_json_num(before, "gain", 9) - kds_json_num(now, "gain", 0)) < 1e-3);
    }
    assert_true(kds_json_num(claim, "replayed", 0) > 1.1);
    assert_true(kds_json_num(claim, "low", 0) > 1.1);
    assert_true(kds_json_bool(claim, "compared", false));
    cJSON_Delete(report);
    must_hold("one");
    /* No duel with the baseline says that this one is faster: nothing is claimed of it. */
    char id[40];
    snprintf(id, sizeof id, "#%.0f",
             cli_query("one", "SELECT max(decision) FROM candidates c WHERE verdict = 'ok' AND "
                              "NOT EXISTS (SELECT 1 FROM events WHERE kind = 'DUEL' AND "
                              "json_extract(body, '$.candidate') = c.id)"));
    report = JSON("replay", "one", id);
    assert_string_equal(kds_json_str(report, "outcome", ""), "agrees");
    assert_false(kds_json_bool(kds_json_at(report, "claim"), "made", true));
    cJSON_Delete(report);
}

/* Where coarse kernels are the slower ones, the claim falls. */
static void test_a_claim_that_falls(void **state)
{
    (void)state;
    cli_write("fake_block_us", "-0.5", 4);
    cli_result r = CLI("replay", "one", "best");
    (void)unlink(cli_path("fake_block_us"));
    if (r.status != 41)
        fail_msg("exit %d: %s%s", r.status, r.out, r.err);
    assert_non_null(strstr(r.err, "here its duel says not_faster"));
    assert_null(strstr(r.out, "confirmed: "));
    cli_free(&r);
}

/* A page about it tells what was measured, and nothing else. */
static void test_report(void **state)
{
    (void)state;
    cli_result r = CLI("report", "one", "-o", "-");
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "measured in a duel of its own"));
    assert_non_null(strstr(r.out, "of work on GPUs"));
    assert_non_null(strstr(r.out, "<td>confirm</td>"));
    assert_null(strstr(r.out, "modelled"));
    int open = 0; /* paragraphs: one that is not closed, or closed twice, is found */
    for (const char *at = r.out; (at = strchr(at, '<')) != NULL; at++) {
        open += strncmp(at, "<p>", 3) == 0 || strncmp(at, "<p ", 3) == 0;
        open -= strncmp(at, "</p>", 4) == 0;
        assert_in_range(open, 0, 1);
    }
    cli_free(&r);
}

/* Clear losers are not profiled and fight nobody. */
static void test_losers_are_screened(void **state)
{
    (void)state;
    cli_result r = CLI("show", "one", "#2");
    assert_non_null(strstr(r.out, "screened: "));
    assert_null(strstr(r.out, "duel "));
    cli_free(&r);
}

/* A verdict that was changed in the record is found. */
static void test_a_changed_duel_is_found(void **state)
{
    (void)state;
    sqlite3 *db = NULL;
    size_t len = 0;
    char *data = cli_read(cli_path("one/campaign.db"), &len);
    assert_non_null(data);
    assert_int_equal(mkdir(cli_path("changed"), 0755), 0);
    cli_write("changed/campaign.db", data, len);
    free(data);
    EXPECT(0, "check", "changed");
    assert_int_equal(sqlite3_open(cli_path("changed/campaign.db"), &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "UPDATE events SET body = replace(body, '\"gain\":', '\"gain\":1') WHERE seq "
                     "= (SELECT max(seq) FROM events WHERE kind = 'DUEL' AND body LIKE "
                     "'%\"verdict\":\"faster\"%')",
                     NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1);
    sqlite3_close(db);
    EXPECT(12, "check", "changed");
}

static void nap(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds,
                         .tv_nsec = (long)(1e9 * (seconds - floor(seconds)))};
    (void)nanosleep(&t, NULL);
}

/* Killed again and again, it loses nothing that was recorded and goes on, noise measured anew. */
static void test_kills(void **state)
{
    (void)state;
    int64_t before = 0;
    const char *first[] = {"run",    "scale",       "-o", "killed", "--device",
                           "cuda:0", "--max-evals", "6",  NULL};
    const char *again[] = {"resume", "killed", NULL};
    for (int i = 0; i < 2; i++) {
        pid_t pid = cli_start("killed", i == 0 || before == 0 ? first : again);
        for (int waited = 0; waited < 600; waited++) { /* until it has got further */
            nap(0.1);
            if (access(cli_path("killed/status.json"), F_OK) == 0 &&
                cli_query("killed", "SELECT count(*) FROM events") > before + 8)
                break;
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(cli_wait(pid), 128 + SIGKILL);
        int64_t events = cli_query("killed", "SELECT count(*) FROM events");
        assert_true(events > before);
        before = events;
    }
    cli_result r = CLI("resume", "killed");
    if (r.status != 0)
        fail_msg("%s%s", r.out, r.err);
    cli_free(&r);
    assert_true(cli_query("killed", "SELECT count(*) FROM events") > before);
    must_hold("killed");
    cJSON *status = JSON("status", "killed");
    assert_int_equal(kds_json_int(status, "judged", 0), 6);
    cJSON_Delete(status);
}

/* The command in another folder of the scratch: there the fake driver shows another card. */
static int elsewhere(const char *const *args)
{
    const char *argv[40] = {"-C", cli_path("other"), NULL};
    char binary[1300], program[1200];
    int n = 2;
    (void)snprintf(program, sizeof program, "%s", getenv("KDASEARCH_BINARY"));
    (void)snprintf(binary, sizeof binary, "KDASEARCH_BINARY=%s", program);
    argv[n++] = binary;
    argv[n++] = program;
    for (int i = 0; args[i]; i++)
        argv[n++] = args[i];
    argv[n] = NULL;
    setenv("KDASEARCH_BINARY", "/usr/bin/env", 1);
    cli_result r = cli_run(argv);
    setenv("KDASEARCH_BINARY", program, 1);
    int status = r.status;
    if (status != 0)
        print_message("%s%s", r.out, r.err);
    cli_free(&r);
    return status;
}

/* Another card of the same model will do; the simulator will not. */
static void test_another_card(void **state)
{
    (void)state;
    if (mkdir(cli_path("other"), 0755) != 0)
        fail_msg("cannot make a folder");
    const char *args[] = {"resume", "../one", "--max-evals", "7", NULL};
    assert_int_equal(elsewhere(args), 0);
    must_hold("one");
    assert_int_equal(cli_query("one",
                               "SELECT count(DISTINCT json_extract(body, '$.fingerprint')) FROM "
                               "events WHERE kind = 'DUEL'"),
                     2);
    REFUSES(20, "must not be mixed", "resume", "one", "--device", "sim");
}

/* Where a promoted kernel is not faster any more, it gives its place back. */
static void test_a_promotion_is_not_borne_out(void **state)
{
    (void)state;
    cJSON *before = JSON("status", "one");
    cli_write("fake_block_us", "-0.5", 4);
    EXPECT(0, "resume", "one", "--max-evals", "12", "--review-every", "1");
    (void)unlink(cli_path("fake_block_us"));
    must_hold("one");
    assert_true(cli_query("one", "SELECT count(*) FROM events WHERE kind = 'RETIRE' AND "
                                 "json_extract(body, '$.cell') IS NULL") >= 1);
    assert_int_equal(cli_query("one",
                               "SELECT count(*) FROM cells c JOIN candidates a ON a.id = c.elite "
                               "WHERE a.why LIKE '%found no faster%'"),
                     0);
    cJSON *after = JSON("status", "one");
    assert_string_not_equal(kds_json_str(kds_json_at(before, "best"), "id", "-"),
                            kds_json_str(kds_json_at(after, "best"), "id", "-"));
    cJSON_Delete(before);
    cJSON_Delete(after);
}

/* Several cards: each fights duels of its own, and the confirming one is fought on another than the
 * one before it. */
static void test_two_cards(void **state)
{
    (void)state;
    cli_write("fake_gpus", "2", 1);
    EXPECT(0, "run", "scale", "-o", "two", "--device", "all", "--max-evals", "6");
    must_hold("two");
    cJSON *status = JSON("status", "two");
    assert_string_equal(kds_json_str(status, "device", ""), "cuda:0,cuda:1");
    cJSON_Delete(status);
    assert_int_equal(
        cli_query(
            "two",
            "WITH d AS (SELECT seq, json_extract(body, '$.decision') AS decision, "
            "json_extract(body, '$.purpose') AS purpose, json_extract(body, '$.device') AS card "
            "FROM events WHERE kind = 'DUEL' AND json_extract(body, '$.decision') IS NOT NULL) "
            "SELECT count(*) FROM d a JOIN d b ON a.decision = b.decision AND b.seq = (SELECT "
            "max(seq) FROM d WHERE decision = a.decision AND seq < a.seq) WHERE a.purpose = "
            "'confirm' AND a.card = b.card"),
        0);
    assert_true(cli_query("two", "SELECT count(*) FROM evaluations WHERE stage = 'duel confirm'") >=
                1);
    assert_true(
        cli_query("two",
                  "WITH d AS (SELECT a.seq AS begun, b.seq AS ended FROM events a JOIN events b ON "
                  "a.kind = 'CHALLENGE' AND b.kind = 'DUEL' AND json_extract(a.body, "
                  "'$.challenge') = json_extract(b.body, '$.challenge')) SELECT count(*) FROM d x "
                  "JOIN d y ON x.begun < y.begun AND y.begun < x.ended") >= 1);
    (void)unlink(cli_path("fake_gpus"));
}

/* Where counters are forbidden, cells are made of facts; that stays so when they are to be had. */
static void test_no_counters(void **state)
{
    (void)state;
    cli_write("fake_cupti", "forbidden", 9);
    cli_result r = CLI("run", "scale", "-o", "facts", "--device", "cuda:0", "--max-evals", "3");
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.err, "no counters, so cells are made of compile facts"));
    cli_free(&r);
    (void)unlink(cli_path("fake_cupti"));
    EXPECT(0, "resume", "facts", "--max-evals", "5");
    must_hold("facts");
    assert_true(cli_query("facts", "SELECT count(*) FROM cells WHERE elite IS NOT NULL") >= 1);
    cli_write("fake_cupti", "forbidden", 9);
    REFUSES(20, "there are none here", "resume", "one", "--max-evals", "20");
    (void)unlink(cli_path("fake_cupti"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duels_decide),
        cmocka_unit_test(test_a_lineage_is_fought_again),
        cmocka_unit_test(test_a_claim_that_falls),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_losers_are_screened),
        cmocka_unit_test(test_a_changed_duel_is_found),
        cmocka_unit_test(test_kills),
        cmocka_unit_test(test_another_card),
        cmocka_unit_test(test_a_promotion_is_not_borne_out),
        cmocka_unit_test(test_two_cards),
        cmocka_unit_test(test_no_counters),
    };
    return cmocka_run_group_tests(tests, set_up, fake_gpu_tear_down);
}
