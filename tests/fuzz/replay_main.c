/* Replays corpus files through a fuzz target where libFuzzer is not linked: every argument is a
 * file or a folder of files. */
#include "search/base/file.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    kds_err e;
    kds_buf content;
    kds_buf_init(&content, KDS_REPLY_CAP);
    kds_code code = kds_file_read(path, &content, &e);
    /* an exact copy, so that the sanitizer sees a read past the end */
    char *exact = code ? NULL : malloc(content.len ? content.len : 1);
    if (exact) {
        memcpy(exact, content.data, content.len);
        LLVMFuzzerTestOneInput((const uint8_t *)exact, content.len);
    } else {
        fprintf(stderr, "%s: %s\n", path, code ? e.message : "out of memory");
    }
    free(exact);
    kds_buf_free(&content);
    return exact ? 1 : -1;
}

static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int total = 0;
    if (!folder) {
        perror(path);
        return -1;
    }
    while (total >= 0 && (entry = readdir(folder))) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        int n = replay_file(inner);
        total = n < 0 ? n : total + n;
    }
    closedir(folder);
    return total;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        bool folder = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
        int n = folder ? replay_folder(argv[i]) : replay_file(argv[i]);
        if (n < 0)
            return 1;
        total += n;
    }
    printf("%d inputs replayed\n", total);
    return total > 0 ? 0 : 1;
}
