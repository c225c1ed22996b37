/* Connects curl and the loop. */
#include "source/http_multi.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/table.h"
#include "source/http_memory.h"

/* A socket that curl wants to be watched. That of a connection stays watched while it is idle: curl
 * soon wants the same again. */
struct http_watch {
    ev_io io;
    int fd;             /* the key */
    int wanted;         /* the events that curl wants; 0: none */
    bool is_connection; /* it is closed by on_close */
    UT_hash_handle hh;
};

/* Calls curl, then reports transfers that are done. The watch that led here may be freed by
 * then. */
static void work(struct http_multi *multi, curl_socket_t fd, int mask)
{
    int running, left;
    CURLMcode code = curl_multi_socket_action(multi->handle, fd, mask, &running);
    if (code != CURLM_OK)
        log_limited(&multi->failures, LOG_LEVEL_ERROR, "http", "source \"%s\": %s", multi->name,
                    curl_multi_strerror(code));

    CURLMsg *message;
    while ((message = curl_multi_info_read(multi->handle, &left)))
        if (message->msg == CURLMSG_DONE)
            multi->events->done(multi->context, message->easy_handle, message->data.result);
    multi->events->worked(multi->context);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    work(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket(struct ev_loop *loop, ev_io *io, int events)
{
    const struct http_watch *watch = (struct http_watch *)io;
    if (!watch->wanted) /* the idle connection was closed, which curl sees when it is to be used */
        ev_io_stop(loop, io);
    else
        work(io->data, io->fd,
             (events & EV_READ ? CURL_CSELECT_IN : 0) | (events & EV_WRITE ? CURL_CSELECT_OUT : 0) |
                 (events & EV_ERROR ? CURL_CSELECT_ERR : 0));
}

/* curl's timer callback. curl must not be called from here, even for 0. */
static int on_timer_wanted(CURLM *handle, long timeout_ms, void *context)
{
    struct http_multi *multi = context;
    (void)handle;
    ev_timer_stop(multi->loop, &multi->timer);
    if (timeout_ms >= 0) {
        ev_timer_set(&multi->timer, (double)timeout_ms / 1000, 0.);
        ev_timer_start(multi->loop, &multi->timer);
    }
    return 0;
}

static void watch_free(struct http_multi *multi, struct http_watch *watch)
{
    ev_io_stop(multi->loop, &watch->io);
    HASH_DEL(multi->watches, watch);
    free(watch);
}

static struct http_watch *watch_find(const struct http_multi *multi, int fd)
{
    struct http_watch *watch;
    HASH_FIND_INT(multi->watches, &fd, watch);
    return watch;
}

static struct http_watch *watch_new(struct http_multi *multi, int fd)
{
    struct http_watch *watch = alloc_zeroed(sizeof *watch);
    if (!watch)
        return NULL;
    ev_io_init(&watch->io, on_socket, fd, 0);
    watch->io.data = multi;
    watch->fd = fd;
    HASH_ADD_INT(multi->watches, fd, watch);
    if (watch->hh.tbl)
        return watch;
    free(watch);
    return NULL;
}

static void watch_for(struct http_multi *multi, struct http_watch *watch, int wanted)
{
    int events = watch->io.events & (EV_READ | EV_WRITE);
    watch->wanted = wanted;
    /* A socket that can be written to would be reported again and again. */
    bool stays = ev_is_active(&watch->io) && (wanted ? wanted == events : events == EV_READ);
    if (stays)
        return;
    ev_io_stop(multi->loop, &watch->io);
    ev_io_set(&watch->io, watch->fd, wanted);
    if (wanted)
        ev_io_start(multi->loop, &watch->io);
}

/* curl's socket callback. The easy handle may be one of curl's own. */
static int on_watch_wanted(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
    struct http_multi *multi = context;
    struct http_watch *watch = watch_find(multi, fd);
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        if (watch && watch->is_connection)
            watch_for(multi, watch, 0);
        else if (watch)
            watch_free(multi, watch);
        return 0;
    }
    if (!watch)
        watch = watch_new(multi, fd);
    if (watch)
        watch_for(multi, watch,
                  (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
    else /* Only this call fails. Returning -1 would end every call of the source. */
        multi->events->unwatched(multi->context, easy);
    return 0;
}

/* curl's sockopt callback: it has a new socket. If there is no memory now, it does not stay
 * watched. */
static int on_open(void *context, curl_socket_t fd, curlsocktype purpose)
{
    struct http_multi *multi = context;
    struct http_watch *watch = watch_find(multi, fd);
    (void)purpose;
    if (watch) /* curl has closed that one by itself */
        watch_free(multi, watch);
    watch = watch_new(multi, fd);
    if (watch)
        watch->is_connection = true;
    return CURL_SOCKOPT_OK;
}

/* curl's closesocket callback. */
static int on_close(void *context, curl_socket_t fd)
{
    struct http_multi *multi = context;
    struct http_watch *watch = watch_find(multi, fd);
    if (watch)
        watch_free(multi, watch);
    return close(fd);
}

CURLcode http_multi_prepare(struct http_multi *multi, CURL *easy)
{
    CURLcode code = curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_open);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, multi);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, multi);
    return code;
}

static bool curl_ready(void)
{
    static bool ready;
    if (ready)
        return true;
    CURLcode code = http_memory_init();
    if (code) {
        log_error("http", "can't set up libcurl: %s", curl_easy_strerror(code));
        return false;
    }
    ready = true;
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    if (!(curl->features & CURL_VERSION_ASYNCHDNS))
        log_warning("http",
                    "this libcurl (%s) can't look up hosts in the background: "
                    "a slow name server will delay all requests",
                    curl->version);
    return true;
}

bool http_multi_init(struct http_multi *multi, struct ev_loop *loop, const char *name,
                     unsigned connections, const struct http_multi_events *events, void *context)
{
    *multi = (struct http_multi){
        .handle = curl_ready() ? curl_multi_init() : NULL,
        .loop = loop,
        .name = name,
        .events = events,
        .context = context,
    };
    ev_timer_init(&multi->timer, on_timer, 0., 0.);
    multi->timer.data = multi;
    if (!multi->handle)
        return false;
#if LIBCURL_VERSION_NUM >= 0x081400
    curl_multi_setopt(multi->handle, CURLMOPT_QUICK_EXIT, 1L);
#endif
    return !curl_multi_setopt(multi->handle, CURLMOPT_SOCKETFUNCTION, on_watch_wanted) &&
           !curl_multi_setopt(multi->handle, CURLMOPT_SOCKETDATA, multi) &&
           !curl_multi_setopt(multi->handle, CURLMOPT_TIMERFUNCTION, on_timer_wanted) &&
           !curl_multi_setopt(multi->handle, CURLMOPT_TIMERDATA, multi) &&
           !curl_multi_setopt(multi->handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)connections) &&
           !curl_multi_setopt(multi->handle, CURLMOPT_MAXCONNECTS, (long)connections);
}

void http_multi_end(struct http_multi *multi)
{
    curl_multi_cleanup(multi->handle); /* still calls our callbacks */
    struct http_watch *watch, *next;
    HASH_ITER(hh, multi->watches, watch, next)
    {
        watch_free(multi, watch);
    }
    ev_timer_stop(multi->loop, &multi->timer);
    log_limit_end(&multi->failures);
}
