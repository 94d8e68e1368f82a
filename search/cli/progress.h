/* What a running campaign shows: a status line that rewrites itself on a terminal, one line per
 * event elsewhere, JSON lines on request. */
#ifndef KDS_CLI_PROGRESS_H
#define KDS_CLI_PROGRESS_H

#include "search/kdasearch.h"

typedef struct kds_progress kds_progress;

kds_progress *kds_progress_create(bool json); /* NULL: out of memory */
void kds_progress_free(kds_progress *p);
/* A kds_event_fn; user = kds_progress *. */
void kds_progress_event(void *progress, const kds_event *event);

/* From here on signals are ours, also those that the process was started to ignore, as a shell's
 * background jobs are: to be called before an archive is opened, so that `stop` always reaches it.
 */
void kds_catch_signals(void);
/* Runs a campaign with signals: the first SIGINT, SIGTERM or SIGHUP stops it after what runs, the
 * second at once; SIGUSR1, however often it comes, is a first one. SIGHUP is left alone where it
 * was ignored (nohup). */
KDS_MUST_USE kds_code kds_run_with_signals(kds_campaign *c, kds_event_fn *fn, void *user,
                                           kds_err *e);
/* After a run: rows of the champion, its path, what to type next; or the same as JSON. */
KDS_MUST_USE kds_code kds_show_outcome(const char *archive, bool json, kds_err *e);

#endif
