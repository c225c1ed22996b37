/* uthash, with memory that may be refused: after HASH_ADD*, `item->hh.tbl == NULL` says that there
 * was none and that the item is not in the table. */
#ifndef WORKERLESS_BASE_TABLE_H
#define WORKERLESS_BASE_TABLE_H

#include "base/alloc.h"

#define HASH_NONFATAL_OOM      1
#define uthash_malloc(size)    alloc_bytes(size)
#define uthash_free(ptr, size) free(ptr)

#include <stdlib.h>
#include <uthash.h>

#endif
