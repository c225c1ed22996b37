/* The name-value codec, and the uses of its pairs: PARAMS of a request, GET_VALUES. */
#include "fastcgi/params.h"

#include "fastcgi/values.h"
#include "fuzz.h"
#include "web/request.h"
#include "web/route.h"

static void use(const struct web_request *request)
{
    char joined[512];
    struct slice name;
    uint64_t content_len;
    if (web_request_path(request, joined, sizeof joined, &name)) {
        FUZZ_CHECK(name.len <= sizeof joined);
        if (route_name_valid(name)) {
            char key[ROUTE_KEY_MAX];
            size_t key_len = route_key(name, key);
            FUZZ_CHECK(key_len >= name.len && key_len <= sizeof key);
            FUZZ_CHECK(!memchr(key, ' ', key_len) && !memchr(key, '{', key_len));
        }
    }
    web_request_content_length(request, &content_len);
    web_request_etag_matches(request->if_none_match, SLICE("\"a\""));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice stream = fuzz_slice(data, size), rest = stream, name, value;
    struct web_request request = {0};
    enum params_step step;
    while ((step = params_next(&rest, &name, &value)) == PARAMS_PAIR) {
        FUZZ_CHECK(fuzz_within(rest, stream));
        FUZZ_CHECK(fuzz_within(name, stream) && fuzz_within(value, stream));
        web_request_set(&request, name, value);
    }
    if (step == PARAMS_END) {
        FUZZ_CHECK(rest.len == 0);
        use(&request);
    }

    const struct values ours = {.max_conns = 10, .max_reqs = 5};
    char answer[VALUES_ANSWER_MAX];
    FUZZ_CHECK(values_answer(stream, &ours, answer) <= sizeof answer);
    return 0;
}
