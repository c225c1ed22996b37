/* A lease: its token, and the timer that renews it. */
#include "cache/lease.h"

#include <ev.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/put.h"
#include "cache/store.h"

#define TOKEN_BYTES (STORE_TOKEN_LEN / 2)

struct lease {
    struct ev_loop *loop;
    struct store *store;
    ev_timer renewal;
    int64_t life_ms;
    char token[STORE_TOKEN_LEN + 1];
    size_t key_len;
    char key[];
};

/* Returns the next random bytes; the kernel is asked for those of many tokens at once. */
static const unsigned char *random_bytes(void)
{
    static unsigned char bytes[16 * TOKEN_BYTES];
    static size_t left;
    if (left == 0) {
        if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != (ssize_t)sizeof bytes) /* at boot */
            for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (unsigned char)lrand48();
        left = sizeof bytes;
    }
    left -= TOKEN_BYTES;
    return bytes + left;
}

void lease_make_token(char *token)
{
    *put_hex_bytes(token, random_bytes(), TOKEN_BYTES) = '\0';
}

/* If the lease is no longer ours, the script does nothing; storing the result will fail then. */
static void on_renewal(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct lease *lease = timer->data;
    (void)loop, (void)events;
    store_renew(lease->store, lease_key(lease), lease->token, lease->life_ms);
}

struct lease *lease_new(struct ev_loop *loop, struct store *store, struct slice key,
                        const char *token, double seconds)
{
    struct lease *lease = alloc_zeroed(sizeof *lease + key.len);
    if (!lease)
        return NULL;
    lease->loop = loop;
    lease->store = store;
    lease->life_ms = (int64_t)(seconds * 1000);
    memcpy(lease->token, token, STORE_TOKEN_LEN);
    memcpy(lease->key, key.data, key.len);
    lease->key_len = key.len;
    ev_timer_init(&lease->renewal, on_renewal, seconds / 3, seconds / 3);
    lease->renewal.data = lease;
    ev_timer_start(loop, &lease->renewal);
    return lease;
}

const char *lease_token(const struct lease *lease)
{
    return lease->token;
}

struct slice lease_key(const struct lease *lease)
{
    return (struct slice){.data = lease->key, .len = lease->key_len};
}

void lease_free(struct lease *lease)
{
    if (!lease)
        return;
    ev_timer_stop(lease->loop, &lease->renewal);
    free(lease);
}
