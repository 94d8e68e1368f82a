/* Opening libcuda and telling its errors. The symbols are taken by their versioned names, so that a
 * newer driver gives the functions that the declarations here are of. */
#include "eval/cuda/driver.h"
#include "search/base/buf.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libcuda.so.1"

/* What an error means to us and what the user can do. */
typedef struct meaning {
    int result;
    kds_code code;
    bool sticky;
    const char *advice;
} meaning;

static const meaning meanings[] = {
    {2, KDS_NO_MEMORY, false, "free memory on this GPU, or use rows that need less"},
    {34, KDS_NO_DEVICE, false,
     "the library found is the toolkit's stub; take its folder out of LD_LIBRARY_PATH"},
    {46, KDS_NO_DEVICE, false, "another process holds it exclusively, or it is being reset"},
    {100, KDS_NO_DEVICE, false,
     "no GPU is visible: see `nvidia-smi`, CUDA_VISIBLE_DEVICES and the container's settings"},
    {101, KDS_NO_DEVICE, false, "`kdasearch doctor` lists the GPUs"},
    {102, KDS_NO_DEVICE, false, "the GPU needs a licence"},
    {209, KDS_FAILED, false,
     "the code was compiled for another GPU, or the driver is older than NVRTC"},
    {214, KDS_DEVICE_LOST, true,
     "the GPU's memory has an uncorrectable error: see `nvidia-smi -q`"},
    {218, KDS_FAILED, false, "the driver is older than NVRTC: update the driver"},
    {222, KDS_FAILED, false, "the driver is older than NVRTC: update the driver"},
    {226, KDS_DEVICE_LOST, true, NULL},
    {700, KDS_DEVICE_LOST, true, NULL},
    {702, KDS_DEVICE_LOST, true, "the kernel ran longer than this GPU's display watchdog allows"},
    {709, KDS_DEVICE_LOST, true, NULL},
    {710, KDS_DEVICE_LOST, true, NULL},
    {714, KDS_DEVICE_LOST, true, NULL},
    {715, KDS_DEVICE_LOST, true, NULL},
    {716, KDS_DEVICE_LOST, true, NULL},
    {717, KDS_DEVICE_LOST, true, NULL},
    {718, KDS_DEVICE_LOST, true, NULL},
    {719, KDS_DEVICE_LOST, true, NULL},
    {721, KDS_DEVICE_LOST, true, NULL},
    {802, KDS_NO_DEVICE, false, "a service that the GPU needs is not up (the fabric manager, say)"},
    {803, KDS_NO_DEVICE, false,
     "the driver's library and its kernel module differ: restart the machine"},
    {804, KDS_NO_DEVICE, false, "remove the CUDA compatibility package from the library path"},
    {999, KDS_DEVICE_LOST, true, "see the kernel's log (dmesg) for NVRM messages"},
};

static const meaning *meaning_of(int result)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].result == result)
            return &meanings[i];
    return NULL;
}

bool kds_cuda_is_sticky(int result)
{
    const meaning *m = meaning_of(result);
    return m != NULL && m->sticky;
}

void kds_cuda_describe(const kds_cuda *c, int result, char *out, size_t size)
{
    const char *name = NULL, *text = NULL;
    if (c->error_name(result, &name) != KDS_CUDA_SUCCESS || name == NULL)
        name = "an error that the driver does not name";
    if (c->error_text(result, &text) != KDS_CUDA_SUCCESS || text == NULL)
        (void)snprintf(out, size, "%s, %d", name, result);
    else
        (void)snprintf(out, size, "%s (%s)", name, text);
}

kds_code kds_cuda_check(const kds_cuda *c, int result, kds_err *e, const char *fmt, ...)
{
    char what[400], why[300];
    va_list ap;
    if (result == KDS_CUDA_SUCCESS)
        return KDS_OK;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    kds_cuda_describe(c, result, why, sizeof why);
    const meaning *m = meaning_of(result);
    return kds_fail(e, m != NULL ? m->code : KDS_FAILED, "%s: %s%s%s", what, why,
                    m != NULL && m->advice != NULL ? "; " : "",
                    m != NULL && m->advice != NULL ? m->advice : "");
}

/* False with the first symbol that is missing. */
static bool load_symbols(kds_cuda *c, const char **missing)
{
    void *symbol;
#define KDS_X(field, name, arguments)                                                              \
    *missing = name;                                                                               \
    if (!(symbol = dlsym(c->library, name)))                                                       \
        return false;                                                                              \
    memcpy(&c->field, &symbol, sizeof symbol);
    KDS_CUDA_FUNCTIONS(KDS_X)
#undef KDS_X
    return true;
}

kds_code kds_cuda_open(kds_cuda **out, kds_err *e)
{
    const char *missing = NULL;
    kds_code code = KDS_OK;
    kds_cuda *c = calloc(1, sizeof *c);
    if (c == NULL)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    c->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (c->library == NULL)
        code = kds_fail(e, KDS_NO_DEVICE,
                        "no CUDA driver here (%s); install NVIDIA's driver, or in a container make "
                        "it visible (--gpus all)",
                        dlerror());
    else if (!load_symbols(c, &missing))
        code = kds_fail(e, KDS_NO_DEVICE,
                        "the CUDA driver is too old: " LIBRARY " has no %s; update it to 570 or "
                        "newer",
                        missing);
    if (code == KDS_OK)
        code = kds_cuda_check(c, c->init(0), e, "initialising the CUDA driver");
    if (code == KDS_OK)
        code =
            kds_cuda_check(c, c->driver_version(&c->version), e, "asking for the driver's version");
    if (code == KDS_OK)
        *out = c;
    else
        kds_cuda_close(c);
    return code;
}

/* The library stays: it has threads and handlers of its own. */
void kds_cuda_close(kds_cuda *c)
{
    if (c == NULL)
        return;
    if (c->library != NULL)
        (void)dlclose(c->library);
    free(c);
}
