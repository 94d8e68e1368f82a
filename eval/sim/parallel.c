/* The blocks of one launch on several cores. Each thread has a run of its own (registers, counts)
 * and takes the next group from the queue; they share the memory. Groups that are traced run alone,
 * between those before and those after them, so that what they find in the caches does not depend
 * on who was faster. When a block goes wrong, those before it still run, so that the fault reported
 * is that of the first block that has one, as on one core. */
#include "eval/sim/machine.h"
#include <stdlib.h>
#include <string.h>

#define THREADS_CAP 256
/* Starting threads is worth it for so many warp instructions, as far as the first group tells. */
#define WORK_LEAST 100000

/* What the threads of a stretch share. */
typedef struct stretch {
    kds_queue *queue;
    uint64_t next;        /* place in the queue to be taken */
    uint64_t fault_at;    /* lowest place that went wrong */
    uint64_t budget;      /* warp instructions left of the launch */
    pthread_mutex_t lock; /* of the two below */
    kds_step step;
    kds_sim_result *result; /* of the fault at fault_at */
} stretch;

typedef struct worker {
    stretch *shared;
    kds_run *run;
    pthread_t thread;
    bool started;
} worker;

bool kds_run_can_split(const kds_run *r)
{
    const kds_sim_options *o = r->options;
    return o->threads > 1 && !o->cooperative && !o->check_races && !r->kernel->talks;
}

/* Place `n` of the queue went wrong in `run`. */
static void note_end(stretch *s, kds_run *run, uint64_t n, kds_step step)
{
    pthread_mutex_lock(&s->lock);
    if (n < s->fault_at) {
        __atomic_store_n(&s->fault_at, n, __ATOMIC_RELAXED);
        s->step = step;
        if (step == KDS_STEP_FAULT)
            kds_report(run, run->warp, s->result);
    }
    pthread_mutex_unlock(&s->lock);
}

static void *work(void *user)
{
    worker *me = user;
    stretch *s = me->shared;
    for (;;) {
        uint64_t n = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);
        if (n >= s->queue->end || n > __atomic_load_n(&s->fault_at, __ATOMIC_RELAXED))
            return NULL;
        uint64_t left = __atomic_load_n(&s->budget, __ATOMIC_RELAXED);
        kds_tracing none = {0};
        kds_queue one = *s->queue;
        one.next = n;
        one.end = n + 1;
        me->run->budget = left;
        kds_step step = kds_run_queue(me->run, &one, &none);
        uint64_t used = left - me->run->budget;
        uint64_t before = __atomic_fetch_sub(&s->budget, used, __ATOMIC_RELAXED);
        if (step == KDS_STEP_ON && before < used)
            step = kds_fault_text(me->run, KDS_SIM_BUDGET, &me->run->kernel->code[0], 0,
                                  "the instruction budget is used up: an endless loop?");
        if (step != KDS_STEP_ON) {
            note_end(s, me->run, n, step);
            return NULL;
        }
    }
}

/* Runs the groups [queue->next, queue->end), none of them traced. */
static kds_step run_stretch(kds_run *r, kds_queue *q, worker *workers, int count,
                            kds_sim_result *result)
{
    stretch s = {.queue = q,
                 .next = q->next,
                 .fault_at = UINT64_MAX,
                 .budget = r->budget,
                 .step = KDS_STEP_ON,
                 .result = result};
    pthread_mutex_init(&s.lock, NULL);
    for (int k = 0; k < count; k++)
        workers[k].shared = &s;
    for (int k = 1; k < count; k++)
        workers[k].started = pthread_create(&workers[k].thread, NULL, work, &workers[k]) == 0;
    (void)work(&workers[0]);
    for (int k = 1; k < count; k++)
        if (workers[k].started)
            (void)pthread_join(workers[k].thread, NULL);
    pthread_mutex_destroy(&s.lock);
    r->budget = s.budget;
    return s.step;
}

/* Groups in this thread. */
static kds_step run_here(kds_run *r, kds_queue *q, kds_tracing *t, kds_sim_result *result)
{
    kds_step step = kds_run_queue(r, q, t);
    if (step == KDS_STEP_FAULT)
        kds_report(r, r->warp, result);
    return step;
}

/* The stretches between traced groups, and these. */
static kds_step run_stretches(kds_run *r, kds_queue *q, kds_tracing *t, worker *workers, int count,
                              kds_sim_result *result)
{
    kds_step step = KDS_STEP_ON;
    while (step == KDS_STEP_ON && q->next < q->end) {
        kds_queue part = *q;
        for (part.end = part.next; part.end < q->end; part.end++)
            if (kds_queue_traces(q, r->options, part.end))
                break;
        if (part.end > part.next) {
            step = run_stretch(r, &part, workers, count, result);
        } else {
            part.end++;
            step = run_here(r, &part, t, result);
        }
        q->next = part.end;
    }
    return step;
}

kds_step kds_run_split(kds_run *r, kds_queue *q, kds_tracing *t, kds_sim_result *out)
{
    kds_queue first = *q;
    first.end = q->next < q->end ? q->next + 1 : q->end;
    uint64_t before = r->budget, groups = q->end - first.end;
    kds_step step = run_here(r, &first, t, out);
    q->next = first.end;
    if (step != KDS_STEP_ON || (double)(before - r->budget) * (double)groups < WORK_LEAST)
        return step != KDS_STEP_ON ? step : run_here(r, q, t, out);
    int count = r->options->threads < THREADS_CAP ? r->options->threads : THREADS_CAP;
    count = (uint64_t)count > groups ? (int)groups : count;
    worker *workers = calloc((size_t)count + 1, sizeof *workers);
    step = workers != NULL ? KDS_STEP_ON : KDS_STEP_NO_MEMORY;
    for (int k = 0; step == KDS_STEP_ON && k < count; k++) {
        workers[k].run = kds_run_clone(r);
        if (workers[k].run == NULL)
            step = KDS_STEP_NO_MEMORY;
        else
            workers[k].run->parallel = true;
    }
    if (step == KDS_STEP_ON)
        step = run_stretches(r, q, t, workers, count, out);
    for (int k = 0; workers != NULL && k < count && workers[k].run != NULL; k++) {
        kds_run_merge(r, workers[k].run);
        kds_run_free(workers[k].run);
    }
    free(workers);
    return step;
}
