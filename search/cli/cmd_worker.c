/* The hidden commands that the pools start. */
#include "search/cli/command.h"

#include "eval/worker.h"

#include <signal.h>

/* A worker lives as long as its channel; the terminal's Ctrl-C is the parent's business. */
static kds_code compile(const kds_args *args, kds_err *e)
{
    (void)args;
    signal(SIGINT, SIG_IGN);
    return kds_worker_compile(KDS_WORKER_FD, e);
}

static kds_code judge(const kds_args *args, kds_err *e)
{
    (void)args;
    signal(SIGINT, SIG_IGN);
    return kds_worker_judge(KDS_WORKER_FD, e);
}

static kds_code gpu(const kds_args *args, kds_err *e)
{
    (void)args;
    signal(SIGINT, SIG_IGN);
    return kds_worker_gpu(KDS_WORKER_FD, e);
}

static kds_code profile(const kds_args *args, kds_err *e)
{
    (void)args;
    signal(SIGINT, SIG_IGN);
    return kds_worker_profile(KDS_WORKER_FD, e);
}

static kds_code prove(const kds_args *args, kds_err *e)
{
    (void)args;
    signal(SIGINT, SIG_IGN);
    return kds_worker_prove(KDS_WORKER_FD, e);
}

const kds_command kds_command_worker_compile = {
    .name = "worker-compile",
    .operands = "",
    .hidden = true,
    .summary = "",
    .help = "Started by a campaign, with a channel as descriptor 3.",
    .run = compile};
const kds_command kds_command_worker_judge = {
    .name = "worker-judge",
    .operands = "",
    .hidden = true,
    .summary = "",
    .help = "Started by a campaign, with a channel as descriptor 3.",
    .run = judge};
const kds_command kds_command_worker_gpu = {
    .name = "worker-gpu",
    .operands = "",
    .hidden = true,
    .summary = "",
    .help = "Started by `bench gpu`, with a channel as descriptor 3.",
    .run = gpu};
const kds_command kds_command_worker_profile = {
    .name = "worker-profile",
    .operands = "",
    .hidden = true,
    .summary = "",
    .help = "Started by `bench profile`, with a channel as descriptor 3.",
    .run = profile};
const kds_command kds_command_worker_prove = {
    .name = "worker-prove",
    .operands = "",
    .hidden = true,
    .summary = "",
    .help = "Started by `lint`, with a channel as descriptor 3.",
    .run = prove};
