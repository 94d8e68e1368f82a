/* Where the toolkit's headers are, given where its NVRTC was found: the layouts of NVIDIA's
 * installer, of Debian and of the pip packages. */
#include "eval/nvrtc.h"
#include "search/base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Adds base/relative as an include folder if it holds `probe` and is not there yet. */
static bool add_include(kds_nvrtc *n, const char *base, const char *relative, const char *probe)
{
    char *dir = kds_path_join(base, relative);
    char *file = dir ? kds_path_join(dir, probe) : NULL;
    char *real = file && kds_path_exists(file) ? realpath(dir, NULL) : NULL;
    bool added = false;
    for (int i = 0; real && i < n->include_count; i++)
        added = added || strcmp(n->includes[i], real) == 0;
    if (real && !added && n->include_count < KDS_NVRTC_INCLUDES) {
        size_t size = strlen(real) + 3;
        char *option = malloc(size);
        if (option) {
            snprintf(option, size, "-I%s", real);
            n->include_options[n->include_count] = option;
            n->includes[n->include_count++] = real;
            real = NULL;
            added = true;
        }
    }
    free(real);
    free(file);
    free(dir);
    return added;
}

/* Tries the layouts below one folder, which is an ancestor of the library. */
static bool search_below(kds_nvrtc *n, const char *root)
{
    static const char *const headers[] = {"include", "targets/x86_64-linux/include",
                                          "targets/sbsa-linux/include", "cuda_runtime/include",
                                          NULL};
    static const char *const cccl[] = {"include/cccl",
                                       "targets/x86_64-linux/include/cccl",
                                       "targets/sbsa-linux/include/cccl",
                                       "cuda_cccl/include/cccl",
                                       "cuda_cccl/include",
                                       "include",
                                       NULL};
    bool found = false;
    for (int i = 0; headers[i] && !found; i++)
        found = add_include(n, root, headers[i], "cuda_bf16.h");
    for (int i = 0; found && cccl[i]; i++) {
        if (add_include(n, root, cccl[i], "cuda/std/cstdint"))
            break;
    }
    return found;
}

bool kds_nvrtc_find_includes(kds_nvrtc *n)
{
    char *dir = strdup(n->path);
    bool found = false;
    for (int up = 0; dir && up < 6 && !found; up++) {
        char *slash = strrchr(dir, '/');
        if (!slash)
            break;
        *slash = '\0';
        found = search_below(n, *dir ? dir : "/");
    }
    free(dir);
    return found;
}
