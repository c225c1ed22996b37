/* Scripts are written from the inside out: a name, the variables of a request, its records, the
 * order of several requests' records, and finally some damage to the bytes.
 */
#include "grammar.h"

#define NAME_ROOM   6000
#define QUERY_ROOM  20000
#define PART_MAX    65535 /* content of one record */
#define REQUESTS    24    /* whose records are mixed */
#define SCRIPT_HUGE 400000
#define BIG_NAMES   400 /* of 256 KiB each */

/* What is written, and with which numbers. */
struct writer {
    struct chance *chance;
    struct frames *out;
    size_t max_params;
    uint64_t *requests;
};

/* --- records --- */

static void add_header(struct frames *out, unsigned version, unsigned type, unsigned id,
                       unsigned len, unsigned padding)
{
    unsigned char header[8] = {(unsigned char)version,    (unsigned char)type,
                               (unsigned char)(id >> 8),  (unsigned char)id,
                               (unsigned char)(len >> 8), (unsigned char)len,
                               (unsigned char)padding,    0};
    frames_append(out, header, sizeof header);
}

static unsigned any_padding(struct chance *chance)
{
    return chance_percent(chance, 70) ? 0 : chance_magnitude(chance, 1, 255);
}

static void add_record(struct writer *w, unsigned type, unsigned id, const void *content,
                       size_t len)
{
    static const unsigned char junk[255] = {0xa5, 1, 1, 0, 1};
    unsigned padding = any_padding(w->chance);
    add_header(w->out, 1, type, id, (unsigned)len, padding);
    frames_append(w->out, content, len);
    frames_append(w->out, junk, padding);
}

static void add_begin(struct writer *w, unsigned id, unsigned role, unsigned flags)
{
    unsigned char content[8] = {(unsigned char)(role >> 8), (unsigned char)role,
                                (unsigned char)flags};
    add_record(w, FCGI_BEGIN_REQUEST, id, content, sizeof content);
    ++*w->requests;
}

/* A stream's content, cut into records at random. */
static void add_stream(struct writer *w, unsigned type, unsigned id, const unsigned char *bytes,
                       size_t len, bool end)
{
    unsigned most = chance_percent(w->chance, 80) ? PART_MAX : chance_range(w->chance, 1, 300);
    while (len > 0) {
        size_t part = len < most ? len : most;
        add_record(w, type, id, bytes, part);
        bytes += part;
        len -= part;
    }
    if (end)
        add_record(w, type, id, "", 0);
}

/* --- names --- */

static size_t add_text(char *out, size_t len, const char *text)
{
    size_t more = strlen(text);
    memcpy(out + len, text, more);
    return len + more;
}

static size_t name_numbered(char *name, const char *kind, unsigned number)
{
    return (size_t)snprintf(name, NAME_ROOM, "%s%u", kind, number);
}

static size_t name_odd(struct chance *chance, char *name)
{
    static const struct {
        const char *bytes;
        size_t len;
    } odd[] = {
        {"", 0},
        {"*", 1},
        {"sim/*", 5},
        {"sim/..", 6},
        {"sim/../sim/1", 12},
        {"sim//1", 6},
        {"sim/1/", 6},
        {"sim/\0a", 6},
        {"sim/a\r\nX-Injected: 1", 20},
        {"sim/\x7f", 5},
        {"sim/\xff\xfe", 6},
        {"sim/\xc3", 5},
        {"sim/\xc0\xaf", 6},
        {"sim/\xed\xa0\x80", 7},
        {"sim/\xf4\x90\x80\x80", 8},
        {"sim/\xe2\x80\xae\xd7\x90", 9},
        {"sim/%00", 7},
        {"sim/{name}", 10},
        {"sim/<b>\"'&", 10},
        {"sim/a b+c", 9},
        {"sim/end", 7},
        {"end", 3},
        {"sim/x:error", 11},
        {"lease:{sim/1}", 13},
        {"api/?a=b#c", 10},
        {"api/%2e%2e/x", 12},
        {"api/\xf0\x9f\x92\xa9", 8},
    };
    unsigned i = chance_below(chance, sizeof odd / sizeof odd[0]);
    memcpy(name, odd[i].bytes, odd[i].len);
    return odd[i].len;
}

/* Writes a name of any kind to `name`, which has NAME_ROOM bytes; returns its length. */
static size_t name_any(struct chance *chance, char *name)
{
    size_t len;
    switch (chance_below(chance, 20)) {
    case 0:
    case 1:
        return name_numbered(name, "api/", chance_below(chance, 300));
    case 2:
        return name_numbered(name, "big/", chance_below(chance, 30));
    case 3:
        return name_numbered(name, "slow/", chance_below(chance, 20));
    case 4:
        return name_numbered(name, "fail/", chance_below(chance, 20));
    case 5:
        return name_numbered(name, "odd/", chance_below(chance, 40));
    case 6:
        return name_numbered(name, "stale/", chance_below(chance, 20));
    case 7:
    case 8:
        return name_numbered(name, "new/", chance_below(chance, UINT32_MAX));
    case 9:
        return name_numbered(name, "nowhere/", chance_below(chance, 100));
    case 10:
        return name_numbered(name, "uncached/", chance_below(chance, 5));
    case 11:
        return name_numbered(name, "control/", chance_below(chance, 40));
    case 12:
        return name_odd(chance, name);
    case 13: /* around the longest that is valid */
        len = chance_percent(chance, 70) ? chance_range(chance, 240, 270)
                                         : chance_magnitude(chance, 1, NAME_ROOM - 10);
        memcpy(name, "sim/", 4);
        memset(name + 4, 'x', len);
        return len + 4;
    default:
        return name_numbered(name, "sim/", chance_below(chance, 200));
    }
}

/* --- the variables of a request --- */

static void add_length(struct frames *out, size_t len, bool wide)
{
    unsigned char coded[4] = {(unsigned char)(len >> 24 | 0x80), (unsigned char)(len >> 16),
                              (unsigned char)(len >> 8), (unsigned char)len};
    if (len < 128 && !wide)
        frames_append(out, &coded[3], 1);
    else
        frames_append(out, coded, 4);
}

static void add_pair(struct writer *w, struct frames *params, const char *name, const char *value,
                     size_t value_len)
{
    bool wide = chance_percent(w->chance, 10);
    add_length(params, strlen(name), wide);
    add_length(params, value_len, wide);
    frames_append(params, name, strlen(name));
    frames_append(params, value, value_len);
}

static void add_param(struct writer *w, struct frames *params, const char *name, const char *value)
{
    add_pair(w, params, name, value, strlen(value));
}

static const char *any_of(struct chance *chance, const char *const *words, unsigned count)
{
    return words[chance_below(chance, count)];
}

#define ANY_OF(chance, words) any_of(chance, words, sizeof(words) / sizeof((words)[0]))

/* The query of a request for /fragments; returns its length. */
static size_t write_query(struct writer *w, bool greedy, char *query)
{
    static const char hex[] = "0123456789abcdef";
    char name[NAME_ROOM];
    size_t len = 0;
    unsigned count = greedy ? chance_range(w->chance, 20, 64) : chance_magnitude(w->chance, 1, 80);
    for (unsigned i = 0; i < count; i++) {
        size_t name_len = greedy ? name_numbered(name, "big/", chance_below(w->chance, BIG_NAMES))
                          : chance_percent(w->chance, 90)
                              ? name_numbered(name, "sim/", chance_below(w->chance, 200))
                              : name_any(w->chance, name);
        if (len + 8 + name_len * 3 > QUERY_ROOM)
            break;
        len = add_text(query, len, i > 0 ? "&name=" : "name=");
        for (size_t j = 0; j < name_len; j++) {
            unsigned char byte = (unsigned char)name[j];
            if (byte > 0x20 && byte < 0x7f && !strchr("&+%#", byte)) {
                query[len++] = (char)byte;
                continue;
            }
            query[len++] = '%';
            query[len++] = hex[byte >> 4];
            query[len++] = hex[byte & 15];
        }
    }
    if (!greedy && chance_percent(w->chance, 5))
        len = add_text(query, len, "&name=%4");
    return len;
}

static void add_optional_params(struct writer *w, struct frames *params)
{
    static const char *const prefers[] = {"wait=0",           "wait=1",     "wait=2",
                                          "wait=99999999999", "wait=\"1\"", "wait=-1",
                                          "handling=strict",  ",;=,wait",   "wait=0;a=\",\", b"};
    static const char *const accepts[] = {"text/html", "text/event-stream",
                                          "text/html, text/event-stream", "*/*", "\""};
    static const char *const etags[] = {"*", "W/\"x\"", "\"0123456789abcdef0123456789abcdef\"",
                                        "\",\",\"", ""};
    static const char *const purges[] = {"soft", "exact", "hard", "SOFT,exact", ",", ""};
    struct chance *chance = w->chance;
    if (chance_percent(chance, 30))
        add_param(w, params, "HTTP_PREFER", ANY_OF(chance, prefers));
    if (chance_percent(chance, 40))
        add_param(w, params, "HTTP_ACCEPT", ANY_OF(chance, accepts));
    if (chance_percent(chance, 20))
        add_param(w, params, "HTTP_IF_NONE_MATCH", ANY_OF(chance, etags));
    if (chance_percent(chance, 20))
        add_param(w, params, "HTTP_WORKERLESS_PURGE", ANY_OF(chance, purges));
    if (chance_percent(chance, 5))
        add_param(w, params, "", "");
}

/* The method, mostly GET. There are few purges, since each is expensive. */
static const char *any_method(struct chance *chance)
{
    static const char *const others[] = {"HEAD", "HEAD", "HEAD",    "PURGE",    "POST",
                                         "get",  "",     "OPTIONS", "PURGE\r\n"};
    return chance_percent(chance, 80) ? "GET" : ANY_OF(chance, others);
}

/* Where front servers put the path. */
static void add_path(struct writer *w, struct frames *params, const char *path, size_t len)
{
    switch (chance_below(w->chance, 8)) {
    case 0:
        add_pair(w, params, "SCRIPT_NAME", path, len);
        break;
    case 1:
        add_param(w, params, "SCRIPT_NAME", "/fragment");
        add_pair(w, params, "PATH_INFO", path + 9, len > 9 ? len - 9 : 0);
        break;
    case 2:
        add_pair(w, params, "PATH_INFO", path, len);
        break;
    default:
        add_pair(w, params, "SCRIPT_NAME", path, len);
        add_pair(w, params, "DOCUMENT_URI", path, len);
        break;
    }
}

/* All of a request's variables; content_length may be wrong. */
static void write_params(struct writer *w, bool greedy, const char *content_length,
                         struct frames *params)
{
    char path[NAME_ROOM + 16], query[QUERY_ROOM];
    struct chance *chance = w->chance;
    size_t len;
    add_param(w, params, "REQUEST_METHOD", greedy ? "GET" : any_method(chance));
    add_param(w, params, "CONTENT_LENGTH", content_length);
    add_param(w, params, "REMOTE_ADDR", chance_percent(chance, 50) ? "127.0.0.1" : "192.0.2.7");
    if (chance_percent(chance, greedy ? 50 : 15)) {
        len = add_text(path, 0, "/fragments");
        add_pair(w, params, "QUERY_STRING", query, write_query(w, greedy, query));
    } else if (chance_percent(chance, 3)) {
        len = add_text(path, 0,
                       chance_percent(chance, 50) ? "/workerless/health" : "/workerless/ready");
    } else {
        len = add_text(path, 0, "/fragment/");
        len += greedy ? name_numbered(path + len, "big/", chance_below(chance, BIG_NAMES))
                      : name_any(chance, path + len);
    }
    add_path(w, params, path, len);
    if (!greedy)
        add_optional_params(w, params);
}

/* --- requests --- */

/* A request as a front server sends it, except that the length of its body may be wrong. */
static void add_request(struct writer *w, unsigned id, bool greedy)
{
    static const unsigned char body[3000];
    static const char *const lengths[] = {"x", "-1", "99999999999999999999999", "2000000", "1e3"};
    struct frames params = {0};
    struct chance *chance = w->chance;
    char length[24] = "";
    size_t body_len = 0;
    if (!greedy && chance_percent(chance, 10)) {
        body_len = chance_magnitude(chance, 1, sizeof body);
        unsigned claimed = (unsigned)body_len;
        if (chance_percent(chance, 30))
            claimed = chance_magnitude(chance, 0, 4000);
        snprintf(length, sizeof length, "%u", claimed);
        if (chance_percent(chance, 10))
            snprintf(length, sizeof length, "%s", ANY_OF(chance, lengths));
    }
    write_params(w, greedy, length, &params);
    add_begin(w, id, FCGI_RESPONDER, chance_percent(chance, 97) ? FCGI_KEEP_CONN : 0);
    add_stream(w, FCGI_PARAMS, id, params.data, params.len, true);
    add_stream(w, FCGI_STDIN, id, body, body_len, true);
    free(params.data);
}

/* About so many bytes of meaningless variables. */
static void write_filler(struct writer *w, size_t len, struct frames *params)
{
    char value[1000];
    memset(value, 'v', sizeof value);
    while (params->len < len)
        add_pair(w, params, "HTTP_X_FILLER", value, chance_range(w->chance, 0, sizeof value));
}

/* A request that is never finished, or too large. */
static void add_unfinished(struct writer *w, unsigned id)
{
    struct frames params = {0};
    struct chance *chance = w->chance;
    unsigned max = (unsigned)w->max_params;
    size_t len = chance_percent(chance, 30) ? max - 1200 : chance_magnitude(chance, 0, max * 2);
    write_params(w, false, chance_percent(chance, 30) ? "100" : "", &params);
    write_filler(w, len, &params);
    if (chance_percent(chance, 10)) /* a pair whose lengths exceed the stream */
        add_length(&params, chance_magnitude(chance, 1, INT32_MAX), true);
    add_begin(w, id, FCGI_RESPONDER, FCGI_KEEP_CONN);
    add_stream(w, FCGI_PARAMS, id, params.data, params.len, chance_percent(chance, 30));
    free(params.data);
}

static const unsigned char all_types[] = {FCGI_BEGIN_REQUEST,
                                          FCGI_ABORT_REQUEST,
                                          FCGI_END_REQUEST,
                                          FCGI_PARAMS,
                                          FCGI_STDIN,
                                          FCGI_STDOUT,
                                          FCGI_STDERR,
                                          FCGI_DATA,
                                          FCGI_GET_VALUES,
                                          FCGI_GET_VALUES_RESULT,
                                          FCGI_UNKNOWN_TYPE,
                                          0,
                                          12,
                                          255};

static unsigned any_id(struct chance *chance)
{
    static const unsigned odd[] = {0, 1, 2, 65535, 256};
    return chance_percent(chance, 80) ? chance_range(chance, 1, REQUESTS)
                                      : odd[chance_below(chance, 5)];
}

/* A record of any type, for any request, with any content. */
static void add_stray(struct writer *w)
{
    unsigned char content[400];
    struct chance *chance = w->chance;
    size_t len = chance_percent(chance, 50) ? 0 : chance_magnitude(chance, 1, sizeof content);
    for (size_t i = 0; i < len; i++)
        content[i] = (unsigned char)chance_next(chance);
    add_record(w, all_types[chance_below(chance, sizeof all_types)], any_id(chance), content, len);
}

static void add_values(struct writer *w, unsigned type)
{
    static const char *const names[] = {FCGI_MAX_CONNS, FCGI_MAX_REQS, FCGI_MPXS_CONNS, "", "X"};
    struct frames pairs = {0};
    unsigned count = chance_magnitude(w->chance, 0, 20);
    for (unsigned i = 0; i < count; i++)
        add_param(w, &pairs, ANY_OF(w->chance, names), "");
    add_record(w, type, 0, pairs.data ? pairs.data : (unsigned char *)"", pairs.len);
    free(pairs.data);
}

/* A header that does not match what follows. */
static void add_broken(struct writer *w)
{
    static const unsigned versions[] = {0, 2, 255};
    unsigned version = 1, len = chance_magnitude(w->chance, 1, PART_MAX);
    if (chance_percent(w->chance, 30))
        version = versions[chance_below(w->chance, 3)];
    add_header(w->out, version, all_types[chance_below(w->chance, sizeof all_types)],
               any_id(w->chance), len, chance_magnitude(w->chance, 0, 255));
}

/* --- scripts --- */

static void write_sound(struct writer *w, bool greedy)
{
    unsigned count = chance_magnitude(w->chance, 1, greedy ? 40 : 200);
    for (unsigned i = 0; i < count; i++) {
        add_request(w, 1 + i, greedy);
        if (!greedy && chance_percent(w->chance, 4))
            add_record(w, FCGI_ABORT_REQUEST, chance_range(w->chance, 1, 1 + i), "", 0);
    }
}

static void write_unfinished(struct writer *w)
{
    unsigned count = chance_magnitude(w->chance, 1, 40);
    for (unsigned id = 1; id <= count && w->out->len < SCRIPT_HUGE; id++)
        add_unfinished(w, id);
}

static void write_flood(struct writer *w)
{
    unsigned count = chance_magnitude(w->chance, 20, 3000);
    unsigned what = chance_below(w->chance, 6);
    for (unsigned i = 0; i < count && w->out->len < SCRIPT_HUGE; i++) {
        switch (what) {
        case 0:
            add_begin(w, 1 + i, FCGI_RESPONDER, FCGI_KEEP_CONN);
            break;
        case 1:
            add_values(w, FCGI_GET_VALUES);
            break;
        case 2: /* begun and aborted, again and again */
            add_begin(w, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
            add_record(w, FCGI_ABORT_REQUEST, 1, "", 0);
            break;
        case 3: /* answered at once, by UNKNOWN_TYPE or UNKNOWN_ROLE */
            if (chance_percent(w->chance, 50))
                add_values(w, 200);
            else
                add_begin(w, 1, FCGI_FILTER, FCGI_KEEP_CONN);
            break;
        case 4:
            add_request(w, 1 + i % 1500, false);
            add_record(w, FCGI_ABORT_REQUEST, 1 + i % 1500, "", 0);
            break;
        default:
            add_record(w, FCGI_STDIN, any_id(w->chance), "", 0);
            break;
        }
    }
}

static void write_noise(struct writer *w)
{
    unsigned len = chance_magnitude(w->chance, 1, 4000);
    if (chance_percent(w->chance, 30)) {
        static const char http[] = "GET /fragment/sim/1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        frames_append(w->out, http, sizeof http - 1);
    }
    for (unsigned i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)chance_next(w->chance);
        frames_append(w->out, &byte, 1);
    }
}

static void write_mixed(struct writer *w)
{
    unsigned count = chance_magnitude(w->chance, 1, 300);
    for (unsigned i = 0; i < count && w->out->len < SCRIPT_HUGE; i++) {
        unsigned what = chance_below(w->chance, 1000), id = chance_range(w->chance, 1, REQUESTS);
        if (what < 700)
            add_request(w, 100 + i, false);
        else if (what < 720)
            add_request(w, id, false); /* perhaps its id is in use */
        else if (what < 780)
            add_unfinished(w, 1000 + i);
        else if (what < 800)
            add_values(w, FCGI_GET_VALUES);
        else if (what < 900)
            add_record(w, FCGI_ABORT_REQUEST, chance_range(w->chance, 100, 100 + i), "", 0);
        else if (what < 995)
            add_stray(w);
        else
            add_broken(w);
    }
}

/* Changes, drops or doubles some bytes anywhere. */
static void damage(struct chance *chance, struct frames *script)
{
    unsigned count = chance_magnitude(chance, 1, 16);
    for (unsigned i = 0; i < count && script->len > 0; i++) {
        size_t at = chance_below(chance, (unsigned)script->len);
        size_t len = chance_magnitude(chance, 1, 64);
        if (len > script->len - at)
            len = script->len - at;
        switch (chance_below(chance, 4)) {
        case 0:
            script->data[at] ^= (unsigned char)(1u << chance_below(chance, 8));
            break;
        case 1:
            memmove(script->data + at, script->data + at + len, script->len - at - len);
            script->len -= len;
            break;
        case 2: {
            unsigned char copy[64];
            memcpy(copy, script->data + at, len);
            frames_append(script, copy, len);
            break;
        }
        default:
            memset(script->data + at, (int)chance_below(chance, 256), len);
            break;
        }
    }
}

void grammar_write(struct chance *chance, enum theme theme, size_t max_params, struct frames *out,
                   uint64_t *requests)
{
    struct writer w = {.chance = chance,
                       .out = out,
                       .max_params = max_params,
                       .requests = requests};
    switch (theme) {
    case THEME_SOUND:
        write_sound(&w, false);
        return;
    case THEME_GREEDY:
        write_sound(&w, true);
        return;
    case THEME_UNFINISHED:
        write_unfinished(&w);
        break;
    case THEME_FLOOD:
        write_flood(&w);
        break;
    case THEME_NOISE:
        write_noise(&w);
        break;
    case THEME_MIXED:
    default:
        write_mixed(&w);
        break;
    }
    if (chance_percent(chance, 20))
        damage(chance, out);
    if (chance_percent(chance, 20)) /* it is cut anywhere */
        out->len = chance_below(chance, (unsigned)out->len + 1);
}
