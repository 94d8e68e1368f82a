/* Hashes cubins, lowered kernel names being part of them, with every row's launches. Two plans over
 * one cubin (another block size, say) are different programs; a tunable that nothing reads makes no
 * difference. */
#include "search/engine/program_id.h"

#include <stdlib.h>
#include <string.h>

static void hash_launch(kds_hasher *h, const kds_launch *l)
{
    kds_hasher_add(h, l->kernel, strlen(l->kernel) + 1);
    kds_hasher_add(h, l->grid, sizeof l->grid);
    kds_hasher_add(h, l->block, sizeof l->block);
    kds_hasher_add(h, l->cluster, sizeof l->cluster);
    kds_hasher_add(h, &l->shared_bytes, sizeof l->shared_bytes);
    kds_hasher_add(h, &l->cooperative, sizeof l->cooperative);
    kds_hasher_add(h, &l->arg_count, sizeof l->arg_count);
    for (int i = 0; i < l->arg_count; i++) {
        const kds_arg *a = &l->args[i];
        int64_t words[3] = {a->kind, a->index, a->value.is_double};
        if (a->kind == KDS_ARG_VALUE) {
            words[1] = 0;
            kds_hasher_add(h, &a->value.i, sizeof a->value.i);
        }
        kds_hasher_add(h, words, sizeof words);
    }
}

kds_code kds_program_id(const kds_plan *plan, const kds_task *task, const kds_compiled *compiled,
                        kds_id *out, kds_err *e)
{
    kds_binding *b = malloc(sizeof *b);
    kds_hasher *h = kds_hasher_create();
    kds_code code = b && h ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    if (code == KDS_OK)
        kds_hasher_add(h, &compiled->cubin_id, sizeof compiled->cubin_id);
    for (int row = 0; row < task->row_count && code == KDS_OK; row++) {
        kds_finding f;
        kds_finding_clear(&f);
        code = kds_plan_bind(plan, row, b, &f, e);
        if (code != KDS_OK || f.verdict != KDS_VERDICT_OK)
            continue;
        kds_hasher_add(h, &row, sizeof row);
        kds_hasher_add(h, &b->group, sizeof b->group);
        kds_hasher_add(h, &b->launch_count, sizeof b->launch_count);
        for (int i = 0; i < b->launch_count; i++)
            hash_launch(h, &b->launches[i]);
        for (int i = 0; i < b->scratch_count; i++) {
            int64_t words[3] = {b->scratch[i].dtype, b->scratch[i].numel, b->scratch[i].zero};
            kds_hasher_add(h, words, sizeof words);
        }
    }
    if (code == KDS_OK)
        *out = kds_hasher_id(h);
    kds_hasher_free(h);
    free(b);
    return code;
}
