/* Makes a fragment of a result: as it is, by a template, or as escaped text. */
#include "render/render.h"

#include <stdio.h>
#include <string.h>

#include "base/byte.h"
#include "base/fnv.h"
#include "render/context.h"
#include "render/json.h"
#include "render/mustache.h"
#include "render/templates.h"
#include "render/text.h"

#define HTML_TYPE SLICE("text/html; charset=utf-8")
#define ANY_TYPE  SLICE("application/octet-stream")

uint64_t render_rule_digest(const struct render_rule *rule, uint64_t templates)
{
    if (!rule->raw && !rule->template)
        return 0;
    uint64_t digest = fnv_add(templates, rule->raw ? SLICE("raw") : SLICE("html"));
    for (size_t i = 0; i < rule->required_count; i++)
        digest = fnv_add(digest, slice_of(rule->required[i]));
    return digest | 1; /* not 0 */
}

bool render_name_is_valid(const char *name)
{
    for (const char *at = name;; at++) {
        if (*at == '.' || *at == '\0') {
            if (at == name || at[-1] == '.')
                return false;
            if (*at == '\0')
                return true;
        } else if (byte_is_control(*at)) {
            return false;
        }
    }
}

/* Whether the value has the dotted name; what is null counts as missing. */
static bool has(struct mustache_value value, struct slice name)
{
    while (name.len > 0) {
        const char *dot = memchr(name.data, '.', name.len);
        struct slice part = {.data = name.data, .len = dot ? (size_t)(dot - name.data) : name.len};
        struct mustache_value member;
        if (!mustache_member(&value, part, &member))
            return false;
        value = member;
        name = slice_from(name, part.len + (dot ? 1 : 0));
    }
    return !mustache_is_null(&value);
}

static bool apply(const struct render_rule *rule, const struct context *context,
                  struct buffer *html, char why[RENDER_WHY_ROOM])
{
    struct mustache_error error;
    struct mustache_call call = {
        .contexts = context->stack,
        .count = context->count,
        .find = templates_find,
        .arg = rule->templates,
        .output_max = rule->html_max,
        .steps_max = rule->steps_max,
    };
    if (mustache_render(rule->template, &call, html, &error))
        return true;
    mustache_describe(&error, why, RENDER_WHY_ROOM);
    return false;
}

/* Checks the JSON, and renders it. */
static bool apply_json(const struct render_rule *rule, struct context *context,
                       const struct json_t *json, struct buffer *html, char why[RENDER_WHY_ROOM])
{
    struct mustache_value value = mustache_json(json);
    if (!mustache_has_members(&value)) {
        snprintf(why, RENDER_WHY_ROOM,
                 "the JSON of the source is neither an object nor a list, so the template can't "
                 "name anything in it");
        return false;
    }
    for (size_t i = 0; i < rule->required_count; i++) {
        if (has(value, slice_of(rule->required[i])))
            continue;
        snprintf(why, RENDER_WHY_ROOM,
                 "the JSON of the source has no \"%.200s\", which is required", rule->required[i]);
        return false;
    }
    context_end_json(context, json);
    return apply(rule, context, html, why);
}

static bool apply_json_text(const struct render_rule *rule, struct context *context,
                            struct slice body, struct buffer *html, char why[RENDER_WHY_ROOM])
{
    char wrong[RENDER_JSON_WHY_ROOM];
    if (body.len > rule->json_max) {
        snprintf(why, RENDER_WHY_ROOM, "%zu bytes of JSON are more than max_json allows", body.len);
        return false;
    }
    struct json_t *json = render_json_read(body, wrong);
    if (!json) {
        snprintf(why, RENDER_WHY_ROOM, "the JSON of the source %s", wrong);
        return false;
    }
    bool ok = apply_json(rule, context, json, html, why);
    render_json_free(json);
    return ok;
}

static bool use_template(const struct render_rule *rule, struct context *context, struct slice type,
                         struct slice body, struct buffer *html, char why[RENDER_WHY_ROOM])
{
    if (text_is_json(type))
        return apply_json_text(rule, context, body, html, why);
    if (rule->required_count > 0) {
        snprintf(why, RENDER_WHY_ROOM,
                 "the source has not sent JSON, but the fragment requires \"%.200s\" of it",
                 rule->required[0]);
        return false;
    }
    if (text_is_html(type))
        context_end_html(context, body);
    else
        context_end_text(context, body);
    return apply(rule, context, html, why);
}

static bool escape(const struct render_rule *rule, struct slice name, struct slice body,
                   struct buffer *html, char why[RENDER_WHY_ROOM])
{
    if (text_render(html, name, body, rule->html_max))
        return true;
    snprintf(why, RENDER_WHY_ROOM,
             "there is not enough memory for the text as HTML, or it is more than max_rendered "
             "allows");
    return false;
}

bool render_fragment(const struct render_rule *rule, struct slice name, struct context *context,
                     struct slice type, struct slice body, struct render_result *result,
                     char why[RENDER_WHY_ROOM])
{
    *result = (struct render_result){.type = type, .body = body};
    if (rule->raw) {
        if (!text_type_is_valid(type))
            result->type = ANY_TYPE;
        return true;
    }
    if (!text_is_html(type) && !text_is_text(type)) {
        snprintf(why, RENDER_WHY_ROOM,
                 "the result has the type %.*s, which is neither HTML nor text (render = \"raw\" "
                 "passes any type)",
                 (int)(type.len < 100 ? type.len : 100), type.data);
        return false;
    }
    if (!rule->template && text_is_html(type))
        return true;
    if (rule->template ? !use_template(rule, context, type, body, &result->html, why)
                       : !escape(rule, name, body, &result->html, why))
        return false;
    result->type = HTML_TYPE;
    result->body = buffer_slice(&result->html);
    return true;
}
