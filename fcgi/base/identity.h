/* The user and the group that the process runs as. */
#ifndef WORKERLESS_BASE_IDENTITY_H
#define WORKERLESS_BASE_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

struct identity {
    const char *user, *group; /* borrowed names; "": none is asked for */
    uid_t uid;
    gid_t gid;
};

/* Return NULL, or an error message for the user. "" is valid. */
const char *identity_check_user(const char *name);
const char *identity_check_group(const char *name);

/* Looks the names up. Without a group, it is the user's. What is not asked for stays as it is.
 * Returns false after logging why. */
bool identity_find(struct identity *identity, const char *user, const char *group);

/* Whether the process is something else yet. */
bool identity_differs(const struct identity *identity);

/* Becomes that user and group, for ever. Does nothing if it is already. Returns false after logging
 * why. */
bool identity_assume(const struct identity *identity);

#endif
