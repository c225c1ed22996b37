/* A command is one script, sent as its text: a job costs Redis far more than hashing that.
 *
 *     add, move, remove, look --> sent --> answered
 *                                   ^  |
 *                                   '--' redirected, or a little later while a slot moves
 */
#include "source/queue_streams.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/container.h"
#include "base/put.h"
#include "base/timeout.h"
#include "redis/reply.h"
#include "redis/server.h"
#include "redis/topology.h"
#include "source/queue_job.h"
#include "source/queue_settings.h"
#include "source/source.h"

#define REDIRECTIONS_MAX 5  /* in a row */
#define TRIES_MAX        10 /* while a slot moves */
#define TRY_AGAIN_S      0.05
#define ARGUMENTS_MAX    3
#define WORDS_MAX        (3 + STREAMS + ARGUMENTS_MAX)
#define NUMBER_ROOM      (PUT_NUMBER_MAX + 1)

enum stream { VISITORS, REFRESHES, DEAD, STREAMS };

enum command_kind { COMMAND_ADD, COMMAND_MOVE, COMMAND_REMOVE, COMMAND_LOOK };

struct queue_streams {
    struct redis_topology *topology;
    struct queue_command *commands; /* without an answer */
    struct timeout_queue again;
    size_t tag_len;
    char *tag;            /* what all names have between their braces; points into a name */
    char *names[STREAMS]; /* terminated; in `text` */
    char text[];
};

struct queue_command {
    struct queue_command *prev, *next; /* in streams->commands, if `streams` is not NULL */
    struct queue_streams *streams;     /* NULL: they are gone, and so is the caller */
    enum command_kind kind;
    bool awaited;
    bool asking;
    struct redis_server *server; /* NULL: that of the streams */
    struct timeout again;        /* active while it waits for a slot to move */
    unsigned redirections, tries;
    queue_answer_fn *answered; /* NULL: nobody wants to know */
    void *caller;
    size_t argument_count;
    struct slice arguments[ARGUMENTS_MAX]; /* in numbers, and in text */
    char numbers[2][NUMBER_ROOM];
    char text[];
};

/* --- the scripts --- */

/* Keep the line breaks of the scripts. */
/* clang-format off */

/* KEYS are the stream to add to and the other one; ARGV the job, the limit, and 1 if only the first
 * stream counts. Returns the id of the job, or how many there are if that is too many.
 *
 * Entries are over once every group has acknowledged them, so all before the oldest one that is
 * pending, or before the next one to be delivered. */
#define ADD \
    "local function depth() " \
    "local n = redis.call('XLEN', KEYS[1]) " \
    "return ARGV[3] == '1' and n or n + redis.call('XLEN', KEYS[2]) end " \
    "local function before(a, b) " \
    "local ams, as = string.match(a, '(%d+)-(%d+)') " \
    "local bms, bs = string.match(b, '(%d+)-(%d+)') " \
    "if ams ~= bms then return tonumber(ams) < tonumber(bms) end " \
    "return tonumber(as) < tonumber(bs) end " \
    "local function trim(stream) " \
    "local least = false " \
    "for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do " \
    "local g = {} " \
    "for i = 1, #group, 2 do g[group[i]] = group[i + 1] end " \
    "local ms, seq = string.match(g['last-delivered-id'], '(%d+)-(%d+)') " \
    "local open = redis.call('XPENDING', stream, g['name'])[2] " \
    "or string.format('%s-%.0f', ms, tonumber(seq) + 1) " \
    "if not least or before(open, least) then least = open end end " \
    "if least then redis.call('XTRIM', stream, 'MINID', least) end end " \
    "for _, stream in ipairs(KEYS) do " \
    "if redis.call('EXISTS', stream) == 0 then " \
    "redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM') end end " \
    "if depth() >= tonumber(ARGV[2]) then " \
    "trim(KEYS[1]) trim(KEYS[2]) " \
    "if depth() >= tonumber(ARGV[2]) then return depth() end end " \
    "return redis.call('XADD', KEYS[1], '*', 'job', ARGV[1])"

/* KEYS are the streams to move to and from, ARGV the id. Returns the new id, or 0. What may fail comes
 * first, so that the job is not lost. Within a string of JSON, quotes are escaped, so what is replaced
 * can be nothing else. */
#define MOVE \
    "local from, id = KEYS[2], ARGV[1] " \
    "local taken = redis.call('XPENDING', from, 'workers', id, id, 1) " \
    "local found = redis.call('XRANGE', from, id, id)[1] " \
    "if #taken > 0 or not found then return 0 end " \
    "local job = string.gsub(found[2][2], '\"priority\": \"refreshes\"', " \
    "'\"priority\": \"visitors\"', 1) " \
    "local moved = redis.call('XADD', KEYS[1], '*', 'job', job) " \
    "redis.call('XDEL', from, id) " \
    "return moved"

/* KEYS is the stream, ARGV the id. */
#define REMOVE \
    "redis.call('XACK', KEYS[1], 'workers', ARGV[1]) " \
    "return redis.call('XDEL', KEYS[1], ARGV[1])"

/* KEYS are all streams, ARGV the milliseconds within which a worker was seen. Returns the numbers of
 * struct queue_depth. Redis keeps the name of each worker that there ever was: those that were not
 * seen for a hundred times as long, and have no job, are removed. */
#define LOOK \
    "local now, oldest = redis.call('TIME'), 0 " \
    "now = now[1] * 1000 + math.floor(now[2] / 1000) " \
    "for i = 1, 2 do " \
    "local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)[1] " \
    "if first then " \
    "oldest = math.max(oldest, now - tonumber(string.match(first[1], '%d+'))) end end " \
    "local function count(stream) " \
    "local found, seen = redis.pcall('XINFO', 'CONSUMERS', stream, 'workers'), 0 " \
    "for _, consumer in ipairs(found.err and {} or found) do " \
    "local c = {} " \
    "for i = 1, #consumer, 2 do c[consumer[i]] = consumer[i + 1] end " \
    "if c.idle < tonumber(ARGV[1]) then seen = seen + 1 " \
    "elseif c.pending == 0 and c.idle > 100 * ARGV[1] then " \
    "redis.call('XGROUP', 'DELCONSUMER', stream, 'workers', c.name) end end " \
    "return seen end " \
    "return {redis.call('XLEN', KEYS[1]), redis.call('XLEN', KEYS[2]), " \
    "redis.call('XLEN', KEYS[3]), math.max(count(KEYS[1]), count(KEYS[2])), oldest}"

/* clang-format on */

/* --- commands --- */

static bool command_send(struct queue_command *command);

static size_t number_of(bool awaited)
{
    return awaited ? VISITORS : REFRESHES;
}

/* `room`: bytes for texts of the arguments, which begin at command->text. */
static struct queue_command *command_new(struct queue_streams *streams, enum command_kind kind,
                                         bool awaited, size_t room)
{
    struct queue_command *command = alloc_zeroed(sizeof *command + room);
    if (!command)
        return NULL;
    command->streams = streams;
    command->kind = kind;
    command->awaited = awaited;
    DL_APPEND(streams->commands, command);
    return command;
}

static void command_free(struct queue_command *command)
{
    if (command->streams) {
        timeout_stop(&command->again);
        DL_DELETE(command->streams->commands, command);
    }
    free(command);
}

static void add_argument(struct queue_command *command, struct slice text)
{
    command->arguments[command->argument_count++] = text;
}

static void add_number(struct queue_command *command, size_t which, int64_t number)
{
    char *text = command->numbers[which], *end = put_number(text, number);
    add_argument(command, (struct slice){.data = text, .len = (size_t)(end - text)});
}

/* Copies the text into the command's room. */
static void add_copy(struct queue_command *command, struct slice text)
{
    memcpy(command->text, text.data, text.len);
    add_argument(command, (struct slice){.data = command->text, .len = text.len});
}

static bool command_start(struct queue_command *command)
{
    if (command_send(command))
        return true;
    command_free(command);
    return false;
}

/* --- answers --- */

/* The only way in which a command ends that was sent. */
static void command_end(struct queue_command *command, const struct queue_answer *answer)
{
    queue_answer_fn *answered = command->streams ? command->answered : NULL;
    void *caller = command->caller;
    if (command->streams && !answered && answer->id.len > 0)
        queue_streams_remove(command->streams, command->awaited, answer->id.data);
    command_free(command);
    if (answered)
        answered(caller, answer);
}

/* The reply is an id, or a number. */
static void on_added(struct queue_command *command, const struct redisReply *reply)
{
    struct queue_answer answer = {.outcome = QUEUE_DONE, .id = redis_reply_string(reply)};
    if (redis_reply_is_number(reply))
        answer.outcome = command->kind == COMMAND_ADD ? QUEUE_FULL : QUEUE_TAKEN;
    else if (answer.id.len == 0 || answer.id.len > QUEUE_ID_MAX)
        answer = (struct queue_answer){.outcome = QUEUE_REFUSED, .error = "an invalid reply"};
    command_end(command, &answer);
}

static uint64_t number_at(const struct redisReply *reply, size_t index)
{
    long long number = redis_reply_number(redis_reply_at(reply, index));
    return number > 0 ? (uint64_t)number : 0;
}

static void on_looked(struct queue_command *command, const struct redisReply *reply)
{
    struct queue_answer answer = {.outcome = QUEUE_REFUSED, .error = "an invalid reply"};
    if (redis_reply_count(reply) == 5)
        answer = (struct queue_answer){.outcome = QUEUE_DONE,
                                       .depth = {.visitors = number_at(reply, 0),
                                                 .refreshes = number_at(reply, 1),
                                                 .dead = number_at(reply, 2),
                                                 .workers = number_at(reply, 3),
                                                 .oldest_ms = number_at(reply, 4)}};
    command_end(command, &answer);
}

static void command_go_on(struct queue_command *command)
{
    if (!command_send(command))
        command_end(command, &(struct queue_answer){.outcome = QUEUE_AWAY});
}

/* Sends it to another server, or again a little later, if the error asks for it. */
static bool command_redirected(struct queue_command *command, const char *error)
{
    struct queue_streams *streams = command->streams;
    struct redis_server *to;
    enum redis_redirection_kind kind =
        redis_topology_redirect(streams->topology, command->server, error, &to);
    if ((kind == REDIS_MOVED || kind == REDIS_ASK) && to &&
        command->redirections++ < REDIRECTIONS_MAX) {
        command->server = to;
        command->asking = kind == REDIS_ASK;
        command_go_on(command);
        return true;
    }
    if (kind != REDIS_TRY_AGAIN || command->tries++ >= TRIES_MAX)
        return false;
    timeout_start(&streams->again, &command->again);
    return true;
}

static void on_again(void *context, struct timeout *again)
{
    struct queue_command *command = container_of(again, struct queue_command, again);
    (void)context;
    command->server = NULL;
    command->asking = false;
    command->redirections = 0;
    command_go_on(command);
}

static void on_reply(void *caller, struct redisReply *reply)
{
    struct queue_command *command = caller;
    const char *error = reply ? redis_reply_error(reply) : NULL;
    if (!reply)
        command_end(command, &(struct queue_answer){.outcome = QUEUE_AWAY});
    else if (error && command->streams && command_redirected(command, error))
        return;
    else if (error)
        command_end(command, &(struct queue_answer){.outcome = QUEUE_REFUSED, .error = error});
    else if (command->kind == COMMAND_ADD || command->kind == COMMAND_MOVE)
        on_added(command, reply);
    else if (command->kind == COMMAND_LOOK)
        on_looked(command, reply);
    else
        command_end(command, &(struct queue_answer){.outcome = QUEUE_DONE});
}

/* --- sending --- */

static void on_ignored(void *caller, struct redisReply *reply)
{
    (void)caller, (void)reply;
}

/* Writes the keys of the command. Returns how many there are. */
static size_t keys_of(const struct queue_command *command, const char *keys[STREAMS])
{
    char *const *names = command->streams->names;
    size_t where = number_of(command->awaited);
    switch (command->kind) {
    case COMMAND_ADD:
    case COMMAND_MOVE:
        keys[0] = names[where];
        keys[1] = names[where == VISITORS ? REFRESHES : VISITORS];
        return 2;
    case COMMAND_REMOVE:
        keys[0] = names[where];
        return 1;
    case COMMAND_LOOK:
        break;
    }
    memcpy(keys, names, STREAMS * sizeof *keys);
    return STREAMS;
}

static bool command_send(struct queue_command *command)
{
    static const char *const scripts[] = {[COMMAND_ADD] = ADD,
                                          [COMMAND_MOVE] = MOVE,
                                          [COMMAND_REMOVE] = REMOVE,
                                          [COMMAND_LOOK] = LOOK};
    static const char *const counts[] = {"0", "1", "2", "3"};
    static const char *asking[] = {"ASKING"};
    static const size_t asking_len[] = {6};
    const struct queue_streams *streams = command->streams;
    struct slice tag = {.data = streams->tag, .len = streams->tag_len};
    const char *words[WORDS_MAX], *keys[STREAMS];
    size_t lens[WORDS_MAX], count = 3, key_count = keys_of(command, keys);

    if (!command->server)
        command->server = redis_topology_server(streams->topology, tag, SLICE(""));
    if (!command->server)
        return false;
    words[0] = "EVAL";
    words[1] = scripts[command->kind];
    words[2] = counts[key_count];
    for (size_t i = 0; i < key_count; i++)
        words[count++] = keys[i];
    for (size_t i = 0; i < count; i++)
        lens[i] = strlen(words[i]);
    for (size_t i = 0; i < command->argument_count; i++, count++) {
        words[count] = command->arguments[i].data;
        lens[count] = command->arguments[i].len;
    }
    if (command->asking &&
        !redis_server_send(command->server, 1, asking, asking_len, on_ignored, NULL))
        return false;
    return redis_server_send(command->server, (int)count, words, lens, on_reply, command);
}

/* --- what can be asked --- */

struct queue_command *queue_streams_add(struct queue_streams *streams, struct slice job,
                                        bool awaited, size_t most, queue_answer_fn *answered,
                                        void *caller)
{
    struct queue_command *command = command_new(streams, COMMAND_ADD, awaited, job.len);
    if (!command)
        return NULL;
    command->answered = answered;
    command->caller = caller;
    add_copy(command, job);
    add_number(command, 0, (int64_t)most);
    add_number(command, 1, awaited);
    return command_start(command) ? command : NULL;
}

/* A command about one job. Returns NULL when out of memory. */
static struct queue_command *about(struct queue_streams *streams, enum command_kind kind,
                                   bool awaited, const char *id)
{
    struct slice text = {.data = id, .len = strnlen(id, QUEUE_ID_MAX)};
    struct queue_command *command = command_new(streams, kind, awaited, text.len);
    if (command)
        add_copy(command, text);
    return command;
}

struct queue_command *queue_streams_move(struct queue_streams *streams, const char *id,
                                         queue_answer_fn *answered, void *caller)
{
    struct queue_command *command = about(streams, COMMAND_MOVE, true, id);
    if (!command)
        return NULL;
    command->answered = answered;
    command->caller = caller;
    return command_start(command) ? command : NULL;
}

void queue_streams_abandon(struct queue_command *command)
{
    command->answered = NULL;
}

void queue_streams_remove(struct queue_streams *streams, bool awaited, const char *id)
{
    struct queue_command *command = about(streams, COMMAND_REMOVE, awaited, id);
    if (command)
        command_start(command);
}

bool queue_streams_look(struct queue_streams *streams, int64_t seen_ms, queue_answer_fn *answered,
                        void *caller)
{
    struct queue_command *command = command_new(streams, COMMAND_LOOK, false, 0);
    if (!command)
        return false;
    command->answered = answered;
    command->caller = caller;
    add_number(command, 0, seen_ms);
    return command_start(command);
}

/* --- the streams --- */

struct queue_streams *queue_streams_new(const struct source_environment *environment,
                                        const char *jobs)
{
    const char *const ends[STREAMS] = {queue_priority(true), queue_priority(false), "dead"};
    size_t tag_len = strlen(environment->value_start) + strlen(jobs);
    size_t room = tag_len + sizeof "{}:refreshes";
    struct queue_streams *streams = alloc_zeroed(sizeof *streams + STREAMS * room);
    if (!streams)
        return NULL;
    streams->topology = environment->redis;
    for (size_t i = 0; i < STREAMS; i++) {
        streams->names[i] = streams->text + i * room;
        snprintf(streams->names[i], room, "{%s%s}:%s", environment->value_start, jobs, ends[i]);
    }
    streams->tag = streams->names[0] + 1;
    streams->tag_len = tag_len;
    timeout_queue_init(&streams->again, environment->loop, TRY_AGAIN_S, on_again, streams);
    return streams;
}

void queue_streams_free(struct queue_streams *streams)
{
    if (!streams)
        return;
    while (streams->commands) {
        struct queue_command *command = streams->commands;
        bool waits = timeout_active(&command->again);
        timeout_stop(&command->again);
        DL_DELETE(streams->commands, command);
        command->streams = NULL;
        if (waits)
            free(command);
    }
    timeout_queue_stop(&streams->again);
    free(streams);
}
