/* NVRTC with PTX in place of cubins: everything else is the real one's. It is found through the
 * link `real` beside this library's folder, a folder of the toolkit's libraries. */
#include <dlfcn.h>
#include <glob.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY(declaration)                                                                         \
    __attribute__((visibility("default"))) declaration;                                            \
    declaration

typedef struct program program;

static void *real_library(void)
{
    static void *library;
    static const char *const patterns[] = {"libnvrtc-builtins.so.1?.?*", "libnvrtc.so.1?"};
    Dl_info info;
    if (library != NULL || dladdr((void *)&library, &info) == 0)
        return library;
    char dir[3000], pattern[4000];
    (void)snprintf(dir, sizeof dir, "%s", info.dli_fname);
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(dir, '/');
        if (slash == NULL)
            return NULL;
        *slash = '\0';
    }
    for (int i = 0; i < 2; i++) {
        glob_t found;
        (void)snprintf(pattern, sizeof pattern, "%s/real/%s", dir, patterns[i]);
        if (glob(pattern, 0, NULL, &found) != 0)
            return NULL;
        library = dlopen(found.gl_pathv[0], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        globfree(&found);
    }
    return library;
}

static void *real(const char *name)
{
    void *library = real_library();
    void *symbol = library != NULL ? dlsym(library, name) : NULL;
    if (symbol == NULL) {
        fprintf(stderr, "fake_nvrtc: no %s in the real library\n", name);
        abort();
    }
    return symbol;
}

/* Calls the real function of that name. */
#define FORWARD(name, arguments)                                                                   \
    do {                                                                                           \
        void *symbol = real(#name);                                                                \
        __typeof__(name) *function;                                                                \
        memcpy(&function, &symbol, sizeof function);                                               \
        return function arguments;                                                                 \
    } while (0)

ENTRY(int nvrtcVersion(int *major, int *minor))
{
    FORWARD(nvrtcVersion, (major, minor));
}

ENTRY(int nvrtcCreateProgram(program **out, const char *source, const char *name, int headers,
                             const char *const *texts, const char *const *names))
{
    FORWARD(nvrtcCreateProgram, (out, source, name, headers, texts, names));
}

ENTRY(int nvrtcDestroyProgram(program **p))
{
    FORWARD(nvrtcDestroyProgram, (p));
}

ENTRY(int nvrtcCompileProgram(program *p, int count, const char *const *options))
{
    FORWARD(nvrtcCompileProgram, (p, count, options));
}

ENTRY(int nvrtcGetPTXSize(program *p, size_t *size))
{
    FORWARD(nvrtcGetPTXSize, (p, size));
}

ENTRY(int nvrtcGetPTX(program *p, char *out))
{
    FORWARD(nvrtcGetPTX, (p, out));
}

ENTRY(int nvrtcGetCUBINSize(program *p, size_t *size))
{
    return nvrtcGetPTXSize(p, size);
}

ENTRY(int nvrtcGetCUBIN(program *p, char *out))
{
    return nvrtcGetPTX(p, out);
}

ENTRY(int nvrtcGetProgramLogSize(program *p, size_t *size))
{
    FORWARD(nvrtcGetProgramLogSize, (p, size));
}

ENTRY(int nvrtcGetProgramLog(program *p, char *out))
{
    FORWARD(nvrtcGetProgramLog, (p, out));
}

ENTRY(int nvrtcAddNameExpression(program *p, const char *name))
{
    FORWARD(nvrtcAddNameExpression, (p, name));
}

ENTRY(int nvrtcGetLoweredName(program *p, const char *name, const char **lowered))
{
    FORWARD(nvrtcGetLoweredName, (p, name, lowered));
}

ENTRY(const char *nvrtcGetErrorString(int result))
{
    FORWARD(nvrtcGetErrorString, (result));
}
