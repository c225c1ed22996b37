/* What the parts of the load generator share. */
#ifndef WORKERLESS_BENCH_LOAD_H
#define WORKERLESS_BENCH_LOAD_H

#include <stdbool.h>

#include "request.h"

#define LOAD_IDS_MAX  65535
#define LOAD_STALL_MS 10000 /* nothing arrived for so long: what is in flight is lost */

struct load_options {
    const char *address; /* of the responder */
    const char *path;    /* to ask for */
    const char *save;    /* file for an answer, or NULL */
    const char *redis;   /* release, streams: the address of Redis, */
    const char *key;     /* and the key there whose value releases them, or how the keys begin */
    unsigned long connections;
    unsigned long ids;      /* requests in flight on each connection: ids 1 to this */
    unsigned long keys;     /* the numbers in the path run from 0 to this, exclusive */
    unsigned long requests; /* how many to measure; 0: for `seconds` */
    double seconds, warm_up_seconds;
    bool busy; /* poll for answers instead of sleeping until one arrives */
};

/* All print their result, one line of JSON, and return the exit status: 0 if nothing failed. */
int throughput_run(const struct load_options *wanted, const struct request *asked_for);
int release_run(const struct load_options *wanted, const struct request *asked_for);
int park_run(const struct load_options *options, const struct request *request);
int streams_run(const struct load_options *wanted, const struct request *request);

/* A new blocking connection, whose operations end after a stall; all of `out` was sent on it,
 * unless the peer did not take it. */
int load_open(const char *address, const unsigned char *out, size_t len);

/* Ends the program: it could not run. */
void load_fail(const char *what);

#endif
