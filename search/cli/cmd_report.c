/* `report`: a campaign on one page. */
#include "search/cli/command.h"
#include "search/cli/report.h"

#include "search/base/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PAGE_CAP (64u << 20)
#define MARK "<meta name=generator content=kdasearch>"

/* Where the page goes: a file, with links followed, or what is no file (a pipe, a terminal). */
typedef struct target {
    char *path; /* NULL: stdout */
    bool special;
} target;

/* A file that is no report of ours is somebody's work. */
static kds_code check_file(const char *path, kds_err *e)
{
    kds_buf old;
    kds_buf_init(&old, PAGE_CAP);
    kds_code code = kds_file_read(path, &old, e);
    bool ours = old.len == 0 || strstr(old.data, MARK) != NULL;
    kds_buf_free(&old);
    if (code == KDS_OK && !ours)
        code = kds_fail(e, KDS_USAGE,
                        "%s is there already and no report of kdasearch: name another file with -o",
                        path);
    return code;
}

static kds_code find_target(const char *name, target *out, kds_err *e)
{
    struct stat st;
    out->special = false;
    bool exists = stat(name, &st) == 0, is_link = false;
    if (!exists)
        is_link = lstat(name, &st) == 0;
    if (is_link)
        return kds_fail(e, KDS_USAGE, "%s is a link that leads nowhere", name);
    if (exists && S_ISDIR(st.st_mode))
        return kds_fail(e, KDS_USAGE, "%s is a folder: name a file with -o", name);
    out->special = exists && !S_ISREG(st.st_mode);
    if (!(out->path = exists && !out->special ? realpath(name, NULL) : strdup(name)))
        return kds_fail_errno(e, KDS_IO, "%s", name);
    return exists && !out->special ? check_file(out->path, e) : KDS_OK;
}

static kds_code write_special(const char *path, const kds_buf *page, kds_err *e)
{
    FILE *f = fopen(path, "we");
    bool ok = f && fwrite(page->data, 1, page->len, f) == page->len;
    ok = f && fclose(f) == 0 && ok;
    return ok ? KDS_OK : kds_fail_errno(e, KDS_IO, "%s: cannot write it", path);
}

static kds_code tell(const kds_args *args, const char *name, size_t bytes, kds_err *e)
{
    if (!args->json) {
        printf("written: %s (%zu KB, one file, open it in a browser)\n", name,
               (bytes + 1023) / 1024);
        return KDS_OK;
    }
    cJSON *o = cJSON_CreateObject();
    bool ok =
        o && kds_json_add_str(o, "report", name) && kds_json_add_int(o, "bytes", (int64_t)bytes);
    kds_code code = ok ? kds_view_json(o, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    cJSON_Delete(o);
    return code;
}

static kds_code report(const kds_args *args, kds_err *e)
{
    const char *name = kds_args_flag(args, "output");
    target to = {NULL, false};
    kds_buf page;
    name = name ? name : "report.html";
    bool to_stdout = strcmp(name, "-") == 0;
    if (to_stdout && args->json)
        return kds_fail(e, KDS_USAGE, "--json tells where the page is: name a file with -o");
    kds_buf_init(&page, PAGE_CAP);
    kds_code code = to_stdout ? KDS_OK : find_target(name, &to, e);
    if (code == KDS_OK)
        code = kds_report_make(args->operands[0], &page, e);
    if (code == KDS_OK && to_stdout)
        (void)fwrite(page.data, 1, page.len, stdout); /* main() reports a failure */
    else if (code == KDS_OK && to.special)
        code = write_special(to.path, &page, e);
    else if (code == KDS_OK)
        code = kds_file_write_atomic(to.path, page.data, page.len, e);
    if (code == KDS_OK && !to_stdout)
        code = tell(args, name, page.len, e);
    kds_buf_free(&page);
    free(to.path);
    return code;
}

const kds_command kds_command_report = {
    .name = "report",
    .operands = "ARCHIVE",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "a campaign on one page, to show to others",
    .help = "Writes one HTML file that loads nothing and runs nothing: the best kernel row by row, "
            "the course of the\n"
            "search, the lineage, the grid, yield and spend, the evidence, the source. Works while "
            "the campaign runs.\n"
            "No key, host or path is in it.",
    .flags = {{"output", 'o', "FILE", "where to write it; - is stdout [report.html]"}},
    .run = report};
