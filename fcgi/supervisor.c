/* Several processes that serve, and one that looks after them.
 *
 *     supervisor --fork--> worker 0, 1, ...        each is server_run with the sockets given
 *         | ^                    |
 *         | '------ pipe: "I serve", "I live"
 *         '--------- signals --->
 *
 * A worker that ends is replaced by one with the same number, which takes over its sockets. If the
 * supervisor dies, the kernel sends its workers SIGTERM, and they drain.
 *
 * The supervisor blocks its signals and reads them from a descriptor, so nothing happens between
 * two lines of its loop, and a worker inherits no handler and no event loop.
 *
 *     SIGTERM, SIGINT, SIGQUIT, SIGUSR1   passed on; the sockets are closed, and no worker is
 *                                         replaced; it is over when all are gone
 *     SIGHUP                              the config is checked, kept for workers to come, and the
 *                                         signal passed on; not if there are errors
 *     SIGUSR2                             passed on
 *     SIGCHLD                             a worker has ended
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/figures.h"
#include "base/identity.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/restarts.h"
#include "base/signals.h"
#include "conf/conf.h"
#include "logs.h"
#include "redis/check.h"
#include "reload.h"
#include "sandbox.h"
#include "server.h"
#include "wire/sockets.h"

#define WORKERS_MAX      256
#define FORK_AGAIN_S     1.0 /* after fork has failed */
#define PATIENCE_S       5.0 /* beyond its timeouts, until a worker that does not end is killed */
#define FIGURES_ROOM     ((size_t)256 << 10) /* bytes; pages that are not used take no memory */
#define FIGURES_ROW_ROOM 1024 /* bytes: more than the rows of a route or a source take */
#define LIVES            4 /* a worker that lives tells it so often within the manager's timeout */

struct child {
    pid_t pid;         /* 0: there is none */
    bool serving;      /* it has said so */
    double since;      /* when it was started */
    double heard;      /* when it was last heard */
    double due;        /* without a pid: when to start one */
    unsigned failures; /* see restarts_delay */
};

struct supervisor {
    struct conf *conf;
    struct sockets *sockets; /* NULL: a drain has begun */
    pid_t pid;
    int signals, life[2]; /* a signalfd; the pipe from the workers */
    bool ready;           /* the manager has been told so */
    bool failed;          /* a worker did not end well in a drain */
    double kill_at;       /* in a drain: when to kill those that are left */
    double alive_s,
        alive_at; /* the interval for the manager, and the next time; 0: it does not ask */
    unsigned count;
    struct child children[];
};

/* Returned by functions that fork: in the supervisor. In a worker, its number is returned. */
#define NO_WORKER (-1)

/* --- one worker --- */

/* In the child. Its own process group keeps a terminal from sending it the signals that the
 * supervisor passes on. */
static void become_worker(struct supervisor *supervisor, unsigned number)
{
    sigset_t ended;
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    setpgid(0, 0);
    if (getppid() != supervisor->pid) /* it died before that */
        raise(SIGTERM);
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &ended, NULL);
    notify_close();
    close(supervisor->signals);
    close(supervisor->life[0]);
    figures_join(number);
    counters_join();
    conf_count(supervisor->conf);
    sockets_keep(supervisor->sockets, number);
}

static int start_one(struct supervisor *supervisor, unsigned number)
{
    struct child *child = &supervisor->children[number];
    double now = clock_monotonic();
    pid_t pid = fork();
    if (pid == 0) {
        become_worker(supervisor, number);
        return (int)number;
    }
    if (pid < 0) {
        log_error("main", "can't start worker %u: %s", number, strerror(errno));
        child->due = now + FORK_AGAIN_S;
        return NO_WORKER;
    }
    log_info("main", "worker %u is process %ld", number, (long)pid);
    child->pid = pid;
    child->since = child->heard = now;
    return NO_WORKER;
}

static int start_due(struct supervisor *supervisor)
{
    double now = clock_monotonic();
    int number = NO_WORKER;
    for (unsigned i = 0; i < supervisor->count && number == NO_WORKER; i++)
        if (supervisor->children[i].pid == 0 && supervisor->children[i].due <= now)
            number = start_one(supervisor, i);
    return number;
}

/* Sends all workers the signal. */
static void pass_on(const struct supervisor *supervisor, int number)
{
    for (unsigned i = 0; i < supervisor->count; i++)
        if (supervisor->children[i].pid > 0)
            kill(supervisor->children[i].pid, number);
}

static unsigned running(const struct supervisor *supervisor)
{
    unsigned count = 0;
    for (unsigned i = 0; i < supervisor->count; i++)
        count += supervisor->children[i].pid > 0;
    return count;
}

/* --- the service manager --- */

static void tell_manager(struct supervisor *supervisor)
{
    unsigned serving = 0;
    char status[100];
    if (!supervisor->sockets)
        return;
    for (unsigned i = 0; i < supervisor->count; i++)
        serving += supervisor->children[i].serving;
    snprintf(status, sizeof status, "serving, workers: %u of %u, fragments: %zu, sources: %zu",
             serving, supervisor->count, supervisor->conf->route_count,
             supervisor->conf->source_count);
    if (supervisor->ready)
        notify_status(status);
    else if (serving == supervisor->count)
        notify_ready(status);
    supervisor->ready |= serving == supervisor->count;
}

/* A worker that hangs is not alive; one that is being replaced does not count. */
static bool all_live(const struct supervisor *supervisor, double now)
{
    for (unsigned i = 0; i < supervisor->count; i++)
        if (supervisor->children[i].serving &&
            now - supervisor->children[i].heard > 2 * supervisor->alive_s)
            return false;
    return true;
}

static void tell_alive(struct supervisor *supervisor)
{
    double now = clock_monotonic();
    if (supervisor->alive_s <= 0 || now < supervisor->alive_at)
        return;
    supervisor->alive_at = now + supervisor->alive_s;
    if (all_live(supervisor, now))
        notify_alive();
}

/* --- events --- */

static void on_ended(struct supervisor *supervisor, pid_t pid, int status)
{
    char how[RESTARTS_ROOM];
    unsigned number = 0;
    while (number < supervisor->count && supervisor->children[number].pid != pid)
        number++;
    if (number == supervisor->count)
        return; /* none of ours */
    struct child *child = &supervisor->children[number];
    bool well = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
    restarts_describe(how, status);
    child->pid = 0;
    child->serving = false;
    figures_end(number);
    counters_end(number);
    if (!supervisor->sockets) {
        supervisor->failed |= !well;
        if (!well)
            log_error("main", "worker %u, process %ld, %s", number, (long)pid, how);
        return;
    }
    double now = clock_monotonic();
    double delay = restarts_delay(&child->failures, now - child->since);
    char when[32] = "now";
    if (delay > 0)
        snprintf(when, sizeof when, "in %.3g s", delay);
    child->due = now + delay;
    log_message(well ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, "main",
                "worker %u, process %ld, %s; the next one starts %s", number, (long)pid, how, when);
    tell_manager(supervisor);
}

static void reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        on_ended(supervisor, pid, status);
}

static void drain(struct supervisor *supervisor, int number)
{
    const struct conf *conf = supervisor->conf;
    bool slow = number == SIGQUIT || number == SIGUSR1;
    char status[80];
    double most = conf->shutdown_timeout + PATIENCE_S + (slow ? conf->drain_timeout : 0);
    double kill_at = clock_monotonic() + most;
    if (supervisor->sockets || kill_at < supervisor->kill_at)
        supervisor->kill_at = kill_at;
    snprintf(status, sizeof status, "SIG%s: stopping %u workers", sigabbrev_np(number),
             running(supervisor));
    log_info("main", "%s", status);
    notify_stopping(status);
    sockets_close(supervisor->sockets);
    supervisor->sockets = NULL;
    pass_on(supervisor, number);
}

/* Each worker reads the config itself. One with errors does not get to them, but counts as if. */
static void reload(struct supervisor *supervisor)
{
    struct conf *next;
    if (!supervisor->sockets) {
        log_info("main", "SIGHUP: the workers drain, so the config is not read again");
        return;
    }
    if (!(next = reload_replace(supervisor->conf)))
        return;
    supervisor->conf = next;
    pass_on(supervisor, SIGHUP);
    if (supervisor->ready) {
        supervisor->ready = false; /* tells it again */
        tell_manager(supervisor);
    }
}

static void on_signal(struct supervisor *supervisor, int number)
{
    switch (number) {
    case SIGCHLD:
        reap(supervisor);
        break;
    case SIGHUP:
        reload(supervisor);
        break;
    case SIGUSR2:
        log_reopen();
        pass_on(supervisor, number);
        break;
    default:
        drain(supervisor, number);
    }
}

static void read_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;
    while (read(supervisor->signals, &info, sizeof info) == (ssize_t)sizeof info)
        on_signal(supervisor, (int)info.ssi_signo);
}

static void read_lives(struct supervisor *supervisor)
{
    unsigned char numbers[64];
    double now = clock_monotonic();
    bool news = false;
    ssize_t count;
    while ((count = read(supervisor->life[0], numbers, sizeof numbers)) > 0) {
        for (ssize_t i = 0; i < count; i++) {
            struct child *child = &supervisor->children[numbers[i] % supervisor->count];
            news |= !child->serving && child->pid > 0;
            child->serving = child->pid > 0;
            child->heard = now;
        }
    }
    if (news)
        tell_manager(supervisor);
}

/* --- the loop --- */

static void earlier(double *at, double other)
{
    if (other < *at)
        *at = other;
}

/* Milliseconds until something is due; -1: nothing is. */
static int patience(const struct supervisor *supervisor)
{
    double now = clock_monotonic(), at = now + 3600;
    if (supervisor->alive_s > 0)
        earlier(&at, supervisor->alive_at);
    if (!supervisor->sockets)
        earlier(&at, supervisor->kill_at);
    for (unsigned i = 0; supervisor->sockets && i < supervisor->count; i++)
        if (supervisor->children[i].pid == 0)
            earlier(&at, supervisor->children[i].due);
    return at > now ? (int)((at - now) * 1000) + 1 : 0;
}

static void kill_the_rest(struct supervisor *supervisor)
{
    double now = clock_monotonic();
    if (supervisor->sockets || now < supervisor->kill_at)
        return;
    log_error("main", "killing %u workers that do not end", running(supervisor));
    pass_on(supervisor, SIGKILL);
    supervisor->kill_at = now + PATIENCE_S;
}

/* Returns in the supervisor when all workers are gone, and in each worker at once. */
static int supervise(struct supervisor *supervisor)
{
    struct pollfd polled[] = {{.fd = supervisor->signals, .events = POLLIN},
                              {.fd = supervisor->life[0], .events = POLLIN}};
    while (supervisor->sockets || running(supervisor) > 0) {
        int number = supervisor->sockets ? start_due(supervisor) : NO_WORKER;
        if (number != NO_WORKER)
            return number;
        if (poll(polled, 2, patience(supervisor)) < 0 && errno != EINTR && errno != EAGAIN)
            log_error("main", "poll: %s", strerror(errno));
        read_lives(supervisor);
        read_signals(supervisor);
        tell_alive(supervisor);
        kill_the_rest(supervisor);
    }
    return NO_WORKER;
}

/* --- from the config to the processes --- */

static unsigned count_workers(const struct conf *conf)
{
    cpu_set_t set;
    int count = 1;
    if (conf->workers > 0)
        return (unsigned)conf->workers;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
    return count < 1 ? 1 : count < WORKERS_MAX ? (unsigned)count : WORKERS_MAX;
}

/* What was opened or checked as root must be usable afterwards. */
static bool change_identity(const struct conf *conf, const struct sockets *sockets)
{
    struct identity identity;
    struct redis_problem problem;
    const char *option, *why;
    if (!identity_find(&identity, conf->user, conf->group))
        return false;
    if (!identity_differs(&identity))
        return true;
    if (geteuid() == 0 && (!sockets_give(sockets, identity.uid, identity.gid) ||
                           !log_give(identity.uid, identity.gid)))
        return false;
    if (!identity_assume(&identity))
        return false;
    if (!redis_check_tls(&conf->cache.redis, &problem)) {
        log_error("main", "%s: %s (as user \"%s\")", problem.option, problem.why, conf->user);
        return false;
    }
    for (size_t i = 0; i < conf->source_count; i++) {
        if (!(why = source_check(conf->sources[i], &option)))
            continue;
        log_error("main", "source \"%s\", %s: %s (as user \"%s\")", conf->sources[i]->name, option,
                  why, conf->user);
        return false;
    }
    return true;
}

/* Blocks the signals that the supervisor acts on. An ignored one would not be delivered. */
static bool open_signals(struct supervisor *supervisor)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGHUP, SIGCHLD};
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaddset(&set, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    supervisor->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return supervisor->signals >= 0;
}

/* Bytes for what a worker counts; twice as many routes and sources as now. */
static size_t figures_room(const struct conf *conf)
{
    size_t bytes = FIGURES_ROOM;
    for (size_t i = 0; i < conf->route_count; i++)
        bytes += 2 * (FIGURES_ROW_ROOM + strlen(conf->routes[i].pattern));
    for (size_t i = 0; i < conf->source_count; i++)
        bytes += 2 * (FIGURES_ROW_ROOM + strlen(conf->sources[i]->name));
    return bytes;
}

/* Takes the config and the sockets. */
static int run_workers(struct conf *conf, struct sockets *sockets, unsigned count)
{
    struct supervisor *supervisor = alloc_zeroed(sizeof *supervisor + count * sizeof(struct child));
    int status = EXIT_FAILURE, number;
    if (!supervisor || !figures_share(count, figures_room(conf)) ||
        pipe2(supervisor->life, O_CLOEXEC | O_NONBLOCK) != 0) {
        log_error("main", "can't supervise: %s", strerror(errno));
        free(supervisor);
        sockets_close(sockets);
        conf_free(conf);
        return status;
    }
    counters_join();
    supervisor->conf = conf;
    supervisor->sockets = sockets;
    supervisor->count = count;
    supervisor->pid = getpid();
    if (!*conf->cache.redis.address)
        log_warning("main",
                    "there is no Redis: each of the %u workers fetches fragments for itself",
                    count);
    if (open_signals(supervisor)) {
        notify_open();
        supervisor->alive_s = notify_watch_interval();
        number = supervise(supervisor);
        struct worker worker = {(unsigned char)number, supervisor->life[1],
                                supervisor->alive_s * 2 / LIVES};
        if (number != NO_WORKER) {
            status = server_run(supervisor->conf, supervisor->sockets, &worker);
        } else {
            status = supervisor->failed ? EXIT_FAILURE : EXIT_SUCCESS;
            conf_free(supervisor->conf);
            log_info("main", "all workers have stopped");
            notify_close();
            close(supervisor->signals);
            close(supervisor->life[0]);
        }
    } else {
        log_error("main", "can't supervise: %s", strerror(errno));
        sockets_close(sockets);
        conf_free(conf);
    }
    close(supervisor->life[1]);
    free(supervisor);
    return status;
}

int supervisor_run(struct conf *conf)
{
    unsigned count = count_workers(conf);
    signals_hold_ends();
    struct sockets *sockets = sockets_open(&conf->listen, count);
    if (!sockets || !change_identity(conf, sockets) ||
        (count > 1 && (!logs_try(conf) || !sandbox_enter_files(conf)))) {
        sockets_close(sockets);
        conf_free(conf);
        return EXIT_FAILURE;
    }
    return count == 1 ? server_run(conf, sockets, NULL) : run_workers(conf, sockets, count);
}
