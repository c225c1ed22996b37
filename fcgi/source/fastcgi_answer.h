/* The response of a FastCGI server to one request: records -> header fields, body, errors.
 *
 *     STDOUT  "Status: 404 Not Found\r\nContent-Type: text/html\r\n\r\n<p>..."
 *     STDERR  lines for the log
 *     END_REQUEST
 *
 * A response counts only if its END_REQUEST has come: a connection that ends before it may have cut
 * the body anywhere. Records of unknown types and those of the connection itself (id 0) are ignored.
 */
#ifndef WORKERLESS_SOURCE_FASTCGI_ANSWER_H
#define WORKERLESS_SOURCE_FASTCGI_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "fastcgi/record.h"
#include "source/http_head.h"

#define FASTCGI_COMPLAINT_MAX 800 /* bytes of a line of STDERR; the rest of it is dropped */

/* Gets each line of STDERR that is not empty, without its end. */
typedef void fastcgi_complain_fn(void *context, struct slice line);

enum fastcgi_step {
    FASTCGI_MORE,      /* the input is used up */
    FASTCGI_DONE,      /* the response is complete, with its END_REQUEST */
    FASTCGI_IGNORED,   /* its body is not needed, and too large to be read for nothing */
    FASTCGI_TOO_LARGE, /* its body is larger than max_body */
    FASTCGI_HEAD,      /* its header is larger than HTTP_HEAD_MAX */
    FASTCGI_BAD,       /* it is malformed; `problem` says how */
    FASTCGI_NO_MEMORY,
};

struct fastcgi_answer { /* all zero but the first three: nothing has come */
    size_t max_body;    /* bytes */
    fastcgi_complain_fn *complain;
    void *context;

    bool has_begun; /* a byte has come */
    bool has_head;  /* all header fields have come; then these two are valid: */
    int status;
    struct http_head head;
    struct buffer body;
    struct record_end end; /* of FASTCGI_DONE */
    const char *problem;   /* completes a sentence that begins with the script */

    struct record_decoder decoder;
    struct buffer line; /* of the header, as far as it has come */
    size_t ignored;     /* bytes of a body that is not needed */
    unsigned char end_content[sizeof(FCGI_EndRequestBody)];
    char complaint[FASTCGI_COMPLAINT_MAX];
    size_t complaint_len;
};

/* Reads from the input and removes what it has read. After any step but FASTCGI_MORE, do not call it
 * again. */
enum fastcgi_step fastcgi_answer_feed(struct fastcgi_answer *answer, struct slice *input);

/* Whether nothing was left behind the END_REQUEST, so that the connection can carry another request.
 * `rest` is what fastcgi_answer_feed has left of its input. */
bool fastcgi_answer_is_clean(const struct fastcgi_answer *answer, struct slice rest);

/* Passes on the last line of STDERR, if its end has not come, and frees the memory; as if nothing
 * had come. */
void fastcgi_answer_clear(struct fastcgi_answer *answer);

#endif
