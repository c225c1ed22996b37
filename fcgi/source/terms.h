/* What the header fields of a source's response say about its result: whether it may be shared, for
 * how long it is fresh, and how to ask whether it has changed (RFC 9111, 9213, 5861).
 *
 *     terms_begin --> terms_field, for each header field --> terms_end
 *
 * A result must not be shared if there is
 *
 *     Set-Cookie
 *     Cache-Control: no-store, no-cache, private (with fields or without)   RFC 9111 5.2.2
 *     Surrogate-Control: no-store
 *     Vary: *, or a field that the route's `vary` does not name             RFC 9111 4.1
 *     status 206                                                            RFC 9111 3.3
 *
 * or if its request carried the client's Authorization, unless there is public, s-maxage or
 * must-revalidate (RFC 9111 3.5). A `private` route's key holds the user, so there `private` and
 * Authorization do not matter, unless the request has no input that identifies a user.
 * Accept-Encoding in Vary never matters, since results are decoded. Valid CDN-Cache-Control
 * replaces Cache-Control and Expires completely, including what they forbid (RFC 9213 2.2).
 * must-understand is not implemented, so no-store always counts.
 *
 * The lifetime is the first of: CDN-Cache-Control's (and no other then), Surrogate-Control's
 * max-age, s-maxage, max-age, Expires - Date; less Age (RFC 9111 4.2). The apparent age (4.2.3) is
 * not used: clocks of sources are not ours. If another directive decides how long we may use a
 * result, max-age of Cache-Control still decides how long clients may; and if Cache-Control forbids
 * storing it, clients may not store it, even if CDN-Cache-Control lets us. s-maxage does not forbid
 * stale use here, although it implies proxy-revalidate: stale use happens only if the response (RFC
 * 5861) or the route allows it explicitly. Pure.
 */
#ifndef WORKERLESS_SOURCE_TERMS_H
#define WORKERLESS_SOURCE_TERMS_H

#include "source/directives.h"
#include "source/keep.h"
#include "source/source.h"

#define TERMS_ETAG_MAX 200 /* bytes; a longer one is ignored */
#define TERMS_DATE_MAX 40
#define TERMS_WHY_ROOM 200

/* Holds what the terms point to, so it has to live as long as they do. */
struct terms_reader {
    const struct source_rules *rules;
    int64_t now_s;
    int status;
    bool authorized, of_nobody;
    struct directives control, cdn, surrogate;
    bool cdn_bad;
    size_t cdn_members;
    int64_t expires_s, date_s, age_s; /* or DIRECTIVE_NOT_SAID */
    bool sets_cookie, varies_by_all;
    char varies_by[64]; /* a field that the route's `vary` does not name; "": none */
    char etag[TERMS_ETAG_MAX], last_modified[TERMS_DATE_MAX];
    size_t etag_len, last_modified_len;
    char kept[KEEP_MAX];
    size_t kept_len;
    char left_out[64]; /* a field that is not kept, as there is no room; "": none */
    char why[TERMS_WHY_ROOM];
};

/* Whether the request carries the client's Authorization. */
bool terms_authorized(const struct source_request *request);

/* Whether the request identifies its user: of the cookies and Authorization that the route varies on,
 * it has one that is not empty; or of the headers, if there are none of those. If not, the key of a
 * `private` route does not hold a user. */
bool terms_has_user(const struct source_request *request);

/* `rules` are those of the route, borrowed until terms_end; NULL: none. `authorized` is the result
 * of terms_authorized, `now_s` the time in seconds since 1970. */
void terms_begin(struct terms_reader *reader, const struct source_rules *rules, bool authorized,
                 int status, int64_t now_s);

/* Call it after terms_begin if the request has no user. */
void terms_of_nobody(struct terms_reader *reader);

/* Adds a header field. Fields of the same name are added in their order. */
void terms_field(struct terms_reader *reader, struct slice name, struct slice value);

/* Returns the terms, which point into the reader. */
struct source_terms terms_end(struct terms_reader *reader);

#endif
