/* BLAKE2b (RFC 7693) with 128 bits, by libsodium. */
#include "web/digest.h"

#include <sodium.h>
#include <stdbool.h>

#include "base/put.h"

#define BYTES (DIGEST_HEX_LEN / 2)

void digest_init(void)
{
    bool chosen = sodium_init() >= 0;
    (void)chosen; /* if not, the portable implementation is used */
}

void digest_write(struct slice label, struct slice value, char out[DIGEST_HEX_LEN])
{
    crypto_generichash_state state;
    unsigned char bytes[BYTES];
    crypto_generichash_init(&state, NULL, 0, sizeof bytes);
    crypto_generichash_update(&state, (const unsigned char *)label.data, label.len);
    crypto_generichash_update(&state, (const unsigned char *)"", 1);
    crypto_generichash_update(&state, (const unsigned char *)value.data, value.len);
    crypto_generichash_final(&state, bytes, sizeof bytes);
    put_hex_bytes(out, bytes, sizeof bytes);
}
