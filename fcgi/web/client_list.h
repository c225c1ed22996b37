/* The clients that may do what others may not, as the config lists them. Pure. */
#ifndef WORKERLESS_WEB_CLIENT_LIST_H
#define WORKERLESS_WEB_CLIENT_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct client_list { /* all zero: nobody */
    const char *const *addresses;
    size_t count;
};

/* Whether the list has the address, which is compared as text: the REMOTE_ADDR of a request. */
static inline bool client_list_has(const struct client_list *list, struct slice remote_addr)
{
    for (size_t i = 0; i < list->count; i++)
        if (slice_equal(remote_addr, slice_of(list->addresses[i])))
            return true;
    return false;
}

#endif
