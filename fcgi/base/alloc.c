/* malloc, with a switch for tests that makes it fail. */
#include "base/alloc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static long successes_left = -1;

static bool refused(void)
{
    if (successes_left < 0)
        return false;
    if (successes_left == 0)
        return true;
    successes_left--;
    return false;
}

void alloc_fail_after(long successes)
{
    successes_left = successes;
}

/* Not inlined into alloc_zeroed, which gcc would make a calloc of. */
__attribute__((noinline)) void *alloc_bytes(size_t size)
{
    return refused() ? NULL : malloc(size);
}

/* glibc keeps freed blocks of up to about a kilobyte at hand for malloc, but not for calloc. */
void *alloc_zeroed(size_t size)
{
    if (size > 1024)
        return refused() ? NULL : calloc(1, size);
    void *block = alloc_bytes(size);
    return block ? memset(block, 0, size) : NULL;
}

void *alloc_resized(void *block, size_t size)
{
    return refused() ? NULL : realloc(block, size);
}

char *alloc_copy(const void *bytes, size_t len)
{
    char *copy = alloc_bytes(len + 1);
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}
