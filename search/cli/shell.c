/* Quoting in the POSIX way: single quotes, a quote itself as '\''. Control characters are escaped
 * for the terminal first: such a name cannot be copied, but it cannot do harm either. */
#include "search/cli/shell.h"

#include "search/base/text.h"

#include <string.h>

static char program[1200] = "kdasearch";

const char *kds_shell_word(char *out, size_t size, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+=:,@%";
    char quoted[1200] = "'";
    size_t n = 1;
    if (*word && strspn(word, plain) == strlen(word)) {
        kds_text_escape_into(out, size, word, strlen(word), false);
        return out;
    }
    for (const char *c = word; *c && n + 6 < sizeof quoted; c++) {
        if (*c == '\'') {
            memcpy(quoted + n, "'\\''", 4);
            n += 4;
        } else
            quoted[n++] = *c;
    }
    quoted[n++] = '\'';
    kds_text_escape_into(out, size, quoted, n, false);
    return out;
}

void kds_shell_called(const char *argv0)
{
    if (argv0 && *argv0)
        kds_shell_word(program, sizeof program, argv0);
}

const char *kds_shell_program(void)
{
    return program;
}
