/* Points the command at the fakes (tests/fake_cuda): the driver by the loader's path, NVRTC and
 * CUPTI by CUDA_PATH, with links to the real toolkit's headers and NVRTC. */
#ifndef KDS_TESTS_CLI_FAKE_GPU_H
#define KDS_TESTS_CLI_FAKE_GPU_H

#include "tests/cli/cli_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Group set-up, in place of cli_set_up. */
static inline int fake_gpu_set_up(void **state)
{
    char folder[1000], target[1000], link[1200];
    assert_int_equal(cli_set_up(state), 0);
    snprintf(folder, sizeof folder, "%s/fake_cuda/toolkit", KDS_BINARY_DIR);
    cJSON *parts = JSON("doctor");
    snprintf(target, sizeof target, "%s",
             kds_json_str(kds_json_at(parts, "cuda headers"), "text", ""));
    snprintf(link, sizeof link, "%s/include", folder);
    if (symlink(target, link) != 0 && errno != EEXIST)
        fail_msg("cannot link %s", link);
    const char *found = strstr(kds_json_str(kds_json_at(parts, "nvrtc"), "text", ""), " at ");
    assert_non_null(found);
    snprintf(target, sizeof target, "%s", found + 4);
    *strrchr(target, '/') = '\0';
    snprintf(link, sizeof link, "%s/real", folder);
    if (symlink(target, link) != 0 && errno != EEXIST)
        fail_msg("cannot link %s", link);
    cJSON_Delete(parts);
    setenv("CUDA_PATH", folder, 1);
    snprintf(folder, sizeof folder, "%s/fake_cuda/driver", KDS_BINARY_DIR);
    setenv("LD_LIBRARY_PATH", folder, 1);
    return 0;
}

#endif
