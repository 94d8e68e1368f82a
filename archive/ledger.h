/* The ledger: campaign.db, the only truth of a campaign. Events are appended, each in one durable
 * transaction together with the objects that it names and with its effect on the derived tables,
 * which one function computes (kds_ledger_apply). archive/README.md lists the event kinds and their
 * bodies. */
#ifndef KDS_ARCHIVE_LEDGER_H
#define KDS_ARCHIVE_LEDGER_H

#include "search/base/json.h"

#define KDS_ARCHIVE_FORMAT 1

typedef struct kds_ledger kds_ledger;

typedef enum kds_ledger_mode { KDS_LEDGER_READ, KDS_LEDGER_WRITE } kds_ledger_mode;

/* Creates campaign.db in `dir` (which exists) and takes the writer's lock. */
KDS_MUST_USE kds_code kds_ledger_create(kds_ledger **out, const char *dir, kds_err *e);
/* Opens an archive. KDS_NOT_ARCHIVE (no campaign.db, or not ours), KDS_NEWER_FORMAT, KDS_DAMAGED
 * (SQLite's own checks; names `kdasearch check`), KDS_LOCKED (another writer lives: host, pid). A
 * lock whose owner is dead (same boot id, no such pid; or another boot id on the same host) is
 * taken over. Readers need no lock. */
KDS_MUST_USE kds_code kds_ledger_open(kds_ledger **out, const char *dir, kds_ledger_mode mode,
                                      kds_err *e);
/* A private ledger in memory with the same tables: for replay and check. */
KDS_MUST_USE kds_code kds_ledger_memory(kds_ledger **out, kds_err *e);
void kds_ledger_close(kds_ledger *l);

/* ---- Writing ---- */
/* Starts a transaction; kds_ledger_append and kds_ledger_put outside of one make their own. Any
 * failure of those two rolls the whole transaction back. On a ledger opened for reading, the reads
 * from here to kds_ledger_commit see one moment of the campaign. */
KDS_MUST_USE kds_code kds_ledger_begin(kds_ledger *l, kds_err *e);
KDS_MUST_USE kds_code kds_ledger_commit(kds_ledger *l,
                                        kds_err *e); /* durable when it returns KDS_OK */
void kds_ledger_rollback(kds_ledger *l);
/* Stores bytes under their id (XXH3-128), compressed; a repeated object is stored once. `kind`:
 * source, prompt, reply, guidance, cubin, ptx, log, report. */
KDS_MUST_USE kds_code kds_ledger_put(kds_ledger *l, const char *kind, const void *data, size_t len,
                                     kds_id *id, kds_err *e);
/* Appends an event and applies it. *seq may be NULL. A full disk is KDS_IO with the transaction
 * rolled back: nothing is half done and the same append may be tried again. KDS_PROTOCOL: the body
 * is malformed or cannot follow the events before it (a second ACCEPT of a decision, say). */
KDS_MUST_USE kds_code kds_ledger_append(kds_ledger *l, const char *kind, const cJSON *body,
                                        int64_t *seq, kds_err *e);
/* The same of a body that has been printed (kds_json_print). */
KDS_MUST_USE kds_code kds_ledger_append_text(kds_ledger *l, const char *kind, const char *body,
                                             size_t len, int64_t *seq, kds_err *e);

/* ---- Reading ---- */
/* The object's bytes (owned by the caller, NUL-terminated beyond len). KDS_NOT_FOUND; KDS_DAMAGED
 * if the bytes do not have that id. */
KDS_MUST_USE kds_code kds_ledger_get(kds_ledger *l, kds_id id, char **data, size_t *len,
                                     kds_err *e);

/* The object as the JSON that was recorded (owned by the caller). The same errors; KDS_DAMAGED if
 * it is none. */
KDS_MUST_USE kds_code kds_ledger_get_json(kds_ledger *l, kds_id id, cJSON **out, kds_err *e);

typedef struct kds_ledger_event {
    int64_t seq;
    int64_t time_ms;
    const char *kind;
    const char *body; /* JSON text */
    size_t body_len;
} kds_ledger_event;
typedef kds_code kds_ledger_event_fn(void *user, const kds_ledger_event *event, kds_err *e);
/* Events with seq >= from, in order, each verified against the hash chain (KDS_DAMAGED). `fn`
 * returns KDS_OK to go on. */
KDS_MUST_USE kds_code kds_ledger_each_event(kds_ledger *l, int64_t from, kds_ledger_event_fn *fn,
                                            void *user, kds_err *e);
int64_t kds_ledger_last_seq(kds_ledger *l);
/* Fails for a record that does not begin with a campaign: KDS_NOT_ARCHIVE if there is none at all,
 * because it was stopped while it was being made; else KDS_DAMAGED. */
kds_code kds_ledger_no_campaign(kds_ledger *l, kds_err *e);

/* A meta value ("format", "seed", ...), owned by the caller; NULL if absent. */
char *kds_ledger_meta(kds_ledger *l, const char *key);

typedef struct kds_candidate_row {
    char id[KDS_ID_HEX];
    int64_t decision;
    char parent[KDS_ID_HEX], parent2[KDS_ID_HEX]; /* "" if none */
    char operator_name[24], model[64];
    char norm[KDS_ID_HEX], cubin[KDS_ID_HEX]; /* "" if not known */
    char verdict[24], stage[24];              /* "" while in flight */
    bool accepted;
    double fitness;          /* NaN if none */
    char cell[17];           /* "" if none */
    char report[KDS_ID_HEX]; /* object id; "" if none */
    char hypothesis[400], why[200];
    int64_t time_ms;
} kds_candidate_row;
/* Finds by any unique prefix of the id, or by "#N" for decision N, or "best". KDS_NOT_FOUND;
 * KDS_USAGE if ambiguous, listing the first matches. */
KDS_MUST_USE kds_code kds_ledger_find(kds_ledger *l, const char *prefix, kds_candidate_row *out,
                                      kds_err *e);
/* A candidate's chain of first parents, the oldest first, itself last: *rows (owned by the caller,
 * free()) and *count. Named as for kds_ledger_find, with the same errors. KDS_DAMAGED: a chain
 * without an end. */
KDS_MUST_USE kds_code kds_ledger_lineage(kds_ledger *l, const char *prefix,
                                         kds_candidate_row **rows, int *count, kds_err *e);
typedef kds_code kds_candidate_fn(void *user, const kds_candidate_row *row, kds_err *e);
/* `order`: "decision", "fitness" (best first). `verdict` and `cell` filter if not NULL; limit 0:
 * all. */
KDS_MUST_USE kds_code kds_ledger_each_candidate(kds_ledger *l, const char *order,
                                                const char *verdict, const char *cell,
                                                int64_t limit, kds_candidate_fn *fn, void *user,
                                                kds_err *e);

/* The fast bulk read for duplicate detection: every candidate in order of its (first) decision.
 * `norm` and `cubin` are zero where they are not known; `verdict` is "" while in flight. */
typedef void kds_ledger_ids_fn(void *user, int64_t decision, const kds_id *id, const kds_id *norm,
                               const kds_id *cubin, const char *verdict);
KDS_MUST_USE kds_code kds_ledger_each_ids(kds_ledger *l, kds_ledger_ids_fn *fn, void *user,
                                          kds_err *e);

typedef struct kds_cell_row {
    char key[17];
    char bins[64];          /* "[0,2,3]" */
    char elite[KDS_ID_HEX]; /* "" while empty */
    double fitness;
    int64_t visits, improvements, filled_by; /* decision that put the elite there;
                                                 -1 while empty */
} kds_cell_row;
typedef kds_code kds_cell_fn(void *user, const kds_cell_row *row, kds_err *e);
KDS_MUST_USE kds_code kds_ledger_each_cell(kds_ledger *l, kds_cell_fn *fn, void *user, kds_err *e);

typedef struct kds_ledger_totals {
    int64_t decisions, committed, candidates, accepted, duplicates, requests, responses,
        failed_calls, epochs;
    int64_t judged; /* decisions that ended with a candidate which is no duplicate */
    int64_t prompt_tokens, completion_tokens;
    double cost_usd, run_seconds;
} kds_ledger_totals;
KDS_MUST_USE kds_code kds_ledger_totals_get(kds_ledger *l, kds_ledger_totals *out, kds_err *e);
/* For rows that have no query of their own: runs a SELECT written by us (never built from input;
 * bind with ?1..) and gives each row as a JSON object; schema.c has the tables. Ids and cells are
 * hex texts, bytes are given as hex. `args`: JSON array of values to bind; may be NULL. KDS_USAGE:
 * not a single SELECT. */
typedef kds_code kds_row_fn(void *user, const cJSON *row, kds_err *e);
KDS_MUST_USE kds_code kds_ledger_select(kds_ledger *l, const char *sql, const cJSON *args,
                                        kds_row_fn *fn, void *user, kds_err *e);

/* ---- Proving ---- */
/* The one fold: the effect of an event on the derived tables. Append does the same inside its
 * transaction; check and replay call it on a ledger in memory. A kind that is not known has no
 * effect. KDS_DAMAGED: the event is malformed or cannot follow those before it. */
KDS_MUST_USE kds_code kds_ledger_apply(kds_ledger *l, const kds_ledger_event *event, kds_err *e);
/* Verifies SQLite's integrity, the hash chain, every object's bytes, that every object named by an
 * event exists, and that the derived tables equal the fold of the events. Changes nothing. *report
 * (owned by the caller; written on KDS_OK and on KDS_DAMAGED): "events", "objects", "rows", and
 * "problems", an array of at most 100 texts. KDS_DAMAGED if there is any. */
KDS_MUST_USE kds_code kds_ledger_check(const char *dir, cJSON **report, kds_err *e);

#endif
