/* `bench`: how fast the parts of kdasearch are on this machine, and kernels on a GPU. */
#include "search/cli/bench.h"
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
                             ">on all cores",
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
        kds_table_cell(t, "x %.2f", kds_json_num(k, "seconds_on_all_cores", 0) / seconds);
    }
    printf("one core, %s, checks and counters on; the last two columns are multiples of the time "
           "(%d cores)\n",
           kds_json_str(report, "isa", "?"), (int)kds_json_int(report, "cores", 1));
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

kds_code kds_bench_number(const kds_args *args, const char *flag, int64_t min, int64_t max,
                          int64_t fallback, int64_t *out, kds_err *e)
{
    const char *text = kds_args_flag(args, flag);
    int64_t value = fallback;
    if (text && (!kds_text_parse_i64(text, &value) || value < min || value > max))
        return kds_fail(e, KDS_USAGE, "--%s: '%s' is not a whole number from %lld to %lld", flag,
                        text, (long long)min, (long long)max);
    *out = value;
    return KDS_OK;
}

/* In a folder of its own under the working folder (the disk that archives will live on), removed
 * afterwards. */
static kds_code bench_archive(const kds_args *args, kds_err *e)
{
    char dir[] = "kdasearch-bench-XXXXXX";
    int64_t candidates = 0;
    cJSON *report = NULL;
    kds_code code = kds_bench_number(args, "candidates", 1, 10000000, 100000, &candidates, e);
    if (code != KDS_OK)
        return code;
    if (!mkdtemp(dir))
        return kds_fail_errno(e, KDS_IO, "making a folder for the benchmark here");
    code = kds_archive_bench(dir, candidates, &report, e);
    if (code == KDS_OK)
        code = time_fold(dir, report, e);
    (void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (code == KDS_OK && args->json)
        code = kds_view_json(report, e);
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

static kds_code bench_sim(const kds_args *args, kds_err *e)
{
    cJSON *report = NULL;
    kds_code code = kds_sim_bench(&report, e);
    if (code == KDS_OK && args->json)
        code = kds_view_json(report, e);
    else if (code == KDS_OK)
        show_sim(report);
    cJSON_Delete(report);
    return code;
}

static const struct {
    const char *name, *usage;
    int least, most; /* operands, the name included */
    kds_code (*run)(const kds_args *args, kds_err *e);
} benches[] = {
    {"sim", "", 1, 1, bench_sim},
    {"archive", "", 1, 1, bench_archive},
    {"engine", " TASK", 2, 2, kds_bench_engine},
    {"search", " CATALOGUE...", 2, KDS_OPERANDS_MAX, kds_bench_search},
    {"gpu", " TASK FILE.cu...", 3, KDS_OPERANDS_MAX, kds_bench_gpu},
    {"profile", " TASK FILE.cu...", 3, KDS_OPERANDS_MAX, kds_bench_profile},
    {"duel", " TASK INCUMBENT.cu CHILD.cu, or TASK --aa FILE.cu", 2, 4, kds_bench_duel},
    {"model", " MEASURED.json...", 2, KDS_OPERANDS_MAX, kds_bench_model},
};

static kds_code run(const kds_args *args, kds_err *e)
{
    const char *name = args->operands[0];
    for (size_t i = 0; i < sizeof benches / sizeof *benches; i++) {
        if (strcmp(benches[i].name, name) != 0)
            continue;
        if (args->operand_count < benches[i].least || args->operand_count > benches[i].most)
            return kds_fail(e, KDS_USAGE, "usage: kdasearch bench %s%s", name, benches[i].usage);
        return benches[i].run(args, e);
    }
    return kds_fail(
        e, KDS_USAGE,
        "no benchmark '%s'; there are: sim, archive, engine, search, gpu, profile, duel, model",
        name);
}

const kds_command kds_command_bench = {
    .name = "bench",
    .operands = "WHAT ...",
    .min_operands = 1,
    .max_operands = KDS_OPERANDS_MAX,
    .summary = "how fast the simulator, the archive or kernels are here",
    .help =
        "bench sim: simulated instructions per second of a few kernels on one core.\n"
        "bench archive: durable inserts per second, and the time and memory to open an archive of "
        "100,000 candidates\n"
        "(made in a folder here and removed again).\n"
        "bench engine TASK: a whole campaign of the built-in proposer: candidates an hour, and "
        "where the time goes.\n"
        "bench search CATALOGUE...: whole campaigns with a scripted proposer in a model's place, "
        "on "
        "kernels that have all been\n"
        "judged on the simulator: how many decisions and calls the search needs, against greedy, "
        "random and island search\n"
        "and without some operators (search/README.md).\n"
        "bench gpu TASK FILE.cu...: measures kernels on a GPU, each on each production row. A "
        "kernel is compiled, compared\n"
        "with the task's baseline, and timed: the median of visits, each a CUDA graph of launches "
        "behind a delay kernel that\n"
        "rotates over sets of buffers which together exceed twice the L2. Exits 20 without a "
        "GPU.\n"
        "bench profile TASK FILE.cu...: counters of kernels on a GPU (CUPTI), row by row; with "
        "--compare-sim those of the\n"
        "simulator beside them. --self-test first tries them on kernels whose counts are known and "
        "refuses them if they are off.\n"
        "bench duel TASK INCUMBENT.cu CHILD.cu: fights duels of two kernels on a GPU, over all "
        "rows "
        "together: rounds of paired\n"
        "visits until the exact signed-rank test says faster, not faster, or that it cannot tell. "
        "With --aa FILE.cu a kernel\n"
        "fights a renamed copy of itself: how often chance is called a gain. --slowdown 0.01 makes "
        "the incumbent's visits 1 %\n"
        "longer by a kernel that idles in each: how often such a gain is found.\n"
        "bench model MEASURED.json...: how well the simulator's time model ranks and times what "
        "`bench gpu --out` measured;\n"
        "with --fit, which rates would fit better, and whether they would on tasks that they were "
        "not fitted to.",
    .flags =
        {{"candidates", 0, "N",
          "archive: size of the archive that is opened [100000]; engine: how many to judge [200]"},
         {"device", 0, "NAME",
          "engine, gpu, profile, duel: cuda:N [cuda:0]; model: sim:GPU [sim:h200]"},
         {"in-flight", 0, "N", "engine, search: decisions under way at a time"},
         {"workers", 0, "N", "engine, search: worker processes of each kind"},
         {"arms", 0, "LIST",
          "search: default, best, random, islands, no-tune, no-crossover, no-explore [all]"},
         {"seeds", 0, "N", "search: campaigns of each arm and task [50]"},
         {"cap", 0, "N", "search: decisions after which a campaign is given up [400]"},
         {"share", 0, "SHARE", "search: of the optimum's fitness that is to be reached [0.95]"},
         {"verdicts", 0, "DIR", "search: keep the kernels' verdicts here, and take what is here"},
         {"sweep", 0, "N", "gpu: N variants of each file by its tune lines, at most"},
         {"seed", 0, "N",
          "gpu: draws the variants if there are more; duel: of the first duel [1]; search: of the "
          "first campaign [1]"},
         {"rows", 0, "LIST",
          "gpu, profile, duel: rows by name, comma-separated [the production rows]"},
         {"seconds", 0, "TIME", "gpu, duel: begin nothing after that; what is measured is kept"},
         {"out", 0, "FILE", "gpu, profile, duel: write JSON here, now and then and at the end"},
         {"metrics", 0, "LIST", "profile: counters by name, comma-separated, or all"},
         {"compare-sim", 0, NULL, "profile: the simulator's counters too"},
         {"self-test", 0, NULL, "profile: prove the counters on known kernels first"},
         {"duels", 0, "N", "duel: how many [1]"},
         {"aa", 0, "FILE.cu", "duel: this kernel against a renamed copy of itself"},
         {"slowdown", 0, "SHARE", "duel: make the incumbent's visits longer by that [0]"},
         {"warm", 0, NULL, "duel: stay on one set of buffers"},
         {"fresh", 0, NULL, "duel: a GPU worker of its own for every duel"},
         {"floor", 0, "SHARE", "duel: smallest gain that counts, if above the task's [0]"},
         {"fit", 0, NULL, "model: fit the model's rates"},
         {"tasks", 0, "DIR", "model: where the tasks' folders are [as measured]"}},
    .run = run};
