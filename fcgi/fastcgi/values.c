/* The three variables of GET_VALUES. */
#include "fastcgi/values.h"

#include <stdbool.h>
#include <stdio.h>

#include "fastcgi/params.h"
#include "fastcgi/record.h"

size_t values_answer(struct slice content, const struct values *ours, char *out)
{
    const struct {
        struct slice name;
        size_t value;
    } known[] = {
        {SLICE(FCGI_MAX_CONNS), ours->max_conns},
        {SLICE(FCGI_MAX_REQS), ours->max_reqs},
        {SLICE(FCGI_MPXS_CONNS), 1},
    };
    enum { KNOWN = sizeof known / sizeof known[0] };
    bool asked[KNOWN] = {false};

    struct slice name, value;
    enum params_step step;
    while ((step = params_next(&content, &name, &value)) == PARAMS_PAIR)
        for (int i = 0; i < KNOWN; i++)
            asked[i] = asked[i] || slice_equal(name, known[i].name);
    if (step == PARAMS_BAD)
        return 0;

    char *pairs = out + FCGI_HEADER_LEN;
    size_t len = 0;
    for (int i = 0; i < KNOWN; i++) {
        char number[24];
        if (!asked[i])
            continue;
        snprintf(number, sizeof number, "%zu", known[i].value);
        len += params_encode_short(pairs + len, known[i].name, slice_of(number));
    }
    uint8_t padding = record_padding(len);
    record_encode_header(out, FCGI_GET_VALUES_RESULT, FCGI_NULL_REQUEST_ID, (uint16_t)len, padding);
    memset(pairs + len, 0, padding);
    return FCGI_HEADER_LEN + len + padding;
}
