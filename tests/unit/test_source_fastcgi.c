/* source/fastcgi: calls to a FastCGI server that answers, breaks off, hangs or is not there. The
 * server runs on the same loop. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "fastcgi_records.h"
#include "loop_bench.h"
#include "source/fastcgi_settings.h"
#include "source/source.h"

#define PEERS 64 /* connections of one test */
#define OK    "O:Content-Type: text/html\r\n\r\n<p>hi|O:|."

/* --- the server --- */

struct peer {
    struct server *server;
    int fd;
    ev_io io;
    struct buffer in;
    unsigned requests;
    size_t sent; /* of the answer */
};

struct server {
    char directory[64], path[108];
    int listener;
    ev_io io;
    struct peer peers[PEERS];
    unsigned accepted, requests, closed; /* connections, requests, connections that ended */
    struct slice answer;                 /* records as text */
    size_t cut;                          /* so many bytes of the answer are sent */
    bool hangs, keeps;                   /* it never answers; it leaves connections open */
    bool closes_reused;                  /* it closes a connection when a second request comes */
    bool half_closes;                    /* it ends its own side, and does not answer */
    bool answers_early;                  /* before it has read a request, which it never does */
    size_t piece;                        /* bytes in one write; 0: all */
    const char *wanted;                  /* by run_until */
};

static void peer_close(struct peer *peer)
{
    ev_io_stop(EV_DEFAULT, &peer->io);
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
    buffer_free(&peer->in);
}

static void peer_answer(struct peer *peer)
{
    struct server *server = peer->server;
    struct buffer out = {0};
    put_records(&out, server->answer);
    size_t most = out.len < server->cut ? out.len : server->cut;
    size_t len = most - peer->sent;
    if (server->piece && len > server->piece)
        len = server->piece;
    bool is_read =
        len == 0 || send(peer->fd, out.data + peer->sent, len, MSG_NOSIGNAL) == (ssize_t)len;
    peer->sent += len;
    buffer_free(&out);
    if (!is_read) {
        server->closed++;
        peer_close(peer);
        return;
    }
    if (peer->sent < most) {
        ev_io_stop(EV_DEFAULT, &peer->io);
        ev_io_set(&peer->io, peer->fd, EV_READ | EV_WRITE);
        ev_io_start(EV_DEFAULT, &peer->io);
        return;
    }
    ev_io_stop(EV_DEFAULT, &peer->io);
    ev_io_set(&peer->io, peer->fd, EV_READ);
    ev_io_start(EV_DEFAULT, &peer->io);
    peer->sent = 0;
    if (!server->keeps)
        peer_close(peer);
}

static void on_request(struct peer *peer)
{
    struct server *server = peer->server;
    server->requests++;
    peer->requests++;
    peer->in.len = 0;
    if (server->closes_reused && peer->requests > 1)
        peer_close(peer);
    else if (server->half_closes)
        shutdown(peer->fd, SHUT_WR);
    else if (!server->hangs)
        peer_answer(peer);
}

static void on_peer(struct ev_loop *loop, ev_io *io, int events)
{
    static const char end[] = {1, FCGI_STDIN, 0, 1, 0, 0, 0, 0};
    struct peer *peer = io->data;
    char bytes[4096];
    (void)loop;
    if (events & EV_WRITE) {
        peer_answer(peer);
        return;
    }
    ssize_t len = recv(peer->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (len <= 0) {
        peer->server->closed++;
        peer_close(peer);
        return;
    }
    unit_append(&peer->in, bytes, (size_t)len);
    if (peer->in.len >= sizeof end &&
        memcmp(peer->in.data + peer->in.len - sizeof end, end, sizeof end) == 0)
        on_request(peer);
}

static void on_accept(struct ev_loop *loop, ev_io *io, int events)
{
    struct server *server = io->data;
    int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    (void)events;
    if (fd < 0)
        return;
    struct peer *peer = server->peers;
    while (peer < server->peers + PEERS && peer->fd >= 0)
        peer++;
    assert_true(peer < server->peers + PEERS);
    server->accepted++;
    *peer = (struct peer){.server = server, .fd = fd};
    ev_io_init(&peer->io, on_peer, fd, EV_READ);
    peer->io.data = peer;
    if (server->answers_early)
        peer_answer(peer);
    else
        ev_io_start(loop, &peer->io);
}

static void server_listen(struct server *server, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", server->path);
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->listener, backlog), 0);
    ev_io_init(&server->io, on_accept, server->listener, EV_READ);
    server->io.data = server;
    ev_io_start(EV_DEFAULT, &server->io);
}

static void server_stop(struct server *server)
{
    ev_io_stop(EV_DEFAULT, &server->io);
    if (server->listener >= 0)
        close(server->listener);
    server->listener = -1;
    for (unsigned i = 0; i < PEERS; i++)
        peer_close(&server->peers[i]);
    unlink(server->path);
}

/* --- the source --- */

struct fixture {
    struct server server;
    struct fastcgi_settings settings;
    struct source *source;
    char socket[128];
};

struct seen { /* the result of one call */
    struct source_call *call;
    unsigned count;
    enum source_status status;
    char type[64], body[200], reason[400];
    struct source_times times;
    unsigned retry_after_s;
};

static void on_done(void *caller, const struct source_result *result)
{
    struct seen *seen = caller;
    seen->count++;
    seen->call = NULL;
    seen->status = result->status;
    seen->times = result->times;
    seen->retry_after_s = result->retry_after_s;
    snprintf(seen->type, sizeof seen->type, "%.*s", SLICE_ARGS(result->type));
    snprintf(seen->body, sizeof seen->body, "%.*s", SLICE_ARGS(result->body));
    snprintf(seen->reason, sizeof seen->reason, "%s", result->reason ? result->reason : "");
}

static void open_source(struct fixture *fixture)
{
    source_destroy(fixture->source);
    fixture->source = source_create(&(struct source_environment){.loop = EV_DEFAULT},
                                    &fixture->settings.settings);
    assert_non_null(fixture->source);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct server *server = &fixture->server;
    snprintf(server->directory, sizeof server->directory, "/tmp/wl-unit-XXXXXX");
    assert_non_null(mkdtemp(server->directory));
    snprintf(server->path, sizeof server->path, "%s/s", server->directory);
    server->answer = SLICE(OK);
    server->cut = SIZE_MAX;
    server->listener = -1;
    for (unsigned i = 0; i < PEERS; i++)
        server->peers[i].fd = -1;
    server_listen(server, 16);
    snprintf(fixture->socket, sizeof fixture->socket, "unix:%s", server->path);
    fixture->settings = (struct fastcgi_settings){
        .settings = {.type = source_type_find("fastcgi"),
                     .name = "php",
                     .limits = {.connections = 8, .queue = 100}},
        .socket = fixture->socket,
        .script = "/srv/app/{name}.php",
        .timeout = 30,
        .connect_timeout = 30,
        .max_body = 1000,
    };
    open_source(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    source_destroy(fixture->source);
    server_stop(&fixture->server);
    rmdir(fixture->server.directory);
    run_what_is_due();
    free(fixture);
    return 0;
}

static void start(struct fixture *fixture, struct seen *seen)
{
    struct source_request request = {.name = SLICE("a"), .wants_times = true};
    *seen = (struct seen){0};
    seen->call = source_start(fixture->source, &request, on_done, seen);
    assert_non_null(seen->call);
    assert_int_equal(seen->count, 0);
}

static bool is_done(const void *seen)
{
    return ((const struct seen *)seen)->count > 0;
}

static struct seen call(struct fixture *fixture)
{
    struct seen seen;
    start(fixture, &seen);
    run_until(is_done, &seen);
    run_what_is_due();
    assert_int_equal(seen.count, 1);
    return seen;
}

static bool has_request(const void *server)
{
    return ((const struct server *)server)->requests > 0;
}

/* --- tests --- */

static void test_results(void **state)
{
    static const struct {
        struct slice answer;
        enum source_status status;
        const char *body;   /* if SOURCE_OK */
        const char *reason; /* otherwise: a part of it */
    } cases[] = {
        {SLICE_INIT(OK), SOURCE_OK, "<p>hi", NULL},
        {SLICE_INIT("O:\n|."), SOURCE_OK, "", NULL},
        {SLICE_INIT("O:Status: 204\n\nx|."), SOURCE_OK, "", NULL},
        {SLICE_INIT("O:Status: 404\n\nx|."), SOURCE_NOT_FOUND, NULL, "a.php answered 404"},
        {SLICE_INIT("O:Status: 500\n\nx|."), SOURCE_FAILED, NULL, "a.php answered 500"},
        {SLICE_INIT("O:Status: 404\n\nx|?1"), SOURCE_NOT_FOUND, NULL, "answered 404"},
        {SLICE_INIT("O:Status: 500\n\nx|?255"), SOURCE_FAILED, NULL, "answered 500"},
        {SLICE_INIT("O:Status: 304\n\n|."), SOURCE_FAILED, NULL, "was not asked"},
        {SLICE_INIT("O:Location: /x\n\n|."), SOURCE_FAILED, NULL, "answered 302"},
        {SLICE_INIT("O:Content-Type: image/png\n\n|."), SOURCE_FAILED, NULL, "image/png"},
        {SLICE_INIT("O:\nx|?255"), SOURCE_FAILED, NULL, "ended with the exit status 255"},
        {SLICE_INIT("!1"), SOURCE_FAILED, NULL, "ended with FCGI_CANT_MPX_CONN"},
        {SLICE_INIT("!2"), SOURCE_FAILED, NULL, "ended with FCGI_OVERLOADED"},
        {SLICE_INIT("O:\nx|!3"), SOURCE_FAILED, NULL, "ended with FCGI_UNKNOWN_ROLE"},
        {SLICE_INIT("!77"), SOURCE_FAILED, NULL, "unknown protocol status 77"},
        {SLICE_INIT("."), SOURCE_FAILED, NULL, "ended without a response"},
        {SLICE_INIT("O:\nx|#5|."), SOURCE_FAILED, NULL, "a record of another request"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        for (size_t piece = 0; piece < 3; piece++) {
            fixture->server.answer = cases[i].answer;
            fixture->server.piece = piece;
            struct seen seen = call(fixture);
            assert_row(i, seen.status == cases[i].status);
            if (cases[i].status == SOURCE_OK)
                assert_slice(i, slice_of(seen.body), slice_of(cases[i].body));
            else
                assert_row(i, strstr(seen.reason, cases[i].reason) &&
                                  strstr(seen.reason, "source \"php\": /srv/app/a.php "));
            assert_row(i, seen.times.are_known && seen.times.attempts == 1);
        }
}

/* A connection that ends anywhere in a response: it failed. */
static void test_cut_anywhere(void **state)
{
    struct fixture *fixture = *state;
    struct buffer all = {0};
    put_records(&all, SLICE(OK));
    for (size_t len = 0; len <= all.len; len++) {
        fixture->server.cut = len;
        struct seen seen = call(fixture);
        assert_row(len, seen.status == (len < all.len ? SOURCE_FAILED : SOURCE_OK));
        if (len < all.len)
            assert_non_null(strstr(seen.reason, "did not answer completely"));
    }
    assert_int_equal(fixture->server.requests, all.len + 1);
    buffer_free(&all);
}

static void test_too_large(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.max_body = 4;
    fixture->server.keeps = true;
    struct seen seen = call(fixture);
    assert_int_equal(seen.status, SOURCE_FAILED);
    assert_non_null(strstr(seen.reason, "more than max_body = 4 bytes"));
    assert_int_equal(fixture->server.closed, 1);
}

/* Without keep_connections, we close even if the server does not. */
static void test_closes(void **state)
{
    struct fixture *fixture = *state;
    fixture->server.keeps = true;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(call(fixture).status, SOURCE_OK);
        assert_int_equal(fixture->server.closed, i);
    }
    assert_int_equal(fixture->server.accepted, 3);
}

static void test_reuse(void **state)
{
    struct fixture *fixture = *state;
    fixture->server.keeps = true;
    fixture->settings.keep_connections = 1;
    open_source(fixture);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(call(fixture).status, SOURCE_OK);
    assert_int_equal(fixture->server.accepted, 1);
    struct seen seen[3];
    for (unsigned i = 0; i < 3; i++)
        start(fixture, &seen[i]);
    for (unsigned i = 0; i < 3; i++)
        run_until(is_done, &seen[i]);
    run_what_is_due();
    assert_int_equal(fixture->server.accepted, 3);
    assert_int_equal(fixture->server.closed, 2); /* the other two are not kept */
}

/* An unfinished or uncertain connection is not used again. */
static void test_no_reuse(void **state)
{
    static const struct slice answers[] = {
        SLICE_INIT(OK "|O:late"),
        SLICE_INIT("O:Status: x\n\n|."),
        SLICE_INIT(OK "|@0"),
    };
    struct fixture *fixture = *state;
    fixture->server.keeps = true;
    fixture->settings.keep_connections = 8;
    open_source(fixture);
    for (unsigned i = 0; i < LENGTH(answers); i++) {
        fixture->server.answer = answers[i];
        call(fixture);
        run_what_is_due();
        assert_int_equal(fixture->server.closed, i + 1);
    }
    assert_int_equal(fixture->server.accepted, LENGTH(answers));
}

/* Something that nobody has asked for comes while a connection is idle, and is seen only when another
 * call has it: that must not become the result of this call. */
static void test_leftover(void **state)
{
    struct fixture *fixture = *state;
    struct buffer late = {0};
    fixture->server.keeps = true;
    fixture->settings.keep_connections = 1;
    open_source(fixture);
    call(fixture);
    put_records(&late, SLICE("O:\nof another call|."));
    assert_true(send(fixture->server.peers[0].fd, late.data, late.len, 0) == (ssize_t)late.len);
    buffer_free(&late);
    struct seen seen = call(fixture);
    assert_int_equal(seen.status, SOURCE_OK);
    assert_string_equal(seen.body, "<p>hi");
    assert_int_equal(fixture->server.accepted, 2);
}

/* A reused connection that is closed before a byte has come: another one is tried, once, and no
 * other idle one. */
static void test_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen[3];
    fixture->server.keeps = true;
    fixture->settings.keep_connections = 8;
    open_source(fixture);
    for (unsigned i = 0; i < 3; i++)
        start(fixture, &seen[i]);
    for (unsigned i = 0; i < 3; i++)
        run_until(is_done, &seen[i]);
    assert_int_equal(fixture->server.accepted, 3);
    fixture->server.closes_reused = true;
    seen[0] = call(fixture);
    assert_int_equal(seen[0].status, SOURCE_OK);
    assert_int_equal(seen[0].times.attempts, 2);
    assert_int_equal(fixture->server.accepted, 4);
    assert_int_equal(fixture->server.closed, 2);
    fixture->server.closes_reused = false;
    fixture->server.cut = 1; /* a byte has come: it failed */
    fixture->server.keeps = false;
    seen[0] = call(fixture);
    assert_int_equal(seen[0].status, SOURCE_FAILED);
    assert_int_equal(fixture->server.accepted, 4);
    fixture->server.cut = 0; /* a new connection is no reused one */
    seen[0] = call(fixture);
    assert_int_equal(seen[0].status, SOURCE_FAILED);
    assert_int_equal(fixture->server.accepted, 5);
}

/* A server that closes an idle connection: the next call gets a new one at once. */
static void test_closed_while_idle(void **state)
{
    struct fixture *fixture = *state;
    fixture->server.keeps = true;
    fixture->settings.keep_connections = 1;
    open_source(fixture);
    call(fixture);
    peer_close(&fixture->server.peers[0]);
    run_what_is_due();
    struct seen seen = call(fixture);
    assert_int_equal(seen.status, SOURCE_OK);
    assert_int_equal(seen.times.attempts, 1);
}

/* It answers, and closes, without having read the request. */
static void test_early_answer(void **state)
{
    struct fixture *fixture = *state;
    fixture->server.answers_early = true;
    assert_int_equal(call(fixture).status, SOURCE_OK);
}

/* One that ends only its own side: nothing will come any more. */
static void test_half_closed(void **state)
{
    struct fixture *fixture = *state;
    fixture->server.half_closes = true;
    struct seen seen = call(fixture);
    assert_int_equal(seen.status, SOURCE_FAILED);
    assert_non_null(strstr(seen.reason, "did not answer completely"));
    assert_int_equal(fixture->server.closed, 1);
}

static void test_timeout(void **state)
{
    struct fixture *fixture = *state;
    fixture->server.hangs = true;
    fixture->settings.timeout = 0.05;
    open_source(fixture);
    struct seen seen = call(fixture);
    assert_int_equal(seen.status, SOURCE_TIMED_OUT);
    assert_non_null(strstr(seen.reason, "no complete response within timeout = 0.05s"));
    run_what_is_due();
    assert_int_equal(fixture->server.closed, 1);
}

static void test_cancel(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen;
    fixture->server.hangs = true;
    start(fixture, &seen); /* it is connecting */
    source_cancel(seen.call);
    assert_true(seen.count == 1 && seen.status == SOURCE_CANCELLED);
    start(fixture, &seen);
    run_until(has_request, &fixture->server);
    source_cancel(seen.call);
    assert_true(seen.count == 1 && seen.status == SOURCE_CANCELLED);
    run_what_is_due();
    assert_int_equal(fixture->server.closed, fixture->server.accepted);
    server_stop(&fixture->server); /* unreachable, but not told yet */
    start(fixture, &seen);
    source_cancel(seen.call);
    assert_true(seen.count == 1 && seen.status == SOURCE_CANCELLED);
    fixture->settings.retries = 5; /* in a pause */
    start(fixture, &seen);
    run_what_is_due();
    assert_int_equal(seen.count, 0);
    source_cancel(seen.call);
    assert_true(seen.count == 1 && seen.status == SOURCE_CANCELLED);
}

static void test_unreachable(void **state)
{
    struct fixture *fixture = *state;
    server_stop(&fixture->server);
    struct seen seen = call(fixture);
    assert_int_equal(seen.status, SOURCE_FAILED);
    assert_non_null(strstr(seen.reason, "gets no connection to unix:/tmp/wl-unit-"));
    assert_non_null(strstr(seen.reason, "No such file or directory"));
    fixture->settings.socket = "tcp:127.0.0.1:1";
    open_source(fixture);
    seen = call(fixture);
    assert_non_null(strstr(seen.reason, "tcp:127.0.0.1:1: Connection refused"));
    fixture->settings.socket = "tcp:no-such-host.invalid:9000";
    open_source(fixture);
    seen = call(fixture);
    assert_int_equal(seen.status, SOURCE_FAILED);
    assert_non_null(strstr(seen.reason, "gets no connection to tcp:no-such-host.invalid:9000"));
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct server *server = timer->data;
    (void)loop;
    (void)events;
    if (server->listener < 0)
        server_listen(server, 16);
    server->answer = SLICE(OK);
}

/* Fails at first, and works after a moment. */
static void test_retries(void **state)
{
    static const struct slice answers[] = {
        SLICE_INIT(""), /* there is no server */
        SLICE_INIT("O:Status: 503\n\n|."),
        SLICE_INIT("!2"),
    };
    struct fixture *fixture = *state;
    ev_timer later;
    for (size_t i = 0; i < LENGTH(answers); i++) {
        fixture->settings.retries = 0;
        fixture->server.answer = answers[i];
        if (answers[i].len == 0)
            server_stop(&fixture->server);
        assert_row(i, call(fixture).status == SOURCE_FAILED);
        fixture->settings.retries = 5;
        ev_timer_init(&later, on_later, 0.02, 0.);
        later.data = &fixture->server;
        ev_timer_start(EV_DEFAULT, &later);
        struct seen seen = call(fixture);
        assert_row(i, seen.status == SOURCE_OK && seen.times.attempts >= 2);
    }
    fixture->server.answer = SLICE("O:Status: 500\n\n|.");
    assert_int_equal(call(fixture).times.attempts, 1); /* that would not pass */
}

/* How long the page is that comes with a status does not matter. */
static void test_retry_of_large_page(void **state)
{
    struct fixture *fixture = *state;
    struct buffer text = {0};
    ev_timer later;
    unit_append(&text, "O:Status: 503\n\n", strlen("O:Status: 503\n\n"));
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned j = 0; j < 40000; j++)
            unit_append(&text, "x", 1);
        unit_append(&text, "|O:", 3);
    }
    unit_append(&text, "|.", 2);
    fixture->server.answer = buffer_slice(&text);
    fixture->settings.retries = 5;
    ev_timer_init(&later, on_later, 0.02, 0.);
    later.data = &fixture->server;
    ev_timer_start(EV_DEFAULT, &later);
    struct seen seen = call(fixture);
    buffer_free(&text);
    assert_true(seen.status == SOURCE_OK && seen.times.attempts >= 2);
}

/* Connections that nobody accepts fill the backlog. Returns how many there are. */
static size_t fill_backlog(const char *path, int fds[PEERS])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    for (size_t i = 0; i < PEERS; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fds[i], (struct sockaddr *)&address, sizeof address) != 0) {
            assert_int_equal(errno, EAGAIN);
            close(fds[i]);
            return i;
        }
    }
    fail_msg("the backlog has no end");
    return 0;
}

static void on_accept_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct server *server = timer->data;
    (void)events;
    ev_io_start(loop, &server->io);
}

/* While the backlog is full, a call waits for connect_timeout, and no longer. */
static void test_backlog(void **state)
{
    struct fixture *fixture = *state;
    struct server *server = &fixture->server;
    int fds[PEERS];
    ev_timer later;
    server_stop(server);
    server_listen(server, 0);
    ev_io_stop(EV_DEFAULT, &server->io);
    size_t count = fill_backlog(server->path, fds);
    fixture->settings.connect_timeout = 0.05;
    open_source(fixture);
    struct seen seen = call(fixture);
    assert_int_equal(seen.status, SOURCE_TIMED_OUT);
    assert_non_null(strstr(seen.reason, "within connect_timeout = 0.05s"));
    fixture->settings.connect_timeout = 30;
    open_source(fixture);
    ev_timer_init(&later, on_accept_again, 0.05, 0.);
    later.data = server;
    ev_timer_start(EV_DEFAULT, &later);
    assert_int_equal(call(fixture).status, SOURCE_OK);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

/* A request that must not be sent is not, and is answered later all the same. */
static void test_refused(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    struct source_request request = {.name = SLICE("../a")};
    seen.call = source_start(fixture->source, &request, on_done, &seen);
    assert_int_equal(seen.count, 0);
    run_until(is_done, &seen);
    assert_int_equal(seen.status, SOURCE_FAILED);
    assert_non_null(strstr(seen.reason, "a part of the path"));
    assert_int_equal(fixture->server.accepted, 0);
}

/* Wherever memory ends: the call is not begun, or ends once. */
static void test_no_memory(void **state)
{
    struct fixture *fixture = *state;
    bool ok = false;
    for (long n = 0; !ok; n++) {
        struct seen seen = {0};
        struct source_request request = {.name = SLICE("a")};
        alloc_fail_after(n);
        seen.call = source_start(fixture->source, &request, on_done, &seen);
        alloc_fail_after(-1);
        assert_true(n < 50);
        if (!seen.call)
            continue;
        run_until(is_done, &seen);
        run_what_is_due();
        assert_int_equal(seen.count, 1);
        ok = seen.status == SOURCE_OK;
        assert_true(ok || strstr(seen.reason, "out of memory"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
        TEST(results),
        TEST(cut_anywhere),
        TEST(too_large),
        TEST(closes),
        TEST(reuse),
        TEST(no_reuse),
        TEST(dropped),
        TEST(closed_while_idle),
        TEST(early_answer),
        TEST(half_closed),
        TEST(timeout),
        TEST(cancel),
        TEST(unreachable),
        TEST(retries),
        TEST(backlog),
        TEST(refused),
        TEST(no_memory),
        TEST(leftover),
        TEST(retry_of_large_page),
    };
    return cmocka_run_group_tests_name("source_fastcgi", tests, guard_loop, tear_down_group);
}
