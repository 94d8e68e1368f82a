#include "tests/cli/fake_gpu.h"
#include "tests/fake_cuda/fake_uuid.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Points everything at the fakes: the toolkit's headers and the real NVRTC through links. */
int fake_gpu_set_up(void **state)
{
    char folder[1000], target[1000], link[1200];
    assert_int_equal(cli_set_up(state), 0);
    snprintf(folder, sizeof folder, "%s/fake_cuda/toolkit", KDS_BINARY_DIR);
    cJSON *parts = cli_doctor();
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
    setenv("HOME", cli_path("."), 1); /* where the fakes look for what they are to do */
    return 0;
}

void fake_gpu_uuid(char *out, size_t size)
{
    char folder[4096];
    kds_cuda_uuid uuid;
    assert_non_null(realpath(cli_path("."), folder));
    fake_uuid(folder, &uuid);
    size_t used = (size_t)snprintf(out, size, "GPU-");
    for (int i = 0; i < 16; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%02x",
                                 i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid.bytes[i]);
}

/* The lock of a GPU that is gone is of no use to anyone. */
int fake_gpu_tear_down(void **state)
{
    char uuid[60], path[100];
    fake_gpu_uuid(uuid, sizeof uuid);
    (void)snprintf(path, sizeof path, "/tmp/kdasearch-%s.lock", uuid);
    (void)unlink(path);
    return cli_tear_down(state);
}

static void make_folder(const char *name)
{
    if (mkdir(cli_path(name), 0777) != 0 && errno != EEXIST)
        fail_msg("cannot make %s", name);
}

static void copy_file(const char *from, const char *name, const char *file)
{
    char source[600], target[600];
    size_t len = 0;
    (void)snprintf(source, sizeof source, "%s/%s", from, file);
    (void)snprintf(target, sizeof target, "%s/%s", name, file);
    char *data = cli_read(cli_source(source), &len);
    if (data != NULL) /* a reference is optional */
        cli_write(target, data, len);
    free(data);
}

void fake_gpu_task(const char *from, const char *name, const char *rows)
{
    static const char *const folders[] = {"", "/baseline", "/reference", "/bench", "/seeds"};
    static const char *const files[] = {"task.json", "prompt.md", "baseline/kernel.cu",
                                        "reference/kernel.cu"};
    char path[600];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        (void)snprintf(path, sizeof path, "%s%s", name, folders[i]);
        make_folder(path);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        copy_file(from, name, files[i]);
    (void)snprintf(path, sizeof path, "%s/bench/workloads.json", name);
    cli_write(path, rows, strlen(rows));
}
