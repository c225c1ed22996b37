/* rendering TEMPLATE PARTIAL JSON SECONDS: the processor time of a rendering with JSON that is read each time
 * ("both"), and with JSON that was read before ("render"), in nanoseconds, as JSON on stdout. The
 * result is on stderr. The template is compiled once. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buffer.h"
#include "conf/scan.h"
#include "render/json.h"
#include "render/templates.h"

#define PARTIAL   "review"
#define SECOND_NS 1e9

static struct templates *set;
static const struct mustache *template;
static struct slice text;

static void fail(const char *what)
{
    fprintf(stderr, "rendering: %s\n", what);
    exit(1);
}

static struct slice read_file(const char *path)
{
    const char *why;
    struct slice bytes;
    bytes.data = scan_read_file(path, &bytes.len, &why);
    if (!bytes.data)
        fail(why);
    return bytes;
}

static const struct mustache *add(const char *name, const char *path)
{
    struct mustache_error error;
    struct slice bytes = read_file(path);
    const struct mustache *added = templates_add(set, slice_of(name), path, bytes, &error);
    if (!added)
        fail(error.why);
    free((char *)(uintptr_t)bytes.data);
    return added;
}

static struct json_t *read_json(void)
{
    char why[RENDER_JSON_WHY_ROOM];
    struct json_t *json = render_json_read(text, why);
    if (!json)
        fail(why);
    return json;
}

static struct buffer render(const struct json_t *json)
{
    struct mustache_value value = mustache_json(json);
    struct mustache_call call = {.contexts = &value,
                                 .count = 1,
                                 .find = templates_find,
                                 .arg = set,
                                 .output_max = 1 << 20,
                                 .steps_max = 1000000};
    struct mustache_error error;
    struct buffer out = {0};
    if (!mustache_render(template, &call, &out, &error))
        fail(error.why);
    return out;
}

static double cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * SECOND_NS + (double)used.tv_nsec;
}

/* Renders for that time; `json` is NULL if it is to be read each time. */
static double measure(double seconds, const struct json_t *json)
{
    double begin = cpu_ns(), used;
    uint64_t count = 0;
    do {
        for (int i = 0; i < 100; i++) {
            struct json_t *own = json ? NULL : read_json();
            struct buffer out = render(json ? json : own);
            buffer_free(&out);
            render_json_free(own);
        }
        count += 100;
        used = cpu_ns() - begin;
    } while (used < seconds * SECOND_NS);
    return used / (double)count;
}

int main(int argc, char **argv)
{
    if (argc != 5 || !(set = templates_new()))
        fail("usage: rendering TEMPLATE PARTIAL JSON SECONDS");
    double seconds = strtod(argv[4], NULL);
    render_json_start();
    template = add("page", argv[1]);
    add(PARTIAL, argv[2]);
    text = read_file(argv[3]);
    struct json_t *json = read_json();
    struct buffer out = render(json);
    fwrite(out.data, 1, out.len, stderr);
    printf("{\"both\": %.0f, \"render\": %.0f}\n", measure(seconds, NULL), measure(seconds, json));
    buffer_free(&out);
    render_json_free(json);
    templates_free(set);
    free((char *)(uintptr_t)text.data);
    return 0;
}
