/*
 * kdasearch.h: the public interface of libkdasearch, an evolutionary search engine for CUDA
 * kernels.
 *
 * The simple API is a campaign: fill a kds_settings by option name, start (or resume) a campaign in
 * an archive folder, run it until it ends, close it. Everything that happens is told through one
 * callback; the library never prints, installs no signal handler, keeps no global state and never
 * exits.
 *
 * Conventions that hold for every function:
 *  - A function that can fail returns a kds_code, which must be looked at, and takes a `kds_err *`
 * last, which may be NULL. On failure the error says what failed, on what, why, and what to do. Out
 * parameters are written only on success.
 *  - Arguments are borrowed for the duration of the call. What `_create`, `_open` or `_load`
 * returns is owned by the caller and released by the matching `_close` or `_free`, which accept
 * NULL.
 *  - A kernel that fails (does not compile, is wrong, hangs) is not an error of the program: it is
 * a kds_verdict.
 *  - A handle may be used by one thread at a time.
 */
#ifndef KDASEARCH_H
#define KDASEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KDS_API __attribute__((visibility("default")))
#define KDS_MUST_USE __attribute__((warn_unused_result))
#define KDS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define KDS_API
#define KDS_MUST_USE
#define KDS_PRINTF(fmt, args)
#endif

#define KDS_VERSION_MAJOR 0
#define KDS_VERSION_MINOR 1
#define KDS_VERSION_PATCH 0
#define KDS_VERSION_STRING "0.1.0"

/* Version of the library in use, as "major.minor.patch". */
KDS_API const char *kds_version(void);

/* ---- Codes
 * -------------------------------------------------------------------------------------------------------
 * X(name, exit status of the command, text). The exit statuses are part of the interface of
 * `kdasearch`. */
#define KDS_CODES(X)                                                                               \
    X(OK, 0, "success")                                                                            \
    X(FAILED, 1, "unexpected failure")                                                             \
    X(NO_MEMORY, 1, "out of memory")                                                               \
    X(IO, 1, "input/output error")                                                                 \
    X(TOO_LARGE, 1, "larger than its cap")                                                         \
    X(NOT_FOUND, 1, "not found")                                                                   \
    X(PROTOCOL, 1, "malformed message between processes")                                          \
    X(WORKER, 1, "a worker process failed")                                                        \
    X(USAGE, 2, "wrong usage")                                                                     \
    X(INVALID, 3, "invalid task or configuration")                                                 \
    X(NOTHING_RUNNABLE, 4, "nothing runnable")                                                     \
    X(NOT_ARCHIVE, 10, "not an archive")                                                           \
    X(LOCKED, 11, "locked by another process")                                                     \
    X(DAMAGED, 12, "damaged archive")                                                              \
    X(NEWER_FORMAT, 13, "archive written by a newer version")                                      \
    X(NO_DEVICE, 20, "no usable device")                                                           \
    X(DEVICE_LOST, 21, "device lost")                                                              \
    X(TOO_NOISY, 22, "device too noisy to measure on")                                             \
    X(SELF_TEST, 23, "self-test failed")                                                           \
    X(UNREACHABLE, 30, "endpoint unreachable")                                                     \
    X(PENDING_MAIL, 31, "waiting for replies by mail")                                             \
    X(DIVERGED, 40, "replay diverged from the record")                                             \
    X(NOT_CONFIRMED, 41, "claim not confirmed")                                                    \
    X(STOPPED, 130, "stopped by request after a checkpoint")

typedef enum kds_code {
#define KDS_X(name, status, text) KDS_##name,
    KDS_CODES(KDS_X)
#undef KDS_X
        KDS_CODE_COUNT
} kds_code;

/* "invalid task or configuration"; never NULL. */
KDS_API const char *kds_code_text(kds_code code);
/* "INVALID"; never NULL. */
KDS_API const char *kds_code_name(kds_code code);
/* The exit status of the command for this code. */
KDS_API int kds_code_exit_status(kds_code code);

/* An error: filled in by the function that failed. A plain value, nothing to free. */
typedef struct kds_err {
    kds_code code;
    int sys_errno;      /* errno where the system refused, else 0 */
    const char *origin; /* source file and line that reported it; static storage */
    char message[1000]; /* UTF-8, one or more lines, already safe for a terminal */
} kds_err;

/* ---- Verdicts
 * ----------------------------------------------------------------------------------------------------
 * What became of a candidate. X(name, text). */
#define KDS_VERDICTS(X)                                                                            \
    X(OK, ok, "passed every check so far")                                                         \
    X(SOURCE_REJECTED, source_rejected, "the source breaks a rule of the lint")                    \
    X(PLAN_INVALID, plan_invalid, "a #pragma kda line is wrong")                                   \
    X(COMPILE_FAILED, compile_failed, "NVRTC rejected the source")                                 \
    X(COMPILE_TIMEOUT, compile_timeout, "compilation took too long")                               \
    X(LIMITS_EXCEEDED, limits_exceeded, "more registers, shared memory or threads than allowed")   \
    X(UNSAFE, unsafe, "a memory access or barrier was illegal")                                    \
    X(LAUNCH_FAILED, launch_failed, "a launch was refused")                                        \
    X(TIMEOUT, timeout, "ran past its budget")                                                     \
    X(WRONG, wrong, "the output differs from the baseline or the reference")                       \
    X(NONDETERMINISTIC, nondeterministic, "two runs gave different outputs")                       \
    X(WROTE_OUTSIDE, wrote_outside, "wrote outside its buffers")                                   \
    X(CHANGED_INPUT, changed_input, "changed a read-only input")                                   \
    X(STALE_OUTPUT, stale_output, "left an output of an earlier run in place")                     \
    X(DEVICE_FAULT, device_fault, "the device reported a fault")                                   \
    X(DUPLICATE, duplicate, "the same as an earlier candidate")                                    \
    X(NOT_SIMULATED, not_simulated, "uses an instruction that the simulator does not have")        \
    X(NO_CHILD, no_child, "the proposer made no source")                                           \
    X(SET_ASIDE, set_aside, "not judged: its forecast was too slow")

typedef enum kds_verdict {
#define KDS_X(upper, lower, text) KDS_VERDICT_##upper,
    KDS_VERDICTS(KDS_X)
#undef KDS_X
        KDS_VERDICT_COUNT
} kds_verdict;

/* "compile_failed": the spelling used in the archive and in --json. Never NULL. */
KDS_API const char *kds_verdict_name(kds_verdict v);
/* One line for people. Never NULL. */
KDS_API const char *kds_verdict_text(kds_verdict v);
/* False if no verdict has that name. */
KDS_API bool kds_verdict_parse(const char *name, kds_verdict *out);

/* ---- Settings
 * ----------------------------------------------------------------------------------------------------
 * Options by name, as on the command line without the dashes ("max-time", "seed", ...). `kdasearch
 * config --help` prints the table. Text values are checked when they are set. */
typedef struct kds_settings kds_settings;

KDS_API KDS_MUST_USE kds_code kds_settings_create(kds_settings **out, kds_err *e);
KDS_API void kds_settings_free(kds_settings *s);
/* Sets one option from text. KDS_USAGE: no such option (with a suggestion), or a value out of
 * bounds. */
KDS_API KDS_MUST_USE kds_code kds_settings_set(kds_settings *s, const char *name, const char *value,
                                               kds_err *e);
/* The value in force as text; NULL if there is no such option. Valid until the option is set again.
 */
KDS_API const char *kds_settings_get(const kds_settings *s, const char *name);

/* ---- Campaign
 * ----------------------------------------------------------------------------------------------------*/
typedef struct kds_campaign kds_campaign;

/* What a campaign tells while it runs. `json` is one complete JSON object (the body that went to
 * the ledger, or for "progress" a summary); both strings live only during the call. */
typedef struct kds_event {
    const char *kind; /* a ledger event kind, or "progress", "notice", "warning" */
    const char *json;
    int64_t seq; /* ledger sequence number, 0 if the event is not recorded */
} kds_event;
typedef void kds_event_fn(void *user, const kds_event *event);

/* Starts a campaign on the task folder `task_dir` in the folder `archive_dir`, which must not exist
 * or be empty. KDS_INVALID: the task is wrong. KDS_USAGE: the folder holds something else; the
 * message names the command that was probably meant. */
KDS_API KDS_MUST_USE kds_code kds_campaign_create(kds_campaign **out, const char *task_dir,
                                                  const char *archive_dir, const kds_settings *s,
                                                  kds_err *e);
/* Continues a campaign. `s` may be NULL; options that were set in it replace the recorded ones
 * where an option may change between epochs (budgets, workers, proposer, device of the same
 * fingerprint). */
KDS_API KDS_MUST_USE kds_code kds_campaign_resume(kds_campaign **out, const char *archive_dir,
                                                  const kds_settings *s, kds_err *e);
/* Runs until a budget is spent, nothing is left to do, or kds_campaign_stop. KDS_STOPPED after a
 * stop: resumable. */
KDS_API KDS_MUST_USE kds_code kds_campaign_run(kds_campaign *c, kds_event_fn *fn, void *user,
                                               kds_err *e);
/* Asks a running campaign to stop: first call, no new work and what runs is finished within the
 * grace time; second call, now. Async-signal-safe; may be called from another thread. */
KDS_API void kds_campaign_stop(kds_campaign *c);
KDS_API void kds_campaign_close(kds_campaign *c);

/* Judges one kernel file outside any campaign. On KDS_OK `*json` is the report (owned by the
 * caller, free()); the verdict is inside. */
KDS_API KDS_MUST_USE kds_code kds_eval_file(const char *task_dir, const char *source_path,
                                            const kds_settings *s, char **json, kds_err *e);

/* Re-derives every decision of an archive from its record, without network or device. KDS_DIVERGED
 * names the first decision that differs. On KDS_OK and KDS_DIVERGED `*json` is the report (free()).
 */
KDS_API KDS_MUST_USE kds_code kds_replay_decisions(const char *archive_dir, char **json,
                                                   kds_err *e);

/* Runs a candidate's lineage once more. `candidate`: the first digits of an id, "#N", or "best".
 * Each kernel from the baseline to it is compiled and judged again on the recorded device, or on
 * that of `s` where its "device" was set as a flag ("seed": with other inputs; `s` may be NULL); on
 * a GPU its recorded duels are fought again, and one with the baseline. The archive is only read.
 * KDS_DIVERGED: compiled code, verdict or modelled time differ although device and software are the
 * same. KDS_NOT_CONFIRMED: the candidate fails here, or is not as much faster than the baseline as
 * was recorded. On KDS_OK and these two `*json` is the report (free()). `fn` (may be NULL) is told
 * "notice" events. */
KDS_API KDS_MUST_USE kds_code kds_replay_lineage(const char *archive_dir, const char *candidate,
                                                 const kds_settings *s, kds_event_fn *fn,
                                                 void *user, char **json, kds_err *e);

#ifdef __cplusplus
}
#endif
#endif
