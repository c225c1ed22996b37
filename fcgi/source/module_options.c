/* The table of options, and the checks that need more than one of them. */
#include "source/module_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/byte.h"
#include "source/module_library.h"

#define WHY_ROOM (MODULE_WHY_ROOM + 100)

const struct option module_options[MODULE_OPTIONS] = {
    {"file", OPTION_PATH, OPTION_AT(struct module_settings, file), .required = true,
     .directory = MODULE_DIRECTORY,
     .help = "The module: a shared object. A relative path begins in the directory that "
             "`pkg-config --variable=moduledir workerless` prints. If the file changes, the new "
             "code is "
             "used after a restart."},
    {"settings", OPTION_LIST, OPTION_AT(struct module_settings, pairs), .check = module_pair_check,
     .secret = true,
     .help = "What the module is told, as KEY = VALUE; its documentation lists the "
             "keys."},
    {"timeout", OPTION_DURATION, OPTION_AT(struct module_settings, timeout), .preset = "10s",
     .min = "1ms", .max = "1d",
     .help = "Time limit for a call; over it, the module is told to cancel it, and requests get "
             "504."},
    {"max_body", OPTION_SIZE, OPTION_AT(struct module_settings, max_body), .preset = "1MiB",
     .min = "1B", .max = "1GiB",
     .help = "Maximum size of a result; for larger ones, requests get 502."},
    {"connections", OPTION_COUNT, OPTION_AT(struct module_settings, settings.limits.connections),
     .preset = "100", .min = "1", .max = "65535",
     .help = "Maximum number of concurrent calls; more are queued. The module may have as many "
             "descriptors open."},
};

_Static_assert(offsetof(struct module_settings, pair_count) ==
                   offsetof(struct module_settings, pairs) + sizeof(char **),
               "a list is followed by its count");

static bool is_key_byte(char byte)
{
    return byte_is_unreserved(byte) && byte != '~';
}

static struct slice key_of(const char *pair)
{
    return slice_trim((struct slice){.data = pair, .len = strcspn(pair, "=")});
}

static struct slice value_of(const char *pair)
{
    const char *equals = strchr(pair, '=');
    return slice_trim(slice_of(equals ? equals + 1 : ""));
}

const char *module_pair_check(const char *pair)
{
    struct slice key = key_of(pair);
    if (!strchr(pair, '=') || key.len == 0)
        return "write KEY = VALUE";
    for (size_t i = 0; i < key.len; i++)
        if (!is_key_byte(key.data[i]))
            return "a key may have only letters, digits and any of . _ -";
    return NULL;
}

static bool pairs_repeat(const struct module_settings *settings)
{
    for (size_t i = 0; i < settings->pair_count; i++)
        for (size_t other = 0; other < i; other++)
            if (slice_equal(key_of(settings->pairs[i]), key_of(settings->pairs[other])))
                return true;
    return false;
}

static char *append(char *at, struct slice text)
{
    memcpy(at, text.data, text.len);
    at[text.len] = '\0';
    return at + text.len + 1;
}

struct workerless_setting *module_pairs(const char *const *pairs, size_t count)
{
    size_t room = (count + 1) * sizeof(struct workerless_setting);
    for (size_t i = 0; i < count; i++)
        room += strlen(pairs[i]) + 2;
    struct workerless_setting *settings = alloc_zeroed(room);
    if (!settings)
        return NULL;
    char *at = (char *)(settings + count + 1);
    for (size_t i = 0; i < count; i++) {
        settings[i].key = at;
        at = append(at, key_of(pairs[i]));
        settings[i].value = at;
        at = append(at, value_of(pairs[i]));
    }
    return settings;
}

/* Asks the module whether the settings are right. */
static const char *check_pairs(const struct module_settings *settings,
                               const struct workerless_module *module)
{
    static char why[WHY_ROOM];
    char said[MODULE_WHY_ROOM] = "";
    if (!module->check)
        return NULL;
    struct workerless_setting *pairs = module_pairs(settings->pairs, settings->pair_count);
    if (!pairs)
        return "out of memory";
    int result = module->check(pairs, settings->pair_count, said, sizeof said);
    free(pairs);
    said[sizeof said - 1] = '\0';
    snprintf(why, sizeof why, "the module %.60s rejects the settings: %s", module->name,
             said[0] ? said : "it does not say why");
    return result == 0 ? NULL : why;
}

const char *module_check(const struct source_settings *common, const char **option)
{
    static char why[MODULE_WHY_ROOM];
    const struct module_settings *settings = (const struct module_settings *)common;
    *option = "file";
    if (!settings->file || !*settings->file)
        return "a source of type module needs a file";
    *option = "settings";
    if (pairs_repeat(settings))
        return "two of its settings have the same key";
    const struct module_library *library = module_library_load(settings->file, why);
    if (library)
        return check_pairs(settings, module_library_module(library));
    *option = "file";
    return why;
}
