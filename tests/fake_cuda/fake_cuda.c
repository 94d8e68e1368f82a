/* The fake driver: modules, launches, graphs and events. A launch runs on the simulator when it is
 * submitted; what it did wrong comes out at the next call. */
#include "tests/fake_cuda/fake_cuda.h"

/* ---- Doing and queueing ---- */

ENTRY(const double *fake_cuda_counters(void))
{
    return gpu.counters;
}

static int do_memory(const operation *o)
{
    unsigned char piece[4096];
    gpu.us += 1 + (double)o->bytes * 1e-6;
    for (size_t at = 0; at < o->bytes; at += sizeof piece) {
        size_t n = o->bytes - at < sizeof piece ? o->bytes - at : sizeof piece;
        memset(piece, o->value, sizeof piece);
        if ((o->from != 0 && !kds_sim_memory_read(gpu.memory, o->from + at, n, piece, NULL)) ||
            !kds_sim_memory_write(gpu.memory, o->to + at, n, piece))
            return INVALID_VALUE;
    }
    return OK;
}

/* As $HOME/fake_block_us says. */
static double block_us(void)
{
    static double us = 1;
    static bool read;
    char path[1000];
    const char *home = getenv("HOME");
    FILE *f = NULL;
    (void)snprintf(path, sizeof path, "%s/fake_block_us", home != NULL ? home : "");
    if (!read && (f = fopen(path, "r")) != NULL) {
        if (fscanf(f, "%lf", &us) != 1)
            us = 1;
        (void)fclose(f);
    }
    read = true;
    return us;
}

static double launch_us(const operation *o)
{
    if (strcmp(o->function->name, "kds_delay") == 0) {
        unsigned long long ns;
        memcpy(&ns, o->parameters, sizeof ns);
        return (double)ns / 1000;
    }
    return 300 + block_us() * o->config.grid[0];
}

static int do_launch(const operation *o)
{
    kds_sim_options options = {.budget = 2000000000u,
                               .cluster = {o->cluster[0], o->cluster[1], o->cluster[2]},
                               .cooperative = o->cooperative,
                               .resident = 16};
    kds_sim_result r;
    kds_err e = {0};
    gpu.us += launch_us(o);
    gpu.hung |= strstr(o->function->name, "hangs") != NULL;
    if (strcmp(o->function->name, "kds_delay") == 0 || gpu.hung)
        return OK;
    if (do_own_launch(o))
        return OK;
    if (kds_sim_launch(o->function->module->code, o->function->name, o->config.grid,
                       o->config.block, o->config.shared_bytes, o->parameters, o->parameters_len,
                       gpu.memory, &options, &r, &e) != KDS_OK)
        return NO_MEMORY;
    for (int i = 0; i < KDS_SIM_COUNTER_COUNT; i++)
        gpu.counters[i] += r.counters[i];
    if (r.status == KDS_SIM_OK)
        return OK;
    gpu.sticky = r.status == KDS_SIM_TRAP         ? TRAPPED
                 : r.status == KDS_SIM_MISALIGNED ? MISALIGNED
                                                  : ILLEGAL_ADDRESS;
    if (r.status == KDS_SIM_NOT_SIMULATED)
        fprintf(stderr, "fake_cuda: %s\n", r.report);
    return OK; /* the error comes out later, as on a GPU */
}

static int carry_out(const operation *o)
{
    return o->is_launch ? do_launch(o) : do_memory(o);
}

static int submit(const operation *o)
{
    if (!gpu.capturing)
        return carry_out(o);
    if (gpu.captured_count == gpu.captured_room) {
        int room = gpu.captured_room > 0 ? 2 * gpu.captured_room : 16;
        operation *more = room > QUEUE ? NULL : realloc(gpu.captured, (size_t)room * sizeof *more);
        if (more == NULL)
            return NO_MEMORY;
        gpu.captured = more;
        gpu.captured_room = room;
    }
    gpu.captured[gpu.captured_count++] = *o;
    return OK;
}

ENTRY(int cuMemcpyDtoDAsync_v2(kds_cuda_address to, kds_cuda_address from, size_t bytes,
                               kds_cuda_stream stream))
{
    ENTER();
    CHECK(stream, STREAM);
    operation o;
    memset(&o, 0, sizeof o);
    o.to = to;
    o.from = from;
    o.bytes = bytes;
    return inside(to, bytes) && inside(from, bytes) ? submit(&o) : INVALID_VALUE;
}

ENTRY(int cuMemsetD8Async(kds_cuda_address at, unsigned char value, size_t bytes,
                          kds_cuda_stream stream))
{
    ENTER();
    CHECK(stream, STREAM);
    operation o;
    memset(&o, 0, sizeof o);
    o.to = at;
    o.bytes = bytes;
    o.value = value;
    return inside(at, bytes) ? submit(&o) : INVALID_VALUE;
}

/* ---- Modules ---- */

ENTRY(int cuModuleLoadData(kds_cuda_module *out, const void *image))
{
    ENTER();
    NOT_IN_CAPTURE();
    kds_cuda_module m = calloc(1, sizeof *m);
    kds_err e = {0};
    if (m == NULL)
        return NO_MEMORY;
    m->magic = MODULE;
    /* The simulator lets equal texts share their variables; a module has its own. */
    m->len = strlen(image) + 32;
    m->ptx = calloc(1, m->len + 1);
    if (m->ptx == NULL)
        return NO_MEMORY;
    m->len = (size_t)snprintf(m->ptx, m->len, "%s\n// load %d\n", (const char *)image, gpu.loads++);
    if (kds_sim_module_load(&m->code, m->ptx, m->len, &e) != KDS_OK) {
        fprintf(stderr, "fake_cuda: %s\n", e.message);
        return 200;
    }
    gpu.modules++;
    *out = m;
    return OK;
}

ENTRY(int cuModuleUnload(kds_cuda_module m))
{
    ENTER();
    NOT_IN_CAPTURE();
    CHECK(m, MODULE);
    m->magic = 0;
    kds_sim_module_free(m->code);
    free(m->ptx);
    free(m);
    gpu.modules--;
    return OK;
}

ENTRY(int cuModuleGetFunction(kds_cuda_function *out, kds_cuda_module m, const char *name))
{
    ENTER();
    CHECK(m, MODULE);
    kds_cuda_function f = calloc(1, sizeof *f);
    if (f == NULL)
        return NO_MEMORY;
    f->magic = FUNCTION;
    f->module = m;
    f->facts.lowered = strdup(name);
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    f->next = gpu.functions;
    gpu.functions = f;
    if (!kds_ptx_facts(m->ptx, m->len, &f->facts))
        return NOT_FOUND;
    *out = f;
    return OK;
}

ENTRY(int cuFuncGetAttribute(int *out, int attribute, kds_cuda_function f))
{
    ENTER();
    CHECK(f, FUNCTION);
    *out = strstr(f->name, "greedy") != NULL ? 5000000 : 0;
    return attribute == KDS_CUDA_FUNCTION_LOCAL_BYTES ? OK : INVALID_VALUE;
}

ENTRY(int cuFuncSetAttribute(kds_cuda_function f, int attribute, int value))
{
    ENTER();
    NOT_IN_CAPTURE();
    CHECK(f, FUNCTION);
    if (attribute != KDS_CUDA_FUNCTION_MAX_DYNAMIC_SHARED || value < 0 || value > 232448)
        return INVALID_VALUE;
    f->shared_max = value;
    return OK;
}

static bool take_parameters(operation *o, void **parameters)
{
    const kds_kernel_facts *k = &o->function->facts;
    for (int i = 0; i < k->param_count; i++) {
        size_t end = (size_t)k->params[i].offset + (size_t)k->params[i].size;
        if (parameters == NULL || parameters[i] == NULL || end > sizeof o->parameters)
            return false;
        memcpy(o->parameters + k->params[i].offset, parameters[i], (size_t)k->params[i].size);
        o->parameters_len = end > o->parameters_len ? end : o->parameters_len;
    }
    return true;
}

static bool take_attribute(operation *o, const kds_cuda_launch_attribute *a)
{
    if (a->id == KDS_CUDA_LAUNCH_COOPERATIVE) {
        o->cooperative = a->value.cooperative == 1;
        return o->cooperative;
    }
    if (a->id != KDS_CUDA_LAUNCH_CLUSTER)
        return false;
    for (int i = 0; i < 3; i++) {
        o->cluster[i] = a->value.cluster[i];
        if (o->cluster[i] < 1 || o->config.grid[i] % o->cluster[i] != 0)
            return false;
    }
    return true;
}

ENTRY(int cuLaunchKernelEx(const kds_cuda_launch_config *config, kds_cuda_function f,
                           void **parameters, void **extra))
{
    ENTER();
    CHECK(f, FUNCTION);
    CHECK(f->module, MODULE);
    CHECK(config->stream, STREAM);
    operation o;
    memset(&o, 0, sizeof o); /* padding too: operations are compared */
    o.is_launch = true;
    o.function = f;
    o.config = *config;
    unsigned threads = config->block[0] * config->block[1] * config->block[2];
    if (threads < 1 || threads > 1024 || config->grid[0] < 1 || config->grid[1] < 1 ||
        config->grid[2] < 1 || extra != NULL || !take_parameters(&o, parameters))
        return INVALID_VALUE;
    if ((int)config->shared_bytes > (f->shared_max > 0 ? f->shared_max : SHARED_DEFAULT))
        return INVALID_VALUE;
    for (unsigned i = 0; i < config->attribute_count; i++)
        if (!take_attribute(&o, &config->attributes[i]))
            return INVALID_VALUE;
    o.config.attributes = NULL; /* the caller's */
    return submit(&o);
}

/* ---- Streams, graphs, events ---- */

ENTRY(int cuStreamCreate(kds_cuda_stream *out, unsigned flags))
{
    ENTER();
    *out = calloc(1, sizeof **out);
    (*out)->magic = STREAM;
    gpu.streams++;
    return flags == KDS_CUDA_STREAM_NON_BLOCKING ? OK : INVALID_VALUE;
}

ENTRY(int cuStreamDestroy_v2(kds_cuda_stream stream))
{
    CHECK(stream, STREAM);
    stream->magic = 0;
    free(stream);
    gpu.streams--;
    return OK;
}

ENTRY(int cuStreamBeginCapture_v2(kds_cuda_stream stream, int mode))
{
    ENTER();
    NOT_IN_CAPTURE();
    CHECK(stream, STREAM);
    gpu.captured_count = 0;
    gpu.capturing = true;
    return mode == KDS_CUDA_CAPTURE_THREAD_LOCAL ? OK : INVALID_VALUE;
}

ENTRY(int cuStreamEndCapture(kds_cuda_stream stream, kds_cuda_graph *out))
{
    ENTER();
    CHECK(stream, STREAM);
    if (!gpu.capturing)
        return ILLEGAL_IN_CAPTURE;
    gpu.capturing = false;
    *out = calloc(1, sizeof **out);
    (*out)->magic = GRAPH;
    (*out)->operations = gpu.captured;
    (*out)->count = gpu.captured_count;
    gpu.captured = NULL;
    gpu.captured_room = 0;
    gpu.graphs++;
    return OK;
}

static bool alike(const operation *a, const operation *b)
{
    return b->is_launch && a->function == b->function && a->parameters_len == b->parameters_len &&
           memcmp(a->parameters, b->parameters, a->parameters_len) == 0;
}

static bool has_like(const kds_cuda_exec exec, int i, int from, int to)
{
    for (int k = from; k < to; k++)
        if (alike(&exec->operations[i], &exec->operations[k]))
            return true;
    return false;
}

/* Marks launches that come both before and later in the graph: a set of buffers in its turns. */
static void mark_repeated(kds_cuda_exec exec)
{
    for (int i = 0; i < exec->count; i++)
        exec->operations[i].again = exec->operations[i].is_launch && has_like(exec, i, 0, i) &&
                                    has_like(exec, i, i + 1, exec->count);
}

ENTRY(int cuGraphInstantiateWithFlags(kds_cuda_exec *out, kds_cuda_graph graph,
                                      unsigned long long flags))
{
    ENTER();
    CHECK(graph, GRAPH);
    *out = calloc(1, sizeof **out);
    (*out)->magic = EXEC;
    (*out)->count = graph->count;
    (*out)->operations = calloc((size_t)graph->count + 1, sizeof(operation));
    if (graph->count > 0)
        memcpy((*out)->operations, graph->operations, (size_t)graph->count * sizeof(operation));
    mark_repeated(*out);
    gpu.execs++;
    return flags == 0 ? OK : INVALID_VALUE;
}

ENTRY(int cuGraphUpload(kds_cuda_exec exec, kds_cuda_stream stream))
{
    ENTER();
    CHECK(exec, EXEC);
    CHECK(stream, STREAM);
    return OK;
}

/* All operations take their time; of launches that are alike only the first and the last are
 * carried out. */
ENTRY(int cuGraphLaunch(kds_cuda_exec exec, kds_cuda_stream stream))
{
    ENTER();
    NOT_IN_CAPTURE();
    CHECK(exec, EXEC);
    CHECK(stream, STREAM);
    for (int i = 0; i < exec->count && gpu.sticky == OK; i++) {
        if (exec->operations[i].again)
            gpu.us += launch_us(&exec->operations[i]);
        else if (carry_out(&exec->operations[i]) != OK)
            return INVALID_VALUE;
    }
    return OK;
}

ENTRY(int cuGraphExecDestroy(kds_cuda_exec exec))
{
    CHECK(exec, EXEC);
    exec->magic = 0;
    free(exec->operations);
    free(exec);
    gpu.execs--;
    return OK;
}

ENTRY(int cuGraphDestroy(kds_cuda_graph graph))
{
    CHECK(graph, GRAPH);
    graph->magic = 0;
    free(graph->operations);
    free(graph);
    gpu.graphs--;
    return OK;
}

ENTRY(int cuEventCreate(kds_cuda_event *out, unsigned flags))
{
    ENTER();
    *out = calloc(1, sizeof **out);
    (*out)->magic = EVENT;
    gpu.events++;
    return flags == 0 ? OK : INVALID_VALUE;
}

ENTRY(int cuEventDestroy_v2(kds_cuda_event event))
{
    CHECK(event, EVENT);
    event->magic = 0;
    free(event);
    gpu.events--;
    return OK;
}

ENTRY(int cuEventRecord(kds_cuda_event event, kds_cuda_stream stream))
{
    ENTER();
    NOT_IN_CAPTURE();
    CHECK(event, EVENT);
    CHECK(stream, STREAM);
    event->recorded = true;
    event->us = gpu.us;
    return OK;
}

ENTRY(int cuEventQuery(kds_cuda_event event))
{
    ENTER();
    CHECK(event, EVENT);
    return gpu.hung ? NOT_READY : OK;
}

ENTRY(int cuEventElapsedTime(float *milliseconds, kds_cuda_event start, kds_cuda_event end))
{
    ENTER();
    CHECK(start, EVENT);
    CHECK(end, EVENT);
    if (!start->recorded || !end->recorded)
        return INVALID_HANDLE;
    *milliseconds = (float)((end->us - start->us) / 1000);
    return gpu.hung ? NOT_READY : OK;
}
