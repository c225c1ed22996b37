/* Lines into fields (RFC 9112 5). libcurl has a list of its own, but to walk through it takes a time
 * that grows with the square of their number. */
#include "source/http_head.h"

#include <string.h>

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* Without the line end, and without spaces before that. */
static struct slice without_end(struct slice line)
{
    while (line.len > 0 && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    while (line.len > 0 && is_space(line.data[line.len - 1]))
        line.len--;
    return line;
}

/* Adds the text, terminated, or nothing. */
static bool append(struct http_head *head, struct slice text)
{
    size_t before = head->lines.len;
    if (buffer_append(&head->lines, text.data, text.len, HTTP_HEAD_MAX) &&
        buffer_append(&head->lines, "", 1, HTTP_HEAD_MAX))
        return true;
    head->lines.len = before;
    return false;
}

/* The field goes on in another line: the line break counts as a space (RFC 9112 5.2). */
static bool append_folded(struct http_head *head, struct slice line)
{
    line = slice_trim(line);
    if (head->lines.len == 0 || line.len == 0)
        return true;
    size_t end = head->lines.len - 1;
    head->lines.data[end] = ' ';
    if (append(head, line))
        return true;
    head->lines.data[end] = '\0';
    return false;
}

/* A field, or a trailer, may begin like a status line. */
static bool is_status_line(const struct http_head *head, struct slice line)
{
    bool is_expected = !head->is_begun || (head->is_interim && head->is_over);
    return is_expected && slice_starts(line, SLICE("HTTP/"));
}

static void begin(struct http_head *head, struct slice line)
{
    const char *space = memchr(line.data, ' ', line.len);
    struct slice status = slice_from(line, space ? (size_t)(space + 1 - line.data) : line.len);
    head->lines.len = 0;
    head->is_begun = true;
    head->is_interim = slice_starts(status, SLICE("1"));
    head->is_over = false;
}

bool http_head_add(struct http_head *head, struct slice line)
{
    struct slice field = without_end(line);
    if (is_status_line(head, line)) {
        begin(head, line);
        return true;
    }
    if (head->is_over || line.len == 0)
        return true;
    if (line.data[0] == '\r' || line.data[0] == '\n') {
        head->is_over = true;
        return true;
    }
    if (is_space(line.data[0])) /* perhaps of nothing but spaces */
        return append_folded(head, field);
    return append(head, field);
}

void http_head_clear(struct http_head *head)
{
    buffer_free(&head->lines);
    *head = (struct http_head){0};
}

bool http_head_next(const struct http_head *head, size_t *at, struct slice *name,
                    struct slice *value)
{
    while (*at < head->lines.len) {
        struct slice line = slice_of(head->lines.data + *at);
        *at += line.len + 1;
        const char *colon = memchr(line.data, ':', line.len);
        if (!colon)
            continue;
        *name = slice_trim((struct slice){.data = line.data, .len = (size_t)(colon - line.data)});
        *value = slice_trim(slice_from(line, (size_t)(colon - line.data) + 1));
        return true;
    }
    return false;
}

struct slice http_head_find(const struct http_head *head, struct slice name)
{
    struct slice found, value;
    for (size_t at = 0; http_head_next(head, &at, &found, &value);)
        if (slice_equal_nocase(found, name))
            return value;
    return (struct slice){0};
}
