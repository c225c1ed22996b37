/* Which variables the config may set, and what they contain. */
#include "source/fastcgi_params.h"

#include "base/byte.h"
#include "base/put.h"

/* Those that say what is asked for. HTTP_PROXY is what some programs take for their own setting. */
static const char *const refused[] = {
    "CONTENT_LENGTH",         "CONTENT_TYPE",       "DOCUMENT_URI",    "GATEWAY_INTERFACE",
    "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_PROXY",      "HTTP_TRACEPARENT",
    "HTTP_X_REQUEST_ID",      "QUERY_STRING",       "REQUEST_METHOD",  "REQUEST_URI",
    "SCRIPT_FILENAME",        "SCRIPT_NAME",        "SERVER_PROTOCOL",
};

static bool is_refused(struct slice name)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (slice_equal(name, slice_of(refused[i])))
            return true;
    return false;
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!byte_is_alnum(name.data[i]) && name.data[i] != '_')
            return false;
    return name.len > 0 && !byte_is_digit(name.data[0]);
}

struct slice fastcgi_param_name(const char *param)
{
    return (struct slice){.data = param, .len = strcspn(param, "=")};
}

struct slice fastcgi_param_value(const char *param)
{
    return slice_of(strchr(param, '=') + 1);
}

const char *fastcgi_param_check(const char *param)
{
    if (!strchr(param, '='))
        return "write NAME=VALUE, such as APP_ENV=production";
    struct slice name = fastcgi_param_name(param), value = fastcgi_param_value(param);
    if (!is_name(name))
        return "the name of a variable may have letters, digits and underscores only";
    if (is_refused(name))
        return "this variable can't be set: workerless sets it itself if it is needed";
    for (size_t i = 0; i < value.len; i++)
        if (!byte_is_of_field(value.data[i]))
            return "the value of a variable must not have line ends or other control characters";
    return NULL;
}

bool fastcgi_params_have(const char *const *params, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(fastcgi_param_name(params[i]), name))
            return true;
    return false;
}

bool fastcgi_params_repeat(const char *const *params, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fastcgi_params_have(params, i, fastcgi_param_name(params[i])))
            return true;
    return false;
}

struct slice fastcgi_variable_of(struct slice header, char out[FASTCGI_VARIABLE_ROOM])
{
    struct slice prefix = SLICE("HTTP_");
    if (header.len > FASTCGI_VARIABLE_ROOM - prefix.len)
        return SLICE("");
    char *at = put(out, prefix);
    for (size_t i = 0; i < header.len; i++)
        *at++ = header.data[i] == '-' ? '_' : byte_to_upper(header.data[i]);
    return (struct slice){.data = out, .len = (size_t)(at - out)};
}
