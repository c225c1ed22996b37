/* Templates with data and partials, from texts; a table has a row for each rule. */
#ifndef WORKERLESS_TESTS_MUSTACHE_BENCH_H
#define WORKERLESS_TESTS_MUSTACHE_BENCH_H

#include "unit.h"

#include <stdio.h>

#include "base/alloc.h"
#include "render/json.h"
#include "render/mustache.h"

#define BENCH_PARTIALS 4
#define BENCH_WHY_ROOM 600

struct mustache_row {
    const char
        *rule; /* what it shows, after the module and name of the specification if it has one */
    const char *data; /* JSON with ' for "; NULL: {} */
    const char *template;
    const char *html; /* or the error message, if the table is one of errors */
    const char *partials[2 * BENCH_PARTIALS]; /* name, text, … */
};

/* The partials of a row, compiled. */
struct mustache_shelf {
    const char *names[BENCH_PARTIALS];
    struct mustache *templates[BENCH_PARTIALS];
    size_t count;
};

/* Finds a partial on the shelf. One whose name begins with "no-" is refused. */
static inline enum mustache_lookup bench_find(void *arg, struct slice name,
                                              const struct mustache **found, const char **why)
{
    const struct mustache_shelf *shelf = arg;
    *why = "may not be used";
    if (slice_starts(name, SLICE("no-")))
        return MUSTACHE_REFUSED;
    for (size_t i = 0; i < shelf->count; i++) {
        if (slice_equal(name, slice_of(shelf->names[i]))) {
            *found = shelf->templates[i];
            return MUSTACHE_FOUND;
        }
    }
    return MUSTACHE_MISSING;
}

/* JSON from a text with ' for ". */
static inline struct json_t *bench_json(const char *text)
{
    char why[RENDER_JSON_WHY_ROOM], copy[4096];
    struct slice slice = slice_of(text ? text : "{}");
    assert_true(slice.len < sizeof copy);
    for (size_t i = 0; i < slice.len; i++)
        copy[i] = slice.data[i];
    for (size_t i = 0; i < slice.len; i++)
        if (copy[i] == '\'')
            copy[i] = '"';
    struct json_t *json = render_json_read((struct slice){copy, slice.len}, why);
    if (!json)
        fail_msg("%s: %s", text, why);
    return json;
}

/* Compiles the text from a block that ends with it. */
static inline struct mustache *bench_compile(const char *file, const char *text,
                                             struct mustache_error *error)
{
    struct slice exact = unit_exact(slice_of(text));
    struct mustache *template = mustache_compile(file, exact, error);
    unit_drop(exact);
    return template;
}

static inline void bench_shelve(struct mustache_shelf *shelf, const struct mustache_row *row)
{
    struct mustache_error error;
    shelf->count = 0;
    for (size_t i = 0; i < BENCH_PARTIALS && row->partials[2 * i]; i++) {
        shelf->names[i] = row->partials[2 * i];
        shelf->templates[i] = bench_compile(shelf->names[i], row->partials[2 * i + 1], &error);
        if (!shelf->templates[i])
            fail_msg("%s: partial %s: %s", row->rule, shelf->names[i], error.why);
        shelf->count++;
    }
}

static inline void bench_clear(struct mustache_shelf *shelf)
{
    for (size_t i = 0; i < shelf->count; i++)
        mustache_free(shelf->templates[i]);
}

/* Compiles and renders a row with these limits, into `out`. Returns whether it went well; else `why`
 * is the message with its place. */
static inline bool bench_render_within(const struct mustache_row *row, size_t output_max,
                                       size_t steps_max, struct buffer *out,
                                       char why[BENCH_WHY_ROOM])
{
    struct mustache_error error;
    struct mustache_shelf shelf;
    struct json_t *json = bench_json(row->data);
    struct mustache_value data = mustache_json(json);
    bench_shelve(&shelf, row);
    struct mustache_call call = {.contexts = &data,
                                 .count = 1,
                                 .find = bench_find,
                                 .arg = &shelf,
                                 .output_max = output_max,
                                 .steps_max = steps_max};
    struct mustache *template = bench_compile("page.html", row->template, &error);
    bool ok = template && mustache_render(template, &call, out, &error);
    if (!ok)
        mustache_describe(&error, why, BENCH_WHY_ROOM);
    mustache_free(template);
    bench_clear(&shelf);
    render_json_free(json);
    return ok;
}

static inline bool bench_render(const struct mustache_row *row, struct buffer *out,
                                char why[BENCH_WHY_ROOM])
{
    return bench_render_within(row, 100000, 100000, out, why);
}

/* Each row has to be rendered as it says. */
static inline void bench_rows(const struct mustache_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char why[BENCH_WHY_ROOM];
        struct buffer out = {0};
        if (!bench_render(&rows[i], &out, why))
            fail_msg("%s: %s", rows[i].rule, why);
        if (!slice_equal(buffer_slice(&out), slice_of(rows[i].html)))
            fail_msg("%s: is \"%.*s\", not \"%s\"", rows[i].rule, (int)out.len, out.data,
                     rows[i].html);
        buffer_free(&out);
    }
}

/* Each row has to fail with the message that it has for html, and leave `out` as it was. */
static inline void bench_bad_rows(const struct mustache_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char why[BENCH_WHY_ROOM];
        struct buffer out = {0};
        unit_append(&out, "kept", 4);
        if (bench_render(&rows[i], &out, why))
            fail_msg("%s: is \"%.*s\"", rows[i].rule, (int)out.len, out.data);
        if (strcmp(why, rows[i].html) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", rows[i].rule, why, rows[i].html);
        assert_slice(i, buffer_slice(&out), SLICE("kept"));
        buffer_free(&out);
    }
}

#endif
