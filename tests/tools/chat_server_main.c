/* chat_server [SCRIPT.json] [--journal PATH] [--port N]: runs the scripted endpoint until SIGTERM,
 * SIGINT or SIGHUP. Prints the port on the first line of standard output and its counters on the
 * last. */
#include "search/base/text.h"
#include "tests/tools/chat_server.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int usage(void)
{
    fputs("usage: chat_server [SCRIPT.json] [--journal PATH] [--port N]\n", stderr);
    return 2;
}

/* Waits for a signal that ends the program; they are blocked in all threads. */
static void wait_for_end(const sigset_t *ends)
{
    int got;
    sigwait(ends, &got);
}

int main(int argc, char **argv)
{
    const char *path = NULL, *journal = NULL;
    int64_t port = -1;
    kds_err e;
    kds_err_clear(&e);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--journal") == 0 && i + 1 < argc)
            journal = argv[++i];
        else if (strcmp(argv[i], "--port") == 0 && i + 1 < argc &&
                 kds_text_parse_i64(argv[i + 1], &port) && port >= 0 && port <= 65535)
            i++;
        else if (argv[i][0] != '-' && !path)
            path = argv[i];
        else
            return usage();
    }
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGHUP);
    sigprocmask(SIG_BLOCK, &ends, NULL);

    chat_script_file *file = NULL;
    chat_server *server = NULL;
    chat_script script = {.seed = 0};
    kds_code code = path ? chat_script_load(&file, path, &e) : KDS_OK;
    if (file)
        script = *chat_script_get(file);
    if (journal)
        script.journal = journal;
    if (port >= 0)
        script.port = (int)port;
    if (code == KDS_OK)
        code = chat_server_start(&server, &script, &e);
    if (code == KDS_OK) {
        printf("%d\n", chat_server_port(server));
        fflush(stdout);
        wait_for_end(&ends);
        chat_counts c = chat_server_counts(server);
        printf("{\"requests\":%llu,\"ok\":%llu,\"faults\":%llu,\"unauthorised\":%llu,"
               "\"prompt_tokens\":%lld,\"completion_tokens\":%lld}\n",
               (unsigned long long)c.requests, (unsigned long long)c.ok,
               (unsigned long long)c.faults, (unsigned long long)c.unauthorised,
               (long long)c.prompt_tokens, (long long)c.completion_tokens);
    } else {
        fprintf(stderr, "chat_server: %s\n", e.message);
    }
    chat_server_stop(server);
    chat_script_free(file);
    return kds_code_exit_status(code);
}
