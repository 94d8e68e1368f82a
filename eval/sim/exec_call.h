/* Part of exec_body.h: the .param variables of calls, in the frame of each lane. */

static inline void access_params(kds_warp *w, const kds_ins *i, u8 *stage, bool store)
{
    unsigned bytes = (unsigned)i->bytes * i->elements;
    u8 *params = w->stack->params;
    for (uint32_t left = w->mask; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        u64 base = i->a >= 0 ? REGISTER(u64, i->a)[l] : 0;
        copy_local(params, l, base + (u64)i->imm, bytes, stage + (unsigned)l * bytes, store);
    }
}

HANDLER(ld_call)
{
    (void)out;
    u8 stage[1024] __attribute__((aligned(64)));
    access_params(w, i, stage, false);
    unpack(w, i, stage);
    return KDS_STEP_ON;
}

HANDLER(st_call)
{
    (void)out;
    u8 stage[1024] __attribute__((aligned(64)));
    pack(w, i, stage);
    access_params(w, i, stage, true);
    return KDS_STEP_ON;
}
