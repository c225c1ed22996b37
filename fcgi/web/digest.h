/* Digests of values that must not be readable in a cache key. Pure.
 *
 * Keys can be seen by everybody who may read the Redis: by KEYS, SCAN and MONITOR, and in its dumps.
 * A session's cookie or an Authorization header in them would let such a person act as that user.
 * So the key has a digest, from which a value can't be computed, and with 128 bits nobody finds two
 * values that share one. It has no secret, since all processes of a fleet must compute the same: a
 * value that can be guessed, such as a user's number, can be found by trying. Tokens of sessions are
 * random, and can't.
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
