/* Hash tables whose keys come from clients: uthash with a secret of the process, and with
 * allocation that may fail.
 *
 * Without the secret, a client could send keys that all fall into one bucket, and each lookup would
 * visit all of them. After HASH_ADD*, `item->hh.tbl == NULL` means that there was no memory and the
 * item is not in the table.
 */
#ifndef WORKERLESS_BASE_TABLE_H
#define WORKERLESS_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

/* A hash of the bytes that can't be predicted from outside the process (XXH3 with a random
 * seed). */
uint64_t table_hash(const void *bytes, size_t len);

#define HASH_NONFATAL_OOM                1
#define HASH_FUNCTION(bytes, len, hashv) (hashv) = (unsigned)table_hash(bytes, len)
#define uthash_malloc(size)              alloc_bytes(size)
#define uthash_free(ptr, size)           free(ptr)

#include <stdlib.h>
#include <uthash.h>

#endif
