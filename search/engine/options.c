/* The master copy of every option. Help, documentation, environment names, the config file and
 * bounds checking all derive from this table; an option exists nowhere else. */
#include "search/engine/settings.h"

#include <string.h>

#define RUN (KDS_FOR_RUN | KDS_FOR_RESUME)
#define FIXED KDS_FOR_RUN /* part of what the campaign is: may not change at resume */

static const kds_option options[] = {
    /* Budgets. */
    {"max-time", KDS_OPTION_DURATION, "0", 0, 1e9, NULL, RUN, "TIME",
     "stop after this much running time, all epochs together (8h, 90m; 0: no limit)"},
    {"max-evals", KDS_OPTION_INT, "0", 0, 1e12, NULL, RUN, "N",
     "stop after this many distinct candidates (0: no limit)"},
    {"max-cost", KDS_OPTION_DOUBLE, "0", 0, 1e9, NULL, RUN, "USD",
     "stop before the model calls cost more than this (0: no limit)"},
    {"max-tokens", KDS_OPTION_INT, "0", 0, 1e15, NULL, RUN, "N",
     "stop before the model calls use more tokens than this (0: no limit)"},
    {"max-requests", KDS_OPTION_INT, "0", 0, 1e12, NULL, RUN, "N",
     "stop before more than this many prompts are sent to models, repeated ones among them (0: no "
     "limit)"},
    {"max-gpu-time", KDS_OPTION_DURATION, "0", 0, 1e9, NULL, RUN, "TIME",
     "stop after GPUs were at work for this long, several counted each and all epochs together (0: "
     "no limit; the simulator uses none)"},
    {"stall", KDS_OPTION_DURATION, "0", 0, 1e9, NULL, RUN, "TIME",
     "stop when nothing was accepted for this long (0: never)"},
    {"target", KDS_OPTION_DOUBLE, "0", 0, 1e6, NULL, RUN, "X",
     "stop when the best kernel is this many times as fast as the baseline (0: no target)"},
    /* The search. */
    {"seed", KDS_OPTION_INT, "1", 0, 9007199254740991.0, NULL, FIXED | KDS_FOR_EVAL, "N",
     "seed of every random decision and of the gate's inputs"},
    {"device", KDS_OPTION_TEXT, "sim", 0, 0, NULL, RUN | KDS_FOR_EVAL, "NAME",
     "where candidates run: sim (or sim:GPU with a GPU that `doctor` lists), where times are "
     "modelled; cuda:N, the GPU of that number, where they are measured; cuda:0,cuda:1 or all: "
     "several GPUs of one model. A campaign may be resumed on others of the same kind"},
    {"proposer", KDS_OPTION_CHOICE, "auto", 0, 0, "auto|builtin|endpoint|mailbox", RUN, "NAME",
     "who makes children: builtin (no model), endpoint (a language model), or mailbox (a language "
     "model elsewhere: prompts are written as files, replies read from files); auto: endpoint "
     "where --url or models are given, else builtin"},
    {"order", KDS_OPTION_CHOICE, "auto", 0, 0, "auto|strict|arrival", FIXED, "ORDER",
     "strict: commit in decision order, so that two runs of one seed are equal; arrival: as "
     "results come; auto: "
     "strict for builtin, arrival with a model"},
    {"in-flight", KDS_OPTION_INT, "8", 1, 256, NULL, FIXED, "N", "decisions under way at a time"},
    {"forecast-cutoff", KDS_OPTION_DOUBLE, "0", 0, 1000, NULL, FIXED, "X",
     "on a GPU, do not judge a child whose forecast says that it takes more than 1 + X times its "
     "parent's time; it is recorded as set_aside (0: forecasts only order children)"},
    {"parents", KDS_OPTION_CHOICE, "curiosity", 0, 0, "curiosity|best|random|islands", FIXED,
     "POLICY",
     "where parents come from. curiosity: cells of the grid, by what their children brought and by "
     "fitness; best: the best kernel so far; random: any cell; islands: four populations that "
     "search apart, whose fittest move on every 50 decisions"},
    {"operators", KDS_OPTION_SET, "", 0, 0, "mutate|explore|crossover|simplify|repair|tune|rewrite",
     FIXED, "LIST",
     "operators that may be used, separated by commas: mutate, explore, crossover, simplify, "
     "repair and tune with a model; tune, rewrite and crossover without one (empty: all)"},
    {"gate-seeds", KDS_OPTION_INT, "2", 1, 16, NULL, FIXED | KDS_FOR_EVAL, "N",
     "secret input seeds that every candidate is checked with, per row"},
    {"review-every", KDS_OPTION_INT, "40", 0, 1e9, NULL, RUN, "N",
     "on a GPU: duels between two reviews, in which an elite has to beat once more the one that it "
     "replaced (0: no reviews)"},
    /* The machine. */
    {"workers", KDS_OPTION_INT, "0", 0, 512, NULL, RUN | KDS_FOR_EVAL, "N",
     "worker processes of each kind (0: one per core)"},
    {"compile-timeout", KDS_OPTION_DURATION, "30s", 1, 3600, NULL, RUN | KDS_FOR_EVAL, "TIME",
     "longest time for compiling one candidate"},
    {"judge-timeout", KDS_OPTION_DURATION, "2m", 1, 86400, NULL, RUN | KDS_FOR_EVAL, "TIME",
     "longest time for judging one candidate"},
    {"worker-memory", KDS_OPTION_INT, "4096", 256, 1e6, NULL, RUN | KDS_FOR_EVAL, "MIB",
     "memory that one worker may use (address space; on a machine with a GPU what it can write)"},
    {"gpu-confinement", KDS_OPTION_CHOICE, "on", 0, 0, "on|off", RUN | KDS_FOR_EVAL, "ON",
     "whether the process that holds a GPU gives up files, network and new programs; off is for a "
     "driver that cannot live with it"},
    {"grace", KDS_OPTION_DURATION, "10s", 0, 3600, NULL, RUN, "TIME",
     "after the first Ctrl-C, time for what runs to finish"},
    /* The endpoint. */
    {"url", KDS_OPTION_TEXT, "", 0, 0, NULL, RUN, "URL",
     "base URL of the server, for example http://127.0.0.1:8000/v1"},
    {"api", KDS_OPTION_CHOICE, "chat", 0, 0, "chat|messages", RUN, "NAME",
     "how the server is spoken to: chat (OpenAI's chat completions) or messages (Anthropic's)"},
    {"model", KDS_OPTION_TEXT, "", 0, 0, NULL, RUN, "NAME",
     "model name as the server knows it; with the mailbox a hint for whoever answers"},
    {"key-env", KDS_OPTION_TEXT, "", 0, 0, NULL, RUN, "NAME",
     "environment variable that holds the key; the key itself is never stored or shown"},
    {"temperature", KDS_OPTION_DOUBLE, "0.8", -1, 10, NULL, RUN, "T",
     "sampling temperature (-1: not sent)"},
    {"reply-tokens", KDS_OPTION_INT, "8192", 16, 1e7, NULL, RUN, "N", "most tokens of one reply"},
    {"token-field", KDS_OPTION_CHOICE, "max_tokens", 0, 0, "max_tokens|max_completion_tokens", RUN,
     "NAME", "what the server calls the limit on reply tokens"},
    {"context-tokens", KDS_OPTION_INT, "0", 0, 1e8, NULL, RUN, "N",
     "the model's context: a prompt is kept to what it leaves beside the longest reply (0: not "
     "known)"},
    {"models", KDS_OPTION_TEXT, "", 0, 16000, NULL, RUN, "JSON",
     "several models at once: a list of objects with name, weight (how often it is asked) and any "
     "option of a model of its own (url, api, model, key-env, prices, ...)"},
    {"reasoning", KDS_OPTION_TEXT, "", 0, 0, NULL, RUN, "EFFORT",
     "sent as reasoning_effort to a server that knows it, for example low or high"},
    {"extra-json", KDS_OPTION_TEXT, "", 0, 0, NULL, RUN, "JSON",
     "an object whose keys are put into every request; a null takes a key out"},
    /* The mailbox. */
    {"mailbox-out", KDS_OPTION_INT, "8", 1, 256, NULL, RUN, "N",
     "prompts that wait for replies by mail at a time, beside what --in-flight allows (which alone "
     "counts in strict order)"},
    {"mailbox-wait", KDS_OPTION_DURATION, "0", 0, 1e9, NULL, RUN, "TIME",
     "time to wait for a reply by mail when nothing else is left to do; then the campaign ends, to "
     "be resumed"},
    {"templates", KDS_OPTION_TEXT, "", 0, 0, NULL, FIXED, "DIR",
     "folder of prompt templates (system.md, user.md, mutate.md, ...) that take the place of those "
     "built in; copied into the archive"},
    {"guidance-every", KDS_OPTION_INT, "40", 0, 1e6, NULL, FIXED, "N",
     "after so many children of models, a model edits the advice that prompts carry; how its "
     "children do decides what is kept of it (0: never)"},
    {"prompt-bytes", KDS_OPTION_INT, "120000", 4096, 4e6, NULL, RUN, "N", "longest prompt"},
    {"knowledge-bytes", KDS_OPTION_INT, "5000", 0, 100000, NULL, RUN, "N",
     "most of a prompt that knowledge notes may take (0: none are shown)"},
    {"attempts", KDS_OPTION_INT, "6", 1, 100, NULL, RUN, "N",
     "times that one question is sent before its decision is given up"},
    {"request-timeout", KDS_OPTION_DURATION, "10m", 1, 86400, NULL, RUN, "TIME",
     "longest time for one model call"},
    {"price-prompt", KDS_OPTION_DOUBLE, "0", 0, 1e6, NULL, RUN, "USD",
     "price of a million prompt tokens"},
    {"price-completion", KDS_OPTION_DOUBLE, "0", 0, 1e6, NULL, RUN, "USD",
     "price of a million completion tokens"},
    {NULL, KDS_OPTION_TEXT, NULL, 0, 0, NULL, 0, NULL, NULL},
};

const kds_option *kds_options(void)
{
    return options;
}

const kds_option *kds_option_find(const char *name)
{
    for (const kds_option *o = options; o->name; o++)
        if (strcmp(o->name, name) == 0)
            return o;
    return NULL;
}
