/* Finds the daemon by the config, and turns failures into sentences that say what to do. */
#include "cli/daemon.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/cgi.h"
#include "conf/conf.h"

__attribute__((format(printf, 3, 4))) static int fail(struct daemon *daemon, int status,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(daemon->why, sizeof daemon->why, format, arguments);
    va_end(arguments);
    return status;
}

int daemon_report(const struct daemon *daemon, int status)
{
    fflush(stdout);
    fprintf(stderr, "workerless: %s\n", daemon->why);
    return status;
}

int daemon_exit_status(int status)
{
    if ((status >= 200 && status < 300) || status == 304)
        return CLI_OK;
    return status >= 500 ? CLI_UNAVAILABLE : status >= 400 ? CLI_REJECTED : CLI_FAILED;
}

/* --- the config --- */

/* Prints the errors of a config, but not the warnings of one that is good: the daemon has logged
 * those. */
static struct conf *load_quietly(const char *file, bool print)
{
    char *text = NULL;
    size_t len = 0;
    FILE *errors = open_memstream(&text, &len);
    if (!errors)
        return NULL;
    struct conf *conf = conf_load(file, errors);
    fclose(errors);
    if (!conf && print)
        fputs(text, stderr);
    free(text);
    return conf;
}

int daemon_open(struct daemon *daemon, const struct arguments *arguments, double silence)
{
    bool needed = !arguments->socket || arguments->config_given;
    *daemon = (struct daemon){.arguments = arguments, .silence = silence};
    if (arguments->timeout != ARGUMENTS_NOT_GIVEN)
        daemon->silence = arguments->timeout;
    const char *wrong = arguments->socket ? sockets_check_address(arguments->socket) : NULL;
    if (arguments->socket && strncmp(arguments->socket, "fd:", 3) == 0)
        wrong = "write unix:PATH or tcp:HOST:PORT";
    if (wrong) {
        fail(daemon, CLI_USAGE, "--socket %s: %s", arguments->socket, wrong);
        return daemon_report(daemon, CLI_USAGE);
    }
    daemon->conf = load_quietly(arguments->config, needed);
    if (daemon->conf || !needed)
        return CLI_OK;
    if (arguments->socket)
        return CLI_FAILED;
    fail(daemon, CLI_FAILED,
         "the config cannot be used; to reach the daemon without it, name its socket: --socket "
         "unix:PATH");
    return daemon_report(daemon, CLI_FAILED);
}

void daemon_close(struct daemon *daemon)
{
    conf_free(daemon->conf);
    daemon->conf = NULL;
}

/* --- rights --- */

static const struct {
    const char *option, *what;
} rights[] = {
    [RIGHT_STATUS] = {"status", "read its status"},
    [RIGHT_PURGE] = {"purge", "purge"},
};

static const struct client_list *list_of(const struct conf *conf, enum daemon_right right)
{
    return right == RIGHT_STATUS ? &conf->status : &conf->purge;
}

/* Writes the address to claim: the first that the config lists, of a network its first one. */
static int claim(struct daemon *daemon, enum daemon_right right, char address[DAEMON_CLIENT_MAX])
{
    snprintf(address, DAEMON_CLIENT_MAX, "127.0.0.1");
    if (right == RIGHT_NONE || !daemon->conf)
        return CLI_OK;
    const struct client_list *list = list_of(daemon->conf, right);
    if (list->count == 0)
        return fail(daemon, CLI_FAILED,
                    "the daemon lets nobody %s, since the option \"%s\" is not set; add %s = "
                    "{\"127.0.0.1\"} to %s, and reload it",
                    rights[right].what, rights[right].option, rights[right].option,
                    daemon->arguments->config);
    snprintf(address, DAEMON_CLIENT_MAX, "%s", list->addresses[0]);
    address[strcspn(address, "/")] = '\0';
    return CLI_OK;
}

static int fail_forbidden(struct daemon *daemon, enum daemon_right right)
{
    char address[DAEMON_CLIENT_MAX];
    if (claim(daemon, right, address) != CLI_OK)
        return CLI_FAILED;
    return fail(daemon, CLI_FAILED, "the daemon refuses: its option \"%s\" does not list %s%s",
                rights[right].option, address,
                daemon->conf ? "; reload the daemon if its config has been changed"
                             : "; name its config with -c");
}

/* --- requests --- */

static int fail_connect(struct daemon *daemon, const char *address, const char *why)
{
    return fail(daemon, CLI_FAILED,
                "cannot connect to %s: %s. Is the daemon running, and may you write to its "
                "socket?%s",
                address, why,
                daemon->arguments->socket
                    ? ""
                    : " If it has inherited its socket, name that with --socket.");
}

/* Sends it to that address. Returns CLIENT_UNREACHABLE if another one may be tried. */
static enum client_result exchange(struct daemon *daemon, const struct client_exchange *exchange,
                                   int *status)
{
    char why[CLIENT_WHY_ROOM];
    enum client_result result = client_exchange(exchange, why);
    switch (result) {
    case CLIENT_DONE:
    case CLIENT_STOPPED:
        *status = CLI_OK;
        break;
    case CLIENT_UNREACHABLE:
        *status = fail_connect(daemon, exchange->address, why);
        break;
    case CLIENT_TIMED_OUT:
        *status = fail(daemon, CLI_TIMED_OUT, "the daemon at %s %s", exchange->address, why);
        break;
    case CLIENT_FAILED:
        *status = fail(daemon, CLI_FAILED, "%s %s", exchange->address, why);
        break;
    }
    return result;
}

static int try_addresses(struct daemon *daemon, struct client_exchange *one)
{
    int status = CLI_FAILED;
    fail(daemon, status,
         "the config only has sockets that the daemon inherits; name one with --socket unix:PATH");
    if (daemon->arguments->socket) {
        one->address = daemon->arguments->socket;
        exchange(daemon, one, &status);
        return status;
    }
    const struct listener_settings *listen = &daemon->conf->listen;
    for (size_t i = 0; i < listen->count; i++) {
        if (strncmp(listen->addresses[i], "fd:", 3) == 0)
            continue;
        one->address = listen->addresses[i];
        if (exchange(daemon, one, &status) != CLIENT_UNREACHABLE)
            break;
    }
    return status;
}

int daemon_ask(struct daemon *daemon, const struct daemon_request *request)
{
    const struct arguments *arguments = daemon->arguments;
    const char *headers[ARGUMENTS_HEADERS_MAX + 1];
    char address[DAEMON_CLIENT_MAX];
    size_t count = arguments->header_count;
    struct cgi cgi;
    int status = claim(daemon, request->right, address);
    if (status != CLI_OK)
        return status;
    memcpy(headers, arguments->headers, sizeof arguments->headers);
    if (request->header)
        headers[count++] = request->header;
    const char *wrong = cgi_set(&cgi, request->method, request->target, address, headers, count);
    if (wrong)
        status = fail(daemon, CLI_USAGE, "%s", wrong);
    else
        status = try_addresses(daemon, &(struct client_exchange){.variables = cgi.variables,
                                                                 .variable_count = cgi.count,
                                                                 .silence = daemon->silence,
                                                                 .head = request->head,
                                                                 .body = request->body,
                                                                 .context = request->context});
    cgi_free(&cgi);
    return status;
}

static bool on_head(void *context, int status, struct slice head)
{
    struct daemon_response *response = context;
    (void)head;
    response->status = status;
    return true;
}

static bool on_body(void *context, struct slice body)
{
    struct daemon_response *response = context;
    if (buffer_append(&response->body, body.data, body.len, DAEMON_BODY_MAX))
        return true;
    response->status = 0;
    return false;
}

int daemon_fetch(struct daemon *daemon, const struct daemon_request *request,
                 struct daemon_response *response)
{
    struct daemon_request collecting = *request;
    *response = (struct daemon_response){0};
    collecting.head = on_head;
    collecting.body = on_body;
    collecting.context = response;
    int status = daemon_ask(daemon, &collecting);
    if (status != CLI_OK)
        return status;
    if (response->status == 0)
        return fail(daemon, CLI_FAILED, "the response of the daemon is too large");
    if (response->status == 403 && request->right != RIGHT_NONE)
        return fail_forbidden(daemon, request->right);
    return CLI_OK;
}

int daemon_print(const struct daemon_response *response)
{
    int status = daemon_exit_status(response->status);
    if (status != CLI_OK) {
        fprintf(stderr, "workerless: the daemon answers with status %d\n", response->status);
        return status;
    }
    fwrite(response->body.data, 1, response->body.len, stdout);
    if (fflush(stdout) == 0)
        return CLI_OK;
    perror("workerless: cannot write the response");
    return CLI_FAILED;
}

void daemon_response_free(struct daemon_response *response)
{
    buffer_free(&response->body);
}
