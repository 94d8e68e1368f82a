/* Events, delay and graph lie in one stream; the delay is as long as submitting the rest took the
 * last time, twice, so that the card never waits for the host within what is timed. */
#include "eval/cuda/gpu_visit.h"

#include "search/base/clock.h"

#include <time.h>

#define DELAY_MOST_NS 200000000
#define POLL_NS 20000
#define POLL_SECONDS 0.02 /* asking often, before a wait whose pauses grow */
#define SPIN_SECONDS 0.05

void kds_gpu_visit_drop(kds_gpu_visit *v)
{
    if (v->exec != NULL)
        (void)v->card->cuda->graph_exec_destroy(v->exec);
    v->exec = NULL;
}

kds_code kds_gpu_visit_begin(kds_gpu_visit *v, kds_err *e)
{
    const kds_cuda *c = v->card->cuda;
    kds_gpu_visit_drop(v);
    return kds_cuda_check(c, c->capture_begin(v->card->stream, KDS_CUDA_CAPTURE_THREAD_LOCAL), e,
                          "beginning a graph");
}

kds_code kds_gpu_visit_end(kds_gpu_visit *v, bool whole, kds_err *e)
{
    const kds_cuda *c = v->card->cuda;
    kds_cuda_graph graph = NULL;
    int ended = c->capture_end(v->card->stream, &graph);
    kds_code code = whole ? kds_cuda_check(c, ended, e, "ending a graph") : KDS_OK;
    if (code == KDS_OK && whole)
        code =
            kds_cuda_check(c, c->graph_instantiate(&v->exec, graph, 0), e, "instantiating a graph");
    if (code == KDS_OK && whole)
        code = kds_cuda_check(c, c->graph_upload(v->exec, v->card->stream), e, "uploading a graph");
    if (graph != NULL)
        (void)c->graph_destroy(graph);
    return code;
}

/* False if it has not ended within that time; what went wrong is told by a later wait. */
static bool poll_end(kds_card *card, double seconds, long pause_ns)
{
    double until = kds_clock_monotonic() + seconds;
    struct timespec pause = {.tv_nsec = pause_ns};
    while (card->cuda->event_query(card->end) == KDS_CUDA_NOT_READY) {
        if (kds_clock_monotonic() > until)
            return false;
        if (pause_ns > 0)
            nanosleep(&pause, NULL);
    }
    return true;
}

/* Time between the card's two events, after waiting. */
static kds_code read_events(kds_gpu_visit *v, kds_gpu_program *p, double *us, kds_finding *f,
                            kds_err *e)
{
    const kds_cuda *c = v->card->cuda;
    float milliseconds = 0;
    (void)poll_end(v->card, POLL_SECONDS, POLL_NS);
    if (!kds_gpu_program_wait(p, f))
        return KDS_OK;
    kds_code code = kds_cuda_check(c, c->event_elapsed(&milliseconds, v->card->start, v->card->end),
                                   e, "reading the time between two events");
    *us = 1000.0 * (double)milliseconds;
    return code;
}

static kds_code record(kds_gpu_visit *v, kds_cuda_event event, kds_err *e)
{
    const kds_cuda *c = v->card->cuda;
    return kds_cuda_check(c, c->event_record(event, v->card->stream), e, "recording an event");
}

/* The graph, or with `set` one run on it. */
static kds_code time_it(kds_gpu_visit *v, kds_gpu_program *p, const int *set, double *us,
                        kds_finding *f, kds_err *e)
{
    const kds_cuda *c = v->card->cuda;
    bool queued = true;
    kds_code code = kds_helpers_delay(v->helpers, v->delay_ns, e);
    double from = kds_clock_monotonic();
    if (code == KDS_OK)
        code = record(v, v->card->start, e);
    if (code == KDS_OK && set != NULL)
        queued = kds_gpu_program_queue(p, *set, f);
    else if (code == KDS_OK)
        code = kds_cuda_check(c, c->graph_launch(v->exec, v->card->stream), e, "launching a graph");
    if (code == KDS_OK && queued)
        code = record(v, v->card->end, e);
    double took = 1e9 * (kds_clock_monotonic() - from);
    v->late = took > (double)v->delay_ns;
    if (code == KDS_OK && queued)
        code = read_events(v, p, us, f, e);
    double wanted = 2 * took + KDS_GPU_DELAY_NS;
    if (wanted > (double)v->delay_ns)
        v->delay_ns = wanted < DELAY_MOST_NS ? (int64_t)wanted : DELAY_MOST_NS;
    else /* one hiccup of the host is forgotten slowly */
        v->delay_ns -= (int64_t)(((double)v->delay_ns - wanted) / 8);
    return code;
}

kds_code kds_gpu_visit_run(kds_gpu_visit *v, kds_gpu_program *p, double *us, kds_finding *f,
                           kds_err *e)
{
    return time_it(v, p, NULL, us, f, e);
}

kds_code kds_gpu_visit_single(kds_gpu_visit *v, kds_gpu_program *p, int set, double *us,
                              kds_finding *f, kds_err *e)
{
    return time_it(v, p, &set, us, f, e);
}

bool kds_gpu_visit_spin(kds_gpu_program *p, kds_finding *f)
{
    kds_card *card = p->row->card;
    if (card->cuda->event_record(card->end, card->stream) == KDS_CUDA_SUCCESS &&
        poll_end(card, SPIN_SECONDS, 0) && card->cuda->event_query(card->end) == KDS_CUDA_SUCCESS)
        return true;
    return kds_gpu_program_wait(p, f);
}

int kds_gpu_visit_nodes(const kds_gpu_program *p)
{
    int nodes = p->binding->launch_count;
    for (int i = 0; i < p->binding->scratch_count; i++)
        nodes += p->binding->scratch[i].zero;
    return nodes > 0 ? nodes : 1;
}
