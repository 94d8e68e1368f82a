/* The command line: one table entry per command, one parser for all. Results go to stdout,
 * everything else to stderr. */
#ifndef KDS_CLI_COMMAND_H
#define KDS_CLI_COMMAND_H

#include "search/engine/settings.h"
#include <stdio.h>

#define KDS_FLAGS_MAX 32
#define KDS_OPERANDS_MAX 256

/* A flag of one command that is no option of the table: --name[=VALUE] or -l. */
typedef struct kds_flag {
    const char *name;
    char letter;            /* 0: none */
    const char *value_name; /* NULL: takes no value */
    const char *help;
} kds_flag;

struct kds_command;

typedef struct kds_args {
    const struct kds_command *command;
    kds_settings *settings; /* flags over environment over file over defaults */
    bool json;
    const char *operands[KDS_OPERANDS_MAX];
    int operand_count;
    const char *flags[KDS_FLAGS_MAX]; /* value, "" for a flag without one, NULL if absent */
} kds_args;

typedef struct kds_command {
    const char *name;
    const char *operands; /* "TASK [FILE]" as help shows it */
    int min_operands, max_operands;
    unsigned options; /* KDS_FOR_... bits of the options that it takes */
    bool only_shows;  /* takes the options of `run`, but does not run: help names them in a line */
    bool hidden;
    const char *summary;           /* one line */
    const char *help;              /* paragraphs after the usage line */
    kds_flag flags[KDS_FLAGS_MAX]; /* ends with name NULL */
    kds_code (*run)(const kds_args *args, kds_err *e);
} kds_command;

extern const kds_command kds_command_run, kds_command_resume, kds_command_stop, kds_command_status,
    kds_command_list, kds_command_report, kds_command_export, kds_command_show, kds_command_lineage,
    kds_command_replay, kds_command_check, kds_command_eval, kds_command_lint, kds_command_doctor,
    kds_command_config, kds_command_bench, kds_command_mailbox, kds_command_knowledge,
    kds_command_init, kds_command_worker_compile, kds_command_worker_judge, kds_command_worker_gpu,
    kds_command_worker_profile, kds_command_worker_prove;

/* All commands, NULL at the end. */
const kds_command *const *kds_commands(void);
/* Value of a command's own flag; NULL if absent. */
const char *kds_args_flag(const kds_args *args, const char *name);
/* Parses argv[2..]; on --help prints the help and sets *helped. */
KDS_MUST_USE kds_code kds_args_parse(kds_args *out, const kds_command *command, int argc,
                                     char **argv, bool *helped, kds_err *e);
void kds_args_free(kds_args *args);
void kds_help_all(FILE *out);
void kds_help_command(const kds_command *command);

/* The signal that stopped the campaign (0: none): decides the exit status. */
int kds_stop_signal(void);

#endif
