/* CUDA C++ through NVRTC, for the tests of the simulator that run what the compiler writes. */
#ifndef KDS_TESTS_EVAL_SIM_NVRTC_H
#define KDS_TESTS_EVAL_SIM_NVRTC_H

#include "eval/compile.h"
#include "tests/eval/sim_test.h"
#include <dlfcn.h>

typedef struct _nvrtcProgram *program;
typedef struct compiler {
    int (*create)(program *, const char *, const char *, int, const char *const *,
                  const char *const *);
    int (*compile)(program, int, const char *const *);
    int (*size)(program, size_t *);
    int (*get)(program, char *);
    int (*log_size)(program, size_t *);
    int (*get_log)(program, char *);
    int (*destroy)(program *);
    char include[600], libraries[620]; /* of CUDA, and of libcu++ */
} compiler;

static inline void *symbol(void *library, const char *name)
{
    void *p = dlsym(library, name);
    if (p == NULL)
        fail_msg("no %s in NVRTC", name);
    return p;
}

static inline int open_compiler(void **state)
{
    static compiler c;
    kds_nvrtc *n = NULL;
    kds_err e = {0};
    if (kds_nvrtc_open(&n, &e) != KDS_OK)
        fail_msg("%s", e.message);
    void *library = dlopen(kds_nvrtc_path(n), RTLD_NOW);
    assert_non_null(library);
    snprintf(c.include, sizeof c.include, "-I%s", kds_nvrtc_include_dir(n));
    snprintf(c.libraries, sizeof c.libraries, "%s/cccl", c.include);
    kds_nvrtc_close(n);
    *(void **)&c.create = symbol(library, "nvrtcCreateProgram");
    *(void **)&c.compile = symbol(library, "nvrtcCompileProgram");
    *(void **)&c.size = symbol(library, "nvrtcGetPTXSize");
    *(void **)&c.get = symbol(library, "nvrtcGetPTX");
    *(void **)&c.log_size = symbol(library, "nvrtcGetProgramLogSize");
    *(void **)&c.get_log = symbol(library, "nvrtcGetProgramLog");
    *(void **)&c.destroy = symbol(library, "nvrtcDestroyProgram");
    *state = &c;
    return 0;
}

static inline kds_sim_module *compile(const compiler *c, const char *source, const char *arch)
{
    program p = NULL;
    size_t n = 0;
    char option[64];
    snprintf(option, sizeof option, "--gpu-architecture=%s", arch);
    const char *options[] = {option, c->include, c->libraries};
    assert_int_equal(c->create(&p, source, "kernel.cu", 0, NULL, NULL), 0);
    if (c->compile(p, 3, options) != 0) {
        static char log[8192];
        if (c->log_size(p, &n) == 0 && n < sizeof log)
            c->get_log(p, log);
        fail_msg("%s", log);
    }
    assert_int_equal(c->size(p, &n), 0);
    char *ptx = malloc(n);
    assert_non_null(ptx);
    assert_int_equal(c->get(p, ptx), 0);
    c->destroy(&p);
    kds_sim_module *m = NULL;
    kds_err e = {0};
    if (kds_sim_module_load(&m, ptx, n, &e) != KDS_OK)
        fail_msg("%s", e.message);
    free(ptx);
    return m;
}

static const char *const archs[] = {"compute_80", "compute_90", "compute_100"};

#endif
