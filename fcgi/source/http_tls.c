/* libcurl reads the files for each new connection, so a renewed certificate needs no restart. To
 * find errors in them at start, a connection to ourselves is begun: libcurl loads all files before
 * it sends its first byte. So what is checked is what it does, whatever TLS library it has. */
#include "source/http_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/landlock.h"
#include "source/http_settings.h"
#include "source/url.h"

#define WHY_ROOM    400
#define PROBE_TURNS 1000 /* of a millisecond each */

/* --- the files --- */

/* Whether the file has a line "-----BEGIN ..." with `what`. */
static bool has_pem(FILE *file, const char *what)
{
    char line[256];
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "-----BEGIN ", strlen("-----BEGIN ")) == 0 && strstr(line, what))
            return true;
    return false;
}

struct pem_file {
    const char *option, *path;
    const char *what;  /* in the first line */
    const char *lacks; /* the problem if that is missing */
    bool is_secret;
};

/* Returns what is wrong with the file, or NULL. */
static const char *file_problem(const struct pem_file *pem)
{
    const char *problem = NULL;
    struct stat status;
    int fd = open(pem->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!file)
        problem = landlock_strerror(errno);
    else if (fstat(fd, &status) != 0)
        problem = strerror(errno);
    else if (!S_ISREG(status.st_mode))
        problem = "not a regular file";
    else if (pem->is_secret && (status.st_mode & S_IRWXO))
        problem = "every user of this host has access to it; remove that by chmod o=";
    else if (!has_pem(file, pem->what))
        problem = pem->lacks;
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    return problem;
}

/* --- the probe --- */

/* Listens at an abstract address that the kernel chooses, which it writes to `name`. Returns -1 on
 * failure. */
static int listen_somewhere(char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address.sun_family) == 0 &&
        listen(fd, 1) == 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
        size_t name_len = len - offsetof(struct sockaddr_un, sun_path) - 1;
        memcpy(name, address.sun_path + 1, name_len);
        name[name_len] = '\0';
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static CURLcode probe_set_up(CURL *easy, const struct http_settings *settings, const char *name,
                             char *error)
{
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, "https://probe/");
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_PROXY, "");
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_ABSTRACT_UNIX_SOCKET, name);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    if (!code)
        code = http_tls_trust(easy, settings);
    if (!code)
        code = http_tls_show(easy, settings, true);
    return code;
}

/* Returns how the attempt failed; CURLE_OK once its first bytes have arrived. `peer` becomes the
 * other end. */
static CURLcode probe_run(CURLM *multi, int listener, struct pollfd *peer)
{
    int running = 1, left;
    for (int turn = 0; turn < PROBE_TURNS && running > 0 && !(peer->revents & POLLIN); turn++) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            break;
        if (peer->fd < 0)
            peer->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        poll(peer, 1, turn > 0 ? 1 : 0);
    }
    const CURLMsg *message = curl_multi_info_read(multi, &left);
    return message && message->msg == CURLMSG_DONE ? message->data.result : CURLE_OK;
}

static CURLcode probe(const struct http_settings *settings, char error[CURL_ERROR_SIZE])
{
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
    int listener = listen_somewhere(name);
    struct pollfd peer = {.fd = -1, .events = POLLIN};
    CURL *easy = curl_easy_init();
    CURLM *multi = curl_multi_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    error[0] = '\0';
    if (easy && multi)
        code = listener < 0 ? CURLE_COULDNT_CONNECT : probe_set_up(easy, settings, name, error);
    if (!code && curl_multi_add_handle(multi, easy) != CURLM_OK)
        code = CURLE_OUT_OF_MEMORY;
    if (!code)
        code = probe_run(multi, listener, &peer);
    if (easy && multi)
        curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    if (peer.fd >= 0) /* not before libcurl's end, which would get a SIGPIPE */
        close(peer.fd);
    if (listener >= 0)
        close(listener);
    return code;
}

/* --- what is wrong --- */

static const char *check_pair(const struct http_settings *settings, const char **option)
{
    bool certificate = http_is_set(settings->tls_certificate), key = http_is_set(settings->tls_key);
    *option = certificate ? "tls_certificate" : "tls_key";
    if (certificate && !key)
        return "tls_certificate: tls_key is required with it";
    if (key && !certificate)
        return "tls_key: tls_certificate is required with it";
    return NULL;
}

static const char *check_probe(const struct http_settings *settings, const char **option)
{
    static char why[WHY_ROOM];
    char error[CURL_ERROR_SIZE];
    CURLcode code = probe(settings, error);
    const char *what = NULL;
    if (code == CURLE_OUT_OF_MEMORY)
        return "out of memory";
    if (code == CURLE_SSL_CACERT_BADFILE) {
        *option = "tls_ca";
        what = "can't read any certificate from the file";
    } else if (code == CURLE_SSL_CERTPROBLEM && strstr(error, "rivate key")) {
        *option = "tls_key";
        what = "not the certificate's key, without a passphrase";
    } else if (code == CURLE_SSL_CERTPROBLEM) {
        *option = "tls_certificate";
        what = "can't read a certificate from the file";
    }
    if (!what)
        return NULL;
    snprintf(why, sizeof why, "%s: %s%s%s", *option, what, error[0] ? ": " : "", error);
    return why;
}

const char *http_tls_check(const struct http_settings *settings, const char **option)
{
    static char why[WHY_ROOM];
    static const char no_certificate[] = "there is no certificate in it (in PEM)";
    static const char no_key[] = "there is no private key in it (in PEM)";
    const struct pem_file files[] = {
        {"tls_ca", settings->tls_ca, "CERTIFICATE-----", no_certificate, false},
        {"tls_certificate", settings->tls_certificate, "CERTIFICATE-----", no_certificate, false},
        {"tls_key", settings->tls_key, "PRIVATE KEY-----", no_key, true},
    };
    bool is_used = url_is_https(settings->url);
    bool any = false;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!http_is_set(files[i].path))
            continue;
        any = true;
        *option = files[i].option;
        const char *problem = file_problem(&files[i]);
        if (!problem && (is_used || (i == 0 && settings->redirect_count > 0)))
            continue;
        if (problem)
            snprintf(why, sizeof why, "%s: %s: %s", *option, files[i].path, problem);
        else
            snprintf(why, sizeof why, "%s has no effect, since the url is not https", *option);
        return why;
    }
    if (!any)
        return NULL;
    const char *problem = check_pair(settings, option);
    return problem ? problem : check_probe(settings, option);
}

/* --- a transfer --- */

CURLcode http_tls_trust(CURL *easy, const struct http_settings *settings)
{
    if (!http_is_set(settings->tls_ca))
        return CURLE_OK;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_CAINFO, settings->tls_ca);
    if (!code) /* the system's directory would be trusted as well */
        code = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    return code;
}

CURLcode http_tls_show(CURL *easy, const struct http_settings *settings, bool show)
{
    if (!http_is_set(settings->tls_certificate))
        return CURLE_OK;
    CURLcode code =
        curl_easy_setopt(easy, CURLOPT_SSLCERT, show ? settings->tls_certificate : NULL);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_SSLKEY, show ? settings->tls_key : NULL);
    if (!code) /* without it, OpenSSL would ask for a passphrase at the terminal */
        code = curl_easy_setopt(easy, CURLOPT_KEYPASSWD, show ? "" : NULL);
    return code;
}
