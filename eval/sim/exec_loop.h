/* Part of exec_body.h: the warp loop. The lanes of a warp that are at one place form a split; the
 * one furthest back runs, and splits that meet become one. Compilers lay code out so that this
 * rejoins them where their ways meet. Lanes in functions come before those that wait for them where
 * they called: the deepest go first. What runs in a row is accounted for once, by its ends. */

/* Backward branches of one split while others wait for it, before another one is let ahead; and the
 * runs that this one gets in a row. */
#define PATIENCE 4096u
#define FAVOUR 256u

typedef kds_step handler(kds_warp *w, const kds_ins *i, void *out);

static handler *const handlers[KDS_OP_COUNT] = {
#define KDS_X(name) [KDS_OP_##name] = op_##name,
    KDS_OPS_INT(KDS_X) KDS_OPS_BITS(KDS_X) KDS_OPS_FLOAT(KDS_X) KDS_OPS_HALF(KDS_X)
        KDS_OPS_COMPARE(KDS_X) KDS_OPS_CONVERT(KDS_X) KDS_OPS_MEMORY(KDS_X) KDS_OPS_ASYNC(KDS_X)
            KDS_OPS_CALL(KDS_X) KDS_OPS_CROSS(KDS_X) KDS_OPS_TENSOR(KDS_X)
#undef KDS_X
};

/* What is done before each instruction of a warp that is traced, or holds values never written. */
static __attribute__((noinline)) kds_step watch(kds_warp *w, const kds_ins *i, uint32_t mask)
{
    if (w->traced)
        kds_trace_step(w, i, mask);
    return w->tainted ? kds_taint_step(w, i, mask) : KDS_STEP_ON;
}

/* Runs [at, end) for the lanes of `mask`; returns where it stopped. */
static inline uint32_t run_straight(kds_warp *w, uint32_t at, uint32_t end, uint32_t mask,
                                    kds_step *step)
{
    const kds_ins *code = w->run->kernel->code;
    const kds_ins *i = code + at, *stop = code + end;
    w->from = at;
    for (; i < stop; i++) {
        uint32_t m = mask;
        if ((i->flags & KDS_INS_GUARDED) != 0) {
            uint32_t p = predicate(w, i->guard);
            m &= (i->flags & KDS_INS_GUARD_NEGATED) != 0 ? ~p : p;
            if (m == 0)
                continue;
        }
        w->mask = m;
        if (w->watched != 0 && (*step = watch(w, i, m)) != KDS_STEP_ON)
            break;
        if (m == w->live || (i->flags & KDS_INS_OWN_MASK) != 0) {
            *step = handlers[i->op](w, i, w->file + i->d);
        } else {
            *step = handlers[i->op](w, i, w->scratch);
            merge(w, i->d, i->result_bytes, w->scratch);
        }
        if (*step != KDS_STEP_ON)
            break;
    }
    return (uint32_t)(i - code);
}

static inline void account(kds_warp *w, uint32_t from, uint32_t to, uint32_t mask)
{
    kds_run *run = w->run;
    int64_t lanes = __builtin_popcount(mask);
    uint64_t n = to - from;
    run->warp_runs[from]++;
    run->warp_runs[to]--;
    run->thread_runs[from] += lanes;
    run->thread_runs[to] -= lanes;
    run->clock += n;
    run->budget -= n < run->budget ? n : run->budget;
    w->block->budget -= n < w->block->budget ? n : w->block->budget;
}

/* Adds a split, or joins it with the one that is there already. */
static inline void add_split(kds_warp *w, uint32_t at, uint32_t mask)
{
    if (mask == 0)
        return;
    for (int s = 0; s < w->split_count; s++)
        if (w->splits[s].at == at && w->splits[s].depth == w->depth) {
            w->splits[s].mask |= mask;
            w->splits[s].waits = false;
            return;
        }
    w->splits[w->split_count++] = (kds_split){.at = at, .mask = mask, .depth = w->depth};
}

static inline void remove_split(kds_warp *w, int s)
{
    w->splits[s] = w->splits[--w->split_count];
}

static inline bool goes_before(const kds_split *a, const kds_split *b)
{
    return a->depth != b->depth ? a->depth > b->depth : a->at < b->at;
}

/* The split to run: the deepest, and of those the one furthest back; by turns when that one has
 * been going round for long. -1: all wait. */
static inline int choose_split(kds_warp *w)
{
    int best = -1;
    if (w->patience == 0) {
        /* The lane after the one that was favoured last, with those that are where it is. */
        w->patience = PATIENCE;
        w->favoured = (w->favoured + 1) % KDS_LANES;
        while ((w->live >> w->favoured & 1) == 0)
            w->favoured = (w->favoured + 1) % KDS_LANES;
        w->favour = FAVOUR;
    }
    if (w->favour > 0) {
        w->favour--;
        for (int s = 0; s < w->split_count; s++)
            if (!w->splits[s].waits && (w->splits[s].mask >> w->favoured & 1) != 0)
                return s;
        w->favour = 0;
    }
    for (int s = 0; s < w->split_count; s++)
        if (!w->splits[s].waits && (best < 0 || goes_before(&w->splits[s], &w->splits[best])))
            best = s;
    return best;
}

/* A branch of the lanes of split s; counts it and moves the lanes. */
static inline void branch(kds_warp *w, int s, const kds_ins *i, uint32_t at, uint32_t taken)
{
    uint32_t mask = w->splits[s].mask, rest = mask & ~taken;
    kds_run *run = w->run;
    run->counts.branches++;
    if (w->split_count == 1)
        w->patience = PATIENCE;
    else if (taken != 0 && i->target <= at && w->patience > 0)
        w->patience--;
    if (w->split_count == 1 && (taken == 0 || rest == 0)) {
        w->splits[0].at = rest == 0 ? i->target : at + 1;
        return;
    }
    run->counts.divergent += taken != 0 && rest != 0;
    remove_split(w, s);
    add_split(w, at + 1, rest);
    add_split(w, i->target, taken);
}

/* brx.idx: every lane by its own index. */
static inline kds_step branch_indexed(kds_warp *w, int s, const kds_ins *i, uint32_t at,
                                      uint32_t taken)
{
    const kds_kernel *k = w->run->kernel;
    uint32_t mask = w->splits[s].mask;
    w->run->counts.branches++;
    remove_split(w, s);
    add_split(w, at + 1, mask & ~taken);
    for (uint32_t left = taken; left != 0; left &= left - 1) {
        int l = __builtin_ctz(left);
        uint32_t index = REGISTER(u32, i->a)[l];
        if (index >= (uint64_t)i->imm)
            return kds_fault_text(w->run, KDS_SIM_TRAP, i, (uint32_t)l,
                                  "jump table index %u of %lld", index, (long long)i->imm);
        add_split(w, k->jumps[i->target + index], 1u << l);
    }
    w->run->counts.divergent += w->split_count > 1;
    return KDS_STEP_ON;
}

/* A call, or the return from a function: every lane to its own place. */
static inline kds_step call_or_return(kds_warp *w, int s, const kds_ins *i, uint32_t at,
                                      uint32_t taken)
{
    uint32_t to[KDS_LANES], mask = w->splits[s].mask;
    kds_step step = KDS_STEP_ON;
    if (i->op == KDS_OP_call)
        step = kds_stack_call(w, i, at, taken, to);
    else
        kds_stack_return(w, taken, to);
    if (step != KDS_STEP_ON)
        return step;
    remove_split(w, s);
    add_split(w, at + 1, mask & ~taken);
    bool enters =
        i->op == KDS_OP_call && w->run->kernel->calls.sites[i->target].builtin == KDS_BUILTIN_NONE;
    uint32_t depth = w->depth;
    w->depth = i->op == KDS_OP_call ? depth + enters : depth > 0 ? depth - 1 : 0;
    for (uint32_t left = taken; left != 0;) {
        uint32_t place = to[__builtin_ctz(left)], group = 0;
        for (uint32_t k = left; k != 0; k &= k - 1)
            group |= (uint32_t)(to[__builtin_ctz(k)] == place) << __builtin_ctz(k);
        add_split(w, place, group);
        left &= ~group;
    }
    return KDS_STEP_ON;
}

/* The instruction that ends a run, at `at`, for split s. */
static inline kds_step end_run(kds_warp *w, int s, uint32_t at)
{
    const kds_ins *i = &w->run->kernel->code[at];
    uint32_t mask = w->splits[s].mask, taken = mask;
    if ((i->flags & KDS_INS_GUARDED) != 0) {
        uint32_t p = predicate(w, i->guard);
        taken &= (i->flags & KDS_INS_GUARD_NEGATED) != 0 ? ~p : p;
    }
    if (w->watched != 0)
        (void)watch(w, i, taken); /* none of these uses a value in a way that is a fault */
    account(w, at, at + 1, mask);
    switch (i->op) {
    case KDS_OP_bra:
        branch(w, s, i, at, taken);
        return KDS_STEP_ON;
    case KDS_OP_brx:
        return branch_indexed(w, s, i, at, taken);
    case KDS_OP_call:
    case KDS_OP_ret:
        return call_or_return(w, s, i, at, taken);
    case KDS_OP_exit:
        remove_split(w, s);
        add_split(w, at + 1, mask & ~taken);
        w->live &= ~taken;
        if (taken != 0)
            kds_warp_exited(w);
        return KDS_STEP_ON;
    case KDS_OP_trap:
        if (taken != 0)
            return kds_fault_text(w->run, KDS_SIM_TRAP, i, (uint32_t)__builtin_ctz(taken),
                                  "the kernel trapped");
        break;
    default:
        if (taken == w->live)
            return i->op == KDS_OP_bar ? kds_warp_barrier(w, i, taken)
                                       : kds_warp_cluster(w, i, taken);
        if (taken != 0) {
            /* Only a part of the warp is here: the others may still come. */
            remove_split(w, s);
            add_split(w, at + 1, mask & ~taken);
            add_split(w, at, taken);
            for (int k = 0; k < w->split_count; k++)
                if (w->splits[k].at == at && w->splits[k].depth == w->depth &&
                    w->splits[k].mask != w->live)
                    w->splits[k].waits = true;
            return KDS_STEP_ON;
        }
        break;
    }
    w->splits[s].at = at + 1;
    if (w->split_count > 1) {
        remove_split(w, s);
        add_split(w, at + 1, mask);
    }
    return KDS_STEP_ON;
}

kds_step KDS_RUN_WARP(kds_warp *w, uint32_t quantum)
{
    kds_run *run = w->run;
    const kds_ins *code = run->kernel->code;
    while (w->state == KDS_WARP_READY) {
        if (w->split_count == 0) {
            w->state = KDS_WARP_DONE;
            return KDS_STEP_ON;
        }
        int s = w->split_count == 1 && !w->splits[0].waits ? 0 : choose_split(w);
        if (s < 0) {
            kds_step stuck = kds_warp_stuck(w);
            if (stuck != KDS_STEP_ON)
                return stuck;
            continue;
        }
        uint32_t at = w->splits[s].at, mask = w->splits[s].mask;
        w->depth = w->splits[s].depth;
        uint32_t end = w->split_count == 1 ? code[at].run_end : code[at].block_end;
        kds_step step = KDS_STEP_ON;
        uint32_t stopped = run_straight(w, at, end, mask, &step);
        account(w, at, step == KDS_STEP_ON ? stopped : stopped + (step == KDS_STEP_FAULT), mask);
        if (run->budget == 0 || w->block->budget == 0)
            return kds_fault_text(run, KDS_SIM_BUDGET, &code[at], (uint32_t)__builtin_ctz(mask),
                                  "the instruction budget is used up: an endless loop?");
        if (step == KDS_STEP_WAIT) {
            remove_split(w, s);
            add_split(w, stopped, mask);
            for (int k = 0; k < w->split_count; k++)
                if (w->splits[k].at == stopped && w->splits[k].mask == mask)
                    w->splits[k].waits = true;
            continue;
        }
        if (step != KDS_STEP_ON)
            return step;
        /* Others may wait at a leader, even where that ends a run. */
        bool meets =
            w->split_count > 1 && stopped != at && (code[stopped].flags & KDS_INS_LEADER) != 0;
        if (!meets && (code[stopped].flags & KDS_INS_ENDS_RUN) != 0) {
            w->splits[s].at = stopped;
            step = end_run(w, s, stopped);
            if (step != KDS_STEP_ON)
                return step;
            if (w->polls >= KDS_SPIN) {
                w->patience = w->favour = 0; /* what it waits for may be another lane's to do */
                return KDS_STEP_ON;
            }
            if (--quantum == 0)
                return KDS_STEP_ON;
        } else {
            remove_split(w, s);
            add_split(w, stopped, mask);
        }
    }
    return KDS_STEP_ON;
}
