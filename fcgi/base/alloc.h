/* Allocation that may fail.
 *
 * All rooms allocate here, and every caller handles NULL: one request or one connection fails,
 * never the process. The unit tests make the n-th allocation fail.
 */
#ifndef WORKERLESS_BASE_ALLOC_H
#define WORKERLESS_BASE_ALLOC_H

#include <stddef.h>

/* `size` zeroed bytes, or NULL. The caller frees them with free(). */
void *alloc_zeroed(size_t size);

/* `size` bytes with unspecified content, or NULL. The caller frees them with free(). */
void *alloc_bytes(size_t size);

/* As realloc(3): on NULL the old block is untouched and still the caller's. */
void *alloc_resized(void *block, size_t size);

/* A terminated copy of `len` bytes, or NULL. The caller frees it with free(). */
char *alloc_copy(const void *bytes, size_t len);

/* For tests: lets `successes` more allocations succeed and all later ones fail; -1 turns it off. */
void alloc_fail_after(long successes);

#endif
