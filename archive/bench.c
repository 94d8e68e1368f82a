/* The archive's benchmark. The process that measures opening is forked before anything is filled,
 * so that neither the fill's memory nor its caches in the heap count; it waits for a byte on a
 * socket and sends its result back there. */
#include "archive/bench.h"
#include "archive/ledger.h"
#include "search/base/clock.h"
#include "search/base/file.h"
#include "search/base/random.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DURABLE_MAX 2000
#define BATCH 1000 /* candidates per large transaction */

/* ---- Filling ---- */

/* Text that compresses about as well as code does: words of a small vocabulary and numbers. */
static void make_text(kds_buf *out, int64_t number, const char *purpose, size_t size)
{
    static const char *const words[] = {"const int ",
                                        "float ",
                                        "__shared__ ",
                                        "threadIdx.x",
                                        " * ",
                                        " + ",
                                        "acc",
                                        "[i]",
                                        " = ",
                                        "__ldg(&x[",
                                        "]);\n    ",
                                        "if (row < M) ",
                                        "lane",
                                        "warp_sum",
                                        "(",
                                        ");\n",
                                        "#pragma unroll\n",
                                        "for (int i = 0; i < "};
    kds_random r = kds_random_stream(1, (uint64_t)number, purpose);
    kds_buf_reset(out);
    kds_buf_printf(out, "// %" PRId64 "\n", number);
    while (out->len < size && out->bad == KDS_OK) {
        uint64_t x = kds_random_u64(&r);
        if (x % 4 == 0)
            kds_buf_printf(out, "%u", (unsigned)(x >> 8) % 4096);
        else
            kds_buf_puts(out, words[(x >> 8) % (sizeof words / sizeof *words)]);
    }
}

/* The body of the next event; out of memory is found when it is appended. */
static cJSON *new_body(int64_t decision, kds_id candidate)
{
    cJSON *body = cJSON_CreateObject();
    kds_json_add_int(body, "decision", decision);
    if (!kds_id_is_zero(candidate))
        kds_json_add_id(body, "candidate", candidate);
    return body;
}

static void add_parents(cJSON *body, kds_id parent)
{
    char hex[KDS_ID_HEX];
    cJSON *parents = cJSON_AddArrayToObject(body, "parents");
    kds_id_format(parent, hex);
    if (!kds_id_is_zero(parent))
        cJSON_AddItemToArray(parents, cJSON_CreateString(hex));
}

/* One step of a candidate: its object, if any, and its event, in one transaction. */
typedef struct step {
    kds_ledger *ledger;
    bool durable;
    kds_buf text;
    int64_t events;
    kds_id elite; /* the last accepted candidate */
} step;

static kds_code take_step(step *s, const char *kind, const char *object, const char *object_key,
                          cJSON *body, kds_id *id, kds_err *e)
{
    kds_code code = s->durable ? kds_ledger_begin(s->ledger, e) : KDS_OK;
    if (code == KDS_OK && object != NULL) {
        code = kds_ledger_put(s->ledger, object, s->text.data, s->text.len, id, e);
        if (code == KDS_OK)
            kds_json_add_id(body, object_key, *id);
    }
    if (code == KDS_OK)
        code = kds_ledger_append(s->ledger, kind, body, NULL, e);
    if (code == KDS_OK && s->durable)
        code = kds_ledger_commit(s->ledger, e);
    s->events++;
    cJSON_Delete(body);
    return code;
}

static cJSON *decision_body(const step *s, int64_t number, const char *cell)
{
    cJSON *body = new_body(number, (kds_id){0, 0});
    kds_json_add_str(body, "operator", number % 3 == 0 ? "tune" : "rewrite");
    kds_json_add_str(body, "proposer", "builtin");
    add_parents(body, s->elite);
    kds_json_add_str(body, "cell", kds_id_is_zero(s->elite) ? NULL : cell);
    kds_json_add_id(body, "chain", kds_id_of(&number, sizeof number));
    return body;
}

static cJSON *candidate_body(const step *s, int64_t number)
{
    cJSON *body = new_body(number, (kds_id){0, 0});
    kds_json_add_id(body, "norm", kds_id_of(&number, sizeof number));
    add_parents(body, s->elite);
    kds_json_add_str(body, "operator", number % 3 == 0 ? "tune" : "rewrite");
    kds_json_add_str(body, "hypothesis", "wider loads should halve the requests per sector");
    return body;
}

static cJSON *stage_body(int64_t number, kds_id id)
{
    cJSON *body = new_body(number, id);
    int64_t program = -number - 1;
    kds_json_add_str(body, "stage", "judge");
    kds_json_add_str(body, "verdict", "ok");
    kds_json_add_id(body, "cubin", kds_id_of(&program, sizeof program));
    kds_json_add_num(body, "seconds", 0.25);
    return body;
}

static cJSON *ending_body(int64_t number, kds_id id, const char *cell, bool accepted)
{
    cJSON *body = new_body(number, id);
    kds_json_add_str(body, "verdict", "ok");
    kds_json_add_str(body, "cell", cell);
    kds_json_add_num(body, "fitness", 1.0 + (double)(number % 997) / 1000);
    kds_json_add_bool(body, "best", accepted);
    return body;
}

/* Records candidate `number`, every eighth as accepted, in 64 cells. */
static kds_code record_candidate(step *s, int64_t number, kds_err *e)
{
    char cell[17];
    kds_id id = {0, 0}, report;
    bool accepted = number % 8 == 0;
    snprintf(cell, sizeof cell, "%016" PRIx64, (uint64_t)(number / 8 % 64) * 0x9e3779b97f4a7c15u);
    kds_code code = take_step(s, "DECISION", NULL, NULL, decision_body(s, number, cell), NULL, e);
    if (code != KDS_OK)
        return code;
    make_text(&s->text, number, "source", 4096);
    code = take_step(s, "CANDIDATE", "source", "candidate", candidate_body(s, number), &id, e);
    if (code != KDS_OK)
        return code;
    make_text(&s->text, number, "report", 2048);
    code = take_step(s, "STAGE", "report", "report", stage_body(number, id), &report, e);
    if (code != KDS_OK)
        return code;
    code = take_step(s, accepted ? "ACCEPT" : "REJECT", NULL, NULL,
                     ending_body(number, id, cell, accepted), NULL, e);
    if (accepted)
        s->elite = id;
    return code;
}

/* What every record begins with. */
static kds_code record_beginning(step *s, kds_err *e)
{
    cJSON *campaign = cJSON_CreateObject(), *epoch = cJSON_CreateObject();
    kds_json_add_int(campaign, "format", KDS_ARCHIVE_FORMAT);
    kds_json_add_str(campaign, "task", "bench");
    kds_json_add_str(campaign, "seed", "1");
    kds_json_add_int(epoch, "epoch", 0);
    kds_json_add_str(epoch, "why", "start");
    cJSON_AddObjectToObject(epoch, "settings");
    kds_code code = take_step(s, "CAMPAIGN", NULL, NULL, campaign, NULL, e);
    if (code == KDS_OK)
        return take_step(s, "EPOCH", NULL, NULL, epoch, NULL, e);
    cJSON_Delete(epoch);
    return code;
}

static kds_code fill(const char *dir, int64_t candidates, double *events_per_second, kds_err *e)
{
    step s = {.durable = true};
    int64_t durable = candidates < DURABLE_MAX ? candidates : DURABLE_MAX, number = 0;
    kds_buf_init(&s.text, 1 << 16);
    kds_code code = kds_ledger_create(&s.ledger, dir, e);
    if (code == KDS_OK)
        code = record_beginning(&s, e);
    s.events = 0;
    double start = kds_clock_monotonic();
    while (code == KDS_OK && number < durable)
        code = record_candidate(&s, number++, e);
    double seconds = kds_clock_monotonic() - start;
    *events_per_second = seconds > 0 ? (double)s.events / seconds : 0;
    s.durable = false;
    while (code == KDS_OK && number < candidates) {
        code = kds_ledger_begin(s.ledger, e);
        for (int i = 0; code == KDS_OK && i < BATCH && number < candidates; i++)
            code = record_candidate(&s, number++, e);
        if (code == KDS_OK)
            code = kds_ledger_commit(s.ledger, e);
    }
    kds_ledger_close(s.ledger);
    kds_buf_free(&s.text);
    return code;
}

/* ---- Opening ---- */

typedef struct opening {
    kds_code code;
    double seconds, rss_mb;
    int64_t candidates;
    char message[400];
} opening;

/* Most memory that this process ever had resident, in MB. */
static double peak_rss_mb(void)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    if (f != NULL)
        fclose(f);
    return (double)kb / 1024;
}

/* What a resume keeps of every candidate. */
typedef struct known {
    struct {
        int64_t decision;
        kds_id id, norm, cubin;
    } * items;
    int64_t count, room;
    bool full;
} known;

static void keep_ids(void *user, int64_t decision, const kds_id *id, const kds_id *norm,
                     const kds_id *cubin, const char *verdict)
{
    known *k = user;
    (void)verdict;
    if (k->count == k->room && !k->full) {
        int64_t room = k->room > 0 ? k->room * 2 : 1024;
        void *items = realloc(k->items, (size_t)room * sizeof *k->items);
        k->full = items == NULL;
        if (items != NULL) {
            k->items = items;
            k->room = room;
        }
    }
    if (k->full)
        return;
    k->items[k->count].decision = decision;
    k->items[k->count].id = *id;
    k->items[k->count].norm = *norm;
    k->items[k->count++].cubin = *cubin;
}

static kds_code count_cell(void *user, const kds_cell_row *row, kds_err *e)
{
    (void)row, (void)e;
    ++*(int64_t *)user;
    return KDS_OK;
}

static void measure_opening(const char *dir, opening *out)
{
    kds_err err = {.code = KDS_OK};
    kds_ledger *l = NULL;
    kds_ledger_totals totals;
    known k = {NULL, 0, 0, false};
    int64_t cells = 0;
    double before = peak_rss_mb(), start = kds_clock_monotonic();
    kds_code code = kds_ledger_open(&l, dir, KDS_LEDGER_WRITE, &err);
    if (code == KDS_OK)
        code = kds_ledger_totals_get(l, &totals, &err);
    if (code == KDS_OK)
        code = kds_ledger_each_cell(l, count_cell, &cells, &err);
    if (code == KDS_OK)
        code = kds_ledger_each_ids(l, keep_ids, &k, &err);
    if (code == KDS_OK && k.full)
        code = kds_fail(&err, KDS_NO_MEMORY, "out of memory for the ids");
    out->seconds = kds_clock_monotonic() - start;
    out->rss_mb = peak_rss_mb() - before;
    out->candidates = k.count;
    out->code = code;
    snprintf(out->message, sizeof out->message, "%.*s", (int)sizeof out->message - 1, err.message);
    free(k.items);
    kds_ledger_close(l);
}

/* The process that will measure: waits for a byte, or for the end of its parent. */
static void run_opener(const char *dir, int channel)
{
    opening o;
    char byte;
    memset(&o, 0, sizeof o);
    if (read(channel, &byte, 1) == 1) {
        measure_opening(dir, &o);
        ssize_t ignored = send(channel, &o, sizeof o, MSG_NOSIGNAL);
        (void)ignored;
    }
    _exit(0);
}

static kds_code start_opener(const char *dir, pid_t *pid, int *channel, kds_err *e)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return kds_fail_errno(e, KDS_IO, "cannot make a socket pair");
    *pid = fork();
    if (*pid == 0) {
        close(ends[0]);
        run_opener(dir, ends[1]);
    }
    close(ends[1]);
    *channel = ends[0];
    if (*pid > 0)
        return KDS_OK;
    kds_code code = kds_fail_errno(e, KDS_WORKER, "cannot start the process that measures opening");
    close(ends[0]);
    return code;
}

/* Reads the result of the opening process. */
static kds_code read_opening(int fd, opening *out, kds_err *e)
{
    size_t got = 0;
    while (got < sizeof *out) {
        ssize_t n = read(fd, (char *)out + got, sizeof *out - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return kds_fail(e, KDS_WORKER, "the process that measures opening died");
        got += (size_t)n;
    }
    return out->code == KDS_OK ? KDS_OK : kds_fail(e, out->code, "%s", out->message);
}

static double database_mb(const char *dir)
{
    struct stat st;
    char *path = kds_path_join(dir, "campaign.db");
    double mb = path != NULL && stat(path, &st) == 0 ? (double)st.st_size / 1e6 : 0;
    free(path);
    return mb;
}

static cJSON *make_report(const char *dir, double events_per_second, const opening *o)
{
    cJSON *out = cJSON_CreateObject();
    if (kds_json_add_int(out, "candidates", o->candidates) &&
        kds_json_add_num(out, "inserts_per_second", events_per_second) &&
        kds_json_add_num(out, "transactions_per_second", events_per_second) &&
        kds_json_add_num(out, "candidates_per_second", events_per_second / 4) &&
        kds_json_add_num(out, "open_seconds", o->seconds) &&
        kds_json_add_num(out, "open_rss_mb", o->rss_mb) &&
        kds_json_add_num(out, "db_mb", database_mb(dir)))
        return out;
    cJSON_Delete(out);
    return NULL;
}

kds_code kds_archive_bench(const char *dir, int64_t candidates, cJSON **report, kds_err *e)
{
    pid_t pid = -1;
    int channel = -1;
    double events_per_second = 0;
    bool empty = false;
    opening o;
    memset(&o, 0, sizeof o);
    if (candidates < 1 || candidates > 10000000)
        return kds_fail(e, KDS_USAGE, "%lld candidates: 1 to 10,000,000 can be measured",
                        (long long)candidates);
    kds_code code = kds_dir_make(dir, e);
    if (code == KDS_OK)
        code = kds_dir_is_empty(dir, &empty, e);
    if (code == KDS_OK && !empty)
        code = kds_fail(e, KDS_USAGE, "%s is not empty: give a new folder for the benchmark", dir);
    if (code == KDS_OK)
        code = start_opener(dir, &pid, &channel, e);
    if (code != KDS_OK)
        return code;
    code = fill(dir, candidates, &events_per_second, e);
    if (code == KDS_OK && send(channel, "g", 1, MSG_NOSIGNAL) != 1)
        code = kds_fail_errno(e, KDS_WORKER, "cannot reach the process that measures opening");
    if (code == KDS_OK)
        code = read_opening(channel, &o, e);
    close(channel);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    cJSON *out = code == KDS_OK ? make_report(dir, events_per_second, &o) : NULL;
    if (code == KDS_OK && out == NULL)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory for a report");
    if (code == KDS_OK)
        *report = out;
    return code;
}
