/* Entry: finds the command, runs it, turns its code into the documented exit status. */
#include "search/cli/command.h"

#include "search/base/text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const kds_command *const commands[] = {
    &kds_command_run,   &kds_command_resume,         &kds_command_status,       &kds_command_list,
    &kds_command_show,  &kds_command_lineage,        &kds_command_replay,       &kds_command_check,
    &kds_command_eval,  &kds_command_lint,           &kds_command_doctor,       &kds_command_config,
    &kds_command_bench, &kds_command_worker_compile, &kds_command_worker_judge, NULL};

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

int main(int argc, char **argv)
{
    kds_err err = {0};
    kds_args args = {0};
    bool helped = false;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        kds_help_all();
        return argc < 2 ? kds_code_exit_status(KDS_USAGE) : 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("kdasearch %s\n", kds_version());
        return 0;
    }
    const kds_command *command = find_command(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    /* What runs a campaign must outlive its reader; what only shows may end with it, as under `|
     * head`. */
    signal(SIGPIPE, command->options || command->hidden ? SIG_IGN : SIG_DFL);
    kds_code code = kds_args_parse(&args, command, argc, argv, &helped, &err);
    if (code == KDS_OK) {
        if (!helped)
            code = command->run(&args, &err);
        kds_args_free(&args);
    }
    if (fflush(stdout) != 0 && code == KDS_OK)
        code = kds_fail(&err, KDS_IO, "writing to stdout failed");
    if (code != KDS_OK && code != KDS_STOPPED)
        fprintf(stderr, "kdasearch: %s\n", err.message[0] ? err.message : kds_code_text(code));
    else if (code == KDS_STOPPED)
        fprintf(stderr, "kdasearch: %s\n", err.message);
    return exit_status(code);
}
