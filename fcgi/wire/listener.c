/* Listening sockets, inherited or opened here, and accepting connections.
 *
 * Without free descriptors or memory, or at max_connections, accepting pauses: peers wait in the
 * backlog, and the loop does not spin. It resumes when a connection has ended, or after a moment.
 */
#include "wire/listener.h"

#include <errno.h>
#include <ev.h>
#include <fastcgi.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/slice.h"

#define BACKLOG       4096 /* the kernel cuts it to net.core.somaxconn */
#define ACCEPT_ROUND  64   /* connections accepted before other watchers have their turn */
#define PAUSE_S       1.0
#define SYSTEMD_FIRST 3 /* SD_LISTEN_FDS_START */
#define ADDRESS_MAX   256
#define ADDRESSES_MAX 8 /* to listen on for one host name */

struct listener {
    struct listeners *all;
    ev_io io;
    char *unix_path; /* of a socket that we created and have to remove; else NULL */
    bool local, created;
};

struct listeners {
    struct ev_loop *loop;
    ev_timer pause;
    bool wanted; /* listeners_start was called, listeners_pause was not */
    listener_accepted_fn *accepted;
    void *context;
    const char *web_servers; /* FCGI_WEB_SERVER_ADDRS: who may connect by TCP; NULL: everybody */
    struct log_limit refusals, failures; /* rejected peers; failures to accept */
    size_t count;
    struct listener listener[];
};

/* --- accepting --- */

static void watch_all(struct listeners *all, bool on)
{
    for (size_t i = 0; i < all->count; i++) {
        if (on)
            ev_io_start(all->loop, &all->listener[i].io);
        else
            ev_io_stop(all->loop, &all->listener[i].io);
    }
}

/* Pauses for a moment; only listeners_start ends the pause earlier. */
static void pause_accepting(struct listeners *all)
{
    watch_all(all, false);
    ev_timer_stop(all->loop, &all->pause);
    ev_timer_set(&all->pause, PAUSE_S, 0.);
    ev_timer_start(all->loop, &all->pause);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct listeners *all = timer->data;
    (void)loop, (void)events;
    if (all->wanted)
        watch_all(all, true);
}

/* FastCGI 1.0, section 3.2: a comma-separated list of the addresses of the web servers. */
static bool peer_allowed(struct listeners *all, const struct sockaddr_storage *peer, socklen_t len)
{
    char host[NI_MAXHOST];
    if (!all->web_servers)
        return true;
    if (getnameinfo((const struct sockaddr *)peer, len, host, sizeof host, NULL, 0,
                    NI_NUMERICHOST) != 0)
        return false;
    struct slice rest = slice_of(all->web_servers);
    while (rest.len > 0) {
        size_t item = strcspn(rest.data, ",");
        if (slice_equal(slice_trim((struct slice){rest.data, item}), slice_of(host)))
            return true;
        rest = slice_from(rest, item < rest.len ? item + 1 : item);
    }
    log_limited(&all->refusals, LOG_LEVEL_WARNING, "listener",
                "rejected a connection from %s: not in FCGI_WEB_SERVER_ADDRS", host);
    return false;
}

/* Accepts one connection. Returns false if there is none, or none can be accepted now. */
static bool accept_one(struct listener *listener)
{
    struct listeners *all = listener->all;
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int on = 1;
    int fd = accept4(listener->io.fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED)
            return true;
        if (errno != EAGAIN && errno != EWOULDBLOCK) { /* out of descriptors or memory */
            log_limited(&all->failures, LOG_LEVEL_WARNING, "listener",
                        "accept failed: %s; new connections have to wait", strerror(errno));
            pause_accepting(all);
        }
        return false;
    }
    if (!listener->local) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        if (!peer_allowed(all, &peer, len)) {
            close(fd);
            return true;
        }
    }
    if (!all->accepted(all->context, fd, listener->local)) {
        log_limited(&all->failures, LOG_LEVEL_WARNING, "listener",
                    "out of memory; new connections have to wait");
        close(fd);
        pause_accepting(all);
        return false;
    }
    return true;
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)events;
    for (int i = 0; i < ACCEPT_ROUND && ev_is_active(io); i++)
        if (!accept_one(io->data))
            return;
}

/* --- addresses --- */

/* Splits "tcp:HOST:PORT" or "tcp:[HOST]:PORT", without its "tcp:", into host and port. */
static bool split_tcp(const char *text, char host[ADDRESS_MAX], const char **port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1] || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atoi(colon + 1) > 65535)
        return false;
    *port = colon + 1;
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return false; /* an IPv6 address needs brackets */
    }
    if (len == 0 || len >= ADDRESS_MAX)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    return true;
}

const char *listener_check_address(const char *address)
{
    char host[ADDRESS_MAX];
    const char *port;
    if (strncmp(address, "unix:", 5) == 0) {
        size_t len = strlen(address + 5);
        if (len == 0 || len >= sizeof((struct sockaddr_un *)0)->sun_path)
            return "the path of a unix socket must have 1 to 107 bytes";
        return NULL;
    }
    if (strncmp(address, "tcp:", 4) == 0)
        return split_tcp(address + 4, host, &port)
                   ? NULL
                   : "write tcp:HOST:PORT, or tcp:[ADDRESS]:PORT for IPv6";
    if (strncmp(address, "fd:", 3) == 0)
        return address[3] && strlen(address + 3) < 6 &&
                       strspn(address + 3, "0123456789") == strlen(address + 3)
                   ? NULL
                   : "the number of a descriptor must follow fd:";
    return "write unix:PATH, tcp:HOST:PORT or fd:NUMBER";
}

/* Whether a server accepts connections at the unix socket; then we must not replace it. */
static bool someone_listens(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool listens = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                   errno == EAGAIN; /* its backlog is full */
    close(fd);
    return listens;
}

/* Returns the descriptor, or -1 with *why set. */
static int open_unix(const char *path, unsigned mode, const char **why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (lstat(path, &status) == 0) {
        if (!S_ISSOCK(status.st_mode)) {
            *why = "the path exists, but is not a socket";
            return -1;
        }
        if (someone_listens(&address)) {
            *why = "another server is listening there";
            return -1;
        }
        unlink(path);
    }

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0777 & ~mode); /* so that it is never more permissive than `mode` */
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    umask(before);
    if (bound && listen(fd, BACKLOG) == 0)
        return fd;
    *why = strerror(errno);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The same for a TCP socket. */
static int open_tcp(const struct addrinfo *address, const char **why)
{
    int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (address->ai_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    *why = strerror(errno);
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool is_listening(int fd)
{
    int listening = 0;
    socklen_t len = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

/* Takes over an inherited socket. */
static int adopt(int fd, const char **why)
{
    if (!is_listening(fd)) {
        *why = "the descriptor is not a listening socket";
        return -1;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

/* --- opening --- */

static bool add(struct listeners *all, int fd, bool created, const char *made_path)
{
    struct listener *listener = &all->listener[all->count];
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (made_path) {
        listener->unix_path = alloc_copy(made_path, strlen(made_path));
        if (!listener->unix_path)
            return false;
    }
    getsockname(fd, (struct sockaddr *)&address, &len);
    listener->all = all;
    listener->local = address.ss_family == AF_UNIX;
    listener->created = created;
    ev_io_init(&listener->io, on_connection, fd, EV_READ);
    listener->io.data = listener;
    all->count++;
    return true;
}

/* Whether the list has the same address earlier, which /etc/hosts can cause. */
static bool is_repeated(const struct addrinfo *list, const struct addrinfo *address)
{
    for (; list != address; list = list->ai_next)
        if (list->ai_addrlen == address->ai_addrlen &&
            memcmp(list->ai_addr, address->ai_addr, address->ai_addrlen) == 0)
            return true;
    return false;
}

/* Listens on all addresses of the host, since a front server may try any of them; except those of a
 * protocol that this machine does not support. */
static bool open_host(struct listeners *all, const char *text, const char **why)
{
    char host[ADDRESS_MAX];
    const char *port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    size_t opened = 0;
    bool failed = false;
    split_tcp(text, host, &port);
    int error = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &found);
    if (error) {
        *why = gai_strerror(error);
        return false;
    }
    for (const struct addrinfo *at = found; at && !failed && opened < ADDRESSES_MAX;
         at = at->ai_next) {
        if (is_repeated(found, at))
            continue;
        int fd = open_tcp(at, why);
        if (fd >= 0 && add(all, fd, true, NULL))
            opened++;
        else
            failed = fd >= 0 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL);
    }
    freeaddrinfo(found);
    return opened > 0 && !failed;
}

static bool open_one(struct listeners *all, const char *address, unsigned mode, const char **why)
{
    const char *path = strncmp(address, "unix:", 5) == 0 ? address + 5 : NULL;
    if (strncmp(address, "tcp:", 4) == 0)
        return open_host(all, address + 4, why);
    int fd = path ? open_unix(path, mode, why) : adopt(atoi(address + 3), why);
    return fd >= 0 && add(all, fd, path != NULL, path);
}

static bool open_address(struct listeners *all, const char *address, unsigned mode)
{
    const char *why = "out of memory";
    if (open_one(all, address, mode, &why)) {
        log_info("listener", "listening on %s", address);
        return true;
    }
    log_error("listener", "can't listen on %s: %s", address, why);
    return false;
}

/* As sd_listen_fds(3): the number of sockets that systemd has passed. They are for us only if the
 * process id matches. */
static size_t systemd_count(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (!pid || !count || strtol(pid, NULL, 10) != (long)getpid())
        return 0;
    long sockets = strtol(count, NULL, 10);
    return sockets > 0 && sockets < 1000 ? (size_t)sockets : 0;
}

static bool adopt_range(struct listeners *all, int first, size_t count, const char *from)
{
    for (int fd = first; fd < first + (int)count; fd++) {
        const char *why = "out of memory";
        if (adopt(fd, &why) < 0 || !add(all, fd, false, NULL)) {
            log_error("listener", "can't use descriptor %d from %s: %s", fd, from, why);
            return false;
        }
    }
    log_info("listener", "listening on %zu socket%s from %s", count, count == 1 ? "" : "s", from);
    return true;
}

static bool open_all(struct listeners *all, const struct listener_settings *settings,
                     size_t from_systemd)
{
    if (from_systemd > 0)
        return adopt_range(all, SYSTEMD_FIRST, from_systemd, "systemd");
    if (!FCGX_IsCGI())
        return adopt_range(all, FCGI_LISTENSOCK_FILENO, 1, "the process that started us");
    for (size_t i = 0; i < settings->count; i++)
        if (!open_address(all, settings->addresses[i], settings->socket_mode))
            return false;
    return true;
}

struct listeners *listeners_open(struct ev_loop *loop, const struct listener_settings *settings,
                                 listener_accepted_fn *accepted, void *context)
{
    size_t from_systemd = systemd_count();
    size_t most = settings->count * ADDRESSES_MAX;
    if (most < from_systemd)
        most = from_systemd;
    struct listeners *all = alloc_zeroed(sizeof *all + (most + 1) * sizeof(struct listener));
    if (!all) {
        log_error("listener", "out of memory");
        return NULL;
    }
    all->loop = loop;
    all->accepted = accepted;
    all->context = context;
    all->web_servers = getenv("FCGI_WEB_SERVER_ADDRS");
    ev_timer_init(&all->pause, on_pause_over, 0., 0.);
    all->pause.data = all;
    if (!open_all(all, settings, from_systemd)) {
        listeners_close(all);
        return NULL;
    }
    return all;
}

void listeners_start(struct listeners *listeners)
{
    listeners->wanted = true;
    ev_timer_stop(listeners->loop, &listeners->pause);
    watch_all(listeners, true);
}

void listeners_pause(struct listeners *listeners)
{
    listeners->wanted = false;
    watch_all(listeners, false);
}

void listeners_finish(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        struct listener *listener = &listeners->listener[i];
        for (int k = 0; listener->created && listeners->wanted && k < BACKLOG; k++)
            if (!accept_one(listener))
                break;
    }
}

void listeners_close(struct listeners *listeners)
{
    if (!listeners)
        return;
    watch_all(listeners, false);
    ev_timer_stop(listeners->loop, &listeners->pause);
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->listener[i].unix_path) /* first: a new process checks who listens */
            unlink(listeners->listener[i].unix_path);
        close(listeners->listener[i].io.fd);
        free(listeners->listener[i].unix_path);
    }
    log_limit_end(&listeners->refusals);
    log_limit_end(&listeners->failures);
    free(listeners);
}
