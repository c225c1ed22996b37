/* Templates: whatever the texts of a template, of two partials and of the data are, rendering ends
 * within its limits, twice with the same result, and errors have a place. The input is the template,
 * a zero byte, the partial "p", a zero byte, the partial "q", a zero byte, and JSON; what is missing
 * is empty. If the JSON is not valid, some other data is taken. */
#include "render/mustache.h"

#include <string.h>

#include "base/buffer.h"
#include "fuzz.h"
#include "render/context.h"
#include "render/json.h"

#define OUTPUT_MAX 20000
#define STEPS_MAX  20000

static const char data_instead[] =
    "{\"a\": [1, {\"a\": \"<\\n>\", \"b\": [[], 2]}], \"b\": {\"c\": {\"a\": \"p\"}, \"d\": 1e9},"
    "\"c\": \"q\", \"d\": true, \"e\": null, \"p\": \"q\", \"q\": \"line\\nline\\n\"}";

static const struct mustache *partials[2];

static struct slice cut(struct slice *rest)
{
    const char *zero = rest->len > 0 ? memchr(rest->data, '\0', rest->len) : NULL;
    struct slice part = {.data = rest->data, .len = zero ? (size_t)(zero - rest->data) : rest->len};
    *rest = slice_from(*rest, part.len + (zero ? 1 : 0));
    return part;
}

static void check_place(const struct mustache_place *place, struct slice text)
{
    FUZZ_CHECK(place->file && place->file[0] != '\0');
    FUZZ_CHECK(place->line >= 1 && place->line <= text.len + 1);
    FUZZ_CHECK(place->column >= 1 && place->column <= text.len + 1);
}

static struct mustache *compile(const char *file, struct slice text)
{
    struct mustache_error error;
    struct mustache *template = mustache_compile(file, text, &error);
    if (!template) {
        FUZZ_CHECK(error.why[0] != '\0' && strcmp(error.why, "out of memory") != 0);
        check_place(&error.place, text);
        return NULL;
    }
    struct slice name;
    for (size_t at = 0, count = 0; mustache_next_partial(template, &at, &name); count++) {
        FUZZ_CHECK(name.len > 0 && name.len < text.len && count < text.len);
        struct mustache_place place = mustache_partial_place(template, at);
        check_place(&place, text);
    }
    return template;
}

static enum mustache_lookup find(void *arg, struct slice name, const struct mustache **found,
                                 const char **why)
{
    const struct mustache *const *shelf = arg;
    if (slice_equal(name, SLICE("no"))) {
        *why = "is refused";
        return MUSTACHE_REFUSED;
    }
    if (name.len != 1 || (name.data[0] != 'p' && name.data[0] != 'q'))
        return MUSTACHE_MISSING;
    *found = shelf[name.data[0] - 'p'];
    return *found ? MUSTACHE_FOUND : MUSTACHE_MISSING;
}

static bool render(const struct mustache *template, const struct context *context,
                   size_t output_max, struct buffer *out)
{
    struct mustache_error error = {0};
    struct mustache_call call = {.contexts = context->stack,
                                 .count = context->count,
                                 .find = find,
                                 .arg = partials,
                                 .output_max = output_max,
                                 .steps_max = STEPS_MAX};
    size_t before = out->len;
    bool ok = mustache_render(template, &call, out, &error);
    if (ok) {
        FUZZ_CHECK(out->len - before <= output_max);
        return true;
    }
    FUZZ_CHECK(out->len == before && error.why[0] != '\0' && error.place.file);
    FUZZ_CHECK(strcmp(error.why, "out of memory") != 0);
    return false;
}

static void check_rendering(const struct mustache *template, const struct context *context,
                            struct slice text)
{
    struct buffer first = {0}, second = {0};
    bool ok = render(template, context, OUTPUT_MAX, &first);
    FUZZ_CHECK(render(template, context, OUTPUT_MAX, &second) == ok);
    FUZZ_CHECK(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    if (ok) {
        FUZZ_CHECK(render(template, context, first.len, &second));
        FUZZ_CHECK(first.len == 0 || !render(template, context, first.len - 1, &second));
    }
    if (ok && !memmem(text.data, text.len, "{{", 2) && !slice_starts(text, SLICE("\xEF\xBB\xBF")))
        FUZZ_CHECK(slice_equal(buffer_slice(&first), text));
    buffer_free(&first);
    buffer_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_slice(size ? data : (const uint8_t *)"", size);
    struct slice text = cut(&rest), p = cut(&rest), q = cut(&rest);
    char why[RENDER_JSON_WHY_ROOM];
    struct json_t *json = render_json_read(rest, why);
    if (!json)
        json = render_json_read(slice_of(data_instead), why);
    FUZZ_CHECK(json);

    struct mustache *template = compile("t", text), *first = compile("p", p),
                    *second = compile("q", q);
    struct context context;
    context_begin(&context, p);
    FUZZ_CHECK(context_add_input(&context, SLICE("x"), q));
    if (size % 4 == 0)
        context_end_text(&context, rest);
    else
        context_end_json(&context, json);
    partials[0] = first;
    partials[1] = second;
    if (template)
        check_rendering(template, &context, text);
    mustache_free(template);
    mustache_free(first);
    mustache_free(second);
    render_json_free(json);
    return 0;
}
