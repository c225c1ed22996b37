/* The queue of output segments of a connection, written with writev. */
#include "wire/output.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/users.h"
#include "cache/entry.h"

#define FIRST_CAPACITY 2000  /* bytes of an own segment: framing of a response and a small body */
#define NEXT_CAPACITY  16320 /* of later own segments: many responses are sent together */
#define COPY_MAX       1024  /* bytes that are cheaper to copy than to reference */
#define WRITE_BATCH    64    /* segments of one writev */

struct segment {
    struct segment *next;
    const char *data;
    size_t len;
    struct entry *entry; /* held; NULL for bytes that are elsewhere */
    struct users *users; /* counted; NULL likewise */
    size_t capacity;     /* of own[]; 0: the bytes live elsewhere */
    size_t used;         /* of own[], sent or not */
    char own[];
};

/* Freed segments with own bytes. A busy process needs as many again soon, and the allocator is slow
 * for blocks of their size. */
static struct spares {
    size_t capacity;
    unsigned most; /* kept */
    unsigned count;
    struct segment *first;
} spares[] = {
    {.capacity = FIRST_CAPACITY, .most = OUTPUT_SPARES},
    {.capacity = NEXT_CAPACITY, .most = 1},
};

static struct spares *spares_of(size_t capacity)
{
    for (size_t i = 0; i < sizeof spares / sizeof spares[0]; i++)
        if (spares[i].capacity == capacity)
            return &spares[i];
    return NULL;
}

static struct segment *segment_new(size_t capacity)
{
    struct spares *of = spares_of(capacity);
    struct segment *segment = of ? of->first : NULL;
    if (segment) {
        of->first = segment->next;
        of->count--;
    } else {
        segment = alloc_bytes(sizeof *segment + capacity);
        if (!segment)
            return NULL;
    }
    budget_add(BUDGET_UNSENT, sizeof *segment + capacity);
    return segment;
}

static void segment_free(struct segment *segment)
{
    struct spares *of = spares_of(segment->capacity);
    entry_let_go(segment->entry);
    users_drop(segment->users);
    budget_sub(BUDGET_UNSENT, sizeof *segment + segment->capacity);
    if (of && of->count < of->most) {
        segment->next = of->first;
        of->first = segment;
        of->count++;
    } else {
        free(segment);
    }
}

static struct segment *append_segment(struct output *output, size_t capacity)
{
    struct segment *segment = segment_new(capacity);
    if (!segment)
        return NULL;
    *segment = (struct segment){.capacity = capacity};
    segment->data = segment->own;
    if (output->last)
        output->last->next = segment;
    else
        output->first = segment;
    output->last = segment;
    return segment;
}

static void drop_first(struct output *output)
{
    struct segment *segment = output->first;
    output->first = segment->next;
    if (!output->first)
        output->last = NULL;
    segment_free(segment);
}

char *output_reserve(struct output *output, size_t len)
{
    struct segment *segment = output->last;
    if (!segment || len > segment->capacity - segment->used) {
        size_t usual = segment ? NEXT_CAPACITY : FIRST_CAPACITY;
        segment = append_segment(output, len > usual ? len : usual);
        if (!segment)
            return NULL;
    }
    char *out = segment->own + segment->used;
    segment->used += len;
    segment->len += len;
    output->queued += len;
    return out;
}

void output_return(struct output *output, size_t len)
{
    output->last->used -= len;
    output->last->len -= len;
    output->queued -= len;
}

bool output_append(struct output *output, struct slice bytes, struct entry *entry,
                   struct users *users)
{
    if (bytes.len == 0)
        return true;
    if (bytes.len <= COPY_MAX) {
        char *out = output_reserve(output, bytes.len);
        if (out)
            memcpy(out, bytes.data, bytes.len);
        return out != NULL;
    }
    struct segment *segment = append_segment(output, 0);
    if (!segment)
        return false;
    segment->data = bytes.data;
    segment->len = bytes.len;
    segment->entry = entry ? entry_hold(entry) : NULL;
    segment->users = users_add(users);
    output->queued += bytes.len;
    return true;
}

size_t output_unsent(const struct output *output)
{
    size_t unsent = 0;
    const struct entry *last = NULL; /* consecutive segments may share an entry */
    for (const struct segment *segment = output->first; segment; segment = segment->next) {
        unsent += sizeof *segment + segment->capacity;
        if (segment->entry && segment->entry != last)
            unsent += entry_unsent(segment->entry);
        last = segment->entry ? segment->entry : last;
    }
    return unsent;
}

/* Removes the first `count` bytes of the queue. */
static void consume(struct output *output, size_t count)
{
    output->queued -= count;
    while (output->first && count >= output->first->len) {
        count -= output->first->len;
        drop_first(output);
    }
    if (count > 0) {
        output->first->data += count;
        output->first->len -= count;
    }
}

/* Returns the number of bytes that the kernel accepted, or -1. */
static ssize_t send_segments(const struct output *output, int fd)
{
    const struct segment *segment = output->first;
    if (!segment->next) /* the most frequent case, and the cheaper call */
        return send(fd, segment->data, segment->len, MSG_NOSIGNAL);

    struct iovec parts[WRITE_BATCH];
    struct msghdr message = {.msg_iov = parts};
    for (; segment && message.msg_iovlen < WRITE_BATCH; segment = segment->next)
        parts[message.msg_iovlen++] =
            (struct iovec){.iov_base = (void *)segment->data, .iov_len = segment->len};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

enum output_state output_write(struct output *output, int fd)
{
    while (output->first) {
        ssize_t written = send_segments(output, fd);
        if (written >= 0)
            consume(output, (size_t)written);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return OUTPUT_BLOCKED;
        else if (errno != EINTR)
            return OUTPUT_FAILED;
    }
    return OUTPUT_EMPTY;
}

void output_free(struct output *output)
{
    while (output->first)
        drop_first(output);
    output->queued = 0;
}
