/* The table of opcodes in eval/sim/README.md against the decoder: an instruction of each opcode in
 * ptx_opcodes.txt is decoded, and what comes of it must be what the table says. */
#include "search/base/buf.h"
#include "search/base/file.h"
#include "tests/eval/sim_test.h"

#define OPCODES 256

typedef enum opcode_state { NOT_SIMULATED, SIMULATED, PARTLY } opcode_state;

typedef struct opcode {
    char name[32];
    opcode_state state;   /* as the table says */
    int decoded, refused; /* instructions */
} opcode;

static opcode table[OPCODES];
static int count;

static opcode *find(const char *name, size_t len)
{
    for (int i = 0; i < count; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
            return &table[i];
    return NULL;
}

static void read_text(const char *path, kds_buf *out)
{
    char full[600];
    kds_err e = {0};
    snprintf(full, sizeof full, "%s/%s", KDS_SOURCE_DIR, path);
    kds_buf_init(out, 1u << 20);
    if (kds_file_read(full, out, &e) != KDS_OK)
        fail_msg("%s", e.message);
}

/* One row: names in back quotes, then the state. */
static void read_row(const char *line, size_t len)
{
    static const char *const states[] = {"| not simulated |", "| simulated |", "| partly |"};
    int state = -1;
    for (int k = 0; k < 3; k++) {
        size_t n = strlen(states[k]);
        if (len > n && memcmp(line + len - n, states[k], n) == 0)
            state = k;
    }
    if (state < 0)
        return;
    const char *end = line + len, *at = line;
    while ((at = memchr(at, '`', (size_t)(end - at))) != NULL) {
        const char *close = memchr(at + 1, '`', (size_t)(end - at - 1));
        assert_non_null(close);
        size_t n = (size_t)(close - at - 1);
        assert_true(n > 0 && n < sizeof table[0].name && count < OPCODES);
        if (find(at + 1, n) != NULL)
            fail_msg("%.*s is in the table twice", (int)n, at + 1);
        memcpy(table[count].name, at + 1, n);
        table[count++].state = (opcode_state)state;
        at = close + 1;
    }
}

static void read_table(void)
{
    kds_buf text;
    read_text("eval/sim/README.md", &text);
    const char *at = strstr(text.data, "## Every opcode\n");
    assert_non_null(at);
    const char *end = strstr(at + 3, "\n## ");
    assert_non_null(end);
    while (at < end) {
        size_t len = strcspn(at, "\n");
        read_row(at, len);
        at += len + 1;
    }
    kds_buf_free(&text);
    assert_true(count > 100);
}

/* True if a kernel of just this instruction can run. */
static bool decodes(const char *line, size_t len, char *why, size_t size)
{
    static char text[8192];
    snprintf(text, sizeof text,
             HEADER ".func (.param .b32 r0) f(.param .b32 a0) { ret; }\n"
                    ".visible .entry k(.param .u64 p0)\n{\n"
                    ".reg .pred %%p<10>; .reg .b16 %%h<20>; .reg .b32 %%r<20>; .reg .b64 %%d<20>;\n"
                    ".reg .f32 %%f<20>; .reg .f64 %%fd<20>;\n"
                    "{ .param .b32 q0; .param .b32 q1; .param .b64 q8;\n"
                    "proto: .callprototype ()_ (.param .b32 _); table: .branchtargets DONE;\n"
                    "%.*s\n}\nDONE: ret;\n}\n",
             (int)len, line);
    kds_sim_module *m = load(text);
    const char *missing = kds_sim_module_missing(m, "k");
    snprintf(why, size, "%s", missing != NULL ? missing : "");
    kds_sim_module_free(m);
    return why[0] == '\0';
}

static void the_table_is_what_the_decoder_does(void **state)
{
    (void)state;
    kds_buf text;
    bool wanted = true;
    read_table();
    read_text("tests/eval/ptx_opcodes.txt", &text);
    for (const char *at = text.data; *at != '\0';) {
        size_t len = strcspn(at, "\n");
        const char *line = at;
        char why[400];
        at += len + (at[len] == '\n');
        if (line[0] == '[') {
            wanted = line[1] == 's';
            continue;
        }
        if (len == 0 || line[0] == '#')
            continue;
        opcode *o = find(line, strcspn(line, ". ;\n"));
        if (o == NULL)
            fail_msg("%.*s: its opcode is not in the table", (int)len, line);
        bool runs = decodes(line, len, why, sizeof why);
        if (runs != wanted)
            fail_msg("%.*s: %s", (int)len, line, runs ? "is simulated" : why);
        if (!runs && strncmp(why, o->name, strlen(o->name)) != 0)
            fail_msg("%.*s: the opcode is not named in '%s'", (int)len, line, why);
        o->decoded += runs;
        o->refused += !runs;
    }
    kds_buf_free(&text);
    for (int i = 0; i < count; i++) {
        const opcode *o = &table[i];
        bool fits = o->state == SIMULATED       ? o->decoded > 0 && o->refused == 0
                    : o->state == NOT_SIMULATED ? o->decoded == 0 && o->refused > 0
                                                : o->decoded > 0 && o->refused > 0;
        if (!fits)
            fail_msg("%s: %d instructions are simulated and %d are not: not what the table says",
                     o->name, o->decoded, o->refused);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_table_is_what_the_decoder_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
