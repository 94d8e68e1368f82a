/* Opening CUPTI and telling its errors. libnvperf_host is opened first from the same folder: CUPTI
 * asks the loader for it by name, which fails in most layouts. */
#include "eval/cuda/cupti.h"
#include "search/base/buf.h"
#include "search/base/file.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct meaning {
    int result;
    kds_code code;
    const char *advice;
} meaning;

static const meaning meanings[] = {
    {8, KDS_NO_MEMORY, NULL},
    {15, KDS_NOT_FOUND, "the driver may be older than this CUPTI: update the driver"},
    {23, KDS_LOCKED, "another tool holds CUPTI in this process (CUDA_INJECTION64_PATH?)"},
    {26, KDS_LOCKED,
     "another profiler has this GPU's counters: end it (ncu, nsys with GPU metrics; for DCGM: "
     "`dcgmi profile --pause`)"},
    {27, KDS_NOT_FOUND, "this GPU has no counters that CUPTI can read"},
    {33, KDS_NOT_FOUND, "virtual GPUs have counters only if their host permits it"},
    {34, KDS_NOT_FOUND, "the driver is older than this CUPTI: update the driver"},
    {35, KDS_NOT_FOUND, KDS_COUNTERS_ADVICE},
    {36, KDS_LOCKED, "another tool holds CUPTI in this process (CUDA_INJECTION64_PATH?)"},
    {39, KDS_LOCKED, "another tool holds CUPTI in this process (CUDA_INJECTION64_PATH?)"},
    {40, KDS_NOT_FOUND, "the host of this virtual GPU does not permit profiling"},
    {41, KDS_NOT_FOUND, "confidential computing is on"},
    {42, KDS_NOT_FOUND, NULL},
    {43, KDS_NOT_FOUND, "this MIG instance has no counters: profile on a whole GPU"},
    {44, KDS_NOT_FOUND, NULL},
    {45, KDS_NOT_FOUND, NULL},
    {46, KDS_NOT_FOUND, "the GPU is newer than this CUPTI: install a newer CUDA Toolkit"},
};

kds_code kds_cupti_check(const kds_cupti *c, int result, const char *call, kds_err *e)
{
    const char *name = NULL, *text = NULL;
    const meaning *m = NULL;
    if (result == KDS_CUPTI_SUCCESS)
        return KDS_OK;
    for (size_t i = 0; m == NULL && i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].result == result)
            m = &meanings[i];
    if (c->result_name(result, &name) != KDS_CUPTI_SUCCESS || name == NULL)
        name = "an error that CUPTI does not name";
    if (c->result_text(result, &text) != KDS_CUPTI_SUCCESS || text == NULL)
        text = "no words for it";
    return kds_fail(e, m != NULL ? m->code : KDS_FAILED, "%s gave %s (%d: %.300s)%s%s", call, name,
                    result, text, m != NULL && m->advice != NULL ? "; " : "",
                    m != NULL && m->advice != NULL ? m->advice : "");
}

typedef struct hunt {
    kds_cupti *c;
    kds_buf looked;
    char reason[500];
} hunt;

static bool load_symbols(kds_cupti *c, const char **missing)
{
    void *symbol;
#define TAKE(field, name)                                                                          \
    *missing = name;                                                                               \
    if (!(symbol = dlsym(c->library, name)))                                                       \
        return false;                                                                              \
    memcpy(&c->field, &symbol, sizeof symbol);
    TAKE(get_version, "cuptiGetVersion")
    TAKE(result_name, "cuptiGetResultString")
    TAKE(result_text, "cuptiGetErrorMessage")
    KDS_CUPTI_CALLS(TAKE)
#undef TAKE
    return true;
}

/* The folder of a path; "" if it has none. */
static void folder_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(out, size, "%.*s", slash != NULL ? (int)(slash - path) : 0, path);
}

static bool load_nvperf(const char *cupti_path)
{
    char dir[3000], path[3100];
    folder_of(cupti_path, dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/libnvperf_host.so", dir);
    return dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) != NULL ||
           dlopen("libnvperf_host.so", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) != NULL;
}

/* A path or a name for the loader; true if it can be used. */
static bool try_library(hunt *h, const char *name)
{
    kds_cupti *c = h->c;
    const char *missing = "";
    Dl_info info;
    c->library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (c->library == NULL) {
        if (strchr(name, '/') != NULL)
            (void)snprintf(h->reason, sizeof h->reason, "; %s", dlerror());
        return false;
    }
    void *symbol = dlsym(c->library, "cuptiGetVersion");
    const char *path = symbol != NULL && dladdr(symbol, &info) != 0 ? info.dli_fname : name;
    if (!load_symbols(c, &missing))
        (void)snprintf(h->reason, sizeof h->reason,
                       "; %s has no %s: CUPTI of CUDA 12.8 or newer is needed", path, missing);
    else if (c->get_version(&c->version) != KDS_CUPTI_SUCCESS)
        (void)snprintf(h->reason, sizeof h->reason, "; %s tells no version", path);
    else if (!load_nvperf(path))
        (void)snprintf(h->reason, sizeof h->reason, "; there is no libnvperf_host.so beside %s",
                       path);
    else if ((c->path = strdup(path)) != NULL)
        return true;
    (void)dlclose(c->library);
    c->library = NULL;
    return false;
}

/* Every library that matches; the last in order (the newest) first. */
static bool try_pattern(hunt *h, const char *base, const char *rest)
{
    char pattern[4096];
    glob_t found;
    bool good = false;
    if (base == NULL || *base == '\0')
        return false;
    (void)snprintf(pattern, sizeof pattern, "%s%s/libcupti.so*", base, rest);
    if (h->looked.len < 1200)
        kds_buf_printf(&h->looked, "%s%s%s", h->looked.len > 0 ? ", " : "", base, rest);
    if (glob(pattern, 0, NULL, &found) != 0)
        return false;
    for (size_t i = found.gl_pathc; i > 0 && !good; i--)
        good = try_library(h, found.gl_pathv[i - 1]);
    globfree(&found);
    return good;
}

static bool try_root(hunt *h, const char *root)
{
    static const char *const folders[] = {"/extras/CUPTI/lib64", "/lib64", "/lib",
                                          "/targets/*-linux/lib"};
    bool good = false;
    for (size_t i = 0; !good && i < sizeof folders / sizeof folders[0]; i++)
        good = try_pattern(h, root, folders[i]);
    return good;
}

/* The folder of NVRTC, the toolkit that it belongs to, and its neighbours as pip lays them out. */
static bool try_beside(hunt *h, const char *nvrtc_path)
{
    static const char *const places[] = {"", "/../extras/CUPTI/lib64",
                                         "/../../../extras/CUPTI/lib64", "/../../cuda_cupti/lib"};
    char dir[3000];
    bool good = false;
    folder_of(nvrtc_path != NULL ? nvrtc_path : "", dir, sizeof dir);
    for (size_t i = 0; !good && i < sizeof places / sizeof places[0]; i++)
        good = try_pattern(h, dir, places[i]);
    return good;
}

static bool try_pip(hunt *h)
{
    const char *const bases[] = {getenv("VIRTUAL_ENV"), getenv("HOME"), "/usr/local", "/usr"};
    static const char *const layouts[] = {"/lib/python3*/site-packages",
                                          "/.local/lib/python3*/site-packages",
                                          "/lib/python3*/dist-packages"};
    static const char *const packages[] = {"/nvidia/cu13/lib", "/nvidia/cuda_cupti/lib"};
    for (size_t b = 0; b < sizeof bases / sizeof bases[0]; b++)
        for (size_t l = 0; l < sizeof layouts / sizeof layouts[0]; l++)
            for (size_t p = 0; p < sizeof packages / sizeof packages[0]; p++) {
                char rest[200];
                (void)snprintf(rest, sizeof rest, "%s%s", layouts[l], packages[p]);
                if (try_pattern(h, bases[b], rest))
                    return true;
            }
    return false;
}

kds_code kds_cupti_open(kds_cupti **out, const char *nvrtc_path, kds_err *e)
{
    hunt h = {.c = calloc(1, sizeof(kds_cupti))};
    kds_code code = KDS_OK;
    if (h.c == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_buf_init(&h.looked, 4096);
    if (try_beside(&h, nvrtc_path) || try_root(&h, getenv("CUDA_PATH")) ||
        try_root(&h, getenv("CUDA_HOME")) || try_library(&h, "libcupti.so.13") ||
        try_library(&h, "libcupti.so.12") || try_library(&h, "libcupti.so") ||
        try_root(&h, "/usr/local/cuda") || try_root(&h, "/usr/local/cuda-*") || try_pip(&h))
        *out = h.c;
    else {
        code = kds_fail(e, KDS_NOT_FOUND,
                        "no CUPTI that can be used%.400s; it comes with the CUDA Toolkit (12.8 or "
                        "newer; extras/CUPTI) or as nvidia-cuda-cupti of pip; looked in the "
                        "loader's path, %.600s",
                        h.reason, h.looked.data);
        kds_cupti_close(h.c);
    }
    kds_buf_free(&h.looked);
    return code;
}

/* The library stays: it has hooked itself into the driver. */
void kds_cupti_close(kds_cupti *c)
{
    if (c == NULL)
        return;
    if (c->library != NULL)
        (void)dlclose(c->library);
    free(c->path);
    free(c);
}

int kds_counters_permitted(const char *path)
{
    kds_buf text;
    int permitted = -1;
    kds_buf_init(&text, 1 << 16);
    if (kds_file_read(path, &text, NULL) == KDS_OK) {
        const char *line = strstr(text.data, "RmProfilingAdminOnly:");
        const char *value = line != NULL ? line + strcspn(line, "0123456789\n") : "";
        if (*value >= '0' && *value <= '9')
            permitted = *value == '0';
    }
    kds_buf_free(&text);
    return permitted;
}
