/* Commands for people to copy: as this program was called, with words quoted for a shell. */
#ifndef KDS_CLI_SHELL_H
#define KDS_CLI_SHELL_H

#include "search/base/buf.h"

/* argv[0], kept for kds_shell_program. */
void kds_shell_called(const char *argv0);
/* The program as it was called, quoted where a shell needs it: "build/kdasearch", or "kdasearch" if
 * it was found on the PATH. Static storage. */
const char *kds_shell_program(void);
/* `word` quoted where a shell needs it, into `out`; returns `out`. */
const char *kds_shell_word(char *out, size_t size, const char *word);

#endif
