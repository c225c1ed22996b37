/* Asks libcurl, which may be another version than the one that we were compiled with. */
#include "source/http_features.h"

#include <curl/curl.h>

bool http_features_has_http2(void)
{
    return curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2;
}

bool http_features_breaks_http2(void)
{
    unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
    return version >= 0x075800 && version < 0x080000;
}

bool http_features_remembers_header(void)
{
    return curl_version_info(CURLVERSION_NOW)->version_num < 0x080101;
}

/* Before a later version is added here, see that http_target() in its lib/http.c still copies the
 * string of CURLOPT_REQUEST_TARGET, and that "Host:" in a list still leaves out that field. */
bool http_features_version_keeps_targets(unsigned version)
{
    return version >= 0x075700 && version < 0x081700;
}

bool http_features_keeps_targets(void)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    return http_features_version_keeps_targets(curl->version_num) && !curl->hyper_version;
}

void http_features_encodings(char out[HTTP_ENCODINGS_ROOM])
{
    static const struct {
        int bit;
        const char *names;
    } encodings[] = {
        {CURL_VERSION_LIBZ, "gzip"},
        {CURL_VERSION_BROTLI, "br"},
        {CURL_VERSION_ZSTD, "zstd"},
    };
    int features = curl_version_info(CURLVERSION_NOW)->features, len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
        if (features & encodings[i].bit)
            len += snprintf(out + len, HTTP_ENCODINGS_ROOM - (size_t)len, "%s%s",
                            len > 0 ? ", " : "", encodings[i].names);
}

void http_features_print(FILE *out)
{
    static const struct {
        int bit;
        const char *name;
    } features[] = {
        {CURL_VERSION_SSL, "TLS"},   {CURL_VERSION_HTTP2, "HTTP/2"}, {CURL_VERSION_LIBZ, "gzip"},
        {CURL_VERSION_BROTLI, "br"}, {CURL_VERSION_ZSTD, "zstd"},
    };
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    fprintf(out, "libcurl %s:", curl->version);
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (curl->features & features[i].bit)
            fprintf(out, " %s", features[i].name);
    fputc('\n', out);
}
