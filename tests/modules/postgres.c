/* Fragments from PostgreSQL: each call is one query, on the loop of workerless.
 *
 *     source "db" {
 *         type = "module"
 *         file = "postgres.so"
 *         settings = {
 *             "connect = host=/run/postgresql dbname=shop user=web",
 *             "query = SELECT html FROM cards WHERE city = $1 AND lang = $2",
 *             "parameters = query:city language",
 *         }
 *     }
 *
 * The first column of the first row is the fragment, and the second one, if there is one, its
 * Cache-Control. No row: there is no such fragment. $1, $2 and so on are what `parameters` lists:
 * name, rest, host, language, query:NAME, cookie:NAME or header:NAME; an absent one is NULL.
 *
 * A call has a connection for itself, and a connection without a call waits for the next one:
 *
 *     CONNECTING --> QUERYING --> IDLE --> QUERYING ...
 *
 * A cancelled call closes its connection: libpq's way to cancel would block. (The server ends the
 * query when it notices: set client_connection_check_interval or statement_timeout there.) If an
 * idle connection turns out to be dead, the query is sent again on a new one, once. `connect` should
 * name a host by its address or its socket, since libpq would block the loop to resolve a name. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ev.h>
#include <libpq-fe.h>
#include <workerless/source.h>

#define PARAMETERS_MAX 16

struct parameter {
    bool is_name, is_rest; /* else an input */
    enum workerless_input_kind kind;
    const char *name; /* of the input; NULL: the only one of its kind */
};

enum state { CONNECTING, QUERYING, IDLE };

struct connection {
    struct connection *next, *prev; /* in database->idle */
    struct database *database;
    struct workerless_call *call; /* NULL while IDLE */
    PGconn *pg;
    PGresult *result; /* of the call: its first row, or how it ended; NULL: nothing yet */
    ev_io io;
    enum state state;
    bool is_new; /* this is its first call */
};

struct database {
    const struct workerless_source *source;
    const char *connect, *query, *type;
    struct parameter parameters[PARAMETERS_MAX];
    size_t parameter_count;
    char *names; /* of the parameters; owned */
    struct connection *idle;
};

/* --- settings --- */

static const char *const keys[] = {"connect", "query", "parameters", "type"};

static int fail(char *why, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, size, format, arguments);
    va_end(arguments);
    return -1;
}

/* Reads one word of `parameters`, which it may write to. */
static bool parse_parameter(char *word, struct parameter *parameter)
{
    static const char *const kinds[] = {"query", "cookie", "header", "language", "host"};
    char *colon = strchr(word, ':');
    *parameter = (struct parameter){.is_name = strcmp(word, "name") == 0,
                                    .is_rest = strcmp(word, "rest") == 0};
    if (parameter->is_name || parameter->is_rest)
        return true;
    if (colon)
        *colon = '\0';
    parameter->name = colon ? colon + 1 : NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(word, kinds[i]) == 0) {
            parameter->kind = (enum workerless_input_kind)i;
            return (i <= WORKERLESS_HEADER) == (colon != NULL);
        }
    return false;
}

/* Reads the list, which stays in database->names. */
static int parse_parameters(struct database *database, const char *list, char *why, size_t size)
{
    if (!(database->names = strdup(list)))
        return fail(why, size, "out of memory");
    for (char *rest = database->names, *word; (word = strsep(&rest, " \t"));) {
        if (!*word)
            continue;
        if (database->parameter_count == PARAMETERS_MAX)
            return fail(why, size, "more than %d parameters", PARAMETERS_MAX);
        if (!parse_parameter(word, &database->parameters[database->parameter_count++]))
            return fail(why, size, "\"%s\" is not a parameter", word);
    }
    return 0;
}

static int postgres_check(const struct workerless_setting *settings, size_t count, char *why,
                          size_t size)
{
    struct database database = {0};
    char *problem = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t known = 0;
        while (known < sizeof keys / sizeof *keys && strcmp(keys[known], settings[i].key) != 0)
            known++;
        if (known == sizeof keys / sizeof *keys)
            return fail(why, size, "there is no setting \"%s\"", settings[i].key);
    }
    if (!workerless_setting(settings, count, "query", NULL))
        return fail(why, size, "write a query");
    PQconninfoOption *options =
        PQconninfoParse(workerless_setting(settings, count, "connect", ""), &problem);
    if (!options)
        fail(why, size, "connect: %s", problem ? problem : "out of memory");
    PQconninfoFree(options);
    PQfreemem(problem);
    if (!options)
        return -1;
    int result =
        parse_parameters(&database, workerless_setting(settings, count, "parameters", "name"), why,
                         size);
    free(database.names);
    return result;
}

/* --- connections --- */

static void advance(struct connection *connection);

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)events;
    advance(io->data);
}

/* Waits for these events of the connection's socket, which may have changed. */
static void watch(struct connection *connection, int events)
{
    struct ev_loop *loop = connection->database->source->loop;
    ev_io_stop(loop, &connection->io);
    ev_io_set(&connection->io, PQsocket(connection->pg), events);
    ev_io_start(loop, &connection->io);
}

static void unlist(struct connection *connection)
{
    if (connection->state != IDLE)
        return;
    if (connection->prev)
        connection->prev->next = connection->next;
    else
        connection->database->idle = connection->next;
    if (connection->next)
        connection->next->prev = connection->prev;
}

static void connection_close(struct connection *connection)
{
    unlist(connection);
    ev_io_stop(connection->database->source->loop, &connection->io);
    PQclear(connection->result);
    PQfinish(connection->pg);
    free(connection);
}

/* It waits for another call; should it be closed meanwhile, that can be read. */
static void make_idle(struct connection *connection)
{
    struct database *database = connection->database;
    connection->state = IDLE;
    connection->is_new = false;
    connection->prev = NULL;
    connection->next = database->idle;
    if (database->idle)
        database->idle->prev = connection;
    database->idle = connection;
    watch(connection, EV_READ);
}

/* --- the end of a call --- */

static void complete(struct connection *connection, const struct workerless_result *result)
{
    uint64_t id = connection->call->id;
    connection->call = NULL;
    connection->database->source->host->done(id, result);
}

/* The first line of libpq's message is the reason. The connection is closed. */
static void fail_call(struct connection *connection, const char *message)
{
    char reason[300];
    snprintf(reason, sizeof reason, "PostgreSQL: %.*s", (int)strcspn(message, "\n"), message);
    complete(connection,
             &(struct workerless_result){.status = WORKERLESS_FAILED, .reason = reason});
    connection_close(connection);
}

static void report(struct connection *connection, const PGresult *rows)
{
    char reason[300];
    struct workerless_result result = {.status = WORKERLESS_OK, .type = connection->database->type};
    ExecStatusType status = PQresultStatus(rows);
    if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK) {
        const char *message = PQresultErrorField(rows, PG_DIAG_MESSAGE_PRIMARY);
        snprintf(reason, sizeof reason, "PostgreSQL: %s", message ? message : "not a query");
        result = (struct workerless_result){.status = WORKERLESS_FAILED, .reason = reason};
    } else if (PQntuples(rows) == 0 || PQnfields(rows) == 0 || PQgetisnull(rows, 0, 0)) {
        result.status = WORKERLESS_NOT_FOUND;
    } else {
        result.body = PQgetvalue(rows, 0, 0);
        result.body_len = (size_t)PQgetlength(rows, 0, 0);
        if (PQnfields(rows) > 1 && !PQgetisnull(rows, 0, 1))
            result.cache_control = PQgetvalue(rows, 0, 1);
    }
    complete(connection, &result);
}

/* --- the way of a call --- */

static void begin(struct database *database, struct workerless_call *call);

static const char *value_of(const struct parameter *parameter, const struct workerless_call *call)
{
    if (parameter->is_name)
        return call->name.data;
    if (parameter->is_rest)
        return call->rest.data;
    return workerless_input(call, parameter->kind, parameter->name).data;
}

static void lose(struct connection *connection);

static void send_query(struct connection *connection)
{
    struct database *database = connection->database;
    const char *values[PARAMETERS_MAX];
    for (size_t i = 0; i < database->parameter_count; i++)
        values[i] = value_of(&database->parameters[i], connection->call);
    connection->state = QUERYING;
    if (!PQsendQueryParams(connection->pg, database->query, (int)database->parameter_count, NULL,
                           values, NULL, NULL, 0)) {
        lose(connection);
        return;
    }
    PQsetSingleRowMode(connection->pg); /* so that a large table does not have to fit into memory */
    watch(connection, PQflush(connection->pg) == 1 ? EV_READ | EV_WRITE : EV_READ);
}

static void continue_connecting(struct connection *connection)
{
    ev_io_stop(connection->database->source->loop,
               &connection->io); /* libpq may close its socket */
    switch (PQconnectPoll(connection->pg)) {
    case PGRES_POLLING_READING:
        watch(connection, EV_READ);
        break;
    case PGRES_POLLING_WRITING:
        watch(connection, EV_WRITE);
        break;
    case PGRES_POLLING_OK:
        if (PQsetnonblocking(connection->pg, 1) == 0)
            send_query(connection);
        else
            fail_call(connection, PQerrorMessage(connection->pg));
        break;
    default:
        fail_call(connection, PQerrorMessage(connection->pg));
        break;
    }
}

static bool has_row(const struct connection *connection)
{
    return connection->result && PQresultStatus(connection->result) == PGRES_SINGLE_TUPLE;
}

/* The server has closed the connection. A call on one that was idle may not even have reached it. */
static void lose(struct connection *connection)
{
    struct database *database = connection->database;
    struct workerless_call *call = connection->call;
    if (!call) {
        connection_close(connection);
    } else if (connection->is_new || has_row(connection)) {
        fail_call(connection, PQerrorMessage(connection->pg));
    } else {
        connection_close(connection);
        while (database->idle) /* are probably lost, too */
            connection_close(database->idle);
        begin(database, call);
    }
}

static bool is_copy(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COPY_OUT || status == PGRES_COPY_IN || status == PGRES_COPY_BOTH;
}

/* Of the rows, the first one stays, unless there is an error after it. */
static void keep(struct connection *connection, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (has_row(connection) && (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK)) {
        PQclear(result);
        return;
    }
    PQclear(connection->result);
    connection->result = result;
}

static void continue_query(struct connection *connection)
{
    int unsent = PQflush(connection->pg);
    if (unsent < 0 || !PQconsumeInput(connection->pg) ||
        PQstatus(connection->pg) == CONNECTION_BAD) {
        lose(connection);
        return;
    }
    watch(connection, unsent ? EV_READ | EV_WRITE : EV_READ);
    while (!PQisBusy(connection->pg)) {
        PGresult *result = PQgetResult(connection->pg);
        bool copies = result && is_copy(result);
        if (result)
            keep(connection, result);
        if (copies) {
            fail_call(connection, "COPY is not a query");
            return;
        }
        if (result)
            continue;
        if (PQstatus(connection->pg) == CONNECTION_BAD) {
            lose(connection);
            return;
        }
        result = connection->result;
        connection->result = NULL;
        report(connection, result);
        PQclear(result);
        make_idle(connection);
        return;
    }
}

static void advance(struct connection *connection)
{
    if (connection->state == CONNECTING)
        continue_connecting(connection);
    else if (connection->state == QUERYING)
        continue_query(connection);
    else if (!PQconsumeInput(connection->pg) || PQstatus(connection->pg) == CONNECTION_BAD)
        lose(connection);
}

/* Gives the call a connection. */
static void begin(struct database *database, struct workerless_call *call)
{
    struct connection *connection = database->idle;
    if (connection) {
        unlist(connection);
    } else {
        connection = calloc(1, sizeof *connection);
        if (connection)
            connection->pg = PQconnectStart(database->connect);
        if (!connection || !connection->pg) {
            free(connection);
            database->source->host->done(call->id,
                                         &(struct workerless_result){.status = WORKERLESS_FAILED,
                                                                     .reason = "out of memory"});
            return;
        }
        connection->database = database;
        connection->is_new = true;
        ev_init(&connection->io, on_io);
        connection->io.data = connection;
        connection->state = CONNECTING;
    }
    connection->call = call;
    call->data = connection;
    if (connection->state == IDLE)
        send_query(connection);
    else if (PQstatus(connection->pg) == CONNECTION_BAD)
        fail_call(connection, PQerrorMessage(connection->pg));
    else
        watch(connection, EV_WRITE);
}

/* --- the module --- */

static void postgres_close(void *instance)
{
    struct database *database = instance;
    while (database->idle)
        connection_close(database->idle);
    free(database->names);
    free(database);
}

static void *postgres_open(const struct workerless_source *source, char *why, size_t size)
{
    struct database *database = calloc(1, sizeof *database);
    const struct workerless_setting *settings = source->settings;
    size_t count = source->setting_count;
    if (!database) {
        fail(why, size, "out of memory");
        return NULL;
    }
    database->source = source;
    database->connect = workerless_setting(settings, count, "connect", "");
    database->query = workerless_setting(settings, count, "query", "");
    database->type = workerless_setting(settings, count, "type", "text/html; charset=utf-8");
    if (parse_parameters(database, workerless_setting(settings, count, "parameters", "name"), why,
                         size) == 0)
        return database;
    postgres_close(database);
    return NULL;
}

static void postgres_start(void *instance, struct workerless_call *call)
{
    begin(instance, call);
}

static void postgres_cancel(void *instance, struct workerless_call *call)
{
    (void)instance;
    connection_close(call->data);
}

const struct workerless_module workerless_module = {
    WORKERLESS_MODULE_HEAD,    .name = "postgres",      .version = "1",
    .check = postgres_check,   .open = postgres_open,   .start = postgres_start,
    .cancel = postgres_cancel, .close = postgres_close,
};
