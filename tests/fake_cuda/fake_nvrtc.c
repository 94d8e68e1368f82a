/* NVRTC with PTX in place of cubins: everything else is the real one's. It is found through the
 * link `real` beside this library's folder, a folder of the toolkit's libraries.
 * Every process that opens a GPU compiles our own kernels, helpers.cu, which never differ: their
 * PTX is kept in the folder of a test ($HOME), and compiled once for it. */
#include <dlfcn.h>
#include <glob.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELPERS "helpers.cu"
#define PATH_SIZE 4200
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

/* The helpers, while they are being compiled: one at a time. */
static struct {
    program *program;
    char path[PATH_SIZE]; /* where their PTX is kept */
    char *kept;
    size_t size;
} helpers;

static void read_kept(void)
{
    FILE *f = fopen(helpers.path, "rb");
    if (f == NULL)
        return;
    if (fseek(f, 0, SEEK_END) == 0 && (helpers.size = (size_t)ftell(f)) > 0 &&
        (helpers.kept = malloc(helpers.size)) != NULL) {
        rewind(f);
        if (fread(helpers.kept, 1, helpers.size, f) != helpers.size) {
            free(helpers.kept);
            helpers.kept = NULL;
        }
    }
    (void)fclose(f);
}

/* Under another name first: two processes may do this at once. */
static void keep(const char *ptx, size_t size)
{
    char name[PATH_SIZE + 32];
    (void)snprintf(name, sizeof name, "%s.%ld", helpers.path, (long)getpid());
    FILE *f = fopen(name, "wb");
    if (f == NULL)
        return;
    bool whole = fwrite(ptx, 1, size, f) == size;
    if (fclose(f) != 0 || !whole || rename(name, helpers.path) != 0)
        (void)unlink(name);
}

ENTRY(int nvrtcCreateProgram(program **out, const char *source, const char *name, int headers,
                             const char *const *texts, const char *const *names))
{
    void *symbol = real("nvrtcCreateProgram");
    __typeof__(nvrtcCreateProgram) *function;
    memcpy(&function, &symbol, sizeof function);
    int result = function(out, source, name, headers, texts, names);
    if (result == 0 && strcmp(name, HELPERS) == 0)
        helpers.program = *out;
    return result;
}

ENTRY(int nvrtcDestroyProgram(program **p))
{
    if (*p == helpers.program) {
        free(helpers.kept);
        memset(&helpers, 0, sizeof helpers);
    }
    FORWARD(nvrtcDestroyProgram, (p));
}

ENTRY(int nvrtcCompileProgram(program *p, int count, const char *const *options))
{
    const char *home = getenv("HOME");
    if (p == helpers.program && home != NULL && count > 0) {
        (void)snprintf(helpers.path, sizeof helpers.path, "%s/helpers%s.ptx", home,
                       strrchr(options[0], '_') != NULL ? strrchr(options[0], '_') : "");
        read_kept();
        if (helpers.kept != NULL)
            return 0;
    }
    FORWARD(nvrtcCompileProgram, (p, count, options));
}

ENTRY(int nvrtcGetPTXSize(program *p, size_t *size))
{
    if (p == helpers.program && helpers.kept != NULL) {
        *size = helpers.size;
        return 0;
    }
    FORWARD(nvrtcGetPTXSize, (p, size));
}

ENTRY(int nvrtcGetPTX(program *p, char *out))
{
    size_t size = 0;
    void *symbol = real("nvrtcGetPTX");
    __typeof__(nvrtcGetPTX) *function;
    memcpy(&function, &symbol, sizeof function);
    if (p == helpers.program && helpers.kept != NULL) {
        memcpy(out, helpers.kept, helpers.size);
        return 0;
    }
    int result = function(p, out);
    if (result == 0 && p == helpers.program && nvrtcGetPTXSize(p, &size) == 0)
        keep(out, size);
    return result;
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
