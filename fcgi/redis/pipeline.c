/* Pending commands and their deadline. */
#include "redis/pipeline.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/figures.h"
#include "base/histogram.h"
#include "base/put.h"
#include "base/timeout.h"
#include "redis/conn.h"
#include "redis/needs.h"
#include "redis/settings.h"

#define SMALL_COMMAND  1024 /* bytes */
#define EXTENSIONS_MAX 20 /* of a deadline, by one timeout each: for a large value on a slow line */

struct redis_pipeline {
    const struct redis_pipeline_events *events;
    void *context;
    struct redis_conn *conn; /* NULL: none */
    struct timeout_queue deadlines;
    size_t pending_bytes, max_pending;
    size_t seen_out, seen_in; /* bytes in hiredis' buffers at the last deadline */
};

struct command {
    struct redis_pipeline *pipeline;
    struct timeout deadline;
    redis_reply_fn *answered;
    void *caller;
    double sent; /* by clock_monotonic() */
    size_t bytes;
    unsigned extensions; /* of the deadline, because bytes moved */
};

static void count_duration(double seconds)
{
    static struct histogram *durations;
    if (!durations)
        durations = figures_row(FIGURES_REDIS, "", sizeof *durations);
    if (durations)
        histogram_add(durations, seconds);
}

static void on_reply(redisAsyncContext *context, void *answer, void *privdata)
{
    struct command *command = privdata;
    struct redis_pipeline *pipeline = command->pipeline;
    redisReply *reply = answer;
    (void)context;
    if (reply)
        count_duration(clock_monotonic() - command->sent);
    timeout_stop(&command->deadline);
    pipeline->pending_bytes -= command->bytes;
    command->answered(command->caller, reply);
    free(command);
    if (reply && reply->type == REDIS_REPLY_ERROR)
        pipeline->events->refused(pipeline->context, reply);
}

/* Bytes that are enough for the command in RESP, and the '\0' after it. */
static size_t encoded_max(int argc, const size_t *lens)
{
    size_t head = strlen("$\r\n\r\n") + PUT_NUMBER_MAX, all = head + 1;
    for (int i = 0; i < argc; i++)
        all += head + lens[i];
    return all;
}

static char *encode(char *at, int argc, const char **argv, const size_t *lens)
{
    at = put(put_number(put(at, SLICE("*")), argc), SLICE("\r\n"));
    for (int i = 0; i < argc; i++) {
        at = put(put_number(put(at, SLICE("$")), (int64_t)lens[i]), SLICE("\r\n"));
        at = put(put(at, (struct slice){.data = argv[i], .len = lens[i]}), SLICE("\r\n"));
    }
    return at;
}

/* As redisAsyncCommandArgv, which takes twice as long for a short command. Returns false when out
 * of memory. */
static bool send_encoded(struct command *command, int argc, const char **argv, const size_t *lens)
{
    redisAsyncContext *context = redis_conn_context(command->pipeline->conn);
    char small[SMALL_COMMAND];
    size_t size = encoded_max(argc, lens);
    char *bytes = size <= sizeof small ? small : alloc_bytes(size);
    if (!bytes)
        return false;
    char *end = encode(bytes, argc, argv, lens);
    size_t len = (size_t)(end - bytes);
    *end = '\0'; /* hiredis looks there for a further word */
    bool sent = redisAsyncFormattedCommand(context, on_reply, command, bytes, len) == REDIS_OK;
    if (bytes != small)
        free(bytes);
    return sent;
}

bool redis_pipeline_send(struct redis_pipeline *pipeline, int argc, const char **argv,
                         const size_t *lens, redis_reply_fn *answered, void *caller)
{
    size_t bytes = sizeof(struct command);
    for (int i = 0; i < argc; i++)
        bytes += lens[i];
    if (!pipeline->conn)
        return false;
    if (bytes > pipeline->max_pending || pipeline->pending_bytes > pipeline->max_pending - bytes) {
        counter_add(COUNTER_REFUSED_MAX_PENDING, 1);
        return false;
    }
    struct command *command = alloc_zeroed(sizeof *command);
    if (!command)
        return false;
    *command = (struct command){.pipeline = pipeline,
                                .answered = answered,
                                .caller = caller,
                                .sent = clock_monotonic(),
                                .bytes = bytes};
    if (!send_encoded(command, argc, argv, lens)) {
        free(command);
        return false;
    }
    pipeline->pending_bytes += bytes;
    timeout_start(&pipeline->deadlines, &command->deadline);
    return true;
}

bool redis_pipeline_send_words(struct redis_pipeline *pipeline, redis_reply_fn *answered,
                               void *caller, int count, const char **words)
{
    size_t lens[REDIS_WORDS_MAX];
    check(count <= REDIS_WORDS_MAX);
    for (int i = 0; i < count; i++)
        lens[i] = strlen(words[i]);
    return redis_pipeline_send(pipeline, count, words, lens, answered, caller);
}

bool redis_pipeline_busy(const struct redis_pipeline *pipeline)
{
    return pipeline->deadlines.oldest != NULL;
}

/* Whether the server is alive although the oldest command has no answer yet: either we were late
 * and the answer is in the socket, or a large answer is still being transferred. */
static bool is_moving(struct redis_pipeline *pipeline)
{
    const redisContext *c = &redis_conn_context(pipeline->conn)->c;
    struct pollfd look = {.fd = c->fd, .events = POLLIN};
    size_t out = sdslen(c->obuf), in = c->reader->len;
    bool moving = poll(&look, 1, 0) > 0 || (out > 0 && out != pipeline->seen_out) ||
                  (in > 0 && in != pipeline->seen_in);
    pipeline->seen_out = out;
    pipeline->seen_in = in;
    return moving;
}

static void on_deadline(void *context, struct timeout *deadline)
{
    struct redis_pipeline *pipeline = context;
    struct command *command = container_of(deadline, struct command, deadline);
    if (pipeline->conn && command->extensions < EXTENSIONS_MAX && is_moving(pipeline)) {
        command->extensions++;
        timeout_start(&pipeline->deadlines, deadline);
        return;
    }
    pipeline->events->stuck(pipeline->context);
}

void redis_pipeline_use(struct redis_pipeline *pipeline, struct redis_conn *conn)
{
    pipeline->conn = conn;
}

struct redis_pipeline *redis_pipeline_new(struct ev_loop *loop,
                                          const struct redis_settings *settings,
                                          const struct redis_pipeline_events *events, void *context)
{
    struct redis_pipeline *pipeline = alloc_zeroed(sizeof *pipeline);
    if (!pipeline)
        return NULL;
    pipeline->events = events;
    pipeline->max_pending = settings->max_pending;
    pipeline->context = context;
    timeout_queue_init(&pipeline->deadlines, loop, settings->timeout, on_deadline, pipeline);
    return pipeline;
}

void redis_pipeline_free(struct redis_pipeline *pipeline)
{
    if (!pipeline)
        return;
    timeout_queue_stop(&pipeline->deadlines);
    free(pipeline);
}
