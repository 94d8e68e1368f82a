/* The files beside the database, and the archive's benchmark at a small size. */
#include "archive/bench.h"
#include "archive/derived.h"
#include "search/base/file.h"
#include "tests/archive/fixture.h"

static void assert_file(const char *dir, const char *name, const char *want)
{
    char path[512];
    kds_buf b;
    kds_buf_init(&b, 1 << 16);
    path_in(path, dir, name);
    ASSERT_OK(kds_file_read(path, &b, e));
    assert_string_equal(b.data, want);
    kds_buf_free(&b);
}

static cJSON *load(const char *dir, const char *name)
{
    char path[512];
    kds_buf b;
    kds_buf_init(&b, 1 << 16);
    path_in(path, dir, name);
    ASSERT_OK(kds_file_read(path, &b, e));
    assert_int_equal(b.data[b.len - 1], '\n');
    cJSON *json = kds_json_parse_record(b.data, b.len);
    kds_buf_free(&b);
    assert_non_null(json);
    return json;
}

static void test_champion(void **state)
{
    kds_id id;
    cJSON *provenance =
        cJSON_Parse("{\"fitness\":1.5,\"device\":\"sim:h200\",\"kernel\":\"stale\"}");
    ASSERT_OK(kds_archive_write_champion(*state, "first", 5, NULL, e));
    ASSERT_OK(kds_archive_write_champion(*state, "second kernel", 13, provenance, e));
    assert_file(*state, "champion/kernel.cu", "second kernel");
    cJSON *back = load(*state, "champion/provenance.json");
    assert_true(kds_json_num(back, "fitness", 0) == 1.5);
    assert_true(kds_json_id(back, "kernel", &id));
    assert_true(kds_id_equal(id, kds_id_of("second kernel", 13)));
    assert_string_equal(kds_json_str(provenance, "kernel", ""), "stale"); /* only borrowed */
    cJSON_Delete(back);
    cJSON_Delete(provenance);
}

static void test_status(void **state)
{
    char path[512];
    kds_err err;
    cJSON *status = cJSON_Parse("{\"decisions\":12}");
    ASSERT_OK(kds_archive_write_status(*state, status, e));
    cJSON_SetNumberValue(cJSON_GetObjectItem(status, "decisions"), 13);
    ASSERT_OK(kds_archive_write_status(*state, status, e));
    cJSON *back = load(*state, "status.json");
    assert_int_equal(kds_json_int(back, "decisions", 0), 13);
    cJSON_Delete(back);
    path_in(path, *state, "missing");
    assert_int_equal(kds_archive_write_status(path, status, &err), KDS_IO);
    assert_non_null(strstr(err.message, "missing/status.json"));
    assert_int_not_equal(kds_archive_write_champion(path, "x", 1, NULL, &err), KDS_OK);
    cJSON_Delete(status);
}

static void test_bench(void **state)
{
    char dir[512];
    kds_err err;
    cJSON *report = NULL;
    path_in(dir, *state, "bench");
    ASSERT_OK(kds_archive_bench(dir, 2300, &report, e));
    assert_int_equal(kds_json_int(report, "candidates", 0), 2300);
    static const char *const positive[] = {"inserts_per_second", "transactions_per_second",
                                           "candidates_per_second", "open_seconds", "db_mb"};
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        assert_true(kds_json_num(report, positive[i], 0) > 0);
    assert_true(kds_json_num(report, "open_rss_mb", 1e9) < 200);
    cJSON_Delete(report);
    report = NULL;
    assert_whole(dir);
    kds_ledger *l = NULL;
    kds_ledger_totals totals;
    ASSERT_OK(kds_ledger_open(&l, dir, KDS_LEDGER_READ, e));
    ASSERT_OK(kds_ledger_totals_get(l, &totals, e));
    assert_int_equal(totals.committed, 2300);
    assert_int_equal(totals.candidates, 2300);
    kds_ledger_close(l);
    assert_int_equal(kds_archive_bench(dir, 10, &report, &err), KDS_USAGE); /* not empty */
    assert_non_null(strstr(err.message, "not empty"));
    assert_int_equal(kds_archive_bench(dir, 0, &report, &err), KDS_USAGE);
    assert_null(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_champion),
        IN_FOLDER(test_status),
        IN_FOLDER(test_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
