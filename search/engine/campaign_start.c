/* How a campaign comes to be: a new archive with the task frozen in it, or an old one folded back
 * into its state. */
#include "search/engine/campaign.h"

#include "eval/descriptor_facts.h"
#include "eval/device.h"
#include "search/base/clock.h"
#include "search/base/file.h"
#include "search/engine/state_fold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_BYTES (8u << 20)

static kds_code out_of_memory(kds_err *e)
{
    return kds_fail(e, KDS_NO_MEMORY, "out of memory");
}

static kds_campaign *campaign_new(const char *dir, const kds_settings *settings)
{
    kds_campaign *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->dir = strdup(dir);
    c->settings = settings ? kds_settings_copy(settings) : NULL;
    c->state = kds_state_create();
    if (c->stop_fd >= 0 && c->dir && c->settings && c->state)
        return c;
    kds_campaign_close(c);
    return NULL;
}

void kds_campaign_close(kds_campaign *c)
{
    if (!c)
        return;
    kds_evaluator_close(c->evaluator);
    kds_endpoint_free(c->endpoint);
    kds_models_free(c->models);
    kds_campaign_mail_end(c);
    kds_knowledge_free(c->knowledge);
    kds_template_set_free(c->templates);
    kds_ledger_close(c->ledger);
    kds_log_close(c->log);
    kds_state_free(c->state);
    kds_kept_reports_free(&c->reports);
    kds_task_free(c->task);
    kds_settings_free(c->settings);
    kds_campaign_forget(c);
    free(c->lanes);
    free(c->dir);
    if (c->stop_fd >= 0)
        close(c->stop_fd);
    free(c);
}

void kds_campaign_stop(kds_campaign *c)
{
    uint64_t one = 1;
    atomic_fetch_add(&c->stops, 1);
    ssize_t n = write(c->stop_fd, &one, sizeof one);
    (void)n; /* a full counter wakes the loop just as well */
}

/* Prompt templates of the user's own: from the folder that was named, or at resume from its copy.
 */
static kds_code open_templates(kds_campaign *c, kds_err *e)
{
    const char *dir = kds_settings_text(c->settings, "templates");
    if (!*dir)
        return KDS_OK;
    char *copy = c->resumed ? kds_path_join(c->dir, "templates") : strdup(dir);
    kds_code code = copy ? kds_template_set_load(&c->templates, copy, e) : out_of_memory(e);
    if (code == KDS_OK && !c->resumed)
        code = kds_campaign_check_guidance(c, e);
    free(copy);
    return code;
}

/* On a device that cannot compare production rows every candidate would wait for review. */
static kds_code check_comparing(const kds_campaign *c, kds_err *e)
{
    const char *device = kds_settings_text(c->settings, "device");
    char why[400];
    kds_code code = kds_device_unchecked(device, c->task, why, sizeof why, e);
    if (code != KDS_OK || why[0] == '\0')
        return code;
    return kds_fail(
        e, KDS_NO_DEVICE,
        "%s cannot be searched on %s: %s, and no candidate could be accepted; search it "
        "on a GPU (--device cuda:0). `eval` and `lint` work on the simulator",
        c->task->name, device, why);
}

/* Opens what a campaign runs with, once task, settings and state are there. */
static kds_code open_parts(kds_campaign *c, uint64_t gate_seed, kds_err *e)
{
    const char *proposer = kds_models_proposer(c->settings);
    const char *order = kds_settings_text(c->settings, "order");
    bool endpoint = strcmp(proposer, "endpoint") == 0, mail = strcmp(proposer, "mailbox") == 0;
    c->strict = strcmp(order, "strict") == 0 || (strcmp(order, "auto") == 0 && !endpoint && !mail);
    c->in_flight_max = (int)kds_settings_int(c->settings, "in-flight");
    if (mail && !c->strict) /* what waits for people does not take the place of what runs */
        c->in_flight_max += (int)kds_settings_int(c->settings, "mailbox-out");
    kds_evaluator_options o = {.task = c->task,
                               .settings = c->settings,
                               .gate_seed = gate_seed,
                               .forecast = true,
                               .stage = kds_campaign_stage,
                               .fought = kds_campaign_fought,
                               .user = c};
    c->selector = (kds_selector){.task = c->task, .ledger = c->ledger, .reports = &c->reports};
    kds_code code = check_comparing(c, e);
    if (code == KDS_OK)
        code = open_templates(c, e);
    if (code == KDS_OK)
        code = kds_models_read(&c->models, c->settings, e);
    if (code == KDS_OK)
        code = kds_selector_configure(&c->selector, c->settings, c->models, e);
    if (code == KDS_OK && endpoint)
        code = kds_campaign_open_endpoint(c, e);
    if (code == KDS_OK)
        code = kds_evaluator_create(&c->evaluator, &o, e);
    if (code == KDS_OK)
        code = kds_evaluator_prepare(c->evaluator, e);
    if (code == KDS_OK && kds_evaluator_measures(c->evaluator))
        code = kds_campaign_check_rows(c->task, e);
    return code;
}

static kds_code open_log(kds_campaign *c, kds_err *e)
{
    char *path = kds_path_join(c->dir, "log.jsonl");
    kds_code code = path ? kds_log_open(&c->log, path, LOG_BYTES, 3, e) : out_of_memory(e);
    free(path);
    return code;
}

static cJSON *epoch_body(kds_campaign *c, const char *why)
{
    char host[256] = "";
    cJSON *o = cJSON_CreateObject();
    cJSON *settings = kds_settings_json(c->settings);
    (void)gethostname(host, sizeof host - 1);
    bool ok = o && settings && cJSON_AddItemToObject(o, "settings", settings);
    if (!ok)
        cJSON_Delete(settings);
    ok = ok && kds_json_add_int(o, "epoch", c->state->epochs) && kds_json_add_str(o, "why", why) &&
         kds_json_add_str(o, "host", host) && kds_json_add_int(o, "pid", getpid());
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}

/* Axes of counters, as the task has them; or of facts, where there are no counters. */
static cJSON *descriptors_json(const kds_task *t, bool counters)
{
    cJSON *set = cJSON_CreateObject();
    if (!counters) {
        cJSON *facts = kds_descriptor_facts_axes();
        if (set && facts && kds_json_add_int(set, "version", KDS_FACTS_DESCRIPTOR_VERSION) &&
            cJSON_AddItemToObject(set, "axes", facts))
            return set;
        cJSON_Delete(facts);
        cJSON_Delete(set);
        return NULL;
    }
    cJSON *axes = set ? cJSON_AddArrayToObject(set, "axes") : NULL;
    bool ok = axes && kds_json_add_int(set, "version", t->descriptor_version);
    for (int i = 0; i < t->axis_count && ok; i++) {
        cJSON *axis = cJSON_CreateObject();
        ok = axis && cJSON_AddItemToArray(axes, axis) &&
             kds_json_add_str(axis, "name", t->axes[i].name) &&
             kds_json_add_str(axis, "unit", t->axes[i].unit) &&
             kds_json_add_str(axis, "value", kds_expr_text(t->axes[i].value));
        cJSON *edges = ok ? cJSON_AddArrayToObject(axis, "edges") : NULL;
        for (int k = 0; k < t->axes[i].edge_count && edges; k++)
            cJSON_AddItemToArray(edges, cJSON_CreateNumber(t->axes[i].edges[k]));
        ok = ok && edges;
    }
    if (ok)
        return set;
    cJSON_Delete(set);
    return NULL;
}

static cJSON *campaign_body(kds_campaign *c, uint64_t gate_seed)
{
    char gate[24];
    cJSON *o = cJSON_CreateObject();
    snprintf(gate, sizeof gate, "%llu", (unsigned long long)gate_seed);
    bool ok = o && kds_json_add_int(o, "format", KDS_ARCHIVE_FORMAT) &&
              kds_json_add_str(o, "version", kds_version()) &&
              kds_json_add_int(o, "rules", KDS_RULES) &&
              kds_json_add_str(o, "task", c->task->name) &&
              kds_json_add_str(o, "family", c->task->family) &&
              kds_json_add_id(o, "task_hash", c->task->hash) &&
              (!c->templates ||
               kds_json_add_id(o, "templates_hash", kds_template_set_hash(c->templates))) &&
              kds_json_add_str(o, "seed", kds_settings_text(c->settings, "seed")) &&
              kds_json_add_str(o, "gate_seed", gate) &&
              kds_json_add_str(o, "device", kds_evaluator_device(c->evaluator)) &&
              kds_json_add_str(o, "fingerprint", kds_evaluator_fingerprint(c->evaluator)) &&
              kds_json_add_str(o, "kind", kds_evaluator_kind(c->evaluator)) &&
              kds_json_add_str(o, "device_model", kds_evaluator_model(c->evaluator)) &&
              kds_json_add_bool(o, "measured", kds_evaluator_measures(c->evaluator));
    const char *why_not = NULL;
    bool counters = kds_evaluator_counts(c->evaluator, &why_not);
    cJSON *settings = kds_settings_json(c->settings), *set = descriptors_json(c->task, counters);
    if (!ok || !settings || !set) {
        cJSON_Delete(settings);
        cJSON_Delete(set);
        cJSON_Delete(o);
        return NULL;
    }
    cJSON_AddItemToObject(o, "settings", settings);
    cJSON_AddItemToObject(o, "descriptors", set);
    return o;
}

/* Copies the task into the archive and goes on with the copy. */
static kds_code freeze_task(kds_campaign *c, const char *task_dir, kds_err *e)
{
    kds_task *copy = NULL;
    char *frozen = kds_path_join(c->dir, "task");
    kds_code code = frozen ? kds_dir_copy(task_dir, frozen, e) : out_of_memory(e);
    if (code == KDS_OK)
        code = kds_task_load(&copy, frozen, e);
    if (code == KDS_OK && !kds_id_equal(copy->hash, c->task->hash))
        code = kds_fail(e, KDS_INVALID, "%s changed while it was copied; start again", task_dir);
    if (code == KDS_OK)
        code = kds_evaluator_move(c->evaluator, copy, e);
    free(frozen);
    if (code != KDS_OK) {
        kds_task_free(copy);
        return code;
    }
    kds_task_free(c->task);
    c->task = copy;
    c->selector.task = copy;
    return KDS_OK;
}

/* Copies the templates into the archive, so that it can be carried. */
static kds_code freeze_templates(kds_campaign *c, kds_err *e)
{
    if (!c->templates)
        return KDS_OK;
    char *copy = kds_path_join(c->dir, "templates");
    kds_code code = copy ? kds_dir_copy(kds_settings_text(c->settings, "templates"), copy, e)
                         : out_of_memory(e);
    free(copy);
    return code;
}

/* The secret of the gate follows from the campaign's seed: known to the archive, never to a model.
 */
static uint64_t gate_seed_of(const kds_settings *s)
{
    const char *seed = kds_settings_text(s, "seed");
    return kds_hash64(seed, strlen(seed), 0x6b64732d67617465ULL) >> 11;
}

static kds_code create_ledger(kds_campaign *c, uint64_t gate_seed, kds_err *e)
{
    kds_code code = kds_ledger_create(&c->ledger, c->dir, e);
    if (code != KDS_OK)
        return code;
    c->selector.ledger = c->ledger;
    kds_record records[] = {{"CAMPAIGN", campaign_body(c, gate_seed)},
                            {"EPOCH", epoch_body(c, "start")}};
    code = records[0].body && records[1].body ? kds_campaign_record(c, records, 2, e)
                                              : out_of_memory(e);
    cJSON_Delete(records[0].body);
    cJSON_Delete(records[1].body);
    return code;
}

kds_code kds_campaign_create(kds_campaign **out, const char *task_dir, const char *archive_dir,
                             const kds_settings *settings, kds_err *e)
{
    bool made = false;
    kds_code code = kds_campaign_take_folder(archive_dir, task_dir, &made, e);
    if (code != KDS_OK)
        return code;
    kds_campaign *c = campaign_new(archive_dir, settings);
    if (!c)
        return out_of_memory(e);
    uint64_t gate_seed = gate_seed_of(c->settings);
    code = kds_task_load(&c->task, task_dir, e);
    if (code == KDS_OK)
        code = open_parts(c, gate_seed, e);
    if (code != KDS_OK) { /* a wrong task or machine leaves no trace */
        kds_campaign_close(c);
        return code;
    }
    kds_lock *lock = NULL;
    code = kds_campaign_mark_folder(archive_dir, &lock, e);
    bool mine = lock != NULL; /* else another start is at work there */
    if (code == KDS_OK)
        code = freeze_task(c, task_dir, e);
    if (code == KDS_OK)
        code = freeze_templates(c, e);
    if (code == KDS_OK)
        kds_lock_release(lock); /* the ledger has its own */
    else if (code == KDS_USAGE) /* the folder is another's */
        kds_lock_release(lock);
    else
        kds_lock_remove(lock);
    if (code == KDS_OK)
        code = create_ledger(c, gate_seed, e);
    if (code == KDS_OK)
        code = open_log(c, e);
    if (code != KDS_OK) {
        if (!c->ledger && mine && code != KDS_LOCKED && code != KDS_USAGE)
            kds_campaign_clear_folder(archive_dir, made);
        kds_campaign_close(c);
        return code;
    }
    *out = c;
    return KDS_OK;
}

/* Recorded settings, with what was given as flags now put over those that may change. */
static kds_code merge_settings(kds_campaign *c, const cJSON *recorded, const kds_settings *given,
                               kds_err *e)
{
    kds_settings *s = NULL;
    kds_code code = kds_settings_create(&s, e);
    if (code == KDS_OK)
        code = kds_settings_from_json(s, recorded, e);
    for (const kds_option *o = kds_options(); o->name && code == KDS_OK && given; o++) {
        if (kds_settings_source(given, o->name) != KDS_FROM_FLAG)
            continue;
        const char *value = kds_settings_text(given, o->name);
        if (!(o->commands & KDS_FOR_RESUME) && strcmp(value, kds_settings_text(s, o->name)) != 0)
            code = kds_fail(e, KDS_USAGE,
                            "--%s is part of what this campaign is (%s) and cannot change at "
                            "resume; `kdasearch run` "
                            "starts another campaign",
                            o->name, kds_settings_text(s, o->name));
        else
            code = kds_settings_set_from(s, o->name, value, KDS_FROM_ARCHIVE, e);
    }
    if (code != KDS_OK) {
        kds_settings_free(s);
        return code;
    }
    kds_settings_free(c->settings);
    c->settings = s;
    return KDS_OK;
}

kds_code kds_campaign_load_frozen(kds_task **out, const char *dir, const cJSON *campaign,
                                  kds_err *e)
{
    kds_id hash;
    kds_task *task = NULL;
    char *frozen = kds_path_join(dir, "task");
    kds_code code = frozen ? kds_task_load(&task, frozen, e) : out_of_memory(e);
    if (code != KDS_OK)
        code = kds_err_prefix(e, code, "the frozen task");
    else if (!kds_json_id(campaign, "task_hash", &hash) || !kds_id_equal(hash, task->hash))
        code = kds_fail(
            e, KDS_DAMAGED,
            "%s was changed after the campaign began; put back the files that it began with",
            frozen);
    free(frozen);
    if (code != KDS_OK) {
        kds_task_free(task);
        return code;
    }
    *out = task;
    return KDS_OK;
}

/* The same of the user's own templates; records of earlier versions do not name theirs. */
static kds_code check_templates(const kds_campaign *c, const cJSON *campaign, kds_err *e)
{
    kds_id hash;
    if (!c->templates || !kds_json_id(campaign, "templates_hash", &hash) ||
        kds_id_equal(hash, kds_template_set_hash(c->templates)))
        return KDS_OK;
    return kds_fail(e, KDS_DAMAGED,
                    "%s/templates was changed after the campaign began; put back the files that it "
                    "began with, or start another campaign with --templates",
                    c->dir);
}

/* The same kind of device: another card of the model will do, because duels compare only what was
 * measured together. And the same descriptors. */
static kds_code check_device(kds_campaign *c, const cJSON *campaign, kds_err *e)
{
    const kds_evaluator *x = c->evaluator;
    const char *recorded =
        kds_json_str(campaign, "kind", kds_json_str(campaign, "fingerprint", ""));
    const char *why_not = NULL;
    bool counters = kds_evaluator_counts(x, &why_not);
    if (strcmp(recorded, kds_evaluator_kind(x)) != 0)
        return kds_fail(e, KDS_NO_DEVICE,
                        "the results in %s are from %s (%.12s), this machine offers %s (%.12s): "
                        "device or software differ, and results of the two must not be mixed",
                        c->dir, kds_json_str(campaign, "device", "?"), recorded,
                        kds_evaluator_device(x), kds_evaluator_kind(x));
    if (c->state->descriptor_version == KDS_FACTS_DESCRIPTOR_VERSION) {
        kds_evaluator_forget_counters(c->evaluator);
        return KDS_OK;
    }
    if (!counters)
        return kds_fail(e, KDS_NO_DEVICE,
                        "the cells of %s are made of counters, and there are none here: %.600s",
                        c->dir, why_not);
    return KDS_OK;
}

static kds_code keep_lost(void *user, const cJSON *row, kds_err *e)
{
    (void)e;
    if (kds_json_int(row, "stopped", 1) == 0)
        *(double *)user = kds_json_num(row, "ms", 0) / 1000;
    return KDS_OK;
}

/* An epoch that was killed gets its STOP now, with the time up to its last event, so that running
 * time counts whatever ended it. */
static kds_code close_killed_epoch(kds_campaign *c, kds_err *e)
{
    double lost = -1;
    kds_code code = kds_ledger_select(
        c->ledger,
        "SELECT (SELECT max(time) FROM events) - time AS ms, "
        "EXISTS (SELECT 1 FROM events s WHERE s.kind = 'STOP' AND s.seq > events.seq) AS stopped "
        "FROM events WHERE seq = (SELECT max(seq) FROM events WHERE kind = 'EPOCH')",
        NULL, keep_lost, &lost, e);
    if (code != KDS_OK || lost < 0)
        return code;
    cJSON *o = cJSON_CreateObject();
    bool ok = o && kds_json_add_str(o, "why", "interrupted") &&
              kds_json_add_str(o, "code", kds_code_name(KDS_STOPPED)) &&
              kds_json_add_num(o, "seconds", lost);
    code = ok ? kds_campaign_record(c, &(kds_record){"STOP", o}, 1, e) : out_of_memory(e);
    cJSON_Delete(o);
    return code;
}

kds_code kds_campaign_resume(kds_campaign **out, const char *archive_dir, const kds_settings *given,
                             kds_err *e)
{
    cJSON *campaign = NULL, *settings = NULL, *epoch = NULL;
    kds_settings *defaults = NULL;
    kds_code code = kds_settings_create(&defaults, e);
    kds_campaign *c = code == KDS_OK ? campaign_new(archive_dir, defaults) : NULL;
    kds_settings_free(defaults);
    if (!c)
        return code == KDS_OK ? out_of_memory(e) : code;
    c->resumed = true;
    code = kds_ledger_open(&c->ledger, archive_dir, KDS_LEDGER_WRITE, e);
    if (code == KDS_OK)
        code = kds_state_fold(c->ledger, c->state, &campaign, &settings, e);
    if (code == KDS_OK)
        code = merge_settings(c, settings, given, e);
    if (code == KDS_OK)
        code = kds_campaign_load_frozen(&c->task, c->dir, campaign, e);
    if (code == KDS_OK)
        code = open_parts(c, (uint64_t)kds_json_int(campaign, "gate_seed", 0), e);
    if (code == KDS_OK)
        code = check_device(c, campaign, e);
    if (code == KDS_OK)
        code = check_templates(c, campaign, e);
    if (code == KDS_OK)
        code = open_log(c, e);
    if (code == KDS_OK)
        code = close_killed_epoch(c, e);
    if (code == KDS_OK && !(epoch = epoch_body(c, "resume")))
        code = out_of_memory(e);
    if (code == KDS_OK)
        code = kds_campaign_record(c, &(kds_record){"EPOCH", epoch}, 1, e);
    cJSON_Delete(epoch);
    cJSON_Delete(campaign);
    cJSON_Delete(settings);
    if (code != KDS_OK) {
        kds_campaign_close(c);
        return code;
    }
    *out = c;
    return KDS_OK;
}
