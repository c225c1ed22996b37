/* The `redis` setting taken apart. Pure. */
#include "cache/redis_address.h"

#include <string.h>

#include "base/slice.h"

#define PORT_DEFAULT 6379
#define DB_MAX       65535

static bool copy(char *out, size_t size, struct slice text)
{
    if (text.len >= size)
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Copies the text, percent-decoded. */
static bool copy_decoded(char *out, size_t size, struct slice text)
{
    size_t len = 0;
    while (text.len > 0 && len + 1 < size) {
        if (text.data[0] != '%') {
            out[len++] = text.data[0];
            text = slice_from(text, 1);
            continue;
        }
        int high = text.len >= 3 ? hex_digit(text.data[1]) : -1;
        int low = text.len >= 3 ? hex_digit(text.data[2]) : -1;
        if (high < 0 || low < 0 || (high == 0 && low == 0))
            return false;
        out[len++] = (char)(high << 4 | low);
        text = slice_from(text, 3);
    }
    out[len] = '\0';
    return text.len == 0;
}

static bool number(struct slice text, int most, int *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *out = *out * 10 + (text.data[i] - '0');
        if (*out > most)
            return false;
    }
    return text.len > 0;
}

/* Cuts the text at the first (or last) `mark`: before it, and after it. */
static bool cut(struct slice text, char mark, bool last, struct slice *before, struct slice *after)
{
    const char *at = text.len == 0 ? NULL
                     : last        ? memrchr(text.data, mark, text.len)
                                   : memchr(text.data, mark, text.len);
    if (!at)
        return false;
    *before = (struct slice){.data = text.data, .len = (size_t)(at - text.data)};
    *after = slice_from(text, before->len + 1);
    return true;
}

static const char *parse_host(struct slice text, struct redis_address *address)
{
    struct slice host = text, port = SLICE("");
    if (slice_starts(text, SLICE("["))) {
        struct slice rest;
        if (!cut(slice_from(text, 1), ']', false, &host, &rest) ||
            (rest.len > 0 && rest.data[0] != ':'))
            return "an IPv6 address is written [::1]:6379";
        if (rest.len > 0)
            port = slice_from(rest, 1);
        else
            port.data = NULL;
    } else if (!cut(text, ':', false, &host, &port)) {
        port.data = NULL;
    }
    if (host.len == 0 || !copy(address->host, sizeof address->host, host))
        return "the host is missing or too long";
    if (port.data && (!number(port, 65535, &address->port) || address->port == 0))
        return "the port is a number from 1 to 65535";
    return NULL;
}

const char *redis_address_parse(const char *text, struct redis_address *address)
{
    struct slice rest = slice_of(text), before, after;
    *address = (struct redis_address){.port = PORT_DEFAULT};

    if (slice_starts(rest, SLICE("unix:"))) {
        rest = slice_from(rest, 5);
        if (rest.len == 0 || !copy(address->unix_path, sizeof address->unix_path, rest))
            return "the path of a unix socket has 1 to 107 bytes";
        return NULL;
    }
    if (slice_starts(rest, SLICE("rediss://")))
        return "TLS is not supported; put stunnel before the server, or use redis://";
    if (!slice_starts(rest, SLICE("redis://")))
        return "write unix:PATH or redis://[user:password@]host[:port][/db]";
    rest = slice_from(rest, sizeof("redis://") - 1);

    if (cut(rest, '@', true, &before, &after)) {
        struct slice user, password;
        if (!cut(before, ':', false, &user, &password))
            return "before the @ goes user:password, or :password";
        if (!copy_decoded(address->user, sizeof address->user, user) ||
            !copy_decoded(address->password, sizeof address->password, password))
            return "user or password are too long, or not percent-encoded well";
        rest = after;
    }
    if (cut(rest, '/', false, &before, &after)) {
        if (after.len > 0 && !number(after, DB_MAX, &address->db))
            return "after the / goes the number of the database";
        rest = before;
    }
    return parse_host(rest, address);
}
