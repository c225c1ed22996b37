/* Lists of freed blocks, by size. */
#include "source/http_memory.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The blocks of class n have n * UNIT - HEADER bytes at least. That is how glibc rounds sizes, of
 * which the smallest is SMALL_MIN. */
#define UNIT      16
#define HEADER    8
#define SMALL_MIN (2 * UNIT - HEADER)
#define CLASSES   66
#define LARGE     (CLASSES - 1) /* the class of the buffers that libcurl reads into */

#define SMALL_MAX ((size_t)(LARGE - 1) * UNIT - HEADER)
#define LARGE_MIN ((size_t)CURL_MAX_WRITE_SIZE + 1)
#define LARGE_MAX (LARGE_MIN + 64)

struct block {
    struct block *next;
};

static _Thread_local struct block *kept[CLASSES];
static _Thread_local size_t kept_bytes;
static _Thread_local bool keeps;

/* Both return 0 for a size that is not kept. */
static size_t class_of_request(size_t size)
{
    if (size < SMALL_MIN)
        size = SMALL_MIN;
    if (size <= SMALL_MAX)
        return (size + HEADER + UNIT - 1) / UNIT;
    return size == LARGE_MIN ? LARGE : 0;
}

static size_t class_of_block(size_t size)
{
    if (size <= SMALL_MAX)
        return (size + HEADER) / UNIT;
    return size >= LARGE_MIN && size <= LARGE_MAX ? LARGE : 0;
}

/* How a kept block counts. */
static size_t size_of(size_t class)
{
    return class == LARGE ? LARGE_MIN : class * UNIT;
}

void *http_memory_get(size_t size)
{
    size_t class = class_of_request(size);
    struct block *block = kept[class];
    if (!block)
        return malloc(size);
    kept[class] = block->next;
    kept_bytes -= size_of(class);
    return block;
}

void http_memory_free(void *memory)
{
    if (!memory)
        return;
    struct block *block = memory;
    size_t class = keeps ? class_of_block(malloc_usable_size(memory)) : 0;
    if (class == 0 || size_of(class) > HTTP_MEMORY_KEPT_MAX - kept_bytes) {
        free(memory);
        return;
    }
    block->next = kept[class];
    kept[class] = block;
    kept_bytes += size_of(class);
}

size_t http_memory_kept(void)
{
    return kept_bytes;
}

/* With realloc, blocks would be freed in other classes than they were asked for in. */
void *http_memory_get_resized(void *memory, size_t size)
{
    size_t had = memory ? malloc_usable_size(memory) : 0;
    if (class_of_request(size) == 0)
        return realloc(memory, size);
    if (had >= size)
        return memory;
    void *larger = http_memory_get(size);
    if (!larger)
        return NULL;
    if (had > 0)
        memcpy(larger, memory, had);
    http_memory_free(memory);
    return larger;
}

void *http_memory_get_zeroed(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    if (class_of_request(bytes) == 0)
        return calloc(1, bytes);
    void *block = http_memory_get(bytes);
    return block ? memset(block, 0, bytes) : NULL;
}

char *http_memory_get_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = http_memory_get(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

/* Whether malloc looks for errors: then a block has not a byte more than was asked for. */
static bool is_checking(void)
{
    void *block = malloc(1);
    bool is_exact = !block || malloc_usable_size(block) == 1;
    free(block);
    return is_exact;
}

CURLcode http_memory_init(void)
{
    if (is_checking())
        return curl_global_init(CURL_GLOBAL_DEFAULT);
    keeps = true;
    return curl_global_init_mem(CURL_GLOBAL_DEFAULT, http_memory_get, http_memory_free,
                                http_memory_get_resized, http_memory_get_copy,
                                http_memory_get_zeroed);
}
