/* The command on the fake driver (tests/fake_cuda), and small copies of tasks that its simulated
 * GPU gets through in seconds. */
#ifndef KDS_TESTS_FAKE_GPU_H
#define KDS_TESTS_FAKE_GPU_H

#include "tests/cli/cli_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Group set-up: as cli_set_up, with the fakes in place of driver and NVRTC. */
int fake_gpu_set_up(void **state);
int fake_gpu_tear_down(void **state);
/* "GPU-36f9...": the simulated GPU's in the scratch folder. */
void fake_gpu_uuid(char *out, size_t size);
/* Copies a task of the source tree ("kernels/rms_norm") without its seeds into the scratch folder
 * under `name`, with these rows. */
void fake_gpu_task(const char *from, const char *name, const char *rows);

#endif
