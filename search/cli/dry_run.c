/* A campaign by mail in a temporary folder: it judges what the task brings, writes the first prompt
 * and ends. The prompt is then shown and priced. */
#include "search/cli/dry_run.h"
#include "search/cli/progress.h"
#include "search/cli/view.h"

#include "prompts/endpoint.h"
#include "search/base/file.h"
#include "search/engine/campaign.h"
#include "search/engine/mailbox.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the first prompt is and what a call costs. */
typedef struct estimate {
    cJSON *prompt; /* the mailbox's file */
    double prompt_tokens, reply_tokens;
    double usual_usd, most_usd; /* of one call */
    double calls;               /* that the budgets pay for at most; infinite without one */
} estimate;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

/* The settings of the temporary campaign. */
static kds_code mail_settings(const kds_settings *from, kds_settings **out, kds_err *e)
{
    static const char *const values[][2] = {
        {"proposer", "mailbox"}, {"mailbox-out", "1"},  {"mailbox-wait", "0"}, {"order", "arrival"},
        {"max-evals", "0"},      {"max-time", "0"},     {"max-cost", "0"},     {"max-tokens", "0"},
        {"max-requests", "0"},   {"max-gpu-time", "0"}, {"target", "0"}};
    kds_settings *s = kds_settings_copy(from);
    kds_code code = s ? KDS_OK : kds_fail(e, KDS_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < sizeof values / sizeof *values && code == KDS_OK; i++)
        code = kds_settings_set(s, values[i][0], values[i][1], e);
    if (code != KDS_OK) {
        kds_settings_free(s);
        return code;
    }
    *out = s;
    return KDS_OK;
}

static kds_code keep_prompt(void *user, const kds_mail_entry *entry, kds_err *e)
{
    (void)e;
    if (kds_id_is_zero(*(kds_id *)user))
        *(kds_id *)user = entry->prompt;
    return KDS_OK;
}

/* Runs until the first prompt is out, and reads it. */
static kds_code first_prompt(const char *task_dir, const char *dir, const kds_settings *settings,
                             cJSON **out, kds_err *e)
{
    kds_campaign *c = NULL;
    kds_ledger *l = NULL;
    kds_id prompt = {0, 0};
    kds_err end = {0};
    kds_code code = kds_campaign_create(&c, task_dir, dir, settings, e);
    if (code != KDS_OK)
        return code;
    code = kds_run_with_signals(c, NULL, NULL, &end);
    kds_campaign_close(c);
    if (code != KDS_PENDING_MAIL) {
        if (e && code != KDS_OK)
            *e = end;
        return code != KDS_OK ? code : kds_fail(e, KDS_FAILED, "no prompt came of the task");
    }
    code = kds_ledger_open(&l, dir, KDS_LEDGER_READ, e);
    if (code == KDS_OK)
        code = kds_mail_each_pending(l, keep_prompt, &prompt, e);
    if (code == KDS_OK)
        code = kds_ledger_get_json(l, prompt, out, e);
    kds_ledger_close(l);
    return code;
}

/* Three and a half bytes a token for the usual case, three for the most (as budgets reserve). A
 * reply is taken to have a third of what it may have. */
static void price(estimate *x, const kds_settings *s)
{
    double bytes = (double)strlen(kds_json_str(x->prompt, "system", "")) +
                   (double)strlen(kds_json_str(x->prompt, "user", ""));
    double in = kds_settings_double(s, "price-prompt") / 1e6,
           out = kds_settings_double(s, "price-completion") / 1e6;
    double most_reply = kds_settings_double(s, "reply-tokens");
    double cost = kds_settings_double(s, "max-cost"), tokens = kds_settings_double(s, "max-tokens"),
           evals = kds_settings_double(s, "max-evals"),
           requests = kds_settings_double(s, "max-requests");
    x->prompt_tokens = ceil(bytes / 3.5);
    x->reply_tokens = ceil(most_reply / 3);
    x->usual_usd = x->prompt_tokens * in + x->reply_tokens * out;
    x->most_usd = bytes / 3 * in + most_reply * out;
    x->calls = INFINITY;
    if (cost > 0 && x->usual_usd > 0)
        x->calls = fmin(x->calls, floor(cost / x->usual_usd));
    if (tokens > 0)
        x->calls = fmin(x->calls, floor(tokens / (x->prompt_tokens + x->reply_tokens)));
    double every = kds_settings_double(s, "guidance-every");
    if (evals > 0)
        x->calls = fmin(x->calls, evals + (every > 0 ? floor(evals / every) : 0));
    if (requests > 0)
        x->calls = fmin(x->calls, requests);
}

static kds_code show(const estimate *x, bool json, kds_err *e)
{
    if (json) {
        cJSON *o = cJSON_CreateObject(), *prompt = cJSON_Duplicate(x->prompt, true);
        bool ok = o && prompt && kds_json_add_num(o, "prompt_tokens", x->prompt_tokens) &&
                  kds_json_add_num(o, "reply_tokens", x->reply_tokens) &&
                  kds_json_add_num(o, "call_usd", x->usual_usd) &&
                  kds_json_add_num(o, "call_usd_most", x->most_usd) &&
                  kds_json_add_num(o, "calls", x->calls) &&
                  kds_json_add_num(o, "total_usd", x->calls * x->usual_usd);
        if (ok)
            cJSON_AddItemToObject(o, "prompt", prompt);
        else
            cJSON_Delete(prompt);
        kds_code code = ok ? kds_view_json(o, e) : kds_fail(e, KDS_NO_MEMORY, "out of memory");
        cJSON_Delete(o);
        return code;
    }
    printf("%s\n\n%s\n\n", kds_json_str(x->prompt, "system", ""),
           kds_json_str(x->prompt, "user", ""));
    printf("estimate (nothing was sent)\n"
           "  a call: about %.0f tokens of prompt and %.0f of reply, %.4f USD, at most %.4f USD\n",
           x->prompt_tokens, x->reply_tokens, x->usual_usd, x->most_usd);
    if (x->usual_usd <= 0)
        printf("  no prices are set: see --price-prompt and --price-completion\n");
    if (isfinite(x->calls))
        printf("  the budgets allow about %.0f calls, %.2f USD\n", x->calls,
               x->calls * x->usual_usd);
    else
        printf("  no budget limits the calls: see --max-cost, --max-tokens, --max-evals\n");
    return KDS_OK;
}

/* The endpoint is made and thrown away: its URL and key are there and of the right form. */
static kds_code check_endpoint(const kds_settings *s, kds_err *e)
{
    kds_endpoint *x = NULL;
    kds_models *models = NULL;
    kds_code code = kds_models_read(&models, s, e);
    if (code == KDS_OK)
        code = kds_models_connect(models, &x, e);
    kds_endpoint_free(x);
    kds_models_free(models);
    return code;
}

kds_code kds_dry_run(const char *task_dir, const kds_settings *settings, bool json, kds_err *e)
{
    char dir[300];
    const char *tmp = getenv("TMPDIR"), *proposer = kds_models_proposer(settings);
    kds_settings *mail = NULL;
    estimate x = {0};
    if (strcmp(proposer, "builtin") == 0)
        return kds_fail(e, KDS_USAGE,
                        "--dry-run is for campaigns with a model (--proposer endpoint or mailbox): "
                        "the built-in proposer asks nobody and costs nothing");
    kds_code code = strcmp(proposer, "endpoint") == 0 ? check_endpoint(settings, e) : KDS_OK;
    if (code == KDS_OK)
        code = mail_settings(settings, &mail, e);
    if (code != KDS_OK)
        return code;
    snprintf(dir, sizeof dir, "%s/kdasearch-dry-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) {
        kds_settings_free(mail);
        return kds_fail_errno(e, KDS_IO, "cannot make a temporary folder '%s'", dir);
    }
    code = first_prompt(task_dir, dir, mail, &x.prompt, e);
    (void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    kds_settings_free(mail);
    if (code == KDS_OK) {
        price(&x, settings);
        code = show(&x, json, e);
    }
    cJSON_Delete(x.prompt);
    return code;
}
