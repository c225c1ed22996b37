/* workerless render: shows the author of a template, and tests, what it makes of JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "conf/scan.h"
#include "conf/template_files.h"
#include "render/json.h"
#include "render/mustache.h"
#include "render/templates.h"

#define INPUT_MAX  ((size_t)16 << 20) /* bytes of JSON */
#define OUTPUT_MAX ((size_t)64 << 20) /* bytes of the result */
#define STEPS_MAX  ((size_t)100 << 20)

/* The name of the template in its set, which no file of a directory has. */
#define MAIN SLICE("/")

struct job {
    const char *directory; /* of partials */
    struct templates *set;
    bool failed; /* the failure has been reported */
};

static void complain(struct job *job, const char *text)
{
    fprintf(stderr, "%s\n", text);
    job->failed = true;
}

static void on_problem(void *arg, enum template_found found, const char *text)
{
    struct job *job = arg;
    if (found == TEMPLATE_MISSING)
        fprintf(stderr, "%s (a warning here, an error in a config)\n", text);
    else
        complain(job, text);
}

/* Compiles the template and what it names. Returns NULL after a complaint. */
static const struct mustache *load(struct job *job, const char *path)
{
    struct mustache_error error;
    const char *why;
    size_t len;
    char *text = scan_read_file(path, &len, &why);
    if (!text) {
        fprintf(stderr, "%s: %s\n", path, why);
        return NULL;
    }
    const struct mustache *template =
        templates_add(job->set, MAIN, path, (struct slice){.data = text, .len = len}, &error);
    free(text);
    if (!template) {
        char message[TEMPLATE_WHY_ROOM];
        mustache_describe(&error, message, sizeof message);
        complain(job, message);
        return NULL;
    }
    template_files_complete(&(struct template_files){.directory = job->directory,
                                                     .report = on_problem,
                                                     .arg = job},
                            job->set);
    return job->failed ? NULL : template;
}

/* Reads the JSON of stdin. Returns it owned, or NULL after a complaint. */
static struct json_t *read_json(struct job *job)
{
    char part[1 << 14], why[RENDER_JSON_WHY_ROOM], message[RENDER_JSON_WHY_ROOM + 20];
    struct buffer text = {0};
    struct json_t *json = NULL;
    size_t got;
    while ((got = fread(part, 1, sizeof part, stdin)) > 0) {
        if (!buffer_append(&text, part, got, INPUT_MAX)) {
            complain(job, "stdin: more than 16 MiB, or out of memory");
            goto out;
        }
    }
    if (ferror(stdin)) {
        complain(job, "stdin: can't be read");
        goto out;
    }
    render_json_start();
    json = render_json_read(buffer_slice(&text), why);
    if (!json) {
        snprintf(message, sizeof message, "stdin: the JSON %s", why);
        complain(job, message);
    }
out:
    buffer_free(&text);
    return json;
}

static void render(struct job *job, const struct mustache *template, const struct json_t *json)
{
    struct mustache_value value = mustache_json(json);
    struct mustache_call call = {
        .contexts = &value,
        .count = 1,
        .find = templates_find,
        .arg = job->set,
        .output_max = OUTPUT_MAX,
        .steps_max = STEPS_MAX,
    };
    struct mustache_error error;
    struct buffer out = {0};
    if (!mustache_render(template, &call, &out, &error)) {
        char message[TEMPLATE_WHY_ROOM];
        mustache_describe(&error, message, sizeof message);
        complain(job, message);
    } else if (fwrite(out.data, 1, out.len, stdout) < out.len || fflush(stdout) != 0) {
        complain(job, "workerless: can't write to stdout");
    }
    buffer_free(&out);
}

/* The directory of the template, owned; or NULL when out of memory. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return alloc_copy(".", 1);
    return alloc_copy(path, slash == path ? 1 : (size_t)(slash - path));
}

int render_command(const struct arguments *arguments)
{
    const char *path = arguments->operands[0];
    char *beside = directory_of(path);
    struct job job = {.directory = arguments->partials ? arguments->partials : beside,
                      .set = templates_new()};
    struct json_t *json = NULL;
    const struct mustache *template = NULL;
    if (!job.directory || !job.set)
        complain(&job, "workerless: out of memory");
    if (!job.failed)
        template = load(&job, path);
    if (template)
        json = read_json(&job);
    if (json)
        render(&job, template, json);
    render_json_free(json);
    templates_free(job.set);
    free(beside);
    return json && !job.failed ? CLI_OK : CLI_FAILED;
}
