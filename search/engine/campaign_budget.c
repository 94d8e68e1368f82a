/* Budgets told before they are spent: one notice when half of a budget is used, a warning at four
 * fifths. What the epochs before have used counts, but is not told again. */
#include "search/engine/campaign.h"

#include "search/base/clock.h"
#include "search/base/text.h"

#include <stdio.h>
#include <string.h>

static const char *const NAMES[KDS_BUDGETS] = {"max-time",   "max-evals",    "max-cost",
                                               "max-tokens", "max-requests", "max-gpu-time"};

/* What is used of a budget, and the budget; 0: none. */
static double used_of(const kds_campaign *c, int which, double *limit)
{
    const kds_state *s = c->state;
    const double used[KDS_BUDGETS] = {s->run_seconds + kds_clock_monotonic() - c->started,
                                      (double)s->evaluated,
                                      s->cost_usd,
                                      kds_state_tokens(s),
                                      (double)s->requests,
                                      s->gpu_seconds};
    *limit = kds_settings_double(c->settings, NAMES[which]);
    return used[which];
}

static int level_of(double used, double limit)
{
    return limit <= 0 ? 0 : used >= 0.8 * limit ? 2 : used >= 0.5 * limit ? 1 : 0;
}

static void tell(kds_campaign *c, int which, int level, double used, double limit)
{
    char now[40], most[40];
    const char *kind = level == 2 ? "warning" : "notice";
    double percent = 100 * used / limit;
    switch (which) {
    case KDS_BUDGET_TIME:
    case KDS_BUDGET_GPU_TIME:
        kds_text_format_duration(now, sizeof now, used);
        kds_text_format_duration(most, sizeof most, limit);
        kds_campaign_tell(c, kind, "%.0f %% of --%s used: %s of %s", percent, NAMES[which], now,
                          most);
        break;
    case KDS_BUDGET_COST:
        kds_campaign_tell(c, kind, "%.0f %% of --max-cost used: %.2f of %.2f USD", percent, used,
                          limit);
        break;
    default:
        kds_campaign_tell(c, kind, "%.0f %% of --%s used: %.0f of %.0f", percent, NAMES[which],
                          used, limit);
    }
}

void kds_campaign_watch_budgets(kds_campaign *c, bool silent)
{
    for (int i = 0; i < KDS_BUDGETS; i++) {
        double limit = 0, used = used_of(c, i, &limit);
        int level = level_of(used, limit);
        if (level > c->told[i] && !silent)
            tell(c, i, level, used, limit);
        if (level > c->told[i] || silent)
            c->told[i] = level;
    }
}
