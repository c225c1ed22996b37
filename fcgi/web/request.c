/* Interprets CGI variables. Pure. */
#include "web/request.h"

bool web_request_path_joined(const struct web_request *request, char *joined, size_t size,
                             struct slice *path)
{
    struct slice script = request->script_name, info = request->path_info;
    if (script.len == 0 || info.len == 0) {
        *path = info.len == 0 ? script : info;
        return path->len <= size;
    }
    if (script.len > size || info.len > size - script.len)
        return false;
    memcpy(joined, script.data, script.len);
    memcpy(joined + script.len, info.data, info.len);
    *path = (struct slice){.data = joined, .len = script.len + info.len};
    return true;
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

/* Removes everything up to the separator from `rest`, and returns it without surrounding spaces. A
 * separator within quotes does not count. (A backslash before a quote has no meaning, as in entity
 * tags.) */
static struct slice take_item(struct slice *rest, char separator)
{
    struct slice item = {.data = rest->data};
    for (bool quoted = false; item.len < rest->len; item.len++) {
        char byte = rest->data[item.len];
        if (byte == separator && !quoted)
            break;
        quoted ^= byte == '"';
    }
    *rest = slice_from(*rest, item.len < rest->len ? item.len + 1 : item.len);
    return slice_trim(item);
}

static struct slice unquote(struct slice text)
{
    if (text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"')
        return (struct slice){.data = text.data + 1, .len = text.len - 2};
    return text;
}

/* Reads a number of up to nine digits, which can't overflow; -1 if it is not one. */
static int small_number(struct slice text)
{
    int number = 0;
    if (text.len == 0 || text.len > 9)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        number = number * 10 + (text.data[i] - '0');
    }
    return number;
}

/* The value of one preference in a Prefer header (RFC 7240 2), without its quotes; or empty. If it
 * is given twice, the first one counts. */
static struct slice find_preference(struct slice rest, struct slice wanted)
{
    while (rest.len > 0) {
        struct slice preference = take_item(&rest, ',');
        if (preference.len == 0)
            continue;
        preference = take_item(&preference, ';');
        if (preference.len == 0)
            continue;
        struct slice name = take_item(&preference, '=');
        if (slice_equal_nocase(name, wanted))
            return unquote(slice_trim(preference));
    }
    return SLICE("");
}

int web_request_wait(const struct web_request *request)
{
    return small_number(find_preference(request->prefer, SLICE("wait")));
}

bool web_request_is_strict(const struct web_request *request)
{
    return slice_equal(find_preference(request->prefer, SLICE("handling")), SLICE("strict"));
}

bool web_request_accepts(const struct web_request *request, struct slice type)
{
    struct slice rest = request->accept;
    while (rest.len > 0) {
        struct slice range = take_item(&rest, ',');
        if (range.len > 0 && slice_equal_nocase(take_item(&range, ';'), type))
            return true;
    }
    return false;
}

bool web_request_etag_matches(struct slice if_none_match, struct slice etag)
{
    struct slice rest = slice_trim(if_none_match);
    if (slice_equal(rest, SLICE("*")))
        return true;
    while (rest.len > 0) {
        struct slice tag = take_item(&rest, ',');
        if (slice_starts(tag, SLICE("W/")))
            tag = slice_from(tag, 2);
        if (slice_equal(tag, etag))
            return true;
    }
    return false;
}
