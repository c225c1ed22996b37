/* Resolves with getaddrinfo_a(3) and polls for the answer with a timer: no signals, and no
 * callbacks from other threads. The answer of a lookup that can't be cancelled is awaited and
 * discarded, unless the loop ends first. */
#include "base/resolve.h"

#include <ev.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"

#define LOOK_EVERY_S 0.01
#define ATTEMPTS     64 /* bounds the time to select an address */

struct resolve {
    struct gaicb lookup;
    struct addrinfo hints;
    ev_timer timer;
    resolve_done_fn *done; /* NULL: cancelled */
    void *caller;
    unsigned attempt;
    char host[];
};

static void resolve_finish(struct resolve *resolve, int error)
{
    char address[NI_MAXHOST];
    struct addrinfo *found = resolve->lookup.ar_result;
    const struct addrinfo *picked = found;
    for (unsigned i = 0; picked && i < resolve->attempt; i++)
        picked = picked->ai_next ? picked->ai_next : found;
    if (!error)
        error = getnameinfo(picked->ai_addr, picked->ai_addrlen, address, sizeof address, NULL, 0,
                            NI_NUMERICHOST);
    if (resolve->done)
        resolve->done(resolve->caller, error ? NULL : address, error ? gai_strerror(error) : NULL);
    if (found)
        freeaddrinfo(found);
    free(resolve);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct resolve *resolve = timer->data;
    (void)events;
    int error = gai_error(&resolve->lookup);
    if (error == EAI_INPROGRESS)
        return;
    ev_timer_stop(loop, timer);
    resolve_finish(resolve, error);
}

struct resolve *resolve_start(struct ev_loop *loop, const char *host, unsigned attempt,
                              resolve_done_fn *done, void *caller)
{
    size_t size = strlen(host) + 1;
    struct resolve *resolve = alloc_zeroed(sizeof *resolve + size);
    if (!resolve)
        return NULL;
    memcpy(resolve->host, host, size);
    resolve->attempt = attempt % ATTEMPTS;
    resolve->done = done;
    resolve->caller = caller;
    resolve->hints = (struct addrinfo){.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    resolve->lookup.ar_name = resolve->host;
    resolve->lookup.ar_request = &resolve->hints;

    struct gaicb *list[] = {&resolve->lookup};
    if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0) {
        free(resolve);
        return NULL;
    }
    ev_timer_init(&resolve->timer, on_timer, LOOK_EVERY_S, LOOK_EVERY_S);
    resolve->timer.data = resolve;
    ev_timer_start(loop, &resolve->timer);
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    if (resolve)
        resolve->done = NULL;
}
