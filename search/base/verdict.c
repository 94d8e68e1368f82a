/* Names and texts of codes and verdicts, all derived from the two lists in kdasearch.h. */
#include "search/kdasearch.h"
#include <string.h>

static const struct {
    const char *name, *text;
    int status;
} CODES[] = {
#define KDS_X(name, status, text) {#name, text, status},
    KDS_CODES(KDS_X)
#undef KDS_X
};

static const struct {
    const char *name, *text;
} VERDICTS[] = {
#define KDS_X(upper, lower, text) {#lower, text},
    KDS_VERDICTS(KDS_X)
#undef KDS_X
};

/* Also false for a negative value: enums are unsigned here. */
static bool code_known(kds_code code)
{
    return (unsigned)code < KDS_CODE_COUNT;
}

static bool verdict_known(kds_verdict v)
{
    return (unsigned)v < KDS_VERDICT_COUNT;
}

const char *kds_code_text(kds_code code)
{
    return code_known(code) ? CODES[code].text : "unknown code";
}

const char *kds_code_name(kds_code code)
{
    return code_known(code) ? CODES[code].name : "UNKNOWN";
}

int kds_code_exit_status(kds_code code)
{
    return code_known(code) ? CODES[code].status : 1;
}

const char *kds_verdict_name(kds_verdict v)
{
    return verdict_known(v) ? VERDICTS[v].name : "unknown";
}

const char *kds_verdict_text(kds_verdict v)
{
    return verdict_known(v) ? VERDICTS[v].text : "unknown verdict";
}

bool kds_verdict_parse(const char *name, kds_verdict *out)
{
    if (name == NULL)
        return false;
    for (int i = 0; i < KDS_VERDICT_COUNT; i++) {
        if (strcmp(name, VERDICTS[i].name) == 0) {
            *out = (kds_verdict)i;
            return true;
        }
    }
    return false;
}
