/* Inside a directive: the tokens of one preprocessor line. Private to the files that read
 * directives. */
#ifndef KDS_BASE_LEX_INNER_H
#define KDS_BASE_LEX_INNER_H

#include "search/base/lex.h"

typedef struct kds_inner {
    kds_lexer x;
    int state;
    bool header; /* the last token is the file name of an #include, of kind KDS_TOKEN_STRING */
} kds_inner;

/* `directive` is a KDS_TOKEN_DIRECTIVE of `text`; offsets stay those of the text. */
void kds_inner_init(kds_inner *in, const char *text, kds_token directive);
/* The next token: '#' or '%:' first, comments too, KDS_TOKEN_END at the end. */
kds_token kds_inner_next(kds_inner *in);
/* The next token that is no comment. */
kds_token kds_inner_next_code(kds_inner *in);
/* Appends the token's text without backslash-newlines; a raw string as it is. */
void kds_lex_append(kds_buf *out, const char *text, kds_token t);
/* Moves `in` past `#pragma kda KEYWORD` and gives the keyword (length 0 if there is none); false if
 * the directive is none of ours. */
bool kds_inner_pragma(kds_inner *in, kds_token *keyword);

#endif
