/* The NVRTC library as the compiler uses it: opened at run time, one handle for a process. Private
 * to eval's compile files; everyone else uses eval/compile.h. */
#ifndef KDS_EVAL_NVRTC_H
#define KDS_EVAL_NVRTC_H

#include "eval/compile.h"

#define KDS_NVRTC_INCLUDES 4

typedef struct kds_nvrtc_program kds_nvrtc_program; /* nvrtc's _nvrtcProgram */

/* nvrtcResult; the values are part of NVRTC's ABI (nvrtc.h). */
enum {
    KDS_NVRTC_SUCCESS = 0,
    KDS_NVRTC_INVALID_OPTION = 5,
    KDS_NVRTC_COMPILATION = 6,
    KDS_NVRTC_NAME_NOT_VALID = 10
};

/* X(field, symbol, arguments) of every function in use; all return nvrtcResult. */
#define KDS_NVRTC_FUNCTIONS(X)                                                                     \
    X(version, "nvrtcVersion", (int *major, int *minor))                                           \
    X(create, "nvrtcCreateProgram",                                                                \
      (kds_nvrtc_program * *out, const char *source, const char *name, int headers,                \
       const char *const *texts, const char *const *names))                                        \
    X(destroy, "nvrtcDestroyProgram", (kds_nvrtc_program * *program))                              \
    X(compile, "nvrtcCompileProgram",                                                              \
      (kds_nvrtc_program * program, int count, const char *const *options))                        \
    X(ptx_size, "nvrtcGetPTXSize", (kds_nvrtc_program * program, size_t * size))                   \
    X(ptx, "nvrtcGetPTX", (kds_nvrtc_program * program, char *out))                                \
    X(cubin_size, "nvrtcGetCUBINSize", (kds_nvrtc_program * program, size_t * size))               \
    X(cubin, "nvrtcGetCUBIN", (kds_nvrtc_program * program, char *out))                            \
    X(log_size, "nvrtcGetProgramLogSize", (kds_nvrtc_program * program, size_t * size))            \
    X(log, "nvrtcGetProgramLog", (kds_nvrtc_program * program, char *out))                         \
    X(add_name, "nvrtcAddNameExpression", (kds_nvrtc_program * program, const char *name))         \
    X(lowered_name, "nvrtcGetLoweredName",                                                         \
      (kds_nvrtc_program * program, const char *name, const char **lowered))

struct kds_nvrtc {
    void *library;
    char *path; /* of the library, links resolved */
    int major, minor;
    int include_count;
    char *includes[KDS_NVRTC_INCLUDES];        /* -I; links resolved */
    char *include_options[KDS_NVRTC_INCLUDES]; /* "-I..." */
    const char *optional[4];                   /* options that this version accepts */
    int optional_count;
    const char *(*error_text)(int result); /* nvrtcGetErrorString */
#define KDS_X(field, symbol, arguments) int(*field) arguments;
    KDS_NVRTC_FUNCTIONS(KDS_X)
#undef KDS_X
};

/* Finds the toolkit's headers beside a library; fills includes. False if there are none. */
bool kds_nvrtc_find_includes(kds_nvrtc *n);

/* Confines this process to what compiling needs: reading the headers and the library's folder.
 * Enters a folder of headers. */
KDS_MUST_USE kds_code kds_nvrtc_confine(const kds_nvrtc *n, kds_err *e);

#endif
