/* A campaign from the inside: shared by campaign_*.c only. The rules that hold everywhere:
 *  - an event is durable before anything that follows from it happens;
 *  - the state changes only by applying recorded events;
 *  - what may be lost at a kill is work in flight, never a recorded reply or verdict. */
#ifndef KDS_ENGINE_CAMPAIGN_H
#define KDS_ENGINE_CAMPAIGN_H

#include "archive/ledger.h"
#include "prompts/endpoint.h"
#include "prompts/knowledge.h"
#include "search/base/log.h"
#include "search/engine/ask.h"
#include "search/engine/evaluate.h"
#include "search/engine/models.h"
#include "search/engine/select.h"

#include <stdatomic.h>

/* What this process does for one decision under way; the record of it is the state's kds_flight. */
typedef struct kds_lane {
    int64_t decision;
    bool evaluating; /* handed to the evaluator */
    bool asking;     /* a request is out */
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
/* A duel under way. */
typedef struct kds_duel_lane {
    uint64_t tag;
    int64_t decision; /* -1: of equals */
    kds_bout_purpose purpose;
    kds_id candidate, incumbent;
} kds_duel_lane;
#define KDS_DUEL_LANES 4

/* An object waiting for the transaction of the next record. */
typedef struct kds_pending {
    const char *kind;
    char *data;
    size_t len;
} kds_pending;

struct kds_campaign {
    char *dir;
    kds_settings *settings;
    kds_task *task;
    kds_ledger *ledger;
    kds_state *state;
    kds_selector selector;
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
    kds_pending pending[8];
    int pending_count;
    kds_lane *lanes;
    int lane_count, lane_room;
    kds_duel_lane duels[KDS_DUEL_LANES];
    int duel_count;
    uint64_t duel_tags;
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

/* campaign_record.c: one or several events in one durable transaction, then applied and told. */
typedef struct kds_record {
    const char *kind;
    cJSON *body; /* owned by the caller */
} kds_record;
KDS_MUST_USE kds_code kds_campaign_record(kds_campaign *c, const kds_record *records, int count,
                                          kds_err *e);
/* Stores an object in the transaction that the next kds_campaign_record commits. */
KDS_MUST_USE kds_code kds_campaign_put(kds_campaign *c, const char *kind, const void *data,
                                       size_t len, kds_id *id, kds_err *e);
/* Forgets what was put since the last record. */
void kds_campaign_drop(kds_campaign *c);
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
/* campaign_duel.c: where times are measured. */
KDS_MUST_USE kds_code kds_campaign_check_rows(const kds_task *t, kds_err *e);
/* *ready: a flight with a verdict may be committed. Else its next duel is under way, or was begun.
 */
KDS_MUST_USE kds_code kds_campaign_fight(kds_campaign *c, const kds_flight *f, bool *ready,
                                         kds_err *e);
/* Measures the noise again when it is time. */
KDS_MUST_USE kds_code kds_campaign_watch_floor(kds_campaign *c, kds_err *e);
void kds_campaign_fought(void *campaign, const kds_fought *f);

/* campaign_loop.c */
kds_lane *kds_campaign_lane(kds_campaign *c,
                            int64_t decision); /* made if needed; NULL: out of memory */
/* Ends the run with an error that is kept. */
void kds_campaign_fail(kds_campaign *c, kds_code code, const char *message);
/* The evaluator's callbacks. */
bool kds_campaign_stage(void *campaign, const kds_stage *stage);

#endif
