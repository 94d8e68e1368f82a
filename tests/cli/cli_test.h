/* What the tests of the command share: running it as a user would, in a scratch folder, and reading
 * what it says. */
#ifndef KDS_TESTS_CLI_TEST_H
#define KDS_TESTS_CLI_TEST_H

#include "prompts/mail.h"
#include "search/base/buf.h"
#include "search/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/types.h>

/* One run of the command: exit status (128 + signal if it was killed) and what it wrote. */
typedef struct cli_result {
    int status;
    char *out, *err;
} cli_result;

/* Runs kdasearch with the NULL-terminated arguments in the scratch folder and waits. Free with
 * cli_free. */
cli_result cli_run(const char *const *args);
/* The same from literal arguments. */
#define CLI(...) cli_run((const char *const[]){__VA_ARGS__, NULL})
void cli_free(cli_result *r);
/* Runs and demands an exit status; on any other the test fails and shows what was said. */
void cli_expect(int status, const char *const *args);
#define EXPECT(status, ...) cli_expect(status, (const char *const[]){__VA_ARGS__, NULL})
/* Runs with --json appended, demands success, gives the parsed stdout (last line if it is JSON
 * lines). */
cJSON *cli_json(const char *const *args);
#define JSON(...) cli_json((const char *const[]){__VA_ARGS__, NULL})
/* JSON("doctor") without LeakSanitizer: `doctor` loads libraries of CUDA, over whose thread-local
 * storage the one of gcc 12 itself crashes ("Tracer caught signal 11") once in sixty times. */
cJSON *cli_doctor(void);
/* Runs, demands the exit status and that stderr contains `text`. */
void cli_refuses(int status, const char *text, const char *const *args);
#define REFUSES(status, text, ...)                                                                 \
    cli_refuses(status, text, (const char *const[]){__VA_ARGS__, NULL})

/* Starts without waiting, as a process group of its own; output goes to files of the scratch folder
 * named `name`.out and .err. */
pid_t cli_start(const char *name, const char *const *args);
/* Waits for a started one: its exit status as in cli_result. */
int cli_wait(pid_t pid);

/* The ids of the first `most` prompts that wait in an archive's mailbox; returns how many wait. */
int cli_pending(const char *archive, char ids[][KDS_MAIL_ID], int most);

/* The number that a query of an archive gives; -1 if it has no row. */
double cli_query(const char *archive, const char *sql);

void cli_sleep_ms(int64_t ms);

/* Path in the scratch folder (static storage, 8 at a time); path in the source tree. */
const char *cli_path(const char *name);
const char *cli_source(const char *name);
void cli_write(const char *name, const void *data, size_t len);
/* Content of a file (free()); NULL if there is none. */
char *cli_read(const char *path, size_t *len);
/* Group set-up and tear-down: a scratch folder per program. */
int cli_set_up(void **state);
int cli_tear_down(void **state);

#endif
