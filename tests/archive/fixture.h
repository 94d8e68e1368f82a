/* What the archive's tests share: folders that vanish, and a campaign told as a script in which the
 * n-th event is always the same, so that any run can be stopped, continued and compared. */
#ifndef KDS_TESTS_ARCHIVE_FIXTURE_H
#define KDS_TESTS_ARCHIVE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/ledger.h"
#include "search/base/random.h"
#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASSERT_OK(call)                                                                            \
    do {                                                                                           \
        kds_err err_ = {.code = KDS_OK};                                                           \
        kds_err *e = &err_;                                                                        \
        kds_code code_ = (call);                                                                   \
        if (code_ != KDS_OK)                                                                       \
            fail_msg("%s: %s: %s", #call, kds_code_name(code_), err_.message);                     \
    } while (0)

#define UNUSED __attribute__((unused))

/* Fails unless a call gave `want` with a message that has `word` in it (if not NULL). */
UNUSED static void expect(kds_code got, kds_code want, const kds_err *err, const char *word)
{
    if (got != want || (word != NULL && strstr(err->message, word) == NULL))
        fail_msg("got %s (%s), expected %s with \"%s\"", kds_code_name(got), err->message,
                 kds_code_name(want), word == NULL ? "" : word);
}

UNUSED static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

UNUSED static void remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A new folder per test, as the cmocka state. */
UNUSED static int setup_folder(void **state)
{
    char *path = strdup(KDS_BINARY_DIR "/archive-test-XXXXXX");
    *state = path;
    return path != NULL && mkdtemp(path) != NULL ? 0 : -1;
}

UNUSED static int teardown_folder(void **state)
{
    remove_tree(*state);
    free(*state);
    return 0;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup_folder, teardown_folder)

UNUSED static void path_in(char out[512], const char *dir, const char *name)
{
    int len = snprintf(out, 512, "%s/%s", dir, name);
    assert_in_range(len, 1, 511);
}

UNUSED static void write_file(const char *dir, const char *name, const void *data, size_t len)
{
    char path[512];
    path_in(path, dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* Overwrites bytes of a file in place. */
UNUSED static void poke_file(const char *dir, const char *name, long at, const void *data,
                             size_t len)
{
    char path[512];
    path_in(path, dir, name);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

UNUSED static void copy_file(const char *from, const char *to, const char *name)
{
    char a[512], b[512], chunk[65536];
    path_in(a, from, name);
    path_in(b, to, name);
    FILE *in = fopen(a, "rb"), *out = fopen(b, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, in)) > 0;)
        assert_int_equal(fwrite(chunk, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* ---- The script ----
 * Event 1 is CAMPAIGN, event 2 EPOCH; then eight events for each decision: DECISION, REQUEST,
 * RESPONSE (failed), REQUEST, RESPONSE, CANDIDATE, STAGE, and ACCEPT for every third, else REJECT.
 */
#define SCRIPT_HEAD 2
#define SCRIPT_PER_DECISION 8

/* Source of a decision's candidate; every seventh repeats the one before it. */
UNUSED static void script_source(char *out, size_t size, int64_t decision)
{
    if (decision % 7 == 6)
        decision--;
    snprintf(out, size,
             "// candidate %" PRId64 "\n__global__ void k(float *x)\n{\n    x[0] = %" PRId64 ";\n"
             "    x[1] = %" PRId64 ";\n    x[2] = %" PRId64 ";\n    x[3] = %" PRId64 ";\n"
             "    x[4] = %" PRId64 ";\n    x[5] = %" PRId64 ";\n    x[6] = %" PRId64 ";\n}\n",
             decision, decision, decision, decision, decision, decision, decision, decision);
}

UNUSED static kds_id script_id(int64_t decision)
{
    char text[400];
    script_source(text, sizeof text, decision);
    return kds_id_of(text, strlen(text));
}

UNUSED static const char *script_cell(int64_t decision)
{
    static const char *const cells[] = {"00000000000000a1", "00000000000000b2", "00000000000000c3"};
    return cells[decision % 3 == 0 ? decision / 3 % 3 : 0];
}

/* Puts an object and its id into the body. */
UNUSED static kds_code script_object(kds_ledger *l, cJSON *body, const char *kind, const char *key,
                                     const void *data, size_t len, kds_err *e)
{
    kds_id id;
    kds_code code = kds_ledger_put(l, kind, data, len, &id, e);
    if (code == KDS_OK)
        kds_json_add_id(body, key, id);
    return code;
}

UNUSED static kds_code script_head(kds_ledger *l, int64_t number, kds_err *e)
{
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, number == 1 ? "format" : "epoch", 1);
    if (number == 1) {
        kds_json_add_str(body, "task", "rotary_embedding");
        kds_json_add_str(body, "seed", "9007199254740993");
        cJSON_AddItemToObject(body, "settings", cJSON_Parse("{\"max-evals\":\"100\"}"));
    } else {
        kds_json_add_str(body, "why", "start");
        kds_json_add_str(body, "host", "testhost");
        kds_json_add_int(body, "pid", 77);
    }
    kds_code code = kds_ledger_append(l, number == 1 ? "CAMPAIGN" : "EPOCH", body, NULL, e);
    cJSON_Delete(body);
    return code;
}

UNUSED static void script_parents(cJSON *body, int64_t decision)
{
    char hex[KDS_ID_HEX];
    cJSON *parents = cJSON_AddArrayToObject(body, "parents");
    if (decision == 0)
        return;
    kds_id_format(script_id((decision - 1) / 3 * 3), hex);
    cJSON_AddItemToArray(parents, cJSON_CreateString(hex));
}

UNUSED static void script_call(cJSON *body, int64_t decision, int part)
{
    kds_json_add_int(body, "request", decision * 2 + (part >= 3));
    kds_json_add_int(body, "attempt", part >= 3);
    if (part == 2 || part == 4) {
        kds_json_add_str(body, "outcome", part == 2 ? "retry" : "ok");
        kds_json_add_int(body, "status", part == 2 ? 503 : 200);
        kds_json_add_int(body, "prompt_tokens", part == 2 ? -1 : 1000 + decision);
        kds_json_add_int(body, "completion_tokens", part == 2 ? -1 : 50);
        kds_json_add_num(body, "cost_usd", part == 2 ? 0.001 : 0.1);
    }
}

UNUSED static void script_ending(cJSON *body, int64_t decision)
{
    bool accepted = decision % 3 == 0, twin = decision % 7 == 6 && !accepted;
    kds_json_add_id(body, "candidate", script_id(decision));
    kds_json_add_str(body, "verdict", twin ? "duplicate" : decision % 3 == 1 ? "wrong" : "ok");
    kds_json_add_str(body, "cell", decision % 3 == 1 ? NULL : script_cell(decision));
    kds_json_add_num(body, "fitness", decision % 3 == 1 ? (double)NAN : 1 + (double)decision / 64);
    kds_json_add_bool(body, "best", accepted && decision % 2 == 0);
    kds_json_add_str(body, "why", accepted ? "faster" : "slower than the elite");
    if (accepted)
        cJSON_AddItemToObject(body, "bins", cJSON_Parse("[0,2,3]"));
    if (twin)
        kds_json_add_id(body, "duplicate_of", script_id(decision - 1));
}

/* Appends the script's event `number` (1 is the first) with its objects, in one durable
 * transaction. */
UNUSED static kds_code script_append(kds_ledger *l, int64_t number, kds_err *e)
{
    static const char *const kinds[] = {"DECISION", "REQUEST",   "RESPONSE", "REQUEST",
                                        "RESPONSE", "CANDIDATE", "STAGE",    "REJECT"};
    if (number <= SCRIPT_HEAD)
        return script_head(l, number, e);
    int64_t decision = (number - SCRIPT_HEAD - 1) / SCRIPT_PER_DECISION;
    int part = (int)((number - SCRIPT_HEAD - 1) % SCRIPT_PER_DECISION);
    const char *kind = part == 7 && decision % 3 == 0 ? "ACCEPT" : kinds[part];
    unsigned char noise[6000];
    char text[400];
    cJSON *body = cJSON_CreateObject();
    kds_code code = kds_ledger_begin(l, e);
    if (code != KDS_OK)
        goto out;
    kds_json_add_int(body, "decision", decision);
    script_source(text, sizeof text, decision);
    if (part == 0 || part == 5) {
        script_parents(body, decision);
        kds_json_add_str(body, "operator", decision % 2 ? "mutate" : "repair");
        kds_json_add_str(body, "model", "m1");
        kds_json_add_str(body, "cell", decision == 0 ? NULL : script_cell(decision - 1));
    }
    if (part == 1 || part == 3)
        code = script_object(l, body, "prompt", "prompt", "make it faster", 14, e);
    if (part == 4) /* a reply that does not compress */
    {
        kds_random r = kds_random_stream(7, (uint64_t)decision, "noise");
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (unsigned char)kds_random_u64(&r);
        code = script_object(l, body, "reply", "reply", noise, sizeof noise, e);
    }
    if (part >= 1 && part <= 4)
        script_call(body, decision, part);
    if (part == 5) {
        code = script_object(l, body, "source", "candidate", text, strlen(text), e);
        kds_json_add_id(body, "norm", kds_id_of(&decision, sizeof decision));
        kds_json_add_str(body, "hypothesis", "wider loads \xc3\xa9");
    }
    if (part == 6) {
        kds_json_add_id(body, "candidate", script_id(decision));
        kds_json_add_str(body, "stage", "judge");
        kds_json_add_str(body, "verdict", decision % 3 == 1 ? "wrong" : "ok");
        kds_json_add_num(body, "seconds", 0.5);
        if (decision % 2 == 0)
            kds_json_add_id(body, "cubin", kds_id_of(text, 5 + (size_t)decision % 20));
        code = script_object(l, body, "report", "report", text + 3, 16, e);
    }
    if (part == 7)
        script_ending(body, decision);
    if (code == KDS_OK)
        code = kds_ledger_append(l, kind, body, NULL, e);
    if (code == KDS_OK)
        code = kds_ledger_commit(l, e);
out:
    cJSON_Delete(body);
    return code;
}

/* Appends until the ledger's last event is `upto`. */
UNUSED static void script_run(kds_ledger *l, int64_t upto)
{
    while (kds_ledger_last_seq(l) < upto)
        ASSERT_OK(script_append(l, kds_ledger_last_seq(l) + 1, e));
}

#define SCRIPT_EVENTS(decisions) (SCRIPT_HEAD + (int64_t)SCRIPT_PER_DECISION * (decisions))

/* A closed archive with that many decisions. */
UNUSED static void script_archive(const char *dir, int decisions)
{
    kds_ledger *l = NULL;
    ASSERT_OK(kds_ledger_create(&l, dir, e));
    script_run(l, SCRIPT_EVENTS(decisions));
    kds_ledger_close(l);
}

/* Runs the check; *problem (may be NULL) gets the first problem or "". */
UNUSED static kds_code run_check(const char *dir, char *problem, size_t size)
{
    kds_err err;
    cJSON *report = NULL;
    kds_code code = kds_ledger_check(dir, &report, &err);
    if (problem != NULL)
        snprintf(problem, size, "%s",
                 code == KDS_OK ? ""
                                : cJSON_GetStringValue(
                                      cJSON_GetArrayItem(kds_json_at(report, "problems"), 0)));
    if (code == KDS_DAMAGED)
        assert_non_null(strstr(err.message, "kdasearch check"));
    cJSON_Delete(report);
    return code;
}

UNUSED static void assert_whole(const char *dir)
{
    char problem[1000];
    kds_code code = run_check(dir, problem, sizeof problem);
    if (code != KDS_OK)
        fail_msg("check: %s: %s", kds_code_name(code), problem);
}

#endif
