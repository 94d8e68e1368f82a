/* `stop`: ends a campaign that runs elsewhere on this machine, as Ctrl-C would there. */
#include "search/cli/command.h"
#include "search/cli/shell.h"
#include "search/cli/view.h"

#include "archive/ledger.h"
#include "archive/lock.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#define LOOK_MS 100 /* between looks at the lock, and between two signals, lest they be one */
#define REMIND_MS 60000
#define PATIENCE_MS 3000 /* with a holder that cannot be reached */

static void nap(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
}

/* True while that process holds the archive; one that is on its way out is still waited for. */
static bool holds(const char *dir, int64_t pid)
{
    int64_t now = 0;
    kds_err ignored = {0};
    return kds_lock_holder(dir, &now, &ignored) != KDS_OK || now == pid;
}

/* How it ended, as the record has it: a reason of its own, or on demand. */
static void print_end(const char *archive)
{
    char word[1200];
    kds_ledger *l = NULL;
    cJSON *campaign = NULL, *stop = NULL;
    kds_err err = {0};
    kds_code code = kds_ledger_open(&l, archive, KDS_LEDGER_READ, &err);
    if (code == KDS_OK)
        code = kds_view_load_campaign(l, &campaign, &stop, &err);
    const char *how = kds_json_str(stop, "code", "STOPPED");
    if (code != KDS_OK)
        printf("ended: %s\n", err.message);
    else if (strcmp(how, "STOPPED") != 0)
        printf("ended by itself meanwhile: %s\n", kds_json_str(stop, "why", how));
    else
        printf("stopped; `%s resume %s` continues\n", kds_shell_program(),
               kds_shell_word(word, sizeof word, archive));
    cJSON_Delete(campaign);
    cJSON_Delete(stop);
    kds_ledger_close(l);
}

static kds_code tell(const kds_args *args, int64_t pid, bool ended, kds_err *e)
{
    const char *archive = args->operands[0];
    if (args->json) {
        cJSON *o = cJSON_CreateObject();
        bool ok = o && kds_json_add_bool(o, "was_running", pid != 0) &&
                  kds_json_add_int(o, "pid", pid) && kds_json_add_bool(o, "ended", ended);
        kds_code code = ok ? kds_view_json(o, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
        cJSON_Delete(o);
        return code;
    }
    if (pid == 0)
        printf("nothing runs in %s\n", archive);
    else if (ended)
        print_end(archive);
    else
        printf("told pid %lld to stop\n", (long long)pid);
    return KDS_OK;
}

/* Signals whoever holds the archive. A holder that has just taken the lock may not have said yet
 * who it is. */
static kds_code tell_to_stop(const char *archive, int signal, int64_t *pid, kds_err *e)
{
    kds_code code = KDS_OK;
    for (int waited = 0; waited <= PATIENCE_MS; waited += LOOK_MS) {
        code = kds_lock_holder(archive, pid, e);
        if (code == KDS_OK && *pid == 0)
            return KDS_OK;
        if (code == KDS_OK)
            code = kds_lock_signal(archive, signal, e);
        if (code != KDS_LOCKED)
            return code;
        nap();
    }
    return code;
}

static kds_code stop(const kds_args *args, kds_err *e)
{
    const char *archive = args->operands[0];
    bool now = kds_args_flag(args, "now") != NULL, wait = !kds_args_flag(args, "no-wait");
    kds_ledger *l = NULL;
    int64_t pid = 0;
    kds_code code = kds_ledger_open(&l, archive, KDS_LEDGER_READ, e); /* or it says what that is */
    kds_ledger_close(l);
    if (code == KDS_OK) /* the first, if there was none: progress.c */
        code = tell_to_stop(archive, SIGUSR1, &pid, e);
    if (code == KDS_OK && pid && now) {
        nap();
        code = kds_lock_signal(archive, SIGINT, e);
    }
    if (code == KDS_NOT_FOUND) /* it ended by itself meanwhile */
        return tell(args, pid, true, e);
    if (code != KDS_OK || pid == 0)
        return code == KDS_OK ? tell(args, 0, true, e) : code;
    if (wait && !now && !args->json)
        fprintf(stderr, "pid %lld finishes what runs (--now: at once)\n", (long long)pid);
    for (int64_t waited = 0; wait && holds(archive, pid); waited += LOOK_MS) {
        if (waited > 0 && waited % REMIND_MS == 0 && !args->json)
            fprintf(stderr, "pid %lld still finishes what runs (--now: at once)\n", (long long)pid);
        nap();
    }
    return tell(args, pid, wait, e);
}

const kds_command kds_command_stop = {
    .name = "stop",
    .operands = "ARCHIVE",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "end a campaign that runs, as Ctrl-C would",
    .help = "Ends the campaign that runs in ARCHIVE on this machine, as Ctrl-C in its terminal "
            "would: no new work, what\n"
            "runs is finished within its grace time, nothing is lost. Waits until it has ended. "
            "Where nothing runs,\n"
            "nothing happens. `kdasearch resume` continues.",
    .flags = {{"now", 0, NULL, "at once, as a second Ctrl-C: what runs is done again at resume"},
              {"no-wait", 0, NULL, "do not wait for its end"}},
    .run = stop};
