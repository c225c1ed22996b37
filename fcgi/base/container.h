/* From a member back to the struct that it is embedded in. */
#ifndef WORKERLESS_BASE_CONTAINER_H
#define WORKERLESS_BASE_CONTAINER_H

#include <stddef.h>

/* `pointer` points to that member of a `type`; a pointer to anything else does not compile. */
#define container_of(pointer, type, member)                                                        \
    ((type *)((char *)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))

#endif
