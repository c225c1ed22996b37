/* Redis checks the ACL before it runs a command, and before it says that a key is on another node.
 *
 *     start --> the commands of every lookup --all permitted--> done
 *                     |                                          ^  |
 *                     '--denied--> all commands, every 1 s ------'  |
 *                                      ^-------------- doubt -------'
 */
#include "redis/access.h"

#include <ev.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "redis/needs.h"
#include "redis/pipeline.h"
#include "redis/trouble.h"

#define AGAIN_S     1.0
#define SAY_AGAIN_S 60.0

struct redis_access {
    const struct redis_needs *needs;
    struct redis_pipeline *pipeline;
    const char *name;
    struct ev_loop *loop;
    ev_timer again;
    unsigned pending; /* commands without an answer */
    bool running;     /* between start and stop */
    bool denied;
    double asked_at, said_at; /* by clock_monotonic(); 0: everything is permitted since then */
    char denial[200];         /* the error of the latest probes; "": none */
};

static void set_denied(struct redis_access *access)
{
    double now = clock_monotonic();
    bool denied = access->denial[0];
    if (denied && (access->said_at == 0 || now - access->said_at >= SAY_AGAIN_S)) {
        log_warning("redis", "%s: %s (%s): %s", access->name, redis_trouble_text(REDIS_DENIES),
                    access->denial, redis_trouble_cure(REDIS_DENIES));
        access->said_at = now;
    } else if (!denied && access->denied) {
        log_info("redis", "%s: Redis permits everything that is needed again", access->name);
    }
    if (!denied)
        access->said_at = 0;
    access->denied = denied;
}

static void ask_later(struct redis_access *access)
{
    ev_timer_stop(access->loop, &access->again);
    ev_timer_set(&access->again, AGAIN_S, 0.);
    ev_timer_start(access->loop, &access->again);
}

static void on_answer(void *caller, redisReply *reply)
{
    struct redis_access *access = caller;
    access->pending--;
    if (reply && reply->type == REDIS_REPLY_ERROR && redis_trouble_is_denial(reply->str))
        snprintf(access->denial, sizeof access->denial, "%s", reply->str);
    if (!access->running || access->pending > 0 || !reply)
        return;
    set_denied(access);
    if (access->denied)
        ask_later(access);
}

static bool send_probe(struct redis_access *access, const struct redis_probe *probe)
{
    const char *words[REDIS_PROBE_WORDS_MAX];
    int count = 0;
    for (; count < REDIS_PROBE_WORDS_MAX && probe->words[count]; count++)
        words[count] = probe->words[count];
    return redis_pipeline_send_words(access->pipeline, on_answer, access, count, words);
}

static void ask(struct redis_access *access, bool all)
{
    if (!access->running || access->pending > 0)
        return;
    access->denial[0] = '\0';
    if (all)
        access->asked_at = clock_monotonic();
    for (size_t i = 0; i < access->needs->probe_count; i++) {
        const struct redis_probe *probe = &access->needs->probes[i];
        if ((all || !probe->in_doubt) && send_probe(access, probe))
            access->pending++;
    }
    if (access->pending == 0)
        ask_later(access);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    ask(timer->data, true);
}

void redis_access_start(struct redis_access *access)
{
    access->running = true;
    ask(access, false);
}

void redis_access_stop(struct redis_access *access)
{
    ev_timer_stop(access->loop, &access->again);
    access->running = access->denied = false;
}

void redis_access_doubt(struct redis_access *access)
{
    if (!access->running || ev_is_active(&access->again))
        return;
    if (access->pending == 0 && clock_monotonic() - access->asked_at >= AGAIN_S)
        ask(access, true);
    else
        ask_later(access);
}

bool redis_access_denied(const struct redis_access *access)
{
    return access->denied;
}

struct redis_access *redis_access_new(struct ev_loop *loop, const struct redis_needs *needs,
                                      struct redis_pipeline *pipeline, const char *name)
{
    struct redis_access *access = alloc_zeroed(sizeof *access);
    if (!access)
        return NULL;
    access->loop = loop;
    access->needs = needs;
    access->pipeline = pipeline;
    access->name = name;
    ev_timer_init(&access->again, on_again, AGAIN_S, 0.);
    access->again.data = access;
    return access;
}

void redis_access_free(struct redis_access *access)
{
    free(access);
}
