/* A module that does wrong whatever the name of the fragment says. With one of these macros, it is
 * wrong itself: WRONG_ABI, WRONG_SIZE, NO_START, UNRESOLVED, SHORT_SYMBOL, NO_SYMBOL. With NO_CANCEL
 * it is right, and does not cancel. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ev.h>
#include <workerless/source.h>

#define LATE_S 0.05

struct instance {
    const struct workerless_source *source;
    const struct workerless_host *host;
    uint64_t id, cancelled; /* of the source, of the last call that was cancelled */
    ev_timer timer;
    struct workerless_result result;
};

static uint64_t last_call, last_source, first_source; /* of any instance */
static const struct workerless_host *last_host;

static const struct workerless_result fine = {.status = WORKERLESS_OK,
                                              .type = "text/html",
                                              .body = "<p>fine</p>",
                                              .body_len = 11};

static void complete(struct instance *instance, uint64_t call)
{
    instance->host->done(call, &fine);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct instance *instance = timer->data;
    (void)loop, (void)events;
    complete(instance, instance->cancelled);
}

static void *in_thread(void *instance)
{
    complete(instance, last_call);
    ((struct instance *)instance)->host->log(last_source, WORKERLESS_ERROR, "from a thread");
    return NULL;
}

static void complete_in_thread(struct instance *instance)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, in_thread, instance) == 0)
        pthread_join(thread, NULL);
}

/* Results that are not valid. */
static int complete_badly(struct instance *instance, const struct workerless_call *call)
{
    static char long_type[300], *huge;
    static const size_t huge_len = (size_t)3 << 20;
    const char *name = call->name.data;
    struct workerless_result bad = fine;
    if (!huge && (huge = malloc(huge_len)))
        memset(huge, 'x', huge_len);
    memset(long_type, 'x', sizeof long_type - 1);
    if (strcmp(name, "no-body") == 0)
        bad.body = NULL;
    else if (strcmp(name, "huge-body") == 0)
        bad.body = huge, bad.body_len = huge_len;
    else if (strcmp(name, "false-length") == 0)
        bad.body_len = SIZE_MAX;
    else if (strcmp(name, "type-with-newline") == 0)
        bad.type = "text/html\r\nSet-Cookie: a=b";
    else if (strcmp(name, "long-type") == 0)
        bad.type = long_type;
    else if (strcmp(name, "image") == 0)
        bad.type = "image/png";
    else if (strcmp(name, "control-with-newline") == 0)
        bad.cache_control = "max-age=1\r\nX: y";
    else if (strcmp(name, "status") == 0)
        bad.status = (enum workerless_status)77;
    else if (strcmp(name, "reason") == 0)
        bad =
            (struct workerless_result){.status = WORKERLESS_FAILED, .reason = "line one\nline two"};
    else if (strcmp(name, "no-reason") == 0)
        bad = (struct workerless_result){.status = WORKERLESS_FAILED};
    else
        return 0;
    instance->host->done(call->id, &bad);
    return 1;
}

static void misbehave(void *context, struct workerless_call *call)
{
    struct instance *instance = context;
    const char *name = call->name.data;
    last_call = call->id;
    if (complete_badly(instance, call))
        return;
    if (strcmp(name, "twice") == 0) {
        complete(instance, call->id);
        complete(instance, call->id);
    } else if (strcmp(name, "thread") == 0) {
        complete_in_thread(instance);
    } else if (strcmp(name, "nothing") == 0) {
        instance->host->done(call->id, NULL);
    } else if (strcmp(name, "invented") == 0) {
        instance->host->done(0, &fine);
        instance->host->done(UINT64_MAX, &fine);
        instance->host->done(instance->id, &fine);
        instance->host->log(UINT64_MAX, WORKERLESS_ERROR, "nobody's");
        instance->host->log(call->id, WORKERLESS_ERROR, "a call's");
        complete(instance, call->id);
    } else if (strcmp(name, "blocks") == 0) {
        usleep(200000);
        complete(instance, call->id);
    } else if (strcmp(name, "logs") == 0) {
        instance->host->log(instance->id, WORKERLESS_ERROR, "line one\nline two %d", 2);
        instance->host->log(instance->id, (enum workerless_level)9, "of no level");
        complete(instance, call->id);
    } else if (strncmp(name, "never", 5) != 0 && strncmp(name, "late", 4) != 0) {
        complete(instance, call->id);
    }
}

#ifndef NO_CANCEL
static void misbehave_cancel(void *context, struct workerless_call *call)
{
    struct instance *instance = context;
    if (strncmp(call->name.data, "late-now", 8) == 0) {
        complete(instance, call->id);
    } else if (strncmp(call->name.data, "late", 4) == 0) {
        instance->cancelled = call->id;
        ev_timer_set(&instance->timer, LATE_S, 0.);
        ev_timer_start(instance->source->loop, &instance->timer);
    }
}
#endif

static int misbehave_check(const struct workerless_setting *settings, size_t count, char *why,
                           size_t size)
{
    if (strcmp(workerless_setting(settings, count, "check", "good"), "silent") == 0)
        return -1;
    if (strcmp(workerless_setting(settings, count, "check", "good"), "bad") != 0)
        return 0;
    memset(why, 'x', size); /* without an end */
    memcpy(why, "the check is bad ", 17);
    return -1;
}

static void *misbehave_open(const struct workerless_source *source, char *why, size_t size)
{
    const char *wanted =
        workerless_setting(source->settings, source->setting_count, "open", "good");
    if (last_host && workerless_setting(source->settings, source->setting_count, "haunts", NULL)) {
        last_host->done(last_call, &fine); /* of an instance before this one */
        last_host->log(first_source, WORKERLESS_ERROR, "from before");
    }
    if (strcmp(wanted, "bad") == 0) {
        snprintf(why, size, "the database is on holiday");
        return NULL;
    }
    struct instance *instance = calloc(1, sizeof *instance);
    if (!instance)
        return NULL;
    instance->source = source;
    instance->host = last_host = source->host;
    instance->id = last_source = source->id;
    ev_timer_init(&instance->timer, on_timer, LATE_S, 0.);
    instance->timer.data = instance;
    first_source = first_source ? first_source : source->id;
    source->host->log(source->id, WORKERLESS_INFO, "opened");
    return instance;
}

static void misbehave_close(void *context)
{
    struct instance *instance = context;
    ev_timer_stop(instance->source->loop, &instance->timer);
    instance->host->log(instance->id, WORKERLESS_INFO, "closed");
    free(instance);
}

#ifdef UNRESOLVED
extern int there_is_no_such_function(void);
int (*pull)(void) = there_is_no_such_function;
#endif

#if defined SHORT_SYMBOL || defined NO_SYMBOL
#define EXPORTED never_exported
#else
#define EXPORTED workerless_module
#endif
#ifdef SHORT_SYMBOL
__asm__(".data\n.globl workerless_module\n.type workerless_module, @object\n"
        ".size workerless_module, 16\nworkerless_module: .long 1, 88, 32, 64\n.text");
#endif
#ifdef WRONG_ABI
#undef WORKERLESS_ABI
#define WORKERLESS_ABI 2U
#endif
#ifdef WRONG_SIZE
struct longer_call {
    struct workerless_call call;
    int more;
};
#define workerless_call longer_call
#endif

const struct workerless_module EXPORTED = {
    WORKERLESS_MODULE_HEAD,     .name = "misbehaving",  .version = "1.2",
    .check = misbehave_check,   .open = misbehave_open,
#ifndef NO_START
    .start = misbehave,
#endif
#ifndef NO_CANCEL
    .cancel = misbehave_cancel,
#endif
    .close = misbehave_close,
};

#ifdef NO_START
void (*const keep_used)(void *, struct workerless_call *) = misbehave;
#endif
