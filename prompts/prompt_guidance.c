/* The guidance that competes with the one to be edited. */
#include "prompts/prompt_internal.h"

#include <string.h>

void kds_prompt_guidances(kds_buf *out, const kds_ask_guidance *list, int count)
{
    for (int i = 0; i < count; i++) {
        if (!list[i].text)
            continue;
        kds_buf_puts(out, out->len ? "\n\n" : "");
        kds_prompt_line(out, list[i].score ? list[i].score : "?");
        kds_buf_puts(out, ":\n\n");
        kds_prompt_fence(out, "", list[i].text, strlen(list[i].text));
    }
}
