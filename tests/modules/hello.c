/* The smallest module: a greeting for each name, at once. */
#include <stdio.h>
#include <stdlib.h>

#include <workerless/source.h>

static void *hello_open(const struct workerless_source *source, char *why, size_t size)
{
    (void)why, (void)size;
    return (void *)source; /* which is valid until close */
}

static void hello_start(void *instance, struct workerless_call *call)
{
    const struct workerless_source *source = instance;
    const char *greeting =
        workerless_setting(source->settings, source->setting_count, "greeting", "Hello");
    char body[1000];
    int len = snprintf(body, sizeof body, "%.100s, %.500s!", greeting, call->name.data);
    struct workerless_result result = {.status = WORKERLESS_OK,
                                       .body = body,
                                       .body_len = (size_t)len};
    source->host->done(call->id, &result);
}

const struct workerless_module workerless_module = {
    WORKERLESS_MODULE_HEAD,
    .name = "hello",
    .open = hello_open,
    .start = hello_start,
};
