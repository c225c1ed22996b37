/* Bodies: whatever the template and the values, a value stays where its placeholder is. The input is
 * a letter for the format, the template, a zero byte, and the value. */
#include "source/body.h"

#include "fuzz.h"
#include "source/template.h"

/* What gives a text its structure. */
struct skeleton {
    size_t bytes;  /* outside of strings */
    size_t quotes; /* that begin or end a string */
    size_t joints; /* of a form */
    bool in_string, escaped;
};

static void add(struct skeleton *skeleton, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];
        bool quote = byte == '"' && !skeleton->escaped;
        skeleton->escaped = skeleton->in_string && byte == '\\' && !skeleton->escaped;
        skeleton->bytes += !skeleton->in_string;
        skeleton->quotes += quote;
        skeleton->joints += byte == '&' || byte == '=' || byte == '+' || byte == '\n';
        skeleton->in_string ^= quote;
    }
}

static struct skeleton of_template(const char *template)
{
    struct skeleton skeleton = {0};
    struct slice rest = slice_of(template);
    struct template_part part;
    while (template_next(&rest, &part))
        if (part.kind != TEMPLATE_NAME && part.kind != TEMPLATE_REST && part.kind != TEMPLATE_INPUT)
            add(&skeleton, part.text);
    return skeleton;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size > 1 ? memchr(data + 1, '\0', size - 1) : NULL;
    if (!zero)
        return 0;
    enum body_format format = data[0] == 'f' ? BODY_FORM : data[0] == 'o' ? BODY_OTHER : BODY_JSON;
    const char *template = (const char *)data + 1;
    struct slice value = fuzz_slice(zero + 1, size - (size_t)(zero + 1 - data));
    if (body_check(template, format))
        return 0;

    size_t len;
    struct source_request request = {.name = value, .rest = value};
    char *body = body_expand(template, format, &request, &len);
    FUZZ_CHECK(body && body[len] == '\0');
    struct skeleton is = {0}, ought = of_template(template);
    add(&is, (struct slice){.data = body, .len = len});
    if (format == BODY_JSON) {
        FUZZ_CHECK(is.bytes == ought.bytes && is.quotes == ought.quotes);
        FUZZ_CHECK(is.in_string == ought.in_string && is.escaped == ought.escaped);
    } else {
        FUZZ_CHECK(is.joints == ought.joints);
    }
    free(body);
    return 0;
}
