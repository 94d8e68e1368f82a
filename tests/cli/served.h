/* For tests of the command that ask a model: the scripted server, at `url`. */
#ifndef KDS_TESTS_SERVED_H
#define KDS_TESTS_SERVED_H

#include "tests/cli/cli_test.h"
#include "tests/tools/chat_server.h"

#include <stdio.h>

static char url[64];

static chat_server *serve(const chat_script *script)
{
    chat_server *server = NULL;
    kds_err e = {0};
    if (chat_server_start(&server, script, &e) != KDS_OK)
        fail_msg("%s", e.message);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", chat_server_port(server));
    return server;
}

#endif
