/* Hash tables whose keys strangers choose: uthash with a secret of the process, and with memory
 * that may be refused.
 *
 * Without the secret anybody could send keys that all fall into one bucket, and each lookup would
 * walk through all of them. After HASH_ADD*, `item->hh.tbl == NULL` says that there was no memory
 * and that the item is not in the table.
 */
#ifndef WORKERLESS_BASE_TABLE_H
#define WORKERLESS_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

/* A hash of the bytes that nobody outside this process can foretell (XXH3 with a random seed). */
uint64_t table_hash(const void *bytes, size_t len);

#define HASH_NONFATAL_OOM                1
#define HASH_FUNCTION(bytes, len, hashv) (hashv) = (unsigned)table_hash(bytes, len)
#define uthash_malloc(size)              alloc_bytes(size)
#define uthash_free(ptr, size)           free(ptr)

#include <stdlib.h>
#include <uthash.h>

#endif
