/* Parsing a command line against the options table and a command's own flags, and the help that
 * derives from both. */
#include "search/cli/command.h"

#include "search/base/text.h"

#include <stdio.h>
#include <string.h>

const char *kds_args_flag(const kds_args *args, const char *name)
{
    for (int i = 0; i < KDS_FLAGS_MAX && args->command->flags[i].name; i++)
        if (strcmp(args->command->flags[i].name, name) == 0)
            return args->flags[i];
    return NULL;
}

/* Nearest flag or option of this command. */
static const char *suggest(const kds_command *command, const char *given)
{
    const char *names[128];
    int n = 0;
    for (int i = 0; i < KDS_FLAGS_MAX && command->flags[i].name; i++)
        names[n++] = command->flags[i].name;
    for (const kds_option *o = kds_options(); o->name && n < 120; o++)
        if (o->commands & command->options)
            names[n++] = o->name;
    names[n++] = "json";
    names[n++] = "help";
    names[n] = NULL;
    return kds_text_suggest(given, names);
}

static kds_code unknown_flag(const kds_command *command, const char *given, kds_err *e)
{
    const kds_option *known = kds_option_find(given);
    if (known && (command->options & KDS_FOR_RESUME))
        return kds_fail(e, KDS_USAGE,
                        "--%s is fixed when a campaign starts; `kdasearch run` starts another one",
                        given);
    if (known)
        return kds_fail(e, KDS_USAGE, "%s does not take --%s", command->name, given);
    const char *near = suggest(command, given);
    if (near)
        return kds_fail(e, KDS_USAGE, "%s has no option --%s; did you mean --%s?", command->name,
                        given, near);
    return kds_fail(e, KDS_USAGE, "%s has no option --%s; `kdasearch %s --help` lists them",
                    command->name, given, command->name);
}

/* One argument that begins with '-'. `value` is what follows '=' or NULL; *used tells that the next
 * argument was. */
static kds_code parse_flag(kds_args *a, const char *name, size_t len, const char *value,
                           const char *next, bool *used, kds_err *e)
{
    char text[80];
    snprintf(text, sizeof text, "%.*s", (int)len, name);
    for (int i = 0; i < KDS_FLAGS_MAX && a->command->flags[i].name; i++) {
        const kds_flag *f = &a->command->flags[i];
        bool letter = len == 1 && f->letter && name[0] == f->letter;
        if (!letter && strcmp(f->name, text) != 0)
            continue;
        if (!f->value_name) {
            if (value)
                return kds_fail(e, KDS_USAGE, "--%s takes no value", f->name);
            a->flags[i] = "";
            return KDS_OK;
        }
        *used = !value;
        if (!value && !next)
            return kds_fail(e, KDS_USAGE, "--%s needs a value: %s", f->name, f->value_name);
        a->flags[i] = value ? value : next;
        return KDS_OK;
    }
    const kds_option *o = kds_option_find(text);
    if (!o || !(o->commands & a->command->options))
        return unknown_flag(a->command, text, e);
    if (o->type == KDS_OPTION_BOOL && !value)
        return kds_settings_set(a->settings, text, "true", e);
    *used = !value;
    if (!value && !next)
        return kds_fail(e, KDS_USAGE, "--%s needs a value: %s", text, o->value_name);
    return kds_settings_set(a->settings, text, value ? value : next, e);
}

kds_code kds_args_parse(kds_args *out, const kds_command *command, int argc, char **argv,
                        bool *helped, kds_err *e)
{
    kds_args a = {.command = command};
    bool only_operands = false;
    kds_code code = kds_settings_create(&a.settings, e);
    if (code == KDS_OK && command->options)
        code = kds_settings_load_environment(a.settings, e);
    for (int i = 2; i < argc && code == KDS_OK; i++) {
        const char *arg = argv[i];
        bool used = false;
        if (!only_operands && strcmp(arg, "--") == 0)
            only_operands = true;
        else if (!only_operands && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)) {
            kds_help_command(command);
            *helped = true;
            break;
        } else if (!only_operands && strcmp(arg, "--json") == 0)
            a.json = true;
        else if (!only_operands && arg[0] == '-' && arg[1]) {
            const char *name = arg[1] == '-' ? arg + 2 : arg + 1;
            const char *equals = strchr(name, '=');
            code =
                parse_flag(&a, name, equals ? (size_t)(equals - name) : strlen(name),
                           equals ? equals + 1 : NULL, i + 1 < argc ? argv[i + 1] : NULL, &used, e);
            i += used;
        } else if (a.operand_count == command->max_operands)
            code = kds_fail(e, KDS_USAGE, "'%s' is one operand too many; usage: kdasearch %s %s",
                            arg, command->name, command->operands);
        else
            a.operands[a.operand_count++] = arg;
    }
    if (code == KDS_OK && !*helped && a.operand_count < command->min_operands)
        code = kds_fail(e, KDS_USAGE, "%s: too few operands; usage: kdasearch %s %s", command->name,
                        command->name, command->operands);
    if (code != KDS_OK) {
        kds_settings_free(a.settings);
        return code;
    }
    *out = a;
    return KDS_OK;
}

void kds_args_free(kds_args *args)
{
    kds_settings_free(args->settings);
}

#define HELP_LEFT 28   /* width of the left column of help */
#define HELP_WIDTH 100 /* where help is wrapped */

/* One entry: `left`, then `help` and `fallback` in brackets, wrapped beside it. */
static void help_entry(const char *left, const char *help, const char *fallback)
{
    char text[500];
    snprintf(text, sizeof text, "%s%s%s%s", help, *fallback ? " [" : "", fallback,
             *fallback ? "]" : "");
    if (strlen(left) > HELP_LEFT)
        printf("  %s\n  %-*s", left, HELP_LEFT, "");
    else
        printf("  %-*s", HELP_LEFT, left);
    size_t room = HELP_WIDTH - HELP_LEFT - 3;
    for (const char *rest = text; *rest;) {
        size_t n = strlen(rest);
        if (n > room) {
            for (n = room; n && rest[n] != ' ';)
                n--;
            n = n ? n : room;
        }
        if (rest != text)
            printf("  %-*s", HELP_LEFT, "");
        printf(" %.*s\n", (int)n, rest);
        rest += n + (rest[n] == ' ');
    }
}

/* What the options from one on are about, in the order of the table. */
static const char *heading(const char *option)
{
    static const char *const headings[][2] = {
        {"max-time", "budgets (the first that is spent ends the campaign)"},
        {"seed", "search"},
        {"workers", "machine"},
        {"url", "endpoint (with --proposer endpoint)"}};
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++)
        if (strcmp(headings[i][0], option) == 0)
            return headings[i][1];
    return NULL;
}

static void help_options(const kds_command *command)
{
    const char *title = NULL;
    char left[160];
    for (const kds_option *o = kds_options(); o->name; o++) {
        const char *next = heading(o->name);
        title = next ? next : title;
        if (!(o->commands & command->options))
            continue;
        if (title)
            printf("\n%s:\n", title);
        title = NULL;
        snprintf(left, sizeof left, "--%s %s", o->name,
                 o->type == KDS_OPTION_CHOICE ? o->choices : o->value_name);
        help_entry(left, o->help, o->fallback);
    }
    printf("\nEvery option is also a variable KDASEARCH_<NAME> and a key of the config file; a "
           "flag wins over the\n"
           "environment, the environment over the file. `kdasearch config` shows what is in "
           "force.\n");
}

void kds_help_command(const kds_command *command)
{
    char left[160];
    printf("usage: kdasearch %s%s%s [options]\n\n%s\n", command->name,
           *command->operands ? " " : "", command->operands, command->help);
    printf("\noptions:\n");
    for (int i = 0; i < KDS_FLAGS_MAX && command->flags[i].name; i++) {
        const kds_flag *f = &command->flags[i];
        char letter[8] = "";
        if (f->letter)
            snprintf(letter, sizeof letter, "-%c, ", f->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, f->name, f->value_name ? " " : "",
                 f->value_name ? f->value_name : "");
        help_entry(left, f->help, "");
    }
    help_entry("--json", "print JSON on stdout", "");
    if (command->only_shows)
        help_entry("--OPTION VALUE", "any option of `kdasearch run`", "");
    else if (command->options)
        help_options(command);
}

void kds_help_all(FILE *out)
{
    /* A title stands before the first command of its group. */
    static const char *const groups[][2] = {{"run", "campaigns"},
                                            {"status", "looking into an archive"},
                                            {"replay", "proving an archive"},
                                            {"eval", "without a campaign"},
                                            {"doctor", "this machine"}};
    fprintf(out,
            "usage: kdasearch COMMAND [operands] [options]\n\n"
            "Searches for faster CUDA kernels, unattended; nothing paid for is lost, nothing false "
            "is promoted.\n");
    for (const kds_command *const *c = kds_commands(); *c; c++) {
        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
            if (strcmp(groups[i][0], (*c)->name) == 0)
                fprintf(out, "\n%s:\n", groups[i][1]);
        if (!(*c)->hidden)
            fprintf(out, "  %-8s %-14s %s\n", (*c)->name, (*c)->operands, (*c)->summary);
    }
    fprintf(out, "\n`kdasearch COMMAND --help` tells more. First steps:\n"
                 "  kdasearch doctor\n"
                 "  kdasearch run kernels/rms_norm -o night --max-time 8h\n");
}
