/* Counts the users of something, which may go when the last one has gone. */
#ifndef WORKERLESS_BASE_USERS_H
#define WORKERLESS_BASE_USERS_H

#include <stddef.h>

struct users {
    size_t count;
    void (*gone)(struct users *users); /* called by the last users_drop; it must not free yet what
                                          its caller may be using */
};

/* NULL is allowed: nothing is counted. Returns `users`. */
static inline struct users *users_add(struct users *users)
{
    if (users)
        users->count++;
    return users;
}

/* NULL is allowed. */
static inline void users_drop(struct users *users)
{
    if (users && --users->count == 0)
        users->gone(users);
}

#endif
