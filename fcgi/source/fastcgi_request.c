/* Variables of a request, and the records around them. */
#include "source/fastcgi_request.h"

#include "config.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "fastcgi/params.h"
#include "fastcgi/record.h"
#include "source/fastcgi_params.h"
#include "source/fastcgi_script.h"
#include "source/forward.h"
#include "source/terms.h"
#include "source/trace.h"
#include "source/url.h"

/* The variables of one request. */
struct variables {
    const struct fastcgi_settings *settings;
    const struct source_request *request;
    struct buffer pairs;
    bool failed; /* out of memory */
};

static bool append(struct buffer *out, struct slice text)
{
    return buffer_append(out, text.data, text.len, SIZE_MAX);
}

static void add(struct variables *variables, struct slice name, struct slice value)
{
    char lengths[PARAMS_LENGTHS_MAX];
    struct slice head = {.data = lengths,
                         .len = params_encode_lengths(lengths, name.len, value.len)};
    if (!variables->failed)
        variables->failed = !append(&variables->pairs, head) || !append(&variables->pairs, name) ||
                            !append(&variables->pairs, value);
}

/* Adds one that the option `params` may replace. */
static void add_default(struct variables *variables, struct slice name, struct slice value)
{
    const struct fastcgi_settings *settings = variables->settings;
    if (!fastcgi_params_have(settings->params, settings->param_count, name))
        add(variables, name, value);
}

static void add_fixed(struct variables *variables)
{
    static const struct {
        struct slice name, value;
    } fixed[] = {
        {SLICE_INIT("GATEWAY_INTERFACE"), SLICE_INIT("CGI/1.1")},
        {SLICE_INIT("SERVER_PROTOCOL"), SLICE_INIT("HTTP/1.1")},
        {SLICE_INIT("REQUEST_METHOD"), SLICE_INIT("GET")},
        {SLICE_INIT("SERVER_SOFTWARE"), SLICE_INIT("workerless/" PACKAGE_VERSION)},
        {SLICE_INIT("SERVER_ADDR"), SLICE_INIT("127.0.0.1")},
        {SLICE_INIT("SERVER_PORT"), SLICE_INIT("80")},
        {SLICE_INIT("REMOTE_ADDR"), SLICE_INIT("127.0.0.1")},
        {SLICE_INIT("REDIRECT_STATUS"), SLICE_INIT("200")}, /* which php-cgi requires */
    };
    const struct fastcgi_settings *settings = variables->settings;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        add_default(variables, fixed[i].name, fixed[i].value);
    for (size_t i = 0; i < settings->param_count; i++)
        add(variables, fastcgi_param_name(settings->params[i]),
            fastcgi_param_value(settings->params[i]));
}

/* DOCUMENT_ROOT and SCRIPT_NAME together are SCRIPT_FILENAME. */
static void add_script(struct variables *variables, struct slice script)
{
    struct slice root = fastcgi_script_root(variables->settings->script);
    add(variables, SLICE("SCRIPT_FILENAME"), script);
    add(variables, SLICE("SCRIPT_NAME"), slice_from(script, root.len));
    add_default(variables, SLICE("DOCUMENT_ROOT"), root);
}

/* The path is that of the fragment, so that a front controller can read it. */
static void add_uri(struct variables *variables)
{
    struct buffer path = {0};
    char *uri = url_expand("/fragment/{name}", variables->request);
    if (!uri || !append(&path, SLICE("/fragment/")) || !append(&path, variables->request->name)) {
        variables->failed = true;
    } else {
        const char *query = strchr(uri, '?');
        add(variables, SLICE("REQUEST_URI"), slice_of(uri));
        add(variables, SLICE("DOCUMENT_URI"), buffer_slice(&path));
        add(variables, SLICE("QUERY_STRING"), slice_of(query ? query + 1 : ""));
    }
    buffer_free(&path);
    free(uri);
}

static void add_cookies(struct variables *variables)
{
    struct buffer cookies = {0};
    if (!forward_append_cookies(&cookies, variables->settings->script, variables->request->inputs))
        variables->failed = true;
    else if (cookies.len > 0)
        add(variables, SLICE("HTTP_COOKIE"), buffer_slice(&cookies));
    buffer_free(&cookies);
}

/* A Host without its port, but with the brackets of an IPv6 address (RFC 3875 4.1.14). */
static struct slice without_port(struct slice host)
{
    size_t len = host.len;
    while (len > 0 && host.data[len - 1] >= '0' && host.data[len - 1] <= '9')
        len--;
    if (len > 0 && host.data[len - 1] == ':')
        host.len = len - 1;
    return host;
}

static void add_input(struct variables *variables, const struct input *input, struct slice value)
{
    char room[FASTCGI_VARIABLE_ROOM];
    switch (input->kind) {
    case INPUT_QUERY:
    case INPUT_COOKIE:
        break;
    case INPUT_HEADER:
        add(variables, fastcgi_variable_of(input->name, room), slice_trim(value));
        break;
    case INPUT_LANGUAGE:
        add(variables, SLICE("HTTP_ACCEPT_LANGUAGE"), value);
        break;
    case INPUT_HOST:
        add(variables, SLICE("HTTP_HOST"), value);
        add_default(variables, SLICE("SERVER_NAME"), without_port(value));
        break;
    }
}

static void add_inputs(struct variables *variables)
{
    struct inputs_reader reader = inputs_read(variables->request->inputs);
    const struct input *input;
    struct slice value;
    bool has_host = false;
    while ((input = forward_next(variables->settings->script, &reader, &value))) {
        has_host = has_host || input->kind == INPUT_HOST;
        add_input(variables, input, value);
    }
    if (!has_host)
        add_default(variables, SLICE("SERVER_NAME"), SLICE("localhost"));
}

/* What is behind the name of a field: ": VALUE". */
static struct slice value_of(const char *field)
{
    return slice_of(strchr(field, ':') + 2);
}

static void add_trace(struct variables *variables, uint64_t *random)
{
    char id[TRACE_ID_ROOM], parent[TRACE_PARENT_ROOM];
    trace_write_id(variables->request->request_id, random, id);
    trace_write_parent(variables->request->traceparent, random, parent);
    add(variables, SLICE("HTTP_X_REQUEST_ID"), value_of(id));
    add(variables, SLICE("HTTP_TRACEPARENT"), value_of(parent));
}

/* Asks for the result only if it has changed (RFC 9110 13.1.2, 13.1.3). Returns whether it does. */
static bool add_conditions(struct variables *variables)
{
    struct slice etag = variables->request->etag, date = variables->request->last_modified;
    bool by_etag = etag.len > 0 && etag.len <= TERMS_ETAG_MAX;
    bool by_date = date.len > 0 && date.len <= TERMS_DATE_MAX;
    if (by_etag)
        add(variables, SLICE("HTTP_IF_NONE_MATCH"), etag);
    if (by_date)
        add(variables, SLICE("HTTP_IF_MODIFIED_SINCE"), date);
    return by_etag || by_date;
}

/* Returns false when out of memory. */
static bool wrap(struct buffer *records, struct slice pairs, bool keep)
{
    size_t len = RECORD_BEGIN_LEN + record_stream_len(pairs.len) + record_stream_len(0);
    char *out = records->data = alloc_bytes(len);
    if (!out)
        return false;
    records->len = records->capacity = len;
    out += record_encode_begin(out, FASTCGI_REQUEST_ID, keep);
    out += record_encode_stream(out, FCGI_PARAMS, FASTCGI_REQUEST_ID, pairs);
    record_encode_stream(out, FCGI_STDIN, FASTCGI_REQUEST_ID, SLICE(""));
    return true;
}

bool fastcgi_request_write(struct fastcgi_request *out, const struct fastcgi_settings *settings,
                           const struct source_request *request, uint64_t *random)
{
    struct variables variables = {.settings = settings, .request = request};
    *out = (struct fastcgi_request){.refusal = forward_refuse(settings->script, request->inputs)};
    out->script = fastcgi_script_expand(settings->script, request, &out->refusal);
    if (out->refusal || !out->script)
        return out->refusal != NULL;
    add_fixed(&variables);
    add_script(&variables, slice_of(out->script));
    add_uri(&variables);
    add_cookies(&variables);
    add_inputs(&variables);
    add_trace(&variables, random);
    out->is_conditional = add_conditions(&variables);
    bool ok = !variables.failed &&
              wrap(&out->records, buffer_slice(&variables.pairs), settings->keep_connections > 0);
    buffer_free(&variables.pairs);
    return ok;
}

void fastcgi_request_free(struct fastcgi_request *request)
{
    buffer_free(&request->records);
    free(request->script);
    *request = (struct fastcgi_request){0};
}
