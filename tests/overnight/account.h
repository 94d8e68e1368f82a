/* Two accounts of the calls of one campaign: what the server wrote down as it answered, and what
 * the archive says. They are brought together call by call. */
#ifndef KDS_TESTS_OVERNIGHT_ACCOUNT_H
#define KDS_TESTS_OVERNIGHT_ACCOUNT_H

#include "archive/ledger.h"
#include "search/base/id.h"

#define PRICE_PROMPT 1.0 /* USD of a million tokens */
#define PRICE_COMPLETION 2.0

/* What came of a request, seen from both sides. */
typedef enum account_end {
    ACCOUNT_SETTLED, /* answered, and what the server charged is what the archive counts */
    ACCOUNT_UNKNOWN, /* answered or broken off without naming usage: counted as reserved */
    ACCOUNT_LOST,    /* under way when the campaign was killed or ended: counted as reserved */
    ACCOUNT_UNSENT,  /* recorded, but killed before it reached the server: the same */
    ACCOUNT_ENDS
} account_end;

#define ACCOUNT_STEPS 64

typedef struct account {
    int64_t received;           /* requests of the server's account */
    int64_t requests, failed;   /* of the archive's */
    int64_t ends[ACCOUNT_ENDS]; /* of the archive's requests */
    int64_t whole_lost;         /* of ACCOUNT_LOST: the server had sent all of its reply */
    int64_t longest_ms;         /* from then to the end of the campaign's process */
    int64_t prompt, completion; /* tokens of the settled, equal on both sides */
    int64_t unsettled_prompt, unsettled_completion; /* that the server charged for the others */
    double cost, reserved;        /* USD of the settled and of the others, in the archive */
    int64_t steps[ACCOUNT_STEPS]; /* answers by step of the script */
} account;

/* Reads the server's journal and replies and the archive, and finds for each request its
 * counterpart. The test fails at the first that has none, at a byte that differs, at a reply that
 * counts twice, at a token that is charged differently, and at a call that may have cost more than
 * the archive says. `ends`: when the campaign's processes ended (milliseconds since 1970); a reply
 * that was sent whole and is lost must have been sent shortly before one of them. */
void account_settle(account *out, const char *journal, const char *replies, const char *archive,
                    const int64_t *ends, int64_t end_count);

#endif
