/* Opening NVRTC: the search for the library, its symbols, its version and which of the options that
 * we like it accepts. Opening compiles one tiny kernel, so that everything that NVRTC loads late
 * (its builtins) is loaded when the process gives up its access to files. */
#include "eval/nvrtc.h"
#include "search/base/file.h"
#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OLDEST_MAJOR 12
#define OLDEST_MINOR 8

typedef struct hunt {
    kds_nvrtc *n;
    kds_buf looked; /* places, for the message */
    char reason[400];
} hunt;

static bool load_symbols(kds_nvrtc *n)
{
    void *symbol;
#define KDS_X(field, name, arguments)                                                              \
    if (!(symbol = dlsym(n->library, name)))                                                       \
        return false;                                                                              \
    memcpy(&n->field, &symbol, sizeof symbol);
    KDS_NVRTC_FUNCTIONS(KDS_X)
#undef KDS_X
    if (!(symbol = dlsym(n->library, "nvrtcGetErrorString")))
        return false;
    memcpy(&n->error_text, &symbol, sizeof symbol);
    return true;
}

/* The path of the library that was opened, links resolved. */
static char *library_path(const kds_nvrtc *n)
{
    Dl_info info;
    void *symbol = dlsym(n->library, "nvrtcVersion");
    if (!symbol || !dladdr(symbol, &info) || !info.dli_fname)
        return NULL;
    return realpath(info.dli_fname, NULL);
}

static void drop(kds_nvrtc *n)
{
    for (int i = 0; i < n->include_count; i++) {
        free(n->includes[i]);
        free(n->include_options[i]);
    }
    n->include_count = 0;
    free(n->path);
    n->path = NULL;
    if (n->library)
        dlclose(n->library);
    n->library = NULL;
}

/* NVRTC opens its builtins by name, which the loader finds only in its own folders. Loading them
 * from beside the library first makes any layout work; where there are none, NVRTC will say so. */
static void load_builtins(const kds_nvrtc *n)
{
    char path[4096];
    const char *slash = strrchr(n->path, '/');
    int len = slash ? (int)(slash - n->path) : 0;
    snprintf(path, sizeof path, "%.*s/libnvrtc-builtins.so.%d.%d", len, n->path, n->major,
             n->minor);
    (void)dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

/* Opens one candidate, a path or a name for the loader; true if it can be used. */
static bool try_library(hunt *h, const char *name)
{
    kds_nvrtc *n = h->n;
    if (h->looked.len < 1500)
        kds_buf_printf(&h->looked, "%s%s", h->looked.len ? ", " : "", name);
    if (strchr(name, '/') && !kds_path_exists(name))
        return false;
    if (!(n->library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE))) {
        if (strchr(name, '/'))
            snprintf(h->reason, sizeof h->reason, "; %s", dlerror());
        return false;
    }
    n->path = library_path(n);
    if (!n->path || !load_symbols(n) || n->version(&n->major, &n->minor) != KDS_NVRTC_SUCCESS)
        snprintf(h->reason, sizeof h->reason, "; %s is not an NVRTC that can be used", name);
    else if (n->major < OLDEST_MAJOR || (n->major == OLDEST_MAJOR && n->minor < OLDEST_MINOR))
        snprintf(h->reason, sizeof h->reason, "; %s is version %d.%d, 12.8 or newer is needed",
                 name, n->major, n->minor);
    else if (!kds_nvrtc_find_includes(n))
        snprintf(h->reason, sizeof h->reason, "; no toolkit headers (cuda_bf16.h) beside %s", name);
    else {
        load_builtins(n);
        return true;
    }
    drop(n);
    return false;
}

static bool try_folder(hunt *h, const char *dir)
{
    static const char *const names[] = {"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", NULL};
    for (const char *const *name = names; *name; name++) {
        char *path = kds_path_join(dir, *name);
        bool exists = path && kds_path_exists(path);
        bool good = exists && try_library(h, path);
        free(path);
        if (exists)
            return good;
    }
    if (h->looked.len < 1500)
        kds_buf_printf(&h->looked, "%s%s", h->looked.len ? ", " : "", dir);
    return false;
}

static bool try_root(hunt *h, const char *root)
{
    static const char *const folders[] = {"lib64", "lib", "targets/x86_64-linux/lib",
                                          "targets/sbsa-linux/lib", NULL};
    for (const char *const *folder = folders; root && *root && *folder; folder++) {
        char *dir = kds_path_join(root, *folder);
        bool good = dir && kds_path_is_dir(dir) && try_folder(h, dir);
        free(dir);
        if (good)
            return true;
    }
    if (root && *root && !kds_path_is_dir(root))
        kds_buf_printf(&h->looked, "%s%s", h->looked.len ? ", " : "", root);
    return false;
}

/* Folders that match a pattern, the last in order (the newest version) first. */
static bool try_pattern(hunt *h, const char *pattern, bool (*attempt)(hunt *, const char *))
{
    glob_t found;
    bool good = false;
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = found.gl_pathc; i > 0 && !good; i--)
            good = attempt(h, found.gl_pathv[i - 1]);
        globfree(&found);
    }
    return good;
}

/* pip's packages below the usual site folders. */
static bool try_pip(hunt *h)
{
    static const char *const packages[] = {"nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib"};
    const char *const bases[] = {getenv("VIRTUAL_ENV"), getenv("HOME"), "/usr/local", "/usr"};
    static const char *const layouts[] = {"lib/python3*/site-packages",
                                          ".local/lib/python3*/site-packages",
                                          "lib/python3*/dist-packages"};
    for (size_t b = 0; b < sizeof bases / sizeof bases[0]; b++) {
        for (size_t l = 0; bases[b] && *bases[b] && l < sizeof layouts / sizeof layouts[0]; l++) {
            for (size_t p = 0; p < sizeof packages / sizeof packages[0]; p++) {
                char pattern[1000];
                snprintf(pattern, sizeof pattern, "%s/%s/%s", bases[b], layouts[l], packages[p]);
                if (try_pattern(h, pattern, try_folder))
                    return true;
            }
        }
    }
    return false;
}

static bool try_everything(hunt *h)
{
    return try_root(h, getenv("CUDA_PATH")) || try_root(h, getenv("CUDA_HOME")) ||
           try_root(h, "/usr/local/cuda") || try_pattern(h, "/usr/local/cuda-*", try_root) ||
           try_library(h, "libnvrtc.so.13") || try_library(h, "libnvrtc.so.12") ||
           try_library(h, "libnvrtc.so") || try_pip(h);
}

/* Compiles a tiny kernel with one more option; true if NVRTC takes it. NULL for no option. */
static int try_option(const kds_nvrtc *n, const char *option)
{
    kds_nvrtc_program *program = NULL;
    int result = n->create(&program, "__global__ void k(float *x) { *x = sqrtf(*x); }\n",
                           "kernel.cu", 0, NULL, NULL);
    if (result != KDS_NVRTC_SUCCESS)
        return result;
    const char *options[] = {"--gpu-architecture=sm_90", option};
    result = n->compile(program, option ? 2 : 1, options);
    n->destroy(&program);
    return result;
}

/* NVRTC's own cache must not answer for the compiler, and equal code must give equal bytes. */
static kds_code warm_up(kds_nvrtc *n, kds_err *e)
{
    static const char *const wanted[] = {"--no-cache", "--frandom-seed=kdasearch"};
    int result = try_option(n, NULL);
    if (result != KDS_NVRTC_SUCCESS)
        return kds_fail(e, KDS_WORKER, "NVRTC %d.%d at %s cannot compile a trivial kernel: %s",
                        n->major, n->minor, n->path, n->error_text(result));
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (try_option(n, wanted[i]) == KDS_NVRTC_SUCCESS)
            n->optional[n->optional_count++] = wanted[i];
    }
    return KDS_OK;
}

kds_code kds_nvrtc_open(kds_nvrtc **out, kds_err *e)
{
    hunt h = {.n = calloc(1, sizeof *h.n)};
    if (!h.n)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_buf_init(&h.looked, 4000);
    kds_code bad = KDS_OK;
    if (!try_everything(&h))
        bad = kds_fail(e, KDS_NOT_FOUND,
                       "NVRTC was not found%s; install the CUDA Toolkit 12.8 or newer, or set "
                       "CUDA_PATH to it; looked in: %.500s",
                       h.reason, h.looked.data);
    if (bad == KDS_OK)
        bad = warm_up(h.n, e);
    kds_buf_free(&h.looked);
    if (bad == KDS_OK)
        *out = h.n;
    else
        kds_nvrtc_close(h.n);
    return bad;
}

void kds_nvrtc_close(kds_nvrtc *n)
{
    if (!n)
        return;
    drop(n);
    free(n);
}

const char *kds_nvrtc_path(const kds_nvrtc *n)
{
    return n->path;
}

const char *kds_nvrtc_include_dir(const kds_nvrtc *n)
{
    return n->include_count ? n->includes[0] : NULL;
}

void kds_nvrtc_version(const kds_nvrtc *n, int *major, int *minor)
{
    *major = n->major;
    *minor = n->minor;
}
