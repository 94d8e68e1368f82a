/* The model's part: a text that is made from the prompt alone. It finds the parent's source in the
 * user message and answers with edits that rotate the values of its tunables, or with the whole
 * source again; where guidance is asked for, with guidance. */
#include "search/base/json.h"
#include "search/base/random.h"
#include "tests/tools/chat_server.h"

#include <ctype.h>
#include <string.h>

typedef struct span {
    const char *at;
    size_t len;
} span;

/* Takes the next line (without its newline) off `rest`; false at the end. */
static bool next_line(span *rest, span *line)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->at, '\n', rest->len);
    line->at = rest->at;
    line->len = end ? (size_t)(end - rest->at) : rest->len;
    size_t used = line->len + (end ? 1 : 0);
    rest->at += used;
    rest->len -= used;
    return true;
}

static bool starts_with(span s, const char *prefix)
{
    return s.len >= strlen(prefix) && memcmp(s.at, prefix, strlen(prefix)) == 0;
}

static size_t ticks(span line)
{
    size_t n = 0;
    while (n < line.len && line.at[n] == '`')
        n++;
    return n;
}

/* The first fenced block with a kernel in it, at or after the heading "## Parent" if there is one.
 */
static span find_parent(const char *text)
{
    const char *heading = strstr(text, "\n## Parent");
    span rest = {heading ? heading : text, strlen(heading ? heading : text)}, line, block;
    while (next_line(&rest, &line)) {
        size_t fence = ticks(line);
        if (fence < 3)
            continue;
        block = (span){rest.at, 0};
        while (next_line(&rest, &line) && !(ticks(line) >= fence && ticks(line) == line.len))
            block.len = (size_t)(rest.at - block.at);
        if (memmem(block.at, block.len, "__global__", 10))
            return block;
    }
    return (span){"", 0};
}

/* One edit of a line `#pragma kda tune NAME = a, b, c`: its values rotated by `by`. */
static bool add_rotation(kds_buf *out, span line, uint64_t by)
{
    span values[16];
    size_t n = 0;
    const char *equals = memchr(line.at, '=', line.len);
    if (!equals || line.at[line.len - 1] == '\\')
        return false;
    size_t head = (size_t)(equals - line.at) + 1;
    for (size_t i = head; i < line.len && n < 16;) {
        while (i < line.len && (line.at[i] == ',' || isspace((unsigned char)line.at[i])))
            i++;
        values[n].at = line.at + i;
        while (i < line.len && line.at[i] != ',' && !isspace((unsigned char)line.at[i]))
            i++;
        values[n].len = (size_t)(line.at + i - values[n].at);
        n += values[n].len > 0;
    }
    if (n < 2 || by % n == 0)
        return false;
    kds_buf_printf(out, "<<<<<<< SEARCH\n%.*s\n=======\n%.*s", (int)line.len, line.at, (int)head,
                   line.at);
    for (size_t i = 0; i < n; i++) {
        span v = values[(i + by) % n];
        kds_buf_printf(out, "%s %.*s", i ? "," : "", (int)v.len, v.at);
    }
    kds_buf_puts(out, "\n>>>>>>> REPLACE\n\n");
    return true;
}

/* Edits for a random choice of tunables; false if the source has none that can be rotated. */
static bool edit_text(kds_buf *out, span source, kds_random *r)
{
    span line;
    size_t start = out->len;
    for (int attempt = 0; attempt < 8; attempt++) {
        bool any = false;
        span rest = source;
        out->len = start;
        kds_buf_puts(out, "Hypothesis: other tunables use the device better.\n\n");
        while (next_line(&rest, &line))
            if (starts_with(line, "#pragma kda tune"))
                any |= add_rotation(out, line, kds_random_below(r, 16));
        if (any)
            return true;
    }
    out->len = start;
    out->data[start] = '\0';
    return false;
}

static void source_text(kds_buf *out, span source, uint64_t hash)
{
    kds_buf_printf(out,
                   "Hypothesis: the same again, to see the noise.\n\n```cuda\n"
                   "// variant %016llx\n",
                   (unsigned long long)hash);
    kds_buf_add(out, source.at, source.len);
    kds_buf_puts(out, "```\n");
}

/* An answer to a prompt for guidance: `first`, if there is one and nothing was wrong with it yet.
 */
static void guidance_text(kds_buf *out, const char *first, const char *user, uint64_t hash)
{
    if (first && !strstr(user, "# What was wrong"))
        kds_buf_puts(out, first);
    else
        kds_buf_printf(out,
                       "<guidance>\nOther tunables have paid; try those that were not tried.\n"
                       "(thought %016llx)\n</guidance>\n",
                       (unsigned long long)hash);
}

/* Content of the last user message. */
static const char *user_message(const cJSON *root)
{
    const cJSON *m, *messages = kds_json_at(root, "messages");
    const char *found = "";
    if (cJSON_IsArray(messages))
        cJSON_ArrayForEach(m, messages) if (strcmp(kds_json_str(m, "role", ""), "user") == 0)
            found = kds_json_str(m, "content", "");
    return found;
}

void chat_text(kds_buf *out, const chat_step *step, const char *body, size_t len, uint64_t seed)
{
    if (step->mode == CHAT_MODE_FIXED) {
        kds_buf_puts(out, step->text ? step->text : "");
        return;
    }
    uint64_t hash = kds_hash64(body, len, seed);
    kds_random r = kds_random_stream(seed, hash, "text");
    cJSON *root = kds_json_parse_record(body, len);
    const char *user = user_message(root);
    span source = find_parent(user);
    if (memmem(body, len, "</guidance>", strlen("</guidance>")))
        guidance_text(out, step->text, user, hash);
    else if (source.len == 0)
        kds_buf_puts(out, "There is no kernel in this prompt.\n");
    else if (step->mode == CHAT_MODE_MODEL)
        chat_model_text(out, source.at, source.len, seed, hash);
    else if (step->mode == CHAT_MODE_SOURCE || !edit_text(out, source, &r))
        source_text(out, source, hash);
    cJSON_Delete(root);
}
