/* The few CGI variables that count, and what they mean. Pure. */
#include "web/request.h"

static bool append(char *path, size_t size, size_t *len, struct slice part)
{
    if (part.len > size - *len)
        return false;
    if (part.len > 0)
        memcpy(path + *len, part.data, part.len);
    *len += part.len;
    return true;
}

bool web_request_path(const struct web_request *request, char *path, size_t size, size_t *len)
{
    *len = 0;
    if (request->document_uri.len > 0)
        return append(path, size, len, request->document_uri);
    return append(path, size, len, request->script_name) &&
           append(path, size, len, request->path_info);
}

bool web_request_content_length(const struct web_request *request, uint64_t *len)
{
    struct slice text = request->content_length;
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || *len > (INT64_MAX - 9) / 10)
            return false;
        *len = *len * 10 + (uint64_t)(text.data[i] - '0');
    }
    return true;
}

bool web_request_etag_matches(struct slice if_none_match, struct slice etag)
{
    struct slice rest = slice_trim(if_none_match);
    if (slice_equal(rest, SLICE("*")))
        return true;
    while (rest.len > 0) {
        const char *comma = memchr(rest.data, ',', rest.len);
        struct slice tag = {
            .data = rest.data,
            .len = comma ? (size_t)(comma - rest.data) : rest.len,
        };
        rest = comma ? slice_from(rest, tag.len + 1) : slice_from(rest, rest.len);
        tag = slice_trim(tag);
        if (slice_starts(tag, SLICE("W/")))
            tag = slice_from(tag, 2);
        if (slice_equal(tag, etag))
            return true;
    }
    return false;
}
