/* Inputs of a request: whatever it has, the key says exactly what the source gets. The first byte
 * chooses what the route depends on; up to a line feed follows the query, then PARAMS. */
#include "web/variant.h"

#include "../unit/read_key.h"
#include "fuzz.h"
#include "web/request.h"

static const struct input all[] = {
    {INPUT_QUERY, SLICE_INIT("a")},        {INPUT_LANGUAGE, SLICE_INIT("en,de,de-CH,zh-Hant")},
    {INPUT_COOKIE, SLICE_INIT("session")}, {INPUT_HEADER, SLICE_INIT("x-a")},
    {INPUT_HOST, SLICE_INIT("")},          {INPUT_HEADER, SLICE_INIT("authorization")},
    {INPUT_QUERY, SLICE_INIT("host")},     {INPUT_QUERY, SLICE_INIT("cookie:session")},
};
#define ALL (sizeof all / sizeof *all)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct variant variant;
    struct input inputs[ALL];
    struct vary vary = {.inputs = inputs};
    struct slice rest = fuzz_slice(data, size);
    char key[VARIANT_KEY_MAX];
    if (size == 0)
        return 0;
    for (size_t i = 0; i < ALL; i++)
        if (data[0] >> i & 1)
            inputs[vary.count++] = all[i];
    rest = slice_from(rest, 1);
    const char *end = rest.len > 0 ? memchr(rest.data, '\n', rest.len) : NULL;
    struct web_request request = {0};
    request.query = (struct slice){rest.data, end ? (size_t)(end - rest.data) : rest.len};
    request.variables = end ? slice_from(rest, request.query.len + 1) : SLICE("");

    if (!variant_read(&variant, &vary, &request))
        return 0;
    size_t name_len = size % 100, len = name_len;
    memset(key, 'n', name_len);
    if (!variant_append(&variant, key, &len)) {
        FUZZ_CHECK(len == name_len);
        return 0;
    }
    FUZZ_CHECK(len > name_len && len <= sizeof key);
    struct slice suffix = {key + name_len, len - name_len};
    FUZZ_CHECK(read_key_has(suffix, variant_inputs(&variant)));
    struct slice tag = inputs_find(variant_inputs(&variant), INPUT_LANGUAGE, all[1].name);
    FUZZ_CHECK(!(data[0] & 2) || fuzz_within(tag, variant_inputs(&variant).packed));
    return 0;
}
