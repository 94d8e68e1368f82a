/* `config`: every option, the value in force and where it comes from. */
#include "search/cli/command.h"
#include "search/cli/table.h"
#include "search/cli/view.h"

#include "search/base/file.h"

#include <stdlib.h>

static kds_code run(const kds_args *args, kds_err *e)
{
    const char *columns[] = {"option", "value", "from", "what it is", NULL};
    char *path = kds_settings_config_path();
    cJSON *o = cJSON_CreateObject(), *options = cJSON_CreateObject();
    kds_table *t = kds_table_create(columns);
    for (const kds_option *x = kds_options(); x->name; x++) {
        const char *value = kds_settings_text(args->settings, x->name);
        const char *from = kds_setting_source_name(kds_settings_source(args->settings, x->name));
        cJSON *one = cJSON_AddObjectToObject(options, x->name);
        (void)kds_json_add_str(one, "value", value);
        (void)kds_json_add_str(one, "from", from);
        (void)kds_json_add_str(one, "default", x->fallback);
        (void)kds_json_add_str(one, "help", x->help);
        kds_table_cell(t, "--%s", x->name);
        kds_table_cell(t, "%s", *value ? value : "-");
        kds_table_cell(t, "%s", from);
        kds_table_cell(t, "%s", x->help);
    }
    (void)kds_json_add_str(o, "file", path);
    cJSON_AddItemToObject(o, "options", options);
    kds_code code = KDS_OK;
    if (args->json)
        code = kds_view_json(o, e);
    else {
        kds_table_print(t, stdout);
        printf("\nconfig file: %s%s\n", path ? path : "none",
               path && kds_path_exists(path) ? "" : " (not there)");
    }
    kds_table_free(t);
    cJSON_Delete(o);
    free(path);
    return code;
}

const kds_command kds_command_config = {
    .name = "config",
    .operands = "",
    .options = KDS_FOR_RUN | KDS_FOR_RESUME | KDS_FOR_EVAL | KDS_FOR_BENCH,
    .only_shows = true,
    .summary = "every option, its value and where that comes from",
    .help = "Shows all options with the value in force. Precedence: flag, then environment "
            "(KDASEARCH_<NAME>), then the\n"
            "config file (a JSON object of option names; comments are allowed), then the default.",
    .run = run};
