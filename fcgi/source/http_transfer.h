/* One transfer of curl: what a call to an http source has while it runs, and what has come of it.
 *
 * The easy handle is set up once and serves many calls. Redirects are followed here, not by curl,
 * which asks nobody whether it may.
 */
#ifndef WORKERLESS_SOURCE_HTTP_TRANSFER_H
#define WORKERLESS_SOURCE_HTTP_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <curl/curl.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "source/http.h"
#include "source/redirect.h"

/* Why we told curl to stop in the middle of a body; or do not follow where it was redirected to. */
enum http_stop { STOP_NOT, STOP_TOO_LARGE, STOP_NO_MEMORY, STOP_IGNORED, STOP_REDIRECT };

struct http_transfer {
    CURL *easy;
    const struct http_settings *settings; /* of its source */
    void *call;                           /* whose it is; NULL while idle */
    char *url;                            /* owned: what is fetched now */
    struct buffer body;
    size_t ignored;
    enum http_stop stop;
    unsigned redirects;         /* followed so far */
    struct http_transfer *next; /* of the idle ones */
    char error[CURL_ERROR_SIZE];
    char refusal[REDIRECT_WHY_ROOM]; /* of STOP_REDIRECT */
};

/* Those of one source. */
struct http_transfers {
    const struct http_settings *settings; /* borrowed */
    CURLM *multi;                         /* borrowed */
    struct curl_slist *headers;
    struct http_transfer *idle; /* kept for the next calls */
    unsigned idle_count;
};

/* False: there is no memory; http_transfers_end is to be called all the same. */
bool http_transfers_init(struct http_transfers *transfers, const struct http_settings *settings,
                         CURLM *multi);

/* All transfers must have been given back. */
void http_transfers_end(struct http_transfers *transfers);

/* Begins to fetch the url for the call. Takes the url, which may be NULL: there was no memory for it.
 * NULL with *code: it could not be begun. */
struct http_transfer *http_transfer_start(struct http_transfers *transfers, void *call, char *url,
                                          CURLcode *code);

/* Removes it from curl, which may still call back within this. What it has fetched stays. */
void http_transfer_stop(struct http_transfers *transfers, struct http_transfer *transfer);

/* It is not the call's any longer, and nothing that it has fetched stays. */
void http_transfer_give_back(struct http_transfers *transfers, struct http_transfer *transfer);

/* The transfer of an easy handle; NULL if that is one of curl's own, or the transfer is idle. */
struct http_transfer *http_transfer_of(CURL *easy);

/* curl is done, with *code. True: the response was a redirect, and what it leads to is being fetched
 * now. Else *code is how it ended, and `stop` may have become STOP_REDIRECT. */
bool http_transfer_redirected(struct http_transfers *transfers, struct http_transfer *transfer,
                              CURLcode *code);

/* The status of the last response; 0: there was none. */
long http_transfer_status(const struct http_transfer *transfer);

/* A header of the last response. Empty: it has none of that name. Lives until the next transfer. */
struct slice http_transfer_header(const struct http_transfer *transfer, const char *name);

#endif
