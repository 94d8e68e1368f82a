/* The text of our kernels: the table of eval/fill_table.h in front of helpers.cu, which the build
 * embeds. */
#include "eval/cuda/helpers.h"
#include "eval/fill_table.h"

/* static const unsigned char helpers_cu[], NUL-terminated */
#include "helpers_cu.inc"

void kds_helpers_source(kds_buf *out)
{
    kds_buf_printf(out, "__device__ const double table[32][%d] = {\n", KDS_FILL_DEGREE + 1);
    for (int i = 0; i < 32; i++) {
        kds_buf_puts(out, "    {");
        for (int k = 0; k <= KDS_FILL_DEGREE; k++)
            kds_buf_printf(out, "%s%a", k ? ", " : "", fill_normal_table[i][k]);
        kds_buf_puts(out, "},\n");
    }
    kds_buf_puts(out, "};\n\n");
    kds_buf_add(out, helpers_cu, sizeof helpers_cu - 1);
}
