/* Checks a result, and copies it into one block. */
#include "source/module_result.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/byte.h"

/* A terminated text of at most `max` bytes; one that is longer has max + 1 here. */
static struct slice text_of(const char *text, size_t max)
{
    return (struct slice){.data = text, .len = text ? strnlen(text, max + 1) : 0};
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (byte_is_control(text.data[i]) && text.data[i] != '\t')
            return true;
    return false;
}

/* Writes what is wrong with a result that has a body. Returns false if nothing is. */
static bool body_problem(const struct workerless_result *given, struct slice type, size_t max_body,
                         char why[MODULE_REASON_ROOM])
{
    if (!given->body && given->body_len > 0)
        snprintf(why, MODULE_REASON_ROOM, "the module gave a length of %zu bytes, but no body",
                 given->body_len);
    else if (given->body_len > max_body)
        snprintf(why, MODULE_REASON_ROOM,
                 "the module gave %zu bytes, which is more than max_body = %zu bytes",
                 given->body_len, max_body);
    else if (type.len > MODULE_TYPE_MAX || has_control(type))
        snprintf(why, MODULE_REASON_ROOM, "the module gave a type that is not a media type");
    else
        return false;
    return true;
}

static bool control_problem(struct slice control, char why[MODULE_REASON_ROOM])
{
    if (control.len <= MODULE_CONTROL_MAX && !has_control(control))
        return false;
    snprintf(why, MODULE_REASON_ROOM,
             "the module gave a cache_control that is not the value of a header");
    return true;
}

struct module_result *module_result_failed(const char *reason)
{
    struct module_result *result = alloc_zeroed(sizeof *result);
    if (!result)
        return NULL;
    result->status = SOURCE_FAILED;
    snprintf(result->reason, sizeof result->reason, "%.*s", MODULE_REASON_MAX, reason);
    return result;
}

/* A copy of the slice at *at, behind which *at is left. */
static struct slice keep(char **at, struct slice text)
{
    struct slice kept = {.data = *at, .len = text.len};
    if (text.len > 0)
        memcpy(*at, text.data, text.len);
    *at += text.len;
    return kept;
}

/* A result that is valid, and no failure. */
static struct module_result *copy(enum source_status status, struct slice type, struct slice body,
                                  struct slice control)
{
    struct module_result *result = alloc_bytes(sizeof *result + type.len + body.len + control.len);
    if (!result)
        return NULL;
    char *at = result->text;
    *result = (struct module_result){.status = status};
    result->type = keep(&at, type);
    result->body = keep(&at, body);
    if (control.data)
        result->cache_control = keep(&at, control);
    if (status == SOURCE_NOT_FOUND)
        snprintf(result->reason, sizeof result->reason, "there is no such fragment");
    return result;
}

struct module_result *module_result_copy(const struct workerless_result *given, size_t max_body)
{
    char why[MODULE_REASON_ROOM];
    struct slice none = {0};
    struct slice type = given->type ? text_of(given->type, MODULE_TYPE_MAX) : SLICE("text/plain");
    struct slice body = {.data = given->body, .len = given->body_len};
    struct slice control = text_of(given->cache_control, MODULE_CONTROL_MAX);
    struct module_result *failed;
    switch (given->status) {
    case WORKERLESS_OK:
        if (body_problem(given, type, max_body, why) || control_problem(control, why))
            return module_result_failed(why);
        return copy(SOURCE_OK, type, body, control);
    case WORKERLESS_NOT_FOUND:
        if (control_problem(control, why))
            return module_result_failed(why);
        return copy(SOURCE_NOT_FOUND, none, none, control);
    case WORKERLESS_FAILED:
        failed = module_result_failed(given->reason ? given->reason : "the module gave no reason");
        if (failed)
            failed->retry_after_s = given->retry_after_s;
        return failed;
    }
    snprintf(why, sizeof why, "the module gave the status %d, which does not exist",
             (int)given->status);
    return module_result_failed(why);
}
