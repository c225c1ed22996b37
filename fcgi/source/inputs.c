/* Packs and reads the values of inputs. Pure. */
#include "source/inputs.h"

#include "base/check.h"

#define HEAD 3 /* bytes before a value: whether it is there, and its length */

bool inputs_pack(char *packed, size_t *len, struct slice value)
{
    if (value.len > UINT16_MAX || HEAD + value.len > INPUTS_PACKED_MAX - *len)
        return false;
    check(value.data || value.len == 0);
    char *at = packed + *len;
    at[0] = value.data ? 1 : 0;
    at[1] = (char)(value.len >> 8);
    at[2] = (char)(value.len & 0xff);
    if (value.data && value.len > 0)
        memcpy(at + HEAD, value.data, value.len);
    *len += HEAD + value.len;
    return true;
}

const struct input *inputs_next(struct inputs_reader *reader, struct slice *value)
{
    const struct vary *vary = reader->inputs.vary;
    if (!vary || reader->number == vary->count)
        return NULL;
    check(reader->rest.len >= HEAD);
    const unsigned char *head = (const unsigned char *)reader->rest.data;
    size_t len = (size_t)head[1] << 8 | head[2];
    check(reader->rest.len - HEAD >= len);
    *value = (struct slice){.data = head[0] ? reader->rest.data + HEAD : NULL, .len = len};
    reader->rest = slice_from(reader->rest, HEAD + len);
    return &vary->inputs[reader->number++];
}

struct slice inputs_find(struct inputs inputs, enum input_kind kind, struct slice name)
{
    struct inputs_reader reader = inputs_read(inputs);
    const struct input *input;
    struct slice value;
    while ((input = inputs_next(&reader, &value)))
        if (input->kind == kind && slice_equal(input->name, name))
            return value;
    return (struct slice){0};
}
