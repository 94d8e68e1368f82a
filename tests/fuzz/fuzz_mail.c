/* Fuzzing what comes by mail: the first byte says whether the file's name ends in .json, the rest
 * is the file. Beyond crashes it checks what the header promises. Built with clang: clang -g -O1
 * -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I. tests/fuzz/fuzz_mail.c prompts/mail.c
 * search/base/[!s]*.c -lcjson -lxxhash -lm */
#include "prompts/mail.h"
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
    char id[KDS_MAIL_ID];
    kds_mail_reply r;
    kds_buf text;
    if (size == 0)
        return 0;
    bool json = data[0] & 1;
    char *raw = malloc(size);
    demand(raw != NULL);
    memcpy(raw, data + 1, size - 1);
    raw[size - 1] = '\0';
    kds_buf_init(&text, KDS_REPLY_CAP);
    demand(kds_mail_read(raw, size - 1, json, &text, &r, NULL) == KDS_OK);
    demand(kds_text_is_utf8(r.problem, strlen(r.problem)) && !strchr(r.problem, '\n'));
    demand(kds_text_is_utf8(r.model, strlen(r.model)) && strlen(r.id) < KDS_MAIL_ID);
    demand(r.problem[0] || (text.len > 0 && kds_text_is_utf8(text.data, text.len)));
    demand(r.problem[0] || !json || r.json);
    demand(r.prompt_tokens >= -1 && r.completion_tokens >= -1 && r.cost_usd >= 0);
    /* What was taken as JSON reads the same in a record, which does not know the file's name. */
    if (!r.problem[0]) {
        kds_mail_reply again;
        kds_buf same;
        kds_buf_init(&same, KDS_REPLY_CAP);
        demand(kds_mail_read(raw, size - 1, false, &same, &again, NULL) == KDS_OK);
        demand(!again.problem[0] && same.len == text.len &&
               memcmp(same.data, text.data, same.len) == 0 && strcmp(again.model, r.model) == 0);
        kds_buf_free(&same);
    }
    if (kds_mail_prompt_id(raw, size - 1, id))
        demand(kds_mail_request_of(id) >= 0);
    kds_buf_free(&text);
    free(raw);
    return 0;
}
