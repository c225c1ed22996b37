/* The request that the load generator sends: GET of a path, with the variables that nginx's
 * fastcgi_params and a browser give. Built once; each sending patches the id, and the number if
 * the path has one. A path with a query is asked for as EventSource would.
 */
#ifndef WORKERLESS_BENCH_REQUEST_H
#define WORKERLESS_BENCH_REQUEST_H

#include "frames.h"

/* "%" in a path stands for a number of so many digits. */
#define NUMBER_DIGITS 8
#define NUMBER_MARK   "%%%%%%%%"

struct request {
    struct frames frames;
    size_t *numbers; /* where NUMBER_MARK stands in frames.data */
    size_t number_count;
    size_t params_len;
};

static inline void request_add_param(struct frames *params, const char *name, const char *value)
{
    size_t lens[2] = {strlen(name), strlen(value)};
    for (int i = 0; i < 2; i++) {
        unsigned char coded[4] = {(unsigned char)(lens[i] >> 24 | 0x80),
                                  (unsigned char)(lens[i] >> 16), (unsigned char)(lens[i] >> 8),
                                  (unsigned char)lens[i]};
        if (lens[i] < 128)
            frames_append(params, &coded[3], 1);
        else
            frames_append(params, coded, 4);
    }
    frames_append(params, name, lens[0]);
    frames_append(params, value, lens[1]);
}

static inline void request_add_params(struct frames *params, const char *path)
{
    static const char *const constant[][2] = {
        {"REQUEST_METHOD", "GET"},
        {"CONTENT_TYPE", ""},
        {"CONTENT_LENGTH", ""},
        {"DOCUMENT_ROOT", "/usr/share/workerless"},
        {"SERVER_PROTOCOL", "HTTP/1.1"},
        {"REQUEST_SCHEME", "http"},
        {"GATEWAY_INTERFACE", "CGI/1.1"},
        {"SERVER_SOFTWARE", "nginx/1.22.1"},
        {"REMOTE_ADDR", "127.0.0.1"},
        {"REMOTE_PORT", "51034"},
        {"SERVER_ADDR", "127.0.0.1"},
        {"SERVER_PORT", "8080"},
        {"SERVER_NAME", "localhost"},
        {"REDIRECT_STATUS", "200"},
        {"HTTP_HOST", "localhost:8080"},
        {"HTTP_USER_AGENT",
         "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
        {"HTTP_ACCEPT_LANGUAGE", "en-US,en;q=0.5"},
        {"HTTP_ACCEPT_ENCODING", "gzip, deflate, br, zstd"},
        {"HTTP_REFERER", "http://localhost:8080/"},
    };
    const char *query = strchr(path, '?');
    char *document = strdup(path);
    if (!document)
        exit(2);
    document[strcspn(document, "?")] = '\0';
    request_add_param(params, "SCRIPT_NAME", document);
    request_add_param(params, "REQUEST_URI", path);
    request_add_param(params, "DOCUMENT_URI", document);
    request_add_param(params, "QUERY_STRING", query ? query + 1 : "");
    request_add_param(params, "HTTP_ACCEPT", query ? "text/event-stream" : "text/html");
    free(document);
    for (size_t i = 0; i < sizeof constant / sizeof constant[0]; i++)
        request_add_param(params, constant[i][0], constant[i][1]);
}

/* The path with every % widened to NUMBER_MARK. The caller frees it. */
static inline char *request_widen(const char *path)
{
    struct frames wide = {0};
    for (const char *at = path; *at; at++)
        frames_append(&wide, *at == '%' ? NUMBER_MARK : at, *at == '%' ? NUMBER_DIGITS : 1);
    frames_append(&wide, "", 1);
    return (char *)wide.data;
}

static inline struct request request_build(const char *path)
{
    static const unsigned char begin[8] = {0, FCGI_RESPONDER, FCGI_KEEP_CONN, 0, 0, 0, 0, 0};
    struct request request = {0};
    struct frames params = {0};
    char *wide = request_widen(path);
    request_add_params(&params, wide);
    request.params_len = params.len;
    frames_add_record(&request.frames, FCGI_BEGIN_REQUEST, begin, sizeof begin);
    frames_add_stream(&request.frames, FCGI_PARAMS, params.data, params.len);
    frames_add_stream(&request.frames, FCGI_STDIN, NULL, 0);
    free(params.data);
    free(params.headers);
    free(wide);

    const unsigned char *data = request.frames.data, *end = data + request.frames.len, *at = data;
    while ((at = memmem(at, (size_t)(end - at), NUMBER_MARK, NUMBER_DIGITS))) {
        request.numbers = bench_grow(request.numbers, (request.number_count + 1) * sizeof(size_t));
        request.numbers[request.number_count++] = (size_t)(at - data);
        at += NUMBER_DIGITS;
    }
    return request;
}

static inline void request_free(struct request *request)
{
    free(request->frames.data);
    free(request->frames.headers);
    free(request->numbers);
}

/* Copies the request to `out`, which has room for frames.len bytes. */
static inline void request_copy(const struct request *request, unsigned char *out, unsigned id,
                                unsigned long number)
{
    frames_copy(&request->frames, out, id);
    for (size_t i = 0; i < request->number_count; i++) {
        unsigned long left = number;
        for (size_t digit = NUMBER_DIGITS; digit-- > 0; left /= 10)
            out[request->numbers[i] + digit] = (unsigned char)('0' + left % 10);
    }
}

#endif
