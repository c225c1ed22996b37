/* Inputs on their way to an http source: no value gets out of its place in the url or in a header,
 * and none is lost. The other half: any text as a url of the config. */
#include "source/forward.h"
#include "source/url.h"

#include "fuzz.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct input inputs[] = {
    {INPUT_QUERY, SLICE_INIT("city")},     {INPUT_QUERY, SLICE_INIT("a b&=")},
    {INPUT_COOKIE, SLICE_INIT("session")}, {INPUT_COOKIE, SLICE_INIT("b")},
    {INPUT_HEADER, SLICE_INIT("x-cur")},   {INPUT_LANGUAGE, SLICE_INIT("en,de")},
    {INPUT_HOST, SLICE_INIT("")},          {INPUT_QUERY, SLICE_INIT("last")},
};
static const struct vary vary = {.inputs = inputs, .count = COUNT(inputs)};
static const char *const templates[] = {
    "http://h/p",
    "http://h/p?{query}&z=1",
    "http://h/{name}/{query:city}/{header:x-cur}?l={language}&h={host}&{query}",
    "http://h/?c={query:city}&x={header:x-cur}&last={query:last}",
};

/* Cuts the next value off the data: a byte with its length, 255 if it is absent, and its bytes. */
static struct slice next_value(struct slice *data)
{
    if (data->len == 0)
        return (struct slice){0};
    size_t len = (unsigned char)data->data[0];
    *data = slice_from(*data, 1);
    if (len == 255)
        return (struct slice){0};
    if (len > data->len)
        len = data->len;
    struct slice value = {.data = data->data, .len = len};
    *data = slice_from(*data, len);
    return value;
}

static int digit(char hex)
{
    return hex >= '0' && hex <= '9' ? hex - '0' : hex >= 'A' && hex <= 'F' ? hex - 'A' + 10 : -1;
}

/* Decodes the text in place of *at until it is equal to `expected`. */
static const char *expect_encoded(const char *at, struct slice expected)
{
    for (size_t i = 0; i < expected.len; i++) {
        char byte = *at;
        if (byte == '%') {
            FUZZ_CHECK(digit(at[1]) >= 0 && digit(at[2]) >= 0);
            byte = (char)(digit(at[1]) * 16 + digit(at[2]));
            at += 2;
        }
        FUZZ_CHECK(byte == expected.data[i]);
        at++;
    }
    return at;
}

/* The url of the first template is its query inputs, in their order. */
static void check_query(const char *url, const struct source_request *request)
{
    struct inputs_reader reader = inputs_read(request->inputs);
    const struct input *input;
    struct slice value;
    const char *at = url + strlen(templates[0]);
    bool any = false;
    FUZZ_CHECK(strncmp(url, templates[0], strlen(templates[0])) == 0);
    while ((input = inputs_next(&reader, &value))) {
        if (input->kind != INPUT_QUERY || !value.data)
            continue;
        FUZZ_CHECK(*at++ == (any ? '&' : '?'));
        at = expect_encoded(at, input->name);
        FUZZ_CHECK(*at++ == '=');
        at = expect_encoded(at, value);
        any = true;
    }
    FUZZ_CHECK(*at == '\0');
}

static void check_url(const char *url)
{
    size_t marks = 0;
    for (const char *at = url; *at; at++) {
        FUZZ_CHECK(*at > ' ' && *at < 0x7f && !strchr("#{}\"<>\\^`|;+", *at));
        marks += *at == '?';
    }
    FUZZ_CHECK(marks <= 1 && strncmp(url, "http://h/", 9) == 0);
}

/* Each line is one field, each field there once. */
static void check_fields(const char *fields, const struct source_request *request)
{
    static const char *const names[] = {"Cookie", "x-cur", "Accept-Language", "X-Forwarded-Host"};
    size_t next = 0, pairs = 0, cookies = 0;
    for (const char *line = fields; *line; line = strchr(line, '\n') + 1) {
        size_t len = strcspn(line, ":;\n");
        FUZZ_CHECK(line[len] != '\n' && strchr(line, '\n'));
        while (next < COUNT(names) &&
               (strlen(names[next]) != len || strncmp(line, names[next], len) != 0))
            next++;
        FUZZ_CHECK(next < COUNT(names));
        if (next++ == 0)
            for (const char *at = line; *at != '\n'; at++)
                pairs += *at == ';';
    }
    struct inputs_reader reader = inputs_read(request->inputs);
    const struct input *input;
    struct slice value;
    while ((input = inputs_next(&reader, &value)))
        cookies += input->kind == INPUT_COOKIE && value.data;
    FUZZ_CHECK(cookies == 0 ? pairs == 0 : pairs == cookies - 1);
}

static void check_request(struct slice data)
{
    static char packed[INPUTS_PACKED_MAX];
    static const struct source_rules rules = {.vary = {.inputs = inputs, .count = COUNT(inputs)}};
    size_t len = 0;
    struct slice name = next_value(&data);
    for (size_t i = 0; i < COUNT(inputs); i++)
        FUZZ_CHECK(inputs_pack(packed, &len, next_value(&data)));
    const struct source_request request = {.name = name,
                                           .inputs = {&vary, {packed, len}},
                                           .rules = &rules};
    for (size_t i = 0; i < COUNT(templates); i++) {
        char why[SOURCE_WHY_ROOM];
        FUZZ_CHECK(!url_check(templates[i]) && forward_check(templates[i], &rules, why));
        char *url = url_expand(templates[i], &request), *fields = NULL;
        const char *refusal = NULL;
        FUZZ_CHECK(url);
        check_url(url);
        if (i == 0)
            check_query(url, &request);
        enum forward_result result = forward_fields(templates[i], &request, &fields, &refusal);
        FUZZ_CHECK((result == FORWARD_REFUSED) == (refusal != NULL));
        if (result == FORWARD_FIELDS)
            check_fields(fields, &request);
        url_has_dot_segment(url);
        free(fields);
        free(url);
    }
}

static void check_template(struct slice data)
{
    static const struct source_request request = {.name = SLICE_INIT("n")};
    char *template = malloc(data.len + 1), shown[URL_SHOWN_ROOM];
    FUZZ_CHECK(template);
    if (data.len > 0)
        memcpy(template, data.data, data.len);
    template[data.len] = '\0';
    bool good = !url_check(template);
    char *url = url_expand(template, &request);
    FUZZ_CHECK(url && (!good || !strpbrk(url, "{}# \r\n")));
    url_show(url, shown);
    free(url);
    free(template);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice rest = fuzz_slice(data + 1, size - 1);
    if (data[0] & 1)
        check_request(rest);
    else
        check_template(rest);
    return 0;
}
