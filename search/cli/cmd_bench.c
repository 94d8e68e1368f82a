/* `bench`: how fast the parts of kdasearch are on this machine. */
#include "search/cli/command.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "archive/bench.h"
#include "eval/sim/bench.h"
#include "search/base/clock.h"
#include "search/base/text.h"
#include "search/engine/state_fold.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void show_sim(const cJSON *report)
{
    const char *columns[] = {"kernel",
                             ">warp instructions",
                             ">ms",
                             ">M thread-inst/s",
                             ">ns per warp-inst",
                             ">with race detection",
                             NULL};
    kds_table *t = kds_table_create(columns);
    const cJSON *k = NULL;
    cJSON_ArrayForEach(k, kds_json_at(report, "kernels"))
    {
        kds_table_cell(t, "%s", kds_json_str(k, "name", ""));
        kds_table_cell(t, "%.0f", kds_json_num(k, "warp_inst", 0));
        kds_table_cell(t, "%.3f", 1e3 * kds_json_num(k, "seconds", 0));
        kds_table_cell(t, "%.0f", kds_json_num(k, "million_thread_inst_per_second", 0));
        kds_table_cell(t, "%.2f", kds_json_num(k, "ns_per_warp_inst", 0));
        double seconds = kds_json_num(k, "seconds", 0);
        kds_table_cell(t, "x %.2f", kds_json_num(k, "seconds_with_races", 0) / seconds);
    }
    printf("one core, %s, checks and counters on; the time with race detection in multiples\n",
           kds_json_str(report, "isa", "?"));
    kds_table_print(t, stdout);
    kds_table_free(t);
}

static int remove_entry(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
    (void)sb, (void)type, (void)ftw;
    return remove(path);
}

/* What a resume does before it goes on: opens the archive and folds its whole record into a state.
 */
static kds_code time_fold(const char *dir, cJSON *report, kds_err *e)
{
    kds_ledger *ledger = NULL;
    kds_state *state = kds_state_create();
    cJSON *campaign = NULL, *settings = NULL;
    double start = kds_clock_monotonic();
    kds_code code = state ? kds_ledger_open(&ledger, dir, KDS_LEDGER_READ, e)
                          : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        code = kds_state_fold(ledger, state, &campaign, &settings, e);
    if (code == KDS_OK && !kds_json_add_num(report, "fold_seconds", kds_clock_monotonic() - start))
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(campaign);
    cJSON_Delete(settings);
    kds_state_free(state);
    kds_ledger_close(ledger);
    return code;
}

/* In a folder of its own under the working folder (the disk that archives will live on), removed
 * afterwards. */
static kds_code bench_archive(const kds_args *args, cJSON **report, kds_err *e)
{
    char dir[] = "kdasearch-bench-XXXXXX";
    const char *text = kds_args_flag(args, "candidates");
    int64_t candidates = 100000;
    if (text && (!kds_text_parse_i64(text, &candidates) || candidates < 1 || candidates > 10000000))
        return kds_fail(e, KDS_USAGE, "--candidates: '%s' is not a whole number from 1 to 10000000",
                        text);
    if (!mkdtemp(dir))
        return kds_fail_errno(e, KDS_IO, "making a folder for the benchmark here");
    kds_code code = kds_archive_bench(dir, candidates, report, e);
    if (code == KDS_OK)
        code = time_fold(dir, *report, e);
    (void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return code;
}

static kds_code run(const kds_args *args, kds_err *e)
{
    cJSON *report = NULL;
    bool sim = strcmp(args->operands[0], "sim") == 0;
    if (!sim && strcmp(args->operands[0], "archive") != 0)
        return kds_fail(e, KDS_USAGE, "no benchmark '%s'; there are: sim, archive",
                        args->operands[0]);
    kds_code code = sim ? kds_sim_bench(&report, e) : bench_archive(args, &report, e);
    if (code == KDS_OK && args->json)
        code = kds_view_json(report, e);
    else if (code == KDS_OK && sim)
        show_sim(report);
    else if (code == KDS_OK) {
        const cJSON *item = NULL;
        cJSON_ArrayForEach(item, report)
        {
            if (cJSON_IsNumber(item))
                printf("%-26s %.6g\n", item->string, item->valuedouble);
        }
    }
    cJSON_Delete(report);
    return code;
}

const kds_command kds_command_bench = {
    .name = "bench",
    .operands = "sim|archive",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "how fast the simulator or the archive is here",
    .help = "sim: simulated instructions per second of a few kernels on one core.\n"
            "archive: durable inserts per second, and the time and memory to open an archive of "
            "100,000 candidates\n"
            "(made in a folder here and removed again).",
    .flags = {{"candidates", 0, "N", "size of the archive that is opened [100000]"}},
    .run = run};
