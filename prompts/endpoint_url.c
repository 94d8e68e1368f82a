/* The endpoint's URL: only http and https, no credentials, no query, "/chat/completions" or
 * "/messages" appended once. A refused URL is not shown if it may hold a password. */
#include "prompts/endpoint_internal.h"
#include "search/base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Whether a host is this machine: a name reserved for it, or an address of its loopback net. */
static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    char inner[64];
    size_t n = strlen(host);
    if (strcasecmp(host, "localhost") == 0 || kds_text_ends_with(host, ".localhost"))
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (n < 3 || n >= sizeof inner || host[0] != '[')
        return false;
    snprintf(inner, sizeof inner, "%.*s", (int)(n - 2), host + 1);
    return inet_pton(AF_INET6, inner, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Reads one part; NULL if it is absent. Freed with curl_free. */
static char *part(CURLU *u, CURLUPart what)
{
    char *s = NULL;
    return curl_url_get(u, what, &s, 0) == CURLUE_OK ? s : NULL;
}

/* The path with the tail put on, unless somebody gave it already. */
static kds_code append_tail(CURLU *u, const char *tail, kds_err *e)
{
    char *path = part(u, CURLUPART_PATH);
    kds_buf b;
    kds_buf_init(&b, 8192);
    kds_buf_puts(&b, path ? path : "");
    curl_free(path);
    while (b.len > 0 && b.data[b.len - 1] == '/')
        b.data[--b.len] = '\0';
    if (!kds_text_ends_with(b.data, tail))
        kds_buf_puts(&b, tail);
    kds_code code = kds_buf_check(&b, "the path of the endpoint's URL", e);
    if (code == KDS_OK && curl_url_set(u, CURLUPART_PATH, b.data, 0) != CURLUE_OK)
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_buf_free(&b);
    return code;
}

static kds_code check_parts(CURLU *u, const char *base, kds_endpoint_url *out, kds_err *e)
{
    char *scheme = part(u, CURLUPART_SCHEME), *host = part(u, CURLUPART_HOST);
    char *user = part(u, CURLUPART_USER), *password = part(u, CURLUPART_PASSWORD);
    char *query = part(u, CURLUPART_QUERY), *fragment = part(u, CURLUPART_FRAGMENT);
    kds_code code = KDS_OK;
    if (user || password)
        code = kds_fail(e, KDS_INVALID,
                        "the endpoint's URL holds credentials; take them out and name the "
                        "environment variable that holds the key with key-env");
    else if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        code = kds_fail(e, KDS_INVALID, "the endpoint's URL %s is not http or https", base);
    else if (query || fragment)
        code = kds_fail(e, KDS_INVALID,
                        "the endpoint's URL has a %s; give the base only, such as "
                        "http://127.0.0.1:8000/v1",
                        query ? "query ('?')" : "fragment ('#')");
    else if (!host || !*host)
        code = kds_fail(e, KDS_INVALID, "the endpoint's URL %s names no host", base);
    if (code == KDS_OK) {
        out->secure = strcmp(scheme, "https") == 0;
        out->loopback = is_loopback(host);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_free(password);
    curl_free(query);
    curl_free(fragment);
    return code;
}

kds_code kds_endpoint_url_read(kds_endpoint_url *out, const char *base, bool messages, kds_err *e)
{
    kds_endpoint_url r = {NULL, NULL, false, false};
    char *full = NULL, *host = NULL, *port = NULL;
    if (!base || !*base)
        return kds_fail(e, KDS_INVALID,
                        "no URL for the endpoint; give its base, such as http://127.0.0.1:8000/v1");
    CURLU *u = curl_url();
    if (!u)
        return kds_fail(e, KDS_NO_MEMORY, "out of memory");
    kds_code code = KDS_OK;
    CURLUcode bad = curl_url_set(u, CURLUPART_URL, base, 0);
    if (bad == CURLUE_UNSUPPORTED_SCHEME)
        code = kds_fail(e, KDS_INVALID,
                        "the endpoint's URL does not begin with http:// or https://; a full one "
                        "looks like http://127.0.0.1:8000/v1");
    else if (bad != CURLUE_OK)
        code = kds_fail(e, KDS_INVALID,
                        "the endpoint's URL%s%s cannot be read (%s); a full one looks like "
                        "http://127.0.0.1:8000/v1",
                        strchr(base, '@') ? "" : " ", strchr(base, '@') ? "" : base,
                        curl_url_strerror(bad));
    if (code == KDS_OK)
        code = check_parts(u, base, &r, e);
    if (code == KDS_OK)
        code = append_tail(u, messages ? "/messages" : "/chat/completions", e);
    if (code != KDS_OK)
        goto out;
    full = part(u, CURLUPART_URL);
    host = part(u, CURLUPART_HOST);
    port = part(u, CURLUPART_PORT);
    if (full && host) {
        r.full = strdup(full);
        if (asprintf(&r.host, "%s%s%s", host, port ? ":" : "", port ? port : "") < 0)
            r.host = NULL;
    }
    if (!r.full || !r.host) {
        free(r.full);
        free(r.host);
        code = kds_fail(e, KDS_NO_MEMORY, "out of memory");
        goto out;
    }
    *out = r;
out:
    curl_free(full);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return code;
}

void kds_location_host(const char *location, char *out, size_t size)
{
    CURLU *u = curl_url();
    char *host = NULL;
    if (u && curl_url_set(u, CURLUPART_URL, location, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
        host = part(u, CURLUPART_HOST);
    if (host)
        kds_text_escape_into(out, size, host, strlen(host), false);
    else
        snprintf(out, size, "the same host");
    curl_free(host);
    curl_url_cleanup(u);
}
