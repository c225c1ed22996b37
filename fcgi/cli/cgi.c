/* The path is decoded, and the names of headers become names of variables. */
#include "cli/cgi.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/byte.h"
#include "base/put.h"

#define NO_HEADER "write a header as 'NAME: VALUE'"

static void add(struct cgi *cgi, struct slice name, struct slice value)
{
    cgi->variables[cgi->count++] = (struct client_variable){.name = name, .value = value};
}

/* Writes the path without its percent-encoding. Returns the end, or NULL if that is broken. */
static char *decode(char *at, struct slice path)
{
    while (path.len > 0) {
        size_t used = 1;
        char byte = path.data[0];
        if (byte == '%') {
            int high = path.len > 2 ? byte_hex_value(path.data[1]) : -1;
            int low = high >= 0 ? byte_hex_value(path.data[2]) : -1;
            if (low < 0)
                return NULL;
            byte = (char)(high * 16 + low);
            used = 3;
        }
        *at++ = byte;
        path = slice_from(path, used);
    }
    return at;
}

/* Writes the variable's name for a header, and adds the variable. Returns the end, or NULL if the
 * header is malformed. */
static char *add_header(struct cgi *cgi, char *at, struct slice header)
{
    size_t len = 0;
    char *name = at;
    while (len < header.len && byte_is_of_token(header.data[len]))
        len++;
    if (len == 0 || len == header.len || header.data[len] != ':')
        return NULL;
    struct slice value = slice_trim(slice_from(header, len + 1));
    for (size_t i = 0; i < value.len; i++)
        if (!byte_is_of_field(value.data[i]))
            return NULL;
    at = put(at, SLICE("HTTP_"));
    for (size_t i = 0; i < len; i++)
        *at++ = header.data[i] == '-' ? '_' : byte_to_upper(header.data[i]);
    add(cgi, (struct slice){.data = name, .len = (size_t)(at - name)}, value);
    return at;
}

static bool has_variable(const struct cgi *cgi, struct slice name)
{
    for (size_t i = 0; i < cgi->count; i++)
        if (slice_equal(cgi->variables[i].name, name))
            return true;
    return false;
}

const char *cgi_set(struct cgi *cgi, const char *method, const char *target,
                    const char *remote_addr, const char *const *headers, size_t header_count)
{
    const char *mark = strchr(target, '?');
    struct slice encoded = {.data = target, .len = mark ? (size_t)(mark - target) : strlen(target)};
    size_t room = encoded.len + 1;
    *cgi = (struct cgi){0};
    for (size_t i = 0; i < header_count; i++)
        room += strlen("HTTP_") + strlen(headers[i]);
    if (header_count > CGI_VARIABLES_MAX - 12)
        return "there are too many headers";
    if (!(cgi->texts = alloc_bytes(room)))
        return "out of memory";

    char *at = decode(cgi->texts, encoded);
    if (!at)
        return "a % is not followed by two hexadecimal digits";
    struct slice path = {.data = cgi->texts, .len = (size_t)(at - cgi->texts)};
    if (path.len == 0 || path.data[0] != '/')
        return "a path begins with /, such as /fragment/a";
    add(cgi, SLICE("GATEWAY_INTERFACE"), SLICE("CGI/1.1"));
    add(cgi, SLICE("SERVER_PROTOCOL"), SLICE("HTTP/1.1"));
    add(cgi, SLICE("SERVER_NAME"), SLICE("localhost"));
    add(cgi, SLICE("REMOTE_ADDR"), slice_of(remote_addr));
    add(cgi, SLICE("REQUEST_METHOD"), slice_of(method));
    add(cgi, SLICE("REQUEST_URI"), slice_of(target));
    add(cgi, SLICE("SCRIPT_NAME"), path);
    add(cgi, SLICE("DOCUMENT_URI"), path);
    add(cgi, SLICE("QUERY_STRING"), slice_of(mark ? mark + 1 : ""));
    for (size_t i = 0; i < header_count; i++)
        if (!(at = add_header(cgi, at, slice_of(headers[i]))))
            return NO_HEADER;
    if (!has_variable(cgi, SLICE("HTTP_HOST")))
        add(cgi, SLICE("HTTP_HOST"), SLICE("localhost"));
    return NULL;
}

void cgi_free(struct cgi *cgi)
{
    free(cgi->texts);
    *cgi = (struct cgi){0};
}
