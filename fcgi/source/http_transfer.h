/* One transfer of curl: the state of a running call to an http source, and its result.
 *
 * An easy handle is set up once and serves many calls. Redirects are followed here, since curl
 * would follow them without a check of their target.
 */
#ifndef WORKERLESS_SOURCE_HTTP_TRANSFER_H
#define WORKERLESS_SOURCE_HTTP_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <curl/curl.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "source/http_fields.h"
#include "source/http_head.h"
#include "source/http_multi.h"
#include "source/http_settings.h"
#include "source/redirect.h"
#include "source/terms.h"
#include "source/trace.h"

/* Why we have stopped curl within a body, or do not follow a redirect. */
enum http_stop { STOP_NOT, STOP_TOO_LARGE, STOP_NO_MEMORY, STOP_IGNORED, STOP_REDIRECT, STOP_HEAD };

/* What is sent for a call. Its strings are owned by whoever has it. */
struct http_request {
    char *url;  /* NULL: there was no memory for it */
    char *body; /* of a POST, likewise */
    size_t body_len;
    struct slice request_id, traceparent; /* see trace.h; borrowed */
    struct slice etag, last_modified;     /* asks whether this version has changed; borrowed */
    bool wants_times;                     /* http_transfer_times will be asked */
    /* Header fields, as forward_fields writes them, or NULL. They replace headers of the source
     * that have the same name, and go only to the scheme, host and port of the source's url. */
    char *fields;
};

struct http_transfer {
    CURL *easy;
    const struct http_settings *settings; /* of its source */
    void *call;                           /* its owner; NULL while idle */
    char *url;                            /* owned: the url being fetched */
    char *sent;                           /* owned: the body of a POST; else NULL */
    size_t sent_len;
    struct http_head head; /* of the last response */
    struct buffer body;
    size_t ignored;
    enum http_stop stop;
    unsigned redirects; /* followed so far */
    char request_id[TRACE_ID_ROOM], traceparent[TRACE_PARENT_ROOM];
    /* "If-None-Match: ..." and "If-Modified-Since: ..."; each is empty if the call does not ask. */
    char if_none_match[TERMS_ETAG_MAX + 20], if_modified_since[TERMS_DATE_MAX + 20];
    struct curl_slist own[4]; /* these four, before those of the source */
    char *fields;             /* owned: of the request, see http_request; NULL: it has none */
    bool replaces;            /* they have one that would be written behind the target */
    struct curl_slist *list;  /* owned: with the fields of the request */
    bool fresh;               /* it does not use a connection again */
    bool elsewhere;           /* the url is that of another host: none of our secrets are for it */
    bool looks;               /* at the first field of a head before libcurl does... */
    bool looking;             /* ...now */
    /* For http_transfer_times: whether that will be asked, and of the attempts so far. */
    bool timed;
    unsigned attempts;
    double began;               /* the last one, by clock_monotonic() */
    struct http_transfer *next; /* in the list of idle transfers */
    char error[CURL_ERROR_SIZE];
    char refusal[REDIRECT_WHY_ROOM]; /* of STOP_REDIRECT */
};

/* The transfers of one source. */
struct http_transfers {
    const struct http_settings *settings; /* borrowed */
    struct http_multi *multi;             /* borrowed */
    CURLU *origin;     /* of the source's url: scheme, user, host, port; or NULL */
    size_t origin_len; /* bytes of the url */
    bool has_address;  /* the host in it is an address, and not a name */
    struct http_fields fields;
    struct http_transfer *idle; /* kept for the next calls */
    unsigned idle_count;
    bool looks;      /* at heads before libcurl does: see http_features_remembers_header */
    uint64_t random; /* state of a generator of ids */
};

void http_request_free(struct http_request *request);

/* Returns false when out of memory; call http_transfers_end in that case too. */
bool http_transfers_init(struct http_transfers *transfers, const struct http_settings *settings,
                         struct http_multi *multi);

/* Call it when all transfers have been given back. */
void http_transfers_end(struct http_transfers *transfers);

/* Sends the request for the call. Takes its strings. Returns NULL and sets *code if it could not be
 * started. */
struct http_transfer *http_transfer_start(struct http_transfers *transfers, void *call,
                                          struct http_request request, CURLcode *code);

/* Removes it from curl, which may still call back within this call. Its result is kept. */
void http_transfer_stop(struct http_transfers *transfers, struct http_transfer *transfer);

/* Whether it failed because a reused connection was closed before the first byte of a response
 * arrived. Servers close idle connections at any time. */
bool http_transfer_was_dropped(const struct http_transfer *transfer, CURLcode code);

/* Sends the same request again after http_transfer_stop; `fresh`: on a new connection. */
CURLcode http_transfer_repeat(struct http_transfers *transfers, struct http_transfer *transfer,
                              bool fresh);

/* The call no longer needs it: its result is freed. */
void http_transfer_give_back(struct http_transfers *transfers, struct http_transfer *transfer);

/* The transfer of an easy handle; NULL if the handle is one of curl's own, or the transfer is
 * idle. */
struct http_transfer *http_transfer_of(CURL *easy);

/* curl is done, with *code. Returns true if the response was a redirect, and its target is being
 * fetched now. Else *code is the outcome, and `stop` may have become STOP_REDIRECT. */
bool http_transfer_redirected(struct http_transfers *transfers, struct http_transfer *transfer,
                              CURLcode *code);

/* The status of the last response; 0: there was none. */
long http_transfer_status(const struct http_transfer *transfer);

/* Writes how the transfer failed, and the socket that it went through. */
#define HTTP_FAILURE_ROOM 500
void http_transfer_failure(const struct http_transfer *transfer, CURLcode code,
                           char out[HTTP_FAILURE_ROOM]);

/* Where the time went, if the request wanted that; also of a transfer that has not ended. */
struct source_times http_transfer_times(const struct http_transfer *transfer);

/* Whether the last request asked if a version has changed. */
bool http_transfer_asks(const struct http_transfer *transfer);

#endif
