/* JSON of a source, by a template that escapes all values: whatever it is, it is read or refused with
 * a reason, and what a template makes of it is HTML that ends where it began, twice the same. So is
 * what text becomes, and the standard template makes the same of it. The input is the fragment's name,
 * a zero byte, and the JSON, which is the text as well. */
#include "render/json.h"

#include <string.h>

#include "base/buffer.h"
#include "fuzz.h"
#include "render/balance.h"
#include "render/context.h"
#include "render/templates.h"
#include "render/text.h"

#define OUTPUT_MAX 100000
#define STEPS_MAX  20000

static const char page_text[] =
    "<ul id=\"{{id}}\" title='{{inputs.x}}'>{{#a}}<li class=\"{{b}}\">{{c}}{{>item}}</li>\n{{/a}}"
    "{{^a}}<li>{{a.b.c}}</li>{{/a}}</ul>{{#b}}{{#a}}<b>{{.}}</b>{{/a}}{{>item}}{{/b}}"
    "{{<frame}}{{$in}}<p>{{d}}</p>{{/in}}{{/frame}}{{>*e}}";
/* It ends where an "n" is false. */
static const char item_text[] =
    "{{#n}}<i title=\"{{b}}\">{{c}}</i>\n  {{>item}}\n{{/n}}{{#.}}<u>{{inputs.x}}</u>{{/.}}";
static const char frame_text[] = "<div>{{#c}}{{$in}}none{{/in}}{{/c}}</div>";

static const struct mustache *page, *standard;
static struct templates *set;

static const struct mustache *add(const char *name, const char *text)
{
    struct mustache_error error;
    const struct mustache *template =
        templates_add(set, slice_of(name), name, slice_of(text), &error);
    FUZZ_CHECK(template);
    return template;
}

static void start(void)
{
    if (set)
        return;
    render_json_start();
    set = templates_new();
    FUZZ_CHECK(set);
    page = add("page", page_text);
    add("item", item_text);
    add("frame", frame_text);
    standard = add("standard", CONTEXT_TEXT_TEMPLATE.data);
}

static bool render(const struct mustache *template, const struct context *context,
                   struct buffer *out)
{
    struct mustache_error error = {0};
    struct mustache_call call = {.contexts = context->stack,
                                 .count = context->count,
                                 .find = templates_find,
                                 .arg = set,
                                 .output_max = OUTPUT_MAX,
                                 .steps_max = STEPS_MAX};
    bool ok = mustache_render(template, &call, out, &error);
    FUZZ_CHECK(ok || (out->len == 0 && error.why[0] != '\0'));
    FUZZ_CHECK(strcmp(error.why, "out of memory") != 0);
    return ok;
}

/* No value has got out of its place. */
static void check_html(struct slice html)
{
    struct balance balance = balance_check(html);
    FUZZ_CHECK(balance.in_template.flaw == BALANCE_NO_FLAW);
    FUZZ_CHECK(balance.in_place.flaw == BALANCE_NO_FLAW);
}

static void check_page(struct context *context, const struct json_t *json)
{
    struct buffer first = {0}, second = {0};
    context_end_json(context, json);
    bool ok = render(page, context, &first);
    FUZZ_CHECK(render(page, context, &second) == ok);
    FUZZ_CHECK(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    check_html(buffer_slice(&first));
    buffer_free(&first);
    buffer_free(&second);
}

static void check_text(struct context *context, struct slice name, struct slice text)
{
    struct buffer by_template = {0}, html = {0};
    context_end_text(context, text);
    bool ok = render(standard, context, &by_template);
    FUZZ_CHECK(text_render(&html, name, text, OUTPUT_MAX) == ok);
    FUZZ_CHECK(slice_equal(buffer_slice(&html), buffer_slice(&by_template)));
    check_html(buffer_slice(&html));
    buffer_free(&by_template);
    buffer_free(&html);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_slice(size ? data : (const uint8_t *)"", size);
    const char *zero = memchr(rest.data, '\0', rest.len);
    struct slice name = {.data = rest.data, .len = zero ? (size_t)(zero - rest.data) : 0};
    if (zero)
        rest = slice_from(rest, name.len + 1);
    start();
    struct context context;
    context_begin(&context, name);
    FUZZ_CHECK(context_add_input(&context, SLICE("x"), name));
    check_text(&context, name, rest);

    char why[RENDER_JSON_WHY_ROOM] = "";
    struct json_t *json = render_json_read(rest, why);
    if (json) {
        context_begin(&context, name);
        FUZZ_CHECK(context_add_input(&context, SLICE("x"), name));
        check_page(&context, json);
    } else {
        FUZZ_CHECK(slice_starts(slice_of(why), SLICE("is not valid JSON")) &&
                   strlen(why) < sizeof why);
    }
    render_json_free(json);
    return 0;
}
