/* Fuzzing the reply parsers, of children and of guidance. The input is a parent and a reply, parted
 * by the first 0xff byte (no UTF-8 has one). Beyond crashes it checks what the header promises.
 * Built with clang: clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I.
 * tests/fuzz/fuzz_reply.c prompts/reply*.c search/base/{buf,err,text,text_number,verdict}.c
 * -lpcre2-8 -lm */
#include "prompts/reply.h"
#include "search/base/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size > 0 ? memchr(data, 0xff, size) : NULL;
    size_t parent_len = cut ? (size_t)(cut - data) : 0;
    const char *text = (const char *)(cut ? cut + 1 : data);
    size_t len = cut ? size - parent_len - 1 : size;
    kds_reply r;
    kds_buf source;
    kds_buf_init(&source, KDS_SOURCE_CAP);
    demand(kds_reply_parse(text, len, (const char *)data, parent_len, &source, &r, NULL) == KDS_OK);
    demand(r.problem == KDS_REPLY_OK || (source.len == 0 && r.message[0] && r.edits == 0));
    demand(kds_text_is_utf8(r.message, strlen(r.message)));
    demand(kds_text_is_utf8(r.hypothesis, strlen(r.hypothesis)));
    demand(!strchr(r.hypothesis, '\n') && !strchr(r.message, '\n'));
    demand(kds_reply_parse_guidance(text, len, &source, &r, NULL) == KDS_OK);
    demand((r.problem == KDS_REPLY_OK) == (source.len > 0 && source.len <= KDS_GUIDANCE_CAP));
    demand((r.problem == KDS_REPLY_OK) == (r.message[0] == '\0'));
    demand(kds_text_is_utf8(source.data, source.len) && !strchr(source.data, '\x1b'));
    demand(strlen(source.data) == source.len);
    kds_buf_free(&source);
    return 0;
}
