/* Handles: numbers that stand for our objects in the code of modules. No handle is used twice, so one
 * that a module keeps for too long does no harm: it leads to nothing. For some time we remember what
 * it stood for, and how that ended, for the log.
 *
 * A handle consists of the index of a slot and of how often that slot has been used. The slot that has
 * been free for the longest time is used next. */
#ifndef WORKERLESS_SOURCE_MODULE_HANDLES_H
#define WORKERLESS_SOURCE_MODULE_HANDLES_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define HANDLES_REMEMBERED 64 /* the minimum of ended handles that are remembered */
#define HANDLE_NAME_ROOM   80 /* of a name; a longer one is truncated */

enum handle_kind { HANDLE_OF_SOURCE, HANDLE_OF_CALL };

enum handle_state {
    HANDLE_UNKNOWN,   /* there was never such a handle */
    HANDLE_FORGOTTEN, /* it has ended long ago */
    HANDLE_LIVE,
    HANDLE_COMPLETED,
    HANDLE_TIMED_OUT,
    HANDLE_CANCELLED,
    HANDLE_ABANDONED, /* timed out or cancelled, which nobody outside was told */
    HANDLE_CLOSED,
};

/* A bit that is 0 in all handles, so that whoever passes them on can use it. */
#define HANDLE_SPARE_BIT (UINT64_C(1) << 31)

struct handle_slot;

/* All zero: empty. */
struct handles {
    struct handle_slot *slots; /* owned */
    size_t count, free_count;
    size_t first_free, last_free;
};

/* What is remembered of a handle. Valid until the next handle is added. */
struct handle_view {
    enum handle_state state;
    enum handle_kind kind;
    const char *source, *fragment; /* terminated; "" if unknown */
};

/* Returns a handle for the object, which is borrowed until handles_end; 0: out of memory. The names
 * are copied. */
uint64_t handles_add(struct handles *handles, enum handle_kind kind, void *object,
                     struct slice source, struct slice fragment);

/* Returns the object, or NULL if the handle is not live, or of another kind. */
void *handles_find(const struct handles *handles, enum handle_kind kind, uint64_t handle);

/* Ends a live handle. */
void handles_end(struct handles *handles, uint64_t handle, enum handle_state state);

struct handle_view handles_look(const struct handles *handles, uint64_t handle);

/* Frees the table. No handle is live. */
void handles_free(struct handles *handles);

#endif
