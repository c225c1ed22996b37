/* The memory of libcurl: malloc, with lists of freed blocks.
 *
 * For one transfer, libcurl allocates and frees some sixty small blocks and a buffer of 16 KiB.
 * glibc keeps only seven blocks of a size at hand, and none that large.
 */
#ifndef WORKERLESS_SOURCE_HTTP_MEMORY_H
#define WORKERLESS_SOURCE_HTTP_MEMORY_H

#include <stddef.h>
#include <curl/curl.h>

/* The most that is kept, in bytes. */
#define HTTP_MEMORY_KEPT_MAX ((size_t)2 << 20)

/* curl_global_init, with this memory for libcurl. Blocks are kept for the thread that calls it; its
 * other threads use malloc. If malloc is one that looks for errors, as that of valgrind and of the
 * sanitizers, all do. */
CURLcode http_memory_init(void);

/* What libcurl is given, for the tests. */
void *http_memory_get(size_t size);
void *http_memory_get_zeroed(size_t count, size_t size);
void *http_memory_get_resized(void *memory, size_t size);
char *http_memory_get_copy(const char *text);
void http_memory_free(void *memory);

/* How many bytes are kept now. */
size_t http_memory_kept(void);

#endif
