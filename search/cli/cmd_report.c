/* `report`: a campaign on one page. */
#include "search/cli/command.h"
#include "search/cli/report.h"

#include "search/base/file.h"

#include <string.h>

#define PAGE_CAP (64u << 20)
#define MARK "<meta name=generator content=kdasearch>"

/* A file of that name that is no report of ours is somebody's work. */
static kds_code check_target(const char *path, kds_err *e)
{
    kds_buf old;
    kds_err none = {0};
    if (!kds_path_exists(path))
        return KDS_OK;
    kds_buf_init(&old, PAGE_CAP);
    bool ours = kds_file_read(path, &old, &none) == KDS_OK && strstr(old.data, MARK) != NULL;
    kds_buf_free(&old);
    if (ours)
        return KDS_OK;
    return kds_fail(e, KDS_USAGE,
                    "%s is there already and no report of kdasearch: name another file with -o",
                    path);
}

static kds_code report(const kds_args *args, kds_err *e)
{
    const char *path = kds_args_flag(args, "output");
    kds_buf page;
    path = path ? path : "report.html";
    kds_buf_init(&page, PAGE_CAP);
    bool to_stdout = strcmp(path, "-") == 0;
    kds_code code = to_stdout ? KDS_OK : check_target(path, e);
    if (code == KDS_OK)
        code = kds_report_make(args->operands[0], &page, e);
    if (code == KDS_OK && to_stdout)
        (void)fwrite(page.data, 1, page.len, stdout);
    else if (code == KDS_OK)
        code = kds_file_write_atomic(path, page.data, page.len, e);
    if (code == KDS_OK && !to_stdout && args->json) {
        cJSON *o = cJSON_CreateObject();
        bool ok = o && kds_json_add_str(o, "report", path) &&
                  kds_json_add_int(o, "bytes", (int64_t)page.len);
        code = ok ? kds_view_json(o, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
        cJSON_Delete(o);
    } else if (code == KDS_OK && !to_stdout)
        printf("written: %s (%zu KB, one file, open it in a browser)\n", path,
               (page.len + 1023) / 1024);
    kds_buf_free(&page);
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
