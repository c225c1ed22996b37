/* What identifies a request: any variables, and what becomes of them in a header. */
#include "source/trace.h"

#include "fuzz.h"

static void check_field(const char *field, const char *name, size_t most)
{
    FUZZ_CHECK(strncmp(field, name, strlen(name)) == 0);
    size_t len = strlen(field + strlen(name));
    FUZZ_CHECK(len > 0 && len <= most);
    for (const char *c = field; *c; c++)
        FUZZ_CHECK(*c >= ' ' && *c < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice variables = fuzz_slice(data, size), id, parent, kept_id, kept_parent;
    char kept[TRACE_VARIABLES_MAX], out[TRACE_ID_ROOM + TRACE_PARENT_ROOM];
    uint64_t random = size;
    trace_find(variables, &id, &parent);
    FUZZ_CHECK(fuzz_within(id, variables) && fuzz_within(parent, variables));
    size_t len = trace_keep(variables, kept);
    FUZZ_CHECK(len <= sizeof kept);
    trace_find((struct slice){.data = kept, .len = len}, &kept_id, &kept_parent);
    FUZZ_CHECK(slice_equal(id, kept_id) && slice_equal(parent, kept_parent));
    struct slice values[] = {id, parent, variables};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        trace_write_id(values[i], &random, out);
        check_field(out, "X-Request-Id: ", TRACE_ID_MAX);
        trace_write_parent(values[i], &random, out);
        check_field(out, "traceparent: ", 55);
    }
    return 0;
}
