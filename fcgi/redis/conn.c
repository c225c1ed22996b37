/* A hiredis context, from the host lookup to its end.
 *
 * hiredis waits for the socket to be writable before it sends anything, which takes another turn of
 * the loop and two system calls. What is queued when the loop is about to sleep is sent at once; if
 * the socket does not take all of it, hiredis waits as usual.
 *
 * The context's `data` points to the connection while both are in use. When the connection ends, it
 * sets `data` to NULL, since hiredis frees a context only after the callbacks in which it ended.
 */
#include "redis/conn.h"

#include <ev.h>
#include <hiredis/adapters/libev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/resolve.h"
#include "redis/address.h"
#include "redis/tls.h"

struct redis_conn {
    struct ev_loop *loop;
    struct redis_conn_target target;
    const struct redis_conn_events *events;
    void *user;
    struct resolve *resolve;    /* during the host lookup */
    redisAsyncContext *context; /* after that */
    struct redis_guard guard;
    ev_prepare sender; /* active with the context, for plain connections for commands */
    bool is_blocked;   /* the socket has not taken all that it was given */
    bool *detached; /* to be set when the context is detached, while something is sent; or NULL */
    char literal[REDIS_HOST_MAX + 1];
};

/* Detaches the context: from now on its callbacks do nothing. */
static redisAsyncContext *detach(struct redis_conn *conn)
{
    redisAsyncContext *context = conn->context;
    conn->context = NULL;
    ev_prepare_stop(conn->loop, &conn->sender);
    if (conn->detached)
        *conn->detached = true;
    if (context) {
        context->data = NULL;
        redis_guard_release(context);
    }
    return context;
}

/* It has ended by itself. `free_context` is false if hiredis is about to free the context. */
static void lose(struct redis_conn *conn, const char *reason, enum redis_conn_loss loss,
                 bool free_context)
{
    redisAsyncContext *context = detach(conn);
    conn->events->lost(conn->user, reason, loss);
    if (context && free_context)
        redisAsyncFree(context);
    free(conn);
}

void redis_conn_close(struct redis_conn *conn)
{
    if (!conn)
        return;
    redisAsyncContext *context = detach(conn);
    resolve_cancel(conn->resolve);
    if (context)
        redisAsyncFree(context);
    free(conn);
}

static redisLibevEvents *adapter_of(const struct redis_conn *conn)
{
    return conn->context->ev.data;
}

/* Sending may end the connection, and free it. */
static void on_prepare(struct ev_loop *loop, ev_prepare *sender, int events)
{
    struct redis_conn *conn = sender->data;
    (void)loop, (void)events;
    if (!adapter_of(conn)->writing) {
        conn->is_blocked = false;
        return;
    }
    if (conn->is_blocked || !(conn->context->c.flags & REDIS_CONNECTED))
        return;
    bool detached = false;
    conn->detached = &detached;
    redisAsyncHandleWrite(conn->context);
    if (detached)
        return;
    conn->detached = NULL;
    conn->is_blocked = adapter_of(conn)->writing;
}

static void on_connect(const redisAsyncContext *context, int status)
{
    struct redis_conn *conn = context->data;
    if (!conn)
        return;
    if (status != REDIS_OK)
        lose(conn, context->errstr, REDIS_CONN_FAILED, false);
    else if (conn->target.tls &&
             !redis_tls_start(conn->target.tls, conn->context, conn->target.host))
        lose(conn, context->c.errstr, REDIS_CONN_FAILED, true);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct redis_conn *conn = context->data;
    bool closed = context->err == REDIS_ERR_EOF || context->err == REDIS_ERR_IO;
    if (conn)
        lose(conn, status == REDIS_OK ? "the connection was closed" : context->errstr,
             closed ? REDIS_CONN_CLOSED : REDIS_CONN_FAILED, false);
}

/* A server that does not know AUTH repeats its arguments in the error: they must not be logged. */
static void on_auth(redisAsyncContext *context, void *answer, void *privdata)
{
    struct redis_conn *conn = context->data;
    const redisReply *reply = answer;
    (void)privdata;
    if (!conn || !reply || reply->type != REDIS_REPLY_ERROR)
        return;
    char reason[256];
    const char *words = strstr(reply->str, ", with args beginning with");
    snprintf(reason, sizeof reason, "%.*s", (int)(words ? words - reply->str : (long)reply->len),
             reply->str);
    lose(conn, reason, REDIS_CONN_REFUSED, true);
}

static int send_auth(struct redis_conn *conn)
{
    const char *user = conn->target.user, *password = conn->target.password;
    if (user && user[0])
        return redisAsyncCommand(conn->context, on_auth, NULL, "AUTH %s %s", user, password);
    if (password && password[0])
        return redisAsyncCommand(conn->context, on_auth, NULL, "AUTH %s", password);
    return REDIS_OK;
}

/* The host's address is known. Returns NULL, or why there is no connection: static text, or text in
 * `why`. In that case no event has been called. */
static const char *start(struct redis_conn *conn, char why[REDIS_CONN_WHY_MAX])
{
    const char *path = conn->target.path;
    redisAsyncContext *context =
        path ? redisAsyncConnectUnix(path) : redisAsyncConnect(conn->literal, conn->target.port);
    if (!context)
        return "out of memory";
    if (context->err) {
        snprintf(why, REDIS_CONN_WHY_MAX, "%s", context->errstr);
        redisAsyncFree(context);
        return why;
    }
    if (!path)
        redisEnableKeepAlive(&context->c);
    if (!redis_guard_attach(conn->loop, context, &conn->guard)) {
        redisAsyncFree(context);
        return "out of memory";
    }
    context->data = conn;
    conn->context = context;
    if (conn->target.is_urgent)
        ev_set_priority(&adapter_of(conn)->rev, EV_MAXPRI);
    else if (!conn->target.tls)
        ev_prepare_start(conn->loop, &conn->sender);
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
    if (send_auth(conn) == REDIS_OK)
        return NULL;
    redisAsyncFree(detach(conn));
    return "out of memory";
}

static void on_resolved(void *caller, const char *address, const char *error)
{
    struct redis_conn *conn = caller;
    char why[REDIS_CONN_WHY_MAX];
    conn->resolve = NULL;
    if (address) {
        snprintf(conn->literal, sizeof conn->literal, "%s", address);
        error = start(conn, why);
    }
    if (error)
        lose(conn, error, REDIS_CONN_FAILED, true);
    else
        conn->events->opened(conn->user);
}

struct redis_conn *redis_conn_open(struct ev_loop *loop, const struct redis_conn_target *target,
                                   const struct redis_conn_events *events, void *user,
                                   char why[REDIS_CONN_WHY_MAX])
{
    const char *literal = target->literal, *wrong = NULL;
    struct redis_conn *conn = alloc_zeroed(sizeof *conn);
    if (!conn) {
        snprintf(why, REDIS_CONN_WHY_MAX, "out of memory");
        return NULL;
    }
    conn->loop = loop;
    conn->target = *target;
    conn->events = events;
    conn->user = user;
    conn->guard = (struct redis_guard){.rule = target->rule, .most = target->reply_max};
    ev_prepare_init(&conn->sender, on_prepare);
    conn->sender.data = conn;
    ev_set_priority(&conn->sender, EV_MINPRI); /* after the flights' runner */
    if (!target->path && !literal && redis_address_is_literal(target->host))
        literal = target->host;
    if (target->path || literal) {
        snprintf(conn->literal, sizeof conn->literal, "%s", literal ? literal : "");
        wrong = start(conn, why);
    } else {
        conn->resolve = resolve_start(loop, target->host, target->attempt, on_resolved, conn);
        wrong = conn->resolve ? NULL : "out of memory";
    }
    if (!wrong)
        return conn;
    if (wrong != why)
        snprintf(why, REDIS_CONN_WHY_MAX, "%s", wrong);
    free(conn);
    return NULL;
}

bool redis_conn_is_open(const struct redis_conn *conn)
{
    return conn->context != NULL;
}

const char *redis_conn_literal(const struct redis_conn *conn)
{
    return conn->literal;
}

struct redisAsyncContext *redis_conn_context(const struct redis_conn *conn)
{
    return conn->context;
}

void *redis_conn_user(const redisAsyncContext *context)
{
    const struct redis_conn *conn = context->data;
    return conn ? conn->user : NULL;
}
