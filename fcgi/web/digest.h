/* Digests of values that must not be readable in a cache key. Pure.
 *
 * Everybody who may read Redis can see the keys: with KEYS, SCAN and MONITOR, and in its dumps.
 * With a session cookie or an Authorization header in them, such a person could act as that user.
 * So the key has a digest instead, from which the value can't be computed; with 128 bits nobody
 * finds two values that share one. It uses no secret, since all processes of a fleet must compute
 * the same digest. So a value that can be guessed, such as a user's number, can be found by trying;
 * session tokens are random, and can't.
 */
#ifndef WORKERLESS_WEB_DIGEST_H
#define WORKERLESS_WEB_DIGEST_H

#include "base/slice.h"

#define DIGEST_HEX_LEN 32

/* Chooses the fastest implementation for this processor. Call it once, at the start; without it the
 * digests are the same. */
void digest_init(void);

/* Writes the digest of the label and the value as hexadecimal digits. The label says what the value
 * is, so that equal values of different inputs have different digests; it has no NUL. */
void digest_write(struct slice label, struct slice value, char out[DIGEST_HEX_LEN]);

#endif
