/* Entry: finds the command, runs it, turns its code into the documented exit status. */
#include "search/cli/command.h"

#include "search/base/text.h"
#include "search/cli/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const kds_command *const commands[] = {&kds_command_run,
                                              &kds_command_resume,
                                              &kds_command_stop,
                                              &kds_command_status,
                                              &kds_command_list,
                                              &kds_command_show,
                                              &kds_command_lineage,
                                              &kds_command_report,
                                              &kds_command_export,
                                              &kds_command_replay,
                                              &kds_command_check,
                                              &kds_command_eval,
                                              &kds_command_lint,
                                              &kds_command_init,
                                              &kds_command_doctor,
                                              &kds_command_config,
                                              &kds_command_mailbox,
                                              &kds_command_knowledge,
                                              &kds_command_bench,
                                              &kds_command_worker_compile,
                                              &kds_command_worker_judge,
                                              &kds_command_worker_gpu,
                                              &kds_command_worker_profile,
                                              &kds_command_worker_prove,
                                              NULL};

const kds_command *const *kds_commands(void)
{
    return commands;
}

static const kds_command *find_command(const char *name)
{
    for (int i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[sizeof commands / sizeof *commands];
    kds_err err = {0};
    int n = 0;
    for (int i = 0; commands[i]; i++)
        if (!commands[i]->hidden)
            names[n++] = commands[i]->name;
    names[n] = NULL;
    const char *near = kds_text_suggest(name, names);
    if (near)
        (void)kds_fail(&err, KDS_USAGE, "no command '%s'; did you mean '%s'?", name, near);
    else
        (void)kds_fail(&err, KDS_USAGE, "no command '%s'; `kdasearch --help` lists them", name);
    fprintf(stderr, "kdasearch: %s\n", err.message);
    return kds_code_exit_status(KDS_USAGE);
}

static int exit_status(kds_code code)
{
    int signal = kds_stop_signal();
    return code == KDS_STOPPED && signal ? 128 + signal : kds_code_exit_status(code);
}

/* A closed standard descriptor would be given to the next file that is opened, an archive's for
 * instance. stdout's stand-in refuses writing, so that lost output is still an error. */
static void hold_standard_descriptors(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);
}

/* `--help`, `help [COMMAND]`, `--version`, or nothing at all. False: argv[1] is a command. */
static bool answer_general(int argc, char **argv, kds_code *code)
{
    const char *first = argc > 1 ? argv[1] : "";
    bool help = strcmp(first, "help") == 0;
    const kds_command *about = help && argc > 2 ? find_command(argv[2]) : NULL;
    *code = KDS_OK;
    if (about)
        kds_help_command(about);
    else if (strcmp(first, "--version") == 0)
        printf("kdasearch %s\n", kds_version());
    else if (argc < 2 || help || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        kds_help_all(argc < 2 ? stderr : stdout);
        *code = argc < 2 ? KDS_USAGE : KDS_OK;
    } else
        return false;
    return true;
}

static int flush_output(int status)
{
    if ((fflush(stdout) == 0 && !ferror(stdout)) || status)
        return status;
    fprintf(stderr, "kdasearch: writing to stdout failed\n");
    return kds_code_exit_status(KDS_IO);
}

int main(int argc, char **argv)
{
    kds_err err = {0};
    kds_args args = {0};
    kds_code code = KDS_OK;
    bool helped = false;
    hold_standard_descriptors();
    kds_shell_called(argv[0]);
    if (answer_general(argc, argv, &code))
        return flush_output(kds_code_exit_status(code));
    const kds_command *command = find_command(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    /* What runs a campaign must outlive its reader; what only shows may end with it, as under `|
     * head`. */
    signal(SIGPIPE,
           (command->options && !command->only_shows) || command->hidden ? SIG_IGN : SIG_DFL);
    code = kds_args_parse(&args, command, argc, argv, &helped, &err);
    if (code == KDS_OK) {
        if (!helped)
            code = command->run(&args, &err);
        kds_args_free(&args);
    }
    if (code != KDS_OK)
        fprintf(stderr, "kdasearch: %s\n", err.message[0] ? err.message : kds_code_text(code));
    return flush_output(exit_status(code));
}
