/* Requests to a source with inputs, from texts. */
#ifndef WORKERLESS_TESTS_REQUESTS_H
#define WORKERLESS_TESTS_REQUESTS_H

#include "source/source.h"
#include "unit.h"

/* What a request points to. */
struct request_room {
    struct input inputs[INPUTS_MAX];
    struct source_rules rules;
    char packed[INPUTS_PACKED_MAX];
    struct source_request request;
};

/* Cuts the text before the first `separator`; sets *rest to what follows, its data to NULL if there
 * is none. */
static inline struct slice request_cut(struct slice text, char separator, struct slice *rest)
{
    const char *at = memchr(text.data, separator, text.len);
    size_t len = at ? (size_t)(at - text.data) : text.len;
    *rest = at ? slice_from(text, len + 1) : (struct slice){0};
    return (struct slice){.data = text.data, .len = len};
}

/* A request for the fragment. `inputs` are up to `count` texts, which end where one has no data:
 * "query:city=Paris", "language:en,de=de", "host=h"; "query:city=" is there but empty, "query:city"
 * is absent. */
static inline const struct source_request *request_of(struct request_room *room, struct slice name,
                                                      struct slice rest, const struct slice *inputs,
                                                      size_t count)
{
    static const char *const kinds[] = {
        [INPUT_QUERY] = "query",       [INPUT_COOKIE] = "cookie", [INPUT_HEADER] = "header",
        [INPUT_LANGUAGE] = "language", [INPUT_HOST] = "host",
    };
    size_t len = 0, number = 0;
    for (; number < count && inputs[number].data; number++) {
        struct input *input = &room->inputs[number];
        struct slice value, before = request_cut(inputs[number], '=', &value);
        struct slice kind = request_cut(before, ':', &input->name);
        size_t i = 0;
        while (!slice_equal(kind, slice_of(kinds[i])))
            assert_true(++i < LENGTH(kinds));
        input->kind = (enum input_kind)i;
        assert_true(inputs_pack(room->packed, &len, value));
    }
    room->rules = (struct source_rules){.vary = {.inputs = room->inputs, .count = number}};
    room->request = (struct source_request){
        .name = name,
        .rest = rest,
        .inputs = {.vary = &room->rules.vary, .packed = {.data = room->packed, .len = len}},
        .rules = &room->rules,
    };
    return &room->request;
}

#endif
