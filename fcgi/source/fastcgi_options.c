/* The options of the fastcgi source, and their checks. */
#include "source/fastcgi_options.h"

#include <stddef.h>
#include <stdio.h>

#include "base/address.h"
#include "source/fastcgi_params.h"
#include "source/fastcgi_script.h"
#include "source/fastcgi_settings.h"
#include "source/forward.h"
#include "source/template.h"

static const char *check_socket(const char *text)
{
    const char *path = address_path(text);
    if (path && *path && *path != '/')
        return "write an absolute path, such as unix:/run/php/php-fpm.sock";
    if (strncmp(text, "tcp:*:", strlen("tcp:*:")) == 0)
        return "write the address of the server, such as tcp:127.0.0.1:9000";
    return address_check(text);
}

const struct option fastcgi_options[FASTCGI_OPTIONS] = {
    {"socket", OPTION_STRING, OPTION_AT(struct fastcgi_settings, socket), .required = true,
     .check = check_socket,
     .help = "Where the FastCGI server listens: unix:PATH or tcp:HOST:PORT."},
    {"script", OPTION_STRING, OPTION_AT(struct fastcgi_settings, script), .required = true,
     .check = fastcgi_script_check,
     .help =
         "Absolute path of the script on the server. {name} is replaced by the fragment's name, "
         "{rest} by what the * of its route matches, {language} by that input. Other inputs "
         "reach the script as CGI variables."},
    {"params", OPTION_LIST, OPTION_AT(struct fastcgi_settings, params),
     .check = fastcgi_param_check, .secret = true,
     .help =
         "Further variables of each request, as NAME=VALUE, besides those of CGI. They are never "
         "logged."},
    {"timeout", OPTION_DURATION, OPTION_AT(struct fastcgi_settings, timeout), .preset = "10s",
     .min = "1ms", .max = "1d",
     .help = "Time limit for a complete call; over it, requests get 504."},
    {"connect_timeout", OPTION_DURATION, OPTION_AT(struct fastcgi_settings, connect_timeout),
     .preset = "3s", .min = "1ms", .max = "1d",
     .help = "How long a call may wait for its connection, for example while the server's backlog "
             "is full; over it, requests get 504."},
    {"retries", OPTION_COUNT, OPTION_AT(struct fastcgi_settings, retries), .preset = "0",
     .min = "0", .max = "5",
     .help = "How often a call is retried within its timeout if it gets no connection, a 502, 503 "
             "or 504, or FCGI_OVERLOADED."},
    {"max_body", OPTION_SIZE, OPTION_AT(struct fastcgi_settings, max_body), .preset = "1MiB",
     .min = "1B", .max = "1GiB",
     .help = "Maximum size of a response body; for larger ones, requests get 502."},
    {"connections", OPTION_COUNT, OPTION_AT(struct fastcgi_settings, settings.limits.connections),
     .preset = "5", .min = "1", .max = "65535",
     .help = "Maximum number of concurrent calls; more are queued. Set it to at most the number of "
             "the server's processes (pm.max_children of php-fpm)."},
    {"keep_connections", OPTION_COUNT, OPTION_AT(struct fastcgi_settings, keep_connections),
     .preset = "0", .min = "0", .max = "65535",
     .help = "Maximum number of idle connections that are kept open. Each occupies a process of "
             "php-fpm."},
};

_Static_assert(offsetof(struct fastcgi_settings, param_count) ==
                   offsetof(struct fastcgi_settings, params) + sizeof(char **),
               "a list is followed by its count");

static const struct fastcgi_settings *settings_of(const struct source_settings *settings)
{
    return (const struct fastcgi_settings *)settings;
}

const char *fastcgi_check(const struct source_settings *common, const char **option)
{
    const struct fastcgi_settings *settings = settings_of(common);
    if (fastcgi_params_repeat(settings->params, settings->param_count)) {
        *option = "params";
        return "two of its params have the same name";
    }
    if (settings->keep_connections > common->limits.connections) {
        *option = "keep_connections";
        return "keep_connections must not be more than connections";
    }
    return NULL;
}

const char *fastcgi_uses_rest(const struct source_settings *settings)
{
    const char *script = settings_of(settings)->script;
    return script && template_has(script, TEMPLATE_REST) ? "script" : NULL;
}

/* The variable that the input is sent in; empty if `params` may have it. */
static struct slice variable_of(const struct input *input, char room[FASTCGI_VARIABLE_ROOM])
{
    switch (input->kind) {
    case INPUT_QUERY:
        break;
    case INPUT_COOKIE:
        return SLICE("HTTP_COOKIE");
    case INPUT_HEADER:
        return fastcgi_variable_of(input->name, room);
    case INPUT_LANGUAGE:
        return SLICE("HTTP_ACCEPT_LANGUAGE");
    case INPUT_HOST:
        return SLICE("HTTP_HOST");
    }
    return SLICE("");
}

bool fastcgi_check_rules(const struct source_settings *common, const struct source_rules *rules,
                         char why[SOURCE_WHY_ROOM])
{
    const struct fastcgi_settings *settings = settings_of(common);
    char room[FASTCGI_VARIABLE_ROOM];
    if (!settings->script)
        return true; /* which is reported for the source */
    for (size_t i = 0; i < rules->vary.count; i++) {
        struct slice name = variable_of(&rules->vary.inputs[i], room);
        if (!fastcgi_params_have(settings->params, settings->param_count, name))
            continue;
        snprintf(why, SOURCE_WHY_ROOM,
                 "whose params include %.*s, which is also sent for an input; remove one of them",
                 SLICE_ARGS(name));
        return false;
    }
    return forward_check_named("script", settings->script, &rules->vary, why);
}

size_t fastcgi_descriptors(const struct source_settings *settings)
{
    return settings->limits.connections;
}

double fastcgi_timeout(const struct source_settings *settings)
{
    return settings_of(settings)->timeout;
}
