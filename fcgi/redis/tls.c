/* hiredis_ssl does the handshake and moves the bytes when the socket is ready. This file adds what
 * it lacks: it does not check the name in a server's certificate, and most of its errors don't say
 * what went wrong.
 *
 *     hiredis --read, write--> explained_read, explained_write --> hiredis_ssl --> OpenSSL
 *
 * OpenSSL keeps errors in one queue per thread, which the TLS of sources uses as well. An error
 * left there by others would make a successful call look failed, so the queue is emptied before
 * each call, and after a failed one.
 */
#include "redis/tls.h"

#include "config.h"

#include <stdio.h>

#include "base/alloc.h"
#include "redis/settings.h"

#ifdef HAVE_REDIS_TLS

#include <errno.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "redis/address.h"

struct redis_tls {
    const struct redis_settings *settings;
    SSL_CTX *context;
};

bool redis_tls_is_built(void)
{
    return true;
}

/* --- certificates --- */

/* Without this, OpenSSL would ask for the passphrase of an encrypted key at the terminal. */
static int no_passphrase(char *room, int size, int writing, void *context)
{
    (void)room, (void)size, (void)writing, (void)context;
    return -1;
}

static bool refuse(struct redis_problem *problem, const char *option, const char *what)
{
    unsigned long error = ERR_peek_error();
    const char *reason = ERR_GET_LIB(error) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(error))
                                                           : ERR_reason_error_string(error);
    problem->option = option;
    snprintf(problem->why, sizeof problem->why, "%s%s%s", what, reason ? ": " : "",
             reason ? reason : "");
    ERR_clear_error();
    return false;
}

static bool load(SSL_CTX *context, const struct redis_settings *settings,
                 struct redis_problem *problem)
{
    const char *certificate = settings->tls_certificate, *key = settings->tls_key;
    if (settings->tls_ca[0]) {
        if (SSL_CTX_load_verify_locations(context, settings->tls_ca, NULL) != 1)
            return refuse(problem, "tls_ca", "can't read any certificate from the file");
    } else if (SSL_CTX_set_default_verify_paths(context) != 1) {
        return refuse(problem, "tls_ca", "can't read the system's certificates");
    }
    if (!certificate[0] && !key[0])
        return true;
    if (!certificate[0])
        return refuse(problem, "tls_key", "tls_certificate is required with it");
    if (!key[0])
        return refuse(problem, "tls_certificate", "tls_key is required with it");
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        return refuse(problem, "tls_certificate", "can't read a certificate from the file");
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return refuse(problem, "tls_key", "not the certificate's key, without a passphrase");
    return true;
}

/* Why the latest certificate was rejected. It is read within the call that sets it, so one variable
 * is enough for all connections. */
static int distrust;

static int on_verified(int trusted, X509_STORE_CTX *store)
{
    if (!trusted)
        distrust = X509_STORE_CTX_get_error(store);
    return trusted;
}

struct redis_tls *redis_tls_new(const struct redis_settings *settings,
                                struct redis_problem *problem)
{
    struct redis_tls *tls = alloc_zeroed(sizeof *tls);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    *problem = (struct redis_problem){.option = "redis", .why = "out of memory"};
    ERR_clear_error();
    if (!tls || !context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
        goto fail;
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verified);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* most connections are mostly idle */
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF); /* replies have a length */
#endif
    if (!load(context, settings, problem))
        goto fail;
    tls->settings = settings;
    tls->context = context;
    return tls;
fail:
    SSL_CTX_free(context);
    free(tls);
    return NULL;
}

void redis_tls_free(struct redis_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

/* --- errors --- */

static void begin_call(void)
{
    distrust = X509_V_OK;
    errno = 0;
    ERR_clear_error();
}

/* OpenSSL's error of the last call, or 0. Since 3.2 it also reports a failed write with errno as
 * the reason, which explains nothing and is skipped. */
static unsigned long openssl_error(void)
{
    unsigned long error = ERR_peek_error();
    return ERR_GET_LIB(error) == ERR_LIB_SYS ? 0 : error;
}

static bool is_explained(void)
{
    return distrust != X509_V_OK || openssl_error() != 0;
}

static void explain(redisContext *c)
{
    const char *reason = ERR_reason_error_string(openssl_error());
    if (distrust != X509_V_OK)
        snprintf(c->errstr, sizeof c->errstr, "TLS: the server's certificate is refused: %s",
                 X509_verify_cert_error_string(distrust));
    else if (reason)
        snprintf(c->errstr, sizeof c->errstr, "TLS: %s", reason);
    else if (c->err == REDIS_ERR_IO && (errno == 0 || errno == EAGAIN))
        snprintf(c->errstr, sizeof c->errstr, "TLS: the connection was closed");
    ERR_clear_error();
}

static const redisContextFuncs *original; /* those of hiredis_ssl, the same for all connections */

static ssize_t explained_read(redisContext *c, char *room, size_t size)
{
    begin_call();
    ssize_t count = original->read(c, room, size);
    if (count < 0)
        explain(c);
    return count;
}

/* A server that rejects our certificate sends an alert and closes at once. We may notice the close
 * before the alert is read, so read it now. Without an alert the error stays as it is. */
static void hear_last_word(redisContext *c)
{
    char errstr[sizeof c->errstr], byte;
    memcpy(errstr, c->errstr, sizeof errstr);
    begin_call();
    original->read(c, &byte, 1);
    memcpy(c->errstr, errstr, sizeof errstr);
    if (is_explained())
        explain(c);
}

static ssize_t explained_write(redisContext *c)
{
    begin_call();
    ssize_t count = original->write(c);
    if (count >= 0)
        return count;
    bool is_known = is_explained();
    explain(c);
    if (!is_known)
        hear_last_word(c);
    return count;
}

/* --- a connection --- */

/* Sets the name that the certificate must have, and sends it (SNI) unless it is an address. */
static bool expect(SSL *ssl, const char *host)
{
    if (redis_address_is_literal(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

bool redis_tls_start(struct redis_tls *tls, redisAsyncContext *context, const char *host)
{
    static redisContextFuncs explained;
    const char *name = tls->settings->tls_name;
    redisContext *c = &context->c;
    begin_call();
    SSL *ssl = SSL_new(tls->context);
    if (!ssl || !expect(ssl, name[0] ? name : host)) {
        snprintf(c->errstr, sizeof c->errstr, "TLS: out of memory");
        goto fail;
    }
    if (redisInitiateSSL(c, ssl) != REDIS_OK) { /* a server nearby may have answered already */
        explain(c);
        goto fail;
    }
    if (!original) {
        original = c->funcs;
        explained = *original;
        explained.read = explained_read;
        explained.write = explained_write;
    }
    c->funcs = &explained;
    return true;
fail:
    SSL_free(ssl);
    ERR_clear_error();
    return false;
}

#else /* no TLS */

bool redis_tls_is_built(void)
{
    return false;
}

struct redis_tls *redis_tls_new(const struct redis_settings *settings,
                                struct redis_problem *problem)
{
    (void)settings;
    *problem = (struct redis_problem){.option = "redis"};
    snprintf(problem->why, sizeof problem->why, "this build has no TLS");
    return NULL;
}

void redis_tls_free(struct redis_tls *tls)
{
    (void)tls;
}

bool redis_tls_start(struct redis_tls *tls, struct redisAsyncContext *context, const char *host)
{
    (void)tls, (void)context, (void)host;
    return false;
}

#endif
