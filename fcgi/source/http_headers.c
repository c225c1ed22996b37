/* Which header fields the config may set, and what they contain. */
#include "source/http_headers.h"

#include "base/byte.h"

/* Those that belong to one connection or to the framing of a message (RFC 9110 7.6.1, RFC 9112),
 * that we set ourselves, or that ask for something else than the complete representation. */
static const char *const refused[] = {
    "Connection",
    "Content-Length",
    "Expect",
    "Host",
    "HTTP2-Settings",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Range",
    "TE",
    "Traceparent",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "X-Request-Id",
};

static bool is_refused(struct slice name)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (slice_equal_nocase(name, slice_of(refused[i])))
            return true;
    return false;
}

struct slice http_header_name(const char *header)
{
    return (struct slice){.data = header, .len = strcspn(header, ":")};
}

struct slice http_header_value(const char *header)
{
    return slice_trim(slice_of(strchr(header, ':') + 1));
}

const char *http_header_check(const char *header)
{
    if (!strchr(header, ':'))
        return "write NAME: VALUE, such as Accept: application/json";
    struct slice name = http_header_name(header), value = http_header_value(header);
    bool is_token = name.len > 0;
    for (size_t i = 0; i < name.len; i++)
        is_token = is_token && byte_is_of_token(name.data[i]);
    if (!is_token)
        return "the name of a header may have letters, digits and hyphens only";
    if (is_refused(name))
        return "this header can't be set: workerless sets it itself if it is needed";
    if (value.len == 0)
        return "the header has no value";
    for (size_t i = 0; i < value.len; i++)
        if (!byte_is_of_field(value.data[i]))
            return "the value of a header must not have line ends or other control characters";
    return NULL;
}

const char *http_headers_find(const char *const *headers, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal_nocase(http_header_name(headers[i]), name))
            return headers[i];
    return NULL;
}

bool http_headers_repeat(const char *const *headers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (http_headers_find(headers, i, http_header_name(headers[i])))
            return true;
    return false;
}
