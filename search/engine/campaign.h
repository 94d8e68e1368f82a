/* A campaign from the inside: shared by campaign_*.c only. The rules that hold everywhere:
 *  - an event is durable before anything outside of this process and its workers follows from it,
 *    and before it is told; what was paid for, before it is even looked at;
 *  - the state changes only by applying recorded events;
 *  - what may be lost at a kill is work in flight and what was found in the last half second, never
 * a reply. */
#ifndef KDS_ENGINE_CAMPAIGN_H
#define KDS_ENGINE_CAMPAIGN_H

#include "archive/ledger.h"
#include "archive/lock.h"
#include "prompts/endpoint.h"
#include "prompts/knowledge.h"
#include "prompts/reply.h"
#include "search/base/log.h"
#include "search/engine/ask.h"
#include "search/engine/commit.h"
#include "search/engine/evaluate.h"
#include "search/engine/models.h"
#include "search/engine/select.h"

#include <stdatomic.h>

/* What this process does for one decision under way; the record of it is the state's kds_flight. */
typedef struct kds_lane {
    int64_t decision;
    bool evaluating; /* handed to the evaluator */
    bool asking;     /* a request is out */
    int64_t news;    /* of the state, when the duel that it needs was derived; -1: not yet */
    bool needs_bout; /* it needs one: `need` */
    kds_bout_need need;
    double retry_at; /* monotonic; 0: not waiting */
    int tries;       /* requests of this epoch */
} kds_lane;

/* Budgets that are told of before they are spent. */
enum {
    KDS_BUDGET_TIME,
    KDS_BUDGET_EVALS,
    KDS_BUDGET_COST,
    KDS_BUDGET_TOKENS,
    KDS_BUDGET_REQUESTS,
    KDS_BUDGET_GPU_TIME,
    KDS_BUDGETS
};
/* A duel under way; what it is stands in the state. */
typedef struct kds_duel_lane {
    uint64_t tag;
    int64_t challenge;
} kds_duel_lane;

/* An object or an event that is not durable yet. */
typedef struct kds_pending {
    const char *kind;
    char *data; /* the object, or the event's body as text */
    size_t len;
    bool event;
    int64_t seq; /* of an event that has been appended */
} kds_pending;

struct kds_campaign {
    char *dir;
    kds_settings *settings;
    kds_task *task;
    kds_ledger *ledger;
    kds_state *state;
    kds_selector selector;
    kds_kept_reports reports; /* of the selector */
    kds_evaluator *evaluator;
    kds_models *models;       /* that may be asked */
    kds_endpoint *endpoint;   /* of all models; NULL without one */
    struct kds_mailbox *mail; /* NULL without one; open while the campaign runs */
    kds_knowledge *knowledge; /* what models may be told; NULL until the first prompt */
    kds_template *templates;  /* of the user's own; NULL: those built in */
    int capability;           /* of the device, 90 for 9.0; 0: not known */
    kds_log *log;
    kds_event_fn *fn;
    void *user;
    bool strict, resumed;
    int in_flight_max;
    kds_pending *pending; /* in the order in which they are written */
    int pending_count, pending_room;
    int pending_sealed;  /* so many belong to events; objects behind them wait for theirs */
    int pending_written; /* so many are in the transaction that is open; 0: none is */
    double settle_by;    /* monotonic: when those must be durable; 0: there are none */
    kds_lane *lanes;
    int lane_count, lane_room;
    kds_duel_lane duels[KDS_CARDS_MAX];
    int duel_count;
    uint64_t duel_tags;
    char reviewed_on[32];  /* the card of the last review */
    bool profiling_again;  /* an elite, this one: */
    kds_id profiled_again; /* of the cell */
    uint64_t profiled_cell;
    int floor_failures; /* such duels in a row of which nothing came */
    double last_floor;
    double gpu_told;    /* seconds of the cards that events of this process have told */
    double busy, woken; /* seconds of this process's own work, without waiting; when it began */
    int stop_fd;        /* eventfd: wakes the loop */
    atomic_int stops;
    double started, stopped_at, last_accept, last_progress, last_status;
    double mail_scanned, mail_idle_since; /* idle: nothing but mail is waited for; 0: no */
    bool mail_fresh;                      /* a reply is still being written, as it seems */
    bool exhausted;                       /* nothing new can be proposed from the present state */
    bool closing;          /* a budget is spent: no new decisions, what is under way is finished */
    const char *why;       /* the campaign ends, why */
    bool ended;            /* the STOP of this epoch is recorded */
    bool heard;            /* the endpoint has answered in this epoch */
    int told[KDS_BUDGETS]; /* how much of each budget was told of: 1 half, 2 four fifths */
    kds_code code;         /* what ends the loop, with `error` */
    kds_err error;
};

/* campaign_record.c: one or several events in one durable transaction, applied and then told. */
typedef struct kds_record {
    const char *kind;
    cJSON *body; /* owned by the caller */
} kds_record;
KDS_MUST_USE kds_code kds_campaign_record(kds_campaign *c, const kds_record *records, int count,
                                          kds_err *e);
/* The same, but durable (and told) only with the next kds_campaign_record or kds_campaign_settle,
 * at most KDS_SETTLE_SECONDS later: for events that cost nothing but work of this machine, and from
 * which nothing outside of this process and its workers follows before. A kill loses that much. */
#define KDS_SETTLE_SECONDS 1.0
KDS_MUST_USE kds_code kds_campaign_record_later(kds_campaign *c, const kds_record *records,
                                                int count, kds_err *e);
/* Makes what was recorded for later durable, and tells it. */
KDS_MUST_USE kds_code kds_campaign_settle(kds_campaign *c, kds_err *e);
/* Stores an object in the transaction of the next event that is recorded. */
KDS_MUST_USE kds_code kds_campaign_put(kds_campaign *c, const char *kind, const void *data,
                                       size_t len, kds_id *id, kds_err *e);
/* Forgets what was put since the last event. */
void kds_campaign_drop(kds_campaign *c);
/* Frees what is not durable; for the end. */
void kds_campaign_forget(kds_campaign *c);
/* Tells something that is not recorded: "progress", "notice", "warning". */
void kds_campaign_tell(kds_campaign *c, const char *kind, const char *fmt, ...) KDS_PRINTF(3, 4);
void kds_campaign_progress(kds_campaign *c, bool force);
/* Champion and status; derived, so failures are only warnings. */
void kds_campaign_write_champion(kds_campaign *c);
void kds_campaign_write_status(kds_campaign *c, const char *phase);

/* campaign_ask.c: the endpoint's side of a decision. */
KDS_MUST_USE kds_code kds_campaign_open_endpoint(kds_campaign *c, kds_err *e);
/* Renders the prompt of a decision that is being made (or of the flight if `decision` is NULL) and
 * stores it; gives the body of the REQUEST event. `problem`: what was wrong with the reply before,
 * or NULL. */
KDS_MUST_USE kds_code kds_campaign_request(kds_campaign *c, const cJSON *decision,
                                           const kds_flight *f, const char *problem,
                                           cJSON **request, char **body, kds_err *e);
/* False if the budget could not pay for `request` beside those under way; then the campaign is
 * closing and what was put for it is dropped. */
bool kds_campaign_can_pay(kds_campaign *c, const cJSON *request);
/* The body of a STAGE event that ends a decision without a child; NULL: out of memory. */
cJSON *kds_campaign_no_child(int64_t decision, const char *why);
/* Sends a recorded request on its way, through the endpoint or as a file. */
KDS_MUST_USE kds_code kds_campaign_send(kds_campaign *c, kds_lane *lane, uint64_t request,
                                        const char *body, kds_err *e);
/* The text of a recorded reply (its outcome was "ok") and, if it says so, the model that wrote it.
 * `x` may be NULL. */
KDS_MUST_USE kds_code kds_campaign_reread(const kds_endpoint *x, const char *api, const char *raw,
                                          size_t len, kds_buf *text, char model[64], kds_err *e);
/* Sends what a lane's decision waits for: a first, repeated or corrected request. */
KDS_MUST_USE kds_code kds_campaign_pursue(kds_campaign *c, kds_lane *lane, kds_err *e);
void kds_campaign_completed(void *campaign, const kds_completion *done);
/* Closes calls that can no longer be answered, because this run ends or the one before was killed:
 * each gets a RESPONSE that is "lost" and costs what was reserved, as the server may have worked on
 * it. */
KDS_MUST_USE kds_code kds_campaign_settle_lost(kds_campaign *c, kds_err *e);

/* campaign_guidance.c: records the guidance that the text of a reply gives, unless `reply` says
 * what is wrong with it. */
KDS_MUST_USE kds_code kds_campaign_take_guidance(kds_campaign *c, const kds_flight *f,
                                                 const kds_buf *text, const char *model,
                                                 kds_reply *reply, kds_err *e);
/* The body of its GUIDANCE event; `model`: "" for the flight's own. NULL: out of memory. */
cJSON *kds_campaign_guidance_body(const kds_flight *f, kds_id guidance, const char *model);
/* Whether the user's own templates, if there are any, have a place for guidance that is asked for.
 */
KDS_MUST_USE kds_code kds_campaign_check_guidance(const kds_campaign *c, kds_err *e);

/* campaign_budget.c: tells of budgets that are half or nearly spent, each once in an epoch.
 * `silent`: what is used already is not told. */
void kds_campaign_watch_budgets(kds_campaign *c, bool silent);

/* campaign_mail.c: the mailbox's side of it. Begin opens the mailbox where it is the proposer, and
 * takes back prompts that nobody waits for. */
KDS_MUST_USE kds_code kds_campaign_mail_begin(kds_campaign *c, kds_err *e);
void kds_campaign_mail_end(kds_campaign *c);
/* Decisions that wait for a reply by mail; whether that is all that may. */
int kds_campaign_mail_out(const kds_campaign *c);
bool kds_campaign_mail_full(const kds_campaign *c);
/* Writes a recorded prompt's file. */
KDS_MUST_USE kds_code kds_campaign_mail_post(kds_campaign *c, const char *text, size_t len,
                                             kds_err *e);
/* Takes what has come, if it is time or `now`. */
KDS_MUST_USE kds_code kds_campaign_mail_step(kds_campaign *c, bool now, kds_err *e);
/* KDS_PENDING_MAIL if nothing is left to do but to wait for mail, and that for long enough. */
KDS_MUST_USE kds_code kds_campaign_mail_drain(kds_campaign *c, kds_err *e);
/* campaign_folder.c. Refuses a folder that holds anything, naming the command that was probably
 * meant; what a start that was stopped has left is removed. *made: the folder is new. */
KDS_MUST_USE kds_code kds_campaign_take_folder(const char *dir, const char *task_dir, bool *made,
                                               kds_err *e);
/* Makes the folder, with a trace by which the next start knows it, should this one be cut off, and
 * the lock (owned by the caller, also after a failure) that keeps another start out meanwhile. */
KDS_MUST_USE kds_code kds_campaign_mark_folder(const char *dir, kds_lock **lock, kds_err *e);
/* Takes back what no campaign came of. */
void kds_campaign_clear_folder(const char *dir, bool made);
/* Loads the task that lies in the archive `dir` and proves that it is the one that the campaign
 * began with (campaign_start.c). */
KDS_MUST_USE kds_code kds_campaign_load_frozen(kds_task **out, const char *dir,
                                               const cJSON *campaign, kds_err *e);
/* A kernel of the record with its parent, whose plan it may inherit, and its row (campaign_duel.c).
 * Begins zeroed; to be freed also after a failure. */
typedef struct kds_recorded {
    char *source, *parent; /* parent: NULL if there is none */
    size_t len;
    kds_candidate_row row;
} kds_recorded;
KDS_MUST_USE kds_code kds_recorded_load(kds_ledger *l, kds_id id, kds_recorded *k, kds_err *e);
void kds_recorded_free(kds_recorded *k);
/* campaign_profile.c: an elite whose children bring nothing is profiled again. */
KDS_MUST_USE kds_code kds_campaign_watch_profiles(kds_campaign *c, kds_err *e);
/* Takes a stage that is the end of that; false if it is another's. */
bool kds_campaign_profiled_again(kds_campaign *c, const kds_stage *s);
/* campaign_duel.c: where times are measured. */
KDS_MUST_USE kds_code kds_campaign_check_rows(const kds_task *t, kds_err *e);
/* *ready: a flight with a verdict may be committed. Else its next duel is under way, was begun, or
 * waits for a card. */
KDS_MUST_USE kds_code kds_campaign_fight(kds_campaign *c, const kds_flight *f, bool *ready,
                                         kds_err *e);
/* A review is under way, or one is in doubt: the campaign does not end before that is decided. */
bool kds_campaign_reviewing(const kds_campaign *c);
/* Duels that may be fought at a time: one on each card. */
int kds_campaign_duels_most(const kds_campaign *c);
/* Measures the noise again when it is time, and reviews what was promoted. */
KDS_MUST_USE kds_code kds_campaign_watch_duels(kds_campaign *c, kds_err *e);
void kds_campaign_fought(void *campaign, const kds_fought *f);

/* campaign_loop.c */
kds_lane *kds_campaign_lane(kds_campaign *c,
                            int64_t decision); /* made if needed; NULL: out of memory */
/* Ends the run with an error that is kept. */
void kds_campaign_fail(kds_campaign *c, kds_code code, const char *message);
/* The evaluator's callbacks. */
bool kds_campaign_stage(void *campaign, const kds_stage *stage);

#endif
