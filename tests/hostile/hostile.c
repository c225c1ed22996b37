/* Hostile front servers: many connections at once, each of which sends what grammar.c generates,
 * and reads, waits and leaves at random.
 *
 *     hostile -s ADDRESS [-s ADDRESS]... [-c CONNECTIONS] [-d SECONDS] [-S SEED] [-p MAX_PARAMS]
 *
 * Ends after so many seconds, or on SIGTERM, and prints what it did as one line of JSON. What the
 * n-th connection sends depends only on the seed and n; how far it gets, and how its bytes are cut,
 * depends on time too. Every record that is received is checked. Exit status 1: one of them was
 * invalid, or nothing listened; stderr says what was wrong.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/epoll.h>

#include "../bench/address.h"
#include "../bench/clock.h"
#include "../bench/frames.h"
#include "chance.h"
#include "grammar.h"

#define ADDRESSES_MAX 8
#define MS            UINT64_C(1000000)
#define LIFE_MAX_MS   6000
#define TURN_BYTES    262144 /* that are sent at once */
#define RETRY_MS      5      /* when the backlog is full, or no port is free */

enum reading {
    READ_ALL,
    READ_DRIP, /* some bytes now and then */
    READ_NEVER,
};

enum writing {
    WRITE_WHOLE,
    WRITE_PIECES,
    WRITE_BYTES, /* the beginning of each script one byte at a time */
};

/* What comes after the last script. */
enum ending {
    END_CLOSE,
    END_RESET,
    END_HALF_CLOSE, /* and then reading on */
    END_STAY,       /* until its life is over */
};

struct actor {
    int fd; /* -1: none */
    uint64_t number;
    struct chance words;  /* for what is sent */
    struct chance chance; /* for how: how often it is asked depends on time */
    enum theme theme;
    enum reading reading;
    enum writing writing;
    enum ending ending;
    bool patient;     /* the end comes when all is answered */
    unsigned scripts; /* still to be written */
    struct frames script;
    size_t sent;
    uint64_t begun, ended; /* requests */
    uint64_t dies_ns, next_drip_ns;
    bool half_closed;
    uint32_t events; /* that epoll looks for */
    unsigned char *in;
    size_t in_len, in_room;
};

static struct {
    const char *names[ADDRESSES_MAX];
    struct address addresses[ADDRESSES_MAX];
    unsigned address_count, actor_count;
    size_t max_params;
    uint64_t seed, next_number;
    double seconds;
    int epoll;
    struct actor *actors;
    struct {
        uint64_t connections, requests, answers, scripts, sent, received, closed, cut, busy;
    } told;
} all = {.actor_count = 200, .seconds = 10, .max_params = 65536, .seed = 1};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static void fail(const struct actor *actor, const char *why)
{
    fprintf(stderr, "hostile: seed %" PRIu64 ", connection %" PRIu64 ": %s\n", all.seed,
            actor->number, why);
    exit(1);
}

/* --- beginning and end of a connection --- */

/* A normal close, or a reset. */
static void actor_close(struct actor *actor, bool reset)
{
    struct linger linger = {.l_onoff = 1};
    if (reset)
        (void)setsockopt(actor->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(actor->fd);
    actor->fd = -1;
    actor->in_len = 0;
}

static void choose_manners(struct actor *actor)
{
    static const enum theme themes[] = {THEME_MIXED,  THEME_MIXED,  THEME_MIXED,      THEME_SOUND,
                                        THEME_SOUND,  THEME_SOUND,  THEME_UNFINISHED, THEME_FLOOD,
                                        THEME_GREEDY, THEME_GREEDY, THEME_NOISE};
    struct chance *chance = &actor->chance;
    actor->theme = themes[chance_below(chance, sizeof themes / sizeof themes[0])];
    unsigned reading = chance_below(chance, 10), writing = chance_below(chance, 10);
    if (actor->theme == THEME_GREEDY)
        actor->reading = reading < 2 ? READ_ALL : reading < 6 ? READ_DRIP : READ_NEVER;
    else
        actor->reading = reading < 7 ? READ_ALL : reading < 8 ? READ_DRIP : READ_NEVER;
    actor->writing = writing < 6 ? WRITE_WHOLE : writing < 9 ? WRITE_PIECES : WRITE_BYTES;
    actor->ending = (enum ending)chance_below(chance, END_STAY + 1);
    actor->patient = chance_percent(chance, 70);
    actor->scripts = actor->theme == THEME_SOUND ? chance_magnitude(chance, 1, 50)
                                                 : chance_magnitude(chance, 1, 4);
}

/* In milliseconds: some are gone before they are noticed. */
static unsigned choose_life(struct chance *chance)
{
    return chance_percent(chance, 20)   ? chance_magnitude(chance, 1, 50)
           : chance_percent(chance, 70) ? chance_range(chance, 50, LIFE_MAX_MS / 4)
                                        : chance_range(chance, LIFE_MAX_MS / 4, LIFE_MAX_MS);
}

static void actor_begin(struct actor *actor, uint64_t now)
{
    unsigned which = chance_below(&actor->chance, all.address_count);
    const struct address *address = &all.addresses[which];
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        address_fail(all.names[which], strerror(errno));
    if (connect(fd, (const struct sockaddr *)&address->storage, address->len) != 0 &&
        errno != EINPROGRESS) {
        if (errno != EAGAIN && errno != EADDRNOTAVAIL)
            fail(actor, strerror(errno));
        close(fd);
        all.told.busy++;
        actor->dies_ns = now + RETRY_MS * MS;
        return;
    }
    address_no_delay(fd);
    actor->fd = fd;
    actor->number = all.next_number++;
    actor->chance.state = all.seed * 0x9e3779b97f4a7c15u + actor->number;
    actor->words.state = chance_next(&actor->chance);
    actor->script.len = actor->sent = 0;
    actor->begun = actor->ended = 0;
    actor->half_closed = false;
    choose_manners(actor);
    actor->dies_ns = now + choose_life(&actor->chance) * MS;
    actor->next_drip_ns = now;
    actor->events = EPOLLOUT;
    struct epoll_event event = {.events = actor->events, .data.ptr = actor};
    epoll_ctl(all.epoll, EPOLL_CTL_ADD, fd, &event);
    all.told.connections++;
}

/* --- receiving --- */

static void check_record(struct actor *actor, const unsigned char *bytes, const struct frame *frame)
{
    switch (frame->type) {
    case FCGI_STDOUT:
        break;
    case FCGI_END_REQUEST:
        if (frame->content_len != 8 || frame->content[4] > FCGI_UNKNOWN_ROLE)
            fail(actor, "a malformed END_REQUEST came");
        actor->ended++;
        all.told.answers++;
        break;
    case FCGI_GET_VALUES_RESULT:
    case FCGI_UNKNOWN_TYPE:
        if (frame->id != 0)
            fail(actor, "a management record with a request's id came");
        break;
    default:
        fail(actor, "a record of a type that is not for front servers came");
    }
    if (frame->id == 0 && (frame->type == FCGI_STDOUT || frame->type == FCGI_END_REQUEST))
        fail(actor, "an answer of no request came");
    if (bytes[7] != 0)
        fail(actor, "a record came whose reserved byte is not zero");
    for (const unsigned char *at = frame->content + frame->content_len;
         at < bytes + frame->whole_len; at++)
        if (*at != 0)
            fail(actor, "padding came that is not zero");
}

static void check_input(struct actor *actor)
{
    size_t at = 0;
    struct frame frame;
    enum frame_found found;
    while ((found = frame_read(actor->in + at, actor->in_len - at, &frame)) == FRAME_WHOLE) {
        check_record(actor, actor->in + at, &frame);
        at += frame.whole_len;
    }
    if (found == FRAME_BAD)
        fail(actor, "something that is not FastCGI 1 came");
    if (actor->theme == THEME_SOUND && actor->ended > actor->begun)
        fail(actor, "more answers than requests came");
    memmove(actor->in, actor->in + at, actor->in_len - at);
    actor->in_len -= at;
}

/* Reads once, up to so many bytes. False: the connection has ended. */
static bool actor_read(struct actor *actor, size_t most)
{
    if (actor->in_room < actor->in_len + most) {
        actor->in_room = actor->in_len + most;
        actor->in = bench_grow(actor->in, actor->in_room);
    }
    ssize_t len = recv(actor->fd, actor->in + actor->in_len, most, 0);
    if (len < 0)
        return errno == EAGAIN || errno == EINTR;
    if (len == 0) {
        /* A connection that broke the rules, or does not read, may be closed anywhere. Others are
         * closed inside a record only if unread answers take too much memory: the driver checks
         * that. */
        if (actor->in_len > 0 && actor->theme == THEME_SOUND && actor->reading == READ_ALL)
            all.told.cut++;
        return false;
    }
    actor->in_len += (size_t)len;
    all.told.received += (uint64_t)len;
    check_input(actor);
    return true;
}

/* --- sending --- */

/* False: there is nothing more to send now. Well-behaved front servers reuse an id only when it is
 * free. */
static bool next_script(struct actor *actor)
{
    bool waits = actor->theme == THEME_SOUND && actor->ended < actor->begun;
    if (actor->scripts == 0 || (waits && actor->reading == READ_ALL))
        return false;
    actor->scripts--;
    actor->script.len = actor->sent = 0;
    uint64_t before = all.told.requests;
    grammar_write(&actor->words, actor->theme, all.max_params, &actor->script, &all.told.requests);
    actor->begun += all.told.requests - before;
    all.told.scripts++;
    return true;
}

static size_t piece_len(struct actor *actor)
{
    size_t left = actor->script.len - actor->sent, most = TURN_BYTES;
    if (actor->writing == WRITE_PIECES)
        most = chance_magnitude(&actor->chance, 1, 9000);
    else if (actor->writing == WRITE_BYTES && actor->sent < 2000)
        most = 1;
    return left < most ? left : most;
}

/* False: the connection has ended. */
static bool actor_write(struct actor *actor)
{
    for (int turns = 0; turns < 40; turns++) {
        if (actor->sent >= actor->script.len && !next_script(actor))
            return true;
        if (actor->script.len == 0)
            continue;
        ssize_t len =
            send(actor->fd, actor->script.data + actor->sent, piece_len(actor), MSG_NOSIGNAL);
        if (len < 0)
            return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
        actor->sent += (size_t)len;
        all.told.sent += (uint64_t)len;
    }
    return true;
}

static bool has_said_all(const struct actor *actor)
{
    return actor->scripts == 0 && actor->sent >= actor->script.len;
}

/* --- the loop --- */

static void look_for(struct actor *actor, uint32_t wanted)
{
    struct epoll_event event = {.events = wanted, .data.ptr = actor};
    if (wanted != actor->events)
        epoll_ctl(all.epoll, EPOLL_CTL_MOD, actor->fd, &event);
    actor->events = wanted;
}

/* After the last script. */
static void actor_end(struct actor *actor)
{
    switch (actor->ending) {
    case END_CLOSE:
    case END_RESET:
        actor_close(actor, actor->ending == END_RESET);
        break;
    case END_HALF_CLOSE:
        if (!actor->half_closed)
            shutdown(actor->fd, SHUT_WR);
        actor->half_closed = true;
        break;
    case END_STAY:
        break;
    }
}

static void actor_run(struct actor *actor, uint32_t events)
{
    bool open = true;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        open = actor->reading == READ_ALL ? actor_read(actor, TURN_BYTES)
                                          : !(events & (EPOLLHUP | EPOLLERR));
    if (open && (events & EPOLLOUT) && !actor->half_closed)
        open = actor_write(actor);
    if (!open) {
        all.told.closed++;
        actor_close(actor, false);
        return;
    }
    if (has_said_all(actor) && (!actor->patient || actor->ended >= actor->begun))
        actor_end(actor);
    if (actor->fd < 0)
        return;
    bool writes =
        !actor->half_closed &&
        (actor->sent < actor->script.len ||
         (actor->scripts > 0 && (actor->theme != THEME_SOUND || actor->ended >= actor->begun ||
                                 actor->reading != READ_ALL)));
    look_for(actor, (actor->reading == READ_ALL ? (uint32_t)EPOLLIN : 0) |
                        (writes ? (uint32_t)EPOLLOUT : 0));
}

/* What happens only with time. */
static void actor_look(struct actor *actor, uint64_t now)
{
    if (now >= actor->dies_ns) {
        if (actor->fd >= 0)
            actor_close(actor, chance_percent(&actor->chance, 30));
        actor_begin(actor, now);
    } else if (actor->fd < 0) {
        actor_begin(actor, now);
    } else if (actor->reading == READ_DRIP && now >= actor->next_drip_ns) {
        actor->next_drip_ns = now + chance_range(&actor->chance, 1, 300) * MS;
        if (!actor_read(actor, chance_magnitude(&actor->chance, 1, 20000))) {
            all.told.closed++;
            actor_close(actor, false);
        }
    }
}

static void run(void)
{
    struct epoll_event found[64];
    uint64_t now = now_ns(), end = now + (uint64_t)(all.seconds * SECOND_NS), next_look = now;
    while (!stopping && now < end) {
        int count = epoll_wait(all.epoll, found, 64, 1);
        for (int i = 0; i < count; i++) {
            struct actor *actor = found[i].data.ptr;
            if (actor->fd >= 0) /* its own event may have come before it was closed */
                actor_run(actor, found[i].events);
        }
        now = now_ns();
        if (now < next_look)
            continue;
        for (unsigned i = 0; i < all.actor_count; i++)
            actor_look(&all.actors[i], now);
        next_look = now + MS;
    }
}

static void report(double seconds)
{
    printf("{\"seed\": %" PRIu64 ", \"seconds\": %.1f, \"connections\": %" PRIu64
           ", \"scripts\": %" PRIu64 ", \"requests\": %" PRIu64 ", \"answers\": %" PRIu64
           ", \"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"closed_by_daemon\": %" PRIu64
           ", \"cut\": %" PRIu64 ", \"backlog_full\": %" PRIu64 "}\n",
           all.seed, seconds, all.told.connections, all.told.scripts, all.told.requests,
           all.told.answers, all.told.sent, all.told.received, all.told.closed, all.told.cut,
           all.told.busy);
}

static void usage(void)
{
    fprintf(stderr, "usage: hostile -s ADDRESS [-s ADDRESS]... [-c CONNECTIONS] [-d SECONDS] "
                    "[-S SEED] [-p MAX_PARAMS]\n");
    exit(2);
}

static void add_address(const char *name)
{
    if (all.address_count == ADDRESSES_MAX)
        usage();
    all.addresses[all.address_count] = address_parse(name);
    all.names[all.address_count++] = name;
}

static void read_options(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "s:c:d:S:p:")) != -1) {
        if (option == 's')
            add_address(optarg);
        else if (option == 'c')
            all.actor_count = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'd')
            all.seconds = strtod(optarg, NULL);
        else if (option == 'S')
            all.seed = strtoull(optarg, NULL, 10);
        else if (option == 'p')
            all.max_params = strtoul(optarg, NULL, 10);
        else
            usage();
    }
    if (all.address_count == 0 || all.actor_count == 0 || all.max_params < 4096)
        usage();
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGPIPE, SIG_IGN);
    all.epoll = epoll_create1(EPOLL_CLOEXEC);
    all.actors = calloc(all.actor_count, sizeof *all.actors);
    if (all.epoll < 0 || !all.actors)
        address_fail("hostile", strerror(errno));
    for (unsigned i = 0; i < all.actor_count; i++) {
        all.actors[i].fd = -1;
        all.actors[i].chance.state = all.seed + i;
    }
    uint64_t begin = now_ns();
    run();
    double seconds = (double)(now_ns() - begin) / SECOND_NS;
    for (unsigned i = 0; i < all.actor_count; i++) {
        if (all.actors[i].fd >= 0)
            actor_close(&all.actors[i], false);
        free(all.actors[i].script.data);
        free(all.actors[i].in);
    }
    free(all.actors);
    close(all.epoll);
    report(seconds);
    return 0;
}
