/* The answer to one request, and whether it equals the first answer.
 *
 * Heads may differ from answer to answer (Age counts), bodies must not.
 */
#ifndef WORKERLESS_BENCH_ANSWER_H
#define WORKERLESS_BENCH_ANSWER_H

#include <stdbool.h>
#include <strings.h>

#include "frames.h"

struct answer { /* the content of a STDOUT stream; all zero: none yet */
    unsigned char *data;
    size_t len, capacity;
};

enum answer_verdict { ANSWER_GOOD, ANSWER_BAD_STATUS, ANSWER_BAD_BODY };

static inline void answer_append(struct answer *answer, const unsigned char *bytes, size_t len)
{
    if (len > answer->capacity - answer->len) {
        answer->capacity = (answer->len + len) * 2;
        answer->data = bench_grow(answer->data, answer->capacity);
    }
    memcpy(answer->data + answer->len, bytes, len);
    answer->len += len;
}

/* Where the body begins, or 0 if the head has no end. */
static inline size_t answer_body_at(const struct answer *answer)
{
    const unsigned char *end =
        answer->len > 0 ? memmem(answer->data, answer->len, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - answer->data) + 4 : 0;
}

/* CGI: no Status line means 200 (RFC 3875 6.3.3). */
static inline bool answer_is_200(const struct answer *answer, size_t body_at)
{
    const char *head = (const char *)answer->data, *end = head + body_at, *line = head;
    while (end - line > 12) {
        if (strncasecmp(line, "Status:", 7) == 0)
            return memcmp(line + 7 + (line[7] == ' '), "200", 3) == 0;
        line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
    }
    return true;
}

/* Compares with the last good answer, `known`, which then becomes this one; the first good answer
 * is the one that all others are compared with. */
static inline enum answer_verdict answer_check(const struct answer *answer, struct answer *known)
{
    if (answer->len == known->len && answer->len > 0 &&
        memcmp(answer->data, known->data, answer->len) == 0)
        return ANSWER_GOOD;
    size_t body_at = answer_body_at(answer);
    if (body_at == 0 || !answer_is_200(answer, body_at))
        return ANSWER_BAD_STATUS;
    if (known->len > 0) {
        size_t known_at = answer_body_at(known);
        if (answer->len - body_at != known->len - known_at ||
            memcmp(answer->data + body_at, known->data + known_at, known->len - known_at) != 0)
            return ANSWER_BAD_BODY;
    }
    known->len = 0;
    answer_append(known, answer->data, answer->len);
    return ANSWER_GOOD;
}

#endif
