/* Rendering an ask. Fields are made once, then rendered; if the result is too long, what may be cut
 * is cut by exactly what is too much (notes from the oldest, knowledge, guidance, then the task's
 * card, then the failure) and rendered again. Sources are never cut: edits must match them byte for
 * byte. */
#include "prompts/prompt_internal.h"
#include "search/base/text.h"

#include <stdio.h>
#include <string.h>

#define NOTE_CAP 300
#define TEXT_CAP ((size_t)8 << 20) /* of any one part */

enum {
    TASK_NAME,
    TASK_FUNCTION,
    CARD,
    CARD_CUT,
    DEVICE,
    PARENT_ID,
    PARENT_HYPOTHESIS,
    PARENT_NUMBERS,
    PARENT_SOURCE,
    OTHER_ID,
    OTHER_HYPOTHESIS,
    OTHER_NUMBERS,
    OTHER_SOURCE,
    NOTES,
    KNOWLEDGE,
    GUIDANCE,
    GUIDANCE_SCORE,
    GUIDANCES,
    UNGUIDED,
    FAILURE,
    TARGET,
    INSTRUCTION,
    FIELD_COUNT
};

static const char *const FIELD_NAMES[FIELD_COUNT] = {
    "task_name",        "task_function",     "card",           "card_cut",      "device",
    "parent_id",        "parent_hypothesis", "parent_numbers", "parent_source", "other_id",
    "other_hypothesis", "other_numbers",     "other_source",   "notes",         "knowledge",
    "guidance",         "guidance_score",    "guidances",      "unguided",      "failure",
    "target",           "instruction"};

/* One prompt while it is made. */
typedef struct rendering {
    const kds_ask *ask;
    kds_buf parts[FIELD_COUNT];
    int first_note; /* older ones are left out */
    int guidances;  /* of the others, so many are told */
    bool guides;    /* asks for guidance, not for a child */
    size_t card_len, failure_len, knowledge_len;
    kds_err *e;
} rendering;

/* Length of the longest run of `c` in a text. */
static size_t longest_run(const char *s, size_t len, char c)
{
    size_t best = 0, run = 0;
    for (size_t i = 0; i < len; i++) {
        run = s[i] == c ? run + 1 : 0;
        best = run > best ? run : best;
    }
    return best;
}

void kds_prompt_fence(kds_buf *out, const char *info, const char *s, size_t len)
{
    size_t ticks = longest_run(s, len, '`') + 1;
    ticks = ticks < 3 ? 3 : ticks;
    for (size_t i = 0; i < ticks; i++)
        kds_buf_putc(out, '`');
    kds_buf_printf(out, "%s\n", info);
    kds_buf_add(out, s, len);
    if (len == 0 || s[len - 1] != '\n')
        kds_buf_putc(out, '\n');
    for (size_t i = 0; i < ticks; i++)
        kds_buf_putc(out, '`');
}

void kds_prompt_line(kds_buf *out, const char *s)
{
    char line[NOTE_CAP + 1];
    kds_text_escape_into(line, sizeof line, s, strlen(s), false);
    kds_buf_puts(out, line);
}

static void fill_parent(rendering *r, const kds_ask_parent *p, int id, int hypothesis, int numbers,
                        int source)
{
    if (!p->source)
        return;
    kds_buf_printf(&r->parts[id], "%.8s", p->id ? p->id : "?");
    if (p->hypothesis)
        kds_prompt_line(&r->parts[hypothesis], p->hypothesis);
    kds_prompt_numbers(&r->parts[numbers], p->report, p->before);
    kds_prompt_fence(&r->parts[source], "cuda", p->source, p->source_len);
}

static void fill_notes(rendering *r)
{
    kds_buf *b = &r->parts[NOTES];
    kds_buf_reset(b);
    for (int i = r->first_note; i < r->ask->note_count; i++) {
        const kds_ask_note *n = &r->ask->notes[i];
        kds_buf_puts(b, i > r->first_note ? "\n- " : "- ");
        kds_prompt_line(b, n->hypothesis && *n->hypothesis ? n->hypothesis : "(no idea given)");
        kds_buf_puts(b, " -> ");
        kds_prompt_line(b, n->outcome && *n->outcome ? n->outcome : "?");
    }
}

/* At most `len` bytes of a text, up to the end of a line or at least of a character. */
static size_t cut_at(const char *s, size_t len)
{
    if (strlen(s) <= len)
        return strlen(s);
    size_t at = len;
    while (at > 0 && s[at - 1] != '\n')
        at--;
    if (at > 0)
        return at;
    while (len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static void fill_card(rendering *r)
{
    const char *card = r->ask->task_card ? r->ask->task_card : "";
    size_t n = cut_at(card, r->card_len);
    kds_buf_reset(&r->parts[CARD]);
    kds_buf_reset(&r->parts[CARD_CUT]);
    kds_buf_add(&r->parts[CARD], card, n);
    if (n < strlen(card))
        kds_buf_puts(&r->parts[CARD_CUT], "cut");
}

static void fill_failure(rendering *r)
{
    const char *failure = r->ask->failure ? r->ask->failure : "";
    size_t n = cut_at(failure, r->failure_len);
    kds_buf safe;
    kds_buf_reset(&r->parts[FAILURE]);
    if (n == 0)
        return;
    kds_buf_init(&safe, TEXT_CAP);
    kds_text_escape(&safe, failure, n, true);
    if (n < strlen(failure))
        kds_buf_puts(&safe, "\n[cut]");
    kds_prompt_fence(&r->parts[FAILURE], "", safe.data, safe.len);
    kds_buf_free(&safe);
}

/* What is known of kernels with the parent's numbers. A failure comes first: with one to mend there
 * is enough to read. */
static void fill_knowledge(rendering *r)
{
    const kds_ask *a = r->ask;
    bool told = !r->guides && (!a->failure || !*a->failure);
    kds_buf_reset(&r->parts[KNOWLEDGE]);
    if (told && a->knowledge && strcmp(a->operator_name, "simplify") != 0)
        (void)kds_knowledge_render(a->knowledge, a->parent.report, a->capability, r->knowledge_len,
                                   a->decision, &r->parts[KNOWLEDGE]);
}

/* What prompts for children carry, or for an edit of it: all that is in use. */
static void fill_guidance(rendering *r)
{
    const kds_ask *a = r->ask;
    kds_buf *b = &r->parts[GUIDANCE];
    kds_buf_reset(b);
    if (a->guidance.text && *a->guidance.text)
        kds_prompt_fence(b, "", a->guidance.text, strlen(a->guidance.text));
    else if (r->guides)
        kds_buf_puts(b, "(There is none: write the first.)");
    if (a->guidance.score)
        kds_prompt_line(&r->parts[GUIDANCE_SCORE], a->guidance.score);
    if (a->unguided)
        kds_prompt_line(&r->parts[UNGUIDED], a->unguided);
    kds_prompt_guidances(&r->parts[GUIDANCES], a->guidances, r->guidances);
}

static kds_code render_template(rendering *r, const char *name, kds_buf *out)
{
    kds_field fields[FIELD_COUNT];
    const kds_template *t = kds_template_find(r->ask->templates, name);
    if (!t)
        return kds_fail(r->e, KDS_INVALID, "there is no prompt template %s", name);
    for (int i = 0; i < FIELD_COUNT; i++) {
        kds_code code = kds_buf_check(&r->parts[i], FIELD_NAMES[i], r->e);
        if (code != KDS_OK)
            return code;
        fields[i] = (kds_field){FIELD_NAMES[i], r->parts[i].data, r->parts[i].len};
    }
    return kds_template_render(out, name, (const char *)t->text, t->len, fields, FIELD_COUNT, r->e);
}

kds_code kds_prompt_check_template(const char *name, const char *text, size_t len, kds_err *e)
{
    kds_buf scratch;
    kds_field fields[FIELD_COUNT];
    for (int i = 0; i < FIELD_COUNT; i++)
        fields[i] = (kds_field){FIELD_NAMES[i], NULL, 0};
    kds_buf_init(&scratch, len + 1);
    kds_code code = kds_template_render(&scratch, name, text, len, fields, FIELD_COUNT, e);
    kds_buf_free(&scratch);
    return code;
}

/* All templates from the fields as they are. */
static kds_code render_all(rendering *r, kds_buf *system, kds_buf *user)
{
    char name[64];
    kds_buf *instruction = &r->parts[INSTRUCTION];
    snprintf(name, sizeof name, "%s.md", r->ask->operator_name);
    kds_buf_reset(system);
    kds_buf_reset(user);
    kds_buf_reset(instruction);
    kds_code code = render_template(r, r->guides ? "guide_system.md" : "system.md", system);
    if (r->guides)
        return code == KDS_OK ? render_template(r, name, user) : code;
    if (code == KDS_OK)
        code = render_template(r, name, instruction);
    if (code != KDS_OK)
        return code;
    while (instruction->len > 0 && instruction->data[instruction->len - 1] == '\n')
        instruction->data[--instruction->len] = '\0';
    return render_template(r, "user.md", user);
}

/* Cuts by `excess` bytes what is next in line; false if nothing is left to cut. */
static bool cut(rendering *r, size_t excess)
{
    const kds_ask *a = r->ask;
    if (r->first_note < a->note_count) {
        size_t before = r->parts[NOTES].len;
        do {
            r->first_note++;
            fill_notes(r);
        } while (r->first_note < a->note_count && before - r->parts[NOTES].len < excess);
        return true;
    }
    size_t knowledge = r->parts[KNOWLEDGE].len;
    if (knowledge > 0) {
        r->knowledge_len = knowledge > excess + 64 ? knowledge - excess - 64 : 0;
        fill_knowledge(r);
        return true;
    }
    if (r->guidances > 0) {
        kds_buf_reset(&r->parts[GUIDANCES]);
        kds_prompt_guidances(&r->parts[GUIDANCES], a->guidances, --r->guidances);
        return true;
    }
    if (r->parts[GUIDANCE].len > 0 && !r->guides) {
        kds_buf_reset(&r->parts[GUIDANCE]);
        return true;
    }
    size_t card = r->parts[CARD].len, failure = r->parts[FAILURE].len;
    if (card > 0) {
        r->card_len = card > excess + 64 ? card - excess - 64 : 0;
        fill_card(r);
        return true;
    }
    if (failure > 0) {
        size_t shown = cut_at(a->failure, r->failure_len);
        r->failure_len = shown > excess + 64 ? shown - excess - 64 : 0;
        fill_failure(r);
        return true;
    }
    return false;
}

static bool is_operator(const char *name)
{
    static const char *const NAMES[] = {"mutate",  "repair",   "crossover",
                                        "explore", "simplify", "guide"};
    for (size_t i = 0; name && i < sizeof NAMES / sizeof *NAMES; i++)
        if (strcmp(name, NAMES[i]) == 0)
            return true;
    return false;
}

/* What an ask must have for its operator. */
static kds_code check_ask(const kds_ask *a, kds_err *e)
{
    const char *missing = NULL;
    if (!is_operator(a->operator_name))
        return kds_fail(e, KDS_INVALID, "there is no prompt for operator '%s'",
                        a->operator_name ? a->operator_name : "");
    if (!a->parent.source && strcmp(a->operator_name, "guide") != 0)
        missing = "a parent";
    else if (strcmp(a->operator_name, "crossover") == 0 && !a->other.source)
        missing = "a second parent";
    else if (strcmp(a->operator_name, "repair") == 0 && (!a->failure || !*a->failure))
        missing = "a failure";
    else if (strcmp(a->operator_name, "explore") == 0 && (!a->target || !*a->target))
        missing = "a target";
    return missing ? kds_fail(e, KDS_INVALID, "operator '%s' needs %s", a->operator_name, missing)
                   : KDS_OK;
}

kds_code kds_prompt_render(const kds_ask *ask, size_t cap, kds_buf *system, kds_buf *user,
                           kds_err *e)
{
    rendering r = {.ask = ask,
                   .guidances = ask->guidance_count,
                   .card_len = SIZE_MAX,
                   .failure_len = SIZE_MAX,
                   .knowledge_len = ask->knowledge_bytes,
                   .e = e};
    kds_code code = check_ask(ask, e);
    if (code != KDS_OK)
        return code;
    r.guides = strcmp(ask->operator_name, "guide") == 0;
    for (int i = 0; i < FIELD_COUNT; i++)
        kds_buf_init(&r.parts[i], TEXT_CAP);
    kds_buf_puts(&r.parts[TASK_NAME], ask->task_name ? ask->task_name : "?");
    kds_buf_puts(&r.parts[TASK_FUNCTION], ask->task_function ? ask->task_function : "?");
    kds_buf_puts(&r.parts[DEVICE], ask->device ? ask->device : "?");
    if (ask->target)
        kds_prompt_line(&r.parts[TARGET], ask->target);
    fill_parent(&r, &ask->parent, PARENT_ID, PARENT_HYPOTHESIS, PARENT_NUMBERS, PARENT_SOURCE);
    fill_parent(&r, &ask->other, OTHER_ID, OTHER_HYPOTHESIS, OTHER_NUMBERS, OTHER_SOURCE);
    fill_notes(&r);
    fill_knowledge(&r);
    fill_guidance(&r);
    fill_card(&r);
    fill_failure(&r);
    for (;;) {
        code = render_all(&r, system, user);
        if (code != KDS_OK || system->len + user->len <= cap)
            break;
        if (!cut(&r, system->len + user->len - cap)) {
            code =
                kds_fail(e, KDS_TOO_LARGE,
                         "the prompt has %zu bytes with everything cut that may be, more than "
                         "%zu; raise prompt-bytes (the sources alone have %zu)",
                         system->len + user->len, cap,
                         ask->parent.source_len + (ask->other.source ? ask->other.source_len : 0));
            break;
        }
    }
    for (int i = 0; i < FIELD_COUNT; i++)
        kds_buf_free(&r.parts[i]);
    return code;
}
