/* Listening sockets, inherited or opened here.
 *
 * Several workers share each unix socket and each inherited one. On a TCP address, each worker has a
 * socket of its own (SO_REUSEPORT), among which the kernel spreads the connections. All of them
 * are opened before the workers are started, and stay open while a worker is replaced; so the
 * connections that wait in them are not lost.
 */
#include "wire/sockets.h"

#include <errno.h>
#include <fastcgi.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/slice.h"

#define SYSTEMD_FIRST 3 /* SD_LISTEN_FDS_START */
#define ADDRESSES_MAX 8 /* to listen on for one host name */

/* --- addresses --- */

const char *sockets_check_address(const char *address)
{
    const char *number = strncmp(address, "fd:", 3) == 0 ? address + 3 : NULL;
    if (number)
        return *number && strlen(number) < 6 && strspn(number, "0123456789") == strlen(number)
                   ? NULL
                   : "the number of a descriptor must follow fd:";
    if (!address_path(address) && strncmp(address, "tcp:", 4) != 0)
        return "write unix:PATH, tcp:HOST:PORT or fd:NUMBER";
    return address_check(address);
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

/* Why a unix socket could not be created, and what to do. */
static const char *explain_unix(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return "the directory of the socket does not exist: create it";
    case EACCES:
        return "Permission denied: this user cannot write to the directory of the socket";
    case EADDRINUSE:
        return "the socket exists, and this user can neither connect to it nor replace it";
    default:
        return strerror(error);
    }
}

/* Why a TCP socket could not be opened, and what to do. */
static const char *explain_tcp(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "Address already in use: another program listens there";
    case EADDRNOTAVAIL:
        return "this host does not have that address";
    case EACCES:
        return "Permission denied: ports below 1024 need root; start as root, and set \"user\"";
    default:
        return strerror(error);
    }
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
    if (bound && listen(fd, SOCKETS_BACKLOG) == 0)
        return fd;
    *why = explain_unix(errno);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Whether nobody listens at the TCP address. Sockets with SO_REUSEPORT would not notice. */
static bool is_free(const struct addrinfo *address, const char **why)
{
    int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                   (address->ai_family != AF_INET6 ||
                    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
                   bind(fd, address->ai_addr, address->ai_addrlen) == 0;
    int error = errno;
    *why = explain_tcp(error);
    if (fd >= 0)
        close(fd);
    errno = error;
    return is_free;
}

/* The same for a TCP socket; `among`: one of several at this address. */
static int open_tcp(const struct addrinfo *address, bool among, const char **why)
{
    int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!among || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
        (address->ai_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOCKETS_BACKLOG) == 0)
        return fd;
    *why = explain_tcp(errno);
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

static bool add(struct sockets *all, int fd, unsigned worker, bool created, const char *made_path)
{
    struct listening_socket *socket = &all->list[all->count];
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    *socket = (struct listening_socket){.fd = fd, .worker = worker, .created = created};
    if (made_path) {
        socket->unix_path = alloc_copy(made_path, strlen(made_path));
        if (!socket->unix_path) {
            unlink(made_path);
            close(fd);
            return false;
        }
    }
    getsockname(fd, (struct sockaddr *)&address, &len);
    socket->local = address.ss_family == AF_UNIX;
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

/* Opens a socket for each worker. */
static bool open_shares(struct sockets *all, const struct addrinfo *address, const char **why)
{
    if (all->workers > 1 && !is_free(address, why))
        return false;
    for (unsigned worker = 0; worker < all->workers; worker++) {
        int fd = open_tcp(address, all->workers > 1, why);
        if (fd < 0 || !add(all, fd, worker, true, NULL))
            return false;
    }
    return true;
}

/* Listens on all addresses of the host, since a front server may try any of them; except those of a
 * protocol that this machine does not support. */
static bool open_host(struct sockets *all, const char *address, const char **why)
{
    char host[ADDRESS_HOST_ROOM];
    const char *port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    size_t opened = 0;
    bool failed = false;
    address_split_tcp(address, host, &port);
    int error = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &found);
    if (error) {
        *why = gai_strerror(error);
        return false;
    }
    for (const struct addrinfo *at = found; at && !failed && opened < ADDRESSES_MAX;
         at = at->ai_next) {
        if (is_repeated(found, at))
            continue;
        if (open_shares(all, at, why))
            opened++;
        else
            failed = errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL;
    }
    freeaddrinfo(found);
    return opened > 0 && !failed;
}

static bool open_one(struct sockets *all, const char *address, unsigned mode, const char **why)
{
    const char *path = address_path(address);
    if (strncmp(address, "tcp:", 4) == 0)
        return open_host(all, address, why);
    int fd = path ? open_unix(path, mode, why) : adopt(atoi(address + 3), why);
    return fd >= 0 && add(all, fd, SOCKET_OF_ALL, path != NULL, path);
}

static bool open_address(struct sockets *all, const char *address, unsigned mode)
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

static bool adopt_range(struct sockets *all, int first, size_t count, const char *from)
{
    for (int fd = first; fd < first + (int)count; fd++) {
        const char *why = "out of memory";
        if (adopt(fd, &why) < 0 || !add(all, fd, SOCKET_OF_ALL, false, NULL)) {
            log_error("listener", "can't use descriptor %d from %s: %s", fd, from, why);
            return false;
        }
    }
    log_info("listener", "listening on %zu socket%s from %s", count, count == 1 ? "" : "s", from);
    return true;
}

/* Whether descriptor 0 is a listening socket. libfcgi takes over signals that have their default
 * effect; they would do nothing until somebody watches for them, so that is undone. */
static bool is_started_by_spawner(void)
{
    static const int taken[] = {SIGPIPE, SIGUSR1, SIGTERM};
    struct sigaction before[sizeof taken / sizeof taken[0]];
    sigset_t all, blocked;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &blocked);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        sigaction(taken[i], NULL, &before[i]);
    bool inherited = !FCGX_IsCGI();
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        sigaction(taken[i], &before[i], NULL);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    return inherited;
}

static bool open_all(struct sockets *all, const struct listener_settings *settings,
                     size_t from_systemd)
{
    if (from_systemd > 0)
        return adopt_range(all, SYSTEMD_FIRST, from_systemd, "systemd");
    if (is_started_by_spawner())
        return adopt_range(all, FCGI_LISTENSOCK_FILENO, 1, "the process that started us");
    for (size_t i = 0; i < settings->count; i++)
        if (!open_address(all, settings->addresses[i], settings->socket_mode))
            return false;
    return true;
}

struct sockets *sockets_open(const struct listener_settings *settings, unsigned workers)
{
    size_t from_systemd = systemd_count();
    size_t most = settings->count * ADDRESSES_MAX * workers;
    if (most < from_systemd)
        most = from_systemd;
    struct sockets *all = alloc_zeroed(sizeof *all + (most + 1) * sizeof all->list[0]);
    if (!all) {
        log_error("listener", "out of memory");
        return NULL;
    }
    all->workers = workers;
    if (!open_all(all, settings, from_systemd)) {
        sockets_close(all);
        return NULL;
    }
    return all;
}

bool sockets_give(const struct sockets *sockets, uid_t user, gid_t group)
{
    for (size_t i = 0; i < sockets->count; i++) {
        const char *path = sockets->list[i].unix_path;
        if (path && lchown(path, user, group) != 0) {
            log_error("listener", "can't change the owner of %s: %s", path, strerror(errno));
            return false;
        }
    }
    return true;
}

void sockets_keep(struct sockets *sockets, unsigned worker)
{
    size_t kept = 0;
    for (size_t i = 0; i < sockets->count; i++) {
        struct listening_socket *socket = &sockets->list[i];
        free(socket->unix_path);
        socket->unix_path = NULL;
        if (socket->worker == worker || socket->worker == SOCKET_OF_ALL)
            sockets->list[kept++] = *socket;
        else
            close(socket->fd);
    }
    sockets->count = kept;
}

void sockets_close(struct sockets *sockets)
{
    if (!sockets)
        return;
    for (size_t i = 0; i < sockets->count; i++) {
        struct listening_socket *socket = &sockets->list[i];
        if (socket->unix_path) /* first: a new process checks who listens */
            unlink(socket->unix_path);
        close(socket->fd);
        free(socket->unix_path);
    }
    free(sockets);
}
