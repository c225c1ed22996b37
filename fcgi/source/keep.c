/* The names that can't be kept. */
#include "source/keep.h"

#include "base/byte.h"

#define NAME_MAX_LEN 100

static bool is_name(struct slice name)
{
    if (name.len == 0 || name.len > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!byte_is_of_token(name.data[i]))
            return false;
    return true;
}

/* What a response says of its own message, of one connection, of caching, or to one client. */
static bool is_reserved(struct slice name)
{
    static const struct slice names[] = {
        /* of a connection (RFC 9110 7.6.1) */
        SLICE_INIT("Connection"),
        SLICE_INIT("Proxy-Connection"),
        SLICE_INIT("Keep-Alive"),
        SLICE_INIT("TE"),
        SLICE_INIT("Trailer"),
        SLICE_INIT("Transfer-Encoding"),
        SLICE_INIT("Upgrade"),
        SLICE_INIT("Alt-Svc"),
        /* of one client */
        SLICE_INIT("Set-Cookie"),
        SLICE_INIT("Set-Cookie2"),
        SLICE_INIT("WWW-Authenticate"),
        SLICE_INIT("Authentication-Info"),
        SLICE_INIT("Proxy-Authenticate"),
        SLICE_INIT("Proxy-Authentication-Info"),
        /* of the body as it was sent, or a value of our own */
        SLICE_INIT("Content-Length"),
        SLICE_INIT("Content-Type"),
        SLICE_INIT("Content-Encoding"),
        SLICE_INIT("Content-Range"),
        SLICE_INIT("Accept-Ranges"),
        SLICE_INIT("ETag"),
        SLICE_INIT("Last-Modified"),
        SLICE_INIT("Date"),
        SLICE_INIT("Age"),
        SLICE_INIT("Expires"),
        SLICE_INIT("Cache-Control"),
        SLICE_INIT("CDN-Cache-Control"),
        SLICE_INIT("Surrogate-Control"),
        SLICE_INIT("Pragma"),
        SLICE_INIT("Vary"),
        SLICE_INIT("Cache-Status"),
        SLICE_INIT("Preference-Applied"),
        SLICE_INIT("Retry-After"),
        SLICE_INIT("Allow"),
        /* of CGI, or for a front server */
        SLICE_INIT("Status"),
        SLICE_INIT("Location"),
        SLICE_INIT("X-Sendfile"),
        SLICE_INIT("X-Sendfile2"),
        SLICE_INIT("X-LIGHTTPD-send-file"),
        SLICE_INIT("X-Proxy-Url"),
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal_nocase(names[i], name))
            return true;
    return false;
}

/* nginx and lighttpd take orders from all fields that begin so. */
static bool is_order(struct slice name)
{
    static const struct slice beginnings[] = {SLICE_INIT("X-Accel-"), SLICE_INIT("X-Lighttpd-")};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        struct slice beginning = name;
        if (name.len < beginnings[i].len)
            continue;
        beginning.len = beginnings[i].len;
        if (slice_equal_nocase(beginning, beginnings[i]))
            return true;
    }
    return false;
}

bool keep_allows(struct slice name)
{
    return is_name(name) && !is_reserved(name) && !is_order(name);
}

bool keep_value_valid(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!byte_is_of_field(value.data[i]))
            return false;
    return true;
}

/* Takes the first line, with its newline. */
static struct slice take_line(struct slice *lines)
{
    const char *end = memchr(lines->data, '\n', lines->len);
    struct slice line = {.data = lines->data,
                         .len = end ? (size_t)(end - lines->data) + 1 : lines->len};
    *lines = slice_from(*lines, line.len);
    return line;
}

/* The name, with its colon. */
static struct slice name_of(struct slice line)
{
    const char *colon = memchr(line.data, ':', line.len);
    return (struct slice){.data = line.data, .len = colon ? (size_t)(colon - line.data) + 1 : 0};
}

static bool has_name(struct slice lines, struct slice name)
{
    while (lines.len > 0)
        if (slice_equal(name_of(take_line(&lines)), name))
            return true;
    return false;
}

size_t keep_merge(struct slice older, struct slice newer, char *out)
{
    struct slice rest = newer;
    size_t len = slice_move(&rest, out, KEEP_MAX);
    while (older.len > 0) {
        struct slice line = take_line(&older);
        if (line.len <= KEEP_MAX - len && !has_name(newer, name_of(line)))
            len += slice_move(&line, out + len, KEEP_MAX - len);
    }
    return len;
}

const char *keep_check(const char *name)
{
    if (!is_name(slice_of(name)))
        return "this is not the name of a header field";
    if (!keep_allows(slice_of(name)))
        return "this header field can't be kept: it belongs to one connection or one client, "
               "workerless sets it itself, or it tells the front server what to do";
    return NULL;
}
