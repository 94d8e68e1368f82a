/* Fuzzes the expression evaluator: no input may crash it, a compiled expression must evaluate to
 * the same result twice, and a message must be set on failure. Names have values derived from their
 * text. */
#include "search/base/expr.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lookup(void *user, const char *name, kds_value *out)
{
    (void)user;
    switch (name[0] % 5) {
    case 0:
        return false;
    case 1:
        *out = kds_value_int(INT64_MIN);
        return true;
    case 2:
        *out = kds_value_double((double)strlen(name) - 1.5);
        return true;
    default:
        *out = kds_value_int((int64_t)strlen(name) - 2);
        return true;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kds_expr *x = NULL;
    kds_err e = {0};
    if (kds_expr_parse(&x, (const char *)data, size, &e)) {
        if (x || e.message[0] == '\0')
            abort();
        return 0;
    }
    kds_value a = {0}, b = {0};
    kds_code first = kds_expr_eval(x, lookup, NULL, &a, &e);
    kds_code second = kds_expr_eval(x, lookup, NULL, &b, NULL);
    if (first != second || (first && e.message[0] == '\0'))
        abort();
    if (!first && a.is_double && (!b.is_double || a.d != b.d || !isfinite(a.d)))
        abort();
    if (!first && !a.is_double && a.i != b.i)
        abort();
    int64_t i;
    bool truth;
    if (kds_expr_eval_int(x, lookup, NULL, &i, NULL) == KDS_OK &&
        kds_expr_eval_bool(x, lookup, NULL, &truth, NULL) == KDS_OK && truth != (i != 0))
        abort();
    kds_expr_free(x);
    return 0;
}
