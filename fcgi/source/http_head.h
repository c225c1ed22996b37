/* The header fields of a response, collected line by line. Pure. */
#ifndef WORKERLESS_SOURCE_HTTP_HEAD_H
#define WORKERLESS_SOURCE_HTTP_HEAD_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/slice.h"

#define HTTP_HEAD_MAX ((size_t)512 << 10) /* bytes; libcurl 8 stops at 300 KiB */

struct http_head {       /* all zero: empty, holds no memory */
    struct buffer lines; /* each field without its line end, terminated */
    bool is_begun;       /* its status line has come */
    bool is_interim;     /* that is informational: the head of another response follows */
    bool is_over;        /* its empty line has come; what follows are trailers */
};

/* Adds a line, with its line end. The status line after an informational response begins a new head,
 * so that of the last response stays. Returns false if there is no room or memory for it. */
bool http_head_add(struct http_head *head, struct slice line);

/* Frees the memory; it is empty again. */
void http_head_clear(struct http_head *head);

/* Gets the field at *at, which is 0 for the first one, and moves *at to the next one. The value has
 * no spaces around it, and is terminated. Returns false if there is none left. */
bool http_head_next(const struct http_head *head, size_t *at, struct slice *name,
                    struct slice *value);

/* The value of the first field of that name, in any case; data is NULL if there is none. */
struct slice http_head_find(const struct http_head *head, struct slice name);

#endif
