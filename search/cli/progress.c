/* Lines about what happens. */
#include "search/cli/progress.h"

#include "eval/device.h"
#include "search/base/json.h"
#include "search/base/text.h"
#include "search/cli/command.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct kds_progress {
    bool json, terminal;
    bool measured;   /* the campaign's times; else they are modelled */
    bool line_shown; /* a status line stands at the bottom */
};

kds_progress *kds_progress_create(bool json)
{
    kds_progress *p = calloc(1, sizeof *p);
    if (p) {
        p->json = json;
        p->terminal = !json && isatty(STDERR_FILENO);
    }
    return p;
}

void kds_progress_free(kds_progress *p)
{
    if (p && p->line_shown)
        fprintf(stderr, "\n");
    free(p);
}

static void clear_line(kds_progress *p)
{
    if (p->line_shown)
        fprintf(stderr, "\r\033[K");
    p->line_shown = false;
}

static int terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static const char *origin(const kds_progress *p)
{
    return p->measured ? "measured" : "modelled";
}

static void status_line(kds_progress *p, const cJSON *o)
{
    char line[400], time[32], spent[40] = "";
    double seconds = kds_json_num(o, "seconds", 0), epoch = kds_json_num(o, "epoch_seconds", 0);
    int64_t evaluated = kds_json_int(o, "evaluated", 0);
    kds_text_format_duration(time, sizeof time, seconds);
    if (kds_json_int(o, "requests", 0))
        snprintf(spent, sizeof spent, "  %.2f USD", kds_json_num(o, "cost_usd", 0));
    snprintf(line, sizeof line,
             "%s  %lld judged, %lld accepted, %lld cells  best %.3fx %s  %.1f/s%s", time,
             (long long)evaluated, (long long)kds_json_int(o, "accepted", 0),
             (long long)kds_json_int(o, "cells", 0), kds_json_num(o, "best", 0), origin(p),
             epoch > 0 ? (double)evaluated / (seconds > 0 ? seconds : epoch) : 0, spent);
    fprintf(stderr, "\r\033[K%.*s", terminal_width() - 1, line);
    p->line_shown = true;
}

/* "#12    accepted       1.314x modelled tune      3f2a9c1b  first in its cell" */
static void commit_line(kds_progress *p, const char *kind, const cJSON *o)
{
    int64_t decision = kds_json_int(o, "decision", 0);
    const cJSON *fitness = kds_json_at(o, "fitness");
    char speed[40] = "", why[200];
    bool accepted = strcmp(kind, "ACCEPT") == 0;
    if (p->terminal && !kds_json_bool(o, "best", false))
        return; /* the status line counts the rest */
    if (cJSON_IsNumber(fitness))
        snprintf(speed, sizeof speed, "%.3fx %s", fitness->valuedouble, origin(p));
    const char *text = kds_json_str(o, "why", "");
    kds_text_escape_into(why, sizeof why, text, strlen(text), false);
    clear_line(p);
    const char *made_by = kds_json_str(o, "operator", "");
    const char *id = kds_json_str(o, "candidate", "-");
    if (p->terminal)
        fprintf(stderr, "new best #%lld  %s  %s %.8s  %s\n", (long long)decision, speed, made_by,
                id, why);
    else
        fprintf(stderr, "#%-5lld %-14s %-15s %-9s %.8s  %s\n", (long long)decision,
                kds_json_bool(o, "best", false) ? "new best"
                : accepted                      ? "accepted"
                                                : kds_json_str(o, "verdict", ""),
                speed, *made_by ? made_by : "-", id, why);
}

static void plain_line(kds_progress *p, const char *prefix, const char *text)
{
    kds_buf safe;
    kds_buf_init(&safe, 8192);
    kds_text_escape(&safe, text, strlen(text), false);
    clear_line(p);
    fprintf(stderr, "%s%s\n", prefix, safe.data);
    kds_buf_free(&safe);
}

/* What failed for good ends the run with its reason, and what is tried again is warned of. */
static void response_line(kds_progress *p, const cJSON *o)
{
    char text[900];
    const char *outcome = kds_json_str(o, "outcome", ""), *why = kds_json_str(o, "message", "");
    bool told_elsewhere = kds_text_list_has("ok,retry,fatal", ',', outcome);
    if (p->terminal && strcmp(outcome, "ok") == 0)
        return;
    int64_t prompt = kds_json_int(o, "prompt_tokens", 0),
            completion = kds_json_int(o, "completion_tokens", 0);
    int n = snprintf(text, sizeof text, "reply to request %lld: %s",
                     (long long)kds_json_int(o, "request", 0), outcome);
    if (prompt >= 0 && completion >= 0) /* a server, or a reply by mail, may not say */
        n += snprintf(text + n, sizeof text - (size_t)n, ", %lld + %lld tokens, %.4f USD",
                      (long long)prompt, (long long)completion, kds_json_num(o, "cost_usd", 0));
    if (*why && !told_elsewhere)
        snprintf(text + n, sizeof text - (size_t)n, ": %.600s", why);
    plain_line(p, "", text);
}

static void retire_line(kds_progress *p, const cJSON *o)
{
    char text[300];
    const char *cell = kds_json_str(o, "cell", NULL);
    snprintf(text, sizeof text, "%.8s %s %s: %.120s; %.8s is back",
             kds_json_str(o, "candidate", "-"), cell ? "gives back cell" : "is no longer the best",
             cell ? cell : "so far", kds_json_str(o, "why", ""), kds_json_str(o, "back_to", "-"));
    plain_line(p, "", text);
}

static void profile_line(kds_progress *p, const cJSON *o)
{
    char text[500];
    bool ok = strcmp(kds_json_str(o, "verdict", ""), "ok") == 0;
    snprintf(text, sizeof text,
             "%.8s is profiled again, with every counter: its children bring nothing%s%.300s",
             kds_json_str(o, "candidate", "-"),
             ok ? "" : "; none came of it: ", ok ? "" : kds_json_str(o, "message", ""));
    plain_line(p, "", text);
}

void kds_progress_event(void *progress, const kds_event *event)
{
    kds_progress *p = progress;
    if (p->json) {
        if (strcmp(event->kind, "progress") != 0)
            printf("{\"kind\":\"%s\",\"seq\":%lld,\"body\":%s}\n", event->kind,
                   (long long)event->seq, event->json);
        fflush(stdout); /* a reader follows along; main() reports a failure */
        return;
    }
    cJSON *o = kds_json_parse_record(event->json, strlen(event->json));
    if (strcmp(event->kind, "CAMPAIGN") == 0 || strcmp(event->kind, "progress") == 0)
        p->measured = kds_device_is_gpu(kds_json_str(o, "device", "sim"));
    if (strcmp(event->kind, "progress") == 0 && p->terminal)
        status_line(p, o);
    else if (strcmp(event->kind, "ACCEPT") == 0 || strcmp(event->kind, "REJECT") == 0)
        commit_line(p, event->kind, o);
    else if (strcmp(event->kind, "RETIRE") == 0)
        retire_line(p, o);
    else if (strcmp(event->kind, "PROFILE") == 0)
        profile_line(p, o);
    else if (strcmp(event->kind, "RESPONSE") == 0)
        response_line(p, o);
    else if (strcmp(event->kind, "STOP") == 0)
        plain_line(p, "ended: ", kds_json_str(o, "why", ""));
    else if (strcmp(event->kind, "warning") == 0 || strcmp(event->kind, "notice") == 0)
        plain_line(p, strcmp(event->kind, "warning") == 0 ? "warning: " : "",
                   kds_json_str(o, "text", ""));
    cJSON_Delete(o);
}

static kds_campaign *_Atomic running;
static volatile sig_atomic_t last_signal, over, late;

int kds_stop_signal(void)
{
    return last_signal;
}

/* Before anything runs a signal ends the process as it would without us; so does a second one after
 * the run, when only its outcome is left to be told. */
static void end_by(int number)
{
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* SIGUSR1 is what `stop` sends: a first Ctrl-C however often it comes. */
static void on_signal(int number)
{
    kds_campaign *c = atomic_load(&running);
    bool gentle = number == SIGUSR1;
    if (!c && !over)
        end_by(gentle ? SIGINT : number);
    else if (!c && !gentle && ++late > 1)
        end_by(number);
    else if (!c)
        return;
    else if (!gentle || !last_signal) {
        last_signal = gentle ? SIGINT : number;
        kds_campaign_stop(c);
    }
}

void kds_catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal}, old;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] != SIGHUP || /* under nohup it runs on */
            (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN))
            sigaction(numbers[i], &action, NULL);
}

kds_code kds_run_with_signals(kds_campaign *c, kds_event_fn *fn, void *user, kds_err *e)
{
    kds_catch_signals();
    atomic_store(&running, c);
    kds_code code = kds_campaign_run(c, fn, user, e);
    over = 1;
    atomic_store(&running, NULL);
    return code;
}
