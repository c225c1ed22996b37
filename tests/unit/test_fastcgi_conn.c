/* source/fastcgi_conn: a host's name with several addresses. The lookup is replaced. */
#include "source/fastcgi_conn.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/resolve.h"
#include "loop_bench.h"

/* --- lookups --- */

struct resolve {
    ev_timer timer;
    resolve_done_fn *done;
    void *caller;
    unsigned attempt;
};

static const char *const *addresses; /* of the name */
static unsigned address_count, lookups;

static void on_lookup(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct resolve lookup = *(struct resolve *)timer->data;
    (void)loop;
    (void)events;
    free(timer->data);
    lookup.done(lookup.caller, address_count > 0 ? addresses[lookup.attempt % address_count] : NULL,
                address_count > 0 ? NULL : "no such host");
}

struct resolve *resolve_start(struct ev_loop *loop, const char *host, unsigned attempt,
                              resolve_done_fn *done, void *caller)
{
    struct resolve *resolve = alloc_zeroed(sizeof *resolve);
    assert_string_equal(host, "app.test");
    if (!resolve)
        return NULL;
    lookups++;
    *resolve = (struct resolve){.done = done, .caller = caller, .attempt = attempt};
    ev_timer_init(&resolve->timer, on_lookup, 0., 0.);
    resolve->timer.data = resolve;
    ev_timer_start(loop, &resolve->timer);
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    if (!resolve)
        return;
    ev_timer_stop(EV_DEFAULT, &resolve->timer);
    free(resolve);
}

/* --- a connection --- */

struct seen {
    bool opened, ended;
    enum fastcgi_end end;
    char why[300];
};

static void on_opened(void *user)
{
    ((struct seen *)user)->opened = true;
}

static bool on_received(void *user, struct slice bytes)
{
    (void)user;
    (void)bytes;
    return true;
}

static void on_ended(void *user, enum fastcgi_end end, const char *why)
{
    struct seen *seen = user;
    seen->ended = true;
    seen->end = end;
    snprintf(seen->why, sizeof seen->why, "%s", why);
}

static const struct fastcgi_conn_events events = {on_opened, on_received, on_ended};

static bool is_over(const void *context)
{
    const struct seen *seen = context;
    return seen->opened || seen->ended;
}

static struct seen try(struct fastcgi_conns *conns)
{
    struct seen seen = {0};
    lookups = 0;
    struct fastcgi_conn *conn = fastcgi_conn_take(conns, SLICE("x"), &seen);
    assert_non_null(conn);
    assert_false(is_over(&seen));
    run_until(is_over, &seen);
    fastcgi_conn_close(conn);
    return seen;
}

/* Listens on 127.0.0.N; returns the descriptor, and sets *port unless it is given. */
static int listen_on(unsigned number, uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    address.sin_addr.s_addr = htonl(0x7f000000 | number);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    *port = ntohs(address.sin_port);
    return fd;
}

/* Each address is tried once, the next call begins with the one that works, and lookups are kept. */
static void test_addresses(void **state)
{
    static const char *const three[] = {"127.0.0.2", "::1", "127.0.0.4"};
    struct fastcgi_settings settings = {.settings = {.name = "php"}, .connect_timeout = 30};
    struct fastcgi_conns conns;
    char text[64];
    uint16_t port = 0;
    (void)state;
    int fd = listen_on(4, &port);
    snprintf(text, sizeof text, "tcp:app.test:%u", port);
    settings.socket = text;
    fastcgi_conns_init(&conns, EV_DEFAULT, &settings, &events);

    struct seen seen = try(&conns); /* there is no address */
    assert_true(seen.ended && seen.end == FASTCGI_UNREACHABLE && lookups == 1);
    assert_non_null(strstr(seen.why, "no such host"));

    addresses = three;
    address_count = LENGTH(three);
    seen = try(&conns);
    assert_true(seen.opened && lookups == 3);
    seen = try(&conns);
    assert_true(seen.opened && lookups == 0);

    close(fd); /* now none works */
    seen = try(&conns);
    assert_true(seen.ended && seen.end == FASTCGI_UNREACHABLE && lookups == 3);
    assert_non_null(strstr(seen.why, "app.test"));
    fd = listen_on(2, &port);
    seen = try(&conns);
    assert_true(seen.opened);

    fastcgi_conns_end(&conns);
    close(fd);
}

static void test_closed_while_looking_up(void **state)
{
    static const char *const one[] = {"127.0.0.1"};
    struct fastcgi_settings settings = {.settings = {.name = "php"},
                                        .socket = "tcp:app.test:9",
                                        .connect_timeout = 30};
    struct fastcgi_conns conns;
    struct seen seen = {0};
    (void)state;
    addresses = one;
    address_count = 1;
    fastcgi_conns_init(&conns, EV_DEFAULT, &settings, &events);
    fastcgi_conn_close(fastcgi_conn_take(&conns, SLICE("x"), &seen));
    run_what_is_due();
    assert_false(is_over(&seen));
    for (long n = 0; n < 2; n++) { /* no memory for the connection; none for the lookup */
        alloc_fail_after(n);
        struct fastcgi_conn *conn = fastcgi_conn_take(&conns, SLICE("x"), &seen);
        alloc_fail_after(-1);
        assert_int_equal(conn != NULL, n);
        if (conn)
            run_until(is_over, &seen);
        fastcgi_conn_close(conn);
    }
    assert_non_null(strstr(seen.why, "out of memory"));
    fastcgi_conns_end(&conns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_closed_while_looking_up),
    };
    return cmocka_run_group_tests_name("fastcgi_conn", tests, guard_loop, tear_down_group);
}
