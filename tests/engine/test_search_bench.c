/* The benchmark of the search on a small catalogue: kernels judged by the real evaluator, campaigns
 * that are the engine's own. */
#include "world.h"

#include "search/base/file.h"
#include "search/engine/search_bench_internal.h"
#include "search/engine/settings.h"
#include "search/kdasearch.h"

#include <ftw.h>
#include <unistd.h>

#define CATALOGUE KDS_SOURCE_DIR "/tests/catalogues/scale"

static char folder[] = "/tmp/kds-search-bench-XXXXXX";
static kds_settings *settings;
static kds_catalogue *catalogue; /* judged */
static kds_search_bench_options options;

static int remove_entry(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
    (void)sb, (void)type, (void)ftw;
    return remove(path);
}

static char *inside(const char *name)
{
    char *path = kds_path_join(folder, name);
    assert_non_null(path);
    return path;
}

static int start(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    ASSERT_OK(kds_settings_create(&settings, e));
    options = (kds_search_bench_options){.verdicts = inside("verdicts"),
                                         .settings = settings,
                                         .seed = 1,
                                         .seeds = 2,
                                         .cap = 60,
                                         .in_flight = 8,
                                         .share = 0.95};
    ASSERT_OK(kds_catalogue_load(&catalogue, CATALOGUE, e));
    ASSERT_OK(kds_catalogue_judge(catalogue, &options, e));
    return 0;
}

static int end(void **state)
{
    (void)state;
    kds_catalogue_free(catalogue);
    kds_settings_free(settings);
    free((char *)(uintptr_t)options.verdicts);
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* All combinations, each with the verdict that it deserves, and the best of them is the optimum. */
static void test_every_kernel_is_judged(void **state)
{
    (void)state;
    double best = 0;
    assert_int_equal(catalogue->point_count, 2 * 2 * (2 * 2) + 2 * 2 * 2);
    for (int i = 0; i < catalogue->point_count; i++) {
        const kds_point *p = &catalogue->points[i];
        kds_verdict wanted = p->flaw == 0   ? KDS_VERDICT_OK
                             : p->flaw == 1 ? KDS_VERDICT_COMPILE_FAILED
                                            : KDS_VERDICT_WRONG;
        assert_string_equal(kds_verdict_name(p->verdict), kds_verdict_name(wanted));
        assert_int_equal(p->fitness > 0, p->flaw == 0);
        assert_int_equal(kds_catalogue_index(catalogue, p), i);
        assert_int_equal(kds_catalogue_find(catalogue, p->id), i);
        if (p->flaw == 0 && kds_json_num(p->report, "fitness", 0) > best)
            best = kds_json_num(p->report, "fitness", 0);
    }
    assert_true(best > 1);
    assert_true(catalogue->optimum == best);
    assert_true(catalogue->points[catalogue->best].fitness == best);
}

/* What is kept is taken again, and nothing is judged a second time. */
static void test_verdicts_are_kept(void **state)
{
    (void)state;
    kds_catalogue *again = NULL;
    ASSERT_OK(kds_catalogue_load(&again, CATALOGUE, e));
    ASSERT_OK(kds_catalogue_judge(again, &options, e));
    assert_true(again->judge_seconds - catalogue->judge_seconds < 1e-3);
    assert_true(again->optimum == catalogue->optimum);
    assert_int_equal(again->distinct, catalogue->distinct);
    for (int i = 0; i < again->point_count; i++) {
        assert_int_equal(again->points[i].verdict, catalogue->points[i].verdict);
        assert_string_equal(again->points[i].stage, catalogue->points[i].stage);
        assert_string_equal(again->points[i].message, catalogue->points[i].message);
        assert_true(again->points[i].fitness == catalogue->points[i].fitness);
    }
    kds_catalogue_free(again);
}

static kds_bench_run run_in_memory(const kds_bench_arm *arm, uint64_t seed)
{
    kds_ledger *ledger = NULL;
    kds_bench_run run;
    ASSERT_OK(kds_ledger_memory(&ledger, e));
    ASSERT_OK(kds_bench_campaign(catalogue, &options, arm, seed, ledger, &run, e));
    kds_ledger_close(ledger);
    return run;
}

/* A campaign on disk is a campaign: `replay` derives every decision, child and commit of it, and it
 * is the one that ran in memory. */
static void test_campaigns_replay(void **state)
{
    (void)state;
    static const kds_bench_arm tried[] = {{"default", NULL, NULL}, {"islands", "islands", NULL}};
    for (int i = 0; i < 2; i++) {
        char name[32], *json = NULL, hex[KDS_ID_HEX];
        kds_ledger *ledger = NULL;
        kds_bench_run run;
        snprintf(name, sizeof name, "archive%d", i);
        char *dir = inside(name), *task = kds_path_join(dir, "task");
        ASSERT_OK(kds_dir_make(dir, e));
        ASSERT_OK(kds_dir_copy(KDS_SOURCE_DIR "/tests/tasks/scale", task, e));
        char *seeds = kds_path_join(task, "seeds"); /* campaigns of the benchmark know none */
        assert_int_equal(nftw(seeds, remove_entry, 4, FTW_DEPTH | FTW_PHYS), 0);
        ASSERT_OK(kds_ledger_create(&ledger, dir, e));
        ASSERT_OK(kds_bench_campaign(catalogue, &options, &tried[i], 3, ledger, &run, e));
        kds_ledger_close(ledger);
        kds_bench_run in_memory = run_in_memory(&tried[i], 3);
        assert_true(kds_id_equal(in_memory.state, run.state));
        ASSERT_OK(kds_replay_decisions(dir, &json, e));
        cJSON *report = kds_json_parse_record(json, strlen(json));
        assert_true(kds_json_bool(report, "agrees", false));
        assert_true(kds_json_int(report, "replies", 0) > 0);
        assert_true(kds_json_int(report, "commits", 0) >= run.decisions);
        kds_id_format(run.state, hex);
        assert_string_equal(kds_json_str(report, "state", ""), hex);
        cJSON_Delete(report);
        free(json);
        free(seeds);
        free(task);
        free(dir);
    }
}

/* The budget is counted to the decision that got there, and a cap that is too small is told. */
static void test_budgets(void **state)
{
    (void)state;
    static const kds_bench_arm arm = {"default", NULL, NULL};
    kds_bench_run run = run_in_memory(&arm, 1);
    assert_true(run.reached && run.best >= options.share * catalogue->optimum);
    assert_true(run.decisions > 0 && run.decisions <= options.cap);
    kds_bench_run other = run_in_memory(&arm, 2);
    assert_false(kds_id_equal(run.state, other.state));
    const int64_t cap = options.cap;
    options.cap = run.decisions - 1;
    kds_bench_run cut = run_in_memory(&arm, 1);
    options.cap = cap;
    assert_false(cut.reached);
    assert_int_equal(cut.decisions, run.decisions - 1);
}

/* The whole benchmark, twice: the same to the last digit. */
static void test_benchmark_is_deterministic(void **state)
{
    (void)state;
    static const char *const folders[] = {CATALOGUE};
    char *text[2] = {NULL, NULL};
    options.catalogues = folders;
    options.catalogue_count = 1;
    options.arms = "default,random,no-tune";
    for (int i = 0; i < 2; i++) {
        cJSON *report = NULL;
        ASSERT_OK(kds_search_bench(&options, &report, e));
        const cJSON *task = cJSON_GetArrayItem(kds_json_at(report, "tasks"), 0);
        const cJSON *list = kds_json_at(task, "arms"), *first = cJSON_GetArrayItem(list, 0);
        assert_int_equal(cJSON_GetArraySize(list), 3);
        assert_int_equal(kds_json_int(first, "reached", -1), 2);
        assert_true(kds_json_num(kds_json_at(first, "decisions"), "mean", 0) > 0);
        assert_true(kds_json_num(task, "optimum", 0) == catalogue->optimum);
        cJSON_DeleteItemFromObject(cJSON_GetArrayItem(kds_json_at(report, "tasks"), 0),
                                   "judge_seconds");
        assert_non_null(text[i] = kds_json_print(report));
        cJSON_Delete(report);
    }
    assert_string_equal(text[0], text[1]);
    free(text[0]);
    free(text[1]);
    options.arms = "default,greedy";
    cJSON *report = NULL;
    kds_err err = {0};
    assert_int_equal(kds_search_bench(&options, &report, &err), KDS_USAGE);
    assert_non_null(strstr(err.message, "no arm 'greedy'"));
}

/* A catalogue that is wrong is refused with file and line. */
static void test_wrong_catalogues(void **state)
{
    (void)state;
    static const struct {
        const char *json, *kernel, *said;
    } wrong[] = {
        {"{\"format\": 1, \"task\": \"x\", \"choices\": [], \"flaws\": [],\n\"chioces\": []}", "",
         "catalogue.json:2: key 'chioces': unknown key"},
        {"{\"format\": 1, \"task\": \"" KDS_SOURCE_DIR "/tests/tasks/scale\", \"flaws\": [],\n"
         "\"choices\": [{\"name\": \"a\", \"options\": [\"b\"]}]}",
         "", "two options"},
        {"{\"format\": 1, \"task\": \"x\", \"flaws\": [\"A b\"],\n"
         "\"choices\": [{\"name\": \"a\", \"options\": [\"b\", \"c\"]}]}",
         "", "catalogue.json:1"},
        {"{\"format\": 1, \"task\": \"TASK\", \"flaws\": [],\n"
         "\"choices\": [{\"name\": \"a\", \"options\": [\"b\", \"c\"]}]}",
         "x\n{{#a_d}}\n{{/a_d}}\n", "kernel.template:2"},
    };
    char *dir = inside("wrong"), *json = kds_path_join(dir, "catalogue.json");
    char *kernel = kds_path_join(dir, "kernel.template"), *task = kds_path_join(dir, "TASK");
    ASSERT_OK(kds_dir_make(dir, e));
    ASSERT_OK(kds_dir_copy(KDS_SOURCE_DIR "/tests/tasks/scale", task, e));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kds_err err = {0};
        kds_catalogue *c = NULL;
        ASSERT_OK(kds_file_write_atomic(json, wrong[i].json, strlen(wrong[i].json), e));
        ASSERT_OK(kds_file_write_atomic(kernel, wrong[i].kernel, strlen(wrong[i].kernel), e));
        assert_int_equal(kds_catalogue_load(&c, dir, &err), KDS_INVALID);
        if (!strstr(err.message, wrong[i].said))
            fail_msg("%s", err.message);
    }
    free(dir);
    free(json);
    free(kernel);
    free(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kernel_is_judged),     cmocka_unit_test(test_verdicts_are_kept),
        cmocka_unit_test(test_campaigns_replay),           cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_benchmark_is_deterministic), cmocka_unit_test(test_wrong_catalogues),
    };
    return cmocka_run_group_tests(tests, start, end);
}
